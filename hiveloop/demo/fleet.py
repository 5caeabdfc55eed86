"""The fleet: five agents, their inboxes, and the rounds they work in."""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from .approvals import Operator
from .checker import Checker
from .checks import Finding
from .editor import Editor, Publish
from .librarian import Librarian, Walk
from .researcher import Researcher
from .summariser import Summariser
from .work import iso
from .worker import Office, Worker

__all__ = ["Fleet", "Plan"]


@dataclass(frozen=True, slots=True)
class Plan:
    """How long the fleet works.

    Attributes:
        rounds: walks through the folder, at least 1; None for as many as fit into `seconds`.
        seconds: begin no walk after so many seconds, and wait no more; None for no limit.
        interval: seconds from the beginning of a walk to the beginning of the next.
        limit: most documents to take in.
    """

    rounds: int | None = 2
    seconds: float | None = None
    interval: float = 10.0
    limit: int = 25


class Fleet:
    """Runs the agents until the work is done, the time is over, or somebody stops them.

    Args:
        office: what the agents share.
        plan: how long to work.

    Attributes:
        left_undone: items that were still waiting when it was stopped.
        report: where the report is, if it was published.
    """

    def __init__(self, office: Office, plan: Plan) -> None:
        self._office = office
        self._plan = plan
        self._operator = Operator(office.pace)
        self._editor = Editor(office, self._operator)
        self._checker = Checker(office, repairs=self._editor.inbox)
        self._summariser = Summariser(office)
        self._researcher = Researcher(office)
        self._librarian = Librarian(
            office,
            plan.limit,
            questions=self._researcher.inbox,
            summaries=self._summariser.inbox,
            checks=self._checker.inbox,
        )
        self._workers: tuple[Worker[Any], ...] = (
            self._librarian,
            self._researcher,
            self._summariser,
            self._checker,
            self._editor,
        )
        self._end = time.monotonic() + (float("inf") if plan.seconds is None else plan.seconds)
        self.left_undone = 0
        self.report: Path = office.workspace.output / "report.md"

    @property
    def crashed(self) -> bool:
        """True when an agent died of a bug."""
        return any(worker.crashed for worker in self._workers)

    def open_issues(self) -> list[Finding]:
        """Return the faults that nobody has repaired."""
        return self._office.notebook.open_issues()

    def run(self) -> None:
        """Work until done; returns early, with work left, after `stop`."""
        for thread in (self._operator, *self._workers):
            thread.start()
        for number in count(1):
            begun = time.monotonic()
            last = number == self._plan.rounds or begun + self._interval >= self._end
            self._walk(number, last)
            if last or self._office.pace.stopped.wait(max(0.0, begun + self._interval - time.monotonic())):
                break
        if not self._office.pace.stopped.is_set():
            self._editor.inbox.put(Publish(self.report), "publish the report", "fleet")
            self._wait_until_idle()
        self._go_home(timeout=5.0)

    def stop(self, timeout: float = 1.0) -> None:
        """End early: nobody waits any more, what is under way is finished, what waits is left.

        Args:
            timeout: seconds to give the agents.
        """
        self._office.pace.stop()
        self._go_home(timeout)
        self.left_undone = sum(worker.inbox.clear() for worker in self._workers)

    @property
    def _interval(self) -> float:
        least = 1.0 if self._plan.rounds is None else 0.0  # without waits it would walk all the time
        return max(least, self._plan.interval * self._office.pace.factor)

    def _walk(self, number: int, last: bool) -> None:
        next_run = None if last else iso(time.time() + self._interval)
        self._librarian.inbox.put(Walk(number, next_run, self._interval), f"walk {number}", "fleet")
        self._wait_until_idle()

    def _wait_until_idle(self) -> None:
        while not self._office.outstanding.wait_until_none(0.1):
            if self._office.pace.stopped.is_set():
                return
            if time.monotonic() > self._end:
                self._office.pace.hurry()

    def _go_home(self, timeout: float) -> None:
        end = time.monotonic() + timeout
        self._operator.close()
        for worker in self._workers:
            worker.inbox.close()
        for thread in (self._operator, *self._workers):
            if thread.ident is not None:
                thread.join(max(0.0, end - time.monotonic()))

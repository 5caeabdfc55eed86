"""An agent's thread under observation: what a sensor call costs it, and whether the books balance."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import hiveloop

__all__ = ["Caller", "balanced", "identity", "of_the_caller"]

SLOWEST_CALL_SECONDS = 0.050
PAUSE_SECONDS = 0.004

_SCHEDSTAT = Path("/proc/thread-self/schedstat")


def identity(event: dict[str, Any]) -> str:
    """What the caller knows an event by, whatever id the SDK gave it."""
    payload = event.get("payload") or {}
    number = (payload.get("data") or {}).get("n", "")
    return f"{event['event_type']}/{payload.get('kind', '')}/{event.get('task_id', '')}/{number}"


def of_the_caller(events: Iterable[dict[str, Any]]) -> Counter[str]:
    """The events that a caller's sensor calls made, without what the SDK adds of its own accord."""
    names = (identity(event) for event in events)
    return Counter(
        name for name in names if not name.startswith(("agent_registered", "heartbeat", "custom/runtime"))
    )


def balanced(stats: hiveloop.Stats) -> bool:
    """Whether every accepted event is somewhere."""
    return stats.accepted == stats.delivered + sum(stats.dropped.values()) + stats.waiting + stats.in_flight


class Caller:
    """A thread that calls sensors as long as the ``with`` block lasts.

    Attributes:
        expected: the identities of all events it caused.
        slowest_seconds: the longest time one sensor call, or one small task, held it up.
        unbalanced: statistics that did not add up.
    """

    def __init__(self, hb: hiveloop.HiveBoard, agent: hiveloop.Agent) -> None:
        self.expected: Counter[str] = Counter()
        self.slowest_seconds = 0.0
        self.unbalanced: list[hiveloop.Stats] = []
        self._hb = hb
        self._agent = agent
        self._stop = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="caller")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(10.0)
        assert not self._thread.is_alive(), "a sensor call hangs"
        if self._error is not None:
            raise self._error

    def check(self) -> None:
        """Assert that no call was slow, and that the books balanced at every look."""
        assert self.expected.total() > 100, "the caller hardly called; the test says nothing"
        assert not self.unbalanced, self.unbalanced[0]
        assert self.slowest_seconds < SLOWEST_CALL_SECONDS

    def _run(self) -> None:
        try:
            number = 0
            while not self._stop.is_set():
                self._turn(number)
                number += 1
                if not balanced(stats := self._hb.stats()):
                    self.unbalanced.append(stats)
                self._stop.wait(PAUSE_SECONDS)
        except BaseException as error:
            self._error = error

    def _turn(self, number: int) -> None:
        started, delayed = time.perf_counter(), _runqueue_seconds()
        if number % 10:
            self._agent.event("custom", {"kind": "probe", "data": {"n": number}})
        else:
            self._small_task(f"task-{number}")
        elapsed = time.perf_counter() - started
        # What the kernel gave to other programs is not our doing.
        blocked = elapsed - (_runqueue_seconds() - delayed)
        self.slowest_seconds = max(self.slowest_seconds, blocked)
        names = _task_identities(f"task-{number}") if number % 10 == 0 else [f"custom/probe//{number}"]
        self.expected.update(names)

    def _small_task(self, task_id: str) -> None:
        with self._agent.task(task_id, project="faults") as task, self._agent.track_context("look"):
            task.llm_call("reason", "model-1", tokens_in=1200, tokens_out=350, cost=0.008)


def _task_identities(task_id: str) -> list[str]:
    kinds = ("task_started/", "action_started/", "custom/llm_call", "action_completed/", "task_completed/")
    return [f"{kind}/{task_id}/" for kind in kinds]


def _runqueue_seconds() -> float:
    """How long this thread was ready to run without a processor; 0 where the kernel does not say."""
    try:
        return int(_SCHEDSTAT.read_text().split()[1]) / 1e9
    except OSError:
        return 0.0

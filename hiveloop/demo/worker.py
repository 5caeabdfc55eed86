"""What every agent of the fleet has: a thread, an inbox, and a heartbeat that says something."""

from __future__ import annotations

import threading
from abc import abstractmethod
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from hiveloop import HiveBoard

from .assistant import Assistant
from .model import LocalModel, OverloadedError
from .notebook import Notebook
from .search import Index
from .work import Outstanding, Pace, WorkQueue
from .workspace import Workspace

__all__ = ["Office", "Worker"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Office:
    """What all agents of the fleet share.

    Attributes:
        hb: the SDK, already initialised.
        workspace: the folder they work on.
        pace: how fast to live, and when to stop.
        fail_rate: share of model calls to refuse, 0.0 to 1.0.
    """

    hb: HiveBoard
    workspace: Workspace
    pace: Pace = field(default_factory=Pace)
    fail_rate: float = 0.0
    index: Index = field(default_factory=Index)
    notebook: Notebook = field(default_factory=Notebook)
    outstanding: Outstanding = field(default_factory=Outstanding)

    @property
    def project(self) -> str:
        """The project that all tasks belong to: the name of the folder."""
        return self.workspace.source.name or "root"

    def assistant(self, model: str) -> Assistant:
        """Return access to a language model, by its name."""
        return Assistant(LocalModel(model, self.pace.wait, self.fail_rate), self.pace)


class Worker(threading.Thread, Generic[T]):
    """One agent: takes items from its inbox and works on one after the other.

    Args:
        office: what it shares with the others.
        agent_id: name of the agent.
        type: what kind of work it does.
        assistant: its access to a language model, if it needs one.
    """

    def __init__(self, office: Office, agent_id: str, type: str, assistant: Assistant | None = None) -> None:
        super().__init__(name=f"demo-{agent_id}", daemon=True)
        self.office = office
        self.inbox: WorkQueue[T] = WorkQueue(office.outstanding, office.pace)
        self.finished = 0
        self.crashed = False
        self._llm = assistant
        self.agent = office.hb.agent(
            agent_id,
            type=type,
            version="1.0",
            framework="hiveloop-demo",
            heartbeat_interval=5.0,
            stuck_threshold=60,
            heartbeat_payload=self.state,
            queue_provider=self.inbox.snapshot,
        )

    @abstractmethod
    def handle(self, item: T) -> None:
        """Do the work of one item, usually as one task."""

    def state(self) -> dict[str, Any]:
        """Describe the agent as it is now; called for every heartbeat, on a thread of the SDK."""
        return {"finished": self.finished, **({"llm_calls": self._llm.calls} if self._llm else {})}

    def run(self) -> None:
        """Work until the inbox is closed. A bug ends the whole fleet instead of hiding in one thread."""
        self.crashed = True
        try:
            self._introduce()
            for item in self.inbox:
                self._try(item)
                self.finished += 1
            self.crashed = False
        finally:
            if self.crashed:
                self.office.pace.stop()

    def _try(self, item: T) -> None:
        try:
            self.handle(item)
        except OverloadedError:
            pass  # leaving the task's `with` block has reported it as failed; the next item may do better
        except OSError as error:  # a full disk, say, or a folder that has gone
            self.agent.report_issue(
                str(error), "high", category="other", context={"type": type(error).__name__}
            )

    def _introduce(self) -> None:
        settings = self._llm.settings() if self._llm else {}
        self.agent.event("custom", {"kind": "runtime", "data": {"event": "agent_started", **settings}})

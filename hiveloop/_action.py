"""Actions: the steps inside a task, nested to any depth."""

from __future__ import annotations

from time import monotonic_ns, time_ns
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

from . import payloads
from ._freeze import freeze_mapping, freeze_text
from ._guard import guarded
from ._ids import id_text, next_number, prefix
from ._scope import enter, leave, raw_current
from .events import ActionInfo, AgentInfo, TaskInfo

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from ._agent import Agent
    from ._redact import Privacy
    from ._task import Task

__all__ = ["Action", "error_text"]


class Action:
    """One step of an agent, such as a tool call; made by `Agent.track_context` and `Agent.track`.

    Use it as a context manager. ``__enter__`` and ``__exit__`` may be called apart, also in another
    context; each works once.
    """

    __slots__ = (
        "_activation",
        "_function",
        "_info",
        "_name",
        "_number",
        "_parent",
        "_payloads",
        "_prefix",
        "_start_ns",
        "agent",
        "ended",
        "entered_from",
        "expecting_until_ns",
        "task",
    )

    def __init__(self, agent: Agent, name: str, function: str | None = None) -> None:
        self.agent = agent
        self._name = freeze_text(name, 256)
        self._function = function
        self.task: Task | None = None
        self.ended = False
        self.entered_from: Task | Action | None = None
        self.expecting_until_ns = 0
        self._start_ns = 0
        self._parent: Action | None = None
        self._payloads: tuple[bytes, ...] = ()
        self._info: ActionInfo | None = None
        self._activation: AbstractContextManager[object] | None = None

    @property
    def name(self) -> str:
        """The action's name, as shown in the timeline."""
        return self._name

    @property
    def action_id(self) -> str:
        """UUID text; unique per execution. Empty before the action starts."""
        return id_text(self._number, self._prefix) if self._start_ns else ""

    @property
    def started_ns(self) -> int:
        """Monotonic clock at the start, nanoseconds; 0 before it."""
        return self._start_ns

    def describe(self, privacy: Privacy) -> tuple[AgentInfo, TaskInfo | None, ActionInfo | None]:
        """Return who acts, in which task; called on a delivery thread."""
        if self._info is None:
            parent = None if self._parent is None else self._parent.action_id
            self._info = ActionInfo(self.action_id, parent)
        task = None if self.task is None else self.task.info(privacy)
        return self.agent.info, task, self._info

    # -- scope ---------------------------------------------------------------------------------

    def __enter__(self) -> Action:
        self.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> Literal[False]:
        self.end(exc)
        return False

    @guarded
    def start(self, *, current: bool = True) -> None:
        """Emit ``action_started`` and become current."""
        if self._start_ns:
            return
        agent, scope = self.agent, raw_current()
        while scope is not None and (scope.ended or scope.agent is not agent):
            scope = scope.entered_from
        if scope is not None:
            self.task = scope.task
            self._parent = scope if isinstance(scope, Action) else None
        self._number = next_number()
        self._prefix = prefix()
        self._start_ns = monotonic_ns()
        agent.opened(self, self._number)
        if current:
            enter(self)
        record = agent.emit(payloads.action_started, self, self._name, self._function)
        if agent.has_hooks:
            self._activation = agent.activated(record)

    @guarded
    def end(self, error: BaseException | None = None) -> None:
        """Emit ``action_completed`` or ``action_failed`` and make the scope before current again."""
        if self.ended or not self._start_ns:
            return
        self.ended = True
        duration = monotonic_ns() - self._start_ns
        agent = self.agent
        leave(self)
        agent.closed(self._number)
        if error is None:
            agent.emit(payloads.action_completed, self, self._name, self._function, duration, *self._payloads)
        else:
            kind, message = type(error).__name__, error_text(error)
            agent.emit(
                payloads.action_failed, self, self._name, self._function, kind, message, duration, *self._payloads
            )
        if self._activation is not None:
            agent.deactivated(self._activation, error)

    # -- sensors -------------------------------------------------------------------------------

    @guarded
    def set_payload(self, payload: dict[str, Any]) -> None:
        """Attach data to the event that ends this action; later calls add to earlier ones.

        The data is taken as it is now: changing it afterwards has no effect.
        """
        frozen = freeze_mapping(payload)
        if frozen is not None:
            self._payloads += (frozen,)

    @guarded
    def expecting(self, seconds: float) -> None:
        """Announce that this action may stay silent for so many seconds without being stuck."""
        self.expecting_until_ns = time_ns() + int(float(seconds) * 1e9)
        self.agent.progress_ns = time_ns()

    def __repr__(self) -> str:
        return f"<hiveloop.Action {self._name!r}>"


def error_text(error: BaseException) -> str:
    """Return an exception's message, bounded."""
    from ._guard import attempt

    return freeze_text(attempt("exception message", str, error, default="<message unavailable>"), 4_096)

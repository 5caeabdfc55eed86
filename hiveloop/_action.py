"""Actions: the steps inside a task, nested to any depth."""

from __future__ import annotations

from time import monotonic_ns, time_ns
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from . import _ids, payloads
from ._freeze import freeze, freeze_mapping, freeze_text
from ._guard import attempt, guarded, guarded_enter, guarded_exit
from ._ids import id_text, next_number
from ._redact import Privacy, redact_text
from ._scope import is_over, make_current, raw_current
from ._wire import action_text
from .events import ActionInfo, AgentInfo, Event, TaskInfo

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from ._agent import Agent
    from ._task import Task

__all__ = ["MOST_OPEN", "NAME_LIMIT", "Action", "error_text", "until_ns"]

NAME_LIMIT = 256
LONGEST_SILENCE = 366 * 24 * 3600
"""Most seconds that can be announced with `expecting`."""
MOST_OPEN = 10_000
"""Open scopes remembered per agent; beyond it the oldest are taken for abandoned."""


class Action:
    """One step of an agent, such as a tool call; made by `Agent.track_context` and `Agent.track`.

    Use it as a context manager. ``__enter__`` and ``__exit__`` may be called apart, also in another
    context; each works once.

    Attributes:
        name: as shown in the timeline.
    """

    # Class-level defaults keep the constructor short: it runs on the agent's thread.
    task: Task | None = None
    ended: bool = False
    entered_from: Task | Action | None = None
    expecting_until_ns: int = 0
    _number: int = 0
    _prefix: str = ""
    _start_ns: int = 0
    _parent: Action | None = None
    # The events are made of these: see `payloads.ActionScope`.
    function: str | None = None
    duration_ns: int = 0
    payloads: tuple[bytes, ...] = ()
    error: tuple[str | None, str] = None, ""
    _info: ActionInfo | None = None
    started_event: Event | None = None
    _activation: AbstractContextManager[object] | None = None

    def __init__(self, agent: Agent, name: str, function: str | None = None) -> None:
        self.agent = agent
        self.name = name if type(name) is str and len(name) <= NAME_LIMIT else freeze_text(name, NAME_LIMIT)
        if function is not None:
            self.function = function

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
            self._info = ActionInfo(id_text(self._number, self._prefix), parent)
        task = None if self.task is None else self.task.info(privacy)
        return self.agent.info, task, self._info

    def scope_json(self, privacy: Privacy) -> str:
        """Return the task's and the action's members of its events in JSON; called on a delivery thread."""
        task = "" if self.task is None else self.task.scope_json(privacy)
        parent = None if self._parent is None else self._parent.action_id
        return task + action_text(id_text(self._number, self._prefix), parent)

    # -- scope ---------------------------------------------------------------------------------

    # The next two methods are written out in one piece: they run on the agent's thread, and each call
    # of a function of ours would add a twentieth to their cost.

    @guarded_enter
    def __enter__(self) -> Self:
        if self._start_ns:
            return self
        agent = self.agent
        scope = self.entered_from = raw_current()
        if scope is not None:
            if not isinstance(scope, Action) and scope.agent is agent and not scope.ended:
                self.task = scope  # the usual case: right inside a task
            else:
                self._attach(scope)
        number = self._number = next_number()
        self._prefix = _ids.prefix
        make_current(self)
        agent.open_scopes[number] = self
        if len(agent.open_scopes) > MOST_OPEN:
            agent.forget_oldest()
        now = agent.progress_ns = time_ns()
        self._start_ns = monotonic_ns()
        record = (payloads.action_started, number, now, self, None)
        agent.put(record)
        if agent.has_hooks:
            self.started_event, self._activation = agent.scope_entered(record)
        return self

    def _attach(self, scope: Task | Action) -> None:
        """Find the task and the parent action of this one: the nearest open ones of the same agent."""
        found: Task | Action | None = scope
        agent = self.agent
        while found is not None and (found.agent is not agent or is_over(found)):
            found = found.entered_from
        if found is not None:
            self.task = found.task
            if isinstance(found, Action):
                self._parent = found

    @guarded
    def begin_apart(self) -> None:
        """Start without becoming current, as a generator's action does."""
        before = raw_current()
        self.__enter__()
        make_current(before)
        activation, self._activation = self._activation, None
        if activation is not None:
            self.agent.deactivated(activation, None)

    @guarded_exit
    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.ended or not self._start_ns:
            if self._activation is not None:  # another thread may have ended it, where it is not current
                self.agent.deactivated(self._activation, exc)
            return
        self.duration_ns = monotonic_ns() - self._start_ns
        self.ended = True
        agent = self.agent
        if raw_current() is self:
            make_current(self.entered_from)
        agent.open_scopes.pop(self._number, None)
        now = agent.progress_ns = time_ns()
        if exc is None:
            agent.put((payloads.action_completed, next_number(), now, self, None))
        else:
            self.error = type(exc).__name__, error_text(exc)
            agent.put((payloads.action_failed, next_number(), now, self, None))
        if self._activation is not None:
            agent.deactivated(self._activation, exc)

    def end(self, error: BaseException | None = None) -> None:
        """End the action; the same as leaving its ``with`` block."""
        self.__exit__(None if error is None else type(error), error, None)

    # -- sensors -------------------------------------------------------------------------------

    @guarded
    def set_payload(self, payload: dict[str, Any]) -> None:
        """Attach data to the event that ends this action; later calls add to earlier ones.

        The data is taken as it is now: changing it afterwards has no effect.
        """
        frozen = freeze_mapping(payload)
        if frozen is not None and not self.ended:
            self.payloads += (frozen,)

    @guarded
    def expecting(self, seconds: float) -> None:
        """Announce that this action may stay silent for so many seconds without being stuck."""
        self.expecting_until_ns = until_ns(seconds)
        self.agent.progress_ns = time_ns()

    def __repr__(self) -> str:
        return f"<hiveloop.Action {redact_text(self.name)!r}>"


def until_ns(seconds: object) -> int:
    """Return the wall clock in so many seconds, nanoseconds; now for what is no number of seconds."""
    span = payloads.number(freeze(seconds), "seconds") or 0
    return time_ns() + int(min(max(span, 0), LONGEST_SILENCE) * 1e9)


def error_text(error: BaseException) -> str:
    """Return an exception's message, bounded."""
    return freeze_text(attempt("exception message", str, error, default="<message unavailable>"), 4_096)

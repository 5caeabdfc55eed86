"""Tasks: one unit of an agent's work, from start to finish."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from time import monotonic_ns, time_ns
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from . import _ids, payloads
from ._action import MOST_OPEN, error_text, until_ns
from ._freeze import freeze, freeze_args, freeze_mapping, freeze_text, type_name
from ._guard import guarded, guarded_enter
from ._ids import id_text, next_number
from ._redact import Privacy, redact_text
from ._scope import current_scope, made_current, make_current, raw_current, swap
from ._shape import is_a, is_longer, kind_of
from ._wire import task_text
from .events import ActionInfo, AgentInfo, Event, TaskInfo

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from ._action import Action
    from ._agent import Agent

__all__ = ["Task"]

ID_LIMIT = 256
_type = type  # the parameter of that name hides it


class Task:
    """One execution of an agent's work; made by `Agent.task` and `Agent.start_task`.

    All sensors may be called from any thread. Inside the ``with`` block the task is current, so that
    actions, `hiveloop.get_current_task` and the module-level sensors find it.
    """

    # Class-level defaults keep the constructor short: it runs on the agent's thread.
    ended: bool = False
    entered_from: Task | Action | None = None
    expecting_until_ns: int = 0
    _start_ns: int = 0
    # The events are made of these: see `payloads.TaskScope`.
    is_cut: bool = False
    status: Any = None
    duration_ns: int = 0
    payloads: tuple[bytes, ...] = ()
    error: tuple[str | None, str] = None, ""
    _project: str | None = None
    _type: str | None = None
    _run_id: str | None = None
    _correlation_id: str | None = None
    _plan_steps: Any = None
    _plan_revision: Any = None
    _info: TaskInfo | None = None
    _json: str | None = None
    _described: tuple[AgentInfo, TaskInfo | None, None] | None = None
    started_event: Event | None = None
    _activation: AbstractContextManager[object] | None = None

    def __init__(
        self,
        agent: Agent,
        task_id: str,
        project: str | None = None,
        type: str | None = None,
        task_run_id: str | None = None,
        correlation_id: str | None = None,
    ) -> None:
        self.agent = agent
        if _type(task_id) is str and len(task_id) <= ID_LIMIT:
            self.task_id = task_id
        else:
            self.task_id = freeze_text(task_id, ID_LIMIT)
            self.is_cut = is_longer(task_id, ID_LIMIT)
        if project is not None:
            self._project = freeze_text(project, ID_LIMIT)
        if type is not None:
            self._type = freeze_text(type, ID_LIMIT)
        if task_run_id is not None:
            self._run_id = freeze_text(task_run_id, ID_LIMIT)
        if correlation_id is not None:
            self._correlation_id = freeze_text(correlation_id, ID_LIMIT)
        self._number = next_number()
        self._prefix = _ids.prefix

    @property
    def task(self) -> Task:
        """The task itself; an action has the same attribute."""
        return self

    @property
    def task_run_id(self) -> str:
        """Id of this execution: the caller's, else UUID text."""
        return self._run_id or id_text(self._number, self._prefix)

    @property
    def started_ns(self) -> int:
        """Monotonic clock at the start, nanoseconds; 0 before it."""
        return self._start_ns

    def info(self, privacy: Privacy) -> TaskInfo:
        """Return the task's part of its events; called on a delivery thread."""
        if self._info is None:
            text = privacy.text
            self._info = TaskInfo(
                text(self.task_id) or "",
                text(self._run_id) or self.task_run_id,  # one of ours is no secret
                text(self._project),
                text(self._type),
                text(self._correlation_id),
            )
        return self._info

    def describe(self, privacy: Privacy) -> tuple[AgentInfo, TaskInfo | None, ActionInfo | None]:
        """Return who works on this task; called on a delivery thread."""
        described = self._described
        if described is None or described[0] is not self.agent.info:
            described = self._described = (self.agent.info, self.info(privacy), None)
        return described

    def scope_json(self, privacy: Privacy) -> str:
        """Return the task's members of its events in JSON; called on a delivery thread."""
        if self._json is None:
            self._json = task_text(self.info(privacy))
        return self._json

    # -- scope ---------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self.start()
        if self.agent.has_hooks and self._activation is None:
            self._activation = self.agent.activated(self.started_event)
        return self

    @guarded_enter
    def start(self) -> Self:
        """Emit ``task_started`` and become current; ``with`` and `Agent.start_task` call it.

        Only ``with`` makes the task current for other libraries too, such as OpenTelemetry.
        """
        if self._start_ns:
            return self
        agent = self.agent
        agent.open_scopes[self._number] = self
        if len(agent.open_scopes) > MOST_OPEN:
            agent.forget_oldest()
        self.entered_from = raw_current()
        make_current(self)
        now = agent.progress_ns = time_ns()
        self._start_ns = monotonic_ns()
        record = (payloads.task_started, self._number, now, self, None)
        agent.put(record)
        if agent.has_hooks:
            self.started_event = agent.scope_started(record)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        was_ended = self.ended
        if exc is None:
            self.complete()
        else:
            self.fail(exc)
        if was_ended:  # by another thread perhaps, which could not undo what `__enter__` did in this one
            self._deactivate(exc)

    @contextmanager
    def activate(self) -> Generator[Task]:
        """Make a manually started task current for a ``with`` block, in any thread or callback."""
        before = swap(self)
        try:
            with made_current(self):
                yield self
        finally:
            if raw_current() is self:
                swap(before)

    @guarded
    def complete(self, status: str = "success", payload: dict[str, Any] | None = None) -> None:
        """End the task with ``task_completed``. The first ending wins; later ones are ignored.

        Args:
            status: "success" or a word of your own.
            payload: data to merge into the event's payload.
        """
        if self._end(payload):
            self.status = freeze(status)
            self.agent.emit(payloads.task_completed, self, None)
            self._deactivate(None)

    @guarded
    def fail(self, exception: BaseException | None = None, payload: dict[str, Any] | None = None) -> None:
        """End the task with ``task_failed``. The first ending wins; later ones are ignored.

        Args:
            exception: what went wrong; its type and message are reported.
            payload: data to merge into the event's payload.
        """
        if self._end(payload):
            error = exception if is_a(kind_of(exception), BaseException) else None
            kind = None if exception is None else type_name(exception)
            self.error = kind, freeze_text(exception) if error is None else error_text(error)
            self.agent.emit(payloads.task_failed, self, None)
            self._deactivate(error)

    def _end(self, payload: dict[str, Any] | None) -> bool:
        if self.ended:
            self.agent.log_debug(
                "task %s has ended already; this ending is ignored", redact_text(self.task_id)
            )
            return False
        if payload is not None:
            self.set_payload(payload)
        self.ended = True
        now = monotonic_ns()
        if not self._start_ns:  # never entered: still tell that there was such a task
            self._start_ns = now
        self.duration_ns = now - self._start_ns
        if raw_current() is self:
            make_current(self.entered_from)
        self.agent.open_scopes.pop(self._number, None)
        return True

    def _deactivate(self, error: BaseException | None) -> None:
        if self._activation is not None:
            self.agent.deactivated(self._activation, error)

    def _source(self) -> Task | Action:
        """The innermost open action of this task in this context, else the task."""
        if raw_current() is self:
            return self
        scope = current_scope()
        return scope if scope is not None and scope.task is self else self

    # -- sensors -------------------------------------------------------------------------------

    @guarded
    def set_payload(self, payload: dict[str, Any] | None) -> None:
        """Attach data to the event that ends this task; later calls add to earlier ones.

        The data is taken as it is now: changing it afterwards has no effect.
        """
        frozen = freeze_mapping(payload)
        if frozen is not None and not self.ended:
            self.payloads += (frozen,)

    @guarded
    def llm_call(
        self,
        name: str,
        model: str,
        *,
        tokens_in: int | None = None,
        tokens_out: int | None = None,
        cost: float | None = None,
        duration_ms: int | None = None,
        prompt_preview: str | None = None,
        response_preview: str | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        """Report one call of a language model.

        Args:
            name: what the call was for, such as "reasoning"; not the model's name.
            model: model identifier.
            tokens_in: input tokens, cached ones included.
            tokens_out: output tokens.
            cost: US dollars.
            duration_ms: wall-clock latency in milliseconds.
            prompt_preview: beginning of the prompt; mind what it may contain.
            response_preview: beginning of the response.
            metadata: anything else, such as ``{"turn_number": 3, "stop_reason": "end_turn"}``.
        """
        self.agent.emit(
            payloads.llm_call,
            self._source(),
            freeze_args(
                name,
                model,
                tokens_in,
                tokens_out,
                cost,
                duration_ms,
                prompt_preview,
                response_preview,
                metadata,
            ),
        )

    @guarded
    def plan(self, goal: str, steps: list[str], *, revision: int = 0) -> None:
        """Declare what the agent intends to do.

        Args:
            goal: what the plan achieves.
            steps: descriptions in order.
            revision: 0 for the first plan, one more for each replan.
        """
        told = freeze_args(goal, steps, revision)
        self._plan_steps = len(steps) if kind_of(steps) in (list, tuple) else None
        self._plan_revision = told[2]
        self.agent.emit(payloads.plan, self._source(), told)

    @guarded
    def plan_step(
        self,
        step_index: int,
        action: str,
        summary: str,
        *,
        total_steps: int | None = None,
        turns: int | None = None,
        tokens: int | None = None,
        plan_revision: int | None = None,
    ) -> None:
        """Report progress of one step of the plan.

        Args:
            step_index: position in the plan, from 0.
            action: "started", "completed", "failed" or "skipped".
            summary: what happened.
            total_steps: number of steps; known from `plan` unless given.
            turns: turns of the agent's loop spent on the step.
            tokens: tokens spent on the step.
            plan_revision: revision the step belongs to; known from `plan` unless given.
        """
        total = self._plan_steps if total_steps is None else total_steps
        revision = self._plan_revision if plan_revision is None else plan_revision
        self.agent.emit(
            payloads.plan_step,
            self._source(),
            freeze_args(step_index, action, summary, total, turns, tokens, revision),
        )

    @guarded
    def escalate(
        self,
        summary: str | None = None,
        *,
        assigned_to: str | None = None,
        reason: str | None = None,
        parent_event_id: str | None = None,
    ) -> None:
        """Hand the task over to a human or a more capable agent.

        Args:
            summary: what is escalated and why. `reason` alone means the summary.
            assigned_to: who should take over.
            reason: reason code, such as "confidence_low".
            parent_event_id: the event that led here.
        """
        summary, reason = _told(summary, reason)
        self.agent.emit(
            payloads.escalated, self._source(), freeze_args(summary, assigned_to, reason, parent_event_id)
        )

    @guarded
    def request_approval(
        self,
        summary: str | None = None,
        *,
        approver: str | None = None,
        parent_event_id: str | None = None,
        reason: str | None = None,
    ) -> None:
        """Say that the task waits for a human's consent.

        Args:
            summary: what needs approval and why. `reason` alone means the same.
            approver: who should decide.
            parent_event_id: the event that led here.
        """
        summary, reason = _told(summary, reason)
        self.agent.emit(
            payloads.approval_requested,
            self._source(),
            freeze_args(summary, approver, reason, parent_event_id),
        )

    @guarded
    def approval_received(
        self,
        summary: str | None = None,
        *,
        approved_by: str | None = None,
        decision: str = "approved",
        parent_event_id: str | None = None,
        reason: str | None = None,
    ) -> None:
        """Report a human's decision.

        Args:
            summary: what was decided. `reason` alone means the same.
            approved_by: who decided.
            decision: "approved", "denied", "rejected" or your own word.
            parent_event_id: the event of the request.
        """
        summary, reason = _told(summary, reason)
        self.agent.emit(
            payloads.approval_received,
            self._source(),
            freeze_args(summary, approved_by, decision, reason, parent_event_id),
        )

    @guarded
    def retry(
        self,
        summary: str | None = None,
        *,
        attempt: int | None = None,
        backoff_seconds: float | None = None,
        parent_event_id: str | None = None,
        reason: str | None = None,
    ) -> None:
        """Report that something is tried again.

        Args:
            summary: what is retried and why. `reason` alone means the same.
            attempt: number of the attempt, from 1.
            backoff_seconds: wait before the attempt.
            parent_event_id: the event that caused it.
        """
        summary, reason = _told(summary, reason)
        self.agent.emit(
            payloads.retry_started,
            self._source(),
            freeze_args(summary, attempt, backoff_seconds, reason, parent_event_id),
        )

    @guarded
    def event(
        self,
        event_type: str,
        payload: dict[str, Any] | None = None,
        severity: str | None = None,
        parent_event_id: str | None = None,
    ) -> None:
        """Report anything else that happened in this task.

        Args:
            event_type: one of the 13 event types, usually "custom"; any other word becomes the kind of a
                custom event.
            payload: data, for a custom event ``{"kind": ..., "data": {...}}``.
            severity: "debug", "info", "warn" or "error"; by default what the type calls for.
            parent_event_id: the event that caused this one.
        """
        kind, loudness, parent = freeze_args(event_type, severity, parent_event_id)
        self.agent.emit(payloads.event, self._source(), (kind, freeze_mapping(payload), loudness, parent))

    @guarded
    def expecting(self, seconds: float) -> None:
        """Announce that this task may stay silent for so many seconds without being stuck."""
        self.expecting_until_ns = until_ns(seconds)
        self.agent.progress_ns = time_ns()

    def __repr__(self) -> str:
        return f"<hiveloop.Task {redact_text(self.task_id)!r}>"


def _told(summary: str | None, reason: str | None) -> tuple[str | None, str | None]:
    """The reason alone is the summary; beside a summary it is a reason code."""
    return (reason, None) if summary is None else (summary, reason)

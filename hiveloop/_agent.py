"""Agents: the handle that `HiveBoard.agent` returns, and all agent-level sensors."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import cache
from time import monotonic_ns, time_ns
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload

from . import payloads
from ._action import Action
from ._freeze import freeze, freeze_args, freeze_mapping
from ._guard import attempt, guarded, guarded_scope, logger, notice
from ._ids import next_number
from ._task import Task
from .events import ActionInfo, AgentInfo, Event, TaskInfo

if TYPE_CHECKING:
    from ._heartbeat import Callback, Sample
    from ._pipeline import Pipeline
    from ._record import Record
    from ._redact import Privacy

__all__ = ["Agent", "no_agent", "seconds", "untracked"]

P = ParamSpec("P")
R = TypeVar("R")
Build = Callable[..., payloads.Draft]


@cache
def no_agent() -> Agent:
    """An agent whose events go nowhere, for scopes that could not be made."""
    from ._pipeline import silent_pipeline

    return Agent(AgentInfo(agent_id=""), silent_pipeline())


def untracked() -> Any:
    """Stand in for `Agent.track` when it cannot make a decorator: return one that changes nothing."""

    def unchanged(function: Any) -> Any:
        return function

    return unchanged


class Agent:
    """One agent as HiveLoop sees it. Get it from `HiveBoard.agent`; all sensors are safe in any thread.

    Attributes:
        info: the agent's part of its events; replaced when its metadata change.
        progress_ns: wall clock of the last sign of progress, nanoseconds since the epoch.
        put: takes a record in; see `Pipeline.emit`.
        has_hooks: whether a transport wants to act at call time.
        heartbeat_interval: seconds between beats; 0 for none.
        heartbeat_payload: callback whose dict goes into each beat.
        queue_provider: callback whose dict becomes a queue snapshot with each beat.
        open_scopes: tasks and actions that have not ended, oldest first.
        retired: forgotten by `hiveloop.reset`; its scopes are no longer current anywhere.
        stuck_threshold: seconds of silence after which the board calls the agent stuck.
    """

    def __init__(self, info: AgentInfo, pipeline: Pipeline) -> None:
        self.info = info
        self.progress_ns = time_ns()
        self.heartbeat_interval = 30.0
        self.heartbeat_payload: Callback | None = None
        self.queue_provider: Callback | None = None
        self.stuck_threshold: float = 300
        self.route(pipeline)
        self.retired = False
        self.open_scopes: dict[int, Task | Action] = {}

    def route(self, pipeline: Pipeline) -> None:
        """Report through a pipeline from now on; `HiveBoard.divert` calls it."""
        self._pipeline = pipeline
        self.put = pipeline.emit
        self.has_hooks = bool(pipeline.hooks)

    @property
    def agent_id(self) -> str:
        """The agent's unique name."""
        return self.info.agent_id

    @property
    def agent(self) -> Agent:
        """The agent itself; a task and an action have the same attribute."""
        return self

    def describe(self, privacy: Privacy) -> tuple[AgentInfo, TaskInfo | None, ActionInfo | None]:
        """Return the agent alone: agent-level events belong to no task."""
        return self.info, None, None

    def scope_json(self, privacy: Privacy) -> str:
        """Return nothing, for the same reason; see `Source.scope_json`."""
        return ""

    def __repr__(self) -> str:
        return f"<hiveloop.Agent {self.agent_id!r}>"

    # -- for scopes ----------------------------------------------------------------------------

    def emit(self, build: Build, source: Agent | Task | Action, args: tuple[Any, ...] | None) -> None:
        """Leave a record for the delivery threads; the arguments must be frozen, None at a scope's end."""
        now = self.progress_ns = time_ns()
        self.put((build, next_number(), now, source, args))

    def forget_oldest(self) -> None:
        """Take the oldest open scope for abandoned: a program that ends none must not fill the memory."""
        self.open_scopes.pop(next(iter(self.open_scopes)), None)

    def scope_started(self, record: Record) -> Event | None:
        """Tell the transports that act at call time that a scope has started."""
        return self._pipeline.scope_started(record)

    def scope_entered(self, record: Record) -> tuple[Event | None, AbstractContextManager[object] | None]:
        """Do both for a ``with`` block: `scope_started` and `activated`."""
        return self._pipeline.scope_entered(record)

    def activated(self, started: Event | None) -> AbstractContextManager[object] | None:
        """Make a scope current for other libraries, until `deactivated`."""
        return None if started is None else self._pipeline.activate(started)

    def deactivated(self, activation: AbstractContextManager[object], error: BaseException | None) -> None:
        """Undo `activated`."""
        kind = None if error is None else type(error)
        attempt("scope hook", activation.__exit__, kind, error, None, default=None)

    def log_debug(self, message: str, *args: object) -> None:
        logger.debug(f"hiveloop: {message}", *args)

    # -- tasks and actions ---------------------------------------------------------------------

    @guarded_scope(lambda: Task(no_agent(), ""))
    def task(
        self,
        task_id: str,
        project: str | None = None,
        type: str | None = None,
        task_run_id: str | None = None,
        correlation_id: str | None = None,
    ) -> Task:
        """Return a task for a ``with`` block: started on entry, completed or failed on exit.

        Args:
            task_id: unique per execution, at most 256 characters.
            project: project slug; groups tasks on the dashboard.
            type: classification, such as "webhook".
            task_run_id: id of this execution, for runs of the same task; UUID text by default.
            correlation_id: ties work of several agents or systems together.
        """
        return Task(self, task_id, project, type, task_run_id, correlation_id)

    @guarded_scope(lambda: Task(no_agent(), ""))
    def start_task(
        self,
        task_id: str,
        project: str | None = None,
        type: str | None = None,
        task_run_id: str | None = None,
        correlation_id: str | None = None,
    ) -> Task:
        """Start a task that `Task.complete` or `Task.fail` ends; arguments as for `task`.

        It is current for the calling context until then; elsewhere use `Task.activate`.
        """
        task = Task(self, task_id, project, type, task_run_id, correlation_id)
        task.start()
        return task

    @guarded_scope(lambda: Action(no_agent(), ""))
    def track_context(self, action_name: str) -> Action:
        """Return an action for a ``with`` block, nested below the one that is current.

        Args:
            action_name: what is done, such as the tool's name.
        """
        return Action(self, action_name)

    @overload
    def track(self, action_name: Callable[P, R]) -> Callable[P, R]: ...

    @overload
    def track(self, action_name: str | None = None) -> Callable[[Callable[P, R]], Callable[P, R]]: ...

    @guarded_scope(untracked)
    def track(self, action_name: Any = None) -> Any:
        """Decorate a function, so that each call is an action: ``@agent.track("search")`` or bare.

        Works on functions, coroutines, generators, async generators, methods, classmethods and
        staticmethods; the signature is kept.

        Args:
            action_name: shown in the timeline; the function's qualified name by default.
        """
        from ._track import decorator

        return decorator(action_name, lambda: self)

    # -- sensors -------------------------------------------------------------------------------

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
        """Report a call of a language model outside any task; arguments as for `Task.llm_call`."""
        self.emit(
            payloads.llm_call,
            self,
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
    def queue_snapshot(
        self,
        depth: int,
        *,
        oldest_age_seconds: int | None = None,
        items: list[dict[str, Any]] | None = None,
        processing: dict[str, Any] | None = None,
    ) -> None:
        """Report the state of the agent's work queue.

        Args:
            depth: items waiting.
            oldest_age_seconds: age of the oldest.
            items: the first few, each ``{id, priority, source, summary, queued_at}``.
            processing: the one being worked on, ``{id, summary, started_at, elapsed_ms}``.
        """
        self.emit(payloads.queue_snapshot, self, freeze_args(depth, oldest_age_seconds, items, processing))

    @guarded
    def todo(
        self,
        todo_id: str,
        action: str,
        summary: str,
        *,
        priority: str | None = None,
        source: str | None = None,
        context: str | None = None,
        due_by: str | None = None,
    ) -> None:
        """Report a step in the life of a work item.

        Args:
            todo_id: stable id of the item.
            action: "created", "completed", "failed", "dismissed" or "deferred".
            summary: what is to be done.
            priority: "high", "normal" or "low".
            source: where it came from.
            context: further detail.
            due_by: ISO 8601 deadline.
        """
        self.emit(
            payloads.todo, self, freeze_args(todo_id, action, summary, priority, source, context, due_by)
        )

    @guarded
    def scheduled(self, items: list[dict[str, Any]]) -> None:
        """Report the agent's recurring work.

        Args:
            items: each ``{id, name, next_run, interval, enabled, last_status, last_run}``.
        """
        self.emit(payloads.scheduled, self, (freeze(items),))

    @guarded
    def report_issue(
        self,
        summary: str,
        severity: str,
        *,
        issue_id: str | None = None,
        category: str | None = None,
        context: dict[str, Any] | None = None,
        occurrence_count: int | None = None,
    ) -> None:
        """Report a lasting problem that degrades the agent.

        Args:
            summary: what is wrong.
            severity: "critical", "high", "medium" or "low".
            issue_id: stable id; without it receivers tell issues apart by their summary.
            category: such as "permissions", "connectivity", "rate_limit".
            context: data for debugging.
            occurrence_count: how often it was seen.
        """
        self.emit(
            payloads.issue,
            self,
            freeze_args(summary, severity, issue_id, category, context, occurrence_count),
        )

    @guarded
    def resolve_issue(self, summary: str, *, issue_id: str | None = None) -> None:
        """Report that an issue is over.

        Args:
            summary: how it was resolved.
            issue_id: the id it was reported with.
        """
        self.emit(payloads.issue_resolved, self, freeze_args(summary, issue_id))

    @guarded
    def event(
        self,
        event_type: str,
        payload: dict[str, Any] | None = None,
        severity: str | None = None,
        parent_event_id: str | None = None,
    ) -> None:
        """Report anything else, outside any task; arguments as for `Task.event`."""
        kind, loudness, parent = freeze_args(event_type, severity, parent_event_id)
        self.emit(payloads.event, self, (kind, freeze_mapping(payload), loudness, parent))

    # -- lifecycle -----------------------------------------------------------------------------

    def register(self) -> None:
        """Emit ``agent_registered``; called by the client when the agent is new or has changed."""
        info = self.info
        self.emit(
            payloads.agent_registered,
            self,
            (*freeze_args(info.agent_id, info.type, info.version, info.framework), self.stuck_threshold),
        )

    def stopped(self) -> None:
        """Announce a clean end, so that nobody calls a finished script stuck."""
        self.emit(payloads.agent_stopped, self, (self.agent_id,))

    def beat(self, sample: Sample) -> None:
        """Emit a heartbeat and, from the `queue_provider`, a queue snapshot; on the beat thread."""
        now = time_ns()
        own = freeze_mapping(self._progress(now, sample))
        self.put((payloads.heartbeat, next_number(), now, self, (sample.payload, own)))
        if sample.queue is not None:
            self.put((payloads.queue_provided, next_number(), now, self, (sample.queue,)))

    def _progress(self, now_ns: int, sample: Sample) -> dict[str, Any]:
        """Tell progress, not only life: a hung agent has a live heartbeat thread too."""
        scopes = list(self.open_scopes.values())
        actions = [scope for scope in scopes if isinstance(scope, Action)]
        tasks = [scope for scope in scopes if isinstance(scope, Task)]
        expecting = max((scope.expecting_until_ns for scope in scopes), default=0)
        backlog = self._pipeline.backlog()
        own: dict[str, Any] = {
            "last_progress_at": payloads.iso_time(self.progress_ns),
            "idle_seconds": max(0, now_ns - self.progress_ns) // 1_000_000_000,
            "queue_depth": sample.depth,
            "unsent": backlog.unsent,
            "dropped": backlog.dropped,
            "callbacks": "late" if sample.late else None,
        }
        if actions:
            action = actions[-1]
            own["open_action"] = action.name
            own["open_action_seconds"] = (monotonic_ns() - action.started_ns) // 1_000_000_000
            if action.task is not None:
                own["open_task"] = action.task.task_id
        if tasks:
            own.setdefault("open_task", tasks[-1].task_id)
        if expecting > now_ns:
            own["expecting_until"] = payloads.iso_time(expecting)
        return {key: value for key, value in own.items() if value is not None}


A_LONG_TIME = 1e12


def seconds(value: Any, name: str, default: float) -> float:
    """Return a number of seconds, at least 0; the default with a notice when the value is no such thing."""
    plain = freeze(value)
    number: float = plain if type(plain) in (int, float) else -1
    if 0 <= number < A_LONG_TIME:  # false for NaN
        return number
    notice(f"argument {name}", "hiveloop: %s must be a number of seconds, 0 or more; using %s", name, default)
    return default

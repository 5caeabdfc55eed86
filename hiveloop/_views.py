"""Events read back as what they tell of: tasks, actions, model calls and plans, for tests.

`read` rebuilds the tree from a stream of events. It takes events that miss their beginning or their
end as they are, so that a test can look at work that is still going on.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from .events import Event, EventType, Severity
from .transports._text import list_of, mapping_of, number

__all__ = [
    "OPEN",
    "ActionView",
    "AgentView",
    "LLMCallView",
    "PlanStepView",
    "PlanView",
    "Report",
    "TaskView",
    "dollars",
    "read",
    "spent",
]

OPEN = "open"
_OWN_KEYS = frozenset(("summary", "action_name", "function", "exception_type", "exception_message"))
_FAILED = (EventType.TASK_FAILED, EventType.ACTION_FAILED)


@dataclass(slots=True, eq=False)
class LLMCallView:
    """One call of a language model; what was not reported is None.

    Attributes:
        name: what the call was for.
        model: model identifier.
        tokens_in: input tokens.
        tokens_out: output tokens.
        cost: US dollars.
        duration_ms: latency in milliseconds.
        prompt_preview: beginning of the prompt.
        response_preview: beginning of the response.
        metadata: whatever else was reported.
        event: the event it was reported with.
    """

    name: str
    model: str
    tokens_in: int | None = None
    tokens_out: int | None = None
    cost: float | None = None
    duration_ms: int | None = None
    prompt_preview: str | None = field(default=None, repr=False)
    response_preview: str | None = field(default=None, repr=False)
    metadata: dict[str, Any] = field(default_factory=dict[str, Any], repr=False)
    event: Event | None = field(default=None, repr=False)

    def lines(self) -> list[str]:
        """Return the line of a tree."""
        tokens = ((self.tokens_in, "in"), (self.tokens_out, "out"))
        counts = " / ".join(f"{count} {word}" for count, word in tokens if count is not None)
        cost = "" if self.cost is None else dollars(self.cost)
        return [" ".join(filter(None, ("llm", self.name, f"-> {self.model}", counts, cost)))]


@dataclass(slots=True, eq=False)
class PlanStepView:
    """One step of a plan.

    Attributes:
        description: what is to be done.
        status: "pending", or the last word reported: "started", "completed", "failed", "skipped".
    """

    description: str
    status: str = "pending"


@dataclass(slots=True, eq=False)
class PlanView:
    """The plan of a task, in its last revision.

    Attributes:
        goal: what it is to achieve.
        steps: in order.
        revision: 0 for the first plan.
    """

    goal: str
    steps: list[PlanStepView]
    revision: int = 0

    def lines(self) -> list[str]:
        """Return the lines of a tree."""
        steps = [
            f"  {number}. {step.description} [{step.status}]" for number, step in enumerate(self.steps, 1)
        ]
        revision = f" (revision {self.revision})" if self.revision else ""
        return [f"plan {self.goal}{revision}", *steps]


@dataclass(slots=True, eq=False)
class _Note:
    """Something else that happened."""

    text: str

    def lines(self) -> list[str]:
        return [self.text]


@dataclass(slots=True, eq=False)
class ActionView:
    """One tracked function, block or tool call.

    Attributes:
        name: of the action.
        status: "open", "success" or "failure".
        error: ``ValueError: boom``, or None.
        payload: what the caller attached.
        children: actions inside this one, in order of their start.
        llm_calls: model calls directly in this action.
        duration_ms: milliseconds, once it has ended.
        events: its own events, in order.
    """

    name: str
    status: str = OPEN
    error: str | None = None
    payload: dict[str, Any] = field(default_factory=dict[str, Any])
    children: list[ActionView] = field(default_factory=list["ActionView"])
    llm_calls: list[LLMCallView] = field(default_factory=list[LLMCallView])
    duration_ms: int | None = field(default=None, repr=False)
    events: list[Event] = field(default_factory=list[Event], repr=False)
    parts: list[ActionView | LLMCallView | PlanView | _Note] = field(default_factory=list[Any], repr=False)

    def walk(self) -> Iterator[ActionView]:
        """Yield this action and all inside it, outermost first."""
        yield self
        for child in self.children:
            yield from child.walk()

    def lines(self) -> list[str]:
        """Return the lines of a tree."""
        return [f"action {self.name} [{self.status}]{_because(self.error)}", *_indented(self.parts)]


@dataclass(slots=True, eq=False)
class TaskView:
    """One execution of a task.

    Attributes:
        task_id: as the caller gave it.
        agent_id: who worked on it.
        status: "open", "success", "failure" or the caller's own word.
        error: ``ValueError: boom``, or None.
        payload: what the caller attached to the end.
        actions: outermost actions, in order of their start.
        llm_calls: all model calls of the task, also those inside actions.
        plan: the last plan, or None.
        project: project, or None.
        type: classification, or None.
        run_id: of this execution.
        duration_ms: milliseconds, once it has ended.
        events: all events of the task, in order.
    """

    task_id: str
    agent_id: str
    status: str = OPEN
    error: str | None = None
    payload: dict[str, Any] = field(default_factory=dict[str, Any])
    actions: list[ActionView] = field(default_factory=list[ActionView])
    llm_calls: list[LLMCallView] = field(default_factory=list[LLMCallView])
    plan: PlanView | None = None
    project: str | None = field(default=None, repr=False)
    type: str | None = field(default=None, repr=False)
    run_id: str = field(default="", repr=False)
    duration_ms: int | None = field(default=None, repr=False)
    events: list[Event] = field(default_factory=list[Event], repr=False)
    parts: list[ActionView | LLMCallView | PlanView | _Note] = field(default_factory=list[Any], repr=False)

    @property
    def cost(self) -> float:
        """US dollars spent on model calls."""
        return spent(self.llm_calls)

    def walk(self) -> Iterator[ActionView]:
        """Yield all actions of the task, outermost first."""
        for action in self.actions:
            yield from action.walk()

    def lines(self) -> list[str]:
        """Return the lines of a tree."""
        return [f"task {self.task_id} [{self.status}]{_because(self.error)}", *_indented(self.parts)]


@dataclass(slots=True, eq=False)
class AgentView:
    """One agent and what it did.

    Attributes:
        agent_id: its name.
        tasks: in order of their start.
        actions: outermost actions outside any task.
        llm_calls: model calls outside any task.
    """

    agent_id: str
    tasks: list[TaskView] = field(default_factory=list[TaskView])
    actions: list[ActionView] = field(default_factory=list[ActionView])
    llm_calls: list[LLMCallView] = field(default_factory=list[LLMCallView])
    parts: list[TaskView | ActionView | LLMCallView | PlanView | _Note] = field(
        default_factory=list[Any], repr=False
    )

    def lines(self) -> list[str]:
        """Return the lines of a tree."""
        return [f"agent {self.agent_id}", *_indented(self.parts)]


class Report:
    """Everything that a stream of events tells; made by `read`."""

    def __init__(self) -> None:
        self.agents: dict[str, AgentView] = {}
        self.llm_calls: list[LLMCallView] = []
        self.errors: list[Event] = []
        self._tasks: dict[tuple[str, str], TaskView] = {}
        self._actions: dict[str, ActionView] = {}

    @property
    def tasks(self) -> list[TaskView]:
        """All tasks in order of their start."""
        return list(self._tasks.values())

    @property
    def actions(self) -> list[ActionView]:
        """All actions in order of their start."""
        return list(self._actions.values())

    def lines(self) -> list[str]:
        """Return the lines of the tree."""
        return [line for agent in self.agents.values() for line in agent.lines()]

    # -- reading -------------------------------------------------------------------------------

    def add(self, event: Event) -> None:
        """Take in the next event."""
        agent = self.agents.setdefault(event.agent.agent_id, AgentView(event.agent.agent_id))
        task, action = self._task(agent, event), self._action(event)
        for holder in (task, action):
            if holder is not None:
                holder.events.append(event)
        if event.severity is Severity.ERROR:
            self.errors.append(event)
        match event.type:
            case EventType.AGENT_REGISTERED | EventType.HEARTBEAT | EventType.TASK_STARTED:
                pass
            case EventType.TASK_COMPLETED | EventType.TASK_FAILED if task is not None:
                _end(task, event)
            case EventType.ACTION_STARTED if action is None:
                self._start_action(agent, task, event)
            case EventType.ACTION_COMPLETED | EventType.ACTION_FAILED:
                _end(action or self._start_action(agent, task, event), event)
            case _:
                self._add_part(agent, task, action, event)

    def _task(self, agent: AgentView, event: Event) -> TaskView | None:
        info = event.task
        if info is None:
            return None
        key = (agent.agent_id, info.run_id)
        if key not in self._tasks:
            task = TaskView(
                info.task_id, agent.agent_id, project=info.project, type=info.type, run_id=info.run_id
            )
            self._tasks[key] = task
            agent.tasks.append(task)
            agent.parts.append(task)
        return self._tasks[key]

    def _action(self, event: Event) -> ActionView | None:
        return None if event.action is None else self._actions.get(event.action.action_id)

    def _start_action(self, agent: AgentView, task: TaskView | None, event: Event) -> ActionView:
        info = event.action
        action = ActionView(str(event.payload.get("action_name", "")), events=[event])
        parent = self._actions.get((info.parent_action_id if info else None) or "")
        if info is not None:
            self._actions[info.action_id] = action
        if parent is not None:
            parent.children.append(action)
        else:
            (task or agent).actions.append(action)
        (parent or task or agent).parts.append(action)
        return action

    def _add_part(
        self, agent: AgentView, task: TaskView | None, action: ActionView | None, event: Event
    ) -> None:
        holder = action or task or agent
        match event.kind:
            case "llm_call":
                call = _llm_call(event)
                self.llm_calls.append(call)
                for owner in (action, task) if action or task else (agent,):
                    if owner is not None:
                        owner.llm_calls.append(call)
                holder.parts.append(call)
            case "plan_created":
                plan = _plan(event)
                if task is not None:
                    task.plan = plan
                holder.parts.append(plan)
            case "plan_step" if task is not None and task.plan is not None:
                _advance(task.plan, event)
            case _:
                holder.parts.append(_Note(_told(event)))


def read(events: Iterable[Event]) -> Report:
    """Rebuild what happened from events in the order of the sensor calls."""
    report = Report()
    for event in events:
        report.add(event)
    return report


def spent(calls: Iterable[LLMCallView]) -> float:
    """Return the US dollars of some calls, to a billionth, so that a test may compare with ``==``."""
    return round(math.fsum(call.cost or 0 for call in calls), 9)


def dollars(usd: float) -> str:
    """Return ``$0.008``: six digits after the point at most."""
    return "$" + (f"{usd:.6f}".rstrip("0").rstrip(".") or "0")


def _end(scope: TaskView | ActionView, event: Event) -> None:
    scope.status = event.status or ("failure" if event.type in _FAILED else "success")
    scope.duration_ms = event.duration_ms
    kind, message = event.payload.get("exception_type"), event.payload.get("exception_message")
    scope.error = None if kind is None else f"{kind}: {message}" if message else str(kind)
    scope.payload = {key: value for key, value in event.payload.items() if key not in _OWN_KEYS}


def _llm_call(event: Event) -> LLMCallView:
    data = event.data
    return LLMCallView(
        str(data.get("name", "")),
        str(data.get("model", "")),
        _whole(data.get("tokens_in")),
        _whole(data.get("tokens_out")),
        number(data.get("cost")),
        _whole(data.get("duration_ms")),
        data.get("prompt_preview"),
        data.get("response_preview"),
        mapping_of(data.get("metadata")),
        event,
    )


def _whole(value: object) -> int | None:
    found = number(value)
    return None if found is None else round(found)


def _plan(event: Event) -> PlanView:
    data = event.data
    steps = [mapping_of(step).get("description", step) for step in list_of(data.get("steps"))]
    goal = str(data.get("goal", ""))
    return PlanView(goal, [PlanStepView(str(step)) for step in steps], _whole(data.get("revision")) or 0)


def _advance(plan: PlanView, event: Event) -> None:
    index = event.data.get("step_index")
    if isinstance(index, int) and 0 <= index < len(plan.steps):
        plan.steps[index].status = str(event.data.get("action", ""))


def _told(event: Event) -> str:
    """Return one line for an event that is none of the others."""
    what = event.kind if event.type is EventType.CUSTOM else event.type.value
    action = event.data.get("action")
    words = (what or "event", str(action) if isinstance(action, str) else "")
    head = " ".join(filter(None, words))
    return f"{head}: {event.summary}" if event.summary else head


def _because(error: str | None) -> str:
    return "" if error is None else f" {error}"


def _indented(parts: Iterable[TaskView | ActionView | LLMCallView | PlanView | _Note]) -> list[str]:
    return [f"  {line}" for part in parts for line in part.lines()]

"""Tell a stream of events as lines of a tree; knows nothing about terminals.

The story remembers what is open, so that it can indent what happens inside, and what a task has
used, so that its last line can sum it up. Both memories are bounded: in a process that never ends
its tasks the oldest are forgotten.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, TypeVar

from hiveloop.events import Event, EventType

from ._phrases import llm_call, outcome, phrase, plural, registered, steps_listed, tokens
from ._spans import Span, joined
from ._symbols import Symbols
from ._text import clean, duration, facts, list_of, mapping_of, money, number, shorten, text_of

__all__ = ["Line", "Story"]

MAX_OPEN = 10_000
"""Most agents, open tasks and open actions remembered, each."""
_MAX_DEPTH = 10
_BAR_CELLS = 10
_TAG_CELLS = 18
_STUCK_SECONDS = 300.0
_TOLD_OF_BEATS = frozenset(("hiveloop", "kind", "summary"))
_ENDS = (EventType.ACTION_COMPLETED, EventType.ACTION_FAILED)

_K = TypeVar("_K")
_V = TypeVar("_V")


class Line(NamedTuple):
    """One line: when, whose, and what."""

    time_ns: int
    agent_id: str
    spans: list[Span]


@dataclass(slots=True)
class _Agent:
    open_tasks: int = 0
    stuck_after: float = _STUCK_SECONDS
    stuck: bool = False


@dataclass(slots=True)
class _Task:
    agent_id: str
    llm_calls: int = 0
    tokens_in: float = 0
    tokens_out: float = 0
    cost: float = 0
    steps_done: set[int] = field(default_factory=set[int])


class Story:
    """The narrator of one stream of events, in the order of `tell`. Not thread-safe."""

    def __init__(self, symbols: Symbols, *, show_heartbeats: bool = False) -> None:
        self.symbols = symbols
        self._show_heartbeats = show_heartbeats
        self._agents: dict[str, _Agent] = {}
        self._tasks: dict[tuple[str, str], _Task] = {}
        self._depths: dict[str, int] = {}  # of open actions

    def tell(self, events: Sequence[Event]) -> list[Line]:
        """Return the lines of `events`; an action that ends right after its start takes a single one."""
        folded = set(_instant_actions(events))
        return [
            Line(event.time_ns, event.agent.agent_id, spans)
            for event in events
            for spans in self._lines(event, _action_id(event) in folded)
        ]

    def _lines(self, event: Event, folded: bool) -> list[list[Span]]:
        match event.type:
            case EventType.AGENT_REGISTERED:
                return [self._registered(event)]
            case EventType.HEARTBEAT:
                return self._heartbeat(event)
            case EventType.TASK_STARTED if event.task is not None:
                return [self._task_started(event, clean(event.task.task_id))]
            case EventType.TASK_COMPLETED | EventType.TASK_FAILED:
                return [self._task_ended(event)]
            case EventType.ACTION_STARTED:
                return [] if folded else [self._action_started(event)]
            case EventType.ACTION_COMPLETED | EventType.ACTION_FAILED:
                return [self._action_ended(event, folded)]
            case _:
                guides = self._inside(event)
                return [[*guides, *spans] for spans in self._told(event)]

    def _told(self, event: Event) -> list[list[Span]]:
        match event.kind:
            case "llm_call":
                return [self._llm_call(event)]
            case "plan_created":
                return self._plan(event)
            case "plan_step":
                return [self._plan_step(event)]
            case _:
                return [phrase(event, self.symbols)]

    # -- agents ----------------------------------------------------------------------------

    def _agent(self, event: Event) -> _Agent:
        agent_id = event.agent.agent_id
        known = self._agents.get(agent_id)
        return known or _remember(self._agents, agent_id, _Agent())

    def _registered(self, event: Event) -> list[Span]:
        self._agent(event).stuck_after = number(event.data.get("stuck_threshold")) or _STUCK_SECONDS
        return registered(event, self.symbols)

    def _heartbeat(self, event: Event) -> list[list[Span]]:
        progress = mapping_of(event.payload.get("hiveloop"))
        agent, idle = self._agent(event), number(progress.get("idle_seconds")) or 0.0
        lines = [self._beat(event, progress)] if self._show_heartbeats else []
        silent = idle >= agent.stuck_after and not _expected(event, progress)
        stuck = silent and bool(progress.get("open_task"))
        if stuck and not agent.stuck:
            lines.append(self._no_progress(progress, idle))
        agent.stuck = stuck
        return lines

    def _beat(self, event: Event, progress: dict[str, Any]) -> list[Span]:
        given = {key: value for key, value in event.payload.items() if key not in _TOLD_OF_BEATS}
        own = {key: value for key, value in progress.items() if not key.endswith(("_at", "_until"))}
        told = facts({**given, **own}, self.symbols.ellipsis)
        return joined(Span(f"{self.symbols.beat} heartbeat", "dim"), Span(told, "dim", flex=True))

    def _no_progress(self, progress: dict[str, Any], idle: float) -> list[Span]:
        where = [text_of(progress.get(key)) for key in ("open_task", "open_action")]
        return joined(
            Span(f"{self.symbols.caution} no progress for {duration(idle)}", "warn"),
            Span(f" {self.symbols.arrow} ".join(filter(None, where)), flex=True),
        )

    # -- tasks and actions -----------------------------------------------------------------

    def _task(self, event: Event) -> _Task | None:
        return self._tasks.get(_task_key(event))

    def _task_started(self, event: Event, name: str) -> list[Span]:
        if self._task(event) is None:
            self._agent(event).open_tasks += 1
            _remember(self._tasks, _task_key(event), _Task(event.agent.agent_id), self._closed)
        task = event.task
        about = [clean(word) for word in (task.project, task.type) if word] if task else []
        return [
            Span(f"{self.symbols.open} ", "guide"),
            *joined(Span(f"task {name}", "name"), Span(f" {self.symbols.dot} ".join(about), "dim")),
        ]

    def _task_ended(self, event: Event) -> list[Span]:
        task = self._tasks.pop(_task_key(event), None)
        if task is not None:
            self._closed(task)
        name = f"task {clean(event.task.task_id) if event.task else '?'}"
        totals = _totals(task) if task else []
        return [Span(f"{self.symbols.close} ", "guide"), *outcome(event, name, self.symbols, totals)]

    def _closed(self, task: _Task) -> None:
        agent = self._agents.get(task.agent_id)
        if agent is not None:
            agent.open_tasks = max(0, agent.open_tasks - 1)

    def _action_started(self, event: Event) -> list[Span]:
        depth = self._new_depth(event)
        if event.action is not None:
            _remember(self._depths, event.action.action_id, depth)
        corner = Span(f"{self.symbols.open} ", "guide")
        return [*self._guides(event, depth), corner, Span(_action_name(event), "name")]

    def _action_ended(self, event: Event, folded: bool) -> list[Span]:
        depth = self._depths.pop(_action_id(event), None)
        guides = self._guides(event, self._new_depth(event) if depth is None else depth)
        corner = [] if folded else [Span(f"{self.symbols.close} ", "guide")]
        return [*guides, *corner, *outcome(event, _action_name(event), self.symbols, [])]

    def _new_depth(self, event: Event) -> int:
        """Return how deep an action is: one below its parent, else one below its task."""
        parent = self._depths.get((event.action.parent_action_id if event.action else None) or "")
        return int(event.task is not None) if parent is None else parent + 1

    def _inside(self, event: Event) -> list[Span]:
        """Return the guides of an event that happened in a task or an action."""
        depth = self._depths.get(_action_id(event))
        return self._guides(event, int(event.task is not None) if depth is None else depth + 1)

    def _guides(self, event: Event, depth: int) -> list[Span]:
        guides = [Span(f"{self.symbols.bar} " * min(depth, _MAX_DEPTH), "guide")] if depth else []
        tag = self._tag(event)
        return [*guides, Span(f"{tag} ", "tag")] if tag else guides

    def _tag(self, event: Event) -> str:
        """Return the task's name where the reader could take the line for another task's."""
        if event.task is None:
            return ""
        if self._task(event) is not None and self._agent(event).open_tasks < 2:
            return ""
        return f"[{shorten(clean(event.task.task_id), _TAG_CELLS, self.symbols.ellipsis)}]"

    # -- models and plans ------------------------------------------------------------------

    def _llm_call(self, event: Event) -> list[Span]:
        task, data = self._task(event), event.data
        if task is not None:
            task.llm_calls += 1
            task.tokens_in += number(data.get("tokens_in")) or 0
            task.tokens_out += number(data.get("tokens_out")) or 0
            task.cost += number(data.get("cost")) or 0
        return llm_call(event, self.symbols)

    def _plan(self, event: Event) -> list[list[Span]]:
        data, task = event.data, self._task(event)
        steps = list_of(data.get("steps"))
        if task is not None:
            task.steps_done = set()
        revision = number(data.get("revision")) or 0
        title = joined(
            Span(f"{self.symbols.plan} plan", "plan"),
            Span(text_of(data.get("goal")) or clean(event.summary or ""), "name", flex=True),
            Span(plural(len(steps), "step"), "dim"),
            Span(f"revision {revision:.0f}" if revision else "", "warn"),
        )
        return [title, *steps_listed(steps, self.symbols)]

    def _plan_step(self, event: Event) -> list[Span]:
        data, marks = event.data, self.symbols
        index, action = int(number(data.get("step_index")) or 0), text_of(data.get("action"))
        total = int(number(data.get("total_steps")) or 0)
        mark, style = {
            "started": (marks.step, "plan"),
            "completed": (marks.done, "ok"),
            "failed": (marks.failed, "fail"),
        }.get(action, (marks.other, "dim"))
        said = (event.summary or "").removeprefix(f"Step {index} {action}: ")
        return joined(
            Span(f"{mark} step {index + 1}{f'/{total}' if total else ''}", style),
            Span("" if action in ("started", "completed", "failed") else action, style),
            Span(clean(said), flex=True),
            Span("" if action == "started" else self._progress(event, index, action, total), "plan"),
            Span(_effort(data, marks), "dim"),
        )

    def _progress(self, event: Event, index: int, action: str, total: int) -> str:
        """Return a bar of the steps that are done."""
        task = self._task(event)
        if task is None or total <= 0:
            return ""
        if action != "failed" and 0 <= index < min(total, MAX_OPEN):
            task.steps_done.add(index)
        width = min(total, _BAR_CELLS)
        filled = width * min(len(task.steps_done), total) // total
        return self.symbols.filled * filled + self.symbols.empty * (width - filled)


def _remember(memory: dict[_K, _V], key: _K, value: _V, forgotten: Callable[[_V], None] | None = None) -> _V:
    if len(memory) >= MAX_OPEN:
        oldest = memory.pop(next(iter(memory)))
        if forgotten is not None:
            forgotten(oldest)
    memory[key] = value
    return value


def _task_key(event: Event) -> tuple[str, str]:
    return event.agent.agent_id, event.task.run_id if event.task is not None else ""


def _action_id(event: Event) -> str:
    return event.action.action_id if event.action is not None else ""


def _action_name(event: Event) -> str:
    return text_of(event.payload.get("action_name")) or "action"


def _instant_actions(events: Sequence[Event]) -> Iterable[str]:
    """Find the actions whose end directly follows their start among the events of their agent."""
    last: dict[str, Event] = {}
    for event in events:
        before = last.get(event.agent.agent_id, event)
        last[event.agent.agent_id] = event
        if (before.type, before.action) == (EventType.ACTION_STARTED, event.action) and event.type in _ENDS:
            yield _action_id(event)


def _totals(task: _Task) -> list[Span]:
    if not task.llm_calls:
        return []
    used = tokens(task.tokens_in, task.tokens_out) if task.tokens_in or task.tokens_out else ""
    cost = money(task.cost) if task.cost else ""
    return [Span(plural(task.llm_calls, "LLM call"), "llm"), Span(used, "dim"), Span(cost, "cost")]


def _effort(data: dict[str, Any], marks: Symbols) -> str:
    turns, used = number(data.get("turns")), number(data.get("tokens"))
    parts = ("" if turns is None else plural(turns, "turn"), "" if used is None else plural(used, "token"))
    return f" {marks.dot} ".join(filter(None, parts))


def _expected(event: Event, progress: dict[str, Any]) -> bool:
    """Tell whether the agent announced that it would be silent for longer."""
    until = progress.get("expecting_until")
    try:
        return isinstance(until, str) and datetime.fromisoformat(until).timestamp() > event.time_ns / 1e9
    except (ValueError, OverflowError, OSError):
        return False

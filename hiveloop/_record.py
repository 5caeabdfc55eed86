"""From the small record a sensor leaves behind to what transports see.

A record is a tuple, since nothing in Python is cheaper to make:

    (build, number, time_ns, source, arguments)

`build` is a function of `payloads`, `number` becomes the event id, `source` is the agent, task or
action the sensor was called on, and the arguments are frozen. They are None for what starts or ends a
scope: `build` then takes the source instead. A lane keeps these five values and not the tuple.

Everything else about an event is worked out here, on a delivery thread: as an `Event`, or as JSON for a
transport that wants nothing but that.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from . import _wire
from ._ids import id_text
from ._redact import PAYLOAD_LIMIT, SURELY_SMALL, trimmed
from .events import ActionInfo, AgentInfo, Event, EventType, Severity, TaskInfo
from .payloads import Draft
from .transport import Batch, JsonBatch

if TYPE_CHECKING:
    from ._redact import Privacy

__all__ = ["WIDTH", "Builder", "EventBuilder", "Handle", "JsonBuilder", "Record", "Source"]

WIDTH = 5
"""Values of a record."""

Item = TypeVar("Item")
Scope = TypeVar("Scope")
_Who = tuple[AgentInfo, TaskInfo | None, ActionInfo | None]

Maker = Callable[[str, int, EventType, Severity, Scope, str | None, int | None, str | None, str], Item]
"""Makes an item of the parts of an event: id, time, type, severity, scope, status, duration in milliseconds,
parent event id and payload. They mean what they do in `Event`; the scope is the builder's own."""

_INFO, _TASK_STARTED, _ACTION_STARTED = Severity.INFO, EventType.TASK_STARTED, EventType.ACTION_STARTED

_FRAME_BYTES = 330
"""Typical JSON around a payload: ids, time, type, task."""


class Handle(Protocol):
    """The handle of an agent."""

    info: AgentInfo


class Source(Protocol):
    """What a record was made on: an agent, a task or an action."""

    @property
    def agent(self) -> Handle:
        """The agent's handle, by identity."""
        ...

    def describe(self, privacy: Privacy) -> _Who:
        """Return who, in which task and action; cached by the source."""
        ...

    def scope_json(self, privacy: Privacy) -> str:
        """Return the members of an event that tell its task and action; see `_wire.scope_text`."""
        ...


Record = tuple[Callable[..., Draft], int, int, Source, tuple[Any, ...] | None]


class Builder(ABC, Generic[Item, Scope]):
    """Builds what a lane sends under one privacy configuration; several delivery threads may share it.

    Subclasses say what an item is. They are asked for its scope once in a row of records made on the
    same source.
    """

    def __init__(self, privacy: Privacy, item: Maker[Scope, Item]) -> None:
        self.privacy = privacy
        self._item = item

    def build(self, records: Iterable[Record]) -> list[Item]:
        """Build the items of records.

        Raises:
            Exception: one of them is beyond repair; the engine finds it and drops it as ``encode_error``.
        """
        privacy, item, masks = self.privacy, self._item, self.privacy.masks
        items: list[Item] = []
        last: Source | None = None
        scope: Any = None
        for make, number, time_ns, source, arguments in records:
            draft = make(privacy, source) if arguments is None else make(privacy, *arguments)
            type_, payload, severity, status, duration_ns, parent = draft
            if masks or len(payload) > SURELY_SMALL:
                payload = privacy.finished(payload)
            if source is not last:
                scope, last = self.scope(source), source
            duration_ms = None if duration_ns is None else max(0, duration_ns // 1_000_000)
            items.append(
                item(id_text(number), time_ns, type_, severity, scope, status, duration_ms, parent, payload)
            )
        return items

    @abstractmethod
    def scope(self, source: Source) -> Scope:
        """Return what the maker of items is told of agent, task and action."""

    @abstractmethod
    def sizes(self, items: list[Item]) -> list[int]:
        """Return how many bytes each item takes, more or less."""

    @abstractmethod
    def event_id(self, item: Item) -> str:
        """Return the id that a receiver names an item by."""

    @abstractmethod
    def trimmed(self, item: Item) -> Item:
        """Return the item with its payload cut to a quarter, for a receiver that finds it too large."""

    @abstractmethod
    def batch(self, items: tuple[Item, ...], agent: Handle, backlog: int) -> Batch | JsonBatch:
        """Put items together; `agent` is the one of the first."""


class EventBuilder(Builder[Event, _Who]):
    """Builds `Event` objects."""

    def __init__(self, privacy: Privacy) -> None:
        super().__init__(privacy, _event)

    def scope(self, source: Source) -> _Who:
        """Return the three as objects."""
        return source.describe(self.privacy)

    def sizes(self, items: list[Event]) -> list[int]:
        """Return the events' own estimates."""
        return [item.size for item in items]

    def event_id(self, item: Event) -> str:
        """Return the event's id."""
        return item.event_id

    def trimmed(self, item: Event) -> Event:
        """Cut the event's payload."""
        payload = _smaller(item.payload_json)
        return item._replace(payload_json=payload, size=len(payload) + _FRAME_BYTES)

    def batch(self, items: tuple[Event, ...], agent: Handle, backlog: int) -> Batch:
        """Return a batch of events, which know their agents."""
        return Batch(items, backlog)

    def started(self, record: Record) -> Event:
        """Build the start event of a scope for hooks, on the agent's thread: ids and time, no payload.

        Payloads pass the user's mask, which runs on delivery threads only.
        """
        agent, task, action = record[3].describe(self.privacy)
        if action is None:
            return Event(id_text(record[1]), record[2], _TASK_STARTED, _INFO, agent, task)
        # An action and the event that starts it share their number.
        return Event(action.action_id, record[2], _ACTION_STARTED, _INFO, agent, task, action)


class JsonBuilder(Builder[bytes, str]):
    """Builds events in JSON for a transport that `TakesJson`."""

    def __init__(self, privacy: Privacy) -> None:
        super().__init__(privacy, _wire.encode)

    def scope(self, source: Source) -> str:
        """Return the members for task and action; the agent is the batch's."""
        return source.scope_json(self.privacy)

    def sizes(self, items: list[bytes]) -> list[int]:
        """Return the bytes."""
        return list(map(len, items))

    def event_id(self, item: bytes) -> str:
        """Read the id."""
        return _wire.event_id(item)

    def trimmed(self, item: bytes) -> bytes:
        """Cut the payload within the JSON."""
        return _wire.with_payload(item, _smaller)

    def batch(self, items: tuple[bytes, ...], agent: Handle, backlog: int) -> JsonBatch:
        """Return a batch with the agent's present metadata."""
        return JsonBatch(agent.info, items, backlog)


def _event(
    event_id: str,
    time_ns: int,
    type_: EventType,
    severity: Severity,
    scope: _Who,
    status: str | None,
    duration_ms: int | None,
    parent: str | None,
    payload: str,
) -> Event:
    size = len(payload) + _FRAME_BYTES
    return Event(event_id, time_ns, type_, severity, *scope, status, duration_ms, parent, payload, size)


def _smaller(payload: str) -> str:
    return trimmed(payload, min(len(payload) + _FRAME_BYTES, PAYLOAD_LIMIT) // 4)

"""The live stream: what was stored a moment ago, to every page and terminal that listens.

One hub keeps the newest events in memory. Each listener has a bounded queue; who reads too slowly is told to
read everything anew (``resync``) and costs the others nothing. Everything here runs on the event loop.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from hiveloop._shape import is_dict, is_list

from .model import StoredEvent
from .queries._happenings import shown_event
from .queries._values import Payload

__all__ = ["CHANNELS", "Filters", "Hub", "Listener", "Published", "as_row"]

CHANNELS = ("events", "agents")
RING = 10_000
"""Events kept to resume from, if they take no more than `RING_BYTES`."""
RING_BYTES = 32 * 1_048_576
MOST_WAITING = 5_000
"""Messages one listener may be behind, if they take no more than `WAITING_BYTES`."""
WAITING_BYTES = 8 * 1_048_576
MOST_IN_BATCH = 500
_BATCH_BYTES = 1_048_576
_ENVELOPE_BYTES = 700
_LEVELS = {"debug": 0, "info": 1, "warn": 2, "error": 3}
_MOST_NAMES = 200


class Published:
    """A stored event on its way to listeners.

    Attributes:
        event: the event.
        size: about the bytes it takes.
    """

    __slots__ = ("_text", "event", "size")

    def __init__(self, event: StoredEvent) -> None:
        self.event = event
        self.size = len(event.payload) + _ENVELOPE_BYTES
        self._text: msgspec.Raw | None = None

    @property
    def text(self) -> msgspec.Raw:
        """The event in JSON: made when the first listener wants it, then the same for all."""
        if self._text is None:
            shown = shown_event(as_row(self.event), _UNREAD)
            shown["payload"] = msgspec.Raw(self.event.payload.encode())  # JSON already
            self._text = msgspec.Raw(_encode(shown))
        return self._text


def as_row(event: StoredEvent) -> dict[str, Any]:
    """Return an event as a row of the table of events, as far as listeners see it."""
    row = {name: getattr(event, name) for name in event.__struct_fields__}
    row["grp"] = row.pop("group")
    return row


class Filters(NamedTuple):
    """What a listener wants to see; None for everything."""

    project_id: str | None = None
    environment: str | None = None
    group: str | None = None
    agent_id: str | None = None
    event_types: frozenset[str] | None = None
    min_severity: int = 0

    @classmethod
    def of(cls, given: object) -> Filters:
        """Read what a client sent; what is not understood does not filter."""
        told: dict[str, Any] = given if is_dict(given) else {}
        names = ("project_id", "environment", "group", "agent_id")
        words = {name: value for name in names if isinstance(value := told.get(name), str) and value}
        types = told.get("event_types")
        wanted = frozenset(map(str, types[:_MOST_NAMES])) if is_list(types) and types else None
        level = _LEVELS.get(str(told.get("min_severity")), 0)
        return cls(**words, event_types=wanted, min_severity=level)

    def shown(self) -> dict[str, Any]:
        """Return the filters as the client named them."""
        told = {name: value for name, value in self._asdict().items() if value}
        if self.event_types is not None:
            told["event_types"] = sorted(self.event_types)
        if self.min_severity:
            told["min_severity"] = next(word for word, n in _LEVELS.items() if n == self.min_severity)
        return told

    def take(self, event: StoredEvent) -> bool:
        """Tell whether an event is wanted."""
        return (
            self.project_id in (None, event.project)
            and self.environment in (None, event.environment)
            and self.group in (None, event.group)
            and self.agent_id in (None, event.agent_id)
            and (self.event_types is None or event.event_type in self.event_types)
            and _LEVELS.get(event.severity, 1) >= self.min_severity
        )


class Listener:
    """One socket that listens.

    Attributes:
        world: the only one whose events it gets.
        version: 1 for a message per event, 2 for batches with sequence numbers.
        channels: what it subscribed to.
        filters: which events of that.
    """

    def __init__(self, world: str) -> None:
        self.world = world
        self.version = 1
        self.channels: frozenset[str] = frozenset()
        self.filters = Filters()
        self._events: deque[Published] = deque()
        self._bytes = 0
        self._notices: deque[Mapping[str, Any]] = deque()
        self._reached = 0
        self._lost = False
        self._news = asyncio.Event()

    def hear(self, published: Sequence[Published], seq: int) -> None:
        """Queue events that were stored; `seq` is the newest of them, wanted or not."""
        if "events" not in self.channels:
            return
        wanted = [one for one in published if one.event.world == self.world and self.filters.take(one.event)]
        size = sum(one.size for one in wanted)
        if len(self._events) + len(wanted) > MOST_WAITING or self._bytes + size > WAITING_BYTES:
            self._events.clear()
            self._bytes = 0
            self._lost = True
        elif not self._lost:
            self._events.extend(wanted)
            self._bytes += size
        self._reached = max(self._reached, seq)
        if wanted:
            self._news.set()

    def notify(self, notice: Mapping[str, Any]) -> None:
        """Queue a message about an agent."""
        if "agents" in self.channels and len(self._notices) < MOST_WAITING:
            self._notices.append(notice)
            self._news.set()

    def tell(self, message: Mapping[str, Any]) -> None:
        """Queue an answer, whatever the channels are."""
        if len(self._notices) < MOST_WAITING:
            self._notices.append(message)
            self._news.set()

    def require_resync(self, seq: int) -> None:
        """Have the client read everything anew, up to an event and on from there."""
        self._lost = True
        self._reached = max(self._reached, seq)
        self._news.set()

    async def news(self) -> None:
        """Wait until there is something to send."""
        await self._news.wait()

    @property
    def has_notices(self) -> bool:
        """Whether something waits that should not wait for company."""
        return bool(self._notices)

    def take(self) -> list[Mapping[str, Any]]:
        """Return what is to be sent next, in order, and forget it; more may wait."""
        self._news.clear()
        messages = [*self._notices]
        self._notices.clear()
        if self._lost:
            self._lost = False
            self._events.clear()
            self._bytes = 0
            return [*messages, {"type": "resync", "seq": self._reached}]
        events = self._next_batch()
        if self._events:
            self._news.set()
        if self.version == 1 or not events:
            return [*messages, *({"type": "event.new", "data": one.text} for one in events)]
        # The last one tells how far the stream is, past events that the filters left out.
        seq = events[-1].event.seq if self._events else self._reached
        return [*messages, {"type": "event.batch", "seq": seq, "events": [one.text for one in events]}]

    def _next_batch(self) -> list[Published]:
        """Not all that waits: what was taken is no longer bounded, and the socket may be stuck."""
        taken, size = list[Published](), 0
        while self._events and len(taken) < MOST_IN_BATCH and size < _BATCH_BYTES:
            one = self._events.popleft()
            taken.append(one)
            size += one.size
        self._bytes -= size
        return taken


class Hub:
    """Passes on what was stored."""

    def __init__(self) -> None:
        self._seq = self._oldest = 0
        self._ring: deque[Published] = deque()
        self._bytes = 0
        self._listeners: set[Listener] = set()

    @property
    def seq(self) -> int:
        """Number of the newest event."""
        return self._seq

    @property
    def listeners(self) -> int:
        """How many listen."""
        return len(self._listeners)

    def start_at(self, seq: int) -> None:
        """Say which event was the newest before there was a hub."""
        self._seq = self._oldest = seq

    def publish(self, events: Iterable[StoredEvent]) -> None:
        """Pass on events that were stored, in the order of their numbers."""
        published = [Published(event) for event in events]
        if not published:
            return
        self._seq = max(self._seq, published[-1].event.seq)
        self._ring.extend(published)
        self._bytes += sum(one.size for one in published)
        while len(self._ring) > RING or self._bytes > RING_BYTES:
            gone = self._ring.popleft()
            self._bytes -= gone.size
            self._oldest = gone.event.seq
        for listener in self._listeners:
            listener.hear(published, self._seq)

    def notify(self, world: str, notice: Mapping[str, Any]) -> None:
        """Pass on a message about an agent."""
        for listener in self._listeners:
            if listener.world == world:
                listener.notify(notice)

    def add(self, listener: Listener) -> None:
        """Let a listener hear what is stored from now on."""
        self._listeners.add(listener)

    def remove(self, listener: Listener) -> None:
        """Forget a listener."""
        self._listeners.discard(listener)

    def resume(self, listener: Listener, since_seq: int) -> None:
        """Give a listener what it missed after an event; or have it read everything anew."""
        if since_seq == self._seq:
            return
        # More than there is: a number of another board, or of one that was wiped.
        if since_seq > self._seq or since_seq < self._oldest:
            listener.require_resync(self._seq)
            return
        missed = [one for one in self._ring if one.event.seq > since_seq]
        listener.hear(missed, self._seq)


_encode = msgspec.json.Encoder().encode
_UNREAD = Payload(None)

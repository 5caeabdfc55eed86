"""What the rest of the board may expect of a store."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from typing import Protocol

import msgspec

from hiveloop.board.model import NewEvent, StoredEvent

__all__ = [
    "Appended",
    "Pruned",
    "Reader",
    "Row",
    "Statement",
    "Store",
    "StoreClosedError",
    "StoreError",
    "StoreFullError",
    "Value",
]

Value = str | int | float | None
"""What a column holds and what a statement takes."""
Row = dict[str, Value]
Statement = tuple[str, Sequence[Value]]
"""SQL in the common subset, and one value per ``?``."""


class StoreError(Exception):
    """The store could not do what was asked; nothing of it was kept."""


class StoreFullError(StoreError):
    """No space is left for the database. Appends work again as soon as there is some."""


class StoreClosedError(StoreError):
    """The store was closed."""


class Appended(msgspec.Struct, frozen=True):
    """What became of the events of one append."""

    world: str
    events: Sequence[NewEvent]
    """Those that were given."""
    seqs: list[int]
    """Number of each; 0 when it was stored already, or given twice."""
    new_projects: list[str]
    """Slugs seen for the first time in their world."""

    @property
    def new(self) -> list[StoredEvent]:
        """The events that were not stored before, in the order they were given; made at each call."""
        return [
            StoredEvent(seq=seq, world=self.world, **msgspec.structs.asdict(event))
            for seq, event in zip(self.seqs, self.events, strict=True)
            if seq
        ]

    @property
    def duplicates(self) -> int:
        """How many were stored already, or given twice."""
        return self.seqs.count(0)


class Pruned(msgspec.Struct, frozen=True):
    """What a round of retention removed."""

    events: int
    """Events past their age or past the size limit."""
    heartbeats: int
    """Heartbeats removed because one in five minutes is enough for the past."""


class Reader(Protocol):
    """A read-only look at one consistent state of the store."""

    def rows(self, sql: str, args: Sequence[Value] = ()) -> list[Row]:
        """Run one SELECT.

        Args:
            sql: the statement in the common subset of SQLite and PostgreSQL: ``?`` for arguments (no ``?``
                in literals), ``CASE`` instead of scalar ``min``/``max``, ``CAST``, ``COALESCE``,
                ``LIKE ... ESCAPE`` in any case. Integers are 64 bits; division of integers truncates in both.
            args: one value per ``?``.
        """
        ...


class Store(Protocol):
    """Keeps events for good, and folded tables of them in step."""

    def append(
        self, world: str, events: Sequence[NewEvent], also: Sequence[Statement] = ()
    ) -> Future[Appended]:
        """Store events; any thread. The future is resolved when they are safe on disk.

        What `also` says is done in the same transaction, for tables of the caller's own.

        It fails with `StoreFullError` when no space is left, with `StoreClosedError` after `close`, and
        with `StoreError` for any other refusal of the database; nothing of the append is kept then.
        """
        ...

    def reader(self) -> AbstractContextManager[Reader]:
        """Lend a reader to the calling thread; every statement in the block sees the same state.

        At most eight are lent at a time; more callers wait.
        """
        ...

    def manage(self, sql: str, args: Sequence[Value] = ()) -> Future[int]:
        """Run one statement on a managed table (keys, prices, projects, meta); resolves to rows changed.

        In the same common subset as `Reader.rows`, with ``INSERT ... ON CONFLICT``. Prices apply to events
        stored afterwards, and soon to all: estimates of before follow in steps between appends.
        """
        ...

    def rebuild(self) -> Future[int]:
        """Fold all stored events again, between two appends; resolves to their number."""
        ...

    def prune(self, now_us: int) -> Future[Pruned]:
        """Apply retention as of `now_us`; long work is done in steps, with appends in between."""
        ...

    def size_bytes(self) -> int:
        """Return the space the database takes."""
        ...

    def close(self) -> None:
        """Finish the appends that wait, then release everything. Safe to call twice."""
        ...

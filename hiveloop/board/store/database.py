"""What the writing side needs of a database: SQLite's and PostgreSQL's connections, seen alike."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from .protocol import StoreError
from .statements import Dialect

__all__ = ["Database"]


class Database(Protocol):
    """A connection that writes, used by one thread. Statements as for `Reader.rows`."""

    dialect: Dialect
    errors: tuple[type[Exception], ...]
    """What its calls raise."""

    def begin(self) -> None:
        """Begin a transaction that excludes other writers, of other processes too."""
        ...

    def commit(self) -> None:
        """Make the transaction durable."""
        ...

    def rollback(self) -> None:
        """Undo the transaction, if there is one; never raises what is in `errors`."""
        ...

    def rows(self, sql: str, args: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run a SELECT."""
        ...

    def run(self, sql: str, args: Sequence[Any] = ()) -> int:
        """Run a statement and return how many rows it changed."""
        ...

    def many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run a statement for every row of arguments."""
        ...

    def columns(self, table: str) -> list[str]:
        """Return the names of a table's columns but for computed ones; none when there is no such table."""
        ...

    def announce(self, after_seq: int, last_seq: int) -> None:
        """Tell other processes, when the transaction commits, of events after one number up to another."""
        ...

    def others_wrote(self) -> bool:
        """Tell whether another connection may have written since this one's last transaction."""
        ...

    def outdate(self) -> None:
        """Have all processes find in their next transaction that `others_wrote`."""
        ...

    def explain(self, error: Exception) -> StoreError:
        """Return what to tell about one of `errors`."""
        ...

    def size_bytes(self) -> int:
        """Return the space in use, which falls when events are removed."""
        ...

    def close(self) -> None:
        """Release the connection."""
        ...

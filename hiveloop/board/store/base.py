"""What the stores have in common: one writer, a pool of readers, retention."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager

from hiveloop.board.model import NewEvent

from .database import Database
from .ledger import Ledger
from .migration import Tell, open_tables
from .protocol import Appended, Pruned, Reader, Statement, Store, StoreError, Value
from .pruning import prune
from .readers import PooledReader, ReaderPool
from .rebuild import rebuild
from .repricing import reprice
from .retention import Retention
from .writer import Writer

__all__ = ["BaseStore", "prepare"]


class BaseStore(Store):
    """A store whose tables are ready.

    Args:
        db: the writing connection, used by the store alone from now on.
        open_reader: opens a reading connection, which raises what `db` raises.
        retention: how much `prune` leaves; unless given, what `Retention` says.
        most_names: how many models, tools and calls of a day rollups tell apart.
    """

    def __init__(
        self,
        db: Database,
        open_reader: Callable[[], PooledReader],
        retention: Retention | None,
        most_names: int,
    ) -> None:
        self._retention = retention or Retention()
        self._writer = Writer(db, most_names)
        reprice(self._writer)
        self._readers = ReaderPool(open_reader, db.errors)

    def append(
        self, world: str, events: Sequence[NewEvent], also: Sequence[Statement] = ()
    ) -> Future[Appended]:
        return self._writer.append(world, events, also)

    def reader(self) -> AbstractContextManager[Reader]:
        return self._readers.lend()

    def manage(self, sql: str, args: Sequence[Value] = ()) -> Future[int]:
        done = self._change(lambda ledger: ledger.db.run(sql, args))
        reprice(self._writer)
        return done

    def rebuild(self) -> Future[int]:
        return self._change(rebuild)

    def prune(self, now_us: int) -> Future[Pruned]:
        return prune(self._writer, self._retention, now_us)

    def close(self) -> None:
        self._writer.close()
        self._readers.close()

    def _change(self, work: Callable[[Ledger], int]) -> Future[int]:
        """Queue work that leaves nothing of what boards remember of the tables."""

        def change(ledger: Ledger) -> int:
            ledger.db.outdate()
            return work(ledger)

        return self._writer.call(change, forgets=True)


def prepare(db: Database, tell: Tell) -> None:
    """Make or bring up to date the tables of a connection that was just opened.

    Raises:
        StoreError: they are of a newer board; the connection is closed then.
    """
    db.begin()
    try:
        open_tables(Ledger(db), not db.columns("meta"), tell)
    except StoreError:
        db.close()
        raise
    db.commit()

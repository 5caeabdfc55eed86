"""The store in PostgreSQL: for boards that grow past one machine.

Several boards may share a database. Writers take turns by an advisory lock, so that folds need no other
and event numbers become visible in their order; each transaction tells the other boards what it stored.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any

import psycopg
from psycopg.abc import Buffer
from psycopg.adapt import Loader
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import dict_row, tuple_row

from hiveloop._guard import logger
from hiveloop.board.model import Profile, StoredEvent

from .base import BaseStore, prepare
from .ledger import event_of
from .migration import Tell
from .names import MOST_NAMES
from .protocol import Reader, Row, StoreError, StoreFullError, Value
from .retention import Retention
from .statements import Dialect

__all__ = ["PostgresStore", "is_address"]

_CHANNEL = "hiveloop_board"
_LOCK = 0x686976656C6F6F70
"""Number of the advisory lock: "hiveloop" in ASCII."""
_DISK_FULL = "53100"
_LISTEN_SECONDS = 0.5
_AGAIN_SECONDS = 1.0
_MOST_OWN = 4_096
_SAMPLED_PAGES = 1_000
_ROW_BYTES = 8
"""Of a row in its page, beside what it tells as its size."""
_EVENT_SIZES = (
    "SELECT pg_relation_size('events') / current_setting('block_size')::bigint, pg_table_size('events'), "
    "pg_total_relation_size('events')"
)
_SIZE = (
    "SELECT SUM(pg_total_relation_size(oid)) AS n FROM pg_class "
    "WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace"
)


@lru_cache(maxsize=1024)
def _translated(sql: str) -> bytes:
    """The statement with the driver's placeholders, and a LIKE that is as blind to case as SQLite's.

    As bytes, since the driver takes literal text only.
    """
    return sql.replace(" LIKE ", " ILIKE ").replace("%", "%%").replace("?", "%s").encode()


class _Numeric(Loader):
    """Sums of integers come as NUMERIC: they are integers here, too."""

    def load(self, data: Buffer) -> int | float:
        text = bytes(data).decode()
        return int(text) if text.lstrip("-").isdigit() else float(text)


def is_address(url: str) -> bool:
    """Tell whether an address can be read; what is wrong with it might hold the password."""
    try:
        conninfo_to_dict(url)
    except psycopg.Error:
        return False
    return True


def _connected(url: str) -> psycopg.Connection[tuple[Any, ...]]:
    connection = psycopg.connect(
        url, autocommit=True, row_factory=tuple_row, application_name="hiveloop board"
    )
    connection.adapters.register_loader("numeric", _Numeric)
    return connection


class _Connection:
    """The writing connection, made again after the server was away."""

    dialect: Dialect = "postgres"
    errors: tuple[type[Exception], ...] = (psycopg.Error,)

    def __init__(self, url: str) -> None:
        self._url = url
        self._db = _connected(url)
        self._told: tuple[int, int] | None = None
        self.own: deque[tuple[int, int]] = deque(maxlen=_MOST_OWN)
        """Ranges of numbers that this board stored last."""

    def begin(self) -> None:
        self._told = None
        if self._db.closed:
            self._db = _connected(self._url)
        self._db.execute("BEGIN")
        self._db.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))

    def commit(self) -> None:
        self._db.execute("COMMIT")

    def rollback(self) -> None:
        if self._told is not None and self._told in self.own:
            self.own.remove(self._told)
        with suppress(psycopg.Error):  # a lost connection has rolled back, and is made again
            if not self._db.closed:
                self._db.execute("ROLLBACK")

    def rows(self, sql: str, args: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return self._db.execute(_translated(sql), args).fetchall()

    def run(self, sql: str, args: Sequence[Any] = ()) -> int:
        return self._db.execute(_translated(sql), args).rowcount

    def many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        with self._db.cursor() as cursor:
            cursor.executemany(_translated(sql), rows)

    def columns(self, table: str) -> list[str]:
        sql = (
            "SELECT column_name FROM information_schema.columns WHERE table_schema = current_schema() "
            "AND table_name = ? AND is_generated = 'NEVER' ORDER BY ordinal_position"
        )
        return [str(row[0]) for row in self.rows(sql, (table,))]

    def announce(self, after_seq: int, last_seq: int) -> None:
        self._told = (after_seq, last_seq)
        self.own.append(self._told)  # before the commit: its notice may be here before the commit returns
        self._db.execute("SELECT pg_notify(%s, %s)", (_CHANNEL, f"{after_seq} {last_seq}"))

    def others_wrote(self) -> bool:
        """Caches outlive a transaction only while no other board writes: each leaves its mark."""
        me = f"{self._db.info.backend_pid} {id(self)}"
        found = self.rows("SELECT value FROM meta WHERE name = 'last_writer'")
        if found and found[0][0] == me:
            return False
        self._leave(me)
        return True

    def outdate(self) -> None:
        self._leave("")

    def _leave(self, mark: str) -> None:
        self.run(
            "INSERT INTO meta (name, value) VALUES ('last_writer', ?) "
            "ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            (mark,),
        )

    def explain(self, error: Exception) -> StoreError:
        if getattr(error, "sqlstate", None) == _DISK_FULL:
            return StoreFullError(f"no space left for the database: {error}")
        return StoreError(f"PostgreSQL: {error}")

    def size_bytes(self) -> int:
        """Return what the events and their indexes would take without the room that removed ones left.

        Deleting makes no file smaller here, so some pages are looked at, and the rows in them are counted.
        """
        pages, table, total = self.rows(_EVENT_SIZES)[0]
        percent = min(100.0, 100.0 * _SAMPLED_PAGES / max(1, pages))
        # Literal: numbers of ours, which the driver cannot pass to this clause.
        rows = f"events e TABLESAMPLE SYSTEM ({percent:.4f}) REPEATABLE (1)"
        found = self.rows(f"SELECT COALESCE(SUM(pg_column_size(e.*) + {_ROW_BYTES}), 0) FROM {rows}")
        return int(found[0][0] * 100 / percent * total / max(1, table))

    def close(self) -> None:
        self._db.close()


class _Reader:
    """A reading connection; each use is one snapshot."""

    def __init__(self, url: str) -> None:
        self._db = _connected(url)

    def rows(self, sql: str, args: Sequence[Value] = ()) -> list[Row]:
        with self._db.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(_translated(sql), args).fetchall()

    def begin(self) -> None:
        self._db.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")

    def end(self) -> bool:
        with suppress(psycopg.Error):
            if not self._db.closed:
                self._db.execute("ROLLBACK")
                return True
        return False

    def close(self) -> None:
        self._db.close()


class PostgresStore(BaseStore):
    """Events and tables in a PostgreSQL database, shared by any number of boards.

    Retention by size looks at the events alone: the other tables are small beside them.

    Args:
        url: ``postgresql://user:password@host/database``; libpq's environment variables count, too.
        retention: how much `prune` leaves.
        most_names: how many models, tools and calls of a day rollups tell apart; the same for all boards.
        tell: hears what is done to the database of an older board, line by line.

    Raises:
        StoreError: the database cannot be reached or used, or is one of a newer board.
    """

    def __init__(
        self,
        url: str,
        *,
        retention: Retention | None = None,
        most_names: int = MOST_NAMES,
        tell: Tell = logger.warning,
    ) -> None:
        self._url = url
        self._connection = _prepared(url, tell)
        super().__init__(self._connection, lambda: _Reader(url), retention, most_names)
        self._stopping = threading.Event()
        self._listener: threading.Thread | None = None
        self._known = 0

    def size_bytes(self) -> int:
        with self.reader() as reader:
            found = reader.rows(_SIZE)[0]["n"]
        return found if isinstance(found, int) else 0

    def follow(self, heard: Callable[[list[StoredEvent]], None], after_seq: int) -> None:
        """Have `heard` called with what other boards store, in order, on a thread of the store's own.

        After an interruption of the connection it hears what was missed meanwhile.

        Args:
            heard: what to call; it must not raise.
            after_seq: number of the newest event that is known already.
        """
        self._known = after_seq
        self._listener = threading.Thread(
            target=self._listen, args=(heard,), name="hiveloop-board-follow", daemon=True
        )
        self._listener.start()

    def close(self) -> None:
        self._stopping.set()
        if self._listener is not None:
            self._listener.join()
        super().close()

    # -- what other boards store --------------------------------------------------------------------

    def _listen(self, heard: Callable[[list[StoredEvent]], None]) -> None:
        while not self._stopping.is_set():
            with suppress(psycopg.Error, StoreError):
                self._listen_once(heard)
            self._stopping.wait(_AGAIN_SECONDS)

    def _listen_once(self, heard: Callable[[list[StoredEvent]], None]) -> None:
        with _connected(self._url) as connection:
            connection.execute(f"LISTEN {_CHANNEL}".encode())
            self._catch_up(heard)
            while not self._stopping.is_set() and not connection.closed:
                for notice in connection.notifies(timeout=_LISTEN_SECONDS):
                    after, last = map(int, notice.payload.split())
                    if last > self._known:
                        if (after, last) not in self._connection.own:
                            self._catch_up(heard)
                        self._known = max(self._known, last)

    def _catch_up(self, heard: Callable[[list[StoredEvent]], None]) -> None:
        """Read on from what is known; leave out what this board stored itself."""
        while not self._stopping.is_set():
            with self.reader() as reader:
                events = _events_after(reader, self._known)
            if not events:
                return
            own = list(self._connection.own)
            others = [event for event in events if not any(a < event.seq <= b for a, b in own)]
            if others:
                heard(others)
            self._known = events[-1].seq


def _prepared(url: str, tell: Tell) -> _Connection:
    """Connect, and see to the tables."""
    try:
        connection = _Connection(url)
        prepare(connection, tell)
    except psycopg.Error as error:
        raise StoreError(f"cannot use the PostgreSQL database: {error}") from error
    return connection


def _events_after(reader: Reader, after: int) -> list[StoredEvent]:
    rows = reader.rows("SELECT * FROM events WHERE seq > ? ORDER BY seq LIMIT 1000", (after,))
    profiles = {number: _profile(reader, number) for number in {row["profile_id"] for row in rows}}
    return [event_of(list(row.values()), profiles[row["profile_id"]]) for row in rows]


def _profile(reader: Reader, number: Value) -> Profile:
    sql = "SELECT agent_version, framework, runtime, sdk_version FROM profiles WHERE profile_id = ?"
    found = reader.rows(sql, (number,))
    return Profile(*(str(value) if value else None for value in found[0].values())) if found else Profile()

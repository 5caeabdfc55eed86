"""The store in one SQLite file: the default, for one board on one machine."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from hiveloop._guard import logger

from .base import BaseStore, prepare
from .checkpoints import Checkpoints, checkpoint
from .migration import Tell
from .names import MOST_NAMES
from .protocol import Row, StoreError, StoreFullError, Value
from .retention import Retention
from .statements import Dialect

__all__ = ["SqliteReader", "SqliteStore", "make_private", "size_of"]

_CACHE_KIB = 65_536
_READER_CACHE_KIB = 8_192
_MMAP_BYTES = 64 * 1024**2
"""Of each connection; what is touched of it counts as memory of the process."""
_CHECKPOINT_CHANGES = 16_000
"""Rows written from one checkpoint to the next: about 70 MB of log. With more of them in one, pages that many
rows share are copied less often."""
_MOST_LOG_PAGES = 50_000
"""Beyond, a commit waits for the checkpoint."""
_KEPT_LOG_BYTES = 128 * 1024**2
"""Of a log that starts over; the rest of its file is given back."""
_BUSY_SECONDS = 10.0
_FULL = 13
"""SQLITE_FULL, for databases that cannot grow."""
_IO_ERROR = 10
_SPARE_BYTES = 1024**2


class _Connection:
    """The writing connection."""

    dialect: Dialect = "sqlite"
    errors: tuple[type[Exception], ...] = (sqlite3.Error,)

    def __init__(self, path: Path) -> None:
        self._path = path
        self._db = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        for pragma in (
            "journal_mode = WAL",
            "synchronous = FULL",
            f"cache_size = -{_CACHE_KIB}",
            f"mmap_size = {_MMAP_BYTES}",
            f"wal_autocheckpoint = {_MOST_LOG_PAGES}",
            f"journal_size_limit = {_KEPT_LOG_BYTES}",
            "temp_store = MEMORY",
        ):
            self._db.execute(f"PRAGMA {pragma}").fetchall()
        self._version = self._data_version()
        self._checkpoints = Checkpoints(path)
        self._changes = 0

    def _data_version(self) -> int:
        return int(self._db.execute("PRAGMA data_version").fetchone()[0])

    def begin(self) -> None:
        if self._checkpoints.take_rest():
            checkpoint(self._db)
        self._db.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        self._db.execute("COMMIT")
        if self._db.total_changes - self._changes > _CHECKPOINT_CHANGES:
            self._changes = self._db.total_changes
            self._checkpoints.ask()

    def rollback(self) -> None:
        if self._db.in_transaction:
            try:
                self._db.execute("ROLLBACK")
            except sqlite3.Error:  # SQLite has rolled back by itself
                return

    def rows(self, sql: str, args: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return self._db.execute(sql, args).fetchall()

    def run(self, sql: str, args: Sequence[Any] = ()) -> int:
        return self._db.execute(sql, args).rowcount

    def many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        self._db.executemany(sql, rows)

    def columns(self, table: str) -> list[str]:
        return [str(row[0]) for row in self.rows("SELECT name FROM pragma_table_info(?)", (table,))]

    def announce(self, after_seq: int, last_seq: int) -> None:
        """Nobody else listens: one process, one file."""

    def others_wrote(self) -> bool:
        version, self._version = self._version, self._data_version()
        return version != self._version

    def outdate(self) -> None:
        """A commit does so by itself."""

    def explain(self, error: Exception) -> StoreError:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        free = shutil.disk_usage(self._path.parent).free
        if code == _FULL or (code == _IO_ERROR and free < _SPARE_BYTES):
            return StoreFullError(f"no space left for {self._path}: {error}")
        return StoreError(f"{self._path}: {error}")

    def size_bytes(self) -> int:
        pages, free, size = (
            int(self._db.execute(f"PRAGMA {name}").fetchone()[0])
            for name in ("page_count", "freelist_count", "page_size")
        )
        return (pages - free) * size

    def close(self) -> None:
        self._checkpoints.close()
        self._db.close()


class SqliteReader:
    """A reading connection; each use is one snapshot.

    Args:
        path: the database.
    """

    def __init__(self, path: Path) -> None:
        uri = f"{path.absolute().as_uri()}?mode=ro"
        self._db = sqlite3.connect(
            uri, uri=True, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        self._db.execute(f"PRAGMA cache_size = -{_READER_CACHE_KIB}")
        self._db.execute(f"PRAGMA mmap_size = {_MMAP_BYTES}").fetchall()

    def rows(self, sql: str, args: Sequence[Value] = ()) -> list[Row]:
        cursor = self._db.execute(sql, args)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def begin(self) -> None:
        self._db.execute("BEGIN")

    def end(self) -> bool:
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")
        return True

    def close(self) -> None:
        self._db.close()


class SqliteStore(BaseStore):
    """Events and tables in a file, written by one thread.

    A commit is on disk before its future resolves (write-ahead log, ``synchronous = FULL``).

    Args:
        path: the file; it and its folder are made when missing, readable by their owner only.
        retention: how much `prune` leaves.
        most_names: how many models, tools and calls of a day rollups tell apart.
        tell: hears what is done to the file of an older board, line by line.

    Raises:
        StoreError: the file is no database, or one of a newer board.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        retention: Retention | None = None,
        most_names: int = MOST_NAMES,
        tell: Tell = logger.warning,
    ) -> None:
        self.path = Path(path)
        make_private(self.path)
        super().__init__(self._connect(tell), lambda: SqliteReader(self.path), retention, most_names)

    def _connect(self, tell: Tell) -> _Connection:
        try:
            connection = _Connection(self.path)
            prepare(connection, tell)
        except sqlite3.Error as error:
            raise StoreError(f"cannot open {self.path}: {error}") from error
        return connection

    def size_bytes(self) -> int:
        return size_of(self.path)


def size_of(path: Path) -> int:
    """Return the bytes that a database takes, its log included."""
    files = (path.with_name(path.name + suffix) for suffix in ("", "-wal"))
    return sum(file.stat().st_size for file in files if file.exists())


def make_private(path: Path) -> None:
    """Make the file before SQLite does, so that nobody else can read it at any moment."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))

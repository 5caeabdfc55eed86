"""Brings SQLite's log into its file beside the writing, so that appends hardly wait for it."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

from hiveloop._guard import contain, logger

__all__ = ["Checkpoints", "checkpoint"]

_PASSES = 4
"""What is written during one is left to the next, which is shorter."""
_SHORT = 500
"""Pages of a pass after which the writer may do the rest."""


class Checkpoints:
    """Makes checkpoints on a thread of its own, up to the last pages.

    Appends go on meanwhile, so that some pages are always left; only the writer, between two transactions,
    can bring in all of them. Then the log starts over in the same place, where it costs least: a log that
    grows needs new blocks all the time.

    Args:
        path: the database.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._due = threading.Event()
        self._over = False
        self._is_rest_due = False
        self._thread = threading.Thread(target=self._main, name="hiveloop-board-checkpoints", daemon=True)
        self._thread.start()

    def ask(self) -> None:
        """Have one made soon."""
        self._due.set()

    def take_rest(self) -> bool:
        """Tell, once, that only few pages are left: the writer's part."""
        due, self._is_rest_due = self._is_rest_due, False
        return due

    def close(self) -> None:
        """End the thread."""
        self._over = True
        self._due.set()
        self._thread.join()

    def _main(self) -> None:
        db = sqlite3.connect(self._path, isolation_level=None)
        try:
            while self._due.wait() and not self._over:
                self._due.clear()
                contain("board store", self._make, db, default=None)
        finally:
            db.close()

    def _make(self, db: sqlite3.Connection) -> None:
        before = 0
        for _ in range(_PASSES):
            logged = checkpoint(db)
            if logged is None or self._over:
                return
            if logged - before <= _SHORT:
                break
            before = logged
        self._is_rest_due = True


def checkpoint(db: sqlite3.Connection) -> int | None:
    """Bring into the file what no reader holds back; return the pages of the log, None for a failure."""
    try:
        return int(db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[1])
    except sqlite3.Error as error:  # a full disk, say: nothing is lost, and the next one may succeed
        logger.debug("hiveloop board: no checkpoint: %s", error)
        return None

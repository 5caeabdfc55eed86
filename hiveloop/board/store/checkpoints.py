"""Brings SQLite's log into its file beside the writing, so that no append waits for it."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

from hiveloop._guard import contain, logger

__all__ = ["Checkpoints"]

_PASSES = 8
"""What is written during one is left to the next, which is shorter. Nothing left: the log starts over."""


class Checkpoints:
    """Makes checkpoints on a thread of its own.

    Appends go on meanwhile. Where they outrun this, SQLite makes a checkpoint within a commit: see
    `wal_autocheckpoint` in sqlite.py.

    Args:
        path: the database.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._due = threading.Event()
        self._over = False
        self._thread = threading.Thread(target=self._main, name="hiveloop-board-checkpoints", daemon=True)
        self._thread.start()

    def ask(self) -> None:
        """Have one made soon."""
        self._due.set()

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
        for _ in range(_PASSES):
            try:
                busy, logged, done = db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            except sqlite3.Error as error:  # a full disk, say: nothing is lost, and the next one may succeed
                logger.debug("hiveloop board: no checkpoint: %s", error)
                return
            if busy or logged == done or self._over:
                return

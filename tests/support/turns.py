"""Turns of the processes that run the suite side by side, so that no test measures what its neighbours do.

A test that says something about time would also say how busy the others are. The kinds of tests:

- ANY: most; they run beside each other.
- QUIET: they notice when the machine is busy, but mostly wait; they run beside each other, and nothing else.
- ALONE: they measure, or keep the machine busy and look at time; nothing runs beside them.
"""

from __future__ import annotations

import contextlib
import enum
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

__all__ = ["Kind", "Turns"]


class Kind(enum.IntEnum):
    """What may run beside a test."""

    ANY = 0
    QUIET = 1
    ALONE = 2


_QUEUE = 2
"""The byte whose holder is the next; the bytes before are held by tests of the kinds ANY and QUIET."""


class Turns:
    """The turns that processes take by locking bytes of one file.

    Such locks end with their process, and what it forks inherits none.
    """

    def __init__(self, file: Path) -> None:
        self._path = file
        self._file = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)

    def end(self) -> None:
        """Take no more turns; who has the file open goes on without its name."""
        os.close(self._file)
        self._path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def taken(self, kind: Kind) -> Iterator[None]:
        """Wait for a turn and have it for the time of the block."""
        self._lock(_QUEUE, fcntl.LOCK_EX)  # nobody overtakes who waits
        self._lock(Kind.ANY, fcntl.LOCK_SH if kind is Kind.ANY else fcntl.LOCK_EX)
        self._lock(Kind.QUIET, fcntl.LOCK_SH if kind is Kind.QUIET else fcntl.LOCK_EX)
        if kind is not Kind.ALONE:
            self._lock(Kind.QUIET if kind is Kind.ANY else Kind.ANY, fcntl.LOCK_UN)
        self._lock(_QUEUE, fcntl.LOCK_UN)
        try:
            yield
        finally:
            self._lock(Kind.ANY, fcntl.LOCK_UN)
            self._lock(Kind.QUIET, fcntl.LOCK_UN)

    def _lock(self, byte: int, how: int) -> None:
        fcntl.lockf(self._file, how, 1, byte)

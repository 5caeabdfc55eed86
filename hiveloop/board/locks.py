"""Files that one process at a time may hold; the system lets go of them when it ends, however it does."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import IO

__all__ = ["lock", "open_private"]


def open_private(path: Path) -> IO[str]:
    """Open a file for reading and writing; it is made when missing, for this user only."""
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+", encoding="utf-8")


def lock(file: IO[str], *, wait: bool = False) -> bool:
    """Hold a file until it is closed; tell whether no other process does.

    Args:
        file: what `open_private` returned.
        wait: until the other process lets go of it; on Windows ten seconds at most.
    """
    if sys.platform == "win32":
        import msvcrt

        try:
            # Far behind the content, which others may want to read: there a lock shuts readers out.
            file.seek(1 << 20)
            msvcrt.locking(file.fileno(), msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        finally:
            file.seek(0)
        return True
    import fcntl

    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        return False
    return True

"""A running board's address and key, left where programs of the same user find them.

The board writes the file (`hiveloop.board.handover`) and holds a lock on it as long as it lives;
`hiveloop.init` reads it when it was given neither a key nor an endpoint. A file that others can read or that
another user owns is not trusted, nor is an address beyond this machine.
"""

from __future__ import annotations

import os
import sys
from typing import NamedTuple

from ._guard import attempt
from ._shape import is_dict
from .transports._address import is_loopback

__all__ = ["FILE_NAME", "HandOver", "find", "runtime_folder"]

FILE_NAME = "board.json"
_LONGEST = 4_096
_PATIENCE_SECONDS = 0.25


class HandOver(NamedTuple):
    """What a running board left.

    Attributes:
        endpoint: its address, on this machine.
        api_key: a key that may send to it.
        path: the file both were read from.
        public_url: its address in browsers, when that is another one.
    """

    endpoint: str
    api_key: str
    path: str
    public_url: str | None = None

    def __repr__(self) -> str:
        return f"HandOver(endpoint={self.endpoint!r}, path={self.path!r})"


def runtime_folder() -> str:
    """Return the folder for what belongs to running programs of this user.

    ``HIVELOOP_RUNTIME_DIR``, else what the platform has for it. It need not exist.
    """
    chosen = os.environ.get("HIVELOOP_RUNTIME_DIR")
    if chosen:
        return chosen
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or os.path.expanduser("~")
    elif sys.platform == "darwin":
        base = os.path.expanduser("~/Library/Application Support")
    else:
        base = os.environ.get("XDG_RUNTIME_DIR") or os.path.expanduser("~/.local/state")
    return os.path.join(base, "hiveloop")


def find() -> HandOver | None:
    """Return what a board of this user left that is running now, or None. Never raises."""
    path = os.path.join(runtime_folder(), FILE_NAME)
    if not os.path.isfile(path):
        return None
    return attempt("hand-over of a board", _read, path, default=None)


def _read(path: str) -> HandOver | None:
    import json

    with open(path, encoding="utf-8") as file:
        if not _is_private(file.fileno()):
            return None
        left = json.loads(file.read(_LONGEST))
        if not is_dict(left):
            return None
        endpoint, key = left.get("endpoint"), left.get("api_key")
        if not isinstance(endpoint, str) or not isinstance(key, str) or not key.startswith("hb_"):
            return None
        if not is_loopback(endpoint) or not _is_held(file.fileno(), endpoint):
            return None
        shown = left.get("public_url")
    return HandOver(endpoint, key, path, shown if isinstance(shown, str) else None)


def _is_private(descriptor: int) -> bool:
    if sys.platform == "win32":  # the folder is the user's own there
        return True
    status = os.fstat(descriptor)
    return status.st_uid == os.getuid() and not status.st_mode & 0o077


def _is_held(descriptor: int, endpoint: str) -> bool:
    """Tell whether the board that wrote the file lives: it holds a lock, which ends with its process."""
    if sys.platform == "win32":
        return _answers(endpoint)
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    return False


def _answers(endpoint: str) -> bool:
    import socket
    from urllib.parse import urlsplit

    parts = urlsplit(endpoint)
    try:
        socket.create_connection((parts.hostname or "", parts.port or 80), _PATIENCE_SECONDS).close()
    except OSError:
        return False
    return True

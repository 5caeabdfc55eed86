"""The folder where a board keeps everything: database, secret, key; for this user only."""

from __future__ import annotations

import json
import os
import re
import secrets
import sys
from pathlib import Path
from typing import IO, NamedTuple

from hiveloop._shape import is_dict

from .keys import KeyKind, kind_of_key, new_key
from .locks import lock, open_private

__all__ = ["BusyError", "DataFolder", "Running", "default_folder"]

_SHORTEST_SECRET = 32
_SECRET = re.compile(r"(?:[0-9a-f]{2}){32,}")


class Running(NamedTuple):
    """A board that uses the folder now.

    Attributes:
        endpoint: its address on this machine.
        pid: its process.
        public_url: its address in browsers, when a proxy stands before it.
    """

    endpoint: str
    pid: int
    public_url: str | None = None


class BusyError(Exception):
    """Another board uses the folder.

    Attributes:
        running: which; None when it does not say.
    """

    def __init__(self, running: Running | None) -> None:
        super().__init__("another board uses the folder")
        self.running = running


def default_folder() -> Path:
    """Return where the platform keeps the data of a user's programs.

    ``HIVELOOP_BOARD_DATA`` chooses another place.
    """
    chosen = os.environ.get("HIVELOOP_BOARD_DATA")
    if chosen:
        return Path(chosen)
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home())
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return base / "hiveloop" / "board"


class DataFolder:
    """The folder of a board, made when it is missing.

    Args:
        path: where it is.

    Raises:
        OSError: it cannot be made or used.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        if sys.platform != "win32":
            self.path.chmod(0o700)
        self._lock: IO[str] | None = None

    @property
    def database(self) -> Path:
        """The SQLite database."""
        return self.path / "board.db"

    def secret(self) -> bytes:
        """Return what signs links and cookies.

        Boards behind one address need the same, in ``HIVELOOP_BOARD_SECRET``: at least 32 characters.

        Raises:
            OSError: it is too short, or the file cannot be used.
        """
        shared = os.environ.get("HIVELOOP_BOARD_SECRET")
        if shared:
            if len(shared) < _SHORTEST_SECRET:
                raise OSError(f"HIVELOOP_BOARD_SECRET has less than {_SHORTEST_SECRET} characters")
            return shared.encode()
        found = self._kept("secret", secrets.token_hex(_SHORTEST_SECRET))
        if not _SECRET.fullmatch(found):  # an empty one would sign what anybody could sign
            raise OSError(
                f"{self.path / 'secret'} holds no secret: remove it, and the next start makes another"
            )
        return bytes.fromhex(found)

    def key(self) -> str:
        """Return the key that was made at the first start: it is shown again at each."""
        found = self._kept("key", new_key(KeyKind.LIVE))
        if kind_of_key(found) is None:
            raise OSError(f"{self.path / 'key'} holds no key: remove it, and the next start makes another")
        return found

    def keep_key(self, key: str) -> None:
        """Put a key in the place of the one that is kept, which was revoked."""
        (self.path / "key").unlink(missing_ok=True)
        self._kept("key", key)

    def _kept(self, name: str, fresh: str) -> str:
        """Return the content of a small file, writing `fresh` to it when there is none."""
        path = self.path / name
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return path.read_text(encoding="ascii").strip()
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(fresh + "\n")
        return fresh

    # -- one board at a time ------------------------------------------------------------------

    def take(self) -> None:
        """Use the folder until `release`, or the end of the process.

        Raises:
            BusyError: another board does.
        """
        file = open_private(self.path / "lock")
        if not lock(file):
            running = _running(file)
            file.close()
            raise BusyError(running)
        file.truncate(0)
        self._lock = file

    def announce(self, endpoint: str, public_url: str | None = None) -> None:
        """Say where the board is that uses the folder, for who finds it in use."""
        if self._lock is not None:
            self._lock.truncate(0)
            self._lock.seek(0)
            self._lock.write(json.dumps(Running(endpoint, os.getpid(), public_url)._asdict()))
            self._lock.flush()

    def release(self) -> None:
        """Let another board use the folder."""
        file, self._lock = self._lock, None
        if file is not None:
            file.truncate(0)
            file.close()

    def wipe(self) -> list[Path]:
        """Remove the database; return its files. The key stays, so agents need no change."""
        files = [path for path in sorted(self.path.glob("board.db*")) if path.is_file()]
        for path in files:
            path.unlink()
        return files


def _running(file: IO[str]) -> Running | None:
    try:
        told = json.loads(file.read(4_096))
    except ValueError:  # it is just starting
        return None
    if not is_dict(told) or not isinstance(told.get("endpoint"), str) or not isinstance(told.get("pid"), int):
        return None
    public_url = told.get("public_url")
    return Running(told["endpoint"], told["pid"], public_url if isinstance(public_url, str) else None)

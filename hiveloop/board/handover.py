"""Leave the running board's address and key for `hiveloop.init`, and take them away at the end.

The file is for this user only, and locked as long as the board runs, so that what a killed board left is told
from what a living one did. `hiveloop._handover` is the other side.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from hiveloop._handover import FILE_NAME, runtime_folder

__all__ = ["Offer"]


class Offer:
    """An address and a key, offered while the ``with`` block runs.

    The first board wins: where another one has an offer standing, this one makes none.

    Args:
        endpoint: the board's address.
        api_key: a key that may send to it.
        public_url: its address in browsers, when a proxy stands before it.
        folder: where to leave them; the user's runtime folder by default.

    Attributes:
        problem: why it could not be left, "" when it could.
    """

    def __init__(
        self, endpoint: str, api_key: str, public_url: str | None = None, folder: Path | None = None
    ) -> None:
        told = {"endpoint": endpoint, "api_key": api_key, "pid": os.getpid()}
        self._told = told if public_url is None else {**told, "public_url": public_url}
        self._path = (folder or Path(runtime_folder())) / FILE_NAME
        self._file: IO[str] | None = None
        self.problem = ""

    @property
    def standing(self) -> bool:
        """Whether programs find this offer."""
        return self._file is not None

    def __enter__(self) -> Self:
        try:
            self._file = self._left()
        except OSError as error:
            self.problem = f"{error.filename or self._path}: {error.strerror}"
        return self

    def _left(self) -> IO[str] | None:
        """Write the file and lock it; None where another board holds it."""
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = _opened(self._path)
        if not _locked(file):
            file.close()
            return None
        self._write(file)
        return file

    def change(self, api_key: str) -> None:
        """Offer another key from now on.

        Raises:
            OSError: the file cannot be written.
        """
        self._told["api_key"] = api_key
        if self._file is not None:
            self._write(self._file)

    def _write(self, file: IO[str]) -> None:
        # Over what is there, and cut afterwards: keys are of one length, so who reads meanwhile finds the
        # one or the other, and never half of it.
        file.seek(0)
        file.write(json.dumps(self._told))
        file.truncate()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        file, self._file = self._file, None
        if file is None:
            return
        # Emptied before the lock goes: who opened it in between finds nothing. The file itself stays, since
        # removing it would let two boards lock two files of one name.
        file.truncate(0)
        file.close()


def _opened(path: Path) -> IO[str]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    if sys.platform != "win32":
        os.fchmod(descriptor, 0o600)  # it may be left from an older one
    return os.fdopen(descriptor, "r+", encoding="utf-8")


def _locked(file: IO[str]) -> bool:
    if sys.platform == "win32":
        return True
    import fcntl

    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True

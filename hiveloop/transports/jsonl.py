"""Write events as lines of JSON: to a file that rotates, or to standard output.

Each line is one event with its agent's envelope, so that a line means the same wherever it ends up.
"""

from __future__ import annotations

import errno
import io
import json
import logging
import os
import stat
import sys
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, cast

from hiveloop._wire import encode_event, envelope
from hiveloop.errors import HiveLoopConfigError
from hiveloop.events import Event
from hiveloop.transport import Batch, BatchLimits, Delivered, Outcome, Retry, Transport

from ._stream import Pending, StreamWriter

if sys.platform != "win32":
    import fcntl

__all__ = ["JsonlTransport"]

_log = logging.getLogger("hiveloop")

_STDOUT = "-"
_LOCK_POLL_SECONDS = 0.005
_LOCK_SECONDS = 2.0
_MOST_MOVES = 5
_ROTATE_AGAIN_SECONDS = 60.0


class JsonlTransport(Transport):
    """Appends one JSON line per event to a file, or to standard output for the path ``"-"``.

    A line holds the event as the native wire format has it, plus the fields of its agent's envelope
    (``agent_id``, ``environment``, ``group`` and so on), in UTF-8.

    A batch is written whole or not at all: when the disk fills up in the middle, the file is cut back
    to where it was, and the engine tries again later. The file may be moved or removed at any time
    (logrotate); the next batch starts a new one. Several processes may append to the same file, also
    forked ones, where the system has ``flock``. A line that an earlier crash left unfinished is ended
    first, so that it costs one line and not two.

    Standard output behaves as for `ConsoleTransport`: when its reader goes away, the transport warns
    once and reports the events as rejected.
    """

    name = "jsonl"
    limits = BatchLimits()

    def __init__(
        self, path: str | os.PathLike[str], *, max_bytes: int = 50_000_000, backups: int = 3
    ) -> None:
        """Check the arguments; the file is opened, and created, with the first batch.

        Args:
            path: file to append to, in a directory that exists; ``"-"`` for standard output.
            max_bytes: size at which the file is renamed to ``path.1``, and ``path.1`` to ``path.2``.
                A single batch larger than this makes a larger file. Not used for standard output
                and for what is no regular file.
            backups: renamed files to keep; with 0, a full file is removed.

        Raises:
            HiveLoopConfigError: the directory is missing or cannot be written to, or a number is
                out of range.
        """
        name = os.fspath(path)
        _check(name, max_bytes, backups)
        self.limits = BatchLimits(max_bytes=min(BatchLimits().max_bytes, max_bytes))
        self._file = None if name == _STDOUT else _File(os.path.abspath(name), max_bytes, backups)
        self._stdout = StreamWriter(None, self.name, encoding="utf-8")

    def prepare(self, batch: Batch) -> Pending:
        """Encode a batch. Runs on the delivery thread."""
        agents: dict[int, bytes] = {}
        lines = b"".join(_line(event, agents) for event in batch.events)
        return Pending.of(batch, lines.decode("utf-8"))

    def send(self, prepared: object, timeout: float) -> Outcome:
        """Append the lines.

        Raises:
            OSError: they could not be written; the file is as it was before.
        """
        pending = cast("Pending", prepared)
        return self._stdout.write(pending) if self._file is None else self._file.write(pending, timeout)

    def close(self, timeout: float) -> None:
        """Close the file; standard output stays open. A later `send` opens it again."""
        if self._file is not None:
            self._file.close(timeout)


def _line(event: Event, agents: dict[int, bytes]) -> bytes:
    agent = agents.get(id(event.agent))
    if agent is None:
        text = json.dumps(envelope(event.agent), ensure_ascii=False, separators=(",", ":"))
        agent = agents[id(event.agent)] = text[1:].encode("utf-8", "replace")
    return b"%b,%b\n" % (encode_event(event)[:-1], agent)


def _check(name: str, max_bytes: int, backups: int) -> None:
    if max_bytes < 1:
        raise HiveLoopConfigError(f"max_bytes={max_bytes!r} is too small: give at least 1")
    if backups < 0:
        raise HiveLoopConfigError(f"backups={backups!r} is too small: give 0 or more")
    if name != _STDOUT and (fault := _fault(name)):
        raise HiveLoopConfigError(f"path={name!r} {fault}")


def _fault(name: str) -> str | None:
    """Return what is wrong with a path, and the fix; None when it can be written to."""
    directory = os.path.dirname(os.path.abspath(name))
    if not name or os.path.isdir(name):
        return "is not a file: give the path of a file, or '-' for standard output"
    if not os.path.isdir(directory):
        return f"cannot be created: there is no directory {directory!r}; create it first"
    if os.path.exists(name) and not os.access(name, os.W_OK):
        return "cannot be written to: change its permissions or give another path"
    if (os.path.isfile(name) or not os.path.exists(name)) and not os.access(directory, os.W_OK | os.X_OK):
        return f"needs a directory that can be written to, not {directory!r}: change its permissions"
    return None


class _File:
    """A file that several processes append to, and that rotates by size.

    All of them take a lock on the file itself. Whoever gets it looks again whether the file is still
    the one at the path, since the one before may have rotated it.
    """

    def __init__(self, path: str, max_bytes: int, backups: int) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._backups = backups
        self._pid = os.getpid()
        self._file: io.FileIO | None = None
        self._lock = threading.Lock()  # `close` may be called while a write hangs
        self._rotate_after = 0.0

    def write(self, pending: Pending, timeout: float) -> Outcome:
        self._notice_fork()
        data = pending.text.encode("utf-8")
        deadline = time.monotonic() + min(timeout, _LOCK_SECONDS)
        with self._lock:
            for _ in range(_MOST_MOVES):
                file = self._opened()
                if not _lock(file, deadline):
                    return Retry(f"{self._path} is locked by another process")
                try:
                    if self._is_ready(file, len(data)):
                        self._append(file, data)
                        return Delivered()
                finally:
                    _unlock(file)
        return Retry(f"{self._path} keeps being moved away")

    def close(self, timeout: float) -> None:
        if self._lock.acquire(timeout=max(0.0, timeout)):
            try:
                self._forget()
            finally:
                self._lock.release()

    def _notice_fork(self) -> None:
        """In a child, open the file anew: a lock on the parent's would be shared with the parent."""
        if self._pid != os.getpid():
            self._pid, self._lock = os.getpid(), threading.Lock()
            self._forget()

    def _forget(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _opened(self) -> io.FileIO:
        if self._file is None:
            self._file = io.FileIO(self._path, "ab")
        return self._file

    def _is_ready(self, file: io.FileIO, coming: int) -> bool:
        """Tell whether to append to this file; if not, it has been let go and the next one is due."""
        state = os.fstat(file.fileno())
        moved = not _is_at(self._path, state)
        if not moved and not self._is_full(state, coming):
            return True
        if not moved:
            self._rotate(file)
        self._forget()
        return False

    def _is_full(self, state: os.stat_result, coming: int) -> bool:
        if not stat.S_ISREG(state.st_mode) or time.monotonic() < self._rotate_after:
            return False
        return state.st_size > 0 and state.st_size + coming > self._max_bytes

    def _rotate(self, file: io.FileIO) -> None:
        """Rename the full file and its predecessors, unless the system does not let us.

        Then the file grows on for a while: too large is better than lost.
        """
        if sys.platform == "win32":  # refuses to rename an open file; elsewhere closing would unlock it
            file.close()
        try:
            self._shift()
        except OSError as error:
            if self._rotate_after == 0.0:
                _log.warning("hiveloop: jsonl: %s cannot be rotated and grows on: %s", self._path, error)
            self._rotate_after = time.monotonic() + _ROTATE_AGAIN_SECONDS
        else:
            self._rotate_after = 0.0

    def _shift(self) -> None:
        for number in range(self._backups - 1, 0, -1):
            with suppress(FileNotFoundError):
                os.replace(f"{self._path}.{number}", f"{self._path}.{number + 1}")
        if self._backups:
            os.replace(self._path, f"{self._path}.1")
        else:
            os.unlink(self._path)

    def _append(self, file: io.FileIO, data: bytes) -> None:
        """Write all of `data`, or leave the file as it was.

        Raises:
            OSError: it could not be written.
        """
        before = os.fstat(file.fileno()).st_size
        data = b"\n" * self._ends_torn(before) + data
        try:
            while data:
                data = data[_written(file, data) :]
        except OSError:
            with suppress(OSError):
                file.truncate(before)
            self._forget()
            raise

    def _ends_torn(self, size: int) -> bool:
        """Tell whether the last line has no end, because whoever wrote it died in the middle."""
        if not size:
            return False
        with suppress(OSError), open(self._path, "rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read(1) != b"\n"
        return False


def _written(file: io.FileIO, data: bytes) -> int:
    size = file.write(data)
    if not size:
        raise BlockingIOError(errno.EAGAIN, "nothing can be written now")
    return size


def _is_at(path: str, state: os.stat_result) -> bool:
    try:
        return os.path.samestat(os.stat(path), state)
    except FileNotFoundError:
        return False


def _lock(file: io.FileIO, deadline: float) -> bool:
    """Lock a file against other processes; True also where the system knows no such locks."""
    if sys.platform == "win32":
        return True
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            threading.Event().wait(_LOCK_POLL_SECONDS)
        except OSError:  # some network file systems
            return True


def _unlock(file: io.FileIO) -> None:
    if sys.platform != "win32" and not file.closed:
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_UN)


if TYPE_CHECKING:
    _: type[Transport] = JsonlTransport

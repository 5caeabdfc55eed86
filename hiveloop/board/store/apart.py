"""The store in one SQLite file, written by a process of its own.

Python runs one thread at a time, and to write an event takes about four times as long as to read it from a
request. So a board that wrote by itself would use one processor, and pages would wait for the writing. Here
they share nothing but two pipes and the file: whatever reads goes to the file directly.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from queue import SimpleQueue
from typing import IO, Any, cast

import msgspec

from hiveloop._guard import contain, logger, notice
from hiveloop.board.model import NewEvent

from .messages import (
    Answer,
    Append,
    Done,
    Failed,
    Manage,
    Open,
    Opened,
    Prune,
    Rebuild,
    Request,
    Stored,
    Told,
    encoded,
    error_of,
    receive,
)
from .migration import Tell
from .names import MOST_NAMES
from .protocol import Appended, Pruned, Reader, Statement, Store, StoreClosedError, StoreError, Value
from .readers import ReaderPool
from .retention import Retention
from .sqlite import SqliteReader, make_private, size_of
from .writer import promised

__all__ = ["ApartStore"]

_AGAIN_SECONDS = 1.0
"""Until a process that ended is started again, when the start of another has failed."""
_PLACE = "board store"
_Waiting = tuple[Future[Any], Callable[[Any], Any]]
"""Whom to answer, and what to make of the answer."""


class ApartStore(Store):
    """Events and tables in a file, written by another process; see `SqliteStore` for what it does there.

    When that process ends by accident, what waits for it fails with `StoreError`, and another is started.

    Args:
        path: the file; it and its folder are made when missing, readable by their owner only.
        retention: how much `prune` leaves.
        most_names: how many models, tools and calls of a day rollups tell apart.
        tell: hears what is done to the file of an older board, line by line.

    Raises:
        StoreError: the file is no database, or one of a newer board.
        OSError: the file cannot be made, or no process be started.
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
        make_private(self.path)  # here, so that the caller sees what the system says against it
        self._opening = Open(str(self.path.absolute()), retention or Retention(), most_names)
        self._closing = threading.Event()
        self._worker = _Worker(self._opening, tell)
        self._readers = ReaderPool(lambda: SqliteReader(self.path), (sqlite3.Error,))
        self._keeper = threading.Thread(target=self._keep, name="hiveloop-board-store", daemon=True)
        self._keeper.start()

    def append(
        self, world: str, events: Sequence[NewEvent], also: Sequence[Statement] = ()
    ) -> Future[Appended]:
        def appended(stored: Stored) -> Appended:
            return Appended(world, events, stored.seqs, stored.new_projects)

        statements = [(sql, [*args]) for sql, args in also]
        return self._ask(lambda number: Append(number, world, [*events], statements), appended)

    def reader(self) -> AbstractContextManager[Reader]:
        return self._readers.lend()

    def manage(self, sql: str, args: Sequence[Value] = ()) -> Future[int]:
        return self._ask(lambda number: Manage(number, sql, [*args]), _result)

    def rebuild(self) -> Future[int]:
        return self._ask(Rebuild, _result)

    def prune(self, now_us: int) -> Future[Pruned]:
        return self._ask(lambda number: Prune(number, now_us), _result)

    def size_bytes(self) -> int:
        return size_of(self.path)

    def close(self) -> None:
        self._closing.set()
        self._worker.end()
        self._keeper.join()
        self._readers.close()

    def _ask(self, request: Callable[[int], Request], made: Callable[[Any], Any]) -> Future[Any]:
        future: Future[Any] = promised()
        if self._closing.is_set():
            future.set_exception(StoreClosedError("the store is closed"))
        else:
            self._worker.ask(request, (future, made))
        return future

    # -- on the thread ------------------------------------------------------------------------------

    def _keep(self) -> None:
        """Pass on answers; start another process when one ends by accident."""
        while True:
            code = contain(_PLACE, self._worker.serve, default=-1)
            if self._closing.is_set():
                return
            notice(_PLACE, "hiveloop board: the process that writes ended (code %d); starting another", code)
            while not self._closing.is_set() and not self._started():
                self._closing.wait(_AGAIN_SECONDS)

    def _started(self) -> bool:
        try:
            self._worker = _Worker(self._opening, logger.warning)
        except (StoreError, OSError) as error:
            notice(_PLACE, "hiveloop board: events cannot be stored: %s", error)
            return False
        if self._closing.is_set():  # `close` may have ended the one before
            self._worker.end()
        return True


class _Worker:
    """The process, from its start to its end.

    Args:
        opening: what it is told first.
        tell: hears what it says before the database can be used.

    Raises:
        StoreError: the database cannot be used.
        OSError: no process can be started.
    """

    def __init__(self, opening: Open, tell: Tell) -> None:
        self._waiting: dict[int, _Waiting] = {}
        self._lock = threading.Lock()
        self._over = False
        self._number = 0
        self._outbox: SimpleQueue[bytes | None] = SimpleQueue()
        self._process = _process()
        self._requests = cast(IO[bytes], self._process.stdin)
        self._answers = cast(IO[bytes], self._process.stdout)
        self._decoder: msgspec.msgpack.Decoder[Answer] = msgspec.msgpack.Decoder(Answer)
        self._outbox.put(encoded(opening))
        threading.Thread(target=self._send, name="hiveloop-board-requests", daemon=True).start()
        self._open(tell)

    def _open(self, tell: Tell) -> None:
        while True:
            match self._received():
                case Told(line=line):
                    tell(line)
                case Opened():
                    return
                case Failed() as failure:
                    self._wait()
                    raise error_of(failure)
                case _:
                    raise StoreError(f"the process that writes ended at its start (code {self._wait()})")

    def ask(self, request: Callable[[int], Request], waiting: _Waiting) -> None:
        """Send a request; the future in `waiting` is resolved with its answer. Any thread."""
        future, _ = waiting
        with self._lock:
            if not self._over:
                self._number += 1
                try:
                    self._outbox.put(encoded(request(self._number)))
                except (ValueError, OverflowError) as error:
                    future.set_exception(StoreError(f"a value cannot be stored: {error}"))
                else:
                    self._waiting[self._number] = waiting
                return
        future.set_exception(StoreError("the process that writes is being started again"))

    def end(self) -> None:
        """Have it finish what waits, and end. Any thread."""
        self._outbox.put(None)

    def serve(self) -> int:
        """Resolve futures until it ends; return its code."""
        try:
            while (answer := self._received()) is not None:
                self._resolve(answer)
        finally:
            code = self._wait()
            for future, _ in self._left():
                future.set_exception(StoreError(f"the process that writes ended (code {code})"))
        return code

    def _resolve(self, answer: Answer) -> None:
        match answer:
            case Told(line=line):
                logger.warning("%s", line)
            case Failed(number=number):
                self._taken(number)[0].set_exception(error_of(answer))
            case Stored(number=number) | Done(number=number):
                future, made = self._taken(number)
                future.set_result(made(answer))
            case _:
                return

    def _taken(self, number: int) -> _Waiting:
        with self._lock:
            return self._waiting.pop(number)

    def _left(self) -> list[_Waiting]:
        with self._lock:
            self._over = True
            left, self._waiting = [*self._waiting.values()], {}
        return left

    def _received(self) -> Answer | None:
        return receive(self._answers, self._decoder)

    def _wait(self) -> int:
        self.end()
        self._answers.close()
        return self._process.wait()

    def _send(self) -> None:
        """A pipe that is full must not hold up who asks."""
        with suppress(OSError), self._requests as pipe:
            while (message := self._outbox.get()) is not None:
                pipe.write(message)
                pipe.flush()


def _process() -> subprocess.Popen[bytes]:
    """Start it, with modules from the same places; its messages go where the board's go."""
    places = os.pathsep.join(place or os.getcwd() for place in sys.path)
    return subprocess.Popen(
        [sys.executable, "-m", "hiveloop.board.store.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": places, "PYTHONSAFEPATH": "1"},
        start_new_session=True,  # Ctrl-C means the board, which ends it
    )


def _result(done: Done) -> int | Pruned:
    return done.result

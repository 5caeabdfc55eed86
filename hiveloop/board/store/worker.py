"""The process that writes for a board: a store of its own, asked over a pipe.

It ends when the board does, however that ends: the system closes the pipe then. Signals that mean the whole
group or service are the board's matter, which ends this process when nothing is left to write.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, BinaryIO

import msgspec

from hiveloop.board.locks import lock, open_private

from .messages import (
    Answer,
    Append,
    Done,
    Manage,
    Open,
    Opened,
    Prune,
    Rebuild,
    Request,
    Stored,
    Told,
    encoded,
    failed,
    receive,
)
from .protocol import Appended, StoreError
from .sqlite import SqliteStore

__all__ = ["main"]


class _Answers:
    """The pipe to the board; any thread may write."""

    def __init__(self, pipe: BinaryIO) -> None:
        self._pipe = pipe
        self._lock = threading.Lock()

    def send(self, answer: Answer) -> None:
        """Tell the board, if there still is one."""
        with self._lock, suppress(OSError):
            self._pipe.write(encoded(answer))
            self._pipe.flush()

    def tell(self, line: str) -> None:
        """Pass on a line about work that takes long."""
        self.send(Told(line))


def main() -> int:
    """Write what comes in on standard input, until it ends; return the code to exit with."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    # What anything prints must not come in between the answers.
    answers = _Answers(os.fdopen(os.dup(1), "wb"))
    os.dup2(2, 1)
    told = receive(sys.stdin.buffer, msgspec.msgpack.Decoder(Open))
    if told is None:
        return 0
    with open_private(Path(f"{told.path}.lock")) as held:
        return _serve(told, held, answers)


def _serve(told: Open, held: IO[str], answers: _Answers) -> int:
    try:
        _wait_for_predecessor(held, answers)
        store = SqliteStore(
            told.path, retention=told.retention, most_names=told.most_names, tell=answers.tell
        )
    except (StoreError, OSError) as error:
        answers.send(failed(0, error))
        return 1
    answers.send(Opened())
    decoder: msgspec.msgpack.Decoder[Request] = msgspec.msgpack.Decoder(Request)
    while (request := receive(sys.stdin.buffer, decoder)) is not None:
        _answer(store, request, answers)
    store.close()
    return 0


def _wait_for_predecessor(held: IO[str], answers: _Answers) -> None:
    """One of a board that was killed may still be at its last transaction."""
    if not lock(held):
        answers.tell("The database is still in use by a board that has ended: waiting for it.")
        lock(held, wait=True)


def _answer(store: SqliteStore, request: Request, answers: _Answers) -> None:
    number = request.number
    match request:
        case Append(world=world, events=events, also=also):
            _promise(store.append(world, events, also), number, answers, _stored)
        case Manage(sql=sql, args=args):
            _promise(store.manage(sql, args), number, answers, Done)
        case Rebuild():
            _promise(store.rebuild(), number, answers, Done)
        case Prune(now_us=now_us):
            _promise(store.prune(now_us), number, answers, Done)


def _promise(
    future: Future[Any], number: int, answers: _Answers, shown: Callable[[int, Any], Answer]
) -> None:
    """Answer when a future is resolved."""

    def resolved(done: Future[Any]) -> None:
        error = done.exception()
        answers.send(shown(number, done.result()) if error is None else failed(number, error))

    future.add_done_callback(resolved)


def _stored(number: int, appended: Appended) -> Stored:
    return Stored(number, appended.seqs, appended.new_projects)


if __name__ == "__main__":
    sys.exit(main())

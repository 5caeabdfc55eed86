"""What a board and the process that writes for it tell each other, over two pipes."""

from __future__ import annotations

from typing import IO, TypeVar

import msgspec

from hiveloop.board.model import NewEvent

from .protocol import Pruned, StoreClosedError, StoreError, StoreFullError
from .retention import Retention

__all__ = [
    "Answer",
    "Append",
    "Done",
    "Failed",
    "Manage",
    "Open",
    "Opened",
    "Prune",
    "Rebuild",
    "Request",
    "Stored",
    "Told",
    "encoded",
    "error_of",
    "failed",
    "receive",
]

T = TypeVar("T")

_HEAD_BYTES = 4
_ERRORS: dict[str, type[StoreError]] = {
    kind.__name__: kind for kind in (StoreError, StoreFullError, StoreClosedError)
}


class Open(msgspec.Struct, array_like=True):
    """The first message: which database, with the arguments of `SqliteStore`."""

    path: str
    retention: Retention
    most_names: int


class Append(msgspec.Struct, array_like=True, tag="append"):
    """Arguments of `Store.append`, and the number that its answer carries, as all requests do."""

    number: int
    world: str
    events: list[NewEvent]
    also: list[tuple[str, list[str | int | float | None]]]


class Manage(msgspec.Struct, array_like=True, tag="manage"):
    """Arguments of `Store.manage`."""

    number: int
    sql: str
    args: list[str | int | float | None]


class Rebuild(msgspec.Struct, array_like=True, tag="rebuild"):
    """A call of `Store.rebuild`."""

    number: int


class Prune(msgspec.Struct, array_like=True, tag="prune"):
    """Arguments of `Store.prune`."""

    number: int
    now_us: int


class Told(msgspec.Struct, array_like=True, tag="told"):
    """A line about work that takes long."""

    line: str


class Opened(msgspec.Struct, array_like=True, tag="opened"):
    """The database can be used."""


class Stored(msgspec.Struct, array_like=True, tag="stored"):
    """What became of an append: see `Appended`."""

    number: int
    seqs: list[int]
    new_projects: list[str]


class Done(msgspec.Struct, array_like=True, tag="done"):
    """What came of any other request."""

    number: int
    result: int | Pruned


class Failed(msgspec.Struct, array_like=True, tag="failed"):
    """A request failed; number 0 is the opening."""

    number: int
    kind: str
    text: str


Request = Append | Manage | Rebuild | Prune
Answer = Told | Opened | Stored | Done | Failed


def failed(number: int, error: BaseException) -> Failed:
    """Return what to tell about an error of the store."""
    return Failed(number, type(error).__name__, str(error))


def error_of(failure: Failed) -> StoreError:
    """Return the error that was told."""
    return _ERRORS.get(failure.kind, StoreError)(failure.text)


def encoded(message: Open | Request | Answer) -> bytes:
    """Return a message for a pipe: its length, then MessagePack.

    Raises:
        ValueError: it holds text that has no bytes.
        OverflowError: it holds an integer of more than 64 bits.
    """
    body = _encode(message)
    return len(body).to_bytes(_HEAD_BYTES) + body


def receive(pipe: IO[bytes], decoder: msgspec.msgpack.Decoder[T]) -> T | None:
    """Wait for a message; None when the other side has ended."""
    head = pipe.read(_HEAD_BYTES)
    if len(head) < _HEAD_BYTES:
        return None
    size = int.from_bytes(head)
    body = pipe.read(size)
    return None if len(body) < size else decoder.decode(body)


_encode = msgspec.msgpack.Encoder().encode

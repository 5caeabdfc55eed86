"""Lends reading connections to threads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Protocol

from .protocol import Reader, StoreClosedError, StoreError

__all__ = ["MOST_READERS", "PooledReader", "ReaderPool"]

MOST_READERS = 8


class PooledReader(Reader, Protocol):
    """A reading connection that is used again."""

    def begin(self) -> None:
        """Fix the state that `rows` shows."""
        ...

    def end(self) -> bool:
        """Let go of that state; tell whether the connection can be used again. Never raises."""
        ...

    def close(self) -> None:
        """Release the connection."""
        ...


class ReaderPool:
    """Keeps up to eight readers; more callers wait.

    Args:
        connect: opens a reader.
        errors: what readers raise; callers see `StoreError`.
    """

    def __init__(self, connect: Callable[[], PooledReader], errors: tuple[type[Exception], ...]) -> None:
        self._connect = connect
        self._errors = errors
        self._idle: list[PooledReader] = []
        self._free = threading.BoundedSemaphore(MOST_READERS)
        self._lock = threading.Lock()
        self._closed = False

    @contextmanager
    def lend(self) -> Generator[Reader]:
        """Lend a reader; every statement in the block sees the same state."""
        with self._free:
            try:
                reader = self._take()
                try:
                    reader.begin()
                    yield reader
                finally:
                    self._give_back(reader)
            except self._errors as error:
                raise StoreError(str(error)) from error

    def close(self) -> None:
        """Close the readers, lent ones when they come back."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for reader in idle:
            reader.close()

    def _take(self) -> PooledReader:
        with self._lock:
            if self._closed:
                raise StoreClosedError("the store is closed")
            if self._idle:
                return self._idle.pop()
        return self._connect()

    def _give_back(self, reader: PooledReader) -> None:
        usable = reader.end()
        with self._lock:
            if usable and not self._closed:
                self._idle.append(reader)
                return
        reader.close()

"""One thread that writes: appends that wait together are committed together."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

import msgspec

from hiveloop._guard import contain
from hiveloop.board.model import NewEvent

from .database import Database
from .ledger import Ledger
from .protocol import Appended, Statement, StoreClosedError, StoreError

__all__ = ["Writer", "promised"]

T = TypeVar("T")

_MOST_APPENDS = 64
_MOST_EVENTS = 4_000
"""In one transaction: beyond, the first would wait for the last."""
_BAD_VALUES = (ValueError, OverflowError, TypeError)
"""What drivers raise for a value that no column can hold."""


class _Append(msgspec.Struct):
    world: str
    events: Sequence[NewEvent]
    also: Sequence[Statement]
    future: Future[Appended]


class _Call(msgspec.Struct):
    work: Callable[[Ledger], Any]
    future: Future[Any]
    forgets: bool


def promised() -> Future[Any]:
    """Return a future that nobody can cancel: what it is for may be half written.

    A caller that gives up only stops waiting.
    """
    future: Future[Any] = Future()
    future.set_running_or_notify_cancel()
    return future


class Writer:
    """Runs appends and other writing on its own thread, each group in one transaction.

    Args:
        db: the connection, this thread's from now on.
        most_names: see `Ledger`.
    """

    def __init__(self, db: Database, most_names: int) -> None:
        self._db = db
        self._ledger = Ledger(db, most_names)
        self._expected = db.errors + _BAD_VALUES
        self._jobs: deque[_Append | _Call] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._main, name="hiveloop-board-store", daemon=True)
        self._thread.start()

    def append(self, world: str, events: Sequence[NewEvent], also: Sequence[Statement]) -> Future[Appended]:
        """Queue an append."""
        future: Future[Appended] = promised()
        self._put(_Append(world, events, also, future))
        return future

    def call(self, work: Callable[[Ledger], T], *, forgets: bool = False) -> Future[T]:
        """Queue other work for a transaction of its own; `forgets` when caches do not outlive it."""
        future: Future[T] = promised()
        self._put(_Call(work, future, forgets))
        return future

    def steps(self, step: Callable[[Ledger], bool]) -> Future[None]:
        """Queue a step, and another one while it says that more is to do: appends come in between."""
        done: Future[None] = Future()

        def go_on(taken: Future[bool]) -> None:
            error = taken.exception()
            if error is not None:
                done.set_exception(error)
            elif taken.result():
                self.call(step).add_done_callback(go_on)
            else:
                done.set_result(None)

        self.call(step).add_done_callback(go_on)
        return done

    def close(self) -> None:
        """Finish what waits, then end the thread."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    def _put(self, job: _Append | _Call) -> None:
        with self._changed:
            if not self._closing:
                self._jobs.append(job)
                self._changed.notify()
                return
        job.future.set_exception(StoreClosedError("the store is closed"))

    # -- on the thread ------------------------------------------------------------------------------

    def _main(self) -> None:
        while jobs := self._take():
            contain("board store", self._serve, jobs, default=None)
            left = [job.future for job in jobs if not job.future.done()]
            if left:
                self._undo()
            for future in left:
                future.set_exception(StoreError("the store failed; see the log"))
        self._db.close()

    def _undo(self) -> None:
        self._db.rollback()
        self._ledger.forget()

    def _take(self) -> list[_Append | _Call]:
        """Wait for jobs; return one call, or appends that came in the meantime. Empty: the end."""
        with self._changed:
            while not self._jobs and not self._closing:
                self._changed.wait()
            if not self._jobs:
                return []
            taken = [self._jobs.popleft()]
            if isinstance(taken[0], _Call):
                return taken
            events = len(taken[0].events)
            while self._jobs and len(taken) < _MOST_APPENDS and events < _MOST_EVENTS:
                following = self._jobs[0]
                if isinstance(following, _Call):
                    break
                events += len(following.events)
                taken.append(self._jobs.popleft())
            return taken

    def _serve(self, jobs: list[_Append | _Call]) -> None:
        first = jobs[0]
        if isinstance(first, _Call):
            self._settle([first.future], lambda: [first.work(self._ledger)])
            if first.forgets:
                self._ledger.forget()
            return
        appends = [job for job in jobs if isinstance(job, _Append)]
        if len(appends) > 1 and self._store(appends, last_try=False):
            return
        for append in appends:  # alone, or one of several that cannot be stored while the others can
            self._store([append], last_try=True)

    def _store(self, appends: list[_Append], *, last_try: bool) -> bool:
        futures = [append.future for append in appends]
        return self._settle(futures, lambda: self._written(appends), last_try=last_try)

    def _written(self, appends: list[_Append]) -> list[Appended]:
        answers = self._ledger.store([(append.world, append.events) for append in appends])
        for append in appends:
            for sql, args in append.also:
                self._db.run(sql, args)
        return answers

    def _settle(
        self, futures: Sequence[Future[Any]], work: Callable[[], Sequence[Any]], *, last_try: bool = True
    ) -> bool:
        """Run work in a transaction and resolve the futures; they learn of a failure at the last try."""
        try:
            self._db.begin()
            answers = work()
            self._db.commit()
        except self._expected as error:
            self._undo()
            if last_try:
                self._fail(futures, error)
            return False
        for future, answer in zip(futures, answers, strict=True):
            future.set_result(answer)
        return True

    def _fail(self, futures: Sequence[Future[Any]], error: Exception) -> None:
        known = isinstance(error, self._db.errors)
        told = self._db.explain(error) if known else StoreError(f"a value cannot be stored: {error}")
        for future in futures:
            future.set_exception(told)

"""Runs retention in steps, so that appends need not wait for all of it."""

from __future__ import annotations

from concurrent.futures import Future

from .ledger import Ledger
from .protocol import Pruned
from .retention import Retention, prune_step
from .writer import Writer

__all__ = ["prune"]


def prune(writer: Writer, keep: Retention, now_us: int) -> Future[Pruned]:
    """Queue one step after the other until nothing is left to remove."""
    removed: list[Pruned] = []
    total: Future[Pruned] = Future()

    def step(ledger: Ledger) -> bool:
        found, more = prune_step(ledger, keep, now_us)
        removed.append(found)
        return more

    def finish(done: Future[None]) -> None:
        error = done.exception()
        if error is not None:
            total.set_exception(error)
        else:
            total.set_result(Pruned(*(sum(counts) for counts in zip(*map(_counts, removed), strict=True))))

    writer.steps(step).add_done_callback(finish)
    return total


def _counts(pruned: Pruned) -> tuple[int, int]:
    return pruned.events, pruned.heartbeats

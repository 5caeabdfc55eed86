"""Runs retention in steps, so that appends need not wait for all of it."""

from __future__ import annotations

from concurrent.futures import Future

from .protocol import Pruned
from .retention import Retention, prune_step
from .writer import Writer

__all__ = ["prune"]


def prune(writer: Writer, keep: Retention, now_us: int) -> Future[Pruned]:
    """Queue one step after the other until nothing is left to remove."""
    total: Future[Pruned] = Future()

    def step(events: int, heartbeats: int) -> None:
        writer.call(lambda ledger: prune_step(ledger, keep, now_us)).add_done_callback(
            lambda done: follow(done, events, heartbeats)
        )

    def follow(done: Future[tuple[Pruned, bool]], events: int, heartbeats: int) -> None:
        error = done.exception()
        if error is not None:
            total.set_exception(error)
            return
        removed, more = done.result()
        events, heartbeats = events + removed.events, heartbeats + removed.heartbeats
        if more:
            step(events, heartbeats)
        else:
            total.set_result(Pruned(events, heartbeats))

    step(0, 0)
    return total

"""Calls sensors in a signal handler that interrupts sensor calls, flushes and statistics."""

from __future__ import annotations

import itertools
import signal
import time
from types import FrameType

import hiveloop

hb = hiveloop.init(flush_interval=0.01, max_queue_size=200_000)
agent = hb.agent("signals", heartbeat_interval=0.1)
numbers = itertools.count()  # a handler may interrupt itself: taking a number must be one step


def handler(_signum: int, _frame: FrameType | None) -> None:
    number = next(numbers)
    with agent.task(f"signal-{number}"):
        agent.event("custom", {"kind": "told", "data": {"who": "handler", "n": number}})


signal.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
deadline = time.monotonic() + 1.5
n = 0
while time.monotonic() < deadline:
    with agent.task(f"main-{n}") as task:
        task.event("custom", {"kind": "told", "data": {"who": "main", "n": n}})
    n += 1
    if n % 20 == 0:
        hb.stats()
    if n % 100 == 0:
        hb.flush(timeout=0.01)
signal.setitimer(signal.ITIMER_REAL, 0)
assert hb.flush(timeout=20), hb.stats()
stats = hb.stats()
assert stats.accepted == stats.delivered + sum(stats.dropped.values()) + stats.waiting + stats.in_flight, (
    stats
)
assert not stats.dropped, stats
print(n, next(numbers))

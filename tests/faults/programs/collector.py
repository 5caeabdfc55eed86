"""Calls sensors in ``__del__``, which the garbage collector runs in the middle of anything."""

from __future__ import annotations

import gc
import itertools

import hiveloop

hb = hiveloop.init(flush_interval=0.01, max_queue_size=200_000)
agent = hb.agent("collector", heartbeat_interval=0.05)
numbers = itertools.count()


class Knot:
    """An object that only the cycle collector can free."""

    def __init__(self) -> None:
        self.me = self

    def __del__(self) -> None:
        number = next(numbers)
        with agent.task(f"grave-{number}"):
            agent.event("custom", {"kind": "told", "data": {"who": "knot", "n": number}})


gc.set_threshold(20, 2, 2)  # a collection within nearly every sensor call, on every thread of ours
for n in range(3000):
    Knot()
    agent.event("custom", {"kind": "told", "data": {"who": "main", "n": n, "junk": [{}, {"a": []}]}})
    if n % 100 == 0:
        hb.stats()
gc.set_threshold(700, 10, 10)
gc.collect()
assert hb.flush(timeout=20), hb.stats()
assert not hb.stats().dropped, hb.stats()
print(next(numbers))

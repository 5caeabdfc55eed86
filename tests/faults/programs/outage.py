"""Six hundred thousand events against a server that is down, as fast as the sensors take them.

That is ten minutes of outage at a thousand events per second. Prints what memory and the books did.
"""

from __future__ import annotations

import gc
import json
import sys
import threading
import time
from pathlib import Path

import hiveloop

EVENTS = int(sys.argv[1])
QUEUE = 10_000


def rss_bytes() -> int:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * 4096


def runqueue_seconds() -> float:
    """How long our threads were ready to run while other programs had the processor.

    All of them, not only the caller: it may wait for the interpreter, held by one that is kept waiting.
    """
    waits = [stat.read_text().split()[1] for stat in Path("/proc/self/task").glob("*/schedstat")]
    return sum(map(int, waits)) / 1e9


hb = hiveloop.init(max_queue_size=QUEUE, flush_interval=0.5)
agent = hb.agent("stranded", heartbeat_interval=0)
patience = time.monotonic() + 20
while all(lane.last_error is None for lane in hb.stats().transports.values()):
    assert time.monotonic() < patience, hb.stats()
    threading.Event().wait(0.01)  # what the first attempt loads and allocates is not the queue's growth
samples: list[int] = []
unbalanced = 0
slowest = 0.0
delayed = runqueue_seconds()  # looked at now and then: within a hundred calls it changes by the slow one
prompt = "What did the customer ask for? " * 8
for n in range(EVENTS):
    started = time.perf_counter()
    agent.llm_call(
        "reason", "model-1", tokens_in=n, tokens_out=350, cost=0.008, prompt_preview=f"{n} {prompt}",
        metadata={"turn_number": n, "stop_reason": "end_turn"},
    )  # fmt: skip
    elapsed = time.perf_counter() - started
    if elapsed > slowest:
        slowest = max(slowest, elapsed - (runqueue_seconds() - delayed))
    if n % 100 == 0:
        delayed = runqueue_seconds()
    if n % 10_000 == 9_999:
        stats = hb.stats()
        unbalanced += (
            stats.accepted != stats.delivered + sum(stats.dropped.values()) + stats.waiting + stats.in_flight
        )
        if n >= 3 * QUEUE:  # the queue has been full for a while
            samples.append(rss_bytes())
gc.collect()
stats = hb.stats()
hiveloop.shutdown(timeout=1)
after = hb.stats()
figures = {
    "accepted": stats.accepted,
    "delivered": stats.delivered,
    "held": stats.waiting + stats.in_flight,
    "dropped": dict(stats.dropped),
    "unbalanced": unbalanced,
    "slowest_seconds": slowest,
    "rss_first": samples[0],
    "rss_most": max(samples),
    "rss_last": samples[-1],
    "dropped_after": dict(after.dropped),
    "accepted_after": after.accepted,
    "held_after": after.waiting + after.in_flight,
}
print(json.dumps(figures))

"""Thousands of agents with heartbeats in one process.

Arguments: how many agents, heartbeat interval in seconds, "memory" or "http".
"""

from __future__ import annotations

import gc
import json
import sys
import threading
import time
from collections import Counter

import hiveloop
from hiveloop.transports import MemoryTransport

count, interval, target = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3]


def rss_bytes() -> int:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * 4096


def ours() -> list[str]:
    return sorted(thread.name for thread in threading.enumerate() if thread.name.startswith("hiveloop"))


memory = MemoryTransport()
hb = hiveloop.init(
    flush_interval=0.1,
    batch_size=500,
    max_queue_size=100_000,
    transport=memory if target == "memory" else None,
)
others = threading.active_count()
hb.agent("first", heartbeat_interval=0)
assert hb.flush(timeout=10)  # what the first request loads is not what agents cost
gc.collect()
rss_before = rss_bytes()
started = time.perf_counter()
agents = [hb.agent(f"agent-{n}", heartbeat_interval=interval) for n in range(count)]
registered = time.perf_counter() - started
rss_after = rss_bytes()
callbacks = [
    hb.agent(f"agent-{n}", heartbeat_payload=lambda: {"x": 1}, queue_provider=lambda: {"depth": 3})
    for n in range(20)
]
most: list[str] = []
deadline = time.monotonic() + 2.5 * interval
while time.monotonic() < deadline:
    most = max(most, ours(), key=len)
    threading.Event().wait(0.02)
alive = threading.active_count()
assert hb.flush(timeout=30), hb.stats()
most = max(most, ours(), key=len)
beats: Counter[str] = Counter(event.agent.agent_id for event in memory.events if event.type == "heartbeat")
stopping = time.perf_counter()
hiveloop.shutdown(timeout=10)
figures = {
    "threads": most,
    "new_threads": alive - others,
    "registered_seconds": registered,
    "rss_bytes": rss_after - rss_before,
    "shutdown_seconds": time.perf_counter() - stopping,
    "fewest_beats": min((beats[agent.agent_id] for agent in agents), default=0),
    "dropped": dict(hb.stats().dropped),
    "left": ours(),
}
print(json.dumps(figures))

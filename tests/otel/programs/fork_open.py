"""Forks inside an open task; parent and child each go on reporting."""

from __future__ import annotations

import json
import os
import sys

import hiveloop
from hiveloop_otel import OTelTransport

every = sys.argv[1] == "all"
hb = hiveloop.init(transport=OTelTransport(metrics=every, logs=every), flush_interval=0.05)
agent = hb.agent("forker", heartbeat_interval=0)


def tell(who: str) -> None:
    flushed = hiveloop.flush(timeout=10)
    stats = hb.stats()
    fine = flushed and stats.accepted == stats.delivered and not stats.dropped
    print(json.dumps({"who": who, "stats": "balanced" if fine else str(stats)}), flush=True)


with agent.task("warm-up-task"), agent.track_context("before"):
    pass
assert hiveloop.flush(timeout=10)  # connections are open, and threads run

with agent.task("parent-task"):
    pid = os.fork()
    if pid == 0:
        with agent.task("child-task"), agent.track_context("in child"):
            pass
        tell("child")
        hiveloop.shutdown(timeout=2)
        os._exit(0)
    with agent.track_context("in parent"):
        pass
    assert os.waitpid(pid, 0)[1] == 0, "the child did not end well"
tell("parent")

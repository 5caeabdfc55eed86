"""Spreads work over a ProcessPoolExecutor, started as the argument says."""

from __future__ import annotations

import multiprocessing
import os
import sys
from concurrent.futures import ProcessPoolExecutor

import hiveloop


def work(number: int) -> int:
    hb = hiveloop.get_client() or hiveloop.init(flush_interval=60)
    agent = hb.agent(f"worker-{os.getpid()}", heartbeat_interval=0)
    with agent.task(f"job-{number}", project="pool") as task, agent.track_context("crunch"):
        task.event("custom", {"kind": "told", "data": {"who": "job", "n": number}})
    return os.getpid()


def main() -> None:
    hb = hiveloop.init(flush_interval=60)
    hb.agent("parent", heartbeat_interval=0).event(
        "custom", {"kind": "told", "data": {"who": "parent", "n": 0}}
    )
    context = multiprocessing.get_context(sys.argv[1])
    with ProcessPoolExecutor(max_workers=3, mp_context=context) as pool:
        pids = set(pool.map(work, range(30)))
    assert os.getpid() not in pids
    print(len(pids))


if __name__ == "__main__":
    main()

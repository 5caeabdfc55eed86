"""Forks again and again while threads call sensors and events are on their way."""

from __future__ import annotations

import os
import sys
import threading

import hiveloop

CHILDREN = 30

hb = hiveloop.init(flush_interval=0.01, batch_size=20, max_queue_size=200_000)
agent = hb.agent("busy", heartbeat_interval=0.05)
stop = threading.Event()
told = [0, 0]


def chatter(number: int) -> None:
    while not stop.is_set():
        agent.event("custom", {"kind": "told", "data": {"who": f"thread-{number}", "n": told[number]}})
        told[number] += 1
        if told[number] % 5 == 0:
            stop.wait(0.001)


threads = [threading.Thread(target=chatter, args=(number,)) for number in range(len(told))]
for thread in threads:
    thread.start()
for child in range(CHILDREN):
    pid = os.fork()
    if pid == 0:
        with agent.task(f"child-{child}") as task:
            task.event("custom", {"kind": "told", "data": {"who": f"child-{child}", "n": 0}})
        sys.exit(0)
    assert os.waitpid(pid, 0)[1] == 0, "a child did not end well"
stop.set()
for thread in threads:
    thread.join()
assert hiveloop.flush(timeout=20)
print(told[0], told[1])

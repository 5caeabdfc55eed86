"""Forks while events wait in the queue; the children end in different ways."""

from __future__ import annotations

import os
import sys

import hiveloop

hb = hiveloop.init(flush_interval=60)
agent = hb.agent("forker", heartbeat_interval=0)


def tell(who: str, first: int, count: int) -> None:
    for n in range(first, first + count):
        agent.event("custom", {"kind": "told", "data": {"who": who, "n": n}})


def fork(who: str) -> int:
    pid = os.fork()
    if pid:
        return pid
    tell(who, 0, 20)
    match who:
        case "leaves":
            sys.exit(0)
        case "raises":
            raise RuntimeError("a child's own exception")
        case "flushes":
            os._exit(0 if hiveloop.flush(timeout=5) else 4)
        case "shuts-down":
            hiveloop.shutdown(timeout=5)
            os._exit(0)
        case "grandparent":
            grandchild = os.fork()
            if grandchild == 0:
                tell("grandchild", 0, 20)
                sys.exit(0)
            sys.exit(os.waitstatus_to_exitcode(os.waitpid(grandchild, 0)[1]))
        case _:
            os._exit(5)


tell("parent", 0, 50)
children = {who: fork(who) for who in ("leaves", "raises", "flushes", "shuts-down", "grandparent")}
codes = {who: os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for who, pid in children.items()}
tell("parent", 50, 10)
print(codes)

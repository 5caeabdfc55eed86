"""Starts children with multiprocessing: fork, spawn or forkserver, as the argument says."""

from __future__ import annotations

import multiprocessing
import sys

import hiveloop


def tell(who: str, first: int, count: int) -> None:
    hb = hiveloop.get_client() or hiveloop.init(flush_interval=60)
    agent = hb.agent("family", heartbeat_interval=0)
    for n in range(first, first + count):
        agent.event("custom", {"kind": "told", "data": {"who": who, "n": n}})


def main() -> None:
    multiprocessing.set_start_method(sys.argv[1])
    tell("parent", 0, 50)
    children = [multiprocessing.Process(target=tell, args=(f"child-{number}", 0, 20)) for number in range(3)]
    for child in children:
        child.start()
    for child in children:
        child.join()
        assert child.exitcode == 0, child.exitcode
    tell("parent", 50, 10)


if __name__ == "__main__":
    main()

"""Threads and executors: carry the current task along with the work you hand over.

A context variable does not follow a function into a pool; `hiveloop.propagate` takes it there. Here
every file is hashed in a pool, and every hash is an action of the task that asked for it.

    python examples/threads_and_executors.py

Prints to the terminal; with HIVELOOP_API_KEY set it reports to HiveBoard instead.
"""

from __future__ import annotations

import hashlib
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import hiveloop


@hiveloop.track("hash_file")
def hash_file(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def hash_all(agent: hiveloop.Agent, folder: Path) -> dict[str, str]:
    """Fan out to a pool, inside one task."""
    files = sorted(folder.glob("*.py"))
    with agent.task("hash-all", project="examples") as task, ThreadPoolExecutor(max_workers=4) as pool:
        hashes = dict(
            zip([f.name for f in files], pool.map(hiveloop.propagate(hash_file), files), strict=True)
        )
        task.set_payload({"files": len(hashes)})
    return hashes


def watch(agent: hiveloop.Agent, name: str) -> None:
    """A thread with a task of its own needs nothing: tasks of different threads do not mix."""
    with agent.task(f"watch-{name}", type="watch"):
        hiveloop.event("custom", {"kind": "learning", "data": {"description": f"{name} has not changed"}})


def main() -> None:
    transport = None if os.environ.get("HIVELOOP_API_KEY") else hiveloop.ConsoleTransport()
    hb = hiveloop.init(transport=transport)

    hashes = hash_all(hb.agent("hasher", type="worker"), Path(__file__).parent)
    watcher = hb.agent("watcher", type="worker")
    threads = [threading.Thread(target=watch, args=(watcher, name)) for name in list(hashes)[:3]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    hiveloop.shutdown()


if __name__ == "__main__":
    main()

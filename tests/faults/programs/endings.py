"""Ends in the way the argument names, with events in the queue."""

from __future__ import annotations

import os
import signal
import sys
import threading

import hiveloop

hb = hiveloop.init(flush_interval=60)
agent = hb.agent("ending", heartbeat_interval=1)
if sys.argv[1] == "keyboard-interrupt":
    # An import on any thread can make Python forget that it ends by an interrupt: be done with those.
    hiveloop.flush(timeout=5)
for n in range(30):
    agent.event("custom", {"kind": "told", "data": {"who": "main", "n": n}})


def in_a_thread() -> None:
    agent.event("custom", {"kind": "told", "data": {"who": "thread", "n": 0}})
    threading.Event().wait(0.2)
    agent.event("custom", {"kind": "told", "data": {"who": "thread", "n": 1}})


match sys.argv[1]:
    case "end-of-script":
        pass
    case "sys-exit":
        sys.exit(3)
    case "exception":
        raise RuntimeError("the program's own exception")
    case "exception-in-task":
        with agent.task("doomed"):
            raise RuntimeError("the program's own exception")
    case "sigterm":
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
        os.kill(os.getpid(), signal.SIGTERM)
        threading.Event().wait(10)
    case "keyboard-interrupt":
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.kill(os.getpid(), signal.SIGINT)
        threading.Event().wait(10)
    case "thread":
        # A thread that is not a daemon outlives the main thread; its last events count too.
        threading.Thread(target=in_a_thread).start()
    case "shutdown-twice":
        hiveloop.shutdown(timeout=5)
        hiveloop.shutdown(timeout=5)
    case other:
        sys.exit(f"no such ending: {other}")

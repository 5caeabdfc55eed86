"""Calls sensors from atexit handlers, registered before and after hiveloop's own."""

from __future__ import annotations

import atexit


def too_late() -> None:
    agent.event("custom", {"kind": "told", "data": {"who": "too-late", "n": 0}})
    with agent.task("too-late"), agent.track_context("anything"):
        pass
    print("too late, and harmless")


def in_time() -> None:
    agent.event("custom", {"kind": "told", "data": {"who": "in-time", "n": 0}})


# Handlers run last in, first out: this one after hiveloop has shut down.
atexit.register(too_late)

import hiveloop  # noqa: E402 - the order is the point

hb = hiveloop.init(flush_interval=60)
agent = hb.agent("exit-handlers", heartbeat_interval=0)
agent.event("custom", {"kind": "told", "data": {"who": "main", "n": 0}})
atexit.register(in_time)

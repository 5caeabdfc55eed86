"""Reports for a moment and then simply ends, as most programs do."""

from __future__ import annotations

import threading

import hiveloop

hb = hiveloop.init(flush_interval=0.05)
agent = hb.agent("leaver", heartbeat_interval=1)
for n in range(200):
    agent.event("custom", {"kind": "probe", "data": {"n": n}})
threading.Event().wait(0.3)  # the trouble is under way when the program ends
with agent.task("last") as task:
    task.llm_call("reason", "model-1")
print("leaving")

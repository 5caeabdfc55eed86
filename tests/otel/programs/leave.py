"""Reports by OTLP for a moment and then simply ends, as most programs do, with a task still open."""

from __future__ import annotations

import threading

import hiveloop
from hiveloop_otel import OTelTransport

hb = hiveloop.init(transport=OTelTransport(metrics=True, logs=True), flush_interval=0.05)
agent = hb.agent("leaver", heartbeat_interval=1)
for number in range(200):
    with agent.track_context(f"action-{number}"):
        pass
threading.Event().wait(0.3)  # the trouble is under way when the program ends
task = agent.start_task("open at the end")
task.llm_call("reason", "model-1")
print("leaving")

"""What is measured: the same agent run, written for each library as its own documents show it.

This module runs in the interpreters of the peers, so it imports nothing but the standard library
before a target is started. One run is 1 task, 3 actions with a payload, 2 LLM calls, 1 plan and
2 plan steps: 13 HiveLoop events, or 6 spans and 3 span events of OpenTelemetry. Ids and tokens differ
from run to run, as they do in life, so that nothing looks cheap that is only remembered.
"""

from __future__ import annotations

import importlib
import threading
import time
from collections import deque
from typing import Any, Protocol

EVENTS_PER_RUN = 13
SPANS_PER_RUN = 6
API_KEY = "hb_live_bench_0123456789abcdef"
MODEL = "claude-sonnet-4-20250514"
GOAL = "Qualify the lead and write to it"
STEPS = ["look the company up", "score the lead", "write the message"]
ACTIONS: list[tuple[str, dict[str, Any]]] = [
    (
        "search_crm",
        {
            "args": {"query": "acme corp", "limit": 10},
            "result": "3 contacts",
            "success": True,
            "duration_ms": 42,
        },
    ),
    (
        "score_lead",
        {"args": {"lead": 4821, "signals": ["visited", "replied"]}, "result": {"score": 87}, "success": True},
    ),
    (
        "send_mail",
        {"args": {"to": "jo@example.com", "subject": "Hello"}, "result": "queued", "success": True},
    ),
]


class Target(Protocol):
    """One library, set up and used as an application would."""

    def start(self, endpoint: str, *, queue_size: int | None, flush_interval: float) -> None:
        """Set the library up; `queue_size` None means as shipped."""

    def run(self, number: int) -> None:
        """One agent run."""

    def open_task(self) -> None:
        """Start the task that `llm_call` reports to."""

    def llm_call(self) -> None:
        """Report one LLM call."""

    def add_agent(self, number: int) -> None:
        """Register one more agent with a heartbeat every 30 s."""

    def settle(self) -> None:
        """Let what was emitted so far go out, and stay usable."""

    def drain(self) -> None:
        """Return when everything emitted has been handed over; may end the library."""


class HiveLoop:
    """Any version of hiveloop: both speak the documented API."""

    def __init__(self, **options: Any) -> None:
        self._options = options

    def start(self, endpoint: str, *, queue_size: int | None, flush_interval: float) -> None:
        self._lib: Any = importlib.import_module("hiveloop")
        options = dict(self._options)
        if queue_size is not None:
            options["max_queue_size"] = queue_size
        self._hb = self._lib.init(
            api_key=API_KEY, endpoint=endpoint, flush_interval=flush_interval, **options
        )
        self.agent = self._hb.agent("bench-agent", type="sales", version="1.0")

    def run(self, number: int) -> None:
        agent = self.agent
        with agent.task(f"task-{number}", project="sales", type="enrichment") as task:
            task.plan(GOAL, STEPS)
            task.plan_step(0, "started", "looking the company up")
            for name, payload in ACTIONS:
                with agent.track_context(name) as action:
                    action.set_payload(payload)
            spent = 1200 + number
            task.llm_call("reason", MODEL, tokens_in=spent, tokens_out=350, cost=0.008, duration_ms=spent)
            task.llm_call("write", MODEL, tokens_in=spent, tokens_out=420, cost=0.011, duration_ms=1900)
            task.plan_step(0, "completed", "Done: 3 contacts", turns=2, tokens=2770)

    def open_task(self) -> None:
        self._task = self.agent.start_task("task-long", project="sales", type="enrichment")

    def llm_call(self) -> None:
        self._task.llm_call("reason", MODEL, tokens_in=1200, tokens_out=350, cost=0.008, duration_ms=1200)

    def add_agent(self, number: int) -> None:
        self._hb.agent(f"agent-{number}", type="sales", version="1.0", heartbeat_interval=30.0)

    def settle(self) -> None:
        raise NotImplementedError

    def drain(self) -> None:
        raise NotImplementedError


class Ours(HiveLoop):
    """The checkout, or what is installed of it."""

    def settle(self) -> None:
        self._lib.flush(timeout=30)

    def drain(self) -> None:
        if not self._lib.flush(timeout=60):
            raise SystemExit("hiveloop.flush() gave up after 60 s")

    def stats(self) -> Any:
        """The client's counters."""
        return self._hb.stats()


class HiveLoop020(HiveLoop):
    """hiveloop 0.2.0, whose flush() only wakes a thread: nothing but shutdown() waits."""

    def settle(self) -> None:
        self._lib.flush()
        threading.Event().wait(0.5)

    def drain(self) -> None:
        self._lib.shutdown(timeout=60)


class OpenTelemetry:
    """The OpenTelemetry SDK with its batch processor and OTLP over HTTP."""

    def start(self, endpoint: str, *, queue_size: int | None, flush_interval: float) -> None:
        sdk: Any = importlib.import_module("opentelemetry.sdk.trace")
        export: Any = importlib.import_module("opentelemetry.sdk.trace.export")
        otlp: Any = importlib.import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter")
        processor = export.BatchSpanProcessor(
            otlp.OTLPSpanExporter(endpoint=f"{endpoint}/v1/traces"),
            max_queue_size=queue_size,
            schedule_delay_millis=flush_interval * 1000,
        )
        self._provider = sdk.TracerProvider()
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("bench")

    def run(self, number: int) -> None:
        attributes = {
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.agent.name": "bench-agent",
            "task.id": f"task-{number}",
            "task.project": "sales",
            "task.type": "enrichment",
        }
        with self._tracer.start_as_current_span("invoke_agent bench-agent", attributes=attributes) as task:
            task.add_event("plan_created", {"goal": GOAL, "steps": STEPS})
            task.add_event(
                "plan_step", {"index": 0, "action": "started", "summary": "looking the company up"}
            )
            for name, payload in ACTIONS:
                self._tool(name, payload)
            spent = 1200 + number
            self._chat("reason", spent, 350, 0.008)
            self._chat("write", spent, 420, 0.011)
            task.add_event("plan_step", {"index": 0, "action": "completed", "turns": 2, "tokens": 2770})

    def _tool(self, name: str, payload: dict[str, Any]) -> None:
        with self._tracer.start_as_current_span(f"execute_tool {name}") as span:
            span.set_attribute("gen_ai.operation.name", "execute_tool")
            span.set_attribute("gen_ai.tool.name", name)
            for key, value in payload["args"].items():
                span.set_attribute(f"args.{key}", value)
            span.set_attribute("result", str(payload["result"]))
            span.set_attribute("success", payload["success"])

    def _chat(self, name: str, tokens_in: int, tokens_out: int, cost: float) -> None:
        attributes = {
            "gen_ai.operation.name": "chat",
            "gen_ai.request.model": MODEL,
            "gen_ai.usage.input_tokens": tokens_in,
            "gen_ai.usage.output_tokens": tokens_out,
            "cost": cost,
            "name": name,
        }
        self._tracer.start_span(f"chat {MODEL}", attributes=attributes).end()

    def open_task(self) -> None:
        pass

    def llm_call(self) -> None:
        self._chat("reason", 1200, 350, 0.008)

    def add_agent(self, number: int) -> None:
        raise NotImplementedError

    def settle(self) -> None:
        self._provider.force_flush(30_000)

    def drain(self) -> None:
        if not self._provider.force_flush(60_000):
            raise SystemExit("force_flush() gave up after 60 s")


class Floor:
    """The least that any SDK could do: append one tuple. Tells the machine's noise from ours."""

    def start(self, endpoint: str, *, queue_size: int | None, flush_interval: float) -> None:
        self._queue: deque[tuple[Any, ...]] = deque(maxlen=queue_size)

    def run(self, number: int) -> None:
        for _ in range(EVENTS_PER_RUN):
            self._queue.append((time.time_ns(), number, "reason", MODEL, 1200, 350, 0.008, 1200))

    def open_task(self) -> None:
        pass

    def llm_call(self) -> None:
        self._queue.append((time.time_ns(), 0, "reason", MODEL, 1200, 350, 0.008, 1200))

    def add_agent(self, number: int) -> None:
        raise NotImplementedError

    def settle(self) -> None:
        pass

    def drain(self) -> None:
        pass


def mask_arguments(payload: dict[str, Any]) -> dict[str, Any]:
    """A mask as applications write them: hide one argument of every tool call."""
    args = payload.get("args")
    if isinstance(args, dict) and "to" in args:
        return {**payload, "args": {**args, "to": "***"}}
    return payload


def create(name: str) -> Target:
    """Return the target called `name`; its library is imported only by `start`."""
    match name:
        case "ours":
            return Ours()
        case "ours_masked":
            return Ours(mask=mask_arguments, redact=True)
        case "ours_bare":
            return Ours(redact=False)
        case "hiveloop_020":
            return HiveLoop020()
        case "otel_http":
            return OpenTelemetry()
        case "floor":
            return Floor()
        case _:
            raise SystemExit(f"unknown target {name!r}")

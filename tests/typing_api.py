"""The public API as a user's type checker sees it: checked by mypy and pyright, never run.

`assert_type` fails when a signature is lost on the way through a decorator or a lazy import. The
functions below are an application that touches each public name the way the documentation does.
"""

# pyright: reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator, Mapping
from concurrent.futures import Executor, Future
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, assert_type

import hiveloop
from hiveloop import (
    Action,
    ActionInfo,
    Agent,
    AgentInfo,
    Batch,
    BatchLimits,
    ConsoleTransport,
    Delivered,
    DropReason,
    Event,
    EventType,
    HiveBoard,
    HiveLoopConfigError,
    HiveLoopError,
    HttpTransport,
    JsonlTransport,
    LaneStats,
    MemoryTransport,
    Misconfigured,
    Outcome,
    Refused,
    Retry,
    ScopeHooks,
    Severity,
    Stats,
    Task,
    TaskInfo,
    TooLarge,
    Transport,
)
from hiveloop.testing import capture

# -- init -----------------------------------------------------------------------------------------


def withhold(payload: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in payload.items() if key != "customer"}


def start() -> HiveBoard:
    assert_type(hiveloop.init(), HiveBoard)
    assert_type(hiveloop.init("hb_live_key"), HiveBoard)
    hiveloop.init(transport=MemoryTransport())
    hiveloop.init(transport=[MemoryTransport(), JsonlTransport("-")])
    hiveloop.init(transport=(JsonlTransport(Path("events.jsonl"), max_bytes=1_000, backups=1),))
    hiveloop.init(mask=lambda payload: payload)
    return hiveloop.init(
        api_key=None,
        environment="staging",
        group="sales",
        endpoint="https://board.example.com",
        flush_interval=1,
        batch_size=10,
        max_queue_size=100,
        debug=True,
        transport=None,
        enabled=True,
        capture_content=False,
        preview_max_chars=100,
        mask=withhold,
        redact=True,
        timeout=3.5,
        shutdown_timeout=2,
        headers={"X-Team": "sales"},
        ca_file="ca.pem",
        compression=True,
    )


def transports() -> list[Transport]:
    http = HttpTransport("hb_live_key", "https://board.example.com", timeout=1.0, headers={"X-Team": "sales"})
    assert_type(http.endpoint, str)
    assert_type(MemoryTransport().events, list[Event])
    return [http, ConsoleTransport(io.StringIO(), color=False), MemoryTransport(), JsonlTransport("x.jsonl")]


def wrong_settings() -> str:
    try:
        start()
    except HiveLoopConfigError as error:
        narrow: ValueError = error
        wide: HiveLoopError = error
        return f"{narrow} {wide}"
    return ""


# -- client ---------------------------------------------------------------------------------------


def client(hb: HiveBoard) -> Agent:
    assert_type(hiveloop.get_client(), HiveBoard | None)
    assert_type(hb.get_agent("sales"), Agent | None)
    assert_type(hb.enabled, bool)
    assert_type(hb.flush(1.0), bool)
    assert_type(hb.flush(timeout=1), bool)
    assert_type(hiveloop.flush(timeout=1.0), bool)
    hiveloop.shutdown(timeout=2.0)
    hiveloop.reset()
    agent = hb.agent(
        "sales",
        type="sales",
        version="1.2",
        framework="custom",
        heartbeat_interval=10.0,
        stuck_threshold=60,
        heartbeat_payload=lambda: {"turns": 3},
        queue_provider=lambda: None,
    )
    assert_type(agent, Agent)
    return agent


def figures(hb: HiveBoard) -> int:
    stats = hb.stats()
    assert_type(stats, Stats)
    assert_type(stats.dropped, dict[DropReason, int])
    assert_type(stats.transports, dict[str, LaneStats])
    assert_type(stats.transports["http"].last_error, str | None)
    return stats.accepted - stats.delivered - stats.dropped.get(DropReason.QUEUE_FULL, 0)


# -- @track keeps signatures ----------------------------------------------------------------------

agent = client(start())


@agent.track("search")
def search(query: str, *, limit: int = 10) -> list[str]:
    return [query] * limit


@agent.track
def bare(query: str) -> int:
    return len(query)


@agent.track()
def called(query: str) -> int:
    return len(query)


@hiveloop.track("fetch")
async def fetch(url: str, patience: float = 1.0) -> bytes:
    await asyncio.sleep(patience)
    return url.encode()


@hiveloop.track
async def fetch_bare(url: str) -> bytes:
    return url.encode()


@agent.track("pages")
def pages(count: int) -> Generator[int, str, bool]:
    for number in range(count):
        if (yield number) == "stop":
            return False
    return True


@agent.track("stream")
async def stream(text: str) -> AsyncGenerator[str, None]:
    for word in text.split():
        yield word


class Toolbox:
    """Methods of every kind."""

    def __init__(self, name: str) -> None:
        self.name = name

    @agent.track("method")
    def method(self, value: int) -> str:
        return self.name * value

    @classmethod
    @agent.track("of_class")
    def of_class(cls, name: str) -> Toolbox:
        return cls(name)

    @staticmethod
    @agent.track("of_none")
    def of_none(value: int) -> float:
        return value / 2

    @property
    @agent.track("length")
    def length(self) -> int:
        return len(self.name)


def signatures() -> None:
    assert_type(search("refunds", limit=3), list[str])
    assert_type(bare("refunds"), int)
    assert_type(called("refunds"), int)
    assert_type(pages(3), Generator[int, str, bool])
    assert_type(stream("a b"), AsyncGenerator[str, None])
    assert_type(Toolbox("x").method(3), str)
    assert_type(Toolbox.of_class("x"), Toolbox)
    assert_type(Toolbox.of_none(3), float)
    assert_type(Toolbox("x").length, int)
    exact: Callable[[str], int] = bare
    exact("refunds")


async def asynchronous_signatures() -> None:
    assert_type(await fetch("https://example.com", patience=2.0), bytes)
    assert_type(await fetch_bare("https://example.com"), bytes)
    words: AsyncIterator[str] = stream("a b")
    async for word in words:
        assert_type(word, str)


# A lost signature would let these pass, and then the ignored error is itself an error: mypy's
# `warn_unused_ignores` and pyright's `reportUnnecessaryTypeIgnoreComment` say so.


def wrong_calls() -> None:
    search(3)  # type: ignore[arg-type]
    search("refunds", 3)  # type: ignore[call-arg]
    bare()  # type: ignore[call-arg]
    Toolbox("x").method("3")  # type: ignore[arg-type]
    hiveloop.llm_call("name")  # type: ignore[call-arg]
    hiveloop.init(flush_interval="5")  # type: ignore[arg-type]


# -- scopes and sensors ---------------------------------------------------------------------------


def work(agent: Agent) -> None:
    with agent.task("lead-42", project="crm", type="lead", task_run_id="r", correlation_id="c") as task:
        assert_type(task, Task)
        assert_type(task.task_id, str)
        assert_type(task.task_run_id, str)
        with agent.track_context("search") as action:
            assert_type(action, Action)
            action.expecting(30)
            action.set_payload(hiveloop.tool_payload(args={"query": "x"}, result="y", duration_ms=12))
        all_task_sensors(task)
    manual = agent.start_task("lead-43")
    assert_type(manual, Task)
    with manual.activate() as active:
        assert_type(active, Task)
    manual.set_payload({"score": 3})
    manual.complete(status="qualified", payload={"score": 4})
    manual.fail()
    manual.fail(ValueError("no"), payload={"score": 0})


def all_task_sensors(task: Task) -> None:
    task.llm_call(
        "reason",
        "claude-sonnet-4",
        tokens_in=1_200,
        tokens_out=350,
        cost=0.008,
        duration_ms=1_900,
        prompt_preview="You are",
        response_preview="Sure",
        metadata={"turn": 1},
    )
    task.plan("Qualify", ["look", "score"], revision=1)
    task.plan_step(0, "completed", "Looked", total_steps=2, turns=1, tokens=900, plan_revision=1)
    task.escalate("Too large", assigned_to="manager", reason="amount", parent_event_id="e")
    task.escalate(reason="Too large")
    task.request_approval("Send the mail", approver="manager")
    task.approval_received("Yes", approved_by="manager", decision="denied")
    task.retry("Timeout", attempt=2, backoff_seconds=4.0)
    task.event("custom", {"kind": "learning", "data": {"rule": "x"}}, severity="warn", parent_event_id="e")
    task.expecting(60)


def all_agent_sensors(agent: Agent) -> None:
    agent.llm_call("reason", "claude-sonnet-4", cost=0)
    agent.queue_snapshot(3, oldest_age_seconds=120, items=[{"id": "1"}], processing={"id": "0"})
    agent.todo("t-1", "created", "Call", priority="high", source="mail", context="x", due_by="2026-01-01")
    agent.scheduled([{"id": "s-1", "next_run": "2026-01-01T00:00:00Z"}])
    agent.report_issue("No access", "high", issue_id="i", category="permissions", context={"code": 403})
    agent.resolve_issue("Access again", issue_id="i")
    agent.event("anything", {"x": 1})


def module_level_sensors() -> None:
    """Each is a function of the same arguments as the method, without the object."""
    hiveloop.llm_call("reason", "claude-sonnet-4", tokens_in=1, metadata={"turn": 1})
    hiveloop.plan("Qualify", ["look"])
    hiveloop.plan_step(0, "started", "Looking")
    hiveloop.escalate("Too large", assigned_to="manager")
    hiveloop.request_approval(reason="Send the mail")
    hiveloop.approval_received("Yes", decision="approved")
    hiveloop.retry("Timeout", attempt=2)
    hiveloop.event("custom", {"kind": "x"})
    hiveloop.set_payload({"score": 3})
    hiveloop.expecting(60)
    hiveloop.todo("t-1", "created", "Call")
    hiveloop.queue_snapshot(3)
    hiveloop.scheduled([])
    hiveloop.report_issue("No access", "high")
    hiveloop.resolve_issue("Access again")
    assert_type(hiveloop.track_context("search"), Action)
    sensor: Callable[[float], None] | Callable[[float], object] = hiveloop.expecting
    sensor(3.0)


# -- context --------------------------------------------------------------------------------------


def context(agent: Agent, task: Task, pool: Executor) -> None:
    assert_type(hiveloop.get_current_task(), Task | None)
    assert_type(hiveloop.get_current_agent(), Agent | None)
    hiveloop.set_current_task(task)
    hiveloop.set_current_agent(agent)
    hiveloop.clear_current_task()
    hiveloop.clear_current_agent()
    assert_type(hiveloop.propagate(search)("refunds", limit=2), list[str])
    later = pool.submit(hiveloop.propagate(search), "refunds", limit=2)
    assert_type(later, Future[list[str]])


# -- transports of the user's own -----------------------------------------------------------------


class Inheriting(Transport):
    """A subclass: only `send` must be written."""

    name = "inheriting"
    limits = BatchLimits(max_events=50, max_bytes=10_000, one_agent=True, max_delay=0.5)

    def prepare(self, batch: Batch) -> list[str]:
        assert_type(batch.events, tuple[Event, ...])
        assert_type(batch.backlog, int)
        assert_type(batch.agent, AgentInfo)
        return [event.payload_json for event in batch.events]

    def send(self, prepared: object, timeout: float) -> Outcome:
        if not isinstance(prepared, list):
            return Refused("not mine")
        return Delivered(rejected=("id",), warnings=("late",)) if prepared else Retry("busy", after=timeout)


class Structural:
    """No relation to hiveloop but its shape, and both halves of it."""

    def __init__(self) -> None:
        self.name = "structural"
        self.limits = BatchLimits()
        self.closed = False

    def prepare(self, batch: Batch) -> object:
        return batch

    def send(self, prepared: object, timeout: float) -> Outcome:
        return Misconfigured("no address") if self.closed else TooLarge()

    def flush(self, timeout: float) -> bool:
        return True

    def close(self, timeout: float) -> None:
        self.closed = True

    def scope_started(self, started: Event) -> None:
        assert_type(started.action, ActionInfo | None)

    def activate(self, started: Event) -> AbstractContextManager[object]:
        return nullcontext(started)


class Silent:
    """Cannot send."""

    name = "silent"
    limits = BatchLimits()


own: list[Transport] = [Inheriting(), Structural()]
hooks: ScopeHooks = Structural()
hiveloop.init(transport=own)
hiveloop.init(transport=Structural())
hiveloop.init(transport=Silent())  # type: ignore[arg-type]
hiveloop.init(transport=Inheriting)  # type: ignore[arg-type]


def outcome(result: Outcome) -> float | None:
    """Each outcome is told by its class, and there is no sixth."""
    match result:
        case Delivered(rejected=ids):
            return float(len(ids))
        case Retry(after=after):
            return after
        case TooLarge() | Refused() | Misconfigured():
            return None


# -- events ---------------------------------------------------------------------------------------


def event(event: Event) -> Mapping[str, Any]:
    assert_type(event.type, EventType)
    assert_type(event.severity, Severity)
    assert_type(event.agent, AgentInfo)
    assert_type(event.task, TaskInfo | None)
    assert_type(event.action, ActionInfo | None)
    assert_type(event.duration_ms, int | None)
    assert_type(event.kind, str | None)
    assert_type(event.summary, str | None)
    assert_type(event.payload, dict[str, Any])
    if event.type is EventType.CUSTOM and event.severity == "warn":
        return event.data
    return {}


# -- testing --------------------------------------------------------------------------------------


def testing() -> Iterator[Event]:
    with capture() as seen:
        search("refunds")
    seen.assert_called("search")
    seen.assert_cost_below(0.05)
    seen.assert_no_errors()
    yield from seen.events


versions: list[str] = [hiveloop.__version__, hiveloop.SDK_VERSION]

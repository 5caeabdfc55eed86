"""A transport that takes JSON gets, byte for byte, what it would have made of events."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

import hiveloop
from hiveloop import Batch, BatchLimits, Delivered, HttpTransport, JsonBatch, Outcome, TakesJson, Transport
from hiveloop._record import EventBuilder, JsonBuilder, Record
from hiveloop._redact import Privacy
from hiveloop._wire import encode_event
from hiveloop.testing import capture

pytestmark = pytest.mark.usefixtures("strict")

SECRET = "sk-" + "a" * 20


def _report(agent: Any) -> None:
    """Call every sensor, with and without a task, with text that JSON must escape and secrets."""
    with agent.task('t-1 ,"payload":{}', project="p", type="é\n", correlation_id="c") as task:
        task.plan("goal", ["one", f"two {SECRET}"])
        task.plan_step(0, "started", "\ud800 half a character")
        with agent.track_context("outer") as outer:
            outer.set_payload(
                {"args": {"token": "x", "n": 2**70, "f": 0.5, "none": None}, "result": [1, (2, "→")]}
            )
            with agent.track_context("inner"):
                pass
        with pytest.raises(ValueError, match="boom"), agent.track_context("failing"):
            raise ValueError("boom")
        task.llm_call(
            "reason", "model", tokens_in=1, cost=0.25, prompt_preview="x" * 400, metadata={"a": True}
        )
        task.escalate("up", assigned_to="jo", parent_event_id="abc")
        task.request_approval("may I", approver="jo")
        task.approval_received("yes", approved_by="jo")
        task.retry("again", attempt=2, backoff_seconds=1.5)
        task.event("custom", {"kind": "k", "data": {"password": "p"}}, severity="warn", parent_event_id="abc")
        task.set_payload({"summary": "mine", "large": "y" * 40_000})
    agent.llm_call("alone", "model")
    agent.queue_snapshot(3, oldest_age_seconds=5, items=[{"id": 1}])
    agent.todo("1", "created", "do")
    agent.scheduled([{"id": "s", "next_run": "2026-01-01T00:00:00Z"}])
    agent.report_issue("bad", "high", context={"api_key": SECRET})
    agent.resolve_issue("good")
    agent.event("mine", {"summary": "z" * 600})


@pytest.fixture
def records() -> Iterator[list[Record]]:
    with capture():
        agent = hiveloop.init().agent("an agent", heartbeat_interval=0)
        taken: list[Record] = []
        agent.put = taken.append
        agent.register()
        _report(agent)
        agent.stopped()
        yield taken


def _masked(payload: dict[str, Any]) -> dict[str, Any]:
    return {**payload, "masked": True}


@pytest.mark.parametrize("privacy", [Privacy(), Privacy(redact=False), Privacy(mask=_masked)])
def test_both_ways_end_in_the_same_bytes(records: list[Record], privacy: Privacy) -> None:
    events = EventBuilder(privacy).build(records)
    encoded = JsonBuilder(privacy).build(records)

    assert len(encoded) == len(records) > 20
    assert encoded == [encode_event(event) for event in events]
    assert [json.loads(e)["event_id"] for e in encoded] == [event.event_id for event in events]


def test_what_a_lane_asks_of_an_event_is_the_same(records: list[Record]) -> None:
    events, encoded = EventBuilder(Privacy()), JsonBuilder(Privacy())
    for record in records:
        [event], [text] = events.build([record]), encoded.build([record])
        assert encoded.event_id(text) == events.event_id(event)
        assert encoded.sizes([text]) == [len(text)]
        assert encoded.trimmed(text) == encode_event(events.trimmed(event))


class Both(Transport):
    """Notes through which door its batches came."""

    name = "both"
    limits = BatchLimits(one_agent=True)

    def __init__(self) -> None:
        self.batches: list[Batch | JsonBatch] = []

    def prepare(self, batch: Batch) -> object:
        self.batches.append(batch)
        return batch

    def prepare_json(self, batch: JsonBatch) -> object:
        self.batches.append(batch)
        return batch

    def send(self, prepared: object, timeout: float) -> Outcome:
        return Delivered()


class OnlyEvents(Both):
    """Overrides `prepare`, knowing of no second door."""

    def prepare(self, batch: Batch) -> object:
        return super().prepare(batch)


class ManyAgents(Both):
    """Has no envelope to put the agent in."""

    limits = BatchLimits()


class StandIn(Transport):
    """Passes on whatever it does not have."""

    def __init__(self, inner: Both) -> None:
        self.inner = inner
        self.limits = inner.limits

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def prepare(self, batch: Batch) -> object:
        return self.inner.prepare(batch)

    def send(self, prepared: object, timeout: float) -> Outcome:
        return self.inner.send(prepared, timeout)


def _batches(transport: Transport, noted: Both) -> list[Batch | JsonBatch]:
    hiveloop.reset()
    board = hiveloop.init(transport=transport, environment="test")
    board.agent("an agent", heartbeat_interval=0).event("custom", {"kind": "k"})
    assert hiveloop.flush(5)
    hiveloop.reset()
    return noted.batches


def test_a_transport_with_both_doors_gets_json() -> None:
    both = Both()
    [batch, *more] = _batches(both, both)

    assert isinstance(batch, JsonBatch)
    assert batch.agent.agent_id == "an agent"
    assert batch.agent.environment == "test"
    texts = [json.loads(text) for b in (batch, *more) for text in b.events if isinstance(text, bytes)]
    assert [text["event_type"] for text in texts[:2]] == ["agent_registered", "custom"]


@pytest.mark.parametrize("kind", [OnlyEvents, ManyAgents])
def test_a_transport_that_wants_events_gets_events(kind: type[Both]) -> None:
    transport = kind()
    assert all(isinstance(batch, Batch) for batch in _batches(transport, transport))
    assert transport.batches


def test_a_stand_in_gets_events() -> None:
    inner = Both()
    assert all(isinstance(batch, Batch) for batch in _batches(StandIn(inner), inner))
    assert inner.batches


def test_the_native_transport_takes_json() -> None:
    assert isinstance(HttpTransport("hb_test_0123456789", "http://127.0.0.1:9"), TakesJson)

"""The next batch is built while the answer to the one before is on its way."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, cast

import pytest

import hiveloop
from hiveloop import Batch, BatchLimits, Delivered, Outcome, Retry, Transport
from hiveloop.transport import work_ahead
from tests.support.server import Answer, Request, ScriptedServer, TlsAuthority, accepting
from tests.support.wait import eventually

pytestmark = pytest.mark.usefixtures("strict")

SIZE = 10


class Masks:
    """Counts the events that were built, by the calls of the mask."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, payload: dict[str, Any]) -> dict[str, Any]:
        self.count += 1
        return payload


class Ahead(Transport):
    """Works ahead in each `send` and notes how many events were built by its end, but not yet sent."""

    name = "ahead"
    limits = BatchLimits(max_events=SIZE, one_agent=True)

    def __init__(self, masks: Masks, *, outages: int = 0, calls: int = 1) -> None:
        self.masks, self.outages, self.calls = masks, outages, calls
        self.numbers: list[list[int]] = []
        self.ahead: list[int] = []
        self.sent = 0
        self.queued = threading.Event()

    def send(self, prepared: object, timeout: float) -> Outcome:
        self.queued.wait(10)
        for _ in range(self.calls):
            work_ahead()
        if self.outages:
            self.outages -= 1
            return Retry("busy", after=0.0)
        events = cast("Batch", prepared).events
        self.sent += len(events)
        self.ahead.append(self.masks.count - self.sent)
        self.numbers.append([event.data.get("n", -1) for event in events if event.kind == "k"])
        return Delivered()


def emit(transport: Transport, masks: Masks, events: int) -> None:
    board = hiveloop.init(transport=transport, mask=masks, flush_interval=0.01)
    agent = board.agent("sales", heartbeat_interval=0)
    for number in range(events):
        agent.event("custom", {"kind": "k", "data": {"n": number}})


@pytest.mark.parametrize("calls", [1, 3])
def test_one_batch_is_built_while_another_is_sent(calls: int) -> None:
    masks = Masks()
    transport = Ahead(masks, calls=calls)
    emit(transport, masks, 8 * SIZE)
    transport.queued.set()
    assert hiveloop.flush(10)

    sent = [number for batch in transport.numbers for number in batch]
    assert sent == list(range(8 * SIZE)), "in order, each once"
    assert max(transport.ahead) == SIZE, "one batch, however often it is called"


def test_an_outage_keeps_the_order_of_what_was_built_ahead() -> None:
    masks = Masks()
    transport = Ahead(masks, outages=3)
    emit(transport, masks, 6 * SIZE)
    transport.queued.set()
    assert hiveloop.flush(10)
    assert [number for batch in transport.numbers for number in batch] == list(range(6 * SIZE))
    assert masks.count == 6 * SIZE + 1, "built once, with the registration of the agent"


def test_a_mask_that_fails_ahead_costs_its_payload_only() -> None:
    def mask(payload: dict[str, Any]) -> dict[str, Any]:
        if payload.get("data", {}).get("n") == SIZE + 1:
            raise ValueError("no")
        return payload

    transport = Ahead(Masks())
    board = hiveloop.init(transport=transport, mask=mask, flush_interval=0.01)
    agent = board.agent("sales", heartbeat_interval=0)
    for number in range(4 * SIZE):
        agent.event("custom", {"kind": "k", "data": {"n": number}})
    transport.queued.set()
    assert hiveloop.flush(10)
    assert board.stats().delivered == 4 * SIZE + 1
    sent = [number for batch in transport.numbers for number in batch]
    assert sent == [-1 if number == SIZE + 1 else number for number in range(4 * SIZE)], "one is withheld"


@pytest.mark.parametrize("secure", [False, True])
def test_the_native_transport_works_ahead_while_the_server_thinks(tmp_path: Path, secure: bool) -> None:
    authority = TlsAuthority() if secure else None
    tls = authority.server_context() if authority else None
    ca_file = str(authority.write_certificate(tmp_path / "ca.pem")) if authority else None
    masks, queued = Masks(), threading.Event()
    seen: list[int] = []

    def answer(request: Request) -> Answer:
        seen.append(len(request.events))
        queued.wait(10)
        if 1 < len(seen) < 5:  # more of the same window follows
            eventually(lambda: masks.count > sum(seen), what="the next batch is built before the answer")
        return accepting()

    with ScriptedServer(default=answer, tls=tls) as server:
        board = hiveloop.init(
            "hb_test_key",
            endpoint=server.url,
            ca_file=ca_file,
            mask=masks,
            flush_interval=60,
            batch_size=100,
        )
        agent = board.agent("sales", heartbeat_interval=0)
        eventually(lambda: seen, what="the registration is sent")
        for number in range(400):
            agent.event("custom", {"kind": "k", "data": {"n": number}})
        queued.set()
        assert hiveloop.flush(20)
        assert seen == [1, 100, 100, 100, 100]
        numbers = [e["payload"]["data"]["n"] for e in server.events() if e["event_type"] == "custom"]
        assert numbers == list(range(400))
        hiveloop.reset()  # while the server is there to say goodbye to


def test_outside_of_send_it_does_nothing() -> None:
    work_ahead()

"""The live stream: order, filters, resuming, slow readers, and states that are pushed."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from websockets.client import ClientProtocol
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Frame, Opcode
from websockets.sync.client import connect
from websockets.uri import parse_uri

from hiveloop.board.live import MOST_IN_BATCH, RING, WAITING_BYTES, Filters, Hub, Listener
from hiveloop.board.model import StoredEvent
from hiveloop.board.security import Limits
from tests.support.wait import eventually

from .boards import Board, event, running_board


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Board]:
    """A board for all tests here; each has an agent of its own."""
    with running_board(tmp_path_factory.mktemp("board")) as running:
        yield running


def only(agent: str) -> dict[str, Any]:
    return {"channels": ["events"], "filters": {"agent_id": agent}}


# -- the contract ---------------------------------------------------------------------------------


def test_a_stored_event_is_pushed_at_once(board: Board) -> None:
    sent = event("task_started", task_id="now", payload={"summary": "é"})
    with board.stream(**only("pushed")) as stream:
        started = time.monotonic()
        board.send(sent, agent="pushed")
        message = stream.next()
        assert time.monotonic() - started < 1
    assert message["type"] == "event.new"
    data = message["data"]
    assert (data["event_id"], data["task_id"], data["payload"]) == (sent["event_id"], "now", {"summary": "é"})
    assert data == board.get(f"/v1/events/{sent['event_id']}")


def test_batches_carry_sequence_numbers_and_keep_the_order(board: Board) -> None:
    sent = [event(task_id=f"t{number}") for number in range(120)]
    with board.stream(v=2, **only("batches")) as stream:
        for start in range(0, 120, 20):
            board.send(*sent[start : start + 20], agent="batches")
        found = stream.events(120)
    assert [one["event_id"] for one in found] == [one["event_id"] for one in sent]
    numbers = [one["seq"] for one in found]
    assert numbers == sorted(set(numbers))


def test_a_duplicate_is_not_pushed_again(board: Board) -> None:
    one, two = event(), event()
    with board.stream(v=2, **only("twice")) as stream:
        board.send(one, agent="twice")
        board.send(one, two, agent="twice")
        assert [e["event_id"] for e in stream.events(2)] == [one["event_id"], two["event_id"]]


def test_a_stream_is_resumed_without_gap_or_duplicate(board: Board) -> None:
    with board.stream(v=2, **only("resumed")) as stream:
        board.send(event(task_id="seen"), agent="resumed")
        batch = stream.next()
    board.send(event(task_id="missed"), event(task_id="missed too"), agent="resumed")
    with board.stream(v=2, since_seq=batch["seq"], **only("resumed")) as stream:
        board.send(event(task_id="next"), agent="resumed")
        assert [e["task_id"] for e in stream.events(3)] == ["missed", "missed too", "next"]


def test_what_cannot_be_resumed_is_told(tmp_path: Path) -> None:
    with running_board(tmp_path) as board:
        board.send(*(event() for _ in range(5)))
        seq = board.get("/v1/board")["last_seq"]
    with running_board(tmp_path) as board:
        with board.stream(v=2, since_seq=1, channels=["events"]) as stream:
            assert stream.next() == {"type": "resync", "seq": seq}
        with board.stream(v=2, since_seq=seq + 1_000, channels=["events"]) as stream:
            assert stream.next()["type"] == "resync"
        with board.stream(v=2, since_seq=seq, channels=["events"]) as stream:
            board.send(event(task_id="new"))
            assert [e["task_id"] for e in stream.events(1)] == ["new"]


@pytest.mark.parametrize(
    ("filters", "wanted"),
    [
        ({"agent_id": "filtered"}, {"a", "b", "c"}),
        ({"agent_id": "filtered", "min_severity": "warn"}, {"b"}),
        ({"agent_id": "filtered", "event_types": ["task_started"]}, {"c"}),
        ({"agent_id": "filtered", "project_id": "p"}, {"a"}),
        ({"agent_id": "filtered", "environment": "nowhere"}, set()),
        ({"group": "blue"}, {"a", "b", "c"}),
    ],
)
def test_filters(board: Board, filters: dict[str, Any], wanted: set[str]) -> None:
    with board.stream(v=2, channels=["events"], filters=filters) as stream:
        board.send(
            event(task_id="a", project_id="p"),
            event("escalated", task_id="b"),
            event("task_started", task_id="c"),
            agent="filtered",
            group="blue",
        )
        end = event(task_id="end", project_id="p", severity="error")
        stream.send(action="subscribe", v=2, channels=["events"], filters={"agent_id": "end"})
        board.send(end, agent="end")
        seen = stream.until(lambda m: any(e["task_id"] == "end" for e in m.get("events", [])))
    found = {e["task_id"] for message in seen for e in message.get("events", [])}
    assert found == wanted | {"end"}


def test_a_new_subscription_takes_the_place_of_the_old_one(board: Board) -> None:
    with board.stream(
        v=2, channels=["events"], filters={"agent_id": "nobody", "min_severity": "error"}
    ) as stream:
        stream.send(action="subscribe", v=2, channels=["events"], filters={"agent_id": "anew"})
        assert stream.next()["filters"] == {"agent_id": "anew"}
        board.send(event(task_id="seen"), agent="anew")
        assert [e["task_id"] for e in stream.events(1)] == ["seen"]
        stream.send(action="subscribe", v=2, channels=["events"])
        assert stream.next()["filters"] == {}
        stream.send(action="unsubscribe", channels=["events"])
        assert stream.next() == {"type": "unsubscribed", "channels": []}
        board.send(event(task_id="unseen"), agent="anew")
        stream.send(action="ping")
        assert stream.next()["type"] == "pong"


def test_test_events_are_another_stream(board: Board) -> None:
    with (
        board.stream("test", v=2, channels=["events"]) as tests,
        board.stream("read", v=2, **only("w")) as live,
    ):
        board.send(event(task_id="t"), agent="w", kind="test")
        board.send(event(task_id="l"), agent="w")
        assert [e["task_id"] for e in tests.events(1)] == ["t"]
        assert [e["task_id"] for e in live.events(1)] == ["l"]


def test_answers_to_messages(board: Board) -> None:
    with board.stream() as stream:
        stream.send(action="subscribe", channels=["events", "agents"], filters={"min_severity": "info"})
        subscribed = stream.next()
        assert (subscribed["type"], subscribed["channels"]) == ("subscribed", ["agents", "events"])
        stream.send(action="unsubscribe", channels=["events"])
        assert stream.next() == {"type": "unsubscribed", "channels": ["agents"]}
        stream.send(action="ping")
        assert stream.next()["server_time"].endswith("Z")
        for wrong in ("no json", "[]", '{"action": "explode"}', "[" * 10_000, '{"action": ["subscribe"]}'):
            stream.socket.send(wrong)
            assert stream.next()["type"] == "error"
        odd = {"action": "subscribe", "v": "2", "channels": [{}, "x"], "filters": [], "since_seq": "one"}
        stream.socket.send(json.dumps(odd))
        assert stream.next()["channels"] == []


@pytest.mark.parametrize("token", ["", "hb_live_" + "0" * 32])
def test_a_bad_key_is_told_by_the_close_code(board: Board, token: str) -> None:
    address = board.endpoint.replace("http", "ws", 1) + f"/v1/stream?token={token}"
    with connect(address) as stream, pytest.raises(ConnectionClosed) as closed:
        stream.recv(5)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4001


def test_a_stream_ends_when_its_key_is_revoked(board: Board) -> None:
    with board.browser() as browser:
        made = browser.post("/v1/api-keys", json={"key_type": "read"}).json()
        address = board.endpoint.replace("http", "ws", 1) + f"/v1/stream?token={made['raw_key']}"
        with connect(address) as stream, board.stream() as other:
            browser.delete(f"/v1/api-keys/{made['key_id']}")
            with pytest.raises(ConnectionClosed) as closed:
                stream.recv(10)
            other.send(action="ping")
            assert other.next()["type"] == "pong"
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4001


def test_pages_of_other_sites_get_no_stream(board: Board) -> None:
    address = board.endpoint.replace("http", "ws", 1) + f"/v1/stream?token={board.keys['live']}"
    with pytest.raises(InvalidStatus) as refused:
        connect(address, origin="https://evil.example.com")  # type: ignore[arg-type]
    assert refused.value.response.status_code == 403


def test_a_key_has_so_many_sockets_and_gets_them_back(tmp_path: Path) -> None:
    limits = Limits(ingest=1_000, query=1_000, sockets=2)
    with running_board(tmp_path, limits=limits) as board:
        with board.stream(channels=["events"]), board.stream(channels=["events"]):
            with board.stream() as third, pytest.raises(ConnectionClosed) as closed:
                third.next()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 4002
        eventually(lambda: board.get("/v1/board")["listeners"] == 0)
        with board.stream(channels=["events"]):
            pass


def test_a_reader_that_stops_reading_costs_the_others_nothing(tmp_path: Path) -> None:
    text = "x" * 20_000
    with running_board(tmp_path) as board:
        address = f"{board.endpoint.replace('http', 'ws', 1)}/v1/stream?token={board.keys['live']}"
        with board.stream(v=2, channels=["events"]) as keen, connect(address, max_queue=1) as slow:
            slow.send(json.dumps({"action": "subscribe", "v": 2, "channels": ["events"]}))
            sent = 0
            while sent * len(text) < WAITING_BYTES + 10_000_000:  # the system's buffers take some of it
                board.send(*(event(payload={"text": text}) for _ in range(40)))
                keen.events(40)
                sent += 40
            # Now it reads again: what was kept for it, then that it missed something.
            kinds = list[str]()
            while "resync" not in kinds:
                kinds.append(json.loads(slow.recv(20))["type"])


class Raw:
    """A client of the stream that answers nothing, as one whose machine was cut off."""

    def __init__(self, board: Board) -> None:
        address = f"{board.endpoint.replace('http', 'ws', 1)}/v1/stream?token={board.keys['live']}"
        self._protocol = ClientProtocol(parse_uri(address))
        self._socket = socket.socket()
        self._socket.settimeout(10)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)  # soon full of what is not read
        self._socket.connect(("127.0.0.1", urlsplit(board.endpoint).port))
        self._protocol.send_request(self._protocol.connect())
        self._send()
        while not self._protocol.state:  # the answer to the handshake has not come
            self._receive()
        self.frames = list[Frame]()

    def subscribe(self) -> None:
        self._protocol.send_text(json.dumps({"action": "subscribe", "channels": ["events"]}).encode())
        self._send()

    def read_to_the_end(self) -> None:
        while self._receive():
            self.frames += [one for one in self._protocol.events_received() if isinstance(one, Frame)]

    def close(self) -> None:
        self._socket.close()

    @property
    def code(self) -> int | None:
        """The code by which the board closed it."""
        close = self._protocol.close_rcvd
        return None if close is None else close.code

    def _send(self) -> None:
        self._socket.sendall(b"".join(self._protocol.data_to_send()))

    def _receive(self) -> bool:
        data = self._socket.recv(65_536)
        if data:
            self._protocol.receive_data(data)
        return bool(data)


def test_a_client_that_answers_no_ping_is_told_by_the_close_code(tmp_path: Path) -> None:
    with running_board(tmp_path, ping_seconds=0.3) as board, closing(Raw(board)) as silent:
        with board.stream(channels=["events"]) as other:
            silent.read_to_the_end()
            other.send(action="ping")
            assert other.next()["type"] == "pong"
        assert silent.frames[0].opcode == Opcode.PING
        assert silent.code == 4003
        eventually(lambda: board.get("/v1/board")["listeners"] == 0)


def test_a_client_that_has_gone_with_much_unread_is_let_go_too(tmp_path: Path) -> None:
    with running_board(tmp_path, ping_seconds=1.0) as board, closing(Raw(board)) as gone:
        gone.subscribe()
        for _ in range(12):  # more than the system's buffers take
            board.send(*(event(payload={"text": "x" * 20_000}) for _ in range(40)))
        eventually(lambda: board.get("/v1/board")["listeners"] == 0)


# -- states ---------------------------------------------------------------------------------------


def test_a_silent_agent_is_pushed_as_stuck_once(board: Board) -> None:
    with board.stream(channels=["agents"]) as stream:
        stream.send(action="ping")
        stream.until(lambda message: message["type"] == "pong")
        registered = event("agent_registered", 0, payload={"data": {"stuck_threshold": 2}})
        board.send(registered, event("task_started", 0, task_id="hang"), agent="silent")
        messages = stream.until(lambda m: m["type"] == "agent.stuck" and m["agent_id"] == "silent", 15)
        mine = [m for m in messages if m["agent_id"] == "silent"]
        assert [m.get("new_status", m["type"]) for m in mine] == ["processing", "stuck", "agent.stuck"]
        assert mine[1]["previous_status"] == "processing"
        assert (mine[2]["stuck_threshold_seconds"], mine[2]["current_task_id"]) == (2, "hang")
        board.send(event("task_completed", 0, task_id="hang"), agent="silent")
        after = stream.until(lambda m: m.get("new_status") == "idle" and m["agent_id"] == "silent", 15)
    assert not [m for m in after if m["type"] == "agent.stuck" and m["agent_id"] == "silent"]


# -- the hub alone --------------------------------------------------------------------------------


def stored(seq: int, **fields: Any) -> StoredEvent:
    made = {"world": "live", "event_id": str(seq), "agent_id": "ada", "event_type": "custom", **fields}
    return StoredEvent(seq=seq, ts_us=seq, received_us=seq, **made)


def listening(hub: Hub, version: int = 2) -> Listener:
    listener = Listener("live")
    listener.version, listener.channels = version, frozenset(("events",))
    hub.add(listener)
    return listener


def test_the_ring_forgets_the_oldest_and_says_so() -> None:
    hub = Hub()
    for start in range(1, RING + 1_001, 500):
        hub.publish([stored(seq) for seq in range(start, start + 500)])
    late, lost = listening(hub), listening(hub)
    hub.resume(late, 1_000)
    assert late.take()[-1]["type"] == "resync"  # ten thousand at once are more than a listener may be behind
    hub.resume(late, RING + 999)
    (batch,) = late.take()
    assert (batch["seq"], len(batch["events"])) == (RING + 1_000, 1)
    hub.resume(lost, 999)
    assert [m["type"] for m in lost.take()] == ["resync"]


def test_the_number_of_a_batch_is_that_of_its_last_event_while_more_waits() -> None:
    hub = Hub()
    listener = listening(hub)
    hub.publish([stored(seq) for seq in range(1, MOST_IN_BATCH + 101)])
    numbers = list[tuple[Any, int]]()
    while len(numbers) < 2:
        (batch,) = listener.take()
        numbers.append((batch["seq"], len(batch["events"])))
    assert numbers == [(MOST_IN_BATCH, MOST_IN_BATCH), (MOST_IN_BATCH + 100, 100)]


def test_the_number_of_a_batch_passes_what_filters_left_out() -> None:
    hub = Hub()
    listener = listening(hub)
    listener.filters = Filters(agent_id="ada")
    hub.publish([stored(1), stored(2, agent_id="bob")])
    (batch,) = listener.take()
    assert (batch["seq"], len(batch["events"])) == (2, 1)

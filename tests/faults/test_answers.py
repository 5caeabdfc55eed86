"""What the SDK makes of each answer that is not a plain yes."""

from __future__ import annotations

import json
import logging
import math
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import hiveloop
from tests.faults.caller import balanced, identity, of_the_caller
from tests.faults.table import KEY, holding_back, reporting
from tests.support.server import (
    Answer,
    Request,
    ScriptedServer,
    TlsAuthority,
    accepting,
    dripping,
    failing,
    redirecting,
    rejecting,
    throttled,
    throttled_in_body,
    throttled_until,
)
from tests.support.wait import eventually, pause

pytestmark = pytest.mark.fault

POISON = 57


def _number(event: dict[str, Any]) -> int | None:
    number = event.get("payload", {}).get("data", {}).get("n")
    return number if isinstance(number, int) else None


def _emit(hb: hiveloop.HiveBoard, count: int, **data: Any) -> None:
    agent = hb.agent("worker", heartbeat_interval=0)
    for n in range(count):
        agent.event("custom", {"kind": "probe", "data": {"n": n, **data}})


def _numbers(server: ScriptedServer) -> list[int]:
    return sorted(n for n in map(_number, server.events()) if n is not None)


def _sent(server: ScriptedServer) -> Counter[str]:
    """How often each event was sent, by event_id, whatever the answer."""
    return Counter(event["event_id"] for request in server.requests for event in request.events)


# 429


def _gap(server: ScriptedServer) -> float:
    first, second = server.requests[:2]
    return second.monotonic - first.monotonic


@pytest.mark.parametrize("throttle", [throttled, throttled_in_body], ids=["header", "body"])
def test_no_request_comes_sooner_than_the_server_asked(throttle: Callable[[float], Answer]) -> None:
    with ScriptedServer() as server, reporting(server.url) as hb:
        server.enqueue(throttle(2))
        _emit(hb, 3)
        server.wait_for(lambda: len(server.requests) == 1)
        assert not hb.flush(timeout=0.3), "flush cuts our own back-off short, never the server's"
        assert hb.flush(timeout=10)
        assert 1.99 <= _gap(server) < 5
        assert _numbers(server) == [0, 1, 2]


def test_no_request_comes_before_the_date_the_server_named() -> None:
    date = math.ceil(time.time()) + 2
    with ScriptedServer() as server, reporting(server.url) as hb:
        server.enqueue(throttled_until(date))
        _emit(hb, 3)
        assert hb.flush(timeout=15)
        assert date - 0.05 <= server.requests[1].unix_time < date + 3
        assert _numbers(server) == [0, 1, 2]


def test_a_retry_after_in_the_past_or_nonsense_does_no_harm() -> None:
    with ScriptedServer() as server, reporting(server.url) as hb:
        nonsense = [
            Answer(status=503, headers={"Retry-After": value}) for value in ("-5", "soon", "", "1e999", "nan")
        ]
        for answer in [throttled_until(1), *nonsense]:
            server.enqueue(answer)
            _emit(hb, 1)
            assert hb.flush(timeout=10), answer
        assert _numbers(server) == [0] * 6


# 207 and 200 with rejections


@pytest.mark.parametrize("status", [207, 200])
def test_rejected_events_are_counted_and_the_others_are_delivered_once(status: int) -> None:
    def odd(event: dict[str, Any]) -> bool:
        return (_number(event) or 0) % 2 == 1

    with ScriptedServer(Answer(status=status, rejects=odd)) as server, holding_back(server.url) as hb:
        _emit(hb, 100)
        assert hb.flush(timeout=10)
        stats = hb.stats()
        assert _numbers(server) == list(range(0, 100, 2))
        assert stats.dropped == {"rejected": 50}
        assert stats.delivered == 51
        assert balanced(stats)
        _emit(hb, 1)
        assert hb.flush(timeout=10)
        assert set(_sent(server).values()) == {1}, "neither the rejected nor the others are sent again"


def test_a_207_that_names_strangers_or_nobody_loses_nothing() -> None:
    errors = [{"event_id": "not-one-of-ours", "error": "x"}, {"event_id": None}, "nonsense", {}]
    body = {"accepted": 0, "rejected": 4, "warnings": [], "errors": errors}
    with ScriptedServer() as server, holding_back(server.url) as hb:
        server.enqueue(Answer(status=207, body=body))
        _emit(hb, 10)
        assert hb.flush(timeout=10)
        assert hb.stats().dropped == {}
        assert hb.stats().delivered == 11


@pytest.mark.parametrize(
    "body", [[], "yes", 17, {}, {"errors": None}, {"errors": 5}, {"errors": {"a": 1}}], ids=repr
)
def test_a_good_answer_with_a_strange_body_is_still_a_good_answer(body: object) -> None:
    with ScriptedServer(Answer(body=body)) as server, holding_back(server.url) as hb:
        _emit(hb, 5)
        assert hb.flush(timeout=10)
        assert hb.stats().delivered == 6
        assert set(_sent(server).values()) == {1}


# 400


def test_one_poison_event_among_a_hundred_is_found_and_dropped_alone() -> None:
    def refuses_poison(request: Request) -> Answer:
        poisoned = any(_number(event) == POISON for event in request.events)
        return failing(400) if poisoned else accepting()

    with ScriptedServer(refuses_poison) as server, holding_back(server.url) as hb:
        _emit(hb, 100)
        assert hb.flush(timeout=15)
        stats = hb.stats()
        assert _numbers(server) == [n for n in range(100) if n != POISON]
        assert stats.dropped == {"refused": 1}
        assert stats.delivered == 100
        assert balanced(stats)
        assert not server.repeats()
        # Halving 101 events down to one takes seven steps, two requests each.
        assert len(server.requests) <= 20


def test_halving_keeps_the_order_of_the_sensor_calls() -> None:
    def refuses_poison(request: Request) -> Answer:
        return (
            failing(400)
            if any(_number(event) in (3, 40, 41, 99) for event in request.events)
            else accepting()
        )

    with ScriptedServer(refuses_poison) as server, holding_back(server.url) as hb:
        _emit(hb, 100)
        assert hb.flush(timeout=15)
        arrived = [n for n in map(_number, server.events()) if n is not None]
        assert arrived == sorted(arrived)
        assert hb.stats().dropped == {"refused": 4}


# 413


def test_a_batch_that_is_too_large_is_halved() -> None:
    def small_only(request: Request) -> Answer:
        return failing(413) if len(request.body) > 20_000 else accepting()

    with ScriptedServer(small_only) as server, holding_back(server.url) as hb:
        _emit(hb, 100, text="x" * 900)
        assert hb.flush(timeout=15)
        assert _numbers(server) == list(range(100))
        assert hb.stats().dropped == {}
        assert not server.repeats()


def test_a_single_event_that_is_too_large_is_trimmed_and_says_so() -> None:
    def small_only(request: Request) -> Answer:
        return failing(413) if len(request.body) > 8_000 else accepting()

    with ScriptedServer(small_only) as server, holding_back(server.url) as hb:
        agent = hb.agent("worker", heartbeat_interval=0)
        agent.event("custom", {"kind": "probe", "data": {"n": 1}})
        agent.event("custom", {"kind": "report", "summary": "long", "data": {"text": "y" * 20_000}})
        agent.event("custom", {"kind": "probe", "data": {"n": 2}})
        assert hb.flush(timeout=15)
        events = [event for event in server.events() if event["event_type"] == "custom"]
        assert len(events) == 3
        assert "_truncated" in json.dumps(events[1])
        assert _numbers(server) == [1, 2]
        assert hb.stats().dropped == {}


def test_a_single_event_that_stays_too_large_is_dropped_alone() -> None:
    def never_poison(request: Request) -> Answer:
        return failing(413) if any(_number(event) == POISON for event in request.events) else accepting()

    with ScriptedServer(never_poison) as server, holding_back(server.url) as hb:
        _emit(hb, 100)
        assert hb.flush(timeout=15)
        assert _numbers(server) == [n for n in range(100) if n != POISON]
        assert hb.stats().dropped == {"too_large": 1}


# 401 and 403


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_is_not_accepted_stops_sending_until_it_is(
    status: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="hiveloop")
    with ScriptedServer(failing(status)) as server, reporting(server.url) as hb:
        for _ in range(10):
            _emit(hb, 20)
            pause(0.1)
        assert len(server.requests) <= 3, "a wrong key is not worth a request per batch"
        assert hb.stats().dropped == {}
        server.default = accepting()
        assert hb.flush(timeout=10)
        assert _numbers(server) == sorted(list(range(20)) * 10)
    warnings = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert len([record for record in warnings if str(status) in record.getMessage()]) == 1, warnings
    assert KEY not in caplog.text


# Time


def test_a_dripping_answer_is_given_up_when_the_request_time_is_over() -> None:
    with ScriptedServer(dripping(0.2)) as server, reporting(server.url, timeout=1.0) as hb:
        _emit(hb, 3)
        # No single read of the answer takes a second; only a limit on the whole of it helps.
        server.wait_for(lambda: len(server.requests) >= 2, timeout=5)
        server.default = accepting()
        assert hb.flush(timeout=10)
        assert _numbers(server) == [0, 1, 2]


# Logs


def test_an_outage_logs_one_warning_and_its_end_one_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="hiveloop")
    with ScriptedServer(failing(503)) as server, reporting(server.url) as hb:
        _emit(hb, 50)
        server.wait_for(lambda: len(server.requests) >= 3, timeout=15)
        during = list(caplog.records)
        server.default = accepting()
        assert hb.flush(timeout=10)
        eventually(lambda: len(caplog.records) > len(during), what="a line about the recovery")
        after = caplog.records[len(during) :]
    assert [record.levelname for record in during].count("WARNING") == 1, during
    assert not [record for record in during if record.levelno > logging.WARNING]
    assert len(after) == 1, after
    assert KEY not in caplog.text


# Where the key goes


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_never_carries_the_key_to_another_host(host: str, status: int) -> None:
    with ScriptedServer() as other, ScriptedServer() as server, reporting(server.url) as hb:
        server.default = redirecting(f"http://{host}:{other.port}/v1/ingest", status)
        _emit(hb, 3)
        server.wait_for(lambda: len(server.requests) >= 1)
        hb.flush(timeout=0.2)
        for request in other.requests:
            assert KEY not in str(dict(request.headers)), "the key went to another host"
            assert KEY.encode() not in request.body
            assert KEY not in request.path
        assert other.violations == [], "a redirected request is no way to lose its body or method"


def test_custom_headers_do_not_follow_a_redirect_to_another_host() -> None:
    with ScriptedServer() as other, ScriptedServer() as server:
        server.default = redirecting(f"http://localhost:{other.port}/v1/ingest")
        hb = hiveloop.init(
            KEY, endpoint=server.url, flush_interval=0.05, headers={"X-Proxy-Secret": "do-not-pass"}
        )
        try:
            _emit(hb, 3)
            server.wait_for(lambda: len(server.requests) >= 1)
            hb.flush(timeout=0.2)
            assert server.requests[0].headers["x-proxy-secret"] == "do-not-pass"
            assert all("do-not-pass" not in str(dict(request.headers)) for request in other.requests)
        finally:
            hiveloop.shutdown(timeout=0.2)
            hiveloop.reset()


def test_a_netrc_file_does_not_replace_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    with ScriptedServer(key=KEY) as server, reporting(server.url) as hb:
        _emit(hb, 3)
        assert hb.flush(timeout=2)
        assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"


# TLS


def test_a_certificate_nobody_vouches_for_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    with ScriptedServer(tls=TlsAuthority().server_context()) as server, reporting(server.url) as hb:
        _emit(hb, 3)
        server.wait_for(lambda: server.failed_handshakes >= 1)
        pause(0.3)
        assert server.requests == [], "a request went out over a connection that was not verified"
        assert hb.stats().dropped == {}
        assert hb.stats().waiting + hb.stats().in_flight == 4
    assert KEY not in caplog.text


@pytest.mark.parametrize("variable", [None, "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_ca_file_is_trusted_whatever_the_environment_says(
    variable: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)
    if variable:
        monkeypatch.setenv(variable, str(TlsAuthority().write_certificate(tmp_path / "other.pem")))
    authority = TlsAuthority()
    ca_file = str(authority.write_certificate(tmp_path / "ca.pem"))
    with (
        ScriptedServer(tls=authority.server_context()) as server,
        reporting(server.url, ca_file=ca_file) as hb,
    ):
        _emit(hb, 3)
        assert hb.flush(timeout=10), hb.stats()
        assert _numbers(server) == [0, 1, 2]


def test_a_certificate_for_another_name_is_refused(tmp_path: Path) -> None:
    authority = TlsAuthority()
    ca_file = str(authority.write_certificate(tmp_path / "ca.pem"))
    with (
        ScriptedServer(tls=authority.server_context("board.example")) as server,
        reporting(server.url, ca_file=ca_file) as hb,
    ):
        _emit(hb, 3)
        assert not hb.flush(timeout=0.5)
        assert server.requests == []


# Several at once


def test_a_rough_day_loses_nothing() -> None:
    rough = [failing(500), throttled(0.2), Answer(status=408), Answer(status=425), failing(502), failing(504)]
    with ScriptedServer() as server, reporting(server.url) as hb:
        for answer in [*rough, rejecting(lambda _: False)]:
            server.enqueue(answer)
            _emit(hb, 10)
            hb.flush(timeout=0.05)
        assert hb.flush(timeout=20), hb.stats()
        assert _numbers(server) == sorted(list(range(10)) * 7)
        assert hb.stats().dropped == {}
        assert not server.repeats()
        assert of_the_caller(server.events()).total() == 70
        assert {identity(event) for event in server.events()} >= {"custom/probe//0", "custom/probe//9"}


# No answer at all


def test_a_refused_connection_is_called_by_its_name() -> None:
    with ScriptedServer() as server:
        port = server.url
    hb = hiveloop.init(api_key=KEY, endpoint=port)  # nobody listens there any more
    _emit(hb, 1)
    hb.flush(0.5)
    assert "Connection refused" in (hb.stats().transports["http"].last_error or "")
    hb.shutdown(0.1)

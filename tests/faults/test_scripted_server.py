"""The scripted server does what it says; the other tests here stand on it."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.support.server import (
    Answer,
    ScriptedServer,
    TlsAuthority,
    closing,
    dripping,
    failing,
    hanging,
    rejecting,
    resetting,
)
from tests.support.wait import eventually

pytestmark = pytest.mark.fault

ENVELOPE = {
    "agent_id": "a", "agent_type": "t", "framework": "f", "runtime": "python", "sdk_version": "x",
    "environment": "test", "group": "g",
}  # fmt: skip


def _document(*ids: str) -> dict[str, Any]:
    common = {"timestamp": "2026-01-01T00:00:00.000Z", "event_type": "custom", "severity": "info"}
    return {"envelope": ENVELOPE, "events": [{"event_id": event_id, **common} for event_id in ids]}


def _post(server: ScriptedServer, *ids: str, verify: str | bool = True, **headers: str) -> requests.Response:
    with requests.Session() as session:
        session.trust_env = False
        return session.post(
            f"{server.url}/v1/ingest", json=_document(*ids), headers=headers, timeout=1, verify=verify
        )


def test_it_accepts_records_and_drops_repetitions() -> None:
    with ScriptedServer() as server:
        assert _post(server, "1", "2").json() == {"accepted": 2, "rejected": 0, "warnings": [], "errors": []}
        _post(server, "2", "3")
        assert [event["event_id"] for event in server.events()] == ["1", "2", "3"]
        assert server.repeats() == {"2": 2}
        assert server.requests[0].envelope["agent_id"] == "a"
        assert server.violations == []


def test_it_plays_its_queue_before_its_default_and_calls_a_callable() -> None:
    with ScriptedServer(
        lambda request: failing(418) if request.events[0]["event_id"] == "9" else Answer()
    ) as server:
        server.enqueue(failing(503))
        assert [_post(server, event_id).status_code for event_id in "199"] == [503, 418, 418]
        assert _post(server, "1").status_code == 200


def test_it_names_what_it_rejects() -> None:
    with ScriptedServer(rejecting(lambda event: event["event_id"] == "2")) as server:
        response = _post(server, "1", "2")
        assert response.status_code == 207
        assert response.json()["errors"][0]["event_id"] == "2"
        assert [event["event_id"] for event in server.events()] == ["1"]


def test_it_refuses_a_wrong_key_and_an_invalid_document() -> None:
    with ScriptedServer(key="hb_test_1") as server:
        assert _post(server, "1").status_code == 401
        assert _post(server, "1", Authorization="Bearer hb_test_1").status_code == 200
        assert _post(server, Authorization="Bearer hb_test_1").status_code == 400
        assert server.violations == ["0 events"]


def test_it_reads_compressed_and_chunked_bodies() -> None:
    with ScriptedServer() as server:
        body = gzip.compress(json.dumps(_document("1")).encode())
        for data in (body, iter([body[:7], body[7:]])):
            requests.post(
                f"{server.url}/v1/ingest", data=data, headers={"Content-Encoding": "gzip"}, timeout=2
            ).raise_for_status()
        assert server.repeats() == {"1": 2}


def test_it_refuses_until_it_listens_on_the_same_port() -> None:
    with ScriptedServer(listening=False) as server:
        for _ in range(2):
            with pytest.raises(requests.ConnectionError, match="refused"):
                _post(server, "1")
            server.listen()
            assert _post(server, "1").status_code == 200
            server.refuse()


@pytest.mark.parametrize(
    "answer", [hanging(), dripping(0.6), resetting(), closing()], ids=lambda a: a.behaviour.name
)
def test_it_misbehaves_and_accepts_nothing_then(answer: Answer) -> None:
    with ScriptedServer(answer) as server:
        with pytest.raises(requests.RequestException):
            requests.post(f"{server.url}/v1/ingest", json=_document("1"), timeout=0.3)
        assert server.events() == []
        server.wait_for(lambda: len(server.requests) == 1)


def test_it_speaks_tls_to_those_who_trust_it(tmp_path: Path) -> None:
    authority = TlsAuthority()
    ca_file = authority.write_certificate(tmp_path / "ca.pem")
    with ScriptedServer(tls=authority.server_context()) as server:
        with pytest.raises(requests.exceptions.SSLError):
            _post(server, "1")
        eventually(lambda: server.failed_handshakes == 1)
        assert _post(server, "1", verify=str(ca_file)).status_code == 200
        assert [event["event_id"] for event in server.events()] == ["1"]

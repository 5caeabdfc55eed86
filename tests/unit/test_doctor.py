"""``python -m hiveloop doctor`` against real servers, each broken in its own way."""

from __future__ import annotations

import email.utils
import json
import ssl
import threading
import time
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.support.server import (
    Answer,
    Request,
    Script,
    ScriptedServer,
    TlsAuthority,
    closing,
    failing,
    hanging,
    redirecting,
    rejecting,
)
from tests.unit.command_line import cli

KEY = "hb_live_0123456789abcdef"


class Diagnosis:
    """What the doctor said, as its JSON has it."""

    def __init__(self, home: Path, *arguments: object, **environment: str) -> None:
        started = time.monotonic()
        done = cli(home, "doctor", "--json", *arguments, **environment)
        self.seconds = time.monotonic() - started
        self.output = done.stdout + done.stderr
        assert done.stderr == ""
        report: dict[str, Any] = json.loads(done.stdout)
        self.code = done.returncode
        self.verdict = report["verdict"]
        self.settings = {row["name"]: (row["value"], row["source"]) for row in report["settings"]}
        self.checks = {check["name"]: check for check in report["checks"]}
        assert report["exit_code"] == self.code

    def status(self, name: str) -> str:
        return str(self.checks[name]["status"])

    def failed(self) -> list[str]:
        return [name for name, check in self.checks.items() if check["status"] == "FAIL"]


def told_time(seconds: float) -> Script:
    """A server whose clock is `seconds` off, and which answers as a HiveBoard otherwise."""

    def answer(request: Request) -> Answer:
        date = email.utils.formatdate(time.time() + seconds, usegmt=True)
        # Only ingest requests look like what the scripted server checks; the others just get an answer.
        return Answer(status=200 if request.method == "POST" else 404, headers={"Date": date})

    return answer


def test_when_all_is_well_it_says_so_and_the_probe_event_has_arrived(tmp_path: Path) -> None:
    with ScriptedServer(told_time(0), key=KEY) as server:
        done = cli(tmp_path, "doctor", "--endpoint", server.url, HIVELOOP_API_KEY=KEY)
        events, envelopes = (
            server.events(),
            [request.envelope for request in server.requests if request.events],
        )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == f"Verdict: events of this program reach {server.url}"
    assert "FAIL" not in done.stdout
    assert "warn" not in done.stdout
    assert KEY not in done.stdout
    assert "hb_live_... (24 characters)" in done.stdout
    assert [event["payload"]["data"] for event in events] == [{"event": "doctor_probe"}]
    assert [envelope["agent_id"] for envelope in envelopes] == ["hiveloop-doctor"]


def test_json_names_every_check_with_status_message_and_fix(tmp_path: Path) -> None:
    with ScriptedServer(told_time(0), key=KEY) as server:
        found = Diagnosis(tmp_path, "--endpoint", server.url, HIVELOOP_API_KEY=KEY)
    assert (found.code, found.verdict) == (0, "ok")
    assert [*found.checks] == ["installation", "switch", "key", "tcp", "http", "clock", "ingest"]
    assert {check["status"] for check in found.checks.values()} == {"ok"}
    assert {tuple(sorted(check)) for check in found.checks.values()} == {("fix", "message", "name", "status")}


def test_every_setting_tells_where_it_comes_from(tmp_path: Path) -> None:
    (tmp_path / "loophive.cfg").write_text("[loophive]\nendpoint = http://127.0.0.1:9\n")
    found = Diagnosis(
        tmp_path,
        "--api-key",
        KEY,
        HIVELOOP_ENVIRONMENT="staging",
        HIVELOOP_HEADERS="X-Tenant=tenant-secret",
        HIVELOOP_API_KEY="hb_live_not_this_one",
    )
    assert found.settings["endpoint"] == ("http://127.0.0.1:9", str(tmp_path / "loophive.cfg"))
    assert found.settings["environment"] == ("staging", "HIVELOOP_ENVIRONMENT")
    assert found.settings["api_key"] == ("hb_live_... (24 characters)", "argument")
    assert found.settings["group"] == ("default", "default")
    assert found.settings["headers"] == ("X-Tenant", "HIVELOOP_HEADERS")
    assert "tenant-secret" not in found.output
    assert "gives the endpoint" in found.checks["file"]["message"]


def test_a_config_file_that_is_overridden_is_mentioned(tmp_path: Path) -> None:
    folder = tmp_path / ".loophive"
    folder.mkdir()
    (folder / "loophive.cfg").write_text("[loophive]\nendpoint = https://elsewhere.example\n")
    found = Diagnosis(tmp_path, "--endpoint", "http://127.0.0.1:9", "--api-key", KEY)
    assert found.settings["endpoint"] == ("http://127.0.0.1:9", "argument")
    assert "is not used" in found.checks["file"]["message"]


# -- the key and the switches ---------------------------------------------------------------------


def test_without_a_key_it_says_which_variable_to_set_and_still_looks_at_the_server(tmp_path: Path) -> None:
    with ScriptedServer() as server:
        found = Diagnosis(tmp_path, "--endpoint", server.url)
        assert server.events() == []
    assert (found.code, found.failed()) == (1, ["key"])
    assert "HIVELOOP_API_KEY" in found.checks["key"]["fix"]
    assert found.status("http") == "ok"
    assert found.status("ingest") == "skip"


def test_a_key_for_reading_is_recognised_before_anything_is_sent(tmp_path: Path) -> None:
    with ScriptedServer() as server:
        found = Diagnosis(tmp_path, "--endpoint", server.url, HIVELOOP_API_KEY="hb_read_0123456789")
        assert server.events() == []
    assert (found.code, found.failed()) == (1, ["key"])
    assert "hb_live_" in found.checks["key"]["fix"]


def test_a_key_that_is_none_is_a_finding_and_is_not_printed(tmp_path: Path) -> None:
    with ScriptedServer() as server:
        found = Diagnosis(tmp_path, "--endpoint", server.url, HIVELOOP_API_KEY="sk-proj-0123456789")
    assert (found.code, found.failed()) == (1, ["settings"])
    assert "HIVELOOP_API_KEY must start with 'hb_'" in found.checks["settings"]["message"]
    assert "0123456789" not in found.output
    assert found.status("http") == "ok"


def test_a_key_that_the_server_does_not_know(tmp_path: Path) -> None:
    with ScriptedServer(key="hb_live_another") as server:
        found = Diagnosis(tmp_path, "--endpoint", server.url, HIVELOOP_API_KEY=KEY)
    assert (found.code, found.failed()) == (1, ["ingest"])
    assert "401" in found.checks["ingest"]["message"]
    assert "copy the key again" in found.checks["ingest"]["fix"]
    assert KEY not in found.output


def test_a_switch_in_the_environment_that_nobody_remembers(tmp_path: Path) -> None:
    with ScriptedServer() as server:
        found = Diagnosis(tmp_path, "--endpoint", server.url, HIVELOOP_API_KEY=KEY, HIVELOOP_DISABLED="1")
    assert (found.code, found.failed()) == (1, ["switch"])
    assert found.checks["switch"]["fix"] == "unset HIVELOOP_DISABLED"


@pytest.mark.parametrize(
    ("variables", "name", "word"),
    [
        ({"PYTEST_VERSION": "9.0"}, "pytest", "hiveloop.testing"),
        ({"AWS_LAMBDA_FUNCTION_NAME": "f"}, "serverless", "flush"),
        ({"UWSGI_ORIGINAL_PROC_NAME": "uwsgi"}, "uwsgi", "--enable-threads"),
    ],
)
def test_surroundings_that_lose_events_are_pointed_out(
    tmp_path: Path, variables: dict[str, str], name: str, word: str
) -> None:
    with ScriptedServer() as server:
        found = Diagnosis(tmp_path, "--endpoint", server.url, HIVELOOP_API_KEY=KEY, **variables)
    assert (found.code, found.status(name)) == (0, "warn")
    assert word in found.checks[name]["fix"]


# -- the way to the server ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "endpoint", ["board.example.com", "ftp://board.example.com", "http://", "http://u:p@host"]
)
def test_an_endpoint_that_cannot_be_one(tmp_path: Path, endpoint: str) -> None:
    found = Diagnosis(tmp_path, "--endpoint", endpoint, HIVELOOP_API_KEY=KEY)
    assert (found.code, [*found.checks]) == (1, ["settings"])
    assert "endpoint" in found.checks["settings"]["message"]


def test_a_name_that_nobody_knows(tmp_path: Path) -> None:
    found = Diagnosis(tmp_path, "--endpoint", "https://board.invalid", "--timeout", 5, HIVELOOP_API_KEY=KEY)
    assert (found.code, found.failed()) == (1, ["dns"])
    assert "board.invalid" in found.checks["dns"]["message"]


def test_a_server_that_is_not_running(tmp_path: Path) -> None:
    with ScriptedServer(listening=False) as server:
        found = Diagnosis(tmp_path, "--endpoint", server.url, HIVELOOP_API_KEY=KEY)
    assert (found.code, found.failed()) == (1, ["tcp"])
    assert "refuses connections" in found.checks["tcp"]["message"]


def test_a_server_that_never_answers_takes_no_longer_than_the_timeout(tmp_path: Path) -> None:
    with ScriptedServer(hanging()) as server:
        found = Diagnosis(tmp_path, "--endpoint", server.url, "--timeout", 0.5, HIVELOOP_API_KEY=KEY)
    assert (found.code, found.failed()) == (1, ["http"])
    assert "no answer within 0.5 s" in found.checks["http"]["message"]
    assert found.seconds < 5


def test_a_server_that_hangs_up(tmp_path: Path) -> None:
    with ScriptedServer(closing()) as server:
        found = Diagnosis(tmp_path, "--endpoint", server.url, HIVELOOP_API_KEY=KEY)
    assert (found.code, found.failed()) == (1, ["http"])
    assert "0x" not in found.checks["http"]["message"]


@pytest.mark.parametrize(
    ("answer", "message", "fix"),
    [
        (failing(403), "403", "copy the key again"),
        (failing(404), "404", "address of the HiveBoard"),
        (failing(503), "503", "try again"),
        (failing(400), "400", "is a HiveBoard"),
        (rejecting(lambda _: True), "rejected", "versions"),
        (redirecting("https://board.example.com/v1/ingest"), "redirects", "use that address"),
    ],
)
def test_what_the_server_says_to_the_probe_is_explained(
    tmp_path: Path, answer: Answer, message: str, fix: str
) -> None:
    with ScriptedServer(answer) as server:
        found = Diagnosis(tmp_path, "--endpoint", server.url, HIVELOOP_API_KEY=KEY)
    assert (found.code, found.failed()) == (1, ["ingest"])
    assert message in found.checks["ingest"]["message"]
    assert fix in found.checks["ingest"]["fix"]


def test_a_redirect_to_another_host_is_named_and_not_followed(tmp_path: Path) -> None:
    with ScriptedServer() as other, ScriptedServer(redirecting(other.url, 301)) as server:
        found = Diagnosis(tmp_path, "--endpoint", server.url, HIVELOOP_API_KEY=KEY)
        assert other.requests == []
    assert found.status("http") == "warn"
    assert other.url in found.checks["http"]["fix"]


@pytest.mark.parametrize(("seconds", "word"), [(95, "behind"), (-95, "ahead of")])
def test_clocks_that_disagree_are_a_warning(tmp_path: Path, seconds: float, word: str) -> None:
    with ScriptedServer(told_time(seconds)) as server:
        found = Diagnosis(tmp_path, "--endpoint", server.url, HIVELOOP_API_KEY=KEY)
    assert (found.code, found.status("clock")) == (0, "warn")
    assert f"s {word} the server" in found.checks["clock"]["message"]
    assert any(str(number) in found.checks["clock"]["message"] for number in (94, 95, 96))


def test_a_server_that_does_not_tell_the_time(tmp_path: Path) -> None:
    with ScriptedServer() as server:
        found = Diagnosis(tmp_path, "--endpoint", server.url, HIVELOOP_API_KEY=KEY)
    assert (found.code, found.status("clock")) == (0, "skip")


def test_a_proxy_is_named_without_its_password(tmp_path: Path) -> None:
    with ScriptedServer(listening=False) as proxy:
        address = f"http://alice:hunter2@127.0.0.1:{proxy.port}"
        found = Diagnosis(
            tmp_path, "--endpoint", "http://board.invalid", HIVELOOP_API_KEY=KEY, HTTP_PROXY=address
        )
    assert (found.code, found.failed()) == (1, ["tcp"])
    assert f"http://127.0.0.1:{proxy.port}" in found.checks["proxy"]["message"]
    assert "HTTP_PROXY" in found.checks["tcp"]["fix"]
    assert "hunter2" not in found.output
    assert "alice" not in found.output


def test_requests_go_through_the_proxy_that_the_environment_names(tmp_path: Path) -> None:
    with ScriptedServer(Answer()) as proxy:
        found = Diagnosis(
            tmp_path, "--endpoint", "http://board.invalid", HIVELOOP_API_KEY=KEY, HTTP_PROXY=proxy.url
        )
        paths = [request.path for request in proxy.requests]
    assert "dns" not in found.checks  # the proxy looks the name up, we cannot and need not
    assert found.status("encryption") == "warn"
    assert paths == ["http://board.invalid/", "http://board.invalid/v1/ingest"]


def test_a_proxy_in_the_way_to_this_machine(tmp_path: Path) -> None:
    with ScriptedServer() as server, ScriptedServer(listening=False) as proxy:
        found = Diagnosis(tmp_path, "--endpoint", server.url, HIVELOOP_API_KEY=KEY, HTTP_PROXY=proxy.url)
        spared = Diagnosis(
            tmp_path,
            "--endpoint",
            server.url,
            HIVELOOP_API_KEY=KEY,
            HTTP_PROXY=proxy.url,
            NO_PROXY="127.0.0.1",
        )
    assert (found.code, found.checks["proxy"]["fix"]) == (1, "add 127.0.0.1 to NO_PROXY")
    assert (spared.code, "proxy" in spared.checks) == (0, False)


# -- TLS ------------------------------------------------------------------------------------------


@pytest.fixture
def authority() -> TlsAuthority:
    return TlsAuthority()


def test_a_private_certificate_authority(tmp_path: Path, authority: TlsAuthority) -> None:
    certificate = authority.write_certificate(tmp_path / "ca.pem")
    with ScriptedServer(key=KEY, tls=authority.server_context()) as server:
        without = Diagnosis(tmp_path, "--endpoint", server.url, HIVELOOP_API_KEY=KEY)
        given = Diagnosis(tmp_path, "--endpoint", server.url, "--ca-file", certificate, HIVELOOP_API_KEY=KEY)
        named = Diagnosis(
            tmp_path, HIVELOOP_ENDPOINT=server.url, HIVELOOP_API_KEY=KEY, HIVELOOP_CA_FILE=str(certificate)
        )
    assert (without.code, without.failed()) == (1, ["tls"])
    assert "HIVELOOP_CA_FILE" in without.checks["tls"]["fix"]
    assert (given.code, given.failed(), given.status("ingest")) == (0, [], "ok")
    assert given.checks["tls"]["message"].startswith("TLSv1.")
    assert named.settings["ca_file"] == (str(certificate), "HIVELOOP_CA_FILE")
    assert named.code == 0


def test_a_certificate_for_another_name(tmp_path: Path, authority: TlsAuthority) -> None:
    certificate = authority.write_certificate(tmp_path / "ca.pem")
    with ScriptedServer(tls=authority.server_context("board.example.com")) as server:
        found = Diagnosis(tmp_path, "--endpoint", server.url, "--ca-file", certificate, HIVELOOP_API_KEY=KEY)
    assert (found.code, found.failed()) == (1, ["tls"])
    assert "not valid for '127.0.0.1'" in found.checks["tls"]["message"]


@pytest.mark.parametrize(("days", "status", "code"), [(-1, "FAIL", 1), (3, "warn", 0)])
def test_a_certificate_at_the_end_of_its_life(tmp_path: Path, days: int, status: str, code: int) -> None:
    authority = trustme.CA()
    certificate = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(certificate)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    now = datetime.now(UTC)
    authority.issue_cert(
        "127.0.0.1", not_before=now - timedelta(days=30), not_after=now + timedelta(days=days)
    ).configure_cert(context)
    with ScriptedServer(tls=context) as server:
        found = Diagnosis(tmp_path, "--endpoint", server.url, "--ca-file", certificate, HIVELOOP_API_KEY=KEY)
    assert (found.code, found.status("tls")) == (code, status)
    assert "renew" in found.checks["tls"]["fix"]


def test_a_ca_file_without_certificates(tmp_path: Path, authority: TlsAuthority) -> None:
    (tmp_path / "ca.pem").write_text("nothing of the kind")
    with ScriptedServer(tls=authority.server_context()) as server:
        found = Diagnosis(
            tmp_path, "--endpoint", server.url, "--ca-file", tmp_path / "ca.pem", HIVELOOP_API_KEY=KEY
        )
    assert (found.code, found.failed()) == (1, ["tls"])
    assert "holds no certificates" in found.checks["tls"]["message"]


def test_https_where_only_http_is_spoken(tmp_path: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"127.0.0.1:{server.server_port}"
        found = Diagnosis(tmp_path, "--endpoint", f"https://{address}", HIVELOOP_API_KEY=KEY)
        server.shutdown()
    assert (found.code, found.failed()) == (1, ["tls"])
    assert found.checks["tls"]["message"] == f"{address} does not speak TLS"
    assert f"http://{address}" in found.checks["tls"]["fix"]


def test_http_where_only_https_is_spoken(tmp_path: Path, authority: TlsAuthority) -> None:
    with ScriptedServer(tls=authority.server_context()) as server:
        found = Diagnosis(tmp_path, "--endpoint", f"http://127.0.0.1:{server.port}", HIVELOOP_API_KEY=KEY)
    assert (found.code, found.failed()) == (1, ["http"])
    assert "https://" in found.checks["http"]["fix"]


# -- usage ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments", [["--timeout", "soon"], ["--timeout", "0"], ["--timeout", "nan"], ["--colour"]]
)
def test_wrong_usage_has_an_exit_code_of_its_own(tmp_path: Path, arguments: list[str]) -> None:
    done = cli(tmp_path, "doctor", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert arguments[0] in done.stderr
    assert "Traceback" not in done.stderr


def test_the_text_says_the_fix_below_the_problem(tmp_path: Path) -> None:
    done = cli(tmp_path, "doctor", "--endpoint", "http://127.0.0.1:9")
    lines = done.stdout.splitlines()
    place = next(number for number, line in enumerate(lines) if line.startswith("  FAIL  key "))
    assert "-> set HIVELOOP_API_KEY" in lines[place + 1]
    assert lines[-1].startswith("Verdict: 2 problems, to begin with: key: ")
    assert done.returncode == 1

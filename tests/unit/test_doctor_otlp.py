"""``python -m hiveloop doctor --otlp`` against real OTLP receivers, each broken in its own way."""

from __future__ import annotations

import os
import socketserver
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

from tests.support.otlp import OtlpSink, partly, saying
from tests.support.server import (
    Answer,
    ScriptedServer,
    TlsAuthority,
    closing,
    failing,
    hanging,
    redirecting,
    throttled,
)
from tests.unit.command_line import cli, without_opentelemetry
from tests.unit.test_doctor import KEY, Diagnosis, told_time

SECRET = "sk-0123456789abcdef"
ALONE = ["installation", "switch", "key", "otlp packages", "otlp settings", "otlp tcp", "otlp export"]
"""What is looked at when there is no HiveBoard key."""


# -- what is looked at ----------------------------------------------------------------------------


def test_without_a_board_only_the_receiver_is_looked_at(tmp_path: Path) -> None:
    with OtlpSink() as sink:
        done = cli(tmp_path, "doctor", "--otlp", sink.url)
        found = Diagnosis(tmp_path, "--otlp", sink.url)
        requests = sink.exchanges_of("/v1/traces")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == f"Verdict: spans of this program reach {sink.url}/v1/traces"
    assert (found.code, [*found.checks], found.status("key")) == (0, ALONE, "skip")
    assert len(requests) == 2
    assert (sink.spans(), sink.violations) == ([], [])


def test_both_are_looked_at_where_both_are_configured(tmp_path: Path) -> None:
    with ScriptedServer(told_time(0), key=KEY) as server, OtlpSink() as sink:
        configured = {
            "HIVELOOP_API_KEY": KEY,
            "HIVELOOP_ENDPOINT": server.url,
            "OTEL_EXPORTER_OTLP_ENDPOINT": sink.url,
        }
        done = cli(tmp_path, "doctor", **configured)
        assert len(sink.exchanges) == 1
    assert done.returncode == 0
    places = f"events of this program reach {server.url} and its spans reach {sink.url}/v1/traces"
    assert done.stdout.splitlines()[-1] == f"Verdict: {places}"


def test_without_an_address_the_variables_count(tmp_path: Path) -> None:
    with OtlpSink() as sink:
        variables = {
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{sink.url}/v1/traces",
            "OTEL_EXPORTER_OTLP_HEADERS": f"x-api-key={SECRET}",
            "OTEL_EXPORTER_OTLP_COMPRESSION": "none",
        }
        found = Diagnosis(tmp_path, "--otlp", **variables)
        (exchange,) = sink.exchanges
    assert found.code == 0
    assert exchange.request.headers["x-api-key"] == SECRET
    assert found.checks["otlp settings"]["message"].endswith("compression none; headers x-api-key")
    assert SECRET not in found.output


def test_no_variable_and_no_option_means_no_receiver(tmp_path: Path) -> None:
    found = Diagnosis(tmp_path, "--endpoint", "http://127.0.0.1:9")
    assert not [name for name in found.checks if name.startswith("otlp")]


def test_a_receiver_does_not_excuse_a_missing_key(tmp_path: Path) -> None:
    with OtlpSink() as sink:
        variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": sink.url}
        found = Diagnosis(tmp_path, "--endpoint", "http://127.0.0.1:9", **variables)
    assert (found.code, found.failed()) == (1, ["key", "tcp"])
    assert found.status("otlp export") == "ok"


# -- this process ---------------------------------------------------------------------------------


def test_a_missing_extra_is_named_and_the_receiver_looked_at_anyway(tmp_path: Path) -> None:
    with OtlpSink() as sink:
        found = Diagnosis(tmp_path, "--otlp", sink.url, **without_opentelemetry(tmp_path))
    assert (found.code, found.failed()) == (1, ["otlp packages"])
    assert found.checks["otlp packages"]["fix"] == 'pip install "hiveloop[otel]"'
    assert found.status("otlp export") == "ok"


def test_the_switch_of_opentelemetry(tmp_path: Path) -> None:
    with OtlpSink() as sink:
        found = Diagnosis(tmp_path, "--otlp", sink.url, OTEL_SDK_DISABLED="true")
    assert (found.code, found.failed()) == (1, ["otlp switch"])


@pytest.mark.parametrize(
    ("url", "variables", "word"),
    [
        ("ftp://collector", {}, "endpoint"),
        ("http://collector", {"OTEL_EXPORTER_OTLP_PROTOCOL": "http"}, "OTEL_EXPORTER_OTLP_PROTOCOL"),
        ("http://collector", {"OTEL_EXPORTER_OTLP_HEADERS": SECRET}, "OTEL_EXPORTER_OTLP_HEADERS"),
        ("http://collector", {"OTEL_EXPORTER_OTLP_CERTIFICATE": "none.pem"}, "no such file"),
    ],
)
def test_settings_that_cannot_be_right(
    tmp_path: Path, url: str, variables: dict[str, str], word: str
) -> None:
    found = Diagnosis(tmp_path, "--otlp", url, **variables)
    assert (found.code, found.failed()) == (1, ["otlp settings"])
    assert word in found.checks["otlp settings"]["message"]
    assert SECRET not in found.output


# -- the way --------------------------------------------------------------------------------------


def test_a_name_that_nobody_knows(tmp_path: Path) -> None:
    found = Diagnosis(tmp_path, "--otlp", "http://collector.invalid:4318", "--timeout", 5)
    assert (found.code, found.failed()) == (1, ["otlp dns"])
    assert "collector.invalid" in found.checks["otlp dns"]["message"]


def test_a_receiver_that_is_not_running(tmp_path: Path) -> None:
    with OtlpSink(listening=False) as sink:
        found = Diagnosis(tmp_path, "--otlp", sink.url)
    assert (found.code, found.failed()) == (1, ["otlp tcp"])


def test_a_key_in_the_clear_is_a_warning(tmp_path: Path) -> None:
    with OtlpSink() as proxy:
        variables = {"OTEL_EXPORTER_OTLP_HEADERS": f"x-api-key={SECRET}", "HTTP_PROXY": proxy.url}
        with_key = Diagnosis(tmp_path, "--otlp", "http://collector.invalid", **variables)
        variables.pop("OTEL_EXPORTER_OTLP_HEADERS")
        without = Diagnosis(tmp_path, "--otlp", "http://collector.invalid", **variables)
    assert with_key.status("otlp encryption") == "warn"
    assert "otlp encryption" not in without.checks
    assert proxy.url in without.checks["otlp proxy"]["message"]


def test_a_private_certificate_authority(tmp_path: Path) -> None:
    authority = TlsAuthority()
    certificate = authority.write_certificate(tmp_path / "ca.pem")
    with OtlpSink(tls=authority.server_context()) as sink:
        without = Diagnosis(tmp_path, "--otlp", sink.url)
        named = Diagnosis(tmp_path, "--otlp", sink.url, OTEL_EXPORTER_OTLP_CERTIFICATE=str(certificate))
    assert (without.code, without.failed()) == (1, ["otlp tls"])
    assert "OTEL_EXPORTER_OTLP_CERTIFICATE" in without.checks["otlp tls"]["fix"]
    assert (named.code, named.status("otlp tls"), named.status("otlp export")) == (0, "ok", "ok")


# -- the answer -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "message", "fix"),
    [
        (saying(401, "who are you?"), "401", "OTEL_EXPORTER_OTLP_HEADERS"),
        (failing(404), "no OTLP receiver answers", "OTEL_EXPORTER_OTLP_ENDPOINT"),
        (failing(415), "does not take http/protobuf", "OTEL_EXPORTER_OTLP_PROTOCOL"),
        (saying(400, "no such field"), "no such field", "is an OTLP receiver"),
        (failing(503), "503", "try again"),
        (throttled(30), "429", "try again"),
        (redirecting("https://elsewhere.example.com/v1/traces"), "elsewhere.example.com", "endpoint"),
        (Answer(body="<html>log in</html>"), "a web page answered", "endpoint"),
        (closing(), "takes nothing now", "try again"),
    ],
)
def test_what_the_receiver_says_is_explained(tmp_path: Path, answer: Answer, message: str, fix: str) -> None:
    with OtlpSink(answer) as sink:
        found = Diagnosis(tmp_path, "--otlp", sink.url)
    assert (found.code, found.failed()) == (1, ["otlp export"])
    check = found.checks["otlp export"]
    assert message in f"{check['message']} {check['fix']}"
    assert fix in check["fix"]


def test_a_warning_of_the_receiver_is_shown(tmp_path: Path) -> None:
    with OtlpSink(partly(0, "this path is deprecated")) as sink:
        found = Diagnosis(tmp_path, "--otlp", sink.url)
    assert found.code == 0
    assert found.checks["otlp export"]["message"].endswith("and it says: this path is deprecated")


def test_a_receiver_that_never_answers_takes_no_longer_than_the_timeout(tmp_path: Path) -> None:
    with OtlpSink(hanging()) as sink:
        found = Diagnosis(tmp_path, "--otlp", sink.url, "--timeout", 0.5)
    assert (found.code, found.failed()) == (1, ["otlp export"])
    assert found.seconds < 5


# -- gRPC -----------------------------------------------------------------------------------------


class Receiver(trace_service_pb2_grpc.TraceServiceServicer):
    """Takes everything from those who have the key."""

    def Export(self, request: Any, context: Any) -> Any:  # noqa: N802 - the name in the protocol
        if ("x-api-key", SECRET) not in context.invocation_metadata():
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "no key")
        return trace_service_pb2.ExportTraceServiceResponse()


def test_a_receiver_of_grpc(tmp_path: Path) -> None:
    server = grpc.server(ThreadPoolExecutor(1))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(Receiver(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    protocol = {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
    try:
        without = Diagnosis(tmp_path, "--otlp", f"http://127.0.0.1:{port}", **protocol)
        key = {"OTEL_EXPORTER_OTLP_HEADERS": f"x-api-key={SECRET}"}
        with_key = Diagnosis(tmp_path, "--otlp", f"http://127.0.0.1:{port}", **protocol, **key)
    finally:
        server.stop(None).wait(5)
    assert (without.code, without.failed()) == (1, ["otlp export"])
    assert "UNAUTHENTICATED" in without.checks["otlp export"]["message"]
    assert (with_key.code, with_key.failed()) == (0, [])
    assert with_key.checks["otlp settings"]["message"].startswith("grpc to ")


@pytest.mark.parametrize(("port", "protocol", "right"), [(4317, "http/protobuf", 4318), (4318, "grpc", 4317)])
def test_the_port_of_the_other_protocol_is_pointed_out(
    tmp_path: Path, port: int, protocol: str, right: int
) -> None:
    class Speechless(socketserver.BaseRequestHandler):
        """Hangs up, as a server does that is spoken to in another protocol."""

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True

    # A loopback address of our own: nobody else listens there on the well-known ports.
    host = f"127.86.{os.getpid() // 250 % 250}.{os.getpid() % 250 + 1}"
    with Server((host, port), Speechless) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        found = Diagnosis(
            tmp_path,
            "--otlp",
            f"http://{host}:{port}",
            "--timeout",
            3,
            OTEL_EXPORTER_OTLP_PROTOCOL=protocol,
        )
        server.shutdown()
    assert found.failed() == ["otlp export"]
    assert f"use port {right}" in found.checks["otlp export"]["fix"]


# -- text -----------------------------------------------------------------------------------------


def test_the_text_says_the_fix_below_the_problem(tmp_path: Path) -> None:
    with OtlpSink(failing(404)) as sink:
        done = cli(tmp_path, "doctor", "--otlp", sink.url)
    lines = done.stdout.splitlines()
    place = next(number for number, line in enumerate(lines) if line.startswith("  FAIL  otlp export "))
    assert "-> check endpoint= or OTEL_EXPORTER_OTLP_ENDPOINT" in lines[place + 1]
    assert lines[-1].startswith("Verdict: 1 problem: otlp export: ")
    assert done.returncode == 1

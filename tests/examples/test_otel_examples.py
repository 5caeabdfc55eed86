"""Each example with OpenTelemetry runs as a user would run it: without a collector, and with one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.otlp import OtlpSink, ReceivedSpan
from tests.support.program import run_program
from tests.support.server import ScriptedServer

from .test_examples import ENVIRONMENT, EXAMPLES, FILES, FOLDER, KEY, Told

OTEL_EXAMPLES = [path.name for path in FILES if path.name not in EXAMPLES]
PROGRAMS = [name for name in OTEL_EXAMPLES if not name.startswith("test_")]
INBOUND = "inbound_framework.py"
"""It takes spans in and sends none."""


def only(sink: OtlpSink, name: str) -> ReceivedSpan:
    (found,) = [span for span in sink.spans() if span.name == name]
    return found


# -- what each example promises ----------------------------------------------------------------------


def otel_only(sink: OtlpSink) -> None:
    names = sink.names()
    assert names["invoke_agent librarian"] == 3
    assert names["execute_tool read_file"] == names["chat local-small"] == 2
    failed = only(sink, "read_file")
    assert (failed.status, failed.attributes["error.type"]) == ("ERROR", "FileNotFoundError")
    assert {span.resource["service.name"] for span in sink.spans()} == {"examples"}
    assert [log.event_name for log in sink.logs()].count("hiveloop.issue.reported") == 1
    assert sum(sink.metric("hiveloop.llm.cost").values().values()) == pytest.approx(0.0004)


def hiveboard_and_otel(sink: OtlpSink) -> None:
    task, tool = only(sink, "invoke_agent sales"), only(sink, "execute_tool search_crm")
    assert task.trace_id == task.attributes["hiveloop.task.run_id"].replace("-", "")
    assert tool.attributes["crm.region"] == "eu"


def fastapi_httpx_nested(sink: OtlpSink) -> None:
    by_id = {span.span_id: span for span in sink.spans()}

    def path(name: str) -> list[str]:
        span, names = only(sink, name), list[str]()
        while span.parent_id:
            span = by_id[span.parent_id]
            names.append(f"{span.name} {span.kind}")
        return names

    way = ["POST CLIENT"]
    assert path("invoke_agent planner") == ["POST /plan SERVER", *way]
    way = ["ask_writer INTERNAL", "invoke_agent planner INTERNAL", "POST /plan SERVER", *way]
    assert path("invoke_agent writer") == ["POST /write SERVER", "POST CLIENT", *way]
    assert path("chat local-small")[0] == "invoke_agent writer INTERNAL"


PROMISES: dict[str, Callable[[OtlpSink], None]] = {
    f"{check.__name__}.py": check for check in (otel_only, hiveboard_and_otel, fastapi_httpx_nested)
}

SHOWN = {
    "otel_only.py": ["execute_tool read_file", "client   chat local-small", "error.type=FileNotFoundError"],
    "hiveboard_and_otel.py": ["search_crm", " is trace ", "otel: 8 of 8 events delivered"],
    INBOUND: ["task visit-17", "chat  local-small", "✗ read_purpose", "tools that a model picks at run time"],
    "fastapi_httpx_nested.py": ["A few words about tea.", "\n          POST /write (server)\n"],
}
"""What a reader sees without a collector."""


@pytest.mark.parametrize("example", PROGRAMS)
def test_example_without_a_collector(example: str) -> None:
    done = run_program(FOLDER / example, environment=ENVIRONMENT)

    assert (done.code, done.err) == (0, "")
    text = "\n".join(done.out)
    assert [words for words in SHOWN[example] if words not in text] == []


@pytest.mark.parametrize("example", [name for name in PROGRAMS if name != INBOUND])
def test_example_with_a_collector(example: str) -> None:
    with OtlpSink() as sink:
        collector = {"OTEL_EXPORTER_OTLP_ENDPOINT": sink.url}
        done = run_program(FOLDER / example, environment={**ENVIRONMENT, **collector})

    assert (done.code, done.err) == (0, "")
    assert sink.violations == []
    assert sink.repeats() == {}
    PROMISES[example](sink)


def test_both_sides_of_the_example_have_the_same_ids() -> None:
    with ScriptedServer(key=KEY) as server, OtlpSink() as sink:
        places = {
            "HIVELOOP_API_KEY": KEY,
            "HIVELOOP_ENDPOINT": server.url,
            "OTEL_EXPORTER_OTLP_ENDPOINT": sink.url,
        }
        done = run_program(FOLDER / "hiveboard_and_otel.py", environment={**ENVIRONMENT, **places})

    assert (done.code, done.err) == (0, "")
    (task,) = Told(server)("task_completed")
    assert only(sink, "invoke_agent sales").trace_id == task["task_run_id"].replace("-", "")
    assert f"run {task['task_run_id']} is trace" in "\n".join(done.out)


def test_spans_of_a_framework_arrive_at_a_board() -> None:
    with ScriptedServer(key=KEY) as server:
        account = {"HIVELOOP_API_KEY": KEY, "HIVELOOP_ENDPOINT": server.url}
        done = run_program(FOLDER / INBOUND, environment={**ENVIRONMENT, **account})

    assert (done.code, done.err) == (0, "")
    assert (server.violations, server.repeats()) == ([], {})
    told = Told(server)
    assert told.agents == {"librarian", "reader"}
    assert {event["project_id"] for event in told("task_completed")} == {"examples"}
    assert len(told("task_completed")) == len(told("llm_call", model="local-small")) == 2
    assert len(told("read_purpose:action_completed")) == 2
    assert len(told("read_purpose:action_failed", exception_type="FileNotFoundError")) == 1


def test_the_tests_to_copy_pass_and_can_fail(tmp_path: Path) -> None:
    original = (FOLDER / "test_agent_spans.py").read_text(encoding="utf-8")
    right, wrong = tmp_path / "test_right.py", tmp_path / "test_wrong.py"
    right.write_text(original, encoding="utf-8")
    wrong.write_text(original.replace("tokens_in=60", "tokens_in=61"), encoding="utf-8")
    outcomes = [_run_tests(file, tmp_path) for file in (right, wrong)]
    assert "6 passed" in outcomes[0]
    assert "1 failed, 5 passed" in outcomes[1]


def _run_tests(file: Path, folder: Path) -> str:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", str(file)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False).stdout


@pytest.mark.parametrize("example", OTEL_EXAMPLES)
def test_example_says_how_it_is_run_and_what_it_needs(example: str) -> None:
    docstring = (FOLDER / example).read_text(encoding="utf-8").split('"""')[1]
    program = "-m pytest " if example.startswith("test_") else ""
    assert f"    python {program}examples/{example}\n" in docstring
    assert 'pip install "hiveloop[otel]"' in docstring
    assert ("HIVELOOP_API_KEY" if example == INBOUND else "OTEL_EXPORTER_OTLP_ENDPOINT") in docstring

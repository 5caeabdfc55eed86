"""ConsoleTransport: what people read in the terminal."""

from __future__ import annotations

import io
import logging
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, TextIO

import pytest

import hiveloop
from hiveloop.errors import HiveLoopConfigError
from hiveloop.events import Event, Severity
from hiveloop.transport import Delivered, Transport
from hiveloop.transports import ConsoleTransport
from tests.support.events import Script, batch

ANSI = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "TERM", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)


def printed(*batches: list[Event], **options: Any) -> list[str]:
    """Return the lines printed for these batches, without the clock."""
    stream = io.StringIO()
    console = ConsoleTransport(stream, **options)
    for events in batches:
        assert console.send(console.prepare(batch(*events)), 1.0) == Delivered()
    assert console.flush(1.0)
    return [line[9:] for line in stream.getvalue().splitlines()]


def one_by_one(*events: Event, **options: Any) -> list[str]:
    return printed(*([event] for event in events), **options)


def test_a_task_is_a_tree_of_what_happened_in_it() -> None:
    s = Script(project="crm")
    lines = one_by_one(
        s.started(),
        s.llm_call(tokens_in=1200, tokens_out=350, cost=0.008, duration_ms=1200),
        s.action_started("search"),
        s.action_started("fetch", parent="search"),
        s.llm_call("rank", "claude-haiku-4-5", tokens_in=10, tokens_out=2, cost=0.0002, action="fetch"),
        s.action_failed("fetch", "TimeoutError", "read timed out", parent="search"),
        s.action_completed("search"),
        s.completed(),
    )
    assert lines == [
        "sales  ┌ task lead-42  crm",
        "sales  │ ◆ reason  claude-sonnet-4  1200 in / 350 out  $0.008  1.2s",
        "sales  │ ┌ search",
        "sales  │ │ ┌ fetch",
        "sales  │ │ │ ◆ rank  claude-haiku-4-5  10 in / 2 out  $0.0002",
        "sales  │ │ └ ✗ fetch  TimeoutError: read timed out  88ms",
        "sales  │ └ ✓ search  340ms",
        "sales  └ ✓ task lead-42  1.6s  2 LLM calls  1210 in / 352 out  $0.0082",
    ]


def test_a_running_agent_is_shown() -> None:
    stream = io.StringIO()
    hb = hiveloop.init(transport=ConsoleTransport(stream))
    agent = hb.agent("sales", type="crm", version="2.1", heartbeat_interval=0)
    with agent.task("lead-42") as task:
        task.retry("API failed", attempt=1, backoff_seconds=2)
        with agent.track_context("search") as action:
            action.set_payload(hiveloop.tool_payload(args={"query": "acme"}, result="3 hits"))
        task.escalate("Beyond me", assigned_to="legal", reason="scope")
    hiveloop.shutdown()
    lines = [re.sub(r" +\d+ms", " 0ms", line[9:]) for line in stream.getvalue().splitlines()]
    assert lines == [
        "sales  ● agent registered  crm · 2.1",
        "sales  ┌ task lead-42",
        "sales  │ ↻ retry 1  in 2s  API failed",
        "sales  │ ✓ search 0ms  (query=acme) → 3 hits",
        "sales  │ ↑ escalated to legal  Beyond me  scope",
        "sales  └ ✓ task lead-42 0ms",
        "sales  ○ agent stopped",
    ]


def test_the_clock_is_local_time() -> None:
    stream = io.StringIO()
    console = ConsoleTransport(stream)
    event = Script().started()
    console.send(console.prepare(batch(event)), 1.0)
    local = time.strftime("%H:%M:%S", time.localtime(event.time_ns / 1e9))
    assert stream.getvalue().startswith(f"{local} sales  ┌ task lead-42")


def test_an_action_that_ends_right_away_takes_one_line() -> None:
    s, other = Script(), Script("ops", None)
    lines = printed(
        [
            s.started(),
            s.action_started("search"),
            other.event("queue_snapshot", {"data": {"depth": 3}}),
            s.action_completed(
                "search", success=True, args={"query": "acme corp"}, result="3 contacts", tool_category="crm"
            ),
            s.action_started("outer"),
            s.action_started("inner", parent="outer"),
            s.action_completed("inner", parent="outer"),
            s.action_completed("outer"),
        ]
    )
    assert lines == [
        "sales  ┌ task lead-42",
        "ops    ≣ queue 3",
        'sales  │ ✓ search  340ms  (query="acme corp") → 3 contacts',
        "sales  │ ┌ outer",
        "sales  │ │ ✓ inner  340ms",
        "sales  │ └ ✓ outer  340ms",
    ]


def test_plans_show_their_progress() -> None:
    s = Script()

    def step(index: int, action: str, said: str, **data: int) -> Event:
        summary = f"Step {index} {action}: {said}"
        content = {"step_index": index, "total_steps": 3, "action": action, **data}
        return s.event("plan_step", {"summary": summary, "data": content})

    steps = [{"index": i, "description": text} for i, text in enumerate(("gather", "compare", "write"))]
    lines = one_by_one(
        s.started(),
        s.event(
            "plan_created", {"summary": "g", "data": {"goal": "Write a brief", "steps": steps, "revision": 1}}
        ),
        step(0, "started", "gather"),
        step(0, "completed", "12 sources", turns=3, tokens=4500),
        step(1, "skipped", "nothing to compare"),
        step(2, "failed", "no access"),
    )
    assert lines[1:] == [
        "sales  │ ≡ plan  Write a brief  3 steps  revision 1",
        "sales  │    1. gather",
        "sales  │    2. compare",
        "sales  │    3. write",
        "sales  │ ▸ step 1/3  gather",
        "sales  │ ✓ step 1/3  12 sources  ■□□  3 turns · 4500 tokens",
        "sales  │ · step 2/3  skipped  nothing to compare  ■■□",
        "sales  │ ✗ step 3/3  no access  ■■□",
    ]


def test_retries_escalations_approvals_issues_queue_and_todos() -> None:
    s = Script(task_id=None)
    lines = one_by_one(
        s.event("retry_started", {"summary": "API failed", "data": {"attempt": 2, "backoff_seconds": 2.5}}),
        s.event("escalated", {"summary": "Beyond me", "data": {"assigned_to": "legal", "reason": "scope"}}),
        s.event("approval_requested", {"summary": "Send it", "data": {"approver": "Dana"}}),
        s.event(
            "approval_received", {"summary": "Go", "data": {"decision": "approved", "approved_by": "Dana"}}
        ),
        s.event("approval_received", {"summary": "No", "data": {"decision": "rejected"}}),
        s.event(
            "issue",
            {
                "summary": "CRM answers 429",
                "data": {
                    "severity": "high",
                    "action": "reported",
                    "category": "rate_limit",
                    "occurrence_count": 14,
                },
            },
            severity=Severity.ERROR,
        ),
        s.event("issue", {"summary": "CRM is back", "data": {"severity": "low", "action": "resolved"}}),
        s.event("queue_snapshot", {"data": {"depth": 3, "oldest_age_seconds": 125}}),
        s.event("todo", {"summary": "Raise quota", "data": {"action": "created", "priority": "high"}}),
        s.event("todo", {"summary": "Raise quota", "data": {"action": "completed"}}),
        s.event(
            "scheduled", {"summary": "1 scheduled items", "data": {"items": [{"id": "x", "name": "audit"}]}}
        ),
        s.event("learning", {"data": {"category": "tools", "applied": True}}),
        s.event("anomaly", {"data": {"message": "3x the same", "detector": "cycle"}}),
        s.event("runtime", {"summary": "Agent sales stopped", "data": {"event": "agent_stopped"}}),
    )
    assert [line.removeprefix("sales  ") for line in lines] == [
        "↻ retry 2  in 2.5s  API failed",
        "↑ escalated to legal  Beyond me  scope",
        "? approval needed from Dana  Send it",
        "✓ approved by Dana  Go",
        "✗ rejected  No",
        "! high issue  CRM answers 429  rate_limit  ×14",
        "✓ issue resolved  CRM is back",
        "≣ queue 3  oldest 2m 05s",
        "○ todo created  Raise quota  high",
        "✓ todo completed  Raise quota",
        "◷ 1 scheduled items  audit",
        "· learning  category=tools applied=yes",
        "· anomaly  3x the same  detector=cycle",
        "○ agent stopped",
    ]


def test_a_failed_task_says_why_and_what_it_cost() -> None:
    s = Script()
    lines = one_by_one(s.started(), s.llm_call(cost=1.5, tokens_in=18_412), s.failed("KeyError", "'k'"))
    assert lines[-1] == "sales  └ ✗ task lead-42  KeyError: 'k'  1.6s  1 LLM call  18,412 in / 0 out  $1.50"


def test_a_tool_that_reports_failure_is_not_shown_as_a_success() -> None:
    s = Script()
    ended = s.action_completed("search", success=False, error="HTTP 500")
    assert one_by_one(s.started(), ended)[-1] == "sales  │ └ ✗ search  HTTP 500  340ms"


def test_another_status_and_the_payload_are_shown() -> None:
    s = Script()
    lines = one_by_one(s.started(), s.completed(status="partial", pages=4))
    assert lines[-1] == "sales  └ ✓ task lead-42  partial  1.6s  pages=4"


def test_interleaved_agents_have_their_own_trees() -> None:
    a, b = Script("sales", "lead-42"), Script("ops-monitor", "audit-1")
    lines = one_by_one(
        a.started(), b.started(), a.action_started("crm"), b.llm_call(), a.action_completed("crm")
    )
    assert lines == [
        "sales  ┌ task lead-42",
        "ops-monitor ┌ task audit-1",
        "sales       │ ┌ crm",
        "ops-monitor │ ◆ reason  claude-sonnet-4",
        "sales       │ └ ✓ crm  340ms",
    ]


def test_lines_name_their_task_while_the_agent_has_several_open() -> None:
    a, b = Script(task_id="lead-42"), Script(task_id="lead-43")
    lines = one_by_one(
        a.started(),
        a.llm_call("one"),
        b.started(),
        a.llm_call("two"),
        b.llm_call("three"),
        b.completed(),
        a.llm_call("four"),
    )
    assert lines == [
        "sales  ┌ task lead-42",
        "sales  │ ◆ one  claude-sonnet-4",
        "sales  ┌ task lead-43",
        "sales  │ [lead-42] ◆ two  claude-sonnet-4",
        "sales  │ [lead-43] ◆ three  claude-sonnet-4",
        "sales  └ ✓ task lead-43  1.6s  1 LLM call",
        "sales  │ ◆ four  claude-sonnet-4",
    ]


def test_events_of_a_task_whose_start_was_not_seen_name_it() -> None:
    assert one_by_one(Script().llm_call()) == ["sales  │ [lead-42] ◆ reason  claude-sonnet-4"]


def test_heartbeats_are_quiet_unless_asked_for() -> None:
    s = Script(task_id=None)
    beat = s.event("heartbeat", {"memory_items": 42, "hiveloop": {"queue_depth": 3, "last_progress_at": "x"}})
    assert one_by_one(beat) == []
    assert one_by_one(beat, show_heartbeats=True) == ["sales  ♥ heartbeat  memory_items=42 queue_depth=3"]


def test_a_heartbeat_without_progress_is_shown_once_per_standstill() -> None:
    s = Script(task_id=None)

    def beat(idle: float, **more: str) -> Event:
        return s.event("heartbeat", {"hiveloop": {"idle_seconds": idle, "open_task": "t1", **more}})

    lines = one_by_one(
        s.event("agent_registered", {"data": {"stuck_threshold": 60}}),
        beat(59),
        beat(61, open_action="fetch"),
        beat(91, open_action="fetch"),
        beat(2),
        beat(100, expecting_until="2999-01-01T00:00:00.000Z"),
        beat(100, expecting_until="1999-01-01T00:00:00.000Z"),
    )
    assert lines == [
        "sales  ● agent registered",
        "sales  ! no progress for 1m 01s  t1 → fetch",
        "sales  ! no progress for 1m 40s  t1",
    ]


# -- hostile and odd content --------------------------------------------------------------------


@pytest.mark.parametrize(
    "attack",
    [
        "\x1b[2J\x1b[H",  # clear the screen
        "\x1b]0;owned\x07",  # set the title
        "\x1b]8;;https://evil.example\x1b\\click\x1b]8;;\x1b\\",  # hide a link
        "\x9b31m",  # the eight-bit introducer
        "a\rb\nc\td\x0be\x85f\u2028g\u2029h",  # forge lines
        "\u202egnp.exe\u2066",  # turn the line around
        "\x00\x08\x7f",
        "\ud800",  # half a character
        "\U000e0041\u200b\ufeff",  # invisible text
    ],
)
def test_text_of_agents_cannot_act_on_the_terminal(attack: str) -> None:
    s = Script(agent_id=f"a{attack}", task_id=f"t{attack}", project=attack)
    stream = io.StringIO()
    console = ConsoleTransport(stream, color=False, show_heartbeats=True)
    events = [
        s.event("agent_registered", {"data": {}}),
        s.started(),
        s.llm_call(attack, attack),
        s.event("plan_created", {"data": {"goal": attack, "steps": [{"description": attack}, attack]}}),
        s.event("plan_step", {"summary": attack, "data": {"action": attack}}),
        s.action_started(attack),
        s.action_completed(attack, args={attack: attack}, result=attack, more=attack),
        s.action_failed(attack, attack, attack),
        s.event("issue", {"summary": attack, "data": {"severity": attack, "category": attack}}),
        s.event(
            "todo", {"summary": attack, "data": {"action": attack, "priority": attack, "due_by": attack}}
        ),
        s.event("queue_snapshot", {"data": {"processing": {"summary": attack}}}),
        s.event("scheduled", {"summary": attack, "data": {"items": [{"name": attack}]}}),
        s.event("escalated", {"summary": attack, "data": {"assigned_to": attack, "reason": attack}}),
        s.event("approval_requested", {"summary": attack, "data": {"approver": attack}}),
        s.event(
            "approval_received", {"summary": attack, "data": {"decision": attack, "approved_by": attack}}
        ),
        s.event("heartbeat", {attack: attack, "hiveloop": {"idle_seconds": 999, "open_task": attack}}),
        s.event(attack, {"summary": attack, "data": {attack: attack}}),
        s.completed(status=attack),
    ]
    console.send(console.prepare(batch(*events)), 1.0)
    text = stream.getvalue()
    assert all(char.isprintable() or char == "\n" for char in text)
    assert (
        len(text.splitlines()) == len(events) + 2
    )  # the two steps of the plan, the missing progress, one folded start


def test_markup_is_text() -> None:
    s = Script(task_id=None)
    assert one_by_one(s.llm_call("[red]x[/red]", "[link=x]m[/]")) == ["sales  ◆ [red]x[/red]  [link=x]m[/]"]
    colored = one_by_one(s.llm_call("[red]x[/red]", ":smile:"), color=True)
    assert "[red]x[/red]" in colored[0]
    assert ":smile:" in colored[0]


ODD = [None, True, 3, -1.5, float("nan"), 10**400, "", "x", [], [1], {}, {"a": 1}]


@pytest.mark.parametrize("odd", ODD, ids=range(len(ODD)))
def test_payloads_of_any_shape_are_printed(odd: Any) -> None:
    s = Script()
    data_keys = (
        "name",
        "model",
        "tokens_in",
        "tokens_out",
        "cost",
        "duration_ms",
        "steps",
        "goal",
        "revision",
    )
    data_keys += (
        "step_index",
        "total_steps",
        "action",
        "turns",
        "tokens",
        "attempt",
        "backoff_seconds",
        "depth",
    )
    data_keys += ("oldest_age_seconds", "processing", "items", "severity", "occurrence_count", "decision")
    data = dict.fromkeys(data_keys, odd)
    kinds = (
        "llm_call",
        "plan_created",
        "plan_step",
        "issue",
        "todo",
        "queue_snapshot",
        "scheduled",
        "runtime",
    )
    kinds += (
        "retry_started",
        "escalated",
        "approval_requested",
        "approval_received",
        "agent_registered",
        "x",
    )
    events = [s.event(kind, {"summary": odd, "data": payload}) for kind in kinds for payload in (data, odd)]
    events += [
        s.event(kind, {"hiveloop": odd, "args": odd, "result": odd, "action_name": odd})
        for kind in (
            "heartbeat",
            "task_started",
            "task_completed",
            "task_failed",
            "action_started",
            "action_completed",
        )
    ]
    lines = one_by_one(*events, show_heartbeats=True)
    assert len(lines) >= len(events)


def test_events_that_miss_their_task_or_action_are_printed() -> None:
    s = Script(task_id=None)
    kinds = (
        "task_started",
        "task_completed",
        "task_failed",
        "action_started",
        "action_completed",
        "action_failed",
    )
    assert len(one_by_one(*(s.event(kind) for kind in kinds))) == len(kinds)


# -- width and encoding -------------------------------------------------------------------------


@pytest.mark.parametrize("width", [40, 60, 80, 200])
@pytest.mark.parametrize("text", ["long " * 80, "日本語テキスト" * 30, "e\u0301" * 200, "👩‍👩‍👧" * 40])
def test_no_line_is_wider_than_asked(width: int, text: str) -> None:
    from rich.cells import cell_len  # a second opinion on the width of characters

    s = Script(agent_id=text, task_id=text, project=text)
    lines = one_by_one(
        s.started(),
        s.llm_call(text, text, tokens_in=10**9, tokens_out=10**9, cost=0.01, duration_ms=10**9),
        s.action_started("a"),
        s.failed(text, text),
        width=width,
    )
    slack = len(re.findall("\u200d", text))  # rich knows joined emoji as one; we count them apart
    for line in lines:
        assert cell_len(line) + 9 <= width + slack
    assert any(line.endswith("…") for line in lines) or width == 200


def test_what_matters_survives_in_a_narrow_terminal() -> None:
    s = Script()
    lines = one_by_one(
        s.started(),
        s.llm_call(tokens_in=1200, tokens_out=350, cost=0.008, duration_ms=1200),
        s.action_failed("fetch_page", "TimeoutError", "read timed out: https://example.org/a/very/long/path"),
        width=66,
    )
    assert lines[1] == "sales  │ ◆ reason  claude-son…  1200 in / 350 out  $0.008"
    assert lines[2] == "sales  │ └ ✗ fetch_page  TimeoutError: read timed…  88ms"


def test_the_width_comes_from_columns_when_there_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    s = Script(task_id=None)
    long = s.event("note", {"summary": "x" * 500})
    assert len(one_by_one(long)[0]) + 9 == 120
    monkeypatch.setenv("COLUMNS", "77")
    assert len(one_by_one(long)[0]) + 9 == 77


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "cp437"])
def test_a_stream_that_knows_little_gets_ascii(encoding: str) -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding)
    console = ConsoleTransport(stream)
    s = Script()
    events = batch(s.started(), s.llm_call("naïve 日本", "m"), s.action_failed("f", "E", "m"), s.completed())
    console.send(console.prepare(events), 1.0)
    lines = [line[9:] for line in raw.getvalue().decode(encoding).splitlines()]
    assert lines[0] == "sales  + task lead-42"
    assert re.fullmatch(r"sales  \| \* na.ve \?\?  m", lines[1])
    assert lines[2] == "sales  | ` FAILED f  E: m  88ms"
    assert lines[3] == "sales  ` ok task lead-42  1.6s  1 LLM call"


def test_ascii_can_be_asked_for() -> None:
    assert one_by_one(Script().started(), ascii_only=True) == ["sales  + task lead-42"]


# -- colour -------------------------------------------------------------------------------------


def colored(**options: Any) -> str:
    stream = io.StringIO()
    console = ConsoleTransport(stream, **options)
    s = Script()
    console.send(console.prepare(batch(s.started(), s.llm_call(cost=0.01), s.failed("E", "m"))), 1.0)
    return stream.getvalue()


def test_colour_changes_nothing_but_the_colour() -> None:
    plain, color = colored(color=False), colored(color=True)
    assert "\x1b[" in color
    assert ANSI.sub("", color) == plain
    assert "\x1b[1;31m" in color  # the failure is red


def test_colour_is_off_away_from_a_terminal_and_follows_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert "\x1b[" not in colored()
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[" in colored()
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in colored()
    assert "\x1b[" in colored(color=True)


@pytest.mark.parametrize("terminal", ["xterm", "xterm-256color"])
def test_agents_keep_a_colour_of_their_own(terminal: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", terminal)
    stream = io.StringIO()
    console = ConsoleTransport(stream, color=True)
    scripts = [Script(f"agent-{i}") for i in range(8)]
    for _ in range(2):
        console.send(console.prepare(batch(*(s.llm_call() for s in scripts))), 1.0)
    found = [re.search(r"(\x1b\[[0-9;]*m)(agent-\d)", line) for line in stream.getvalue().splitlines()]
    colors = {(match[2], match[1]) for match in found if match}
    assert len(colors) == len({color for _, color in colors}) == 8


def test_a_terminal_gets_colour_and_its_own_width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    primary, secondary = os.openpty()
    try:
        os.set_blocking(primary, False)
        set_columns(secondary, 50)
        with os.fdopen(secondary, "w", encoding="utf-8") as terminal:
            console = ConsoleTransport(terminal)
            console.send(
                console.prepare(batch(Script(task_id=None).event("note", {"summary": "x" * 200}))), 1.0
            )
            text = os.read(primary, 10_000).decode()
    finally:
        os.close(primary)
    assert "\x1b[38;5;" in text
    assert len(ANSI.sub("", text).rstrip()) == 50


def set_columns(terminal: int, columns: int) -> None:
    import fcntl
    import struct
    import termios

    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))


def test_an_application_that_uses_rich_itself_changes_no_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    from rich.color import ColorSystem
    from rich.style import Style

    monkeypatch.setenv("TERM", "xterm-256color")
    Style.parse.cache_clear()  # type: ignore[attr-defined]
    for number in range(256):
        Style.parse(f"color({number})").render("x", color_system=ColorSystem.STANDARD)
    assert "\x1b[38;5;133m" in colored(color=True)


PLAIN_WITHOUT_RICH = """
import sys
sys.path.insert(0, {root!r})
class Without:
    def find_spec(self, name, path=None, target=None):
        if name == "rich" or name.startswith("rich."):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Without())
from hiveloop.transports import ConsoleTransport
from tests.support.events import Script, batch
s = Script()
console = ConsoleTransport()
console.send(console.prepare(batch(s.started(), s.llm_call(cost=0.01), s.failed("E", "m"))), 1.0)
assert "rich" not in sys.modules
"""


def test_the_text_is_the_same_without_rich(monkeypatch: pytest.MonkeyPatch) -> None:
    root = str(Path(__file__).parents[2])
    environment = {**os.environ, "FORCE_COLOR": "1", "PYTHONIOENCODING": "utf-8"}
    program = [sys.executable, "-c", PLAIN_WITHOUT_RICH.format(root=root)]
    done = subprocess.run(program, capture_output=True, env=environment, timeout=60, check=False)
    assert done.stderr.decode() == ""
    assert done.stdout.decode() == colored(color=False)


# -- streams that go away -----------------------------------------------------------------------


@contextmanager
def broken_pipe() -> Generator[TextIO]:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w", encoding="utf-8") as stream:
        yield stream


@contextmanager
def closed() -> Generator[TextIO]:
    stream = io.StringIO()
    stream.close()
    yield stream


@pytest.mark.parametrize("lost", [broken_pipe, closed])
def test_a_lost_stream_is_said_once_and_costs_nothing_more(
    lost: Callable[[], AbstractContextManager[TextIO]], caplog: pytest.LogCaptureFixture
) -> None:
    s = Script()
    events = [s.started(), s.llm_call(), s.completed()]
    with caplog.at_level(logging.DEBUG), lost() as stream:
        console = ConsoleTransport(stream)
        outcomes = [console.send(console.prepare(batch(event)), 1.0) for event in events]
    assert outcomes == [Delivered(rejected=(event.event_id,)) for event in events]
    assert len(caplog.records) == 1
    assert "console" in caplog.text


def test_a_process_without_standard_output_rejects(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    console, event = ConsoleTransport(), Script().started()
    assert console.send(console.prepare(batch(event)), 1.0) == Delivered(rejected=(event.event_id,))


def test_standard_output_is_the_one_of_the_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    console, s = ConsoleTransport(), Script()
    first, second = io.StringIO(), io.StringIO()
    for stream in (first, second):
        monkeypatch.setattr(sys, "stdout", stream)
        console.send(console.prepare(batch(s.llm_call())), 1.0)
        assert stream.getvalue().count("\n") == 1


def test_a_full_pipe_is_tried_again_and_nothing_is_printed_twice() -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    stream = os.fdopen(writer, "w", encoding="utf-8")
    s = Script(task_id=None)
    console = ConsoleTransport(stream)
    prepared = console.prepare(
        batch(*(s.event("note", {"summary": f"{i:04} {'x' * 80}"}) for i in range(2000)))
    )
    received = b""
    outcome, refusals = None, 0
    while outcome is None:
        try:
            outcome = console.send(prepared, 1.0)
        except BlockingIOError:
            refusals += 1
            received += os.read(reader, 1 << 20)
    stream.close()
    while chunk := os.read(reader, 1 << 20):
        received += chunk
    os.close(reader)
    assert refusals > 0
    assert outcome == Delivered()
    numbers = re.findall(r"note  (\d{4}) ", received.decode())
    assert numbers == [f"{i:04}" for i in range(2000)]


HEAD = """
import sys
sys.path.insert(0, {root!r})
from hiveloop.transports import ConsoleTransport
from tests.support.events import Script, batch
s, console = Script(), ConsoleTransport()
for _ in range(200):
    console.send(console.prepare(batch(*(s.llm_call() for _ in range(50)))), 1.0)
"""


def test_a_reader_that_leaves_early_causes_no_noise_at_exit() -> None:
    root = str(Path(__file__).parents[2])
    program = subprocess.Popen(
        [sys.executable, "-c", HEAD.format(root=root)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert program.stdout is not None
    assert program.stderr is not None
    program.stdout.readline()
    program.stdout.close()
    noise = program.stderr.read().decode()
    program.stderr.close()
    assert program.wait(60) == 0
    assert noise.count("\n") <= 1, noise
    assert "Traceback" not in noise
    assert "Exception ignored" not in noise


# -- memory, configuration ----------------------------------------------------------------------


def test_of_what_never_ends_the_oldest_is_forgotten() -> None:
    scripts = [Script(f"agent-{i}", f"task-{i}") for i in range(10_001)]
    starts = [event for s in scripts for event in (s.started(), s.action_started(s.agent_id))]
    later = [s.llm_call("later", action=s.agent_id) for s in (scripts[0], scripts[1], scripts[-1])]
    lines = printed(starts, later)[-3:]
    assert [line.split(maxsplit=1)[1] for line in lines] == [
        "│ [task-0] ◆ later  claude-sonnet-4",
        "│ │ ◆ later  claude-sonnet-4",
        "│ │ ◆ later  claude-sonnet-4",
    ]


def test_forgotten_tasks_of_an_agent_do_not_count_as_open() -> None:
    scripts = [Script(task_id=f"task-{i}") for i in range(10_001)]
    ends = [s.completed() for s in scripts[1:-1]]
    assert printed([s.started() for s in scripts], ends, [scripts[-1].llm_call()])[-1].startswith(
        "sales  │ ◆"
    )


def test_wrong_arguments_are_refused_with_the_fix() -> None:
    with pytest.raises(HiveLoopConfigError, match=r"width=10 .*at least 40"):
        ConsoleTransport(width=10)
    with pytest.raises(HiveLoopConfigError, match=r"stream='out\.txt' .*sys\.stderr"):
        ConsoleTransport("out.txt")  # type: ignore[arg-type]


def test_it_is_a_transport() -> None:
    assert isinstance(ConsoleTransport(), Transport)
    assert ConsoleTransport.name == "console"

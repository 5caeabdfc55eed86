"""What the board takes in: each event by itself, whatever the others are."""

from __future__ import annotations

import gzip
import json
import time
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hiveloop.board.intake import MOST_BYTES, MOST_EVENTS, Intake, Refused, inflate, read_batch
from hiveloop.board.model import NewEvent

NOW_US = 1_790_000_000_000_000
STAMP = "2026-09-20T12:00:00.250Z"
SEVERITIES: list[tuple[dict[str, Any], str]] = [
    ({"event_type": "heartbeat"}, "debug"),
    ({"event_type": "task_failed"}, "error"),
    ({"event_type": "action_failed"}, "error"),
    ({"event_type": "retry_started"}, "warn"),
    ({"event_type": "escalated"}, "warn"),
    ({"event_type": "task_started"}, "info"),
    ({"payload": {"kind": "queue_snapshot"}}, "debug"),
    ({"payload": {"kind": "issue", "data": {"severity": "critical"}}}, "error"),
    ({"payload": {"kind": "issue", "data": {"severity": "medium"}}}, "warn"),
    ({"payload": {"kind": "plan_step", "data": {"action": "failed"}}}, "error"),
    ({"payload": {"kind": "todo", "data": {"action": "failed"}}}, "warn"),
]
"""Fields of events that do not say how severe they are, and what they are taken for."""


def event(**fields: Any) -> dict[str, Any]:
    made = {"event_id": "e1", "timestamp": STAMP, "event_type": "custom", **fields}
    return {key: value for key, value in made.items() if value is not ...}


def taken(*events: Any, envelope: Any = None) -> Intake:
    envelope = {"agent_id": "ada"} if envelope is None else envelope
    return read(json.dumps({"envelope": envelope, "events": list(events)}).encode())


def read(body: bytes) -> Intake:
    found = read_batch(body, NOW_US)
    assert isinstance(found, Intake), found
    return found


def one(**fields: Any) -> NewEvent:
    found = taken(event(**fields))
    assert not found.errors
    return found.events[0]


def error_of(**fields: Any) -> str:
    found = taken(event(event_id="good"), event(**fields))
    assert [kept.event_id for kept in found.events] == ["good"]
    return found.errors[0]["error"]


def test_all_fields_of_an_event_and_its_envelope() -> None:
    envelope = {
        "agent_id": "ada",
        "agent_type": "writer",
        "agent_version": "7",
        "framework": "own",
        "runtime": "python-3.12",
        "sdk_version": "hiveloop-1",
        "environment": "staging",
        "group": "blue",
    }
    given = event(
        event_type="action_completed",
        severity="warn",
        project_id="site",
        task_id="t",
        task_type="kind-of-task",
        task_run_id="r",
        correlation_id="c",
        action_id="a",
        parent_action_id="pa",
        parent_event_id="pe",
        status="success",
        duration_ms=12,
        payload={"action_name": "é"},
    )
    (found,) = taken(given, envelope=envelope).events
    assert (found.agent_id, found.agent_type, found.environment, found.group) == (
        "ada",
        "writer",
        "staging",
        "blue",
    )
    assert (found.project, found.task_id, found.run_id, found.task_type) == ("site", "t", "r", "kind-of-task")
    assert (found.correlation_id, found.action_id, found.parent_action_id) == ("c", "a", "pa")
    assert (found.parent_event_id, found.status, found.duration_ms) == ("pe", "success", 12)
    assert (found.severity, found.ts_us, found.received_us) == ("warn", 1_789_905_600_250_000, NOW_US)
    assert json.loads(found.payload) == {"action_name": "é"}
    profile = found.profile
    assert (profile.agent_version, profile.framework, profile.runtime, profile.sdk_version) == (
        "7",
        "own",
        "python-3.12",
        "hiveloop-1",
    )


def test_defaults() -> None:
    found = one()
    assert (found.agent_type, found.environment, found.group) == ("general", "production", "default")
    assert (found.severity, found.project, found.task_id, found.payload) == ("info", "", "", "{}")


def test_an_event_may_be_of_another_agent_than_its_envelope() -> None:
    assert one(agent_id="bob", agent_type="reader").agent_id == "bob"


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"event_id": ...}, "missing_field"),
        ({"event_id": ""}, "missing_field"),
        ({"timestamp": ...}, "missing_field"),
        ({"event_type": ...}, "missing_field"),
        ({"timestamp": "yesterday"}, "invalid_timestamp"),
        ({"timestamp": "0001-01-01T00:00:00Z"}, "invalid_timestamp"),
        ({"timestamp": []}, "invalid_timestamp"),
        ({"timestamp": -4}, "invalid_timestamp"),
        ({"event_type": "task_exploded"}, "invalid_event_type"),
        ({"event_type": {"a": 1}}, "missing_field"),
        ({"event_id": "x" * 257}, "field_too_long"),
        ({"task_id": "x" * 257}, "field_too_long"),
        ({"correlation_id": "x" * 1_000}, "field_too_long"),
        ({"agent_id": "x" * 257}, "field_too_long"),
        ({"payload": {"text": "x" * 33_000}}, "payload_too_large"),
        ({"payload": {"text": "é" * 17_000}}, "payload_too_large"),
    ],
)
def test_a_bad_event_is_rejected_alone(fields: dict[str, Any], code: str) -> None:
    assert error_of(**fields) == code


def test_an_event_that_is_no_object_is_rejected_alone() -> None:
    found = taken(event(), "text", None, 3, [])
    assert (len(found.events), [error["index"] for error in found.errors]) == (1, [1, 2, 3, 4])


def test_the_size_of_a_payload_is_that_of_its_text_not_of_escapes() -> None:
    text = "é" * 16_000  # 32 000 bytes, and 96 000 when escaped
    assert json.loads(one(payload={"text": text}).payload) == {"text": text}


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (12, 12),
        (12.7, 13),
        ("34", 34),
        ("12.2", 12),
        (0, 0),
        (-1, None),
        (True, None),
        ([], None),
        (1e300, None),
    ],
)
def test_durations_are_rounded_and_nonsense_is_left_out(given: Any, kept: int | None) -> None:
    assert one(duration_ms=given).duration_ms == kept


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("2026-09-20T12:00:00.250+00:00", 1_789_905_600_250_000),
        ("2026-09-20T14:00:00.25+02:00", 1_789_905_600_250_000),
        ("2026-09-20 12:00:00.250", 1_789_905_600_250_000),
        (1_789_905_600.25, 1_789_905_600_250_000),
        (1_789_905_600_250, 1_789_905_600_250_000),
    ],
)
def test_times_in_several_ways_of_writing(given: Any, kept: int) -> None:
    assert one(timestamp=given).ts_us == kept


def test_a_time_far_ahead_is_that_of_arrival() -> None:
    found = taken(event(timestamp="2999-01-01T00:00:00Z"))
    assert found.events[0].ts_us == NOW_US
    assert "ahead" in found.warnings[0]["warning"]


@pytest.mark.parametrize(
    ("fields", "severity"),
    [
        *SEVERITIES,
        ({"severity": "loud"}, "info"),
        ({"severity": "WARNING"}, "warn"),
        ({"severity": 7}, "info"),
        ({"payload": {"kind": "issue", "data": {"severity": []}}}, "info"),
    ],
)
def test_severities(fields: dict[str, Any], severity: str) -> None:
    assert one(**fields).severity == severity


def test_figures_of_a_model_call_become_numbers() -> None:
    data = {"tokens_in": "1200", "tokens_out": 3.0, "cost": "0.008", "duration_ms": "2", "model": "m"}
    kept = json.loads(one(payload={"kind": "llm_call", "data": data}).payload)["data"]
    assert kept == {"tokens_in": 1200, "tokens_out": 3, "cost": 0.008, "duration_ms": 2, "model": "m"}


@pytest.mark.parametrize("cost", [-1, "free", [], {}, "nan", "inf", True, "1e400"])
def test_a_cost_that_is_none_is_left_out_with_a_warning(cost: Any) -> None:
    found = taken(event(payload={"kind": "llm_call", "data": {"cost": cost}}))
    assert json.loads(found.events[0].payload)["data"]["cost"] is None
    assert "cost" in found.warnings[0]["warning"]


def test_not_quite_json_is_read_and_others_in_the_batch_are_kept() -> None:
    raw = json.dumps(
        {"envelope": {"agent_id": "ada"}, "events": [event(), event(event_id="e2", payload=...)]}
    )
    for text in (
        "NaN",
        "-Infinity",
        "1e999",
        "9" * 5_000,
        '"\\ud800"',
        '"\\u0000"',
        "[" * 3_000 + "]" * 3_000,
    ):
        body = raw.replace('"custom"}]', '"custom", "payload": {"x": ' + text + "}}]")
        found = read(body.encode())
        assert [kept.event_id for kept in found.events] == ["e1", "e2"], text
        payload = found.events[1].payload
        json.loads(payload).keys()
        assert "\\u0000" not in payload
        payload.encode()


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (r"\u2192 \ud83d\ude00 \uD83D\uDE00", "→ 😀 😀"),
        (r"a\ud83d", "a?"),
        (r"a\ude00b", "a?b"),
        (r"\ud83d\ud83d\ude00", "?😀"),
        (r"\ud83d\ude00\ude00", "😀?"),
        (r"\\ud83d\ude00", "\\ud83d?"),  # the first is a backslash and six letters
        (r"\\\ud83d\ude00", "\\😀"),
        (r"a\u0000b", "a\ufffdb"),
        (r"\\u0000", "\\u0000"),
    ],
)
def test_what_was_escaped_is_kept_as_text_that_databases_can_hold(sent: str, kept: str) -> None:
    body = json.dumps({"envelope": {"agent_id": "ada"}, "events": [event(task_id="ZZ", payload={"x": "ZZ"})]})
    found = read(body.replace("ZZ", sent).encode()).events[0]
    assert (found.task_id, json.loads(found.payload)) == (kept, {"x": kept})


@given(
    st.lists(
        st.sampled_from(["\\", "\\\\", "u", "d83d", "ude00", "0000", "\\ud83d", "\\ude00", "x"]), max_size=12
    )
)
def test_no_half_character_gets_through_whatever_surrounds_it(parts: list[str]) -> None:
    body = b'{"envelope": {"agent_id": "ada"}, "events": [%s]}' % json.dumps(event(task_id="ZZ")).encode()
    found = read_batch(body.replace(b"ZZ", "".join(parts).encode()), NOW_US)
    if isinstance(found, Intake) and found.events:  # else it was no JSON
        assert "\0" not in found.events[0].task_id
        found.events[0].task_id.encode()


def test_text_that_is_not_utf8_does_no_harm() -> None:
    body = json.dumps({"envelope": {"agent_id": "ada"}, "events": [event(task_id="zz")]}).encode()
    assert read(body.replace(b"zz", b"\xff\xfe")).events[0].task_id == "\ufffd\ufffd"


def test_deep_payloads_are_cut() -> None:
    deep: Any = 1
    for _ in range(200):
        deep = {"a": deep}
    found = taken(event(payload=deep), event(event_id="flat", payload={"a": [{}] * 200}))
    text = found.events[0].payload
    assert text.count("{") == 64
    json.loads(text)
    assert json.loads(found.events[1].payload) == {"a": [{}] * 200}


@pytest.mark.parametrize("payload", ["text", [1], 3, True])
def test_a_payload_that_is_no_object_is_put_into_one(payload: Any) -> None:
    assert json.loads(one(payload=payload).payload) == {"value": payload}


@pytest.mark.parametrize(
    ("kind", "kept"), [("llm_call", "llm_call"), (5, "5"), ({}, None), ([], None), ("", None), (True, None)]
)
def test_kinds_are_text(kind: Any, kept: str | None) -> None:
    assert one(payload={"kind": kind}).kind == kept


def test_long_summaries_and_names_of_places_are_cut_with_a_warning() -> None:
    envelope = {"agent_id": "ada", "environment": "e" * 65, "group": "g" * 129}
    found = taken(event(payload={"summary": "s" * 600}), envelope=envelope)
    kept = found.events[0]
    assert (len(kept.environment), len(kept.group)) == (64, 128)
    assert len(json.loads(kept.payload)["summary"]) == 512
    assert len(found.warnings) == 3


@pytest.mark.parametrize(
    "envelope", [{}, [], "x", {"agent_id": ""}, {"agent_id": {}}, {"agent_id": "x" * 300}]
)
def test_without_an_agent_every_event_is_rejected_with_the_reason(envelope: Any) -> None:
    found = taken(event(), event(agent_id="own"), envelope=envelope)
    assert [kept.agent_id for kept in found.events] == ["own"]
    assert len(found.errors) == 1


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[]", 400),
        (b"null", 400),
        (b'{"envelope": {}}', 400),
        (b'{"envelope": {}, "events": {}}', 400),
        (b"[" * 900_000, 400),
        (b'"' + b'\\"' * 400_000, 400),
    ],
)
def test_what_is_no_batch_is_refused(body: bytes, status: int) -> None:
    started = time.monotonic()
    found = read_batch(body, NOW_US)
    assert isinstance(found, Refused)
    assert found.status == status
    assert time.monotonic() - started < 5


def test_a_batch_has_at_most_500_events() -> None:
    assert len(taken(*[event()] * MOST_EVENTS).events) == 500
    body = json.dumps({"envelope": {"agent_id": "a"}, "events": [event()] * (MOST_EVENTS + 1)}).encode()
    found = read_batch(body, NOW_US)
    assert isinstance(found, Refused)
    assert found.status == 400


# -- compressed bodies --------------------------------------------------------------------------


def test_compressed_bodies() -> None:
    assert inflate(b"plain", None) == b"plain"
    assert inflate(gzip.compress(b"text") + gzip.compress(b" and more"), "gzip") == b"text and more"
    assert inflate(zlib.compress(b"text"), "deflate") == b"text"


@pytest.mark.parametrize(
    ("body", "encoding", "status"),
    [
        (b"x" * (MOST_BYTES + 1), None, 413),
        (gzip.compress(b"\0" * 200_000_000, 9), "gzip", 413),
        (gzip.compress(gzip.compress(b"\0" * 2_000_000)) * 3, "br", 415),
        (b"no gzip", "gzip", 400),
        (gzip.compress(b"text" * 100)[:-12], "gzip", 400),
        (gzip.compress(b"\0" * 600_000) * 3, "gzip", 413),
    ],
)
def test_bombs_and_damaged_bodies_are_refused(body: bytes, encoding: str | None, status: int) -> None:
    found = inflate(body, encoding)
    assert isinstance(found, Refused)
    assert found.status == status


# -- anything ---------------------------------------------------------------------------------

anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=-(10**400), max_value=10**400)
    | st.floats()
    | st.text(alphabet=st.characters(codec=None, exclude_categories=())),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
FIELDS = (*NewEvent.__struct_fields__, "timestamp", "project_id", "task_run_id")
payloads = st.fixed_dictionaries(
    {},
    optional={
        "kind": st.sampled_from(["llm_call", "issue", "todo", "plan_step"]) | anything,
        "data": st.fixed_dictionaries({}, optional=dict.fromkeys(("cost", "tokens_in", "severity"), anything))
        | anything,
        "summary": anything,
    },
)
events = st.builds(
    lambda base, odd: {**base, **odd},
    st.just(event()) | st.just({}),
    st.dictionaries(st.sampled_from(FIELDS), anything | payloads, max_size=6),
)


@given(st.lists(events | anything, max_size=4), st.dictionaries(st.text(max_size=12), anything) | anything)
def test_whatever_a_batch_holds_it_is_read(odd: list[Any], envelope: Any) -> None:
    body = json.dumps({"envelope": envelope, "events": [*odd, event(event_id="last", agent_id="ada")]})
    found = read_batch(body.encode("utf-8", "surrogatepass"), NOW_US)
    assert isinstance(found, Intake)
    assert len(found.events) + len(found.errors) == len(odd) + 1
    assert found.events[-1].event_id == "last"
    for kept in found.events:
        check(kept)


def check(kept: NewEvent) -> None:
    """Everything in an event fits the columns of a database."""
    for name in NewEvent.__struct_fields__:
        value = getattr(kept, name)
        if isinstance(value, str):
            assert "\x00" not in value.encode().decode()
            assert name == "payload" or len(value) <= 256
        elif isinstance(value, int):
            assert 0 <= value < 2**63
    assert isinstance(json.loads(kept.payload, parse_constant=pytest.fail), dict)


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode()))
def test_whatever_the_bytes_are_nothing_raises(body: bytes) -> None:
    assert isinstance(read_batch(body, NOW_US), Intake | Refused)
    inflated = inflate(body, "gzip")
    assert isinstance(inflated, bytes | Refused)

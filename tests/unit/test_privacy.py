"""What leaves the process, and what must not: secrets, content, too much, and what is no JSON."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import hiveloop
from hiveloop import Event, HiveLoopConfigError
from hiveloop._config import resolve
from hiveloop._redact import PAYLOAD_LIMIT
from hiveloop.transports import HttpTransport, MemoryTransport
from tests.unit.hostile import CORPUS

pytestmark = pytest.mark.usefixtures("strict")

GONE = "[redacted]"
KEY = "hb_live_" + "k3y" * 8


class Seen:
    """A client and what arrived of its events."""

    def __init__(self, **options: Any) -> None:
        self.transport = MemoryTransport()
        self.hb = hiveloop.init(transport=self.transport, **options)
        self.agent = self.hb.agent("sales", heartbeat_interval=0)

    @property
    def events(self) -> list[Event]:
        assert self.hb.flush(10.0)
        assert not self.hb.stats().dropped
        return self.transport.events

    def sent(self, payload: Any, kind: str = "custom") -> Any:
        """What arrives of a payload."""
        self.agent.event(kind, payload)
        return strict_json(self.events[-1])


def strict_json(event: Event) -> Any:
    """Parse a payload as a receiver might who takes the standard at its word."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in pairs]
        assert len(keys) == len(set(keys)), f"a key twice in {event.payload_json}"
        return dict(pairs)

    text = event.payload_json.encode("utf-8", "replace")
    assert len(text) <= PAYLOAD_LIMIT
    return json.loads(text, parse_constant=refuse, object_pairs_hook=unique)


# -- secrets by their key -----------------------------------------------------------------------------

SECRET_KEYS = [
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "db_password",
    "user.password",
    "PASSWORD",
    "Password",
    "secret",
    "client_secret",
    "clientSecret",
    "token",
    "access_token",
    "accessToken",
    "refresh_token",
    "id_token",
    "auth_token",
    "session_token",
    "sessionToken",
    "csrf-token",
    "api_key",
    "apikey",
    "api-key",
    "apiKey",
    "x-api-key",
    "X_API_KEY",
    "OPENAI_API_KEY",
    "openaiApiKey",
    "aws_secret_access_key",
    "awsSecretAccessKey",
    "access_key_id",
    "private_key",
    "privateKey",
    "authorization",
    "Authorization",
    "proxy-authorization",
    "auth",
    "credential",
    "credentials",
    "cookie",
    "set-cookie",
    "bearer",
    "connection_string",
    "userPassword",
    "dbPassword",
]

ORDINARY_KEYS = [
    "tokens_in",
    "tokens_out",
    "max_tokens",
    "total_tokens",
    "total_tokens_in",
    "total_tokens_out",
    "context_used_tokens",
    "tokens",
    "tokenizer",
    "token_count",
    "tokenCount",
    "maxTokens",
    "promptTokens",
    "session_id",
    "key",
    "keys",
    "key_or_query",
    "keyword",
    "monkey",
    "author",
    "authors",
    "authenticated",
    "authority",
    "secretary",
    "passed",
    "passenger",
    "compass",
    "cookies_accepted",
    "cookie_count",
    "password_length",
    "api_keys_total",
    "bearer_count",
    "id",
    "name",
    "model",
    "prompt",
    "hotkey",
    "primary_key",
    "foreign_key",
    "public_key_id",
    "PASSIVE",
    "tokenId",
]


VALUES = {"text": "hunter2", "int": 4711, "float": 0.5, "dict": {"v": "x"}, "list": ["x"]}


@pytest.mark.parametrize("key", SECRET_KEYS)
def test_values_under_secret_keys_are_replaced(key: str) -> None:
    data = {name: {key: value} for name, value in VALUES.items()}
    assert Seen().sent({"kind": "x", "data": data})["data"] == {name: {key: GONE} for name in VALUES}


@pytest.mark.parametrize("key", ORDINARY_KEYS)
def test_ordinary_keys_keep_their_values(key: str) -> None:
    data = {name: {key: value} for name, value in VALUES.items()}
    assert Seen().sent({"kind": "x", "data": data})["data"] == data


def test_nothing_and_yes_and_no_are_no_secrets() -> None:
    data = {"password": None, "token": True, "secret": False}
    assert Seen().sent({"kind": "x", "data": data})["data"] == data


# -- secrets by their shape ---------------------------------------------------------------------------

SECRET_TEXTS = {
    "openai": "sk-proj-abcdefghijklmnopqrstuvwx",
    "anthropic": "sk-ant-api03-abcdefghijklmnop_qrstuv",
    "stripe": "sk_live_" + "abcdefghijklmnopqrst",
    "stripe restricted": "rk_test_" + "abcdefghijklmnopqrst",
    "hiveboard": "hb_live_abcdef123456",
    "github": "ghp_" + "a1B2" * 9,
    "github fine": "github_pat_" + "a1B2_" * 6,
    "gitlab": "glpat-" + "abcdefghijklmnopqrst",
    "slack": "xoxb-" + "123456789012-abcdefghijkl",
    "aws": "AKIA" + "IOSFODNN7EXAMPLE",
    "google": "AIza" + "SyA1234567890abcdefghijklmnopqrstuv",
    "hugging face": "hf_" + "abcdefghijklmnopqrstuvwx",
    "npm": "npm_" + "abcdefghijklmnopqrstuvwx",
    "pypi": "pypi-" + "AgEIcHlwaS5vcmcCJGFiY2RlZg",
    "sendgrid": "SG.abcdefghijklmnop.qrstuvwxyz0123456789",
    "jwt": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N",
    "pem": "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA\nabc\n-----END RSA PRIVATE KEY-----",
    "pem cut": "-----BEGIN PRIVATE KEY-----\nMIIEowIBAAKCAQEA",
}
ORDINARY_TEXTS = [
    "The quick brown fox jumps over the lazy dog, again and again and again.",
    "reason → claude-sonnet-4-5-20250929 (1200 in / 350 out, $0.008)",
    "https://board.example.com/agents?id=7&page=2#top",
    "skills: python, risk-assessment, task-oriented",
    "3fa85f64-5717-4562-b3fc-2c963f66afa6",
    "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0ba822cd15d6c15b0f00a08",
    "2026-01-02T15:00:00.000Z",
    "def token(self): return self.tokens[0]",
    "the basic idea is simple; bearer of news",
    "x = y + z; total=12",
    "https://example.com:8443/path@version",
]


@pytest.mark.parametrize("name", SECRET_TEXTS)
@pytest.mark.parametrize(
    "around", ["{}", "use {} please", "a=({}),", 'key: "{}"\nnext', "x" * 80 + " {} " + "y " * 50]
)
def test_tokens_are_found_by_their_shape(name: str, around: str) -> None:
    secret = SECRET_TEXTS[name]
    text = around.format(secret)
    if name == "pem cut":
        text = around.partition("{}")[0] + secret  # to its end, for no end of it was found
    found = Seen().sent({"kind": "x", "data": {"note": text}})["data"]["note"]
    assert GONE in found
    assert secret[12:] not in found
    assert found.startswith(around.partition("{}")[0])


@pytest.mark.parametrize(
    ("text", "hidden", "kept"),
    [
        ("postgres://app:hunter2@db.example.com/x", "hunter2", "db.example.com/x"),
        ("Authorization: Bearer abc123defghijk456", "abc123defghijk456", "Authorization: Bearer "),
        ("authorization: basic dXNlcjpwYXNzd29yZA==", "dXNlcjpwYXNzd29yZA", "basic "),
        ("curl 'https://x.example/?token=abc123&page=2'", "abc123", "&page=2"),
        ("login password=hunter2; retry", "hunter2", "; retry"),
        ("api_key=abc API_KEY=DEF", "abc", "api_key="),
    ],
)
def test_secrets_in_their_surroundings(text: str, hidden: str, kept: str) -> None:
    found = Seen().sent({"kind": "x", "data": {"note": text}})["data"]["note"]
    assert hidden not in found
    assert kept in found


@pytest.mark.parametrize("text", ORDINARY_TEXTS)
def test_ordinary_texts_stay(text: str) -> None:
    assert Seen().sent({"kind": "x", "data": {"note": text}})["data"]["note"] == text


def nest(value: Any, depth: int) -> Any:
    for level in range(depth):
        value = {"in": value} if level % 2 else [value, 1]
    return value


@pytest.mark.parametrize("depth", range(7))
def test_secrets_are_found_at_every_depth(depth: int) -> None:
    payload = {"kind": "x", "data": nest({"password": "hunter2", "note": SECRET_TEXTS["github"]}, depth)}
    assert Seen().sent(payload) == {"kind": "x", "data": nest({"password": GONE, "note": GONE}, depth)}


def test_a_secret_as_a_key_is_replaced() -> None:
    seen = Seen()
    seen.sent({"kind": "x", "data": {SECRET_TEXTS["github"]: 1}})
    assert SECRET_TEXTS["github"] not in seen.events[-1].payload_json


SECRET = SECRET_TEXTS["openai"]


def everywhere(agent: hiveloop.Agent, text: str) -> None:
    """Put a text wherever a sensor takes one, but for the verb of a plan's step."""
    data = {"note": text, "list": [text]}
    with agent.task(text, project=text, type=text, task_run_id=text, correlation_id=text) as task:
        task.llm_call(text, text, prompt_preview=text, response_preview=text, metadata=data)
        task.plan(text, [text, text])
        task.plan_step(0, "completed", text)
        task.escalate(text, assigned_to=text, reason=text, parent_event_id=text)
        task.request_approval(text, approver=text, parent_event_id=text, reason=text)
        task.approval_received(text, approved_by=text, decision=text, parent_event_id=text, reason=text)
        task.retry(text, reason=text, parent_event_id=text)
        task.event(text, data, parent_event_id=text)
        task.set_payload(data)
        with agent.track_context(text) as action:
            action.set_payload(hiveloop.tool_payload(args=data, result=text, error=text, tool_category=text))
        with pytest.raises(ValueError), agent.track_context("fails"):
            raise ValueError(f"could not use {text}")
        task.complete(text)
    with pytest.raises(ValueError), agent.task("fails"):
        raise ValueError(f"could not use {text}")
    agent.todo(text, text, text, priority=text, source=text, context=text, due_by=text)
    agent.queue_snapshot(1, items=[data], processing=data)
    agent.scheduled([{"name": text, "next_run": text}])
    agent.report_issue(text, text, issue_id=text, category=text, context=data)
    agent.resolve_issue(text, issue_id=text)
    agent.event("custom", data)


def test_no_field_of_any_event_lets_a_secret_through() -> None:
    seen = Seen()
    everywhere(seen.hb.agent(SECRET, SECRET, SECRET, SECRET, heartbeat_interval=0), SECRET)
    for event in seen.events:
        assert SECRET not in repr(event), f"{event.type} {event.kind}"
        strict_json(event)
    assert len(seen.events) > 20


def test_without_redaction_everything_passes() -> None:
    seen = Seen(redact=False)
    assert seen.sent({"kind": "x", "data": {"password": SECRET}})["data"] == {"password": SECRET}


# -- content ------------------------------------------------------------------------------------------


def test_without_capture_no_preview_and_no_tool_content_leaves() -> None:
    seen = Seen(capture_content=False)
    secret_content = "what the customer said"
    data = {"prompt_preview": secret_content, "response_preview": secret_content, "name": "n", "model": "m"}
    with seen.agent.task("lead-42") as task, seen.agent.track_context("tool") as action:
        task.llm_call("reason", "model", prompt_preview=secret_content, response_preview=secret_content)
        task.event("custom", {"kind": "llm_call", "data": data})
        action.set_payload(hiveloop.tool_payload(args={"q": secret_content}, result=secret_content))
        action.set_payload({"result_preview": secret_content, "response_body": secret_content, "rows": 3})
        seen.agent.llm_call("reason", "model", prompt_preview=secret_content)
    for event in seen.events:
        assert secret_content not in repr(event), event.payload_json
    [done] = [e for e in seen.events if e.type == "action_completed"]
    assert done.payload == {"action_name": "tool", "success": True, "rows": 3}
    assert len([e for e in seen.events if e.kind == "llm_call"]) == 3


def test_without_capture_what_an_exception_says_still_leaves() -> None:
    """It says why something failed, which is what the board is for; `mask` can remove it."""
    seen = Seen(capture_content=False)
    with pytest.raises(ValueError), seen.agent.track_context("tool"):
        raise ValueError("no such row")
    assert seen.events[-1].payload["exception_message"] == "no such row"


@pytest.mark.parametrize(("limit", "kept"), [(300, 300), (10, 10), (0, 0), (5_000, 1_000)])
def test_previews_are_cut_to_their_length_and_say_so(limit: int, kept: int) -> None:
    seen = Seen(preview_max_chars=limit)
    seen.agent.llm_call("reason", "model", prompt_preview="ab " * 333 + "c", response_preview="short")
    payload = strict_json(seen.events[-1])
    assert payload["data"]["prompt_preview"] == ("ab " * 333 + "c")[:kept]
    assert ("prompt_preview" in payload.get("_truncated", [])) is (limit < 1_000)


def test_a_cut_never_leaves_half_a_secret() -> None:
    for start in range(270, 300):
        seen = Seen()
        seen.agent.llm_call(
            "reason", "model", prompt_preview="." * (start - 1) + " " + SECRET + " and more" * 9
        )
        preview = strict_json(seen.events[-1])["data"]["prompt_preview"]
        assert "abcdefghij" not in preview
        assert len(preview) <= 300
        hiveloop.reset()


# -- limits -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        {"text": "x" * 100_000},
        {"text": "\U0001f600" * 20_000},
        {"text": "\x00" * 16_000},
        {"text": '"' * 16_000},
        {str(i): "x" * 300 for i in range(300)},
        {"list": [[i] * 50 for i in range(100)]},
        {"k" * 10_000: 1},
        {"a": {"b": {"c": ["y" * 3_000] * 30}}},
        {str(i): 0.1234567890123456 for i in range(3_000)},
    ],
    ids=["text", "emoji", "escapes", "quotes", "many", "numbers", "key", "deep", "floats"],
)
def test_a_payload_is_cut_to_its_limit_and_says_so(data: dict[str, Any]) -> None:
    seen = Seen()
    seen.agent.event("custom", {"kind": "state_mutation", "summary": "a summary", "data": data})
    with seen.agent.track_context("tool") as action:
        action.set_payload(data)
    *_, custom, _, done = seen.events
    for event in (custom, done):
        payload = strict_json(event)
        whole = data.items() <= {**payload, **payload.get("data", {})}.items()
        assert whole is ("_truncated" not in payload)
    assert custom.kind == "state_mutation"
    assert custom.summary == "a summary"
    assert done.payload["action_name"] == "tool"


def test_a_payload_within_the_limits_says_nothing() -> None:
    data = {"rows": [{"id": i, "name": f"row {i}"} for i in range(100)]}
    assert Seen().sent({"kind": "x", "data": data}) == {"kind": "x", "data": data}


def test_everything_too_long_at_once_is_still_strict_json() -> None:
    seen = Seen()
    everywhere(seen.agent, "long text " * 3_000)
    for event in seen.events:
        strict_json(event)
    call = next(e for e in seen.events if e.kind == "llm_call")
    assert {"summary", "prompt_preview"} <= set(call.payload["_truncated"]) or call.payload["_truncated"] == [
        "payload"
    ]


# Two keys with the same text, such as 1 and "1", are both sent, as Python's own encoder does.
STRICT = [name for name in CORPUS if not name.startswith("blocking") and name != "same keys"]


@pytest.mark.parametrize("value", STRICT)
def test_every_value_becomes_strict_json_in_every_kind_of_payload(value: str) -> None:
    seen = Seen()
    made = CORPUS[value]()
    with seen.agent.task("lead-42") as task, seen.agent.track_context("look") as action:
        action.set_payload({"value": made})
        action.set_payload(made)
        task.set_payload(made)
        task.llm_call("reason", made, metadata=made, prompt_preview=made, tokens_in=made, cost=made)
        task.event("custom", made)
        task.event(made, {"value": made}, severity=made)
        task.plan(made, made, revision=made)
        task.retry(made, attempt=made, backoff_seconds=made)
    seen.agent.queue_snapshot(made, items=made, oldest_age_seconds=made, processing=made)
    seen.agent.report_issue(made, made, context=made, occurrence_count=made)
    for event in seen.events:
        strict_json(event)


trees = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=10), inner, max_size=6),
    max_leaves=40,
)


@given(
    st.dictionaries(st.text(max_size=10), trees, max_size=6), st.sampled_from(["custom", "task_started", "x"])
)
def test_any_payload_arrives_as_strict_json(payload: dict[str, Any], kind: str) -> None:
    seen = Seen()
    try:
        seen.sent(payload, kind)
        with seen.agent.track_context("tool") as action:
            action.set_payload(payload)
        strict_json(seen.events[-1])
    finally:
        hiveloop.reset()


def test_numbers_that_json_has_no_word_for_become_text() -> None:
    data = {"a": float("nan"), "b": float("inf"), "c": -float("inf"), "d": 2**64, "e": 10**5_000, "f": 2**53}
    assert Seen().sent({"kind": "x", "data": data})["data"] == {
        "a": "nan",
        "b": "inf",
        "c": "-inf",
        "d": str(2**64),
        "e": "<int, 16610 bits>",
        "f": 2**53,
    }


# -- mask ---------------------------------------------------------------------------------------------


def test_a_mask_has_the_last_word_after_redaction() -> None:
    given: list[dict[str, Any]] = []

    def mask(payload: dict[str, Any]) -> dict[str, Any]:
        given.append(json.loads(json.dumps(payload)))
        payload["data"]["customer"] = "***"
        payload["data"]["added"] = [1, {"x": None}]
        return payload

    sent = Seen(mask=mask).sent({"kind": "x", "data": {"customer": "Ada", "password": "hunter2"}})
    assert sent["data"] == {"customer": "***", "password": GONE, "added": [1, {"x": None}]}
    assert given[-1]["data"]["password"] == GONE, "a mask sees no secret either"


def test_a_mask_sees_every_payload() -> None:
    kinds: list[object] = []

    def mask(payload: dict[str, Any]) -> dict[str, Any]:
        kinds.append(payload.get("kind"))
        return {}

    seen = Seen(mask=mask)
    everywhere(seen.agent, "text")
    assert all(event.payload == {} for event in seen.events)
    assert len(kinds) == len(seen.events)


def raising(error: BaseException) -> Callable[[Any], Any]:
    def mask(payload: dict[str, Any]) -> dict[str, Any]:
        payload["half"] = "masked"
        raise error

    return mask


BAD_MASKS: dict[str, Callable[[Any], Any]] = {
    "raises": raising(ValueError("customer Ada")),
    "exits": raising(SystemExit()),
    "is cancelled": raising(asyncio.CancelledError()),
    "interrupts": raising(KeyboardInterrupt()),
    "returns nothing": lambda payload: None,
    "returns text": lambda payload: json.dumps(payload),
    "returns a list": lambda payload: [payload],
    "returns a class": lambda payload: dict,
}


@pytest.mark.parametrize("name", BAD_MASKS)
def test_a_mask_that_fails_withholds_the_payload_and_nothing_else(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    seen = Seen(mask=BAD_MASKS[name])
    sent = seen.sent({"kind": "llm_call", "data": {"customer": "Ada"}})
    assert sent == {"kind": "llm_call", "_masked": "withheld: the mask callable failed"}
    with seen.agent.task("lead-42"):
        pass
    assert [e.type for e in seen.events] == ["agent_registered", "custom", "task_started", "task_completed"]
    assert all("Ada" not in event.payload_json for event in seen.events)
    assert seen.hb.stats().problems["mask result"] >= 1


# A graph that is huge when written out is written out: a mask gets plain JSON and returns what it likes.
MASKED = [name for name in STRICT if name != "shared"]


@pytest.mark.parametrize("value", MASKED)
def test_what_a_mask_returns_is_made_json_again(value: str) -> None:
    seen = Seen(mask=lambda payload: {"odd": CORPUS[value](), "text": "kept"})
    sent = seen.sent({"kind": "x"})
    assert sent.get("text") == "kept" or sent["_truncated"] == ["payload"]
    hiveloop.reset()
    seen = Seen(mask=lambda payload: CORPUS[value]())
    seen.sent({"kind": "x"})


def test_what_a_mask_returns_is_cut_to_the_limit() -> None:
    sent = Seen(mask=lambda payload: {"summary": "s", "a": ["x" * 20_000] * 10}).sent({"kind": "x"})
    assert sent["summary"] == "s"
    assert sent["_truncated"] == ["payload"]


def test_a_mask_that_hangs_holds_up_nobody_but_the_delivery() -> None:
    release = threading.Event()

    def mask(payload: dict[str, Any]) -> dict[str, Any]:
        release.wait(20.0)
        return payload

    try:
        seen = Seen(mask=mask)
        with seen.agent.task("lead-42"):
            pass
        assert not seen.hb.flush(0.05)
        seen.hb.shutdown(0.1)
    finally:
        release.set()


# -- our own words ------------------------------------------------------------------------------------


def test_no_key_in_any_repr() -> None:
    config = resolve({"api_key": KEY, "headers": {"X-Gateway": "s3cr3t"}}, {})
    transport = HttpTransport(KEY, "http://127.0.0.1:9", headers={"X-Gateway": "s3cr3t"})
    hb = hiveloop.init(KEY, endpoint="http://127.0.0.1:9", headers={"X-Gateway": "s3cr3t"})
    for thing in (
        config,
        transport,
        hb,
        hb.config,
        hb.agent("sales"),
        hb.stats(),
        [transport],
        {"t": transport},
    ):
        for text in (repr(thing), str(thing), f"{thing}"):
            assert KEY not in text
            assert KEY[:12] not in text
            assert "s3cr3t" not in text
    hb.shutdown(0.1)


@pytest.mark.parametrize(
    "arguments",
    [
        {"api_key": "sk-" + KEY},
        {"api_key": KEY + "\n" + KEY},
        {"api_key": KEY + "é"},
        {"api_key": KEY + " " + KEY},
        {"api_key": KEY, "endpoint": "https://user:s3cr3t@board.example.com"},
        {"api_key": KEY, "headers": {"X-Gateway": "s3cr3t\n"}},
        {"api_key": KEY, "timeout": -1},
    ],
)
def test_no_key_in_any_error(arguments: dict[str, Any]) -> None:
    with pytest.raises(HiveLoopConfigError) as caught:
        hiveloop.init(**arguments)
    error: BaseException | None = caught.value
    while error is not None:
        assert KEY not in str(error)
        assert KEY[:16] not in repr(error)
        assert "s3cr3t" not in f"{error!r} {error.args}"
        error = error.__context__


def test_no_key_in_any_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    hb = hiveloop.init(KEY, endpoint="http://127.0.0.1:9", debug=True, headers={"X-Gateway": "s3cr3t"})
    hb.agent("sales", heartbeat_interval=0).llm_call("reason", "model")
    assert not hb.flush(0.3)
    hiveloop.init(KEY + "2")
    hb.shutdown(0.1)
    assert "cannot deliver" in caplog.text
    assert KEY not in caplog.text
    assert "s3cr3t" not in caplog.text


def test_a_secret_at_the_end_of_what_a_tool_payload_keeps_leaves_no_beginning() -> None:
    secret = "sk-ant-api03-" + "a1B2" * 20
    told = hiveloop.tool_payload(
        args={"q": "x" * 480 + f" {secret}"}, result="y" * 980 + f" {secret}", error="z" * 980 + f" {secret}"
    )
    assert "sk-ant" not in str(told)
    assert len(told["result"]) <= 1000
    assert len(told["args"]["q"]) <= 500

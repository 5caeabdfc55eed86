"""No token gets out through any sensor, log line, repr or message, wherever somebody put it.

The sensors are found on the classes and their arguments in the signatures, so that a new sensor is
tested without being named here.
"""

from __future__ import annotations

import inspect
import json
import logging
import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import hiveloop
from hiveloop import Agent, HiveBoard, HiveLoopConfigError, HttpTransport, MemoryTransport, Task
from hiveloop._redact import _SECRET_TEXT, REDACTED, redact_text
from tests.support.wait import eventually
from tests.unit.sensors import ENGINE

pytestmark = pytest.mark.usefixtures("strict")

TOKEN = "sk-" + "proj-Ab12Cd34Ef56Gh78Ij90"  # made up, and in parts so that no scanner takes it for real
KEY = "hb_live_" + "Zq81nVtB7kfQ2xWc"
WORD = "open-sesame"
"""A secret told by its key alone."""


# -- the cheap look before the search ---------------------------------------------------------------


@given(st.from_regex(_SECRET_TEXT))
@example("token=x")
@example("a://b:c@")
@example("BASIC " + "a" * 11 + "0")
@example("Bearer " + "a" * 12)
def test_the_marks_never_miss_what_the_search_finds(text: str) -> None:
    assert _SECRET_TEXT.search(text)
    assert redact_text(text) == _SECRET_TEXT.sub(REDACTED, text)


@given(st.text(alphabet="sk-_hb:/=@.eyJxoAKI bearBEARic0", max_size=60))
def test_the_marks_agree_with_the_search_on_any_text(text: str) -> None:
    assert redact_text(text) == _SECRET_TEXT.sub(REDACTED, text)


@given(st.text(max_size=200))
def test_what_is_redacted_stays_as_it_is(text: str) -> None:
    once = redact_text(text)
    assert redact_text(once) == once


@pytest.mark.parametrize(
    "text", ["Basic authentication is a basic mistake.", "basic understanding.", "token = x"]
)
def test_prose_is_left_alone(text: str) -> None:
    assert redact_text(text) == text


# -- every sensor -----------------------------------------------------------------------------------


def planted(name: str, annotation: str) -> Any:
    """An argument of the annotated type with a secret in every text it can hold."""
    if "list[str]" in annotation:
        return [f"step {TOKEN}", TOKEN]
    if "list[dict" in annotation:
        return [{"id": TOKEN, "summary": f"call {TOKEN}", "next_run": TOKEN, "token": WORD}]
    if "dict" in annotation:
        return {"text": f"with {TOKEN}", "summary": TOKEN, TOKEN: 1, "password": WORD, "in": [[TOKEN]]}
    if "str" in annotation:
        return f"{name} {TOKEN}"
    if "BaseException" in annotation:
        return RuntimeError(f"failed with {TOKEN}, password={WORD}")
    if "int" in annotation or "float" in annotation:
        return 3
    raise AssertionError(f"{name}: {annotation} is a type this test does not know")


def arguments(sensor: Callable[..., Any]) -> dict[str, Any]:
    """Arguments for all parameters of a sensor."""
    return {p.name: planted(p.name, str(p.annotation)) for p in inspect.signature(sensor).parameters.values()}


def methods(kind: type, *harmless: str) -> list[str]:
    """Public methods of a class but for those of the engine and those that take no words."""
    others = ENGINE[kind] | set(harmless)
    found = {name for name, value in vars(kind).items() if inspect.isfunction(value) and name[0] != "_"}
    assert others <= found
    return sorted(found - others)


OF_TASKS = methods(Task, "activate")
OF_AGENTS = methods(Agent, "track")
OF_THE_MODULE = sorted(
    {name for name in hiveloop.__all__ if inspect.isfunction(getattr(hiveloop, name))}
    - {"init", "flush", "shutdown", "reset", "get_client", "propagate", "track", "tool_payload"}
    - {f"{what}_current_{whom}" for what in ("get", "set", "clear") for whom in ("agent", "task")}
)


def test_the_lists_hold_the_sensors() -> None:
    both = {"llm_call", "event"}
    assert {"escalate", "plan", "retry", "complete", "fail", "set_payload", *both} <= set(OF_TASKS)
    assert {"todo", "scheduled", "report_issue", "task", "start_task", *both} <= set(OF_AGENTS)
    assert {"todo", "plan", "track_context", *both} <= set(OF_THE_MODULE)


Watching = Callable[[], AbstractContextManager[MemoryTransport]]


@pytest.fixture
def watching(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> Watching:
    """Makes a client in debug mode whose events, logs and output must hold no secret in the end."""

    @contextmanager
    def watched() -> Iterator[MemoryTransport]:
        caplog.set_level(logging.DEBUG)
        memory = MemoryTransport()
        hiveloop.init(transport=memory, debug=True)
        yield memory
        assert hiveloop.flush()
        hiveloop.reset()
        assert len(memory.events) > 1
        sent = "\n".join(f"{event!r} {event.payload!r} {event.summary}" for event in memory.events)
        shown = sent + caplog.text + "".join(capfd.readouterr())
        assert "Ab12Cd34" not in shown
        assert WORD not in shown

    return watched


def agent_of() -> Agent:
    """An agent of the current client, without heartbeats."""
    return client().agent("sales", heartbeat_interval=0)


def client() -> HiveBoard:
    hb = hiveloop.get_client()
    assert hb is not None
    return hb


@pytest.mark.parametrize("name", OF_TASKS)
def test_no_sensor_of_a_task_lets_a_secret_out(name: str, watching: Watching) -> None:
    with watching(), agent_of().task("lead") as task:
        sensor = getattr(task, name)
        sensor(**arguments(sensor))
        sensor(**arguments(sensor))  # the second ending of a task is logged


@pytest.mark.parametrize("name", OF_AGENTS)
def test_no_sensor_of_an_agent_lets_a_secret_out(name: str, watching: Watching) -> None:
    with watching():
        sensor = getattr(agent_of(), name)
        use(sensor(**arguments(sensor)))


@pytest.mark.parametrize("name", OF_THE_MODULE)
def test_no_sensor_of_the_module_lets_a_secret_out(name: str, watching: Watching) -> None:
    with watching(), agent_of().task("lead"):
        sensor = getattr(hiveloop, name)
        use(sensor(**arguments(sensor)))


def use(scope: Any) -> None:
    """Enter and leave what a sensor returned, twice, and look at it."""
    if scope is not None:
        assert TOKEN not in repr(scope)
        for _ in range(2):
            with scope:
                pass


def test_an_agent_and_its_callbacks_let_no_secret_out(watching: Watching) -> None:
    told = {"text": TOKEN, "password": WORD, "items": [{"summary": TOKEN}], "depth": 1}
    with watching() as memory:
        agent = client().agent(
            f"agent {TOKEN}",
            type=TOKEN,
            version=TOKEN,
            framework=TOKEN,
            heartbeat_interval=0.01,
            heartbeat_payload=lambda: told,
            queue_provider=lambda: told,
        )
        with agent.task(f"lead {TOKEN}"), agent.track_context(f"call {TOKEN}"):
            eventually(lambda: {"heartbeat", "queue_snapshot"} <= kinds(memory))
        assert TOKEN not in f"{agent!r} {client()!r} {client().stats()!r}"
        assert client().get_agent(f"agent {TOKEN}") is agent


def kinds(memory: MemoryTransport) -> set[str]:
    hiveloop.flush()
    return {event.kind or event.type.value for event in memory.events}


def test_exceptions_and_decorated_functions_let_no_secret_out(watching: Watching) -> None:
    with watching():
        fail_with_secrets(agent_of())


def fail_with_secrets(agent: Agent) -> None:
    @agent.track(f"call {TOKEN}")
    def call() -> None:
        raise ValueError(f"bad key {TOKEN} password={WORD}")

    def named() -> None:
        pass

    named.__qualname__ = f"function {TOKEN}"
    agent.track(named)()
    with pytest.raises(ValueError, match="bad key"), agent.task("lead"):
        call()
    with pytest.raises(KeyError), agent.task("lead"), agent.track_context("x") as action:
        action.set_payload(hiveloop.tool_payload(args={"token": WORD, "q": TOKEN}, result=TOKEN))
        raise KeyError(TOKEN)


def test_half_of_a_character_reaches_the_wire_as_something() -> None:
    """Text from `os.listdir` or a bad decoder may hold lone surrogates."""
    memory = MemoryTransport()
    hb = hiveloop.init(transport=memory)
    with hb.agent("agent \ud800", heartbeat_interval=0).task("task \udcff") as task:
        task.event("custom", {"\ud83d": "\ude00", "ok": "é"})
        task.llm_call("name \ud800", "model")
    assert hb.flush()
    prepared: Any = HttpTransport(KEY, "http://127.0.0.1:9").prepare(hiveloop.Batch(tuple(memory.events)))
    body = json.loads(prepared.content.decode("utf-8"))
    assert len(body["events"]) == 5
    assert body["events"][2]["payload"]["ok"] == "é"


class Angry(dict[str, Any]):
    """A dict that fails when it is looked at."""

    def items(self) -> Any:
        raise RuntimeError("no items")

    def __repr__(self) -> str:
        raise RuntimeError("do not look")


def test_a_mask_may_return_a_dict_of_its_own_that_fails() -> None:
    memory = MemoryTransport()
    hb = hiveloop.init(transport=memory, mask=lambda payload: Angry(a=1))
    hb.agent("sales", heartbeat_interval=0)
    assert hb.flush()
    assert [event.payload for event in memory.events] == [{"a": 1}]


# -- messages ---------------------------------------------------------------------------------------

WITH_A_KEY: dict[str, dict[str, Any]] = {
    "prefix": {"api_key": f"x{KEY}"},
    "space": {"api_key": f"{KEY[:12]} {KEY[12:]}"},
    "bytes": {"api_key": KEY.encode()},
    "as endpoint": {"endpoint": KEY},
    "in a query": {"endpoint": f"https://example.com/?api_key={KEY}"},
    "in a fragment": {"endpoint": f"https://example.com/#{KEY}"},
    "as user": {"endpoint": f"https://{KEY}@example.com"},
    "as password": {"endpoint": f"https://user:{KEY}@example.com"},
    "as password, bad port": {"endpoint": f"https://user:{KEY}@example.com:port"},
    "as number": {"flush_interval": KEY},
    "as whole number": {"batch_size": KEY},
    "as flag": {"debug": KEY},
    "as path": {"ca_file": KEY},
    "as header": {"headers": [KEY]},
    "in header": {"headers": {"Authorization": f"Bearer {KEY}\n"}},
    "as transport": {"transport": KEY},
    "as transports": {"transport": [KEY]},
    "as mask": {"mask": KEY},
    "as text": {"environment": [KEY]},
}


@pytest.mark.parametrize("settings", WITH_A_KEY.values(), ids=WITH_A_KEY.keys())
def test_a_key_in_the_wrong_place_is_not_in_the_message(settings: dict[str, Any]) -> None:
    with pytest.raises(HiveLoopConfigError) as caught:
        hiveloop.init(**settings)
    assert KEY[12:] not in f"{caught.value!r} {caught.value.__cause__!r}"
    assert next(iter(settings)) in str(caught.value)


ENDLESS: dict[str, list[Any]] = {
    "flush_interval": [1e300, 10**400, 10**5_000, math.nan, Angry()],
    "timeout": [1e300, 10**400, 10**5_000, math.inf, Angry()],
    "shutdown_timeout": [1e300, 10**400, -math.inf, Angry()],
    "batch_size": [10**400, 10**5_000, math.inf, Angry()],
    "max_queue_size": [10**400, math.nan, Angry()],
    "preview_max_chars": [10**5_000, Angry()],
    "environment": [Angry(), ["x" * 10_000]],
    "mask": [Angry()],
    "transport": [Angry()],
    "headers": ["X-Without-Value"],
}
CASES = [(name, value) for name, values in ENDLESS.items() for value in values]


@pytest.mark.parametrize(("name", "value"), CASES, ids=[f"{name}-{n}" for n, (name, _) in enumerate(CASES)])
def test_a_value_that_cannot_be_shown_is_refused_in_one_line(name: str, value: Any) -> None:
    with pytest.raises(HiveLoopConfigError) as caught:
        hiveloop.init(**{name: value})
    assert str(caught.value).startswith(name)
    assert len(str(caught.value)) < 400
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["flush_interval", "timeout"])
def test_the_longest_time_that_is_taken_can_be_waited(name: str) -> None:
    """Python refuses to wait for more seconds than 64 bits have nanoseconds."""
    memory = MemoryTransport()
    settings: dict[str, Any] = {name: 1_000_000}
    hb = hiveloop.init(transport=memory, **settings)
    hb.agent("sales", heartbeat_interval=0)
    assert hb.flush(5.0)
    assert len(memory.events) == 1
    assert hb.stats().transports["memory"].state == "ok"

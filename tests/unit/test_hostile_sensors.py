"""No sensor raises, blocks or loses an event in silence, whatever it is given."""

from __future__ import annotations

import inspect
import logging
import time
from types import FunctionType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import hiveloop
from hiveloop import Action, Agent, Event, HiveBoard, Task
from hiveloop.contrib.log_handler import HiveBoardLogHandler
from hiveloop.transports import MemoryTransport
from tests.unit.hostile import CORPUS
from tests.unit.sensors import ENGINE

SLOWEST_SECONDS = 2.0
"""Most time one call may take; a fraction of what a value that blocks would take."""

Sensor = tuple[Any, str]
"""Where a sensor is found, and its name."""
Call = tuple[Sensor, dict[str, Any]]

# No sensors, but just as harmless: they are tried with hostile values below, one by one.
LIFECYCLE: dict[Any, set[str]] = {
    HiveBoard: {"flush", "get_agent", "shutdown", "stats"},
    hiveloop: {
        *("clear_current_agent", "clear_current_task", "flush", "get_client", "get_current_agent"),
        *("get_current_task", "propagate", "reset", "set_current_agent", "set_current_task", "shutdown"),
    },
}


def sensors_of(owner: Any) -> list[str]:
    """Names of what agents report with: all public functions, but for those named above."""
    others = ENGINE[owner] | LIFECYCLE.get(owner, set())
    assert others <= set(dir(owner)), "an exception for something that is gone"
    names = hiveloop.__all__ if owner is hiveloop else dir(owner)
    return [n for n in names if n[0] != "_" and n not in others and inspect.isfunction(getattr(owner, n))]


SENSORS = [(owner, name) for owner in ENGINE for name in sensors_of(owner)]
METHODS = [(owner, name) for owner, name in SENSORS if owner is not hiveloop]
QUIET = {"activate", "agent", "complete", "expecting", "fail", "set_payload", "tool_payload"}
"""Sensors that add to other events instead of making one."""
SCOPES = {"activate", "start_task", "task", "track_context"}
"""Sensors that return something for a ``with`` block."""


def name_of(sensor: Sensor) -> str:
    return f"{sensor[0].__name__}.{sensor[1]}"


def parameters(sensor: Sensor) -> list[inspect.Parameter]:
    """What a user passes to a sensor."""
    found = list(inspect.signature(getattr(*sensor)).parameters.values())
    return found[1:] if found and found[0].name == "self" else found


def required(sensor: Sensor) -> dict[str, Any]:
    """Ordinary arguments without which the sensor cannot be called."""
    return {p.name: "x" for p in parameters(sensor) if p.default is inspect.Parameter.empty}


class World:
    """A client with a memory transport that sees everything."""

    def __init__(self) -> None:
        self.transport = MemoryTransport()
        self.hb = hiveloop.init(transport=self.transport, flush_interval=60.0, max_queue_size=200_000)
        self.agent = self.hb.agent("sales", heartbeat_interval=0)

    def call(self, sensor: Sensor, /, *args: Any, **kwargs: Any) -> Any:
        """Call a sensor inside an open task and action, and do with its result what users do."""
        with self.agent.task("lead-42") as task, self.agent.track_context("look") as action:
            owner, name = sensor
            target: dict[Any, Any] = {Agent: self.agent, Task: task, Action: action, HiveBoard: self.hb}
            started = time.monotonic()
            result = getattr(target.get(owner, owner), name)(*args, **kwargs)
            if name in SCOPES:
                with result:
                    pass
            took = time.monotonic() - started
            if name == "agent":
                result.queue_provider = result.heartbeat_payload = None
                self.hb.agent(result.agent_id, heartbeat_interval=0)
            if name == "track":
                self.use(result, **kwargs)
            if name == "tool_payload":
                action.set_payload(result)
        assert took < SLOWEST_SECONDS, f"{name} took {took:.1f} s"
        return result

    def attempt(self, sensor: Sensor, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Call a sensor the wrong way, and use what it returns."""
        owner, name = sensor
        with self.agent.task("lead-42") as task, self.agent.track_context("look") as action:
            target: dict[Any, Any] = {Agent: self.agent, Task: task, Action: action, HiveBoard: self.hb}
            result = getattr(target.get(owner, owner), name)(*args, **kwargs)
            if name in SCOPES:
                with result:
                    pass
            if name == "track":
                assert result(lambda: "done")() == "done"
            if name == "agent":
                result.llm_call("reason", "model")

    def use(self, tracked: Any, action_name: Any = None) -> None:
        """Decorate a function; a bare decorator was given one, of whatever kind."""
        if not callable(action_name):
            assert tracked(lambda: "done")() == "done"
        elif type(action_name) is FunctionType:
            assert tracked() is None

    def outcome(self, calls: list[Call]) -> None:
        """Make the calls, and assert of each that it led to an event, or was counted."""
        assert self.hb.flush(10.0)
        self.transport.clear()
        before = self.hb.stats()
        for sensor, arguments in calls:
            self.call(sensor, **arguments)
        assert self.hb.flush(30.0)
        after, events = self.hb.stats(), self.transport.events
        assert after.dropped == {}, after.problems
        if not any(name == "agent" for (_, name), _ in calls):  # which may have beaten meanwhile
            assert len(events) == after.accepted - before.accepted == after.delivered - before.delivered
        ends = [e for e in events if e.type in ("task_completed", "task_failed") and task_id(e) == "lead-42"]
        assert len(ends) == len(calls), "the task around each call has an end, whatever happened in it"
        told = len(events) - 4 * len(calls)  # beside that task, and the action in it
        left_out = after.sensor_errors - before.sensor_errors
        assert told + left_out >= sum(is_heard(*call) for call in calls)


def is_heard(sensor: Sensor, arguments: dict[str, Any]) -> bool:
    """Whether a call makes an event of its own. A bare decorator only does when its function is called."""
    bare = sensor[1] == "track" and callable(arguments.get("action_name"))
    return sensor[1] not in QUIET and not bare


def speaks_for_itself(value: str, sensor: Sensor, place: str) -> bool:
    """Whether the value's own code must be asked here, and may take the time it likes.

    An exception's message, the text of a tool's result, the name of a function to decorate.
    """
    if sensor[1] == "fail":
        return value == "blocking exception"
    asked = place in {"tool_payload": ("result", "error"), "track": ("action_name",)}.get(sensor[1], ())
    return value.startswith("blocking") and asked


def task_id(event: Event) -> str | None:
    return None if event.task is None else event.task.task_id


@pytest.fixture
def world() -> World:
    return World()


# -- values -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sensor", METHODS, ids=name_of)
def test_every_value_in_every_place(world: World, sensor: Sensor) -> None:
    """Each value of the corpus as each argument, while the others are ordinary."""
    values = {name: make() for name, make in CORPUS.items()}
    calls = [
        (sensor, {**required(sensor), parameter.name: value})
        for parameter in parameters(sensor)
        for name, value in values.items()
        if not speaks_for_itself(name, sensor, parameter.name)
    ]
    world.outcome(calls)


@pytest.mark.parametrize("value", CORPUS)
def test_one_value_in_all_places_of_all_sensors(world: World, value: str) -> None:
    made = CORPUS[value]()
    calls: list[Call] = []
    for sensor in METHODS:
        places = [p.name for p in parameters(sensor) if not speaks_for_itself(value, sensor, p.name)]
        calls.append((sensor, dict.fromkeys(places, made)))
    world.outcome(calls)


def arguments(sensor: Sensor) -> st.SearchStrategy[dict[str, str]]:
    """For each argument the name of a value, or none for an optional one."""
    usable = [name for name in CORPUS if not name.startswith("blocking")]
    names = st.sampled_from(usable)
    return st.fixed_dictionaries(
        dict.fromkeys(required(sensor), names),
        optional={p.name: names for p in parameters(sensor) if p.name not in required(sensor)},
    )


@given(st.data())
def test_any_values_in_any_places(data: st.DataObject) -> None:
    sensor = data.draw(st.sampled_from(SENSORS), label="sensor")
    names = data.draw(arguments(sensor), label="arguments")
    try:
        World().outcome([(sensor, {place: CORPUS[name]() for place, name in names.items()})])
    finally:
        hiveloop.reset()


# -- signatures ---------------------------------------------------------------------------------------

TOO_MANY = range(15)


@pytest.mark.parametrize("sensor", [s for s in SENSORS if s[1] != "activate"], ids=name_of)
def test_a_wrong_signature_is_counted_not_raised(world: World, sensor: Sensor) -> None:
    wrong: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
        (tuple(TOO_MANY), {}),
        ((), {"no_such_argument": 1}),
    ]
    if required(sensor):
        wrong.append(((), {}))
    for args, kwargs in wrong:
        before = world.hb.stats().sensor_errors
        world.attempt(sensor, args, kwargs)
        assert world.hb.stats().sensor_errors > before
    assert world.hb.flush(10.0)
    assert not world.hb.stats().dropped


@pytest.mark.parametrize("sensor", SENSORS, ids=name_of)
def test_outside_of_everything_a_sensor_is_harmless(sensor: Sensor) -> None:
    """Without `init` or any task, and on objects whose client is gone."""
    if sensor[0] is hiveloop:
        getattr(*sensor)(**required(sensor))
    world = World()
    task, action = world.agent.task("never entered"), world.agent.track_context("never entered")
    targets: dict[Any, Any] = {Agent: world.agent, Task: task, Action: action, HiveBoard: world.hb}
    hiveloop.shutdown()
    hiveloop.reset()
    getattr(targets.get(sensor[0], sensor[0]), sensor[1])(**required(sensor))
    stats = world.hb.stats()
    assert stats.accepted == stats.delivered + sum(stats.dropped.values())


def test_a_wrong_signature_is_raised_in_strict_mode(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIVELOOP_STRICT", "1")
    with pytest.raises(TypeError):
        world.agent.todo("only one")  # type: ignore[call-arg]


# -- what is no sensor, but near ----------------------------------------------------------------------


@pytest.mark.parametrize("value", CORPUS)
def test_lifecycle_and_context_functions_take_anything(world: World, value: str) -> None:
    made = CORPUS[value]()
    started = time.monotonic()
    hiveloop.set_current_task(made)
    hiveloop.set_current_agent(made)
    assert hiveloop.get_current_task() is None
    assert hiveloop.get_current_agent() is None
    hiveloop.llm_call("reason", "model")
    world.hb.get_agent(made)
    assert type(hiveloop.flush(made)) is bool
    assert type(world.hb.flush(made)) is bool
    world.hb.shutdown(made)
    assert world.hb.closed
    assert time.monotonic() - started < SLOWEST_SECONDS


# Logging itself asks a message for its text, which takes as long as it takes.
LOGGABLE = [n for n in CORPUS if not n.startswith("blocking") and n not in ("shared", "giant decimal")]


@pytest.mark.parametrize("value", LOGGABLE)
def test_the_log_handler_takes_any_message(world: World, value: str) -> None:
    handler = HiveBoardLogHandler(world.agent)
    messages: list[tuple[Any, Any]] = [(CORPUS[value](), None), (CORPUS[value](), ("x",))]
    messages += [("about %s %s", (CORPUS[value](), 1)), ("about %d", (CORPUS[value](), 1))]
    for message, args in messages:
        handler.handle(logging.LogRecord("application", logging.WARNING, __file__, 1, message, args, None))
    assert world.hb.flush(10.0)
    assert len([e for e in world.transport.events if e.kind == "issue"]) == len(messages)
    assert not world.hb.stats().dropped


class RaisingHandler(logging.Handler):
    """As test suites have that treat a warning as a failure."""

    def emit(self, record: logging.LogRecord) -> None:
        raise AssertionError(f"logged: {record.getMessage()}")


def test_a_handler_of_the_application_that_raises_does_not_reach_the_agent(world: World) -> None:
    handler = RaisingHandler()
    logging.getLogger("hiveloop").addHandler(handler)
    try:
        world.agent.todo("only one")  # type: ignore[call-arg]
        world.agent.queue_snapshot("many")  # type: ignore[arg-type]
        with world.agent.task("task-1") as task:
            task.complete()
            task.complete()
        world.hb.agent("another", heartbeat_interval=0)
        assert world.hb.flush(10.0)
    finally:
        logging.getLogger("hiveloop").removeHandler(handler)
    assert [e.type for e in world.transport.events if e.task] == ["task_started", "task_completed"]
    assert world.hb.get_agent("another") is not None

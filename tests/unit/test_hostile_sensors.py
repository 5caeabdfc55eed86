"""No sensor raises, blocks or loses an event in silence, whatever it is given."""

from __future__ import annotations

import inspect
import logging
import time
from types import FunctionType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hiveloop
from hiveloop import Action, Agent, Event, HiveBoard, Task
from hiveloop.contrib.log_handler import HiveBoardLogHandler
from hiveloop.transports import MemoryTransport
from tests.unit.hostile import CORPUS

SLOWEST_SECONDS = 2.0
"""Most time one call may take; a fraction of what a value that blocks would take."""

# Public to the engine, not to users: they take what the engine made.
ENGINE: dict[Any, set[str]] = {
    Agent: {
        *("activated", "beat", "deactivated", "describe", "emit", "forget_oldest", "log_debug"),
        *("register", "route", "scope_started", "stopped"),
    },
    Task: {"describe", "info", "start"},
    Action: {"begin_apart", "describe", "end"},
    HiveBoard: {"divert", "renew", "retire"},
    hiveloop: {"init"},
}
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


def name_of(sensor: tuple[Any, str]) -> str:
    return f"{sensor[0].__name__}.{sensor[1]}"


def parameters(sensor: tuple[Any, str]) -> list[inspect.Parameter]:
    """What a user passes to a sensor."""
    found = list(inspect.signature(getattr(*sensor)).parameters.values())
    return found[1:] if found and found[0].name == "self" else found


def required(sensor: tuple[Any, str]) -> dict[str, Any]:
    """Ordinary arguments without which the sensor cannot be called."""
    return {p.name: "x" for p in parameters(sensor) if p.default is inspect.Parameter.empty}


class World:
    """A client with a memory transport that sees everything."""

    def __init__(self) -> None:
        self.transport = MemoryTransport()
        self.hb = hiveloop.init(transport=self.transport, flush_interval=60.0, max_queue_size=200_000)
        self.agent = self.hb.agent("sales", heartbeat_interval=0)

    def call(self, sensor: tuple[Any, str], /, *args: Any, **kwargs: Any) -> Any:
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

    def use(self, tracked: Any, action_name: Any = None) -> None:
        """Decorate a function; a bare decorator was given one, of whatever kind."""
        if not callable(action_name):
            assert tracked(lambda: "done")() == "done"
        elif type(action_name) is FunctionType:
            assert tracked() is None

    def outcome(self, sensor: tuple[Any, str], calls: list[dict[str, Any]]) -> list[Event]:
        """Make the calls, and assert of each that it led to an event, or was counted."""
        assert self.hb.flush(10.0)
        self.transport.clear()
        before = self.hb.stats()
        for arguments in calls:
            self.call(sensor, **arguments)
        assert self.hb.flush(30.0)
        after, events = self.hb.stats(), self.transport.events
        assert after.dropped == {}, after.problems
        if sensor[1] != "agent":  # which may have beaten meanwhile
            assert len(events) == after.accepted - before.accepted == after.delivered - before.delivered
        ends = [e for e in events if e.type in ("task_completed", "task_failed") and task_id(e) == "lead-42"]
        assert len(ends) == len(calls), "the task around each call has an end, whatever happened in it"
        told = len(events) - 4 * len(calls)  # beside that task, and the action in it
        left_out = after.sensor_errors - before.sensor_errors
        assert sensor[1] in QUIET or told + left_out >= sum(not is_bare(sensor, call) for call in calls)
        return events


def is_bare(sensor: tuple[Any, str], arguments: dict[str, Any]) -> bool:
    """Whether a decorator was given what it should decorate: that is called by the test, or not at all."""
    return sensor[1] == "track" and callable(arguments.get("action_name"))


def speaks_for_itself(value: str, sensor: tuple[Any, str], place: str) -> bool:
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
def test_every_value_in_every_place(world: World, sensor: tuple[Any, str]) -> None:
    """Each value of the corpus as each argument, while the others are ordinary."""
    values = {name: make() for name, make in CORPUS.items()}
    calls = [
        {**required(sensor), parameter.name: value}
        for parameter in parameters(sensor)
        for name, value in values.items()
        if not speaks_for_itself(name, sensor, parameter.name)
    ]
    world.outcome(sensor, calls)


@pytest.mark.parametrize("value", CORPUS)
def test_one_value_in_all_places_of_all_sensors(world: World, value: str) -> None:
    made = CORPUS[value]()
    for sensor in SENSORS:
        places = [p.name for p in parameters(sensor) if not speaks_for_itself(value, sensor, p.name)]
        world.outcome(sensor, [dict.fromkeys(places, made)])


def arguments(sensor: tuple[Any, str]) -> st.SearchStrategy[dict[str, str]]:
    """For each argument the name of a value, or none for an optional one."""
    usable = [name for name in CORPUS if not name.startswith("blocking")]
    names = st.sampled_from(usable)
    return st.fixed_dictionaries(
        dict.fromkeys(required(sensor), names),
        optional={p.name: names for p in parameters(sensor) if p.name not in required(sensor)},
    )


@given(st.data())
@settings(max_examples=300)
def test_any_values_in_any_places(data: st.DataObject) -> None:
    sensor = data.draw(st.sampled_from(SENSORS), label="sensor")
    names = data.draw(arguments(sensor), label="arguments")
    try:
        World().outcome(sensor, [{place: CORPUS[name]() for place, name in names.items()}])
    finally:
        hiveloop.reset()

"""Heartbeats: on time and spread, telling progress, and deaf to what callbacks do."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import pytest

import hiveloop
from hiveloop import Agent, Event, HiveBoard, Outcome, Retry, Transport
from hiveloop._clock import Deadline
from hiveloop._config import resolve
from hiveloop._heartbeat import Heartbeats, Sample
from hiveloop._pipeline import EngineOptions
from hiveloop.testing import ManualClock
from hiveloop.transports import MemoryTransport
from tests.support.wait import eventually

INTERVAL = 30.0


# -- the schedule, in simulated time ------------------------------------------------------------------


class SimulatedClock:
    """Time that jumps to whatever the beat thread waits for next, up to a limit."""

    def __init__(self) -> None:
        self.now = 0.0
        self.limit = 0.0

    def monotonic(self) -> float:
        return self.now

    def time_ns(self) -> int:
        return int(self.now * 1e9)

    def wait(self, event: threading.Event, seconds: float) -> bool:
        if self.now < self.limit and not event.is_set():
            self.now = min(self.now + seconds, self.limit)
            return False
        return event.wait(0.002)


class Beater:
    """An agent that only notes when it beats."""

    heartbeat_payload: Callable[[], dict[str, Any] | None] | None = None
    queue_provider: Callable[[], dict[str, Any] | None] | None = None

    def __init__(self, clock: SimulatedClock, interval: float) -> None:
        self.heartbeat_interval = interval
        self.times: list[float] = []
        self._clock = clock

    def beat(self, sample: Sample) -> None:
        self.times.append(self._clock.now)


def simulated(intervals: list[float], seconds: float) -> list[Beater]:
    """Let agents with these intervals beat for so many simulated seconds."""
    clock = SimulatedClock()
    heartbeats = Heartbeats(clock, lambda: 0.0)
    beaters = [Beater(clock, interval) for interval in intervals]
    try:
        for beater in beaters:
            heartbeats.set(beater)
        clock.limit = seconds
        eventually(lambda: clock.now >= seconds, 20.0)
        counted = -1
        while counted != (counted := sum(len(b.times) for b in beaters)):  # what is due at the very end
            threading.Event().wait(0.02)
    finally:
        heartbeats.stop(Deadline(5.0, clock))
    return beaters


def test_a_fleet_beats_evenly_spread() -> None:
    beaters = simulated([INTERVAL] * 600, INTERVAL)
    assert [len(beater.times) for beater in beaters] == [1] * 600, "each once in the first interval"
    per_second = Counter(int(beater.times[0] - 1e-9) for beater in beaters)
    assert min(per_second.get(second, 0) for second in range(30)) >= 15
    assert max(per_second.values()) <= 25


@pytest.mark.parametrize("interval", [0.05, 1.0, 30.0, 86_400.0])
def test_beats_come_at_their_interval(interval: float) -> None:
    [beater] = simulated([interval], 10 * interval)
    gaps = [after - before for before, after in zip(beater.times, beater.times[1:], strict=False)]
    assert len(beater.times) == 10
    assert gaps == pytest.approx([interval] * 9)


def test_each_agent_has_its_own_interval() -> None:
    fast, slow = simulated([1.0, 10.0], 100.0)
    assert len(fast.times) in (99, 100)
    assert len(slow.times) in (9, 10)


# -- a client with time by hand -----------------------------------------------------------------------


class World:
    """A client whose time passes when the test says so."""

    def __init__(self, transport: Transport | None = None, **options: Any) -> None:
        self.clock = ManualClock()
        self.transport = MemoryTransport()
        self.hb = HiveBoard(
            resolve({"endpoint": "http://localhost"}, {}),
            [transport or self.transport],
            options=EngineOptions(clock=self.clock, **options),
        )

    def close(self) -> None:
        """Stop; time stands still, so the deadlines of a stuck client would not pass."""
        done = threading.Event()
        mover = threading.Thread(target=self._pass_time, args=(done,))
        mover.start()
        self.hb.shutdown(1.0)
        done.set()
        mover.join(5.0)

    def _pass_time(self, done: threading.Event) -> None:
        while not done.wait(0.02):
            self.clock.advance(0.1)

    def agent(self, name: str = "sales", interval: float = INTERVAL, **options: Any) -> Agent:
        return self.hb.agent(name, heartbeat_interval=interval, **options)

    def beats(self, name: str = "sales") -> list[Event]:
        """The heartbeats of an agent so far."""
        assert self.hb.flush(10.0)
        return [e for e in self.transport.events if e.type == "heartbeat" and e.agent.agent_id == name]

    def pass_interval(self, interval: float = INTERVAL) -> None:
        """Let an interval pass, with a pause for callbacks to be asked ahead of the beat."""
        self.clock.advance(interval - 1.0)
        threading.Event().wait(0.02)
        self.clock.advance(1.0)

    def pass_smoothly(self, seconds: float = INTERVAL) -> None:
        """Let time pass in small steps, so that each callback is asked ahead of its beat."""
        for _ in range(int(seconds * 2)):
            self.clock.advance(0.5)
            threading.Event().wait(0.006)

    def next_beat(self, name: str = "sales") -> Event:
        """Let an interval pass and return the beat it brings."""
        known = len(self.beats(name))
        self.pass_interval()
        eventually(lambda: len(self.beats(name)) > known, 5.0, what=f"{name} beats")
        beats = self.beats(name)
        assert len(beats) == known + 1
        return beats[-1]


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    yield world
    world.close()


def own(beat: Event) -> dict[str, Any]:
    """Our part of a heartbeat."""
    found: dict[str, Any] = beat.payload["hiveloop"]
    return found


def test_a_beat_without_callbacks_tells_progress_only(world: World) -> None:
    world.agent()
    beat = world.next_beat()
    assert beat.severity == "debug"
    assert beat.task is None
    assert beat.action is None
    assert beat.payload.keys() == {"hiveloop"}
    assert own(beat).keys() == {"last_progress_at", "idle_seconds", "unsent", "dropped"}


def test_the_payload_callbacks_dict_comes_as_it_is(world: World) -> None:
    answer = {"mood": "fine", "nested": {"list": [1, 2.5, None, True]}, "n": 3}
    world.agent(heartbeat_payload=lambda: answer)
    beat = world.next_beat()
    assert {key: value for key, value in beat.payload.items() if key != "hiveloop"} == answer
    assert "callbacks" not in own(beat)


def test_each_beat_asks_the_callback_again(world: World) -> None:
    count = iter(range(100))
    world.agent(heartbeat_payload=lambda: {"n": next(count)})
    assert [world.next_beat().payload["n"] for _ in range(4)] == [0, 1, 2, 3]


def test_what_the_callback_changes_later_does_not_show(world: World) -> None:
    state = {"jobs": [1]}
    world.agent(heartbeat_payload=lambda: state)
    first = world.next_beat()
    state["jobs"].append(2)
    assert first.payload["jobs"] == [1]
    assert world.next_beat().payload["jobs"] == [1, 2]


def test_beats_tell_the_open_task_and_action(world: World) -> None:
    agent = world.agent()
    with agent.task("outer"), agent.task("lead-42"), agent.track_context("look"), agent.track_context("read"):
        told = own(world.next_beat())
    assert told["open_task"] == "lead-42"
    assert told["open_action"] == "read"
    assert told["open_action_seconds"] == 0
    told = own(world.next_beat())
    assert not told.keys() & {"open_task", "open_action", "open_action_seconds"}


def test_beats_tell_how_long_nothing_has_happened(world: World) -> None:
    agent = world.agent()
    agent.progress_ns -= 90 * 1_000_000_000
    told = own(world.next_beat())
    assert told["idle_seconds"] in (90, 91)
    at = datetime.fromisoformat(told["last_progress_at"])
    assert time.time() - at.timestamp() == pytest.approx(90, abs=3)
    assert own(world.next_beat())["idle_seconds"] in range(90, 95), "a beat is no progress"
    agent.llm_call("reason", "model")
    assert own(world.next_beat())["idle_seconds"] == 0


@pytest.mark.parametrize("scope", ["task", "action", "module"])
def test_an_announced_silence_is_told_until_it_ends(world: World, scope: str) -> None:
    agent = world.agent()
    with agent.task("lead-42") as task, agent.track_context("wait") as action:
        {"task": task.expecting, "action": action.expecting, "module": hiveloop.expecting}[scope](600)
        until = datetime.fromisoformat(own(world.next_beat())["expecting_until"])
        assert until.timestamp() - time.time() == pytest.approx(600, abs=5)
    assert "expecting_until" not in own(world.next_beat())


@pytest.mark.parametrize("seconds", [-5, 0, float("nan"), "soon", None])
def test_what_is_no_silence_is_not_announced(world: World, seconds: Any) -> None:
    agent = world.agent()
    with agent.task("lead-42") as task:
        task.expecting(seconds)
        assert "expecting_until" not in own(world.next_beat())


@pytest.mark.parametrize("seconds", [1e12, float("inf"), 10**400, 1e300])
def test_an_absurd_silence_does_not_silence_the_beats(world: World, seconds: float) -> None:
    agent = world.agent()
    with agent.task("lead-42") as task:
        task.expecting(seconds)
        assert own(world.next_beat())["open_task"] == "lead-42"


# -- queues -------------------------------------------------------------------------------------------


def test_a_queue_provider_makes_a_snapshot_with_each_beat(world: World) -> None:
    state = {"depth": 3, "oldest_age_seconds": 120, "items": [{"id": "1"}], "shard": "a"}
    world.agent(queue_provider=lambda: state)
    beat = world.next_beat()
    [snapshot] = [e for e in world.transport.events if e.kind == "queue_snapshot"]
    assert snapshot.summary == "Queue: 3 items, oldest 120s"
    assert snapshot.data == state
    assert snapshot.severity == "debug"
    assert snapshot.task is None
    assert own(beat)["queue_depth"] == 3
    assert "depth" not in beat.payload


def test_no_answer_of_the_queue_provider_makes_no_snapshot(world: World) -> None:
    world.agent(queue_provider=lambda: None, heartbeat_payload=lambda: None)
    beat = world.next_beat()
    assert beat.payload.keys() == {"hiveloop"}
    assert "queue_depth" not in own(beat)
    assert not [e for e in world.transport.events if e.kind == "queue_snapshot"]


# -- callbacks that misbehave -------------------------------------------------------------------------


def raises(error: BaseException) -> Callable[[], Any]:
    def callback() -> Any:
        raise error

    return callback


NONSENSE: dict[str, Callable[[], Any]] = {
    "list": lambda: [1, 2],
    "text": lambda: "fine",
    "number": lambda: 7,
    "empty": dict,
    "needs an argument": lambda x: x,  # type: ignore[dict-item, misc]
    "generator": lambda: (i for i in range(3)),
    "raises": raises(ValueError("no")),
    "exits": raises(SystemExit(1)),
    "is cancelled": raises(asyncio.CancelledError()),
    "interrupts": raises(KeyboardInterrupt()),
}


@pytest.mark.parametrize("name", NONSENSE)
@pytest.mark.parametrize("kind", ["heartbeat_payload", "queue_provider"])
def test_a_callback_that_answers_nonsense_costs_only_its_answer(world: World, name: str, kind: str) -> None:
    world.agent("odd", **{kind: NONSENSE[name]})
    world.agent("fine", heartbeat_payload=lambda: {"n": 1})
    for _ in range(2):
        odd, fine = world.beats("odd"), world.beats("fine")
        world.pass_interval()
        eventually(
            lambda o=odd, f=fine: len(world.beats("odd")) > len(o) and len(world.beats("fine")) > len(f)
        )
    assert world.beats("odd")[-1].payload.keys() == {"hiveloop"}
    # The first beat of the second agent comes early in the interval, without a chance to be asked ahead.
    assert world.beats("fine")[-1].payload["n"] == 1
    assert not world.hb.stats().dropped


def test_a_callback_that_hangs_delays_no_beat_and_the_beats_say_so(world: World) -> None:
    release, asked = threading.Event(), threading.Event()

    def hang() -> dict[str, Any]:
        asked.set()
        release.wait(20.0)
        return {"n": 1}

    world.agent("hung", heartbeat_payload=hang)
    world.agent("fine", heartbeat_payload=lambda: {"n": 2})
    try:
        for turn in (1, 2):
            world.pass_smoothly()
            eventually(lambda t=turn: len(world.beats("hung")) == t and len(world.beats("fine")) == t)
        assert asked.is_set()
        for beat in world.beats("hung"):
            assert own(beat)["callbacks"] == "late"
            assert "n" not in beat.payload
        assert world.beats("fine")[-1].payload["n"] == 2, "a second thread stepped in"
        assert "callbacks" not in own(world.beats("fine")[-1])
    finally:
        release.set()
    world.pass_smoothly(2 * INTERVAL)
    answered = world.beats("hung")[-1]
    assert answered.payload["n"] == 1
    assert "callbacks" not in own(answered)


def test_a_crowd_of_hanging_callbacks_costs_two_threads(world: World) -> None:
    release = threading.Event()

    def hang() -> dict[str, Any]:
        release.wait(20.0)
        return {}

    try:
        for number in range(50):
            world.agent(f"agent-{number}", heartbeat_payload=hang, queue_provider=hang)
        for turn in range(1, 4):
            world.pass_interval()
            eventually(lambda t=turn: all(len(world.beats(f"agent-{n}")) >= t for n in range(50)))
        names = [t.name for t in threading.enumerate() if t.name.startswith("hiveloop-callbacks")]
        assert len(names) == 2
    finally:
        release.set()


def test_shutdown_does_not_wait_for_a_callback_that_hangs() -> None:
    world, release = World(), threading.Event()
    try:
        world.agent(heartbeat_payload=lambda: {"late": release.wait(20.0)})
        world.next_beat()
        started = time.monotonic()
        world.close()
        assert time.monotonic() - started < 3.0
    finally:
        release.set()


# -- when and when not --------------------------------------------------------------------------------


def test_after_a_long_sleep_of_the_machine_there_is_no_volley(world: World) -> None:
    world.agent()
    world.next_beat()
    world.clock.advance(3_600.0)
    eventually(lambda: len(world.beats()) == 2)
    world.next_beat()
    assert len(world.beats()) == 3


def test_an_interval_of_zero_means_no_beats_and_no_thread(world: World) -> None:
    world.agent(interval=0)
    assert "hiveloop-heartbeat" not in [t.name for t in threading.enumerate()]
    world.agent("witness")
    world.next_beat("witness")
    assert world.beats("sales") == []


def test_the_interval_can_be_changed_and_beats_stopped(world: World) -> None:
    world.agent(interval=3_600.0)
    world.agent(interval=INTERVAL)
    world.next_beat()
    world.agent(interval=0)
    world.agent("witness")
    world.next_beat("witness")
    world.next_beat("witness")
    assert len(world.beats("sales")) == 1


def test_naming_an_agent_again_does_not_put_its_beats_off(world: World) -> None:
    world.agent()
    for _ in range(10):
        world.clock.advance(INTERVAL / 10)
        world.hb.agent("sales")
    eventually(lambda: len(world.beats()) == 1)


class DownTransport(Transport):
    """Answers that nothing can be delivered."""

    name = "down"

    def send(self, prepared: object, timeout: float) -> Outcome:
        return Retry("down")


def test_beats_do_not_push_events_out_of_a_full_queue() -> None:
    world = World(DownTransport(), max_queue_size=100)
    try:
        agent = world.agent()
        for _ in range(200):
            agent.llm_call("reason", "model")
        eventually(lambda: world.hb.stats().in_flight > 0)
        for _ in range(100):
            agent.llm_call("reason", "model")
        before = world.hb.stats()
        for turn in range(1, 4):
            world.pass_interval()
            eventually(lambda t=turn: world.hb.stats().beats_skipped == t)
        assert world.hb.stats().accepted == before.accepted
    finally:
        world.close()


def test_beats_tell_what_is_unsent_and_lost() -> None:
    memory, down = MemoryTransport(), DownTransport()
    clock = ManualClock()
    hb = HiveBoard(
        resolve({"endpoint": "http://localhost"}, {}),
        [memory, down],
        options=EngineOptions(clock=clock, max_queue_size=1_000),
    )
    world = World.__new__(World)
    world.clock, world.transport, world.hb = clock, memory, hb
    try:
        agent = world.agent()
        for _ in range(100):
            agent.llm_call("reason", "model")

        def beats() -> list[Event]:
            clock.advance(0.5)
            return [e for e in memory.events if e.type == "heartbeat"]

        beat = eventually(beats)[0]
        assert own(beat)["unsent"] >= 101
        assert own(beat)["dropped"] == 0
    finally:
        world.close()


def test_a_clean_end_is_announced_by_each_agent_and_no_beat_follows() -> None:
    world = World()
    world.agent("a")
    world.agent("b", interval=0)
    world.close()
    stopped = [e for e in world.transport.events if e.kind == "runtime"]
    assert {e.agent.agent_id for e in stopped} == {"a", "b"}
    assert all(e.data["event"] == "agent_stopped" for e in stopped)
    assert all(e.type == "custom" for e in stopped)
    count = len(world.transport.events)
    world.clock.advance(10 * INTERVAL)
    assert len(world.transport.events) == count
    assert not [t for t in threading.enumerate() if t.name.startswith("hiveloop-")]


def test_a_disabled_client_has_no_heart() -> None:
    hb = hiveloop.init(enabled=False)
    hb.agent("sales", heartbeat_interval=0.01, heartbeat_payload=lambda: pytest.fail("asked"))
    assert not [t for t in threading.enumerate() if t.name.startswith("hiveloop-")]

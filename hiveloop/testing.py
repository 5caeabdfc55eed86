"""Test an instrumented agent: capture what it reports, and assert on it.

    from hiveloop.testing import capture

    def test_the_agent_looks_before_it_answers():
        with capture() as seen:
            answer("What is our refund policy?")
        seen.assert_called("search_docs")
        seen.assert_cost_below(0.05)
        seen.assert_no_errors()

Nothing leaves the process. With pytest, the fixture ``hiveloop_capture`` does the same without the
``with``.
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ._client import HiveBoard, get_client, install
from ._clock import Clock, SystemClock
from ._config import resolve
from ._pipeline import EngineOptions
from ._scope import clear_current_agent, get_current_agent, set_current_agent, swap
from ._shape import is_list
from ._views import (
    OPEN,
    ActionView,
    LLMCallView,
    PlanStepView,
    PlanView,
    Report,
    TaskView,
    dollars,
    read,
    spent,
)
from .transports.memory import MemoryTransport

if TYPE_CHECKING:
    from ._agent import Agent
    from ._redact import Mask
    from .events import Event
    from .transport import Transport

__all__ = [
    "ActionView",
    "Capture",
    "LLMCallView",
    "ManualClock",
    "MemoryTransport",
    "PlanStepView",
    "PlanView",
    "TaskView",
    "capture",
]

FLUSH_SECONDS = 10.0
_ROOM = 1_000_000
"""Events kept: a test must not lose any to a full queue."""


class ManualClock:
    """A clock that stands still until `advance`; for tests of heartbeats and waiting.

    Pass it to `capture`. Time stamps of events stay real. While it stands still, `hiveloop.flush`
    waits without limit.
    """

    def __init__(self, start: float = 1_000.0) -> None:
        """Start at `start` seconds."""
        self._lock = threading.Lock()
        self._now = start

    def monotonic(self) -> float:
        """Return the seconds shown."""
        with self._lock:
            return self._now

    def time_ns(self) -> int:
        """Return the time shown, in nanoseconds since the Unix epoch."""
        return int(self.monotonic() * 1_000_000_000)

    def advance(self, seconds: float) -> None:
        """Let time pass; threads that wait on this clock notice within milliseconds."""
        with self._lock:
            self._now += seconds

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait until `event` is set or the clock was advanced by `seconds`; True when it is set."""
        end = self.monotonic() + seconds
        while self.monotonic() < end:
            if event.wait(0.002):
                return True
        return event.is_set()


class Capture:
    """What agents reported inside a `capture` block, and assertions on it.

    Every reading waits for what was reported so far, so no test needs to sleep. After the block the
    capture stays as it was at its end.

    Attributes:
        client: the client that `hiveloop.init` returns inside the block.
    """

    def __init__(self, client: HiveBoard, memory: MemoryTransport) -> None:
        self.client = client
        self._memory = memory
        self._final: list[Event] | None = None
        self._fault: str | None = None

    def __repr__(self) -> str:
        count = len(self._memory.events if self._final is None else self._final)
        return f"<hiveloop.testing.Capture, {count} events have arrived>"

    def __str__(self) -> str:
        return self.tree()

    def stop(self) -> None:
        """Keep what was captured so far and take in nothing more; the end of the block calls it."""
        self._settle()
        self._final = self._memory.events

    # -- what happened -------------------------------------------------------------------------

    @property
    def events(self) -> list[Event]:
        """All events so far; per agent in the order of the sensor calls.

        Raises:
            AssertionError: events were lost or withheld; the message says why.
        """
        if self._final is None:
            self._settle()
        if self._fault:
            raise AssertionError(self._fault)
        return self._memory.events if self._final is None else list(self._final)

    def _settle(self) -> None:
        """Wait for what was reported so far, and note what was lost of it."""
        if not self.client.flush(FLUSH_SECONDS):
            self._fault = f"events were not delivered within {FLUSH_SECONDS:.0f} s: is a mask hanging?"
        elif lost := self.client.stats().dropped:
            reasons = ", ".join(f"{count} {reason}" for reason, count in lost.items())
            self._fault = f"events were lost ({reasons}); the log of hiveloop says why"

    def clear(self) -> None:
        """Forget what was captured so far."""
        self._settle()
        self._memory.clear()

    @property
    def _report(self) -> Report:
        return read(self.events)

    @property
    def tasks(self) -> list[TaskView]:
        """All tasks in order of their start."""
        return self._report.tasks

    @property
    def open_tasks(self) -> list[TaskView]:
        """Tasks that have not ended."""
        return [task for task in self.tasks if task.status == OPEN]

    @property
    def actions(self) -> list[ActionView]:
        """All actions of all tasks, nested or not, and those outside tasks, in order of their start."""
        return self._report.actions

    @property
    def llm_calls(self) -> list[LLMCallView]:
        """All model calls, in tasks and outside, in order."""
        return self._report.llm_calls

    @property
    def total_cost(self) -> float:
        """US dollars of all model calls that reported a cost."""
        return spent(self.llm_calls)

    def task(self, task_id: str) -> TaskView:
        """Return the task of that id; the last one if it ran several times.

        Raises:
            AssertionError: there was none.
        """
        __tracebackhide__ = True
        found = [task for task in self.tasks if task.task_id == task_id]
        self._check(bool(found), f"there was no task {task_id!r}")
        return found[-1]

    def tree(self) -> str:
        """Return everything as indented text, without times, durations and ids.

        It is the same for the same behaviour, so it suits snapshot tests.
        """
        return "\n".join(self._report.lines()) or "(nothing was reported)"

    # -- assertions ----------------------------------------------------------------------------

    def assert_called(
        self, name: str, *, times: int | None = None, status: str | None = None
    ) -> list[ActionView]:
        """Assert that an action (tool, tracked function) of that name ran; return those that did.

        Args:
            name: of the action.
            times: how often exactly; at least once by default.
            status: only count those that ended so, "success" or "failure".
        """
        __tracebackhide__ = True
        found = [a for a in self.actions if a.name == name and status in (None, a.status)]
        ended = f" with status {status!r}" if status else ""
        self._check_count(len(found), times, f"action {name!r}{ended}", (a.name for a in self.actions))
        return found

    def assert_not_called(self, name: str) -> None:
        """Assert that no action of that name ran."""
        __tracebackhide__ = True
        times = sum(action.name == name for action in self.actions)
        self._check(times == 0, f"action {name!r} ran {_times(times)}, but should not have")

    def assert_llm_called(
        self, *, model: str | None = None, name: str | None = None, times: int | None = None
    ) -> list[LLMCallView]:
        """Assert that a model was called; return the calls.

        Args:
            model: only count calls of this model.
            name: only count calls of this name.
            times: how often exactly; at least once by default.
        """
        __tracebackhide__ = True
        calls = self.llm_calls
        found = [c for c in calls if model in (None, c.model) and name in (None, c.name)]
        wanted = " ".join(
            filter(
                None,
                ("an LLM call", f"of model {model!r}" if model else "", f"named {name!r}" if name else ""),
            )
        )
        self._check_count(len(found), times, wanted, (f"{c.name} -> {c.model}" for c in calls))
        return found

    def assert_cost_below(self, usd: float) -> None:
        """Assert that all model calls together cost less than `usd` US dollars."""
        __tracebackhide__ = True
        calls = self.llm_calls
        total = spent(calls)
        dearest = sorted(calls, key=lambda call: call.cost or 0, reverse=True)[:3]
        shown = ", ".join(f"{c.name} -> {c.model} {dollars(c.cost or 0)}" for c in dearest)
        self._check(total < usd, f"{dollars(total)} is not below {dollars(usd)}; the dearest calls: {shown}")

    def assert_no_errors(self) -> None:
        """Assert that no task or action failed and no event was as severe as an error."""
        __tracebackhide__ = True
        report = self._report
        wrong = [
            *(f"task {t.task_id!r} failed: {t.error}" for t in report.tasks if t.status == "failure"),
            *(f"action {a.name!r} failed: {a.error}" for a in report.actions if a.status == "failure"),
            *(
                f"{e.kind or e.type.value}: {e.summary}"
                for e in report.errors
                if not e.type.endswith("_failed")
            ),
        ]
        self._check(not wrong, "; ".join(wrong))

    def assert_no_open_tasks(self) -> None:
        """Assert that every task that was started has ended."""
        __tracebackhide__ = True
        names = ", ".join(repr(task.task_id) for task in self.open_tasks)
        self._check(not names, f"not ended: {names}")

    def _check_count(self, found: int, times: int | None, what: str, instead: Iterable[str]) -> None:
        __tracebackhide__ = True
        if times is not None:
            self._check(found == times, f"expected {what} {_times(times)}, found it {_times(found)}")
        seen = ", ".join(sorted(set(instead))) or "none at all"
        self._check(found > 0 or times == 0, f"expected {what}, but there was: {seen}")

    def _check(self, holds: bool, message: str) -> None:
        __tracebackhide__ = True
        if not holds:
            raise AssertionError(f"{message}\n\n{self.tree()}")


def _times(count: int) -> str:
    return "once" if count == 1 else "never" if count == 0 else f"{count} times"


class _CapturingBoard(HiveBoard):
    """A client that outlives the `hiveloop.shutdown` and `hiveloop.reset` of the application under test."""

    heartbeats = False

    def agent(self, agent_id: str, *args: Any, **kwargs: Any) -> Agent:
        """Register an agent; without heartbeats, which come when time passes, unless a test wants them."""
        if not self.heartbeats:
            args = (*args[:3], 0, *args[4:]) if len(args) > 3 else args
            kwargs = kwargs if len(args) > 3 else {**kwargs, "heartbeat_interval": 0}
        return super().agent(agent_id, *args, **kwargs)

    def shutdown(self, timeout: float | None = None) -> None:
        """Only deliver: what the application does afterwards is captured as well."""
        self.flush(FLUSH_SECONDS if timeout is None else timeout)
        if not self.closed and get_client() is None:  # `hiveloop.reset` lets go of a client before
            install(self)

    def retire(self) -> None:
        """Keep the agents: the application is not over."""

    def end(self) -> None:
        """Stop, at the end of the capture."""
        super().shutdown()
        super().retire()


@contextmanager
def capture(
    *,
    heartbeats: bool = False,
    clock: Clock | None = None,
    mask: Mask | None = None,
    redact: bool = True,
    capture_content: bool = True,
    preview_max_chars: int = 300,
    transport: Transport | Sequence[Transport] | None = None,
) -> Generator[Capture]:
    """Capture everything that agents report inside the ``with`` block; nothing leaves the process.

    Inside the block `hiveloop.init` returns the capturing client, whatever it is given, and neither
    `hiveloop.shutdown` nor `hiveloop.reset` ends it. What `init` made before the block is back in force
    after it. No setting is read from the environment or a file. Blocks nest; the innermost captures.

    Args:
        heartbeats: whether agents beat; off by default, since a beat comes when time passes.
        clock: time source of heartbeats, such as a `ManualClock`; the real one by default.
        mask: as for `hiveloop.init`.
        redact: as for `hiveloop.init`.
        capture_content: as for `hiveloop.init`.
        preview_max_chars: as for `hiveloop.init`.
        transport: where events go as well, one or several: a transport under test, or one that keeps
            them in another form. What it drops fails the test like any other loss.
    """
    memory = MemoryTransport()
    arguments = {
        "redact": redact,
        "capture_content": capture_content,
        "preview_max_chars": preview_max_chars,
        "endpoint": "http://localhost",
    }
    options = EngineOptions(max_queue_size=_ROOM, clock=clock or SystemClock())
    also: list[Any] = [] if transport is None else [*transport] if is_list(transport) else [transport]
    client = _CapturingBoard(
        resolve(arguments, {}), [memory, *also], mask=mask, options=options, captures=True
    )
    client.heartbeats = heartbeats
    seen = Capture(client, memory)
    scope, earlier = swap(None), install(client)
    agent = get_current_agent()  # one that was chosen, now that no scope speaks for its own
    clear_current_agent()
    _divert(earlier, client)
    try:
        yield seen
    finally:
        swap(scope)
        set_current_agent(agent)
        _divert(earlier, None)
        install(earlier)
        seen.stop()
        client.end()


def _divert(earlier: HiveBoard | None, target: HiveBoard | None) -> None:
    """Have agents that an application made before the capture report to it as well."""
    if earlier is not None:
        earlier.divert(target)

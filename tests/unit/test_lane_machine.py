"""The lane against a model of it, in every order of puts, answers, flushes and waits.

The model knows the fate of each record by what the machine itself did: what it put, what the lane
handed out, what it answered. Whatever the lane counts must agree with that, after each step.
"""

from __future__ import annotations

import random
from collections import Counter
from enum import Enum, auto
from itertools import pairwise

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from hiveloop._backoff import Backoff
from hiveloop._lane import GROUP_WINDOW, SUSPECT_ATTEMPTS, Lane, Send, Wait
from hiveloop._record import Record
from hiveloop.events import Event
from hiveloop.stats import DropReason
from hiveloop.transport import Batch, BatchLimits, Delivered, Misconfigured, Outcome, Refused, Retry, TooLarge
from tests.unit.lanes import HandMade, Source, event_of, is_broken, record

DELIVERED = "delivered"


class Nature(Enum):
    """What is special about a record."""

    FINE = auto()
    BROKEN = auto()
    REFUSED = auto()
    LARGE = auto()
    LARGE_FOR_EVER = auto()
    POISON = auto()


NATURES = st.sampled_from([Nature.FINE] * 4 + list(Nature)[1:] + [Nature.POISON] * 2)
OBJECTIONS: dict[Nature, Outcome] = {
    Nature.REFUSED: Refused("HTTP 400"),
    Nature.LARGE: TooLarge(),
    Nature.LARGE_FOR_EVER: TooLarge(),
    Nature.POISON: Retry("HTTP 500", suspect=True),
}

HONEST = "objects to what it has reason to object to, and takes the rest"
REJECTING = "takes every other event"
Answer = str | Outcome
ANSWERS: st.SearchStrategy[Answer] = st.sampled_from(
    [
        *[HONEST] * 6,
        REJECTING,
        Retry("HTTP 503"),
        Retry("HTTP 500", suspect=True),
        Retry("HTTP 429", after=0.0),
        Retry("HTTP 429", after=90.0),
        Retry("HTTP 500", after=2.0, suspect=True),
        Misconfigured("HTTP 401"),
        Refused("HTTP 400"),
        TooLarge(),
        Delivered(),
    ]
)


class LaneMachine(RuleBasedStateMachine):
    """One lane, its callers, its worker and its receiver.

    A record's position is the number of records put before it; its event's id is that number.
    """

    @initialize(
        agents=st.integers(1, 3),
        one_agent=st.booleans(),
        max_events=st.integers(1, 8),
        max_bytes=st.sampled_from([50, 300, 100_000]),
        max_queue_size=st.integers(1, 40),
        batch_size=st.integers(1, 10),
        flush_interval=st.sampled_from([0.01, 5.0]),
    )
    def begin(
        self,
        agents: int,
        one_agent: bool,
        max_events: int,
        max_bytes: int,
        max_queue_size: int,
        batch_size: int,
        flush_interval: float,
    ) -> None:
        self.now = 0.0
        self.agents = [Source(f"agent-{i}") for i in range(agents)]
        self.limits = BatchLimits(max_events, max_bytes, one_agent)
        self.max_queue_size = max_queue_size
        self.batch_size = min(batch_size, max_queue_size)
        self.flush_interval = flush_interval
        self.woken = False
        self.lane = Lane(
            builder=HandMade(self.build, trim=self.trim),
            limits=self.limits,
            max_queue_size=max_queue_size,
            batch_size=batch_size,
            flush_interval=flush_interval,
            backoff=Backoff(initial=1.0, maximum=60.0, probe=15.0, draw=random.random),  # Hypothesis seeds it
            on_ready=self.wake,
        )
        self.records: list[Record] = []
        self.fates: dict[int, str] = {}
        self.waiting: list[int] = []
        self.arrived: list[int] = []
        self.sending: tuple[Event, ...] | None = None
        self.asked_until = float("-inf")
        self.flushes: list[int] = []
        self.closed = False
        self.idle = True  # the worker waits, or has not started; a wake-up is due when there is work
        self.tried_to_build: list[int] = []  # broken records, in the lane's last step
        self.trimmed: set[int] = set()
        self.natures: list[Nature] = []
        self.blamed: Counter[int] = Counter()  # suspect answers while alone
        self.arrived_at_blame: dict[int, int] = {}
        self.proofs: Counter[int] = Counter()
        self.postponed: set[int] = set()

    def wake(self) -> None:
        self.woken = True

    def build(self, record: Record) -> Event:
        if is_broken(record):
            self.tried_to_build.append(record[1])
        return event_of(record)

    def trim(self, event: Event) -> Event:
        position = int(event.event_id)
        self.trimmed.add(position)
        self.blamed[position] = self.proofs[position] = 0
        if self.natures[position] is Nature.LARGE_FOR_EVER:
            raise ValueError("nothing to trim")
        self.natures[position] = Nature.FINE
        return event._replace(size=event.size // 4)

    # -- callers -----------------------------------------------------------------------------------

    @rule(
        count=st.integers(1, 12),
        agent=st.integers(0, 2),
        size=st.sampled_from([10, 40, 120, 900]),
        nature=NATURES,
    )
    def put(self, count: int, agent: int, size: int, nature: Nature) -> None:
        for _ in range(count):
            position = len(self.records)
            source = self.agents[agent % len(self.agents)]
            self.records.append(record(position, size, source, broken=nature is Nature.BROKEN))
            self.natures.append(nature)
            self.lane.put(self.records[-1])
            if self.closed:
                self.meets(position, DropReason.CLOSED)
                continue
            self.waiting.append(position)
            if len(self.waiting) > self.max_queue_size:
                self.meets(self.waiting.pop(0), DropReason.QUEUE_FULL)

    @rule(patience=st.sampled_from([0.0, 3.0, 1e9]))
    def flush(self, patience: float) -> None:
        watermark = self.lane.request_flush(self.now, self.now + patience)
        assert watermark == len(self.records)
        self.flushes.append(watermark)
        self.idle = False  # who flushes wakes the worker as well

    @rule(probability=st.integers(0, 9))
    @precondition(lambda self: not self.closed and self.records)
    def close(self, probability: int) -> None:
        if probability:
            return
        left = [p for p in range(len(self.records)) if p not in self.fates]
        assert self.lane.close() == len(left)
        for position in left:
            self.meets(position, DropReason.SHUTDOWN)
        self.waiting.clear()
        self.closed = True

    @rule(seconds=st.sampled_from([0.01, 0.4, 1.0, 5.0, 61.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    # -- the worker and the receiver ---------------------------------------------------------------

    @rule(answer=ANSWERS, times=st.integers(1, 15))
    @precondition(lambda self: self.sending is None)
    def receive(self, answer: Answer, times: int) -> None:
        """The worker works for a while, and waits when told to."""
        for _ in range(times):
            seconds = self.step()
            if seconds is None:
                self.settle(self.outcome(answer))
            else:
                self.now += seconds

    @rule(answer=ANSWERS, nature=NATURES, times=st.integers(5, 25))
    @precondition(lambda self: self.sending is None)
    def work_and_receive(self, answer: Answer, nature: Nature, times: int) -> None:
        """An agent works steadily meanwhile: what a suspect needs to be told from an outage."""
        for number in range(times):
            self.put(1, number, 10, Nature.FINE if number else nature)
            self.receive(answer, 3)

    @rule()
    @precondition(lambda self: self.sending is None)
    def begin_to_send(self) -> None:
        """The worker takes one step, so that callers and clock can go on before the answer."""
        self.step()

    @rule()
    @precondition(lambda self: self.sending is not None)
    def work_ahead(self) -> None:
        """The worker builds what comes next while it waits for the answer."""
        self.lane.build_ahead()
        self.drain_cut()

    @rule(answer=ANSWERS)
    @precondition(lambda self: self.sending is not None)
    def end_to_send(self, answer: Answer) -> None:
        self.settle(self.outcome(answer))

    def step(self) -> float | None:
        """Ask the lane what to do; return the seconds to wait, or None when a batch is on its way."""
        if self.idle:
            self.woken = False
        step = self.lane.next(self.now)
        self.drain_cut()
        match step:
            case Wait(seconds):
                self.check_wait(seconds)
                self.idle = seconds > 0 and self.lane.stats().state == "ok"
                return seconds
            case Send(batch, attempt):
                assert isinstance(batch, Batch)
                assert attempt >= 1
                assert batch.backlog == len(self.waiting)
                self.check_batch(batch.events)
                self.sending = batch.events
                self.idle = False
                return None

    def outcome(self, answer: Answer) -> Outcome:
        """What the receiver says, which may depend on what it was sent."""
        if not isinstance(answer, str):
            return answer
        assert self.sending is not None
        if answer == REJECTING:
            return Delivered((*(e.event_id for e in self.sending[::2]), "unknown"))
        natures = {self.natures[int(event.event_id)] for event in self.sending}
        return next((outcome for nature, outcome in OBJECTIONS.items() if nature in natures), Delivered())

    def drain_cut(self) -> None:
        """Follow what the lane has taken from its queue, and what of that it could not build."""
        stats = self.lane.stats()
        del self.waiting[: len(self.waiting) - stats.waiting]
        newly_broken = stats.dropped.get(DropReason.ENCODE_ERROR, 0) - self.count(DropReason.ENCODE_ERROR)
        broken = dict.fromkeys(self.tried_to_build)  # tried with its slice, then alone
        assert len(broken) == newly_broken
        for position in broken:
            self.meets(position, DropReason.ENCODE_ERROR)
        self.tried_to_build.clear()

    def check_wait(self, seconds: float) -> None:
        assert seconds >= 0
        stats = self.lane.stats()
        if stats.state == "ok" and stats.waiting and self.now >= self.asked_until:
            assert seconds <= self.flush_interval + 1e-9

    def check_batch(self, events: tuple[Event, ...]) -> None:
        assert not self.closed
        assert self.now >= self.asked_until, "sooner than the receiver asked"
        assert 1 <= len(events) <= self.limits.max_events
        assert len(events) == 1 or sum(event.size for event in events) <= self.limits.max_bytes
        assert not self.limits.one_agent or len({event.agent for event in events}) == 1
        for event in events:
            assert int(event.event_id) not in self.fates, "sent again after its fate was settled"

    def settle(self, outcome: Outcome) -> None:
        assert self.sending is not None
        events, self.sending = self.sending, None
        trimmed_before = set(self.trimmed)
        self.lane.settle(outcome, self.now)
        self.drain_cut()
        if self.closed:
            return  # the answer came too late to count
        positions = [int(event.event_id) for event in events]
        alone = positions[0] if len(positions) == 1 else None
        match outcome:
            case Delivered(rejected):
                for position in positions:
                    lost = str(position) in rejected
                    self.meets(position, DropReason.REJECTED if lost else DELIVERED)
            case Retry(_, after, suspect):
                if after is not None:
                    self.asked_until = max(self.asked_until, self.now + after)
                if suspect and alone is not None:
                    self.blame(alone)
            case Refused() if alone is not None:
                self.meets(alone, DropReason.REFUSED)
            case TooLarge() if alone is not None:
                if self.natures[alone] is Nature.LARGE_FOR_EVER or alone in trimmed_before:
                    self.meets(alone, DropReason.TOO_LARGE)
            case _:
                pass

    def blame(self, position: int) -> None:
        """A suspect is given up only when others got through between its failures, often enough."""
        if self.blamed[position] and len(self.arrived) > self.arrived_at_blame[position]:
            self.proofs[position] += 1
        self.blamed[position] += 1
        self.arrived_at_blame[position] = len(self.arrived)
        if self.blamed[position] >= SUSPECT_ATTEMPTS:
            self.postponed.add(position)
        if self.lane.stats().dropped.get(DropReason.RETRIES_EXHAUSTED, 0) > self.count(
            DropReason.RETRIES_EXHAUSTED
        ):
            assert self.proofs[position] >= SUSPECT_ATTEMPTS
            self.meets(position, DropReason.RETRIES_EXHAUSTED)

    def meets(self, position: int, fate: str) -> None:
        assert position not in self.fates, "one event, one fate"
        self.fates[position] = fate
        if fate == DELIVERED:
            self.arrived.append(position)

    def count(self, fate: str) -> int:
        return sum(known == fate for known in self.fates.values())

    # -- what always holds -------------------------------------------------------------------------

    @invariant()
    def the_books_balance(self) -> None:
        stats = self.lane.stats()
        lost = {reason: self.count(reason) for reason in DropReason if self.count(reason)}
        assert stats.accepted == len(self.records)
        assert (
            stats.accepted == stats.delivered + sum(stats.dropped.values()) + stats.waiting + stats.in_flight
        )
        assert stats.delivered == len(self.arrived)
        assert stats.dropped == lost
        assert stats.waiting == len(self.waiting)
        assert self.lane.unsent() == stats.waiting + stats.in_flight == len(self.records) - len(self.fates)
        assert self.lane.lost() == sum(lost.values())

    @invariant()
    def the_queue_is_bounded(self) -> None:
        stats = self.lane.stats()
        assert stats.waiting <= self.max_queue_size
        window = self.limits.max_events * (GROUP_WINDOW if self.limits.one_agent else 1)
        assert stats.in_flight <= window + 1, "a window, and company for a suspect"

    @invariant()
    def each_agents_events_arrive_in_order(self) -> None:
        for agent in self.agents:
            in_order = [p for p in self.arrived if self.records[p][3] is agent and p not in self.postponed]
            assert all(before < after for before, after in pairwise(in_order))

    @invariant()
    def a_watermark_is_met_when_all_before_it_have_met_their_fate(self) -> None:
        open_ = next((p for p in range(len(self.records)) if p not in self.fates), len(self.records))
        for watermark in {*self.flushes, open_ + 1}:
            if watermark > open_:
                assert watermark > len(self.records) or not self.lane.has_met_fate(watermark)
        # Company taken for a suspect may hold a flush up, until its own fate is settled.
        if self.flushes and self.flushes[-1] <= open_ and not self.postponed - self.fates.keys():
            assert self.lane.has_met_fate(self.flushes[-1])

    @invariant()
    def a_worker_that_waits_is_woken_for_a_full_batch(self) -> None:
        if self.idle and not self.closed and len(self.waiting) >= self.batch_size:
            assert self.woken

    def teardown(self) -> None:
        """A receiver that is well again gets everything that is left, in little time."""
        if not hasattr(self, "lane"):
            return
        if self.sending is not None:
            self.settle(Delivered())
        watermark = self.lane.request_flush(self.now)
        for _ in range(3 * len(self.records) + 10):
            if self.lane.has_met_fate(watermark):
                break
            seconds = self.step()
            if seconds is None:
                self.settle(Delivered())
            else:
                self.now += seconds
        assert self.lane.has_met_fate(watermark)
        assert self.fates.keys() == set(range(len(self.records)))
        self.the_books_balance()


LaneMachine.TestCase.settings = settings(stateful_step_count=60)
TestLane = LaneMachine.TestCase

"""The rules of delivery, one by one; `test_lane_machine` has them all at once."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from functools import partial
from itertools import pairwise

import pytest

from hiveloop._backoff import Backoff
from hiveloop._lane import SUSPECT_ATTEMPTS
from hiveloop.stats import DropReason
from hiveloop.transport import (
    BatchLimits,
    Delivered,
    Misconfigured,
    Outcome,
    Refused,
    Retry,
    TooLarge,
)
from tests.unit.lanes import Bench, Source, record

pytestmark = pytest.mark.usefixtures("strict")

NO_JITTER = Backoff(initial=0.0, maximum=0.0, probe=0.0)
YEAR_SECONDS = 365 * 24 * 3600.0


def refusing(poison: int) -> Bench:
    return Bench(lambda numbers: Refused("HTTP 400") if poison in numbers else Delivered())


# -- isolation ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("poison", [0, 1, 49, 50, 98, 99])
def test_one_poison_event_in_a_hundred_costs_itself_and_few_requests(poison: int) -> None:
    bench = refusing(poison)
    bench.put(100)

    bench.run()

    assert bench.delivered == [n for n in range(100) if n != poison]
    assert bench.dropped == {DropReason.REFUSED: 1}
    assert len(bench.requests) <= 2 * 7 + 1, "halving finds one in a hundred in seven steps"
    assert bench.now == 0.0, "a refusal is no reason to wait"


def test_a_receiver_that_refuses_everything_gets_nothing_and_the_queue_empties() -> None:
    bench = Bench(lambda numbers: Refused("HTTP 400"))
    bench.put(16)

    bench.run()

    assert bench.dropped == {DropReason.REFUSED: 16}


def test_a_refused_event_is_dropped_under_the_reason_its_worker_names() -> None:
    bench = Bench()
    bench.put()
    bench.lane.next(0.0)
    bench.lane.settle(Refused("the transport failed"), 0.0, blame=DropReason.TRANSPORT_ERROR)
    assert bench.dropped == {DropReason.TRANSPORT_ERROR: 1}


def test_an_event_that_cannot_be_built_costs_itself_only() -> None:
    bench = Bench()
    for number in range(5):
        bench.lane.put(record(number, broken=number == 2))

    bench.run()

    assert bench.delivered == [0, 1, 3, 4]
    assert bench.dropped == {DropReason.ENCODE_ERROR: 1}


def test_rejected_events_are_counted_and_never_sent_again() -> None:
    bench = Bench(lambda numbers: Delivered(rejected=("3", "7", "7", "unknown")))
    bench.put(10)

    bench.run()

    assert len(bench.requests) == 1
    assert bench.lane.stats().delivered == 8
    assert bench.dropped == {DropReason.REJECTED: 2}


# -- too large ----------------------------------------------------------------------------------------


def test_a_batch_that_is_too_large_is_halved_and_nothing_is_lost() -> None:
    bench = Bench(lambda numbers: TooLarge() if len(numbers) > 10 else Delivered())
    bench.put(100)

    bench.run()

    assert bench.delivered == list(range(100))
    assert bench.now == 0.0
    assert not bench.dropped


def test_a_single_event_that_is_too_large_is_trimmed_once_then_dropped() -> None:
    trimmed: list[str] = []
    bench = Bench(lambda numbers: TooLarge(), trim=lambda event: (trimmed.append(event.event_id), event)[1])
    bench.put()

    bench.run()

    assert trimmed == ["0"]
    assert len(bench.requests) == 2
    assert bench.dropped == {DropReason.TOO_LARGE: 1}


def test_a_trimmed_event_arrives() -> None:
    answers: list[Outcome] = [TooLarge(), Retry("HTTP 503"), Delivered()]
    bench = Bench(lambda numbers: answers.pop(0))
    bench.put()

    bench.run()

    assert bench.delivered == [0]
    assert not bench.dropped


def test_an_event_that_cannot_be_trimmed_is_dropped() -> None:
    def fails(event: object) -> None:
        raise ValueError

    bench = Bench(lambda numbers: TooLarge(), trim=fails)  # type: ignore[arg-type]
    bench.put()
    bench.run()
    assert bench.dropped == {DropReason.TOO_LARGE: 1}


# -- outages and suspects -----------------------------------------------------------------------------


@pytest.mark.parametrize("outage", [Retry("HTTP 503"), Retry("HTTP 500", suspect=True)], ids=["503", "500"])
def test_an_outage_of_a_year_loses_nothing(outage: Retry) -> None:
    bench = Bench(lambda numbers: Delivered() if bench.now >= YEAR_SECONDS else outage, max_queue_size=500)
    bench.put(250)

    bench.run(until=YEAR_SECONDS, requests=3_000)
    assert not bench.delivered
    bench.now = YEAR_SECONDS
    bench.run()

    assert sorted(bench.delivered) == list(range(250))
    assert not bench.dropped


def test_a_receiver_that_fails_again_after_it_came_back_loses_nothing() -> None:
    """Answers during the outage say nothing against an event; only those since the return count."""
    bench = Bench(lambda numbers: Retry("HTTP 500", suspect=True))
    bench.put(4)
    bench.run(requests=500)
    for _ in range(3):
        for answer in (Delivered(), Retry("HTTP 500", suspect=True)):
            bench.answer = lambda numbers, answer=answer: answer  # type: ignore[misc]
            bench.run(requests=1)

    bench.answer = lambda numbers: Delivered()
    bench.run()

    assert sorted(bench.delivered) == [0, 1, 2, 3]
    assert not bench.dropped


def test_a_suspect_is_given_up_only_alone_and_when_others_got_through() -> None:
    bench = Bench(lambda numbers: Retry("HTTP 500", suspect=True) if 3 in numbers else Delivered())
    bench.put(8)
    bench.run(requests=200)
    assert bench.delivered[:3] == [0, 1, 2]
    assert sorted(bench.delivered) == [0, 1, 2, 4, 5, 6, 7]
    assert bench.requests[-1] == (3,)
    assert not bench.dropped, "nothing else was delivered since: it may well be an outage"

    before = len(bench.requests)
    for _ in range(20):
        bench.put()
        bench.run(requests=2)

    assert bench.dropped == {DropReason.RETRIES_EXHAUSTED: 1}
    assert bench.open == 0
    assert sorted(bench.delivered) == [n for n in range(28) if n != 3]
    assert len(bench.requests) - before <= 20 + SUSPECT_ATTEMPTS


def test_answers_that_blame_nobody_never_give_up_an_event() -> None:
    bench = Bench(lambda numbers: Retry("timeout") if 0 in numbers else Delivered(), batch_size=1)
    bench.put()
    for _ in range(300):
        bench.put()
        bench.run(requests=1)
    assert not bench.dropped


# -- the queue ----------------------------------------------------------------------------------------


def test_beyond_the_limit_the_oldest_go_and_are_counted() -> None:
    bench = Bench(max_queue_size=10)
    bench.put(25)
    assert bench.dropped == {DropReason.QUEUE_FULL: 15}
    assert bench.lane.pressure() == 1.0

    bench.run()

    assert bench.delivered == list(range(15, 25))


def test_what_is_being_sent_is_not_evicted() -> None:
    bench = Bench(max_queue_size=10)
    bench.put(10)
    bench.lane.next(0.0)
    bench.put(30)
    bench.lane.settle(Delivered(), 0.0)

    assert bench.lane.stats().delivered == 10
    assert bench.dropped == {DropReason.QUEUE_FULL: 20}


def test_the_first_record_and_a_full_batch_wake_the_worker_once_each() -> None:
    bench = Bench(batch_size=10)
    bench.put(5)
    assert bench.woken == 1
    bench.run()
    assert bench.step() == pytest.approx(5.0)
    bench.put(9)
    assert bench.woken == 1, "there is time until the flush interval has passed"
    bench.put(20)
    assert bench.woken == 2


class _Talkative:
    """Reports something when it is forgotten, as a finaliser of an application's may."""

    def __init__(self, report: Callable[[], None]) -> None:
        self._report = report

    def __del__(self) -> None:
        self._report()


def test_a_finaliser_that_reports_while_its_record_is_evicted_garbles_nothing() -> None:
    bench = Bench(max_queue_size=10)
    bench.put(10)
    for number in range(100, 150):
        last_words = partial(bench.lane.put, record(number + 1_000))
        fine, *rest, _ = record(number)
        bench.lane.put((fine, *rest, (_Talkative(last_words),)))  # type: ignore[arg-type]
        del last_words

    bench.run()

    stats = bench.lane.stats()
    assert stats.accepted == stats.delivered + stats.dropped[DropReason.QUEUE_FULL] > 60
    assert len(bench.delivered) == stats.delivered >= 10
    assert set(bench.delivered) <= {*range(10), *range(100, 150), *range(1_100, 1_150)}


def test_a_full_queue_does_not_wake_a_worker_that_backs_off() -> None:
    bench = Bench(lambda numbers: Retry("HTTP 503"), batch_size=10, max_queue_size=50)
    bench.put(10)
    bench.run(requests=1)
    bench.step()
    woken = bench.woken
    bench.put(200)
    assert bench.woken == woken


def test_a_record_waits_for_company_no_longer_than_the_flush_interval() -> None:
    bench = Bench(flush_interval=5.0)
    bench.put()
    bench.run()
    bench.now = 100.0
    bench.step()
    bench.put()
    started = bench.now
    bench.run()
    assert bench.now - started == pytest.approx(5.0)


@pytest.mark.parametrize("one_agent", [False, True])
def test_a_backlog_travels_in_full_batches(one_agent: bool) -> None:
    bench = Bench(limits=BatchLimits(max_events=50, one_agent=one_agent), batch_size=10)
    agents = [Source(f"agent-{i}") for i in range(2)]
    for number in range(400):
        bench.put(source=agents[number % 2])
    bench.run()
    assert [len(request) for request in bench.requests] == [50] * 8


def test_batches_of_a_one_agent_transport_hold_one_agent_each_in_order() -> None:
    bench = Bench(limits=BatchLimits(max_events=10, one_agent=True))
    agents = [Source(f"agent-{i}") for i in range(3)]
    for number in range(60):
        bench.put(source=agents[number % 3])
    bench.run()
    for request in bench.requests:
        assert len({number % 3 for number in request}) == 1
    for agent in range(3):
        assert [n for n in bench.delivered if n % 3 == agent] == list(range(agent, 60, 3))


def test_batches_keep_the_limit_of_bytes_except_for_one_large_event() -> None:
    bench = Bench(limits=BatchLimits(max_bytes=1_000))
    for size in (300, 300, 300, 300, 5_000, 300):
        bench.put(size=size)
    bench.run()
    assert bench.requests == [(0, 1, 2), (3,), (4,), (5,)]


# -- waiting ------------------------------------------------------------------------------------------


def delays(failures: int, samples: int = 4_000) -> list[float]:
    return [Backoff(initial=1.0, maximum=60.0).delay(failures) for _ in range(samples)]


@pytest.mark.parametrize(
    ("failures", "interval"), [(1, 1.0), (2, 2.0), (3, 4.0), (6, 32.0), (7, 60.0), (8, 60.0), (10_000, 60.0)]
)
def test_delays_double_to_the_cap_with_full_jitter(failures: int, interval: float) -> None:
    found = delays(failures)
    assert 0.0 <= min(found) <= max(found) <= interval
    # Of a uniform distribution over the interval; six sigma away from a false alarm.
    assert statistics.mean(found) == pytest.approx(interval / 2, rel=0.06)
    assert statistics.pstdev(found) == pytest.approx(interval / 12**0.5, rel=0.06)
    assert min(found) < interval * 0.02
    assert max(found) > interval * 0.98


def test_a_lane_backs_off_further_with_each_failure_and_afresh_after_a_success() -> None:
    bench = Bench(lambda numbers: Retry("HTTP 503"), backoff=Backoff(initial=1.0, maximum=60.0))
    bench.put()
    bench.run(requests=40)
    gaps = [after - before for before, after in pairwise(bench.times)]
    # A wait is a fresh draw between 0 and the interval, so it shows in the largest.
    assert all(gap <= 2.0**i + 0.01 for i, gap in enumerate(gaps[:6]))
    assert 30.0 < max(gaps[6:]) <= 60.01

    bench.answer = lambda numbers: Delivered()
    bench.run()
    bench.answer = lambda numbers: Retry("HTTP 503")
    bench.put()
    bench.run(requests=2)
    assert bench.times[-1] - bench.times[-2] <= 1.01


@pytest.mark.parametrize("after", [0.0, 0.5, 3.0, 120.0])
def test_a_lane_waits_at_least_as_long_as_the_receiver_asked(after: float) -> None:
    bench = Bench(lambda numbers: Retry("HTTP 429", after=after), backoff=NO_JITTER)
    bench.put()
    bench.run(requests=3)
    assert all(later - earlier >= after for earlier, later in pairwise(bench.times))


def test_no_flush_is_sooner_than_the_receiver_asked() -> None:
    bench = Bench(lambda numbers: Retry("HTTP 429", after=60.0))
    bench.put()
    bench.run(requests=1)
    for second in range(60):
        bench.now = bench.times[0] + second
        bench.lane.request_flush(bench.now)
        assert bench.step() == pytest.approx(60.0 - second)


def test_a_flush_cuts_our_own_back_off_short() -> None:
    bench = Bench(lambda numbers: Retry("HTTP 503"), backoff=Backoff(initial=30.0, maximum=60.0))
    bench.put()
    bench.run(requests=10)
    assert bench.lane.request_flush(bench.now) == 1
    assert bench.step() is None, "it sends at once"


def test_while_the_set_up_is_wrong_a_lane_probes_slowly_and_keeps_the_queue() -> None:
    bench = Bench(lambda numbers: Misconfigured("HTTP 401"), backoff=Backoff(probe=15.0, maximum=60.0))
    bench.put(10)
    bench.run(requests=6)
    gaps = [later - earlier for earlier, later in pairwise(bench.times)]
    assert gaps == pytest.approx([15.0, 30.0, 60.0, 60.0, 60.0], abs=0.01)
    assert bench.lane.stats().state == "misconfigured"
    assert bench.lane.stats().last_error == "HTTP 401"

    bench.answer = lambda numbers: Delivered()
    bench.run()

    assert bench.delivered == list(range(10))
    assert bench.lane.stats().state == "ok"


def test_a_flush_that_has_given_up_leaves_the_probes_slow() -> None:
    bench = Bench(lambda numbers: Misconfigured("HTTP 401"), backoff=Backoff(probe=15.0, maximum=60.0))
    bench.put()
    bench.run(requests=1)
    bench.lane.request_flush(bench.now, until=bench.now + 5.0)
    bench.run(requests=30)
    late = [later - earlier for earlier, later in pairwise(bench.times) if earlier > 6.0]
    assert min(late) >= 15.0


# -- flush and close ----------------------------------------------------------------------------------


def test_a_watermark_is_met_by_exactly_what_was_put_before_it() -> None:
    bench = Bench(limits=BatchLimits(max_events=10))
    bench.put(25)
    watermark = bench.lane.request_flush(bench.now)
    bench.put(25)
    assert watermark == 25
    met: list[bool] = []
    while bench.open:
        bench.step()
        met.append(bench.lane.has_met_fate(watermark))
        if met[-1]:
            break
    assert bench.delivered == list(range(25))


def test_evictions_of_later_records_do_not_meet_a_watermark() -> None:
    bench = Bench(limits=BatchLimits(max_events=5), max_queue_size=5)
    bench.put(5)
    bench.lane.next(0.0)
    watermark = bench.lane.request_flush(0.0)
    bench.put(500)
    assert not bench.lane.has_met_fate(watermark)
    bench.lane.settle(Delivered(), 0.0)
    assert bench.lane.has_met_fate(watermark)


def test_closing_drops_what_is_left_and_counts_what_comes_later() -> None:
    bench = Bench(limits=BatchLimits(max_events=5))
    bench.put(12)
    bench.lane.next(0.0)

    assert bench.lane.close() == 12
    bench.put(3)
    bench.lane.settle(Delivered(), 0.0)  # the answer to what was on its way comes too late to count

    assert bench.dropped == {DropReason.SHUTDOWN: 12, DropReason.CLOSED: 3}
    assert bench.lane.stats().delivered == 0
    assert bench.lane.has_met_fate(15)
    assert bench.step() is not None
    assert bench.lane.stats().state == "closed"

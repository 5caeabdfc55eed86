"""Long ranges are read from rows of days, six hours and hours; the sums are those of the events."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from hiveloop.board.queries import Params, cost, insights, metrics
from hiveloop.board.store.protocol import Store
from hiveloop.board.store.schema import DAY_US, HOUR_US
from hiveloop.board.store.sqlite import SqliteStore

from .made_events import NOON, SECOND, event, llm, rows_of

DAYS = 12
NOW = NOON + DAYS * DAY_US


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Twelve days of calls at odd times, some of them close to the edges of hours and days."""
    rng, made = random.Random(3), []
    for number in range(600):
        at = rng.randrange(DAYS * 86_400)
        near = at - (NOON // SECOND + at) % 3600 + rng.choice((0, -1e-6, 3600 - 1e-6))
        data = {"name": ("plan", "look")[number % 2], "model": ("gpt-4o", "own")[number % 3 == 0]}
        made.append(llm(rng.choice((at, near)), cost=0.25, agent=f"a{number % 4}", **data))
    made = [one for one in made if NOON <= one.ts_us < NOW]
    opened = SqliteStore(tmp_path_factory.mktemp("ranges") / "board.db")
    opened.append("live", made).result()
    yield opened
    opened.close()


def _ask(store: Store, query: Any, now_us: int = NOW, **given: str) -> Any:
    with store.reader() as reader:
        return query(reader, "live", Params(given, now_us))


def _part(store: Store, part: str, **given: str) -> Any:
    return _ask(store, lambda db, world, params: insights.part(db, world, part, params), **given)


def _events(store: Store, since: int, until: int, where: str = "1 = 1", step: int = HOUR_US) -> int:
    """Calls in whole hours, or other steps, counted one by one."""
    begin, end = since - since % step, until + -until % step
    sql = f"SELECT COUNT(*) AS n FROM events WHERE ts_us >= ? AND ts_us < ? AND {where}"
    return int(rows_of(store, sql, begin, end)[0]["n"])


@hypothesis.given(
    since=st.integers(0, (DAYS - 3) * 24 * 4), hours=st.integers(49, DAYS * 24), whole=st.booleans()
)
@hypothesis.settings(
    max_examples=60, deadline=None, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture]
)
def test_any_range_has_the_calls_of_its_hours(store: Store, since: int, hours: int, whole: bool) -> None:
    start = NOON + since * HOUR_US // 4
    end = min(start + hours * HOUR_US, NOW)
    if whole:
        start, end = start - start % DAY_US, end - end % DAY_US
    hypothesis.assume(end - start > 2 * DAY_US)
    given = {"since": str(start / SECOND), "until": str(end / SECOND)}
    expected = _events(store, start, end)
    found = _ask(store, cost.cost, **given)
    assert (found["call_count"], found["cost"]) == (expected, expected * 0.25)
    assert sum(part["call_count"] for part in found["by_agent"]) == expected
    named = _ask(store, cost.cost, **given, name="plan", agent_id="a2")
    assert named["call_count"] == _events(store, start, end, "label = 'plan' AND agent_id = 'a2'")
    for interval in ("1h", "6h", "1d"):
        series = _ask(store, cost.timeseries, **given, interval=interval)["data"]
        assert sum(bucket["call_count"] for bucket in series) == expected
        agents = _ask(store, cost.timeseries, **given, interval=interval, group_by="agent")["data"]
        assert [bucket["cost"] for bucket in agents] == [bucket["cost"] for bucket in series]
        points = _ask(store, metrics.metrics, **given, interval=interval)
        assert sum(point["llm_call_count"] for point in points["timeseries"]) == expected
        assert points["summary"]["llm_call_count"] == expected


@hypothesis.given(
    back=st.integers(10, 46 * 60),
    minutes=st.integers(10, 410),
    interval=st.sampled_from(("5m", "15m", "1h")),
)
@hypothesis.settings(
    max_examples=60, deadline=None, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture]
)
def test_short_ranges_have_the_calls_of_their_five_minutes(
    store: Store, back: int, minutes: int, interval: str
) -> None:
    start = NOW - back * 60 * SECOND
    end = min(start + minutes * 60 * SECOND, NOW)
    given = {"since": str(start / SECOND), "until": str(end / SECOND)}
    expected = _events(store, start, end, step=HOUR_US // 12)
    found = _ask(store, metrics.metrics, **given, interval=interval, group_by="agent")
    assert found["summary"]["llm_call_count"] == expected
    assert sum(point["llm_call_count"] for point in found["timeseries"]) == expected
    assert sum(group["llm_call_count"] for group in found["groups"]) == expected
    one = _ask(store, metrics.metrics, **given, interval=interval, agent_id="a2")
    called = _events(store, start, end, "agent_id = 'a2'", step=HOUR_US // 12)
    assert one["summary"]["llm_call_count"] == called


@pytest.mark.parametrize("name", ["7d", "30d"])
def test_ranges_up_to_now_agree_on_every_page(store: Store, name: str) -> None:
    length = {"7d": 7, "30d": 30}[name] * DAY_US
    expected = _events(store, NOW - length, NOW)
    found = _ask(store, cost.cost, range=name)
    assert found["call_count"] == expected
    assert _ask(store, cost.llm_calls, range=name)["totals"]["call_count"] == expected
    assert _ask(store, metrics.metrics, range=name)["summary"]["llm_call_count"] == expected
    cards = _ask(store, insights.insights, range=name)
    whole_days = _events(store, (NOW - length) // DAY_US * DAY_US, NOW)
    assert sum(row["call_count"] for row in cards["prompts"]) == whole_days


def test_what_clocks_that_run_ahead_report_is_not_counted_before_its_time(tmp_path: Path) -> None:
    ahead = SqliteStore(tmp_path / "board.db")
    now = NOW - NOW % DAY_US + 9 * HOUR_US + 1
    hours = [(now - NOON) / SECOND + 3600 * n for n in (-30, -1, 5)]
    ahead.append("live", [llm(at, cost=0.25, name="plan") for at in hours]).result()
    assert _ask(ahead, cost.cost, now, range="7d")["call_count"] == 2
    assert _ask(ahead, cost.llm_calls, now, range="7d")["totals"]["call_count"] == 2
    assert _ask(ahead, metrics.metrics, now, range="7d")["summary"]["llm_call_count"] == 2
    assert _ask(ahead, insights.insights, now, range="7d")["prompts"][0]["call_count"] == 2
    soon = {"until": str((now - HOUR_US) / SECOND), "since": str((now - 3 * HOUR_US) / SECOND)}
    assert _ask(ahead, metrics.metrics, now, range="6h")["summary"]["llm_call_count"] == 1
    assert _ask(ahead, metrics.metrics, now, **soon)["summary"]["llm_call_count"] == 1
    ahead.append("live", [llm((now - NOON) / SECOND + 600, cost=0.25, name="plan")]).result()
    assert _ask(ahead, metrics.metrics, now, range="6h")["summary"]["llm_call_count"] == 1
    ahead.close()


def _untimed(rows: list[Any]) -> list[Any]:
    return [{name: value for name, value in row.items() if name not in ("p50_ms", "p95_ms")} for row in rows]


def test_sums_of_all_agents_together_are_those_of_their_agents(tmp_path: Path) -> None:
    made, several = [], SqliteStore(tmp_path / "board.db", most_names=3)
    for number in range(300):
        at, agent = (NOW - NOON) / SECOND - 36 * 3600 + number * 360, f"a{number % 4}"
        told = {
            "name": f"n{number * 7 % 9}",
            "model": f"m{number * 5 % 6}",
            "metadata": {"stop_reason": "length"},
        }
        made.append(llm(at, cost=0.25, agent=agent, duration_ms=number, **told))
        ended = {"agent": agent, "task": "t", "action_id": f"x{number}", "duration_ms": number}
        made.append(event("action_failed", at + 1, {"action_name": f"do{number % 8}"}, **ended))
    for begin in range(0, len(made), 50):
        several.append("live", made[begin : begin + 50]).result()
    place = {"environment": made[0].environment}
    for name in ("24h", "7d"):
        for part in ("prompts", "actions", "models", "timeseries"):
            both = [_part(several, part, range=name, **given) for given in ({}, place)]
            assert _untimed(both[0]["data"]) == _untimed(both[1]["data"]) != []
        for query in (metrics.metrics, cost.cost, cost.timeseries):
            assert _ask(several, query, range=name) == _ask(several, query, range=name, **place)
        cards = [_ask(several, insights.insights, range=name, **given) for given in ({}, place)]
        for card in ("truncation", "cache", "context", "composition"):
            assert cards[0][card] == cards[1][card]
    several.close()

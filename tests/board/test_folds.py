"""Folds: any order and repetition of events gives the same tables as a rebuild."""

from __future__ import annotations

import json
import random
import tempfile
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from hiveloop.board.model import NewEvent, Profile
from hiveloop.board.store.protocol import Store
from hiveloop.board.store.sqlite import SqliteStore
from tests.support.wait import eventually

from .made_events import NOON, SECOND, custom, event, llm, rows_of
from .stores import OpenStore, contents, open_store, postgres_server

__all__ = ["open_store", "postgres_server"]

HOUR = 3600

_anything = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=5,
)
_numbers = st.integers(0, 3) | st.sampled_from(["2", 1.5, -1, None, True, [], 10**30])
_names = st.sampled_from(["a", "b", "tool 1", "tool 22", "Ünï", ""])
_data = st.fixed_dictionaries(
    {},
    optional={
        "action": st.sampled_from(
            ["reported", "resolved", "dismissed", "created", "completed", "started", "failed", 7]
        ),
        "issue_id": _names,
        "todo_id": _names,
        "step_index": _numbers,
        "revision": _numbers,
        "plan_revision": _numbers,
        "steps": st.lists(
            _names | st.fixed_dictionaries({"index": _numbers, "description": _names}), max_size=3
        )
        | _anything,
        "model": _names,
        "name": _names,
        "tokens_in": _numbers,
        "tokens_out": _numbers,
        "cost": st.sampled_from([0.1, 0.2, 0.3, "0.1", 0, -1, float("1e300")]),
        "duration_ms": _numbers,
        "depth": _numbers,
        "items": _anything,
        "decision": _names,
        "occurrence_count": _numbers,
        "event": st.sampled_from(["agent_stopped", "agent_started"]),
        "stuck_threshold": _numbers,
        "severity": st.sampled_from(["critical", "low", 3]),
        "metadata": st.fixed_dictionaries(
            {},
            optional={
                "turn_number": _numbers,
                "stop_reason": st.sampled_from(["end_turn", "max_tokens", 3]),
                "cache_read_input_tokens": _numbers,
                "context_utilization_pct": st.sampled_from([0.5, 85, "x"]),
                "history_tokens": _numbers,
                "error": _anything,
            },
        )
        | _anything,
    },
)
_KINDS = [
    "llm_call",
    "issue",
    "todo",
    "queue_snapshot",
    "scheduled",
    "plan_created",
    "plan_step",
    "runtime",
    "anomaly",
]
_TYPES = [
    *("agent_registered", "heartbeat", "task_started", "task_completed", "task_failed", "action_started"),
    *(
        "action_completed",
        "action_failed",
        "retry_started",
        "escalated",
        "approval_requested",
        "approval_received",
    ),
]


@st.composite
def events(draw: st.DrawFn) -> list[NewEvent]:
    """Events with few distinct ids, so that they meet in the same rows."""
    number = draw(st.integers(1, 14))
    return [_event(draw, f"e{position}") for position in range(number)]


def _event(draw: st.DrawFn, event_id: str) -> NewEvent:
    kind = draw(st.none() | st.sampled_from(_KINDS))
    body: dict[str, Any] = {
        "summary": draw(_names),
        "action_name": draw(_names),
        "data": draw(_data | _anything),
        "hiveloop": draw(st.just({"open_task": "t", "last_progress_at": "2026-09-21T00:00:00Z"}) | _anything),
    }
    task = draw(st.sampled_from(["", "t", "u"]))
    ts = NOON + draw(st.integers(0, 6)) * 400 * SECOND
    return NewEvent(
        event_id=event_id,
        ts_us=ts,
        received_us=NOON + draw(st.integers(0, 2)) * 900 * SECOND,
        agent_id=draw(st.sampled_from(["ada", "bob"])),
        event_type="custom" if kind else draw(st.sampled_from(_TYPES)),
        severity=draw(st.sampled_from(["info", "error"])),
        project=draw(st.sampled_from(["", "sales"])),
        task_id=task,
        run_id=draw(st.sampled_from(["", "r1"])) if task else "",
        task_type=draw(st.sampled_from(["", "lead", "ticket"])),
        action_id=draw(st.none() | st.sampled_from(["x", "y"])),
        parent_event_id=draw(st.none() | st.sampled_from(["e1", "e2", "e3"])),
        duration_ms=draw(st.none() | st.integers(-1, 10**18)),
        kind=kind,
        payload=json.dumps({**body, **({"kind": kind} if kind else {})})
        .replace("Infinity", "1")
        .replace("NaN", "1"),
        profile=draw(
            st.sampled_from([Profile(), Profile(agent_version="1"), Profile(framework="f", sdk_version="s")])
        ),
    )


@hypothesis.given(
    made=events(), seed=st.integers(0, 2**32), most_names=st.integers(1, 3), batch=st.integers(1, 20)
)
@hypothesis.settings(max_examples=35)
def test_any_order_and_repetition_gives_the_tables_of_a_rebuild(
    made: list[NewEvent], seed: int, most_names: int, batch: int
) -> None:
    rng = random.Random(seed)
    shuffled = [*made, *rng.choices(made, k=3)]
    rng.shuffle(shuffled)
    with tempfile.TemporaryDirectory() as folder:
        straight = _filled(Path(folder) / "a.db", [made], most_names)
        pieces = [shuffled[i : i + batch] for i in range(0, len(shuffled), batch)]
        mixed = _filled(Path(folder) / "b.db", pieces, most_names)
        try:
            expected = contents(straight)
            assert contents(mixed) == expected
            assert mixed.rebuild().result() == len(made)
            assert contents(mixed) == expected
        finally:
            straight.close()
            mixed.close()


def _filled(path: Path, pieces: list[list[NewEvent]], most_names: int) -> Store:
    store = SqliteStore(path, most_names=most_names)
    for piece in pieces:
        store.append("live", piece).result()
    return store


def one(store: Store, sql: str, *args: Any) -> dict[str, Any]:
    [row] = rows_of(store, sql, *args)
    return row


def test_a_repeated_event_counts_once(open_store: OpenStore) -> None:
    store = open_store()
    call = llm(0, cost=0.25)
    first = store.append("live", [call, call]).result()
    again = store.append("live", [call]).result()
    assert ([e.event_id for e in first.new], first.duplicates) == ([call.event_id], 1)
    assert (again.new, again.duplicates) == ([], 1)
    assert one(store, "SELECT llm_calls, cost_nano FROM tasks") == {"llm_calls": 1, "cost_nano": 250_000_000}
    assert one(store, "SELECT events FROM agents") == {"events": 1}


def test_costs_are_exact_sums(open_store: OpenStore) -> None:
    store = open_store()
    store.append("live", [llm(n, cost=0.1) for n in range(10)]).result()
    assert one(store, "SELECT cost_nano FROM roll_1h") == {"cost_nano": 1_000_000_000}


def test_a_call_without_cost_is_estimated_and_marked(open_store: OpenStore) -> None:
    store = open_store()
    store.append("live", [llm(0, model="gpt-4o"), llm(1, model="nobody-knows"), llm(2, cost=1)]).result()
    task = one(store, "SELECT cost_nano, est_nano, unpriced, total_nano FROM tasks")
    assert task["cost_nano"] == 1_000_000_000
    assert task["unpriced"] == 1
    assert task["est_nano"] > 0
    assert task["total_nano"] == task["cost_nano"] + task["est_nano"]
    marks = rows_of(store, "SELECT price_match, est_nano, cost_nano FROM events ORDER BY ts_us")
    assert [row["price_match"] for row in marks] == ["gpt-4o", None, None]


_SET_PRICE = (
    "INSERT INTO prices (model, valid_from_us, input_usd, output_usd) VALUES (?, ?, ?, ?) "
    "ON CONFLICT (model, valid_from_us) DO UPDATE SET input_usd = excluded.input_usd"
)


def _estimated(store: Store, table: str) -> int:
    return int(one(store, f"SELECT SUM(est_nano) AS n FROM {table}")["n"])


def _until_estimated(store: Store, nano: int) -> None:
    eventually(lambda: _estimated(store, "tasks") == nano, what="the estimates")


def test_an_edited_price_reaches_old_calls_and_all_sums_of_them(open_store: OpenStore) -> None:
    store = open_store()
    told = {"turn_number": 2, "stop_reason": "end_turn"}
    calls = [llm(n * 5000, model="house-model", task=f"t{n % 3}", metadata=told) for n in range(12)]
    reported = [llm(n * 5000, model="house-model", cost=0.5) for n in range(3)]
    store.append("live", calls + reported).result()
    store.append("test", calls[:2]).result()
    assert one(store, "SELECT SUM(unpriced) AS n FROM tasks") == {"n": 14}
    store.manage(_SET_PRICE, ("house-model", 0, 2.0, 10.0)).result()
    for price in (2.0, 4.0):
        store.manage(_SET_PRICE, ("house-model", 0, price, 10.0)).result()
        expected = 14 * round(1000 * (price * 1000 + 1000))
        _until_estimated(store, expected)
        tables = ("events", "roll_5m", "roll_1d", "calls_1h", "models_6h")
        assert {_estimated(store, table) for table in tables} == {expected}
        assert _estimated(store, "llm_by_1h") == 2 * expected  # by turn, and by why they stopped
    assert one(store, "SELECT SUM(cost_nano) AS n FROM tasks") == {"n": 1_500_000_000}
    assert one(store, "SELECT SUM(unpriced) AS n FROM roll_1h") == {"n": 0}
    before = contents(store)
    store.rebuild().result()
    assert contents(store) == before


def test_new_prices_reach_a_store_that_was_closed_on_the_way(open_store: OpenStore) -> None:
    store = open_store()
    store.append("live", [llm(n, model="house-model") for n in range(3000)]).result()
    change = store.manage(_SET_PRICE, ("house-model", 0, 2.0, 10.0))
    store.close()
    assert change.result() == 1
    again = open_store()
    eventually(lambda: _estimated(again, "tasks") == 3000 * 3_000_000)
    assert _estimated(again, "models_1d") == 3000 * 3_000_000


def test_appends_come_between_the_steps_of_new_prices(open_store: OpenStore) -> None:
    store = open_store()
    store.append("live", [llm(n, model="house-model") for n in range(3000)]).result()
    seen: list[int] = []
    store.manage(_SET_PRICE, ("house-model", 0, 2.0, 10.0))
    append = store.append("live", [llm(4000, model="house-model")])
    append.add_done_callback(lambda _: seen.append(_estimated(store, "tasks")))  # between two steps
    assert len(append.result().new) == 1
    eventually(lambda: _estimated(store, "tasks") == 3001 * 3_000_000)
    assert 0 < seen[0] < 3001 * 3_000_000


def test_a_price_that_is_taken_back_at_once_leaves_no_trace(open_store: OpenStore) -> None:
    store = open_store()
    store.append("live", [llm(n, model="house-model") for n in range(1200)]).result()
    eventually(lambda: rows_of(store, "SELECT value FROM meta WHERE name = 'priced'"))
    store.manage(_SET_PRICE, ("house-model", 0, 2.0, 10.0)).result()
    eventually(lambda: _estimated(store, "tasks"))  # some, or all
    store.manage("DELETE FROM prices WHERE model = ?", ("house-model",)).result()
    eventually(lambda: _estimated(store, "tasks") == 0)
    assert one(store, "SELECT COUNT(price_match) AS n FROM events") == {"n": 0}


def test_a_new_store_knows_that_its_prices_are_those_of_its_calls(open_store: OpenStore) -> None:
    store = open_store()
    batches = [[llm(n) for _ in range(500)] for n in range(20)]
    last = [store.append("live", calls) for calls in batches][-1]
    last.result()  # at once: looking for old estimates would have to run after them
    assert rows_of(store, "SELECT value FROM meta WHERE name = 'priced' AND value <> ''")


def test_a_price_of_before_counts_for_calls_of_before(open_store: OpenStore) -> None:
    store = open_store()
    store.append("live", [llm(0, model="house-model"), llm(7200, model="house-model")]).result()
    store.manage(_SET_PRICE, ("house-model", 0, 2.0, 10.0))
    store.manage(_SET_PRICE, ("house-model", NOON + 3600 * SECOND, 20.0, 10.0)).result()
    expected = [3_000_000, 21_000_000]
    sql = "SELECT est_nano FROM roll_1h WHERE llm_calls > 0 ORDER BY hour_us"
    eventually(lambda: [row["est_nano"] for row in rows_of(store, sql)] == expected)
    store.manage("DELETE FROM prices WHERE model = ?", ("house-model",)).result()
    eventually(lambda: [row["est_nano"] for row in rows_of(store, sql)] == [0, 0])
    assert one(store, "SELECT unpriced FROM tasks") == {"unpriced": 2}


def test_names_beyond_the_days_limit_are_counted_together(open_store: OpenStore) -> None:
    store = open_store(most_names=2)
    for n in range(20):
        store.append(
            "live", [llm(n, name=f"ask about {n}"), llm(n, name="plan"), llm(n, name="reason")]
        ).result()
    calls = {row["name"]: row["calls"] for row in rows_of(store, "SELECT name, calls FROM calls_1h")}
    assert calls == {"plan": 20, "reason": 20, "(other)": 20}
    store.append("live", [llm(86_400, name="ask about 1")]).result()
    assert len(rows_of(store, "SELECT name FROM calls_1h WHERE name = 'ask about 1'")) == 1  # a new day


def test_worlds_do_not_mix(open_store: OpenStore) -> None:
    store = open_store()
    same = event("task_started", 0, {}, task="t")
    store.append("live", [same]).result()
    assert len(store.append("test", [same]).result().new) == 1
    assert [row["world"] for row in rows_of(store, "SELECT world FROM tasks ORDER BY world")] == [
        "live",
        "test",
    ]


def test_a_run_of_a_task_is_a_row_of_its_own(open_store: OpenStore) -> None:
    store = open_store()
    runs = [event("task_started", n, {}, task="nightly", run=f"r{n}") for n in range(3)]
    store.append("live", runs).result()
    assert len(rows_of(store, "SELECT run_id FROM tasks WHERE task_id = 'nightly'")) == 3


def test_an_action_whose_beginning_was_lost_has_its_name(open_store: OpenStore) -> None:
    store = open_store()
    end = event(
        "action_failed", 3, {"action_name": "search", "error": "no"}, task="t", action_id="x", duration_ms=70
    )
    store.append("live", [end]).result()
    row = one(store, "SELECT name, started_us, duration_ms, error_message FROM actions")
    assert row == {"name": "search", "started_us": None, "duration_ms": 70, "error_message": "no"}


def test_an_issue_is_counted_resolved_and_reopened(open_store: OpenStore) -> None:
    store = open_store()

    def issue(at: float, action: str) -> NewEvent:
        return custom("issue", at, {"severity": "high", "action": action}, summary="CRM  is Slow")

    columns = "SELECT reports, closings, is_open, is_reopened, severity, summary FROM issues"
    store.append("live", [issue(0, "reported"), issue(5, "reported")]).result()
    row = one(store, columns)
    assert (row["reports"], row["is_open"], row["severity"]) == (2, 1, "high")
    store.append("live", [custom("issue", 9, {"action": "resolved"}, summary="crm is slow")]).result()
    row = one(store, columns)
    assert (row["is_open"], row["severity"], row["summary"]) == (0, "high", "CRM  is Slow")
    store.append("live", [issue(12, "reported")]).result()
    row = one(store, columns)
    assert (row["is_open"], row["is_reopened"]) == (1, 1)


def test_a_decision_closes_the_request_it_names(open_store: OpenStore) -> None:
    store = open_store()
    first = event("approval_requested", 1, {"summary": "first"}, task="t")
    second = event("approval_requested", 2, {"summary": "second"}, task="t")
    answer = event(
        "approval_received",
        3,
        {"data": {"decision": "denied", "approved_by": "eve"}},
        task="t",
        parent_event_id=second.event_id,
    )
    store.append("live", [answer, first, second]).result()
    rows = rows_of(
        store, "SELECT summary, is_open, decision, decided_by FROM approvals WHERE role = 'request'"
    )
    found = {row["summary"]: (row["is_open"], row["decision"], row["decided_by"]) for row in rows}
    assert found == {"first": (1, None, None), "second": (0, "denied", "eve")}
    assert one(store, "SELECT open_approvals, approvals, decisions FROM tasks") == {
        "open_approvals": 1,
        "approvals": 2,
        "decisions": 1,
    }


def test_steps_belong_to_their_revision(open_store: OpenStore) -> None:
    store = open_store()
    plan = {"goal": "win", "steps": [{"index": 0, "description": "look"}, "leap"]}
    store.append(
        "live",
        [
            custom("plan_created", 0, {**plan, "revision": 0}, task="t"),
            custom("plan_step", 1, {"step_index": 0, "action": "completed", "plan_revision": 0}, task="t"),
            custom("plan_created", 2, {**plan, "revision": 1}, task="t"),
            custom("plan_step", 3, {"step_index": 1, "action": "started"}, task="t"),
        ],
    ).result()
    rows = rows_of(
        store,
        "SELECT revision, step_index, description, action FROM plan_steps ORDER BY revision, step_index",
    )
    assert [tuple(row.values()) for row in rows] == [
        (-1, 1, None, "started"),
        (0, 0, "look", "completed"),
        (0, 1, "leap", None),
        (1, 0, "look", None),
        (1, 1, "leap", None),
    ]


def test_the_latest_snapshot_counts_not_the_last_to_arrive(open_store: OpenStore) -> None:
    store = open_store()
    store.append("live", [custom("queue_snapshot", 9, {"depth": 9})]).result()
    store.append("live", [custom("queue_snapshot", 5, {"depth": 5})]).result()
    store.append("live", [event("heartbeat", 9, {"queue_depth": 4, "model": "gpt-4o"})]).result()
    data = {
        row["kind"]: json.loads(row["data"]) for row in rows_of(store, "SELECT kind, data FROM snapshots")
    }
    assert data == {"queue": {"depth": 9}, "heartbeat": {"queue_depth": 4, "model": "gpt-4o"}}


@pytest.mark.parametrize(
    ("told", "permille"), [(0.5, 5), (85, 850), ("25", 250), (1.2, 12), (250, 2500), ("full", None)]
)
def test_context_use_is_told_in_per_cent(open_store: OpenStore, told: object, permille: int | None) -> None:
    store = open_store()
    store.append("live", [llm(0, metadata={"context_utilization_pct": told, "turn_number": 1})]).result()
    assert one(store, "SELECT context_max FROM llm_meta_1h") == {"context_max": permille}
    assert one(store, "SELECT value FROM llm_by_1h") == {"value": "1"}


def test_a_decision_before_any_request_takes_what_the_others_leave(open_store: OpenStore) -> None:
    store = open_store()

    def asked(at: float) -> NewEvent:
        return event("approval_requested", at, {"summary": f"at {at}"}, task="t")

    def decided(at: float, by: str) -> NewEvent:
        return event("approval_received", at, {"data": {"approved_by": by}}, task="t")

    store.append("live", [decided(0, "early"), decided(3, "eve"), asked(2), asked(4)]).result()
    rows = rows_of(store, "SELECT summary, decided_by FROM approvals WHERE role = 'request' ORDER BY at_us")
    assert [tuple(row.values()) for row in rows] == [("at 2", "eve"), ("at 4", "early")]

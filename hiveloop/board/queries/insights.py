"""``GET /v1/insights``: what could be better, from one window, and only where there is enough to judge.

Every card tells its ``sample`` and the ``minimum`` below which its figures are None and its ``message`` is
"not enough data".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hiveloop.board.store.protocol import Reader

from ._calls import CALL_SUMS, CALL_USED, Spent
from ._clock import DAY, HOUR, SECOND, iso
from ._detectors import Facts, detect, health
from ._percentiles import Histogram, histograms
from ._rollups import Rows, hourly_rows, measures
from ._samples import compactions, compositions, corrections, error_contexts, newest, retry_reasons
from ._sql import Where, dollars, sums
from ._status import statuses
from ._values import object_of, ratio, whole
from .params import Params, Window

__all__ = ["insights", "part"]

_META = (
    "calls",
    "cache_calls",
    "cache_read",
    "cache_created",
    "cache_input",
    "context_calls",
    "context_permille",
    "context_over_80",
    "prompt_calls",
    "system_tokens",
    "history_tokens",
    "tool_tokens",
    "stop_calls",
    "truncated",
    "failed",
)
_WORK = (
    "events",
    "errors",
    "tasks_completed",
    "tasks_failed",
    "task_ms",
    "task_ms_n",
    "actions",
    "actions_failed",
    "retries",
    "escalations",
    "anomalies",
    "llm_calls",
    "tokens_in",
    "tokens_out",
    "cost_nano",
    "est_nano",
)
_LONG = frozenset(("7d", "30d"))
_TIMED = ("duration_ms", "timed")
_CALLS = 10
_TASKS = 5
_LAST_TURN = 50
_NOT_ENOUGH = "not enough data"


def insights(db: Reader, world: str, params: Params) -> dict[str, Any]:
    """Return every card, all from the same window."""
    window = _whole_hours(params)
    meta = _meta(db, world, params, window)
    work = measures(db, world, params, window, _WORK, "agent_id")
    tools = _tools(db, world, params, window)
    facts = _facts(db, world, params, window, meta, tools)
    return {
        **window.to_json(),
        "health": health(facts),
        "detectors": detect(facts),
        "cache": _cache(meta),
        "turns": _turns(db, world, params, window),
        "truncation": _truncation(db, world, params, window, meta),
        "context": _context(meta, _sampled(db, world, params, window, "context_compaction")),
        "composition": _composition(meta, _sampled(db, world, params, window, "prompt_composition")),
        "retries": _retries(work, newest(db, world, params, window, _RETRY, "retry_started")),
        "self_correction": _self_correction(work, _sampled(db, world, params, window, "learning")),
        "anomalies": _anomalies(db, world, params, window),
        "errors": error_contexts(_sampled(db, world, params, window, "error_context")),
        "prompts": _prompts(db, world, params, window),
        "tools": tools,
    }


def part(db: Reader, world: str, name: str, params: Params) -> dict[str, Any]:
    """Return one table of the insights: agents, models, timeseries, errors, prompts or actions."""
    window = _whole_hours(params)
    return {**window.to_json(), "data": PARTS[name](db, world, params, window)}


_RETRY = "event_type = ? AND event_type <> 'custom' AND event_type <> 'heartbeat'"


def _whole_hours(params: Params) -> Window:
    """The window in whole hours, which all its tables have, for a week or more in whole days."""
    window = params.window()
    step = DAY if window.name in _LONG else HOUR
    start = window.start_us // step * step
    if window.interval_us >= HOUR:
        return window._replace(start_us=start)
    return window._replace(start_us=start, interval="1h", interval_us=HOUR)


def _sampled(db: Reader, world: str, params: Params, window: Window, kind: str) -> Any:
    return newest(db, world, params, window, "kind = ?", kind)


def _hourly(
    db: Reader, stem: str, world: str, params: Params, window: Window, *columns: str, **equal: str
) -> Rows:
    """Rows of tables of hours, by those of its columns that a request may name, and others."""
    given = {"agent_id": "agent_id", "project": "project_id", "environment": "environment", "model": "model"}
    where = Where(world).equal(**equal, **{column: params.text(given[column]) for column in columns})
    return hourly_rows(db, stem, where, params, window)


def _judged(sample: int, minimum: int, figures: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """A card: its figures when the sample is large enough."""
    enough = sample >= minimum
    told = figures()
    empty: dict[str, Any] = {name: [] if isinstance(told[name], list) else None for name in told}
    return {
        "sample": sample,
        "minimum": minimum,
        "enough": enough,
        "message": None if enough else _NOT_ENOUGH,
        **(told if enough else empty),
    }


# -- cards from what LLM calls tell ---------------------------------------------------------------


def _meta(db: Reader, world: str, params: Params, window: Window) -> list[dict[str, Any]]:
    """What metadata tells, by model."""
    rows = _hourly(db, "llm_meta", world, params, window, "agent_id", "project", "environment", "model")
    sql = (
        f"SELECT model, {sums(_META)}, COALESCE(MAX(context_max), 0) AS context_max"
        f" FROM {rows.of(('model', *_META, 'context_max'))} GROUP BY model ORDER BY model"
    )
    return db.rows(sql, rows.args)


def _total(rows: list[dict[str, Any]], name: str) -> int:
    return sum(int(row[name] or 0) for row in rows)


def _hit_ratio(rows: list[dict[str, Any]]) -> float | None:
    """The share of input that came from the cache.

    Some providers count cached tokens as input tokens, others beside them: when there are more cached
    tokens than input tokens, they must be beside.
    """
    read, created = _total(rows, "cache_read"), _total(rows, "cache_created")
    given = _total(rows, "cache_input")
    return ratio(read, given if given >= read + created else given + read + created)


def _cache(rows: list[dict[str, Any]]) -> dict[str, Any]:
    def figures() -> dict[str, Any]:
        told = [row for row in rows if row["cache_calls"]]
        return {
            "hit_ratio": _hit_ratio(rows),
            "read_tokens": _total(rows, "cache_read"),
            "created_tokens": _total(rows, "cache_created"),
            "by_model": [
                {"model": row["model"] or None, "calls": row["cache_calls"], "hit_ratio": _hit_ratio([row])}
                for row in told
            ],
        }

    return _judged(_total(rows, "cache_calls"), _CALLS, figures)


def _by_property(db: Reader, world: str, params: Params, window: Window, name: str) -> list[dict[str, Any]]:
    rows = _hourly(db, "llm_by", world, params, window, "agent_id", property=name)
    names = ("calls", "tokens_in", "tokens_out", "cost_nano", "est_nano")
    sql = f"SELECT value, {sums(names)} FROM {rows.of(('value', *names))} GROUP BY value"
    return db.rows(sql, rows.args)


def _turns(db: Reader, world: str, params: Params, window: Window) -> dict[str, Any]:
    """Cost and tokens of an average call, turn by turn; the last one stands for all after it."""
    rows = [
        (turn, row)
        for row in _by_property(db, world, params, window, "turn_number")
        if (turn := whole(row["value"])) is not None
    ]
    rows.sort(key=lambda item: item[0])
    turns = [_turn(turn, row) for turn, row in rows]
    return _judged(sum(turn["calls"] for turn in turns), _CALLS, lambda: {"data": turns})


def _turn(turn: int, row: dict[str, Any]) -> dict[str, Any]:
    calls = row["calls"]
    return {
        "turn": turn,
        "and_more": turn >= _LAST_TURN,
        "calls": calls,
        "cost": dollars(row["cost_nano"] + row["est_nano"]),
        "avg_cost": ratio(dollars(row["cost_nano"] + row["est_nano"]), calls, digits=9),
        "avg_tokens_in": ratio(row["tokens_in"], calls, digits=1),
        "avg_tokens_out": ratio(row["tokens_out"], calls, digits=1),
    }


def _truncation(
    db: Reader, world: str, params: Params, window: Window, rows: list[dict[str, Any]]
) -> dict[str, Any]:
    reasons = _by_property(db, world, params, window, "stop_reason")
    ranked = sorted(reasons, key=lambda row: (-row["calls"], row["value"]))
    told = _total(rows, "stop_calls")
    return _judged(
        told,
        _CALLS,
        lambda: {
            "rate": ratio(_total(rows, "truncated"), told, 100, 2),
            "truncated": _total(rows, "truncated"),
            "by_model": [
                {
                    "model": row["model"] or None,
                    "calls": row["stop_calls"],
                    "rate": ratio(row["truncated"], row["stop_calls"], 100, 2),
                }
                for row in rows
                if row["stop_calls"]
            ],
            "stop_reasons": [{"reason": row["value"], "calls": row["calls"]} for row in ranked[:20]],
        },
    )


def _context(rows: list[dict[str, Any]], compacted: Any) -> dict[str, Any]:
    told = _total(rows, "context_calls")
    card = _judged(
        told,
        _CALLS,
        lambda: {
            "avg_utilization_pct": ratio(_total(rows, "context_permille"), told, 0.1, 1),
            "max_utilization_pct": max((row["context_max"] for row in rows), default=0) / 10,
            "calls_over_80_pct": _total(rows, "context_over_80"),
            "share_over_80_pct": ratio(_total(rows, "context_over_80"), told, 100, 2),
            "by_model": [
                {
                    "model": row["model"] or None,
                    "calls": row["context_calls"],
                    "avg_utilization_pct": ratio(row["context_permille"], row["context_calls"], 0.1, 1),
                    "max_utilization_pct": row["context_max"] / 10,
                }
                for row in rows
                if row["context_calls"]
            ],
        },
    )
    return {**card, "compactions": compactions(compacted)}


def _composition(rows: list[dict[str, Any]], told: Any) -> dict[str, Any]:
    parts = {name: _total(rows, f"{name}_tokens") for name in ("system", "history", "tool")}
    total = sum(parts.values())
    by_turn = compositions(told)
    return _judged(
        _total(rows, "prompt_calls") + sum(turn["samples"] for turn in by_turn),
        _TASKS,
        lambda: {
            "system_tokens": parts["system"],
            "history_tokens": parts["history"],
            "tool_tokens": parts["tool"],
            "system_pct": ratio(parts["system"], total, 100, 1),
            "history_pct": ratio(parts["history"], total, 100, 1),
            "tool_pct": ratio(parts["tool"], total, 100, 1),
            "by_turn": by_turn,
        },
    )


# -- cards from work ------------------------------------------------------------------------------


def _ended(row: dict[str, Any]) -> int:
    return int(row["tasks_completed"] + row["tasks_failed"])


def _retries(work: list[dict[str, Any]], seen: Any) -> dict[str, Any]:
    ended, retries = sum(map(_ended, work)), _total(work, "retries")
    ranked = sorted((row for row in work if row["retries"]), key=lambda row: -row["retries"])
    return _judged(
        max(ended, retries),
        _TASKS,
        lambda: {
            "retries": retries,
            "per_task": ratio(retries, ended, digits=3),
            "by_agent": [
                {
                    "agent_id": row["agent_id"],
                    "retries": row["retries"],
                    "per_task": ratio(row["retries"], _ended(row), digits=3),
                }
                for row in ranked[:50]
            ],
            "by_reason": retry_reasons(seen),
        },
    )


def _self_correction(work: list[dict[str, Any]], seen: Any) -> dict[str, Any]:
    ended, told = sum(map(_ended, work)), corrections(seen)
    return _judged(
        max(ended, told["tasks"]),
        _TASKS,
        lambda: {
            **told,
            "rate": ratio(told["corrections"], ended, 100, 2),
            "share_applied": ratio(told["corrections"], told["learnings"], 100, 2),
        },
    )


def _anomalies(db: Reader, world: str, params: Params, window: Window) -> dict[str, Any]:
    """What agents detected themselves, by detector and agent."""
    where = Where(world).also("kind = 'anomaly'").between("ts_us", window.start_us, window.end_us)
    where.equal(
        agent_id=params.text("agent_id"),
        project=params.text("project_id"),
        environment=params.text("environment"),
    )
    sql = (
        "SELECT COALESCE(label, '') AS detector, agent_id, COUNT(*) AS n, MAX(ts_us) AS last_us"
        f" FROM events WHERE {where} GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2 LIMIT 100"
    )
    rows = db.rows(sql, where.args)
    return {
        "count": _total(rows, "n"),
        "data": [
            {"detector": row["detector"] or None, "agent_id": row["agent_id"], "count": row["n"]}
            for row in rows
        ],
        "latest": [one.to_json() for one in _sampled(db, world, params, window, "anomaly")[:20]],
    }


# -- tables ---------------------------------------------------------------------------------------


def _timed(row: dict[str, Any], histogram: Histogram | None) -> dict[str, Any]:
    """Durations; percentiles only when all agents are meant, as histograms are not kept for each."""
    spread = (histogram or Histogram()).to_json()
    return {
        "avg_duration_ms": ratio(row["duration_ms"], row["timed"], digits=0),
        "slowest_ms": row["slowest_ms"],
        **spread,
    }


def _histograms(db: Reader, world: str, params: Params, window: Window, subject: str) -> dict[str, Histogram]:
    if _is_scoped(params):
        return {}
    return histograms(db, _hourly(db, "durations", world, params, window, subject=subject))


def _is_scoped(params: Params) -> bool:
    return any(params.text(name) is not None for name in ("agent_id", "project_id", "environment"))


def _prompts(db: Reader, world: str, params: Params, window: Window) -> list[dict[str, Any]]:
    """LLM calls by name: how many, how long, how dear."""
    rows = _hourly(db, "calls", world, params, window, "agent_id", "project", "environment", "model")
    sql = (
        f"SELECT name, {CALL_SUMS}, {sums(_TIMED)}, MAX(slowest_ms) AS slowest_ms"
        f" FROM {rows.of(('name', *CALL_USED, *_TIMED, 'slowest_ms'))} GROUP BY name"
        " ORDER BY SUM(cost_nano + est_nano) DESC, SUM(calls) DESC, name LIMIT 100"
    )
    spread = _histograms(db, world, params, window, "call")
    shown: list[dict[str, Any]] = []
    for row in db.rows(sql, rows.args):
        spent = Spent()
        spent.add(row)
        timed = _timed(row, spread.get(str(row["name"])))
        shown.append({"name": row["name"] or None, **spent.to_json(), **timed})
    return shown


def _tools(db: Reader, world: str, params: Params, window: Window) -> list[dict[str, Any]]:
    """Actions by name: how often, how well, how long."""
    found = _hourly(db, "actions", world, params, window, "agent_id", "project", "environment")
    columns = ("actions", "failed", *_TIMED)
    sql = (
        f"SELECT name, {sums(columns)}, MAX(slowest_ms) AS slowest_ms"
        f" FROM {found.of(('name', *columns, 'slowest_ms'))}"
        " GROUP BY name ORDER BY SUM(actions) DESC, name LIMIT 100"
    )
    spread = _histograms(db, world, params, window, "action")
    rows: list[dict[str, Any]] = db.rows(sql, found.args)
    return [
        {
            "name": row["name"] or None,
            "count": row["actions"],
            "failed": row["failed"],
            "success_rate": ratio(row["actions"] - row["failed"], row["actions"], 100, 2),
            **_timed(row, spread.get(str(row["name"]))),
        }
        for row in rows
    ]


def _agents(db: Reader, world: str, params: Params, window: Window) -> list[dict[str, Any]]:
    rows = measures(db, world, params, window, _WORK, "agent_id")
    rows.sort(key=lambda row: (-row["cost_nano"] - row["est_nano"], row["agent_id"]))
    return [{"agent_id": row["agent_id"], **_work(row)} for row in rows]


def _work(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "tasks_completed": row["tasks_completed"],
        "tasks_failed": row["tasks_failed"],
        "success_rate": ratio(row["tasks_completed"], _ended(row), 100, 2),
        "avg_duration_ms": ratio(row["task_ms"], row["task_ms_n"], digits=0),
        "cost": dollars(row["cost_nano"] + row["est_nano"]),
        "cost_per_task": ratio(dollars(row["cost_nano"] + row["est_nano"]), _ended(row), digits=9),
        "event_count": row["events"],
        "error_count": row["errors"],
        "action_count": row["actions"],
        "action_failure_rate": ratio(row["actions_failed"], row["actions"], 100, 2),
        "retry_count": row["retries"],
        "escalation_count": row["escalations"],
        "anomaly_count": row["anomalies"],
        "llm_call_count": row["llm_calls"],
        "tokens_in": row["tokens_in"],
        "tokens_out": row["tokens_out"],
    }


def _models(db: Reader, world: str, params: Params, window: Window) -> list[dict[str, Any]]:
    rows = _hourly(db, "models", world, params, window, "agent_id", "project", "environment", "model")
    sql = (
        f"SELECT model, {CALL_SUMS}, {sums(_TIMED)} FROM {rows.of(('model', *CALL_USED, *_TIMED))}"
        " GROUP BY model ORDER BY SUM(cost_nano + est_nano) DESC, SUM(calls) DESC, model LIMIT 100"
    )
    shown: list[dict[str, Any]] = []
    found: list[dict[str, Any]] = db.rows(sql, rows.args)
    for row in found:
        spent = Spent()
        spent.add(row)
        average = ratio(row["duration_ms"], row["timed"], digits=0)
        shown.append({"model": row["model"] or None, **spent.to_json(), "avg_duration_ms": average})
    return shown


def _series(db: Reader, world: str, params: Params, window: Window) -> list[dict[str, Any]]:
    rows = {row["bucket"]: row for row in measures(db, world, params, window, _WORK, "bucket")}
    blank: dict[str, Any] = dict.fromkeys(_WORK, 0)
    return [{"timestamp": iso(start), **_work(rows.get(start, blank))} for start in window.starts]


def _errors(db: Reader, world: str, params: Params, window: Window) -> list[dict[str, Any]]:
    return error_contexts(_sampled(db, world, params, window, "error_context"))


PARTS: dict[str, Callable[[Reader, str, Params, Window], list[dict[str, Any]]]] = {
    "agents": _agents,
    "models": _models,
    "timeseries": _series,
    "errors": _errors,
    "prompts": _prompts,
    "actions": _tools,
}


# -- what detectors look at -------------------------------------------------------------------------


def _facts(
    db: Reader,
    world: str,
    params: Params,
    window: Window,
    meta: list[dict[str, Any]],
    tools: list[dict[str, Any]],
) -> Facts:
    buckets = {row["bucket"]: row for row in measures(db, world, params, window, _WORK, "bucket")}
    blank: dict[str, Any] = dict.fromkeys(_WORK, 0)
    series = [buckets.get(start, blank) for start in window.starts]
    states = _states(db, world, params)
    approvals = _ages(db, world, params)
    return Facts(
        interval=window.interval,
        costs=[dollars(row["cost_nano"] + row["est_nano"]) for row in series],
        ended=[_ended(row) for row in series],
        failed=[row["tasks_failed"] for row in series],
        agents=len(states),
        stuck=sum(state == "stuck" for state in states.values()),
        errors=sum(state == "error" for state in states.values()),
        idle_with_queue=_idle_with_queue(db, world, states),
        tokens_in=_total(series, "tokens_in"),
        tokens_out=_total(series, "tokens_out"),
        model_costs=[model["cost"] for model in _models(db, world, params, window)],
        calls=_total(series, "llm_calls"),
        stop_calls=_total(meta, "stop_calls"),
        truncated=_total(meta, "truncated"),
        prompt_parts=[_total(meta, f"{name}_tokens") for name in ("system", "history", "tool")],
        prompt_calls=_total(meta, "prompt_calls"),
        actions=[(str(row["name"]), row["count"], row["failed"]) for row in tools],
        approval_ages=approvals,
        issues=_open_issues(db, world, params),
        anomalies=_total(series, "anomalies"),
    )


def _states(db: Reader, world: str, params: Params) -> dict[str, str]:
    where = Where(world).equal(
        agent_id=params.text("agent_id"), environment=params.text("environment"), grp=params.text("group")
    )
    known = {
        str(row["agent_id"]) for row in db.rows(f"SELECT agent_id FROM agents WHERE {where}", where.args)
    }
    found = statuses(db, world, params.now_us).by_agent
    return {agent: status.state for agent, status in found.items() if agent in known}


def _idle_with_queue(db: Reader, world: str, states: dict[str, str]) -> int:
    where = Where(world).equal(kind="queue")
    rows = db.rows(f"SELECT agent_id, data FROM snapshots WHERE {where}", where.args)
    waiting = {str(row["agent_id"]) for row in rows if (whole(object_of(row["data"]).get("depth")) or 0) > 0}
    return sum(state == "idle" for agent, state in states.items() if agent in waiting)


def _ages(db: Reader, world: str, params: Params) -> list[float]:
    where = Where(world).equal(agent_id=params.text("agent_id"), environment=params.text("environment"))
    rows = db.rows(f"SELECT at_us FROM approvals WHERE {where} AND is_open = 1", where.args)
    return [max(0.0, (params.now_us - int(row["at_us"] or 0)) / SECOND) for row in rows]


def _open_issues(db: Reader, world: str, params: Params) -> int:
    where = Where(world).equal(agent_id=params.text("agent_id"), environment=params.text("environment"))
    rows = db.rows(f"SELECT COUNT(*) AS n FROM issues WHERE {where} AND is_open = 1", where.args)
    return int(rows[0]["n"] or 0)

"""Tables of the insights: what there is of a kind, the dearest or most frequent first."""

from __future__ import annotations

from typing import Any

from ._asked import Asked, blank_work, ended
from ._calls import CALL_SUMS, CALL_USED, Spent
from ._clock import iso
from ._percentiles import Histogram, histograms
from ._samples import error_contexts
from ._sql import dollars, sums
from ._values import ratio
from .params import Params

__all__ = ["agents", "errors", "models", "prompts", "series", "tools"]

_TIMED = ("duration_ms", "timed")


def _timed(row: dict[str, Any], histogram: Histogram | None) -> dict[str, Any]:
    """Durations; percentiles only when all agents are meant, as histograms are not kept for each."""
    spread = (histogram or Histogram()).to_json()
    return {
        "avg_duration_ms": ratio(row["duration_ms"], row["timed"], digits=0),
        "slowest_ms": row["slowest_ms"],
        **spread,
    }


def _histograms(asked: Asked, subject: str) -> dict[str, Histogram]:
    if _is_scoped(asked.params):
        return {}
    return histograms(asked.db, asked.hourly("durations", subject=subject))


def _is_scoped(params: Params) -> bool:
    return any(params.text(name) is not None for name in ("agent_id", "project_id", "environment"))


def prompts(asked: Asked) -> list[dict[str, Any]]:
    """Return LLM calls by name: how many, how long, how dear."""
    rows = asked.hourly("calls", "agent_id", "project", "environment", "model")
    sql = (
        f"SELECT name, {CALL_SUMS}, {sums(_TIMED)}, MAX(slowest_ms) AS slowest_ms"
        f" FROM {rows.of(['name'], [*CALL_USED, *_TIMED], ['slowest_ms'])} GROUP BY name"
        " ORDER BY SUM(cost_nano + est_nano) DESC, SUM(calls) DESC, name LIMIT 100"
    )
    spread = _histograms(asked, "call")
    shown: list[dict[str, Any]] = []
    for row in asked.rows(sql, rows):
        spent = Spent()
        spent.add(row)
        timed = _timed(row, spread.get(str(row["name"])))
        shown.append({"name": row["name"] or None, **spent.to_json(), **timed})
    return shown


def tools(asked: Asked) -> list[dict[str, Any]]:
    """Return actions by name: how often, how well, how long."""
    found = asked.hourly("actions", "agent_id", "project", "environment")
    columns = ("actions", "failed", *_TIMED)
    sql = (
        f"SELECT name, {sums(columns)}, MAX(slowest_ms) AS slowest_ms"
        f" FROM {found.of(['name'], columns, ['slowest_ms'])}"
        " GROUP BY name ORDER BY SUM(actions) DESC, name LIMIT 100"
    )
    spread = _histograms(asked, "action")
    return [
        {
            "name": row["name"] or None,
            "count": row["actions"],
            "failed": row["failed"],
            "success_rate": ratio(row["actions"] - row["failed"], row["actions"], 100, 2),
            **_timed(row, spread.get(str(row["name"]))),
        }
        for row in asked.rows(sql, found)
    ]


def agents(asked: Asked) -> list[dict[str, Any]]:
    """Return what each agent did."""
    rows = asked.work("agent_id")
    rows.sort(key=lambda row: (-row["cost_nano"] - row["est_nano"], row["agent_id"]))
    return [{"agent_id": row["agent_id"], **_work(row)} for row in rows]


def _work(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "tasks_completed": row["tasks_completed"],
        "tasks_failed": row["tasks_failed"],
        "success_rate": ratio(row["tasks_completed"], ended(row), 100, 2),
        "avg_duration_ms": ratio(row["task_ms"], row["task_ms_n"], digits=0),
        "cost": dollars(row["cost_nano"] + row["est_nano"]),
        "cost_per_task": ratio(dollars(row["cost_nano"] + row["est_nano"]), ended(row), digits=9),
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


def models(asked: Asked) -> list[dict[str, Any]]:
    """Return what was spent on each model."""
    rows = asked.hourly("models", "agent_id", "project", "environment", "model")
    sql = (
        f"SELECT model, {CALL_SUMS}, {sums(_TIMED)} FROM {rows.of(['model'], [*CALL_USED, *_TIMED])}"
        " GROUP BY model ORDER BY SUM(cost_nano + est_nano) DESC, SUM(calls) DESC, model LIMIT 100"
    )
    shown: list[dict[str, Any]] = []
    for row in asked.rows(sql, rows):
        spent = Spent()
        spent.add(row)
        average = ratio(row["duration_ms"], row["timed"], digits=0)
        shown.append({"model": row["model"] or None, **spent.to_json(), "avg_duration_ms": average})
    return shown


def series(asked: Asked) -> list[dict[str, Any]]:
    """Return what was done in each interval."""
    rows = {row["bucket"]: row for row in asked.work("bucket")}
    return [
        {"timestamp": iso(start), **_work(rows.get(start) or blank_work())} for start in asked.window.starts
    ]


def errors(asked: Asked) -> list[dict[str, Any]]:
    """Return what agents told about errors."""
    return error_contexts(asked.of_kind("error_context"))

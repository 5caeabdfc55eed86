"""``GET /v1/cost`` and what hangs below it: what LLM calls cost, for whom, when, call by call."""

from __future__ import annotations

from typing import Any

from hiveloop.board.store.protocol import Reader

from ._calls import WORK_USED, Source, Spent, call_filter, cost_source, source_of
from ._clock import HOUR, iso
from ._rollups import measures
from ._sql import Where, dollars, page
from ._values import Payload, ratio, rounded
from .params import Cursor, Params

__all__ = ["calls", "cost", "llm_calls", "timeseries"]

_GROUPS = {"model": "model", "agent": "agent_id", "task_type": "task_type", "project": "project"}
_PER_TASK = ("agent_id", "task_type", "project")
_WORK = ("tasks_completed", "tasks_failed", *WORK_USED)


def cost(db: Reader, world: str, params: Params) -> dict[str, Any]:
    """Return what was spent in a window, in total and by model, agent, task type and project."""
    window = params.window()
    source = source_of(db, world, params, window)
    work = measures(db, world, params, source.window, _WORK, ", ".join(_PER_TASK))
    by_model, by_work = _rows(db, params, source, work)
    total = Spent()
    for row in by_model:
        total.add(row)
    is_one_model = params.text("model") is not None or params.text("name") is not None
    ended = {column: {} if is_one_model else _ended(work, column) for column in _PER_TASK}
    tasks = sum(ended["agent_id"].values())
    return {
        **window.to_json(),
        "since": iso(source.window.start_us),
        **total.to_json(),
        "tasks": tasks,
        "cost_per_task": ratio(dollars(total.nano), tasks, digits=9),
        "by_model": _split(by_model, "model", "model", None),
        "by_agent": _split(by_work, "agent_id", "agent_id", ended["agent_id"]),
        "by_task_type": _split(by_work, "task_type", "task_type", ended["task_type"]),
        "by_project": _split(by_work, "project", "project_id", ended["project"]),
    }


def _rows(
    db: Reader, params: Params, source: Source, work: list[dict[str, Any]]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Sums that tell models apart, and sums that tell agents, task types and projects apart.

    The hours of all work are far fewer rows than those of all calls, but know no models and no names.
    """
    if not source.stem or params.text("model") is not None or params.text("name") is not None:
        rows = source.grouped(db, "model, agent_id, task_type, project")
        return rows, rows
    spending = [{**row, "calls": row["llm_calls"]} for row in work if row["llm_calls"]]
    return source.grouped(db, "model"), spending


def _split(
    rows: list[dict[str, Any]], column: str, label: str, ended: dict[str, int] | None
) -> list[dict[str, Any]]:
    """Sums for each value of a column, the dearest first."""
    parts: dict[str, Spent] = {}
    for row in rows:
        parts.setdefault(row[column] or "", Spent()).add(row)
    ranked = sorted(parts.items(), key=lambda part: (-part[1].nano, -part[1].calls, part[0]))
    shown = [{label: value or None, **spent.to_json()} for value, spent in ranked]
    if ended is not None:
        for (value, spent), row in zip(ranked, shown, strict=True):
            row["tasks"] = ended.get(value, 0)
            row["cost_per_task"] = ratio(dollars(spent.nano), ended.get(value), digits=9)
    return shown


def _ended(work: list[dict[str, Any]], column: str) -> dict[str, int]:
    """How many tasks ended, by a column."""
    counts: dict[str, int] = {}
    for row in work:
        ended = row["tasks_completed"] + row["tasks_failed"]
        counts[row[column]] = counts.get(row[column], 0) + ended
    return counts


# -- over time --------------------------------------------------------------------------------


def timeseries(db: Reader, world: str, params: Params) -> dict[str, Any]:
    """Return what was spent in each interval, split by model or what ``group_by`` names."""
    window = params.window()
    column = _GROUPS[params.choice("group_by", _GROUPS, "model")]
    source = source_of(db, world, params, window, tells_models=column == "model")
    if source.step_us > window.interval_us:
        window = window._replace(interval="1h", interval_us=HOUR)
    buckets: dict[int, dict[str, Spent]] = {}
    for row in source.over_time(db, column, window.interval_us):
        parts = buckets.setdefault(row["bucket"] * window.interval_us, {})
        parts.setdefault(row[column] or "", Spent()).add(row)
    window = window._replace(start_us=source.window.start_us)
    shown = [_bucket(start, buckets.get(start, {})) for start in window.starts]
    return {**window.to_json(), "group_by": params.choice("group_by", _GROUPS, "model"), "data": shown}


def _bucket(start_us: int, parts: dict[str, Spent]) -> dict[str, Any]:
    nano = sum(spent.nano for spent in parts.values())
    return {
        "timestamp": iso(start_us),
        "cost": dollars(nano),
        "call_count": sum(spent.calls for spent in parts.values()),
        "tokens_in": sum(spent.tokens_in for spent in parts.values()),
        "tokens_out": sum(spent.tokens_out for spent in parts.values()),
        "estimated_cost": dollars(sum(spent.est_nano for spent in parts.values())),
        "parts": [
            {"name": name or None, "cost": dollars(spent.nano), "call_count": spent.calls}
            for name, spent in sorted(parts.items())
        ],
    }


# -- call by call -----------------------------------------------------------------------------


def calls(db: Reader, world: str, params: Params) -> dict[str, Any]:
    """Return LLM calls, newest first."""
    limit = params.limit()
    where = _single(world, params)
    place = params.cursor(int, int)
    if place is not None:
        where.also("(ts_us, seq) < (?, ?)", *place)
    sql = f"SELECT * FROM events WHERE {where} ORDER BY ts_us DESC, seq DESC LIMIT ?"
    rows = db.rows(sql, [*where.args, limit + 1])
    cursors = [Cursor((row["ts_us"], row["seq"])) for row in rows]
    return page([_call(row) for row in rows], limit, cursors)


def llm_calls(db: Reader, world: str, params: Params) -> dict[str, Any]:
    """Return LLM calls, newest first, with the sums over all that match."""
    if params.text("task_id") is None:
        source = source_of(db, world, params, params.window())
    else:
        source = Source(_single(world, params), params.window())
    total = Spent()
    for row in source.grouped(db, "model"):
        total.add(row)
    return {**calls(db, world, params), "totals": total.to_json()}


def _single(world: str, params: Params) -> Where:
    """Conditions on the events of LLM calls; those of one task are wanted whenever they were."""
    where = call_filter(Where(world).also("kind = 'llm_call'"), params, name="label")
    task_id = params.text("task_id")
    if task_id is None:
        window = params.window()
        return where.between("ts_us", window.start_us, window.end_us)
    where.named(task_id=task_id).equal(run_id=params.text("task_run_id"))
    return where.between("ts_us", params.moment("since"), params.moment("until"))


def _call(row: dict[str, Any]) -> dict[str, Any]:
    payload = Payload(row["payload"])
    reported, estimated = row["cost_nano"], row["est_nano"]
    nano = reported if reported is not None else estimated
    return {
        "event_id": row["event_id"],
        "timestamp": iso(row["ts_us"]),
        "agent_id": row["agent_id"],
        "task_id": row["task_id"] or None,
        "task_run_id": row["run_id"] or None,
        "task_type": row["task_type"] or None,
        "project_id": row["project"] or None,
        "action_id": row["action_id"],
        "name": row["label"],
        "model": row["model"] or None,
        "tokens_in": row["tokens_in"],
        "tokens_out": row["tokens_out"],
        "cost": None if nano is None else dollars(nano),
        "cost_source": cost_source(reported, estimated),
        "cost_model_matched": row["price_match"],
        "duration_ms": rounded(row["duration_ms"], 3),
        "prompt_preview": payload.text("prompt_preview"),
        "response_preview": payload.text("response_preview"),
        "metadata": payload.metadata or None,
    }

"""What detectors look at, from the window of the insights and from what is open now."""

from __future__ import annotations

from typing import Any

from hiveloop.board.store.protocol import Reader

from ._asked import Asked, blank_work, ended, total
from ._clock import SECOND
from ._detectors import Facts
from ._insight_tables import models
from ._sql import Where, dollars
from ._status import statuses
from ._values import object_of, whole
from .params import Params

__all__ = ["facts_of"]


def facts_of(asked: Asked, meta: list[dict[str, Any]], tools: list[dict[str, Any]]) -> Facts:
    """Gather what detectors look at, beside what was read already: of metadata and of tools."""
    buckets = {row["bucket"]: row for row in asked.work("bucket")}
    series = [buckets.get(start) or blank_work() for start in asked.window.starts]
    db, world, params = asked.db, asked.world, asked.params
    states = _states(db, world, params)
    return Facts(
        interval=asked.window.interval,
        costs=[dollars(row["cost_nano"] + row["est_nano"]) for row in series],
        ended=[ended(row) for row in series],
        failed=[row["tasks_failed"] for row in series],
        agents=len(states),
        stuck=sum(state == "stuck" for state in states.values()),
        errors=sum(state == "error" for state in states.values()),
        idle_with_queue=_idle_with_queue(db, world, states),
        tokens_in=total(series, "tokens_in"),
        tokens_out=total(series, "tokens_out"),
        model_costs=[model["cost"] for model in models(asked)],
        calls=total(series, "llm_calls"),
        stop_calls=total(meta, "stop_calls"),
        truncated=total(meta, "truncated"),
        prompt_parts=[total(meta, f"{name}_tokens") for name in ("system", "history", "tool")],
        prompt_calls=total(meta, "prompt_calls"),
        actions=[(str(row["name"]), row["count"], row["failed"]) for row in tools],
        approval_ages=_ages(db, world, params),
        issues=_open_issues(db, world, params),
        anomalies=total(series, "anomalies"),
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

"""Cards of the insights: figures where the sample is large enough, "not enough data" where it is not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ._asked import Asked, ended, total
from ._happenings import Happening
from ._samples import compactions, compositions, corrections, retry_reasons
from ._sql import Where, dollars, sums
from ._values import ratio, whole

__all__ = [
    "anomalies",
    "cache",
    "composition",
    "context",
    "meta",
    "retries",
    "self_correction",
    "truncation",
    "turns",
]

_CALLS = 10
_TASKS = 5
_LAST_TURN = 50
_NOT_ENOUGH = "not enough data"
_RETRY = "event_type = ? AND event_type <> 'custom' AND event_type <> 'heartbeat'"
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


def meta(asked: Asked) -> list[dict[str, Any]]:
    """Return what metadata of LLM calls tells, by model."""
    rows = asked.hourly("llm_meta", "agent_id", "project", "environment", "model")
    sql = (
        f"SELECT model, {sums(_META)}, COALESCE(MAX(context_max), 0) AS context_max"
        f" FROM {rows.of(['model'], _META, ['context_max'])} GROUP BY model ORDER BY model"
    )
    return asked.rows(sql, rows)


def _hit_ratio(rows: list[dict[str, Any]]) -> float | None:
    """The share of input that came from the cache.

    Some providers count cached tokens as input tokens, others beside them: when there are more cached
    tokens than input tokens, they must be beside.
    """
    read, created = total(rows, "cache_read"), total(rows, "cache_created")
    given = total(rows, "cache_input")
    return ratio(read, given if given >= read + created else given + read + created)


def cache(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return how much of the input came from the cache, by what `meta` told."""

    def figures() -> dict[str, Any]:
        told = [row for row in rows if row["cache_calls"]]
        return {
            "hit_ratio": _hit_ratio(rows),
            "read_tokens": total(rows, "cache_read"),
            "created_tokens": total(rows, "cache_created"),
            "by_model": [
                {"model": row["model"] or None, "calls": row["cache_calls"], "hit_ratio": _hit_ratio([row])}
                for row in told
            ],
        }

    return _judged(total(rows, "cache_calls"), _CALLS, figures)


def _by_property(asked: Asked, name: str) -> list[dict[str, Any]]:
    rows = asked.hourly("llm_by", "agent_id", property=name)
    names = ("calls", "tokens_in", "tokens_out", "cost_nano", "est_nano")
    sql = f"SELECT value, {sums(names)} FROM {rows.of(['value'], names)} GROUP BY value"
    return asked.rows(sql, rows)


def turns(asked: Asked) -> dict[str, Any]:
    """Return cost and tokens of an average call, turn by turn; the last one stands for all after it."""
    rows = [
        (turn, row) for row in _by_property(asked, "turn_number") if (turn := whole(row["value"])) is not None
    ]
    rows.sort(key=lambda item: item[0])
    told = [_turn(turn, row) for turn, row in rows]
    return _judged(sum(turn["calls"] for turn in told), _CALLS, lambda: {"data": told})


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


def truncation(asked: Asked, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return why answers ended, and how many were cut off."""
    reasons = _by_property(asked, "stop_reason")
    ranked = sorted(reasons, key=lambda row: (-row["calls"], row["value"]))
    told = total(rows, "stop_calls")
    return _judged(
        told,
        _CALLS,
        lambda: {
            "rate": ratio(total(rows, "truncated"), told, 100, 2),
            "truncated": total(rows, "truncated"),
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


def context(rows: list[dict[str, Any]], compacted: list[Happening]) -> dict[str, Any]:
    """Return how full contexts were, and what was done about it."""
    told = total(rows, "context_calls")
    card = _judged(
        told,
        _CALLS,
        lambda: {
            "avg_utilization_pct": ratio(total(rows, "context_permille"), told, 0.1, 1),
            "max_utilization_pct": max((row["context_max"] for row in rows), default=0) / 10,
            "calls_over_80_pct": total(rows, "context_over_80"),
            "share_over_80_pct": ratio(total(rows, "context_over_80"), told, 100, 2),
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


def composition(rows: list[dict[str, Any]], told: list[Happening]) -> dict[str, Any]:
    """Return what prompts are made of."""
    parts = {name: total(rows, f"{name}_tokens") for name in ("system", "history", "tool")}
    together = sum(parts.values())
    by_turn = compositions(told)
    return _judged(
        total(rows, "prompt_calls") + sum(turn["samples"] for turn in by_turn),
        _TASKS,
        lambda: {
            "system_tokens": parts["system"],
            "history_tokens": parts["history"],
            "tool_tokens": parts["tool"],
            "system_pct": ratio(parts["system"], together, 100, 1),
            "history_pct": ratio(parts["history"], together, 100, 1),
            "tool_pct": ratio(parts["tool"], together, 100, 1),
            "by_turn": by_turn,
        },
    )


# -- cards from work ------------------------------------------------------------------------------


def retries(asked: Asked, work: list[dict[str, Any]]) -> dict[str, Any]:
    """Return how often work was tried again, by agent and reason."""
    tasks, tries = sum(map(ended, work)), total(work, "retries")
    ranked = sorted((row for row in work if row["retries"]), key=lambda row: -row["retries"])
    return _judged(
        max(tasks, tries),
        _TASKS,
        lambda: {
            "retries": tries,
            "per_task": ratio(tries, tasks, digits=3),
            "by_agent": [
                {
                    "agent_id": row["agent_id"],
                    "retries": row["retries"],
                    "per_task": ratio(row["retries"], ended(row), digits=3),
                }
                for row in ranked[:50]
            ],
            "by_reason": retry_reasons(asked.newest(_RETRY, "retry_started")),
        },
    )


def self_correction(work: list[dict[str, Any]], seen: list[Happening]) -> dict[str, Any]:
    """Return how often agents corrected themselves."""
    tasks, told = sum(map(ended, work)), corrections(seen)
    return _judged(
        max(tasks, told["tasks"]),
        _TASKS,
        lambda: {
            **told,
            "rate": ratio(told["corrections"], tasks, 100, 2),
            "share_applied": ratio(told["corrections"], told["learnings"], 100, 2),
        },
    )


def anomalies(asked: Asked) -> dict[str, Any]:
    """Return what agents detected themselves, by detector and agent."""
    params, window = asked.params, asked.window
    where = Where(asked.world).also("kind = 'anomaly'").between("ts_us", window.start_us, window.end_us)
    where.equal(
        agent_id=params.text("agent_id"),
        project=params.text("project_id"),
        environment=params.text("environment"),
    )
    sql = (
        "SELECT COALESCE(label, '') AS detector, agent_id, COUNT(*) AS n, MAX(ts_us) AS last_us"
        f" FROM events WHERE {where} GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2 LIMIT 100"
    )
    rows = asked.rows(sql, where)
    return {
        "count": total(rows, "n"),
        "data": [
            {"detector": row["detector"] or None, "agent_id": row["agent_id"], "count": row["n"]}
            for row in rows
        ],
        "latest": [one.to_json() for one in asked.of_kind("anomaly")[:20]],
    }

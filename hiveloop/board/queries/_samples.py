"""Insights from custom events whose payloads no table sums up: the newest of each kind are read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from hiveloop.board.store.protocol import Reader

from ._happenings import Happening
from ._sql import Where
from ._values import ratio, rounded
from .params import Params, Window

__all__ = ["compactions", "compositions", "corrections", "error_contexts", "newest", "retry_reasons"]

_MOST = 1_000
_TOP = 20
_PARTS = ("system_prompt_tokens", "history_tokens", "tool_results_tokens")


def newest(
    db: Reader, world: str, params: Params, window: Window, condition: str, name: str
) -> list[Happening]:
    """Return the newest events of a kind or type in a window."""
    where = Where(world).also(condition, name)
    where.equal(
        agent_id=params.text("agent_id"),
        project=params.text("project_id"),
        environment=params.text("environment"),
    )
    where.between("ts_us", window.start_us, window.end_us)
    sql = f"SELECT * FROM events WHERE {where} ORDER BY ts_us DESC, seq DESC LIMIT ?"
    return [Happening(row) for row in db.rows(sql, [*where.args, _MOST])]


def _ranked(counts: Mapping[Any, int], names: tuple[str, ...]) -> list[dict[str, Any]]:
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:_TOP]
    return [{**dict(zip(names, key, strict=True)), "count": count} for key, count in ranked]


def retry_reasons(seen: list[Happening]) -> list[dict[str, Any]]:
    """Count retries by agent and reason."""
    counts = Counter(
        (str(one.row["agent_id"]), one.payload.text("reason") or one.payload.summary or "unknown")
        for one in seen
    )
    return _ranked(counts, ("agent_id", "reason"))


def corrections(seen: list[Happening]) -> dict[str, Any]:
    """Return how often agents told that they corrected themselves, by what they learned about."""
    applied = sum(one.payload.get("correction_applied") is True for one in seen)
    counts = Counter((one.payload.text("category") or "unknown",) for one in seen)
    return {
        "learnings": len(seen),
        "corrections": applied,
        "tasks": len({(one.row["task_id"], one.row["run_id"]) for one in seen if one.row["task_id"]}),
        "by_category": _ranked(counts, ("category",)),
    }


def compactions(seen: list[Happening]) -> dict[str, Any]:
    """Return how much context was compacted away, and how."""
    before = [one.payload.number("tokens_before") for one in seen]
    after = [one.payload.number("tokens_after") for one in seen]
    pairs = [(b, a) for b, a in zip(before, after, strict=True) if b is not None and a is not None and b > 0]
    total = sum(b for b, _ in pairs)
    return {
        "count": len(seen),
        "tokens_before": rounded(total, 0),
        "tokens_after": rounded(sum(a for _, a in pairs), 0),
        "kept_ratio": ratio(sum(a for _, a in pairs), total),
        "by_method": _ranked(
            Counter((one.payload.text("method") or "unknown",) for one in seen), ("method",)
        ),
    }


def error_contexts(seen: list[Happening]) -> list[dict[str, Any]]:
    """Count errors that came with context, by type, API and status."""
    counts = Counter(
        (
            one.payload.text("error_type") or "unknown",
            one.payload.text("api_name") or "",
            one.payload.text("status_code") or "",
        )
        for one in seen
    )
    return _ranked(counts, ("error_type", "api_name", "status_code"))


def compositions(seen: list[Happening]) -> list[dict[str, Any]]:
    """Return what prompts are made of on average, turn by turn."""
    turns: dict[int, list[Happening]] = {}
    for one in seen:
        turn = one.payload.whole("turn_number")
        if turn is not None and 0 <= turn < 1_000:
            turns.setdefault(turn, []).append(one)
    return [{"turn": turn, "samples": len(turns[turn]), **_average(turns[turn])} for turn in sorted(turns)]


def _average(seen: list[Happening]) -> dict[str, Any]:
    return {
        name: rounded(sum(max(0, one.payload.number(name) or 0) for one in seen) / len(seen), 1)
        for name in _PARTS
    }

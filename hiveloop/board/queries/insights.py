"""``GET /v1/insights``: what could be better, from one window, and only where there is enough to judge.

Every card tells its ``sample`` and the ``minimum`` below which its figures are None and its ``message`` is
"not enough data".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hiveloop.board.store.protocol import Reader

from . import _insight_cards as cards
from . import _insight_tables as tables
from ._asked import Asked, asked_for
from ._detectors import detect, health
from ._insight_facts import facts_of
from .params import Params

__all__ = ["PARTS", "insights", "part"]

PARTS: dict[str, Callable[[Asked], list[dict[str, Any]]]] = {
    "agents": tables.agents,
    "models": tables.models,
    "timeseries": tables.series,
    "errors": tables.errors,
    "prompts": tables.prompts,
    "actions": tables.tools,
}
"""The tables that can be asked for by themselves."""


def insights(db: Reader, world: str, params: Params) -> dict[str, Any]:
    """Return every card, all from the same window."""
    asked = asked_for(db, world, params)
    meta = cards.meta(asked)
    work = asked.work("agent_id")
    tools = tables.tools(asked)
    facts = facts_of(asked, meta, tools)
    return {
        **asked.window.to_json(),
        "health": health(facts),
        "detectors": detect(facts),
        "cache": cards.cache(meta),
        "turns": cards.turns(asked),
        "truncation": cards.truncation(asked, meta),
        "context": cards.context(meta, asked.of_kind("context_compaction")),
        "composition": cards.composition(meta, asked.of_kind("prompt_composition")),
        "retries": cards.retries(asked, work),
        "self_correction": cards.self_correction(work, asked.of_kind("learning")),
        "anomalies": cards.anomalies(asked),
        "errors": tables.errors(asked),
        "prompts": tables.prompts(asked),
        "tools": tools,
    }


def part(db: Reader, world: str, name: str, params: Params) -> dict[str, Any]:
    """Return one table of the insights: agents, models, timeseries, errors, prompts or actions."""
    asked = asked_for(db, world, params)
    return {**asked.window.to_json(), "data": PARTS[name](asked)}

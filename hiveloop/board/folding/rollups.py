"""Folds into the tables by five minutes and by hour."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from hiveloop.board.store.schema import DAY_US, HOUR_US, TABLES

from .facts import Facts, Llm, lasted, number, real, words
from .rows import Contributions, most, numbers, summed

__all__ = ["FIVE_MINUTES_US", "Admit", "Rollups", "day_of", "names_in"]

FIVE_MINUTES_US = 300_000_000

Admit = Callable[[str, int, str, str], str]
"""Return the name to count under, for a world, the start of a day, a subject and a name."""

_I = numbers("roll_5m")
_EVENTS, _HEARTBEATS, _ERRORS = _I["events"], _I["heartbeats"], _I["errors"]
_TASK_MS, _TASK_N = _I["task_ms"], _I["task_ms_n"]
_COUNTED = {
    "task_started": (_I["tasks_started"],),
    "task_completed": (_I["tasks_completed"],),
    "task_failed": (_I["tasks_failed"],),
    "action_completed": (_I["actions"],),
    "action_failed": (_I["actions"], _I["actions_failed"]),
    "retry_started": (_I["retries"],),
    "escalated": (_I["escalations"],),
    "approval_requested": (_I["approvals"],),
}
_CALLS, _IN, _OUT, _COST, _ESTIMATE, _UNPRICED = (
    _I[name] for name in ("llm_calls", "tokens_in", "tokens_out", "cost_nano", "est_nano", "unpriced")
)
_TASK_ENDS = ("task_completed", "task_failed")
_ACTION_ENDS = ("action_completed", "action_failed")

_C, _A, _M, _B = (numbers(name) for name in ("calls_1h", "actions_1h", "llm_meta_1h", "llm_by_1h"))
_TRUNCATED = frozenset(("max_tokens", "length", "max_output_tokens", "model_length", "max_tokens_reached"))
_LAST_TURN = 50


def day_of(ts_us: int) -> int:
    """Return the start of the UTC day of a time."""
    return ts_us - ts_us % DAY_US


def names_in(facts: Facts) -> list[tuple[str, str]]:
    """Return the subjects and names that an event brings into rollups."""
    event = facts.event
    found = [("task", event.task_type)] if event.task_type else []
    if facts.llm is not None:
        found += [("model", facts.llm.model), ("call", facts.llm.name)]
    elif event.event_type in _ACTION_ENDS:
        found.append(("action", facts.label or ""))
    return [pair for pair in found if pair[1]]


def _bucket(duration_ms: int) -> int:
    """Number of the histogram's bucket: bucket b ends at 2 ** (b / 8) ms."""
    return 0 if duration_ms <= 0 else max(1, math.ceil(8 * math.log2(duration_ms) - 1e-9))


class Rollups:
    """Contributions to all rollups.

    Args:
        admit: caps the number of names of a day.
    """

    def __init__(self, admit: Admit) -> None:
        self._admit = admit
        self.fine = Contributions("roll_5m")
        self.calls = Contributions("calls_1h")
        self.actions = Contributions("actions_1h")
        self.durations = Contributions("durations_1h")
        self.meta = Contributions("llm_meta_1h")
        self.by = Contributions("llm_by_1h")

    def tables(self) -> list[Contributions]:
        """Return the contributions, also those that are sums of others."""
        own = (self.fine, self.calls, self.actions, self.durations, self.meta, self.by)
        found = {one.table.name: one for one in own}
        for table in TABLES:
            if table.source:
                found[table.name] = summed(table.name, found[table.source])
        return list(found.values())

    def fold(self, world: str, facts: Facts) -> None:
        """Fold one event."""
        event = facts.event
        ts = event.ts_us
        task_type = event.task_type and self._admit(world, day_of(ts), "task", event.task_type)
        place = (event.agent_id, event.project, event.environment, task_type)
        row = self.fine.at((world, ts - ts % FIVE_MINUTES_US, *place))
        if event.event_type == "heartbeat":
            row[_HEARTBEATS] += 1
            return
        row[_EVENTS] += 1
        if event.severity == "error":
            row[_ERRORS] += 1
        for counter in _COUNTED.get(event.event_type, ()):
            row[counter] += 1
        if facts.llm is not None:
            self._fold_call(world, facts, facts.llm, place, row)
        elif event.event_type in _TASK_ENDS:
            self._fold_task_end(world, facts, task_type, row)
        elif event.event_type in _ACTION_ENDS:
            self._fold_action_end(world, facts)
        else:
            _fold_kind(row, facts)

    def _time(self, key: tuple[Any, ...], duration_ms: int | None) -> None:
        if duration_ms is not None:
            self.durations.at((*key, _bucket(duration_ms)))[0] += 1

    def _fold_task_end(self, world: str, facts: Facts, task_type: str, row: list[int]) -> None:
        event = facts.event
        duration = lasted(event.duration_ms)
        if duration is not None:
            row[_TASK_MS] += duration
            row[_TASK_N] += 1
            hour = event.ts_us - event.ts_us % HOUR_US
            self._time((world, "task", hour, task_type), duration)

    def _fold_action_end(self, world: str, facts: Facts) -> None:
        event = facts.event
        hour = event.ts_us - event.ts_us % HOUR_US
        name = facts.label and self._admit(world, day_of(hour), "action", facts.label)
        row = self.actions.at((world, hour, event.agent_id, event.project, event.environment, name or ""))
        row[_A["actions"]] += 1
        row[_A["failed"]] += event.event_type == "action_failed"
        duration = lasted(event.duration_ms)
        _fold_duration(row, _A, duration)
        self._time((world, "action", hour, name or ""), duration)

    def _fold_call(
        self, world: str, facts: Facts, call: Llm, place: tuple[str, ...], fine: list[int]
    ) -> None:
        _fold_usage(fine, call)
        event = facts.event
        hour = event.ts_us - event.ts_us % HOUR_US
        model = call.model and self._admit(world, day_of(hour), "model", call.model)
        name = call.name and self._admit(world, day_of(hour), "call", call.name)
        row = self.calls.at((world, hour, *place, model, name))
        row[_C["calls"]] += 1
        _fold_tokens(row, _C, call)
        row[_C["reported_calls"]] += call.cost_nano is not None
        row[_C["estimated_calls"]] += call.est_nano is not None
        _fold_duration(row, _C, call.duration_ms)
        self._time((world, "call", hour, name), call.duration_ms)
        if call.metadata:
            self._fold_metadata(world, hour, (*place[:3], model), call)

    def _fold_metadata(self, world: str, hour: int, place: tuple[str, ...], call: Llm) -> None:
        told = call.metadata
        reason = words(told.get("stop_reason"), 64)
        row = self.meta.at((world, hour, *place))
        known = _fold_cache(row, call) + _fold_context(row, told) + _fold_prompt(row, told)
        row[_M["failed"]] += bool(told.get("error"))
        if reason:
            row[_M["stop_calls"]] += 1
            row[_M["truncated"]] += reason.lower() in _TRUNCATED
            self._fold_by((world, "stop_reason", hour, place[0], reason), call)
        turn = number(told.get("turn_number"))
        if turn is not None:
            self._fold_by((world, "turn_number", hour, place[0], str(min(turn, _LAST_TURN))), call)
        row[_M["calls"]] += bool(known or reason or turn is not None)

    def _fold_by(self, key: tuple[Any, ...], call: Llm) -> None:
        row = self.by.at(key)
        row[_B["calls"]] += 1
        _fold_tokens(row, _B, call)


def _fold_kind(row: list[int], facts: Facts) -> None:
    if facts.event.kind == "anomaly":
        row[_I["anomalies"]] += 1
    elif facts.event.kind == "issue" and (facts.get("action") or "reported") == "reported":
        row[_I["issues"]] += 1


def _fold_usage(row: list[int], call: Llm) -> None:
    row[_CALLS] += 1
    row[_IN] += call.tokens_in
    row[_OUT] += call.tokens_out
    row[_COST] += call.cost_nano or 0
    row[_ESTIMATE] += call.est_nano or 0
    row[_UNPRICED] += call.cost_nano is None and call.est_nano is None


def _fold_tokens(row: list[int], columns: dict[str, int], call: Llm) -> None:
    row[columns["tokens_in"]] += call.tokens_in
    row[columns["tokens_out"]] += call.tokens_out
    row[columns["cost_nano"]] += call.cost_nano or 0
    row[columns["est_nano"]] += call.est_nano or 0


def _fold_duration(row: list[Any], columns: dict[str, int], duration_ms: int | None) -> None:
    if duration_ms is not None:
        row[columns["duration_ms"]] += duration_ms
        row[columns["timed"]] += 1
        most(row, columns["slowest_ms"], duration_ms)


def _fold_cache(row: list[Any], call: Llm) -> int:
    read = number(call.metadata.get("cache_read_input_tokens"))
    created = number(call.metadata.get("cache_creation_input_tokens"))
    if read is None and created is None:
        return 0
    row[_M["cache_calls"]] += 1
    row[_M["cache_read"]] += read or 0
    row[_M["cache_created"]] += created or 0
    row[_M["cache_input"]] += call.tokens_in
    return 1


def _fold_context(row: list[Any], told: dict[str, Any]) -> int:
    used, size = number(told.get("context_used_tokens")), number(told.get("context_window_size"))
    percent = used / size * 100 if used is not None and size else real(told.get("context_utilization_pct"))
    if percent is None:
        return 0
    permille = min(round(percent * 10), 10_000)
    row[_M["context_calls"]] += 1
    row[_M["context_permille"]] += permille
    row[_M["context_over_80"]] += permille > 800
    most(row, _M["context_max"], permille)
    return 1


def _fold_prompt(row: list[Any], told: dict[str, Any]) -> int:
    parts = [
        number(told.get(name)) for name in ("system_prompt_tokens", "history_tokens", "tool_results_tokens")
    ]
    if parts == [None, None, None]:
        return 0
    row[_M["prompt_calls"]] += 1
    for name, value in zip(("system_tokens", "history_tokens", "tool_tokens"), parts, strict=True):
        row[_M[name]] += value or 0
    return 1

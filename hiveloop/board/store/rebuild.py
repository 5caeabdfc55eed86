"""Folds everything that is stored again, into empty tables."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hiveloop.board.folding.facts import Facts, read
from hiveloop.board.model import Profile

from .ledger import Ledger, event_of
from .schema import TABLES

__all__ = ["rebuild"]

_CHUNK = 5_000
_TIMES = {
    "roll_5m": "bucket_us",
    "roll_1h": "hour_us",
    "calls_1h": "hour_us",
    "actions_1h": "hour_us",
    "durations_1h": "hour_us",
    "llm_meta_1h": "hour_us",
    "llm_by_1h": "hour_us",
}
_DERIVED = (
    "UPDATE events SET label = ?, model = ?, tokens_in = ?, tokens_out = ?, cost_nano = ?, est_nano = ?, "
    "price_match = ? WHERE seq = ?"
)


def rebuild(ledger: Ledger) -> int:
    """Fold all stored events again, in the current transaction; return their number.

    Rollups of the time before events were pruned for size stay as they are. Estimates follow the prices of
    now.
    """
    ledger.forget()
    pruned_us = int(ledger.meta("pruned_us") or 0)
    _empty(ledger, pruned_us)
    number = 0
    for chunk in _chunks(ledger):
        _rederive(ledger, chunk)
        ledger.fold([(world, facts) for _, world, facts in chunk], rolled_from_us=pruned_us)
        number += len(chunk)
    return number


def _empty(ledger: Ledger, pruned_us: int) -> None:
    for table in TABLES:
        if not table.folded:
            continue
        if table.name in _TIMES:
            ledger.db.run(f"DELETE FROM {table.name} WHERE {_TIMES[table.name]} >= ?", (pruned_us,))
        elif table.name == "names":
            ledger.db.run("DELETE FROM names WHERE day_us >= ?", (pruned_us,))
        elif table.name == "projects":
            ledger.db.run("UPDATE projects SET first_us = NULL, last_us = NULL")
        else:
            ledger.db.run(f"DELETE FROM {table.name}")


def _chunks(ledger: Ledger) -> Iterator[list[tuple[tuple[Any, ...], str, Facts]]]:
    profiles = _profiles(ledger)
    after = 0
    while True:
        rows = ledger.db.rows("SELECT * FROM events WHERE seq > ? ORDER BY seq LIMIT ?", (after, _CHUNK))
        if not rows:
            return
        after = rows[-1][0]
        yield [_item(ledger, row, profiles) for row in rows]


def _item(
    ledger: Ledger, row: tuple[Any, ...], profiles: dict[int, Profile]
) -> tuple[tuple[Any, ...], str, Facts]:
    event = event_of(row, profiles.get(row[23], Profile()))
    return row, event.world, read(event, ledger.price)


def _profiles(ledger: Ledger) -> dict[int, Profile]:
    rows = ledger.db.rows("SELECT profile_id, agent_version, framework, runtime, sdk_version FROM profiles")
    return {number: Profile(*(value or None for value in values)) for number, *values in rows}


def _rederive(ledger: Ledger, chunk: list[tuple[tuple[Any, ...], str, Facts]]) -> None:
    """Write what was derived from payloads and prices where it is different now."""
    changed: list[tuple[Any, ...]] = []
    for row, _, facts in chunk:
        call = facts.llm
        usage: tuple[Any, ...] = (None,) * 6
        if call is not None:
            usage = (
                call.model,
                call.tokens_in,
                call.tokens_out,
                call.cost_nano,
                call.est_nano,
                call.price_match,
            )
        derived = (facts.label, *usage)
        if derived != tuple(row[-7:]):
            changed.append((*derived, row[0]))
    ledger.db.many(_DERIVED, changed)

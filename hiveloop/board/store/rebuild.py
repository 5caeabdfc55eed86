"""Folds everything that is stored again, into empty tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from .ledger import Ledger
from .repricing import note_prices
from .schema import DAY_US, TABLES
from .stored import Stored, profiles, stored, write_derived

__all__ = ["Progress", "rebuild", "rolled_from"]

_CHUNK = 5_000
Progress = Callable[[int, int], None]
"""Hears how many events are done, of how many."""


def rolled_from(ledger: Ledger) -> int:
    """Return the time from which rollups can be had from events again: the first day that misses none."""
    pruned_us = int(ledger.meta("pruned_us") or 0)
    return pruned_us + -pruned_us % DAY_US


def rebuild(ledger: Ledger, progress: Progress | None = None) -> int:
    """Fold all stored events again, in the current transaction; return their number.

    Rollups of the days before events were pruned stay as they are. Estimates follow the prices of now.
    """
    ledger.forget()
    rolled_us = rolled_from(ledger)
    _empty(ledger, rolled_us)
    total = int(ledger.db.rows("SELECT COUNT(*) FROM events")[0][0]) if progress else 0
    number = 0
    for chunk in _chunks(ledger):
        _refold(ledger, chunk, rolled_us)
        number += len(chunk)
        if progress:
            progress(number, total)
    note_prices(ledger)
    return number


def _empty(ledger: Ledger, rolled_us: int) -> None:
    for table in TABLES:
        if not table.folded:
            continue
        if table.step_us:
            ledger.db.run(f"DELETE FROM {table.name} WHERE {table.time} >= ?", (rolled_us,))
        elif table.name == "names":
            ledger.db.run("DELETE FROM names WHERE day_us >= ?", (rolled_us,))
        elif table.name == "projects":
            ledger.db.run("UPDATE projects SET first_us = NULL, last_us = NULL")
        else:
            ledger.db.run(f"DELETE FROM {table.name}")


def _chunks(ledger: Ledger) -> Iterator[list[Stored]]:
    known = profiles(ledger)
    after = 0
    while True:
        rows = ledger.db.rows("SELECT * FROM events WHERE seq > ? ORDER BY seq LIMIT ?", (after, _CHUNK))
        if not rows:
            return
        after = rows[-1][0]
        yield [stored(ledger, row, known) for row in rows]


def _refold(ledger: Ledger, chunk: list[Stored], rolled_us: int) -> None:
    changed = [one for one in chunk if one.is_changed]
    write_derived(ledger, changed)
    ledger.fold([(one.world, one.facts) for one in chunk], rolled_from_us=rolled_us)
    kept = [one for one in changed if one.facts.llm and one.facts.event.ts_us < rolled_us]
    if kept:
        ledger.correct([(one.world, one.as_folded, one.facts) for one in kept], tasks=False)

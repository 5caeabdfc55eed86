"""What may go: events past their age, the oldest beyond the size, heartbeats nobody looks at any more."""

from __future__ import annotations

from typing import Any

import msgspec

from hiveloop._shape import is_dict
from hiveloop.board.folding.rollups import FIVE_MINUTES_US
from hiveloop.board.model import WORLDS

from .ledger import Ledger
from .protocol import Pruned
from .schema import DAY_US, HOUR_US, TABLES

__all__ = ["Retention", "prune_step"]

_MOST_AT_ONCE = 2_000
"""Events removed in one transaction: appends wait meanwhile."""
_PLACES = (_MOST_AT_ONCE, 100, 1)
"""How many of the oldest events go at once when there is too much, as far as there are so many."""
_BEATS = "event_type = 'heartbeat' AND world = ? AND ts_us >= ? AND ts_us < ?"
_FINE_US = 2 * DAY_US
"""How long rollups of five minutes are kept."""
_ROW_TIMES = {
    "agents": ("last_us", 0),
    "tasks": ("last_us", 0),
    "actions": ("COALESCE(ended_us, started_us)", 0),
    "approvals": ("at_us", 0),
    "issues": ("last_us", 0),
    "todos": ("last_us", 0),
    "snapshots": ("at_us", 0),
    "plans": ("created_us", 0),
    "plan_steps": ("step_us", 0),
    "names": ("day_us", DAY_US),  # kept a day longer than what counts by them
    **{table.name: (table.time, table.step_us - 1) for table in TABLES if table.step_us},
}
"""When a folded row was last told something: a column, and what it tells less than that. Plan steps without
a report go with a rebuild."""


class Retention(msgspec.Struct, frozen=True):
    """How much is kept."""

    max_age_us: int = 30 * DAY_US
    max_bytes: int = 2 * 1024**3
    heartbeats_us: int = HOUR_US
    """Age from which one heartbeat in five minutes is enough. Those that carry a payload of the agent's
    own stay."""


def prune_step(ledger: Ledger, keep: Retention, now_us: int) -> tuple[Pruned, bool]:
    """Remove some of what may go, in the current transaction; tell what, and whether there is more."""
    cutoff = now_us - keep.max_age_us
    events = _remove_before(ledger, cutoff)
    if events == 0 and ledger.db.size_bytes() > keep.max_bytes:
        events = _remove_oldest(ledger)
    if events:
        return Pruned(events, 0), True
    heartbeats, more = _compact(ledger, now_us - keep.heartbeats_us)
    if not more:
        _forget_rows(ledger, cutoff)
        for world in WORLDS:
            sql = "DELETE FROM roll_5m WHERE world = ? AND bucket_us < ?"
            ledger.db.run(sql, (world, now_us - _FINE_US))
    return Pruned(0, heartbeats), more


def _remove_before(ledger: Ledger, cutoff_us: int) -> int:
    """Remove the oldest events before a time; never the newest of all, which keeps the numbering going."""
    sql = (
        "DELETE FROM events WHERE seq IN (SELECT seq FROM events WHERE world = ? AND ts_us < ? "
        "AND seq < (SELECT MAX(seq) FROM events) ORDER BY ts_us LIMIT ?)"
    )
    removed = sum(ledger.db.run(sql, (world, cutoff_us, _MOST_AT_ONCE)) for world in WORLDS)
    if removed:
        _note(ledger, cutoff_us)
    return removed


def _note(ledger: Ledger, cutoff_us: int) -> None:
    """Remember from which time on a rebuild has all events."""
    ledger.set_meta("pruned_us", str(max(cutoff_us, int(ledger.meta("pruned_us") or 0))))


def _remove_oldest(ledger: Ledger) -> int:
    sql = "SELECT ts_us FROM events WHERE world = ? ORDER BY ts_us LIMIT 1 OFFSET ?"
    for place in _PLACES:
        found = [row[0] for world in WORLDS for row in ledger.db.rows(sql, (world, place))]
        if found:
            return _remove_before(ledger, min(found))
    return 0


def _forget_rows(ledger: Ledger, cutoff_us: int) -> None:
    """Remove rows about the time before all events; tables are scanned, so look first whether it pays."""
    before = cutoff_us - cutoff_us % HOUR_US
    for world in WORLDS:
        sql = "SELECT 1 FROM roll_1h WHERE world = ? AND hour_us < ? LIMIT 1"
        if not ledger.db.rows(sql, (world, before)):
            continue
        for table, (column, less) in _ROW_TIMES.items():
            ledger.db.run(f"DELETE FROM {table} WHERE world = ? AND {column} < ?", (world, before - less))
        ledger.names.forget()


def _compact(ledger: Ledger, before_us: int) -> tuple[int, bool]:
    """Thin out one more hour of old heartbeats; tell how many went, and whether more wait."""
    end = before_us - before_us % FIVE_MINUTES_US
    done = int(ledger.meta("compacted_us") or 0)
    first = f"SELECT ts_us FROM events WHERE {_BEATS} ORDER BY ts_us LIMIT 1"
    found = [row[0] for world in WORLDS for row in ledger.db.rows(first, (world, done, end))]
    if not found:
        return 0, False
    begin = min(found) - min(found) % FIVE_MINUTES_US
    until = min(begin + HOUR_US, end)
    sql = f"SELECT seq, world, agent_id, ts_us, payload FROM events WHERE {_BEATS} ORDER BY ts_us, seq"
    beats = [row for world in WORLDS for row in ledger.db.rows(sql, (world, begin, until))]
    superfluous = _superfluous(beats)
    ledger.db.many("DELETE FROM events WHERE seq = ?", [(seq,) for seq in superfluous])
    ledger.set_meta("compacted_us", str(until))
    return len(superfluous), until < end


def _superfluous(beats: list[tuple[Any, ...]]) -> list[int]:
    """All but the last of each agent and five minutes, and those that say something of their own."""
    last: dict[tuple[str, str, int], int] = {}
    going: list[int] = []
    for seq, world, agent_id, ts_us, payload in beats:
        if _says_something(payload):
            continue
        place = (world, agent_id, ts_us // FIVE_MINUTES_US)
        if place in last:
            going.append(last[place])
        last[place] = seq
    return going


def _says_something(payload: str) -> bool:
    body: object = msgspec.json.decode(payload)
    return is_dict(body) and bool(body.keys() - {"hiveloop", "summary"})

"""What may go: events past their age, the oldest beyond the size, heartbeats nobody looks at any more."""

from __future__ import annotations

from typing import Any

import msgspec

from hiveloop._shape import is_dict
from hiveloop.board.folding.rollups import DAY_US, FIVE_MINUTES_US, HOUR_US
from hiveloop.board.model import WORLDS

from .ledger import Ledger
from .protocol import Pruned

__all__ = ["Retention", "prune_step"]

_MOST_AT_ONCE = 20_000
"""Events removed in one transaction: appends wait meanwhile."""
_FINE_US = 2 * DAY_US
"""How long rollups of five minutes are kept."""
_ROW_TIMES = {
    "agents": "last_us",
    "tasks": "last_us",
    "actions": "COALESCE(ended_us, started_us)",
    "approvals": "at_us",
    "issues": "last_us",
    "todos": "last_us",
    "snapshots": "at_us",
    "plans": "created_us",
    "plan_steps": "step_us",
    "roll_1h": "hour_us",
    "calls_1h": "hour_us",
    "actions_1h": "hour_us",
    "durations_1h": "hour_us",
    "llm_meta_1h": "hour_us",
    "llm_by_1h": "hour_us",
    "names": "day_us",
}
"""When a folded row was last told something; plan steps without a report go with a rebuild."""


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
        _forget_rows(ledger, cutoff)
    ledger.db.run("DELETE FROM roll_5m WHERE bucket_us < ?", (now_us - _FINE_US,))
    beats, more = _compact(ledger, now_us - keep.heartbeats_us)
    return Pruned(events, beats), more or events > 0


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
    """Remember from which hour on a rebuild has all events."""
    hour = cutoff_us + -cutoff_us % HOUR_US
    ledger.set_meta("pruned_us", str(max(hour, int(ledger.meta("pruned_us") or 0))))


def _remove_oldest(ledger: Ledger) -> int:
    number = int(ledger.db.rows("SELECT COUNT(*) FROM events")[0][0])
    place = min(number // 10, _MOST_AT_ONCE)
    found = ledger.db.rows("SELECT ts_us FROM events ORDER BY ts_us LIMIT 1 OFFSET ?", (place,))
    return _remove_before(ledger, int(found[0][0])) if found else 0


def _forget_rows(ledger: Ledger, cutoff_us: int) -> None:
    for table, column in _ROW_TIMES.items():
        before = cutoff_us - DAY_US if table == "names" else cutoff_us
        ledger.db.run(f"DELETE FROM {table} WHERE {column} < ?", (before,))
    ledger.names.forget()


def _compact(ledger: Ledger, before_us: int) -> tuple[int, bool]:
    """Thin out one more hour of old heartbeats; tell how many went, and whether more wait."""
    end = before_us - before_us % FIVE_MINUTES_US
    done = int(ledger.meta("compacted_us") or 0)
    oldest = ledger.db.rows(
        "SELECT MIN(ts_us) FROM events WHERE event_type = 'heartbeat' AND ts_us >= ? AND ts_us < ?",
        (done, end),
    )[0][0]
    if oldest is None:
        return 0, False
    begin = oldest - oldest % FIVE_MINUTES_US
    until = min(begin + HOUR_US, end)
    sql = (
        "SELECT seq, world, agent_id, ts_us, payload FROM events WHERE event_type = 'heartbeat' "
        "AND ts_us >= ? AND ts_us < ? ORDER BY ts_us, event_id"
    )
    superfluous = _superfluous(ledger.db.rows(sql, (begin, until)))
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

"""Caps how many names the rollups of a day tell apart, the same way for any order of events.

Names of models, tools and calls should be few. Where a sender puts ids into them, two thousand of a day
stay and the rest is counted as "(other)". Who stays is decided by the name alone: few digits first, then a
hash. So it cannot depend on who came first, and a name that had to go never comes back that day.
"""

from __future__ import annotations

import hashlib
from bisect import insort
from collections.abc import Iterable
from functools import cache

from hiveloop.board.folding.facts import Facts
from hiveloop.board.folding.rollups import day_of, names_in

from .database import Database
from .schema import BY_NAME, DAY_US, TABLES, Table
from .statements import insert, move_name

__all__ = ["MOST_NAMES", "OTHER", "Names"]

MOST_NAMES = 2_000
OTHER = "(other)"

_Subject = tuple[str, int, str]
"""World, start of the day, subject."""
_USES: dict[str, tuple[tuple[str, str, str], ...]] = {
    "model": (("calls_1h", "model", ""), ("llm_meta_1h", "model", "")),
    "call": (("calls_1h", "name", ""), ("durations_1h", "name", " AND subject = 'call'")),
    "action": (("actions_1h", "name", ""), ("durations_1h", "name", " AND subject = 'action'")),
    "task": (
        ("roll_5m", "task_type", ""),
        ("calls_1h", "task_type", ""),
        ("durations_1h", "name", " AND subject = 'task'"),
    ),
}
"""Tables, and columns of them and of their twins, that count by the names of a subject."""
_MOST_CACHED = 200


def rank_of(name: str) -> str:
    """Return the text by which names are chosen; the smallest stay."""
    digits = min(sum(character.isdigit() for character in name), 999)
    return f"{digits:03d}{hashlib.blake2b(name.encode('utf-8', 'replace'), digest_size=12).hexdigest()}"


class Names:
    """The names in use, remembered between transactions.

    Args:
        db: where they are kept.
        most: how many of a subject and day are told apart.
    """

    def __init__(self, db: Database, most: int = MOST_NAMES) -> None:
        self._db = db
        self._most = most
        self._kept: dict[_Subject, dict[str, str]] = {}
        self._ranks: dict[_Subject, list[str]] = {}

    def forget(self) -> None:
        """Drop what is remembered: a transaction was undone, or somebody else has written."""
        self._kept.clear()
        self._ranks.clear()

    def admit(self, events: Iterable[tuple[str, Facts]]) -> None:
        """Let in the names of events that are about to be folded, moving out those that must go."""
        if len(self._kept) > _MOST_CACHED:
            self.forget()
        for world, facts in events:
            for subject, name in names_in(facts):
                key = (world, day_of(facts.event.ts_us), subject)
                kept = self._kept.get(key)
                if kept is None:
                    kept = self._load(key)
                if name not in kept:
                    self._consider(key, kept, name)

    def counted(self, world: str, day_us: int, subject: str, name: str) -> str:
        """Return the name to count under; after `admit`."""
        return name if name in self._kept[world, day_us, subject] else OTHER

    def _load(self, key: _Subject) -> dict[str, str]:
        sql = "SELECT name, rank FROM names WHERE world = ? AND day_us = ? AND subject = ?"
        kept = self._kept[key] = {str(name): str(rank) for name, rank in self._db.rows(sql, key)}
        self._ranks[key] = sorted(kept.values())
        return kept

    def _consider(self, key: _Subject, kept: dict[str, str], name: str) -> None:
        ranks, rank = self._ranks[key], rank_of(name)
        if len(ranks) >= self._most:
            if rank > ranks[-1]:
                return
            self._move_out(key, kept, ranks.pop())
        kept[name] = rank
        insort(ranks, rank)
        self._db.run(insert("names"), (*key, rank, name))

    def _move_out(self, key: _Subject, kept: dict[str, str], rank: str) -> None:
        world, day, subject = key
        name = next(name for name, known in kept.items() if known == rank)
        del kept[name]
        sql = "DELETE FROM names WHERE world = ? AND day_us = ? AND subject = ? AND rank = ?"
        self._db.run(sql, (*key, rank))
        rows = (world, day, day + DAY_US, name)
        for source, column, match in _USES[subject]:
            for table in _counting(source, column):
                move, delete = move_name(table, column, match)
                self._db.run(move, (OTHER, *rows))
                self._db.run(delete, rows)


@cache
def _counting(source: str, column: str) -> list[str]:
    """Names of a table and of all that hold sums of its rows, as far as they count by a column."""
    return [table.name for table in TABLES if column in table.key and source in _sources(table)]


def _sources(table: Table) -> list[str]:
    """Names of a table, of its source, of the source of that, and so on."""
    return [table.name, *(_sources(BY_NAME[table.source]) if table.source else ())]

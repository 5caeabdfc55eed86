"""Writes events and folds them, inside a transaction that somebody else begins and ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from hiveloop.board.folding.approvals import Approval, paired
from hiveloop.board.folding.changes import Changes, Scope, corrections
from hiveloop.board.folding.facts import Facts, read
from hiveloop.board.folding.rows import Contributions
from hiveloop.board.model import NewEvent, Profile, StoredEvent
from hiveloop.board.prices import PUBLIC, Price, PriceTable, list_date, list_prices

from .database import Database
from .names import MOST_NAMES, Names
from .protocol import Appended
from .schema import SCHEMA_VERSION
from .statements import create_statements, event_columns, insert, upsert

__all__ = ["Batch", "Ledger", "event_of"]

Batch = tuple[str, Sequence[NewEvent]]
"""A world and events for it."""

_UPDATE_APPROVAL = (
    "UPDATE approvals SET decision = ?, decided_by = ?, decided_us = ?, decided_event_id = ?, is_open = ? "
    "WHERE world = ? AND event_id = ?"
)
_SET_META = (
    "INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
)
_SCOPE = "world = ? AND task_id = ? AND run_id = ?"
_PROFILE = ("agent_version", "framework", "runtime", "sdk_version")


class Ledger:
    """The tables, as one thread writes them.

    Args:
        db: its connection.
        most_names: how many names of a kind and day rollups tell apart.
    """

    def __init__(self, db: Database, most_names: int = MOST_NAMES) -> None:
        self.db = db
        self.names = Names(db, most_names)
        self._profiles: dict[Profile, int] = {}
        self._prices: PriceTable | None = None

    def forget(self) -> None:
        """Drop what is remembered of the tables, which are not as they were."""
        self.names.forget()
        self._profiles.clear()
        self._prices = None

    def create(self, now_us: int) -> None:
        """Make the tables of an empty database, with the prices that ship."""
        for statement in create_statements(self.db.dialect):
            self.db.run(statement)
        self.set_meta("schema_version", str(SCHEMA_VERSION))
        self.set_meta("created_us", str(now_us))
        self.take_list_prices(now_us)

    def take_list_prices(self, now_us: int) -> None:
        """Put the prices that ship in the place of those of an older list; the user's own stay."""
        if (self.meta("price_list") or "") >= list_date():
            return
        self.db.run("DELETE FROM prices WHERE source = ?", (PUBLIC,))
        rows = ((*_price_row(price), now_us) for price in list_prices())
        self.db.many(insert("prices", "model, valid_from_us"), rows)
        self.set_meta("price_list", list_date())

    def meta(self, name: str) -> str | None:
        """Return a fact about the database."""
        found = self.db.rows("SELECT value FROM meta WHERE name = ?", (name,))
        return None if not found else str(found[0][0])

    def set_meta(self, name: str, value: str) -> None:
        """Write a fact about the database."""
        self.db.run(_SET_META, (name, value))

    def price(self, model: str, tokens_in: int, tokens_out: int, at_us: int) -> tuple[int, str] | None:
        """Estimate a call from the table of prices."""
        if self._prices is None:
            names = ("model", "input_usd", "output_usd", "provider", "source", "valid_from_us")
            rows = self.db.rows(f"SELECT {', '.join(names)} FROM prices")
            found = (Price.from_row(dict(zip(names, row, strict=True))) for row in rows)
            self._prices = PriceTable(price for price in found if price is not None)
        return self._prices.estimate(model, tokens_in, tokens_out, at_us)

    # -- storing ----------------------------------------------------------------------------------------

    def store(self, batches: Sequence[Batch]) -> list[Appended]:
        """Store and fold the events that are new; return what became of each batch."""
        if self.db.others_wrote():
            self.forget()
        base = self.last_seq()
        told = [(world, read(event, self.price)) for world, events in batches for event in events]
        rows = [self._event_row(base + n, *item) for n, item in enumerate(told, 1)]
        self.db.many(insert("events", "world, event_id"), rows)
        kept = {row[0] for row in self.db.rows("SELECT seq FROM events WHERE seq > ?", (base,))}
        new = [item for n, item in enumerate(told, 1) if base + n in kept]
        projects = self._new_projects(new)
        self.fold(new)
        if kept:
            self.db.announce(base, max(kept))
        return _answers(batches, base, kept, projects)

    def last_seq(self) -> int:
        """Return the number of the newest event, 0 when there is none."""
        return int(self.db.rows("SELECT COALESCE(MAX(seq), 0) FROM events")[0][0])

    def _event_row(self, seq: int, world: str, facts: Facts) -> tuple[Any, ...]:
        e, call = facts.event, facts.llm
        sent = (e.event_id, e.ts_us, e.received_us, e.agent_id, e.agent_type, e.event_type, e.severity)
        place = (e.environment, e.group, e.project, e.task_id, e.run_id, e.task_type, e.correlation_id)
        links = (e.action_id, e.parent_action_id, e.parent_event_id)
        rest = (e.status, e.duration_ms, e.kind, e.payload, self._profile(e.profile), facts.label)
        if call is None:
            return (seq, world, *sent, *place, *links, *rest, None, None, None, None, None, None)
        rest = (e.status, call.duration_ms, e.kind, e.payload, self._profile(e.profile), facts.label)
        usage = (call.model, call.tokens_in, call.tokens_out, call.cost_nano, call.est_nano, call.price_match)
        return (seq, world, *sent, *place, *links, *rest, *usage)

    def _profile(self, profile: Profile) -> int:
        known = self._profiles.get(profile)
        if known is None:
            if len(self._profiles) > 1_000:
                self._profiles.clear()
            known = self._profiles[profile] = self._stored_profile(profile)
        return known

    def _stored_profile(self, profile: Profile) -> int:
        values = [getattr(profile, name) or "" for name in _PROFILE]
        where = " AND ".join(f"{name} = ?" for name in _PROFILE)
        found = self.db.rows(f"SELECT profile_id FROM profiles WHERE {where}", values)
        if found:
            return int(found[0][0])
        number = int(self.db.rows("SELECT COALESCE(MAX(profile_id), 0) + 1 FROM profiles")[0][0])
        self.db.run(insert("profiles"), (number, *values))
        return number

    def _new_projects(self, new: Sequence[tuple[str, Facts]]) -> dict[str, set[str]]:
        """Return slugs that are new, by world."""
        found: dict[str, set[str]] = {}
        for world, slug in {(world, facts.event.project) for world, facts in new if facts.event.project}:
            if not self.db.rows("SELECT 1 FROM projects WHERE world = ? AND slug = ?", (world, slug)):
                found.setdefault(world, set()).add(slug)
        return found

    # -- folding ----------------------------------------------------------------------------------------

    def fold(self, events: Sequence[tuple[str, Facts]], *, rolled_from_us: int = 0) -> None:
        """Fold events that were not folded before.

        Args:
            events: world and facts of each.
            rolled_from_us: rollups leave out events before this time.
        """
        if not events:
            return
        self.names.admit(events)
        changes = Changes(self.names.counted)
        for world, facts in events:
            changes.fold(world, facts, rolled=facts.event.ts_us >= rolled_from_us)
        self._merge(changes.tables())
        rows = [msgspec.structs.astuple(approval) for approval in changes.approvals]
        self.db.many(insert("approvals", "world, event_id"), rows)
        self._decide(changes)

    def correct(self, calls: Sequence[tuple[str, Facts, Facts]], *, tasks: bool = True) -> None:
        """Bring other estimates of LLM calls into the tables; see `corrections`."""
        self.names.admit((world, after) for world, _, after in calls)
        self._merge(corrections(calls, self.names.counted, tasks=tasks))

    def _merge(self, tables: Sequence[Contributions]) -> None:
        for table in tables:
            if table.rows:
                self.db.many(upsert(table.table.name), table.merged())

    def _decide(self, changes: Changes) -> None:
        """Find open approvals again for all runs where that may have changed."""
        if not self.db.rows("SELECT 1 FROM approvals LIMIT 1"):
            return
        for scope in sorted(changes.edges):
            rows = self.db.rows(f"SELECT * FROM approvals WHERE {_SCOPE}", scope)
            if rows:
                self._decide_scope(scope, [Approval(*row) for row in rows])

    def _decide_scope(self, scope: Scope, rows: list[Approval]) -> None:
        ended = self.db.rows(f"SELECT end_us FROM tasks WHERE {_SCOPE}", scope)
        end_us = ended[0][0] if ended else None
        groups: dict[str, list[Approval]] = {}
        for row in rows:
            groups.setdefault("" if row.task_id else row.agent_id, []).append(row)
        before = {row.event_id: _pairing(row) for row in rows}
        after = [row for group in groups.values() for row in paired(group, end_us)]
        changed = [row for row in after if _pairing(row) != before[row.event_id]]
        self.db.many(_UPDATE_APPROVAL, [(*_pairing(row), row.world, row.event_id) for row in changed])
        waiting = sum(row.is_open for row in after)
        self.db.run(f"UPDATE tasks SET open_approvals = ? WHERE {_SCOPE}", (waiting, *scope))


def _price_row(price: Price) -> tuple[Any, ...]:
    known = (price.model, price.valid_from_us, price.input_usd, price.output_usd)
    return (*known, price.provider, price.source)


def _pairing(row: Approval) -> tuple[Any, ...]:
    return (row.decision, row.decided_by, row.decided_us, row.decided_event_id, row.is_open)


def _answers(
    batches: Sequence[Batch], base: int, kept: set[int], projects: dict[str, set[str]]
) -> list[Appended]:
    answers: list[Appended] = []
    for world, events in batches:
        seqs = [seq if seq in kept else 0 for seq in range(base + 1, base + 1 + len(events))]
        base += len(events)
        new = {event.project for seq, event in zip(seqs, events, strict=True) if seq}
        mine = new & projects.get(world, set())
        projects[world] = projects.get(world, set()) - mine
        answers.append(Appended(world, events, seqs, sorted(mine)))
    return answers


_FIELDS = {"group": "grp"}
_EVENT_FIELDS = tuple(f for f in StoredEvent.__struct_fields__ if f != "profile")
_POSITIONS = {name: n for n, name in enumerate(event_columns())}
_PICKS = tuple((name, _POSITIONS[_FIELDS.get(name, name)]) for name in _EVENT_FIELDS)


def event_of(row: Sequence[Any], profile: Profile) -> StoredEvent:
    """Return the event in a row of all columns of `events`."""
    return StoredEvent(profile=profile, **{name: row[position] for name, position in _PICKS})

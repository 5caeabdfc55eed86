"""Reads stored events back as what the folds take."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from hiveloop.board.folding.facts import Facts, read
from hiveloop.board.model import Profile

from .ledger import Ledger, event_of
from .statements import event_columns

__all__ = ["Stored", "profiles", "stored", "write_derived"]

_DERIVED = ("label", "model", "tokens_in", "tokens_out", "cost_nano", "est_nano", "price_match")
_COLUMNS = event_columns()
_PLACES = [_COLUMNS.index(name) for name in _DERIVED]
_PROFILE = _COLUMNS.index("profile_id")
_UPDATE = f"UPDATE events SET {', '.join(f'{name} = ?' for name in _DERIVED)} WHERE seq = ?"


class Stored(NamedTuple):
    """A stored event.

    Attributes:
        row: all columns.
        world: live or test.
        facts: what it says, with the estimate that follows from the prices of now.
    """

    row: tuple[Any, ...]
    world: str
    facts: Facts

    @property
    def derived(self) -> tuple[Any, ...]:
        """What its row should hold of payload and prices."""
        call = self.facts.llm
        if call is None:
            return (self.facts.label, *(None,) * 6)
        usage = (call.model, call.tokens_in, call.tokens_out, call.cost_nano, call.est_nano, call.price_match)
        return (self.facts.label, *usage)

    @property
    def is_changed(self) -> bool:
        """Whether its row holds something else."""
        return any(self.row[place] != value for place, value in zip(_PLACES, self.derived, strict=True))

    @property
    def as_folded(self) -> Facts:
        """What it says, with the estimate in its row."""
        call, (*_, estimate, match) = self.facts.llm, (self.row[place] for place in _PLACES)
        if call is None:
            return self.facts
        before = msgspec.structs.replace(call, est_nano=estimate, price_match=match)
        return msgspec.structs.replace(self.facts, llm=before)


def stored(ledger: Ledger, row: tuple[Any, ...], known: dict[int, Profile]) -> Stored:
    """Return the event in a row of all columns, with one of the known profiles."""
    event = event_of(row, known.get(row[_PROFILE], Profile()))
    return Stored(row, event.world, read(event, ledger.price))


def profiles(ledger: Ledger) -> dict[int, Profile]:
    """Return all profiles by number."""
    rows = ledger.db.rows("SELECT profile_id, agent_version, framework, runtime, sdk_version FROM profiles")
    return {number: Profile(*(value or None for value in values)) for number, *values in rows}


def write_derived(ledger: Ledger, changed: list[Stored]) -> None:
    """Write what follows from payloads and prices into the rows of events."""
    ledger.db.many(_UPDATE, [(*one.derived, one.row[0]) for one in changed])

"""Brings prices that were changed to the calls of before: in steps, with appends in between.

Tables hold sums of the estimates in the rows of `events`. A step looks at some calls, and where another
estimate follows from the prices of now, it writes that and adds the difference to the sums. So tables and
rows agree after each step, costs that were reported are not touched, and the end is what a rebuild makes.
"""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import Future

from hiveloop._guard import logger
from hiveloop.board.model import WORLDS

from .ledger import Ledger
from .protocol import StoreClosedError
from .stored import profiles, stored, write_derived
from .writer import Writer

__all__ = ["note_prices", "reprice"]

_CHUNK = 500
"""Calls looked at in one transaction: appends wait meanwhile."""
_CALLS = (
    "SELECT * FROM events WHERE world = ? AND kind = 'llm_call' AND (ts_us, seq) > (?, ?) "
    "AND seq <= ? ORDER BY ts_us, seq LIMIT ?"
)


def note_prices(ledger: Ledger) -> None:
    """Note that all estimates follow from the prices of now."""
    ledger.set_meta("priced", _digest(ledger))


def _digest(ledger: Ledger) -> str:
    sql = "SELECT model, valid_from_us, input_usd, output_usd FROM prices ORDER BY model, valid_from_us"
    return hashlib.sha256(json.dumps(ledger.db.rows(sql)).encode()).hexdigest()


def reprice(writer: Writer) -> None:
    """Queue steps until all estimates follow from the prices; one is enough to see that they do."""
    writer.steps(_Repricing().step).add_done_callback(_tell)


def _tell(done: Future[None]) -> None:
    error = done.exception()
    if error is not None and not isinstance(error, StoreClosedError):  # the next start goes on with it
        logger.warning("hiveloop board: estimates do not follow the prices yet: %s", error)


class _Repricing:
    """The place that steps have come to."""

    def __init__(self) -> None:
        self._prices = ""
        self._worlds = [*WORLDS]
        self._after = (-1, -1)
        self._last_seq = 0
        """Of the calls of before: those that come later are estimated with the prices of now."""

    def step(self, ledger: Ledger) -> bool:
        """Look at some more calls; tell whether any are left."""
        prices = _digest(ledger)
        if prices == ledger.meta("priced"):
            return False
        if prices != self._prices:  # changed on the way: from the start
            ledger.forget()
            ledger.set_meta("priced", "")  # until all is done: the prices of before may come back
            self._prices, self._worlds, self._after = prices, [*WORLDS], (-1, -1)
            self._last_seq = ledger.last_seq()
        if self._worlds:
            self._look(ledger)
            return True
        note_prices(ledger)
        return False

    def _look(self, ledger: Ledger) -> None:
        rows = ledger.db.rows(_CALLS, (self._worlds[0], *self._after, self._last_seq, _CHUNK))
        known = profiles(ledger)
        changed = [one for row in rows if (one := stored(ledger, row, known)).is_changed]
        write_derived(ledger, changed)
        ledger.correct([(one.world, one.as_folded, one.facts) for one in changed])
        if len(rows) < _CHUNK:
            self._worlds, self._after = self._worlds[1:], (-1, -1)
        else:
            last = stored(ledger, rows[-1], known).facts.event
            self._after = (last.ts_us, rows[-1][0])

"""What a model costs: list prices that ship with the board, and the operator's own.

A call that reports its cost is believed. One that reports tokens only is estimated from this table and
marked as estimated. The shipped prices are dated data in ``prices.json``; the store keeps them, and what
the operator adds, in its ``prices`` table.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

__all__ = ["ESTIMATED", "OWN", "PUBLIC", "REPORTED", "Price", "PriceTable", "list_date", "list_prices"]

REPORTED = "reported"
ESTIMATED = "estimated"
PUBLIC = "public list"
"""Source of a shipped price."""
OWN = "user"
"""Source of a price the operator entered."""

_NANO_PER_TOKEN = 1_000
"""Dollars per million tokens, times this, are billionths of a dollar per token."""
_MOST_NANO = 2**62
_REMEMBERED = 4096
"""Models whose match is remembered; a sender that invents names must not fill the memory."""
_LONGEST = 128
"""Characters of a name that are compared."""
_BOUNDARY = "-:@_/"
"""What may follow a name in a longer one of the same model: ``gpt-4o`` is not a ``gpt-4``."""


class Price(NamedTuple):
    """Price of a model in US dollars for a million tokens; fields are columns of the ``prices`` table."""

    model: str
    input_usd: float
    output_usd: float
    provider: str = ""
    source: str = PUBLIC
    valid_from_us: int = 0

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Price | None:
        """Return the price in a row, or None when its numbers make no sense."""
        model, rates = row.get("model"), (_rate(row.get("input_usd")), _rate(row.get("output_usd")))
        since = row.get("valid_from_us")
        if not isinstance(model, str) or not model.strip() or rates[0] is None or rates[1] is None:
            return None
        told = (str(row.get("provider") or ""), str(row.get("source") or OWN))
        return cls(plain(model), rates[0], rates[1], *told, since if isinstance(since, int) else 0)

    def nano(self, tokens_in: int, tokens_out: int) -> int:
        """Return what so many tokens cost, in billionths of a dollar."""
        cost = (tokens_in * self.input_usd + tokens_out * self.output_usd) * _NANO_PER_TOKEN
        return round(min(max(cost, 0), _MOST_NANO))


def plain(model: str) -> str:
    """Return a model's name as the table has it."""
    return model.strip().lower()


def _rate(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if math.isfinite(value) and value >= 0 else None


class PriceTable:
    """Finds the price of a model: its exact name, else the longest name it begins with.

    Of several prices of one name the latest that was in force counts, else the earliest. A name ends where
    a separator follows, so that no model takes the price of its smaller or larger sibling; routes that
    gateways put before a name (``vendor/model``) are skipped.

    Args:
        prices: the table's rows.
    """

    def __init__(self, prices: Iterable[Price]) -> None:
        self._prices: dict[str, list[Price]] = {}
        for price in sorted(prices, key=lambda price: price.valid_from_us):
            self._prices.setdefault(plain(price.model), []).append(price)
        self._found: dict[str, list[Price]] = {}

    def __iter__(self) -> Iterator[Price]:
        return iter([price for name in sorted(self._prices) for price in self._prices[name]])

    def match(self, model: str, at_us: int = 0) -> Price | None:
        """Return the price of a model at a time, or None when the table knows nothing like it."""
        found = self._found.get(model)
        if found is None:
            if len(self._found) >= _REMEMBERED:
                self._found.clear()
            found = self._found[model] = self._search(plain(model))
        in_force = [price for price in found if price.valid_from_us <= at_us]
        return in_force[-1] if in_force else found[0] if found else None

    def estimate(self, model: str, tokens_in: int, tokens_out: int, at_us: int) -> tuple[int, str] | None:
        """Return the billionths of a dollar that a call cost and the name matched.

        None when nothing matches or there are no tokens to count.
        """
        if tokens_in <= 0 and tokens_out <= 0:
            return None
        price = self.match(model, at_us)
        return None if price is None else (price.nano(max(tokens_in, 0), max(tokens_out, 0)), price.model)

    def _search(self, name: str) -> list[Price]:
        for candidate in _spellings(name):
            found = self._prices.get(candidate) or self._longest_prefix(candidate)
            if found:
                return found
        return []

    def _longest_prefix(self, name: str) -> list[Price] | None:
        for end in range(min(len(name) - 1, _LONGEST), 0, -1):
            if name[end] in _BOUNDARY or name[end - 1] in _BOUNDARY:
                found = self._prices.get(name[:end])
                if found:
                    return found
        return None


def _spellings(name: str) -> Iterable[str]:
    """The name as it is, then without the route before it, then as its maker spells it."""
    yield name
    if "/" in name:
        name = name.rsplit("/", 1)[1]
        yield name
    if "claude" in name:
        yield name[name.index("claude") :].replace(".", "-")


@cache
def _shipped() -> Mapping[str, Any]:
    shipped: dict[str, Any] = json.loads(files(__package__ or "").joinpath("prices.json").read_text("utf-8"))
    return shipped


def list_date() -> str:
    """Return the date of the shipped prices."""
    return str(_shipped()["as_of"])


@cache
def list_prices() -> tuple[Price, ...]:
    """Return the prices that ship with the board."""
    providers: dict[str, dict[str, list[float]]] = _shipped()["providers"]
    return tuple(
        Price(model, float(rates[0]), float(rates[1]), provider)
        for provider, models in providers.items()
        for model, rates in models.items()
    )

"""Reads JSON that came from outside without ever failing on it.

Readers look into ``payload`` and ``payload.data``, since SDKs put fields in both; whatever has the wrong
type counts as absent.
"""

from __future__ import annotations

import json
import math
from typing import Any

from hiveloop._guard import logger
from hiveloop._shape import is_dict, is_list

__all__ = ["Payload", "dicts", "number", "object_of", "ratio", "rounded", "text", "whole"]

_LARGEST = 2**63


class Payload:
    """The payload of an event, for reading."""

    __slots__ = ("data", "raw")

    def __init__(self, stored: object) -> None:
        self.raw = object_of(stored)
        self.data = object_of(self.raw.get("data"))

    def get(self, name: str) -> Any:
        """Return a field from ``data``, else from the payload itself."""
        found = self.data.get(name)
        return self.raw.get(name) if found is None else found

    def text(self, *names: str) -> str | None:
        """Return the first of some fields that holds text."""
        return next((found for name in names if (found := text(self.get(name))) is not None), None)

    def number(self, name: str) -> float | None:
        """Return a field that holds a finite number, also one written as text."""
        return number(self.get(name))

    def whole(self, name: str) -> int | None:
        """Return a field as a whole number."""
        return whole(self.get(name))

    def dicts(self, name: str) -> list[dict[str, Any]]:
        """Return the objects in a field that holds a list."""
        return dicts(self.get(name))

    @property
    def metadata(self) -> dict[str, Any]:
        """The ``metadata`` of an LLM call."""
        return object_of(self.get("metadata"))

    @property
    def summary(self) -> str | None:
        """The summary, wherever it is."""
        return text(self.raw.get("summary")) or text(self.data.get("summary"))

    @property
    def tags(self) -> list[str]:
        """The tags that are text."""
        found = self.raw.get("tags")
        return [tag for tag in found if isinstance(tag, str)] if is_list(found) else []


def object_of(stored: object) -> dict[str, Any]:
    """Return a JSON object, parsing text; empty for anything else."""
    if isinstance(stored, (str, bytes)):
        stored = _parsed(stored)
    return stored if is_dict(stored) else {}


def _parsed(stored: str | bytes) -> object:
    try:
        return json.loads(stored)
    except (ValueError, RecursionError):  # nothing the intake lets through; a damaged file has it
        logger.debug("hiveloop board: a stored payload is no JSON")
        return None


def text(value: object) -> str | None:
    """Return text, or a number as text; None for anything else and for an empty one."""
    if isinstance(value, str):
        return value or None
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    return None


def number(value: object) -> float | None:
    """Return a finite number of at most 64 bits, else None."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        value = _number_in(value)
    if isinstance(value, (int, float)) and -_LARGEST < value < _LARGEST:  # false for NaN
        return value
    return None


def _number_in(value: str) -> float | None:
    try:
        return float(value)
    except ValueError:
        return None


def whole(value: object) -> int | None:
    """Return a whole number, rounding what is not one."""
    found = number(value)
    return None if found is None else round(found)


def dicts(value: object) -> list[dict[str, Any]]:
    """Return the objects in a list; empty when it is none."""
    return [item for item in value if is_dict(item)] if is_list(value) else []


def ratio(part: float | None, total: float | None, scale: float = 1.0, digits: int = 4) -> float | None:
    """Return part of total times scale, or None without a total."""
    if not total or part is None:
        return None
    return rounded(part / total * scale, digits)


def rounded(value: float | None, digits: int = 6) -> float | None:
    """Return a finite number with at most so many digits after the point."""
    if value is None or not math.isfinite(value):
        return None
    return round(value, digits)

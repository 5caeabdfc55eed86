"""Looks facts up in a span's attributes, each under several names."""

from __future__ import annotations

import math

from hiveloop._shape import is_dict, is_list

from ._dialects import Name
from ._messages import LONGEST_TEXT, Attributes, SpanEvents, parsed

__all__ = ["count_of", "event_named", "number_of", "text_of"]


def event_named(events: SpanEvents, wanted: str) -> Attributes:
    """Return the attributes of the last event of a name; none without one."""
    for name, attributes in reversed(events):
        if name == wanted:
            return attributes
    return {}


# The next two look each name up themselves: a call for each would be most of the cost of reading a span.


def text_of(attributes: Attributes, names: tuple[Name, ...]) -> str | None:
    """Return the first of these attributes that is a text, or a list that begins with one."""
    for name in names:
        value = attributes.get(name) if type(name) is str else _within(attributes, name)
        if value is None:
            continue
        if is_list(value) and value:
            value = value[0]
        if not isinstance(value, str | int | float):
            continue
        text = value[:LONGEST_TEXT].strip() if isinstance(value, str) else str(value)
        if text:
            return text
    return None


def number_of(attributes: Attributes, names: tuple[Name, ...]) -> float | None:
    """Return the first of these attributes that is a number, 0 or more; digits as text count."""
    for name in names:
        value = attributes.get(name) if type(name) is str else _within(attributes, name)
        if value is None or isinstance(value, bool) or not isinstance(value, int | float | str):
            continue
        try:
            number = float(value)
        except (ValueError, OverflowError):
            continue
        if math.isfinite(number) and number >= 0:
            return number
    return None


def _within(attributes: Attributes, name: Name) -> object:
    """A value inside the JSON of an attribute."""
    held = attributes.get(name[0])
    tree = None if held is None else parsed(held)
    return tree.get(name[1]) if is_dict(tree) else None


def count_of(attributes: Attributes, names: tuple[Name, ...]) -> int | None:
    """Return the first of these attributes that is a number, as a whole one."""
    number = number_of(attributes, names)
    return None if number is None else round(number)

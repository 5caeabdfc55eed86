"""Type tests whose answer type checkers understand, for data that came from outside."""

from __future__ import annotations

from typing import Any, TypeGuard, cast

__all__ = ["LARGEST", "SMALLEST", "is_a", "is_dict", "is_list", "is_longer", "kind_of"]

SMALLEST, LARGEST = -(2**63), 2**63 - 1
"""Whole numbers that every receiver can be expected to take: those of 64 bits."""


def is_dict(value: object) -> TypeGuard[dict[str, Any]]:
    """Tell whether a JSON value is an object."""
    return issubclass(type(value), dict)


def is_list(value: object) -> TypeGuard[list[Any]]:
    """Tell whether a JSON value is an array; marshal gives tuples back too."""
    return issubclass(type(value), (list, tuple))


def is_longer(value: object, limit: int) -> bool:
    """Tell whether a value is a text of more than `limit` characters."""
    return issubclass(type(value), str) and str.__len__(cast("str", value)) > limit


def kind_of(value: object) -> type[Any]:
    """The true class of an object; `__class__` may lie, and may run code."""
    return type(value)


def is_a(kind: type[Any], *bases: type[Any]) -> bool:
    """Tell whether a class derives from one of `bases`."""
    return issubclass(kind, bases)

"""Identifiers that cost a counter on the caller's thread and become text on delivery.

An id is UUID text: 74 random bits drawn once per process, then a 48-bit counter. It is shaped as
a version 4 UUID because receivers check for that. A fork re-draws the random part, so parent and
child can never collide.
"""

from __future__ import annotations

import itertools
import os

__all__ = ["id_text", "next_number", "renew_after_fork"]

_MASK_12 = 0xFFF
_counter = itertools.count(1)
next_number = _counter.__next__
"""Return the next counter value of this process: atomic, about 20 ns."""

prefix = ""
"""The random part of this process's ids. Read it as ``_ids.prefix``: a fork replaces it."""

_ENDS = [f"{number:02x}" for number in range(256)]


class _Beginnings(dict[int, str]):
    """All of an id but its last two digits, by its number without them; formatting it takes twice as long."""

    def __missing__(self, high: int) -> str:
        if len(self) >= 64:
            self.clear()
        text = self[high] = f"{prefix}{high:010x}"
        return text


_beginnings = _Beginnings()


def _draw() -> str:
    bits = int.from_bytes(os.urandom(10), "big")
    high, mid = bits >> 48, (bits >> 32) & 0xFFFF
    version, variant = 0x4000 | (bits >> 16) & _MASK_12, 0x8000 | bits & 0x3FFF
    return f"{high:08x}-{mid:04x}-{version:04x}-{variant:04x}-"


def id_text(number: int, random_part: str | None = None) -> str:
    """Return the UUID text of a counter value.

    Args:
        number: a value of `next_number`.
        random_part: the prefix in force when the number was drawn; this process's by default.
    """
    if random_part is None or random_part is prefix:
        return _beginnings[number >> 8] + _ENDS[number & 0xFF]
    return f"{random_part or prefix}{number:012x}"


def renew_after_fork() -> None:
    """Draw a new random part, before the child of a fork makes its first id."""
    global prefix
    prefix = _draw()
    _beginnings.clear()


renew_after_fork()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=renew_after_fork)

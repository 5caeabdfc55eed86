"""API keys: what they look like, what they may do, and how they are kept.

A key is ``hb_live_``, ``hb_test_`` or ``hb_read_`` and 32 hexadecimal digits. Only its SHA-256 is kept: the
key has 128 random bits, so a slow hash would add nothing. Test keys see a world of their own.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from enum import StrEnum
from typing import NamedTuple

__all__ = ["Access", "KeyKind", "hash_of", "kind_of_key", "new_key", "prefix_of"]

_SHAPE = re.compile(r"hb_(live|test|read)_[0-9a-f]{32}")
_SHOWN = len("hb_live_") + 4


class KeyKind(StrEnum):
    """What a key is for."""

    LIVE = "live"
    TEST = "test"
    READ = "read"


class Access(NamedTuple):
    """Who asks, and what they may do.

    Attributes:
        name: tells askers apart for rate limits; never the key itself.
        world: "live" or "test".
        may_ingest: may send events.
        may_manage: may resolve issues, make and revoke keys, change prices.
    """

    name: str
    world: str
    may_ingest: bool
    may_manage: bool

    @staticmethod
    def of_key(kind: KeyKind, name: str) -> Access:
        """Return what the holder of a key may do: never manage, since each agent has one."""
        world = "test" if kind is KeyKind.TEST else "live"
        return Access(name, world, may_ingest=kind is not KeyKind.READ, may_manage=False)

    @staticmethod
    def of_browser(session: str, world: str) -> Access:
        """Return what the person in front of the board may do: look and manage, not send."""
        return Access(session, world, may_ingest=False, may_manage=True)


def new_key(kind: KeyKind) -> str:
    """Return a new key."""
    return f"hb_{kind.value}_{secrets.token_hex(16)}"


def hash_of(key: str) -> str:
    """Return what is kept of a key."""
    return hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()


def prefix_of(key: str) -> str:
    """Return the part of a key that may be shown, to recognise it by."""
    return key[:_SHOWN]


def kind_of_key(key: str) -> KeyKind | None:
    """Return the kind of a key by its shape, or None when it has the shape of none."""
    match = _SHAPE.fullmatch(key)
    return None if match is None else KeyKind(match[1])

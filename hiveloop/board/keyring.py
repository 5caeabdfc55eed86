"""The keys that are valid, kept in memory and read again from the store now and then."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, NamedTuple

from hiveloop._guard import logger

from .keys import Access, KeyKind, hash_of, kind_of_key, new_key, prefix_of
from .store.protocol import Store

__all__ = ["KeyInfo", "Keyring", "OwnKey"]

_FRESH_SECONDS = 5.0
"""How long another process's change may stay unseen."""
_SOON_SECONDS = 0.5
"""How soon an unknown key is looked up again."""
_USE_SECONDS = 60.0
_ALL = "SELECT key_id, hash, prefix, kind, name, created_us, last_used_us, revoked_us FROM keys"


class KeyInfo(NamedTuple):
    """What is known of a key."""

    key_id: str
    kind: KeyKind


class Keyring:
    """Knows keys by their hashes; any thread.

    Args:
        store: where they are kept.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._known: dict[str, KeyInfo] = {}
        self._read_at = -_FRESH_SECONDS
        self._noted: dict[str, float] = {}

    def find(self, key: str) -> Access | None:
        """Return what the holder of a key may do, or None when it is no valid key."""
        if kind_of_key(key) is None:
            return None
        found = self._info(key)
        if found is None:
            return None
        self._note_use(found.key_id)
        return Access.of_key(found.kind, found.key_id)

    def knows(self, key: str) -> bool:
        """Tell whether a key is valid, without taking that for a use of it."""
        return self._info(key) is not None

    def _info(self, key: str) -> KeyInfo | None:
        digest = hash_of(key)
        return self._current(_FRESH_SECONDS).get(digest) or self._current(_SOON_SECONDS).get(digest)

    def _current(self, age: float) -> dict[str, KeyInfo]:
        with self._lock:
            now = time.monotonic()
            if now - self._read_at > age:
                self._known, self._read_at = self._valid(), now
            return self._known

    def _valid(self) -> dict[str, KeyInfo]:
        with self._store.reader() as reader:
            rows = reader.rows(f"{_ALL} WHERE revoked_us IS NULL")
        return {str(row["hash"]): KeyInfo(str(row["key_id"]), KeyKind(str(row["kind"]))) for row in rows}

    def _note_use(self, key_id: str) -> None:
        """Write down that a key is in use, at most once a minute."""
        now = time.monotonic()
        if now - self._noted.get(key_id, -_USE_SECONDS) < _USE_SECONDS:
            return
        self._noted[key_id] = now
        sql = "UPDATE keys SET last_used_us = ? WHERE key_id = ?"
        self._store.manage(sql, (time.time_ns() // 1_000, key_id)).add_done_callback(_noted)

    def forget(self) -> None:
        """Read the keys again before the next look."""
        with self._lock:
            self._read_at = -_FRESH_SECONDS

    # -- changes ------------------------------------------------------------------------------

    def shown(self) -> list[dict[str, Any]]:
        """Return the keys as their list shows them, the oldest first."""
        with self._store.reader() as reader:
            return [*reader.rows(f"{_ALL} ORDER BY created_us, key_id")]

    def add(self, kind: KeyKind, name: str, key: str | None = None) -> tuple[str, str, Future[int]]:
        """Make a key valid once the returned future is done; return its id and the key itself."""
        key = key or new_key(kind)
        key_id = str(uuid.uuid4())
        sql = (
            "INSERT INTO keys (key_id, hash, prefix, kind, name, created_us) VALUES (?, ?, ?, ?, ?, ?)"
            " ON CONFLICT DO NOTHING"
        )
        row = (key_id, hash_of(key), prefix_of(key), kind.value, name, time.time_ns() // 1_000)
        return key_id, key, self._store.manage(sql, row)

    def revoke(self, key_id: str) -> Future[int]:
        """Make a key invalid; the future tells 0 when there is no such valid key."""
        sql = "UPDATE keys SET revoked_us = ? WHERE key_id = ? AND revoked_us IS NULL"
        return self._store.manage(sql, (time.time_ns() // 1_000, key_id))


class OwnKey:
    """The key that a board shows in its pages and hands to programs of its user; any thread.

    Args:
        keyring: knows whether it is valid.
        key: it; None for a board that shows none.
        keep: told of the one that takes its place once it was revoked; None to have none then.
    """

    def __init__(self, keyring: Keyring, key: str | None, keep: Callable[[str], None] | None = None) -> None:
        self._keyring = keyring
        self._key = key
        self._keep = keep
        self._lock = threading.Lock()

    @property
    def shown(self) -> str | None:
        """The key; None once it was revoked and none has taken its place."""
        key = self._key
        return key if key is not None and self._keyring.knows(key) else None

    def has_hash(self, digest: str) -> bool:
        """Tell whether what is kept of a key is of this one."""
        return self._key is not None and hash_of(self._key) == digest

    def renew(self) -> None:
        """Put another key in its place if it was revoked.

        Raises:
            StoreError: the store could not keep it; the next call tries again.
            OSError: it is valid, and shown, but nobody else could be told.
        """
        with self._lock:
            if self._key is None or self._keep is None or self._keyring.knows(self._key):
                return
            _, key, done = self._keyring.add(KeyKind.LIVE, "own key")
            done.result()
            self._keyring.forget()
            self._key = key
            self._keep(key)


def _noted(done: Future[int]) -> None:
    # The use of a key is for people; a full disk must not stop who uses it.
    if not done.cancelled() and done.exception() is not None:
        logger.debug("hiveloop board: the use of a key was not noted: %s", done.exception())

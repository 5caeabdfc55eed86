"""Trace and span ids, derived from HiveLoop's own, so that both sides can be searched by either.

The same task run gives the same ids in every process and after every restart. A trace id equals the
run id when that is a UUID, as it is unless the caller chose another. Hashing is BLAKE2b: short,
fast and the same everywhere; nothing depends on its secrecy.
"""

from __future__ import annotations

from hashlib import blake2b
from uuid import UUID

__all__ = ["sampling_id", "span_id", "trace_id"]


def trace_id(agent_id: str, run_id: str) -> int:
    """Return the id of a trace that begins with a task run: 128 bits, never 0."""
    return _as_uuid(run_id) or _hashed(f"trace\x1f{agent_id}\x1f{run_id}", 16)


def span_id(kind: str, own_id: str) -> int:
    """Return the id of a span: 64 bits, never 0.

    Args:
        kind: "task", "action", "llm", "plan" or "event".
        own_id: the task's run id, the action's id, or the event's.
    """
    # A run id is compared as a UUID, however it is written.
    return _hashed(f"{kind}\x1f{_canonical(own_id) if kind == 'task' else own_id}", 8)


def sampling_id(trace: int) -> int:
    """Return an evenly spread stand-in of a trace id, for samplers that look at its low bits.

    Those of a UUID are not random: they hold its variant, and in ours a counter.
    """
    return _hashed(f"{trace:032x}", 16)


def _canonical(run_id: str) -> str:
    if len(run_id) == 36 and run_id.islower():
        return run_id
    number = _as_uuid(run_id)
    return run_id if number is None else str(UUID(int=number))


def _as_uuid(text: str) -> int | None:
    try:
        if len(text) == 36 and text.count("-") == 4:  # as UUID would, in a fraction of the time
            return int(text.replace("-", ""), 16) or None
    except ValueError:
        pass
    try:
        return UUID(text).int or None
    except ValueError:
        return None


def _hashed(text: str, size: int) -> int:
    digest = blake2b(text.encode("utf-8", "replace"), digest_size=size, person=b"hiveloop-otel")
    return int.from_bytes(digest.digest(), "big") or 1

"""Spans that wait for the spans around them, in the database: a board that is killed forgets none.

Written in the transaction before a sender is told that they were taken, and struck out in the transaction
that stores what became of them. What a board finds there at its start, or grown too old for any living board
to be at it, it takes over.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from .model import WORLDS
from .otlp import SpanData
from .store.protocol import Reader, Statement, Value

__all__ = ["CREATE", "strike_out", "waiting", "write_down"]

CREATE = (
    "CREATE TABLE IF NOT EXISTS waiting_spans (world TEXT NOT NULL, trace_id TEXT NOT NULL, "
    "span_id TEXT NOT NULL, since_us BIGINT NOT NULL, span TEXT NOT NULL, "
    "PRIMARY KEY (world, trace_id, span_id))"
)
_INSERT = "INSERT INTO waiting_spans VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
_DELETE = "DELETE FROM waiting_spans WHERE world = ? AND trace_id = ? AND span_id = ?"
_SELECT = "SELECT span FROM waiting_spans WHERE world = ? AND since_us < ? ORDER BY since_us LIMIT ?"
_MOST = 5_000


def write_down(world: str, spans: Iterable[SpanData], now_us: int) -> list[Statement]:
    """Return the statements that keep spans."""
    return [
        (_INSERT, (world, span.trace_id, span.span_id, now_us, msgspec.json.encode(span).decode()))
        for span in spans
    ]


def strike_out(world: str, spans: Iterable[SpanData]) -> list[Statement]:
    """Return the statements that forget spans."""
    return [(_DELETE, (world, span.trace_id, span.span_id)) for span in spans]


def waiting(reader: Reader, until_us: int) -> dict[str, list[SpanData]]:
    """Return spans that were written down before a time, by world; the oldest, if there are very many."""
    return {
        world: [_span(row["span"]) for row in reader.rows(_SELECT, (world, until_us, _MOST))]
        for world in WORLDS
    }


def _span(text: Value) -> SpanData:
    return msgspec.json.decode(str(text), type=SpanData)

"""Percentiles from histograms of durations."""

from __future__ import annotations

from typing import Any

from hiveloop.board.store.protocol import Reader

from ._rollups import Rows

__all__ = ["Histogram", "histograms"]


class Histogram:
    """How many durations fell into each bucket; bucket b ends at 2 ** (b / 8) milliseconds."""

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}

    def add(self, bucket: int, count: int) -> None:
        """Count durations of one bucket."""
        self._counts[bucket] = self._counts.get(bucket, 0) + count

    def at(self, share: float) -> int | None:
        """Return the milliseconds that a share of all durations does not exceed; None without any."""
        wanted = share * sum(self._counts.values())
        seen = 0
        for bucket in sorted(self._counts):
            seen += self._counts[bucket]
            if seen >= wanted > 0:
                return round(2 ** (min(bucket, 400) / 8)) if bucket > 0 else 0
        return None

    def to_json(self) -> dict[str, Any]:
        """Return the usual ones."""
        return {"p50_ms": self.at(0.5), "p95_ms": self.at(0.95)}


def histograms(db: Reader, rows: Rows) -> dict[str, Histogram]:
    """Return the histogram of each name in rows of one subject: action, call or task."""
    sql = f"SELECT name, bucket, SUM(n) AS n FROM {rows.of(('name', 'bucket'), ['n'])} GROUP BY name, bucket"
    found: dict[str, Histogram] = {}
    for row in db.rows(sql, rows.args):
        found.setdefault(str(row["name"]), Histogram()).add(int(row["bucket"] or 0), int(row["n"] or 0))
    return found

"""Interval arithmetic, so that a breakdown of time adds up however calls nest and overlap."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

__all__ = ["Interval", "clip", "length", "minus", "union"]

Interval = tuple[int, int]
"""Start and end in microseconds, the end not included."""


def union(intervals: Iterable[Interval]) -> list[Interval]:
    """Return what some intervals cover, sorted and without overlap."""
    merged: list[Interval] = []
    for start, end in sorted(interval for interval in intervals if interval[0] < interval[1]):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged


def clip(intervals: Iterable[Interval], start: int, end: int) -> list[Interval]:
    """Return the parts of some intervals that lie between two points."""
    return [(max(a, start), min(b, end)) for a, b in intervals if max(a, start) < min(b, end)]


def minus(covered: Iterable[Interval], taken: Iterable[Interval]) -> list[Interval]:
    """Return what the first intervals cover and the second do not."""
    left: list[Interval] = []
    cuts, i = union(taken), 0
    for start, end in union(covered):
        while i < len(cuts) and cuts[i][1] <= start:
            i += 1
        left += _without(start, end, cuts, i)
    return left


def _without(start: int, end: int, cuts: list[Interval], first: int) -> Iterator[Interval]:
    """The parts of one interval that no cut from the first on covers."""
    for cut_start, cut_end in islice(cuts, first, None):
        if cut_start >= end:
            break
        if start < cut_start:
            yield start, cut_start
        start = max(start, cut_end)
    if start < end:
        yield start, end


def length(intervals: Iterable[Interval]) -> int:
    """Return how long some intervals are together; they may not overlap."""
    return sum(end - start for start, end in intervals)

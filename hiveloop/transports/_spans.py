"""Pieces of a line: joined with space between them, and made to fit."""

from __future__ import annotations

from typing import NamedTuple

from ._text import cells, shorten

__all__ = ["Span", "fitted", "joined"]

_READABLE, _STUB = 26, 10


class Span(NamedTuple):
    """A piece of a line.

    Attributes:
        text: clean text.
        style: what it means: "name", "ok", "fail", "warn", "llm", "plan", "cost", "tag", "guide", "" for
            plain, or "dim" for what may be left out when the line does not fit.
        flex: it is shortened first when the line does not fit.
    """

    text: str
    style: str = ""
    flex: bool = False


def joined(*spans: Span) -> list[Span]:
    """Return the spans that have text, each but the first with two spaces before it."""
    shown = [span for span in spans if span.text]
    return shown[:1] + [span._replace(text=f"  {span.text}") for span in shown[1:]]


def fitted(spans: list[Span], room: int, mark: str) -> list[Span]:
    """Return the spans in at most `room` cells.

    Flexible ones give way first, the last one most; then dim ones are left out, from the end; then
    flexible ones shrink to a stub, and what is still too long is cut.
    """
    if _size(spans) <= room:
        return spans
    bent = _bent(spans, room, _READABLE, mark)
    while _size(bent) > room and any(span.style == "dim" for span in spans):
        spans = _without_last_dim(spans)
        bent = _bent(spans, room, _READABLE, mark)
    return _cut(_bent(bent, room, _STUB, mark), room, mark)


def _size(spans: list[Span]) -> int:
    return sum(cells(span.text) for span in spans)


def _bent(spans: list[Span], room: int, least: int, mark: str) -> list[Span]:
    bent, excess = list(spans), _size(spans) - room
    for index in reversed(range(len(bent))):
        span = bent[index]
        size = cells(span.text)
        if excess > 0 and span.flex and size > least:
            text = shorten(span.text, max(least, size - excess), mark)
            excess -= size - cells(text)
            bent[index] = span._replace(text=text)
    return bent


def _without_last_dim(spans: list[Span]) -> list[Span]:
    last = max(index for index, span in enumerate(spans) if span.style == "dim")
    return spans[:last] + spans[last + 1 :]


def _cut(spans: list[Span], room: int, mark: str) -> list[Span]:
    kept: list[Span] = []
    for index, span in enumerate(spans):
        if _size(spans[index:]) <= room:
            return [*kept, *spans[index:]]
        if cells(span.text) + cells(mark) > room:
            text = shorten(span.text, room - cells(mark), "") + mark
            return [*kept, span._replace(text=text)]
        kept.append(span)
        room -= cells(span.text)
    return kept

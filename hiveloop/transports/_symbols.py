"""The marks of the console: one set for terminals that know Unicode, one in plain ASCII.

Every mark is one cell wide in common fonts; none is an emoji, whose width terminals disagree about.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["ASCII", "UNICODE", "Symbols", "symbols_for"]


class Symbols(NamedTuple):
    """One text per meaning; see the two instances."""

    open: str = "┌"
    bar: str = "│"
    close: str = "└"
    done: str = "✓"
    failed: str = "✗"
    caution: str = "!"
    llm: str = "◆"
    plan: str = "≡"
    step: str = "▸"
    filled: str = "■"
    empty: str = "□"
    retry: str = "↻"
    escalated: str = "↑"
    asked: str = "?"
    waiting: str = "○"
    queue: str = "≣"
    clock: str = "◷"
    agent: str = "●"
    beat: str = "♥"
    other: str = "·"
    arrow: str = "→"
    times: str = "\N{MULTIPLICATION SIGN}"
    dot: str = "·"
    ellipsis: str = "…"


UNICODE = Symbols()
ASCII = Symbols(
    open="+",
    bar="|",
    close="`",
    done="ok",
    failed="FAILED",
    caution="!",
    llm="*",
    plan="=",
    step=">",
    filled="#",
    empty="-",
    retry="~",
    escalated="^",
    asked="?",
    waiting="o",
    queue="=",
    clock="@",
    agent="@",
    beat="~",
    other="-",
    arrow="->",
    times="x",
    dot="-",
    ellipsis="...",
)


def symbols_for(encoding: str | None) -> Symbols:
    """Return the Unicode set, or the ASCII one when `encoding` cannot write it."""
    try:
        "".join(UNICODE).encode(encoding or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return ASCII
    return UNICODE

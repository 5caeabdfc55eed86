"""Text for one line of a terminal: made safe, measured, shortened; and numbers as people read them.

Everything shown comes from an agent, and so from models and web pages. An escape sequence in it
could recolour, overwrite or retitle the reader's terminal, and a bidirectional override could turn
a line around; `clean` leaves nothing of the kind.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable, Mapping, Sized
from typing import Any, cast

__all__ = [
    "cells",
    "clean",
    "count",
    "duration",
    "facts",
    "list_of",
    "mapping_of",
    "money",
    "number",
    "shorten",
    "text_of",
]

_LONGEST = 2_000
_MAX_FACTS = 8
_FACT_CELLS = 40
_BREAKS = str.maketrans({"\n": " ", "\r": " ", "\t": " ", "\v": " ", "\f": " ", "\x85": " "})
_EMOJI_JOINTS = frozenset("\u200d\ufe0f")


def clean(text: str) -> str:
    """Return `text` on one line, without any character that a terminal would act upon.

    White space becomes a plain space, controls and lone surrogates are shown as escapes (``\\x1b``),
    and invisible format characters are left out. Only the first 2000 characters are looked at.
    """
    text = text[:_LONGEST]
    if text.isprintable():
        return text
    return "".join(map(_safe, text.translate(_BREAKS)))


def _safe(char: str) -> str:
    if char.isprintable() or char in _EMOJI_JOINTS:
        return char
    match unicodedata.category(char):
        case "Cf":
            return ""
        case "Zs" | "Zl" | "Zp":
            return " "
        case _:
            return char.encode("unicode_escape").decode("ascii")


def cells(text: str) -> int:
    """Return the width of clean text in terminal cells: two for East Asian and emoji, none for accents."""
    return len(text) if text.isascii() else sum(map(_cell, text))


def _cell(char: str) -> int:
    if unicodedata.combining(char) or char in _EMOJI_JOINTS or unicodedata.category(char) in ("Me", "Mn"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def shorten(text: str, width: int, mark: str = "…") -> str:
    """Return `text` in at most `width` cells; what was cut ends in `mark`."""
    if cells(text) <= width:
        return text
    room = width - cells(mark)
    if room <= 0:
        return mark[: max(width, 0)]
    kept = 0
    for index, char in enumerate(text):
        kept += _cell(char)
        if kept > room:
            return text[:index].rstrip() + mark
    return text


def text_of(value: object) -> str:
    """Return clean text for a payload value that should be text; empty for None."""
    if isinstance(value, str):
        return clean(value)
    return "" if value is None else clean(str(value))


def mapping_of(value: object) -> dict[str, Any]:
    """Return a payload value that should be a mapping; empty when it is none."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def list_of(value: object) -> list[Any]:
    """Return a payload value that should be a list; empty when it is none."""
    return [*cast("Iterable[Any]", value)] if isinstance(value, list) else []


def number(value: object) -> float | None:
    """Return a payload value as a finite number, or None when it is no such thing."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None


def count(value: float) -> str:
    """Return a whole number, with separators from 10 000 on: ``1200``, ``18,412``."""
    whole = round(value)
    return str(whole) if abs(whole) < 10_000 else f"{whole:,}"


def money(usd: float) -> str:
    """Return US dollars with the digits that matter: ``$12.50``, ``$0.008``, ``$0.00042``."""
    if usd == 0:
        return "$0"
    if abs(usd) >= 1:
        return f"${usd:,.2f}"
    digits = min(9, 1 - math.floor(math.log10(abs(usd))) + (abs(usd) >= 0.01))
    return "$" + f"{usd:.{digits}f}".rstrip("0").rstrip(".")


def duration(seconds: float) -> str:
    """Return a length of time in at most two units: ``85ms``, ``1.2s``, ``3m 05s``, ``2h 07m``."""
    if seconds < 0.9995:
        return f"{max(0, round(seconds * 1000))}ms"
    if seconds < 59.95:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}m {rest:02d}s"
    hours, minutes = divmod(minutes, 60)
    return f"{count(hours)}h {minutes:02d}m"


def facts(data: Mapping[str, object], mark: str = "…") -> str:
    """Return ``key=value`` pairs of a mapping; long values are cut and nested ones only hinted at."""
    shown = [f"{text_of(key)}={_fact(value, mark)}" for key, value in list(data.items())[:_MAX_FACTS]]
    return " ".join([*shown, mark] if len(data) > _MAX_FACTS else shown)


def _fact(value: object, mark: str) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case dict():
            return "{}" if not value else f"{{{mark}}}"
        case list():
            return f"[{len(cast('Sized', value))}]"
        case float():
            return f"{value:.6g}"
        case str():
            shown = shorten(clean(value), _FACT_CELLS, mark)
            return f'"{shown}"' if " " in shown or not shown else shown
        case _:
            return shorten(text_of(value), _FACT_CELLS, mark)

"""Words, sentences and tokens of plain and Markdown text."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = [
    "Section",
    "checksum",
    "clip",
    "count_tokens",
    "cut_tokens",
    "prose_lines",
    "sections",
    "sentences",
    "terms",
]

# A token is a piece of a word of up to seven letters, up to three digits, or one mark. No real model counts
# exactly so, but long words and marks weigh more here as they do there, and the count is the same everywhere.
_TOKEN = re.compile(r"[^\W\d_]{1,7}|\d{1,3}|[^\w\s]|_")
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?")
_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})")
_HEADING = re.compile(r"^(#{1,6})\s+(\S.*)$")
_LINK = re.compile(r"!?\[([^\[\]]*)\]\([^()]*\)")
_MARKUP = re.compile(r"[*_`]+|^\s*(?:[-+*>]|\d+[.)])\s+", re.MULTILINE)
_SENTENCE_END = re.compile(r"(?<=[.!?])[\"')]*\s+(?=[\"'(]?\w)")
_STOPWORD_TEXT = """
    a about after all also an and any are as at be because been before but by can could did do does each for
    from had has have how i if in into is it its just like may more most much must my no not of on one only or
    other our out over say says should so some such than that the their them then there these they this those
    to too up us very was way we were what when where which while who whom whose why will with would you your
"""
_STOPWORDS = frozenset(_STOPWORD_TEXT.split())


@dataclass(frozen=True, slots=True)
class Section:
    """One heading and the prose below it, without code blocks, comments and markup.

    Attributes:
        heading: text of the heading; empty before the first one.
        level: 1 to 6; 0 before the first heading.
        line: 1-based line of the heading.
        text: the prose.
    """

    heading: str
    level: int
    line: int
    text: str


def count_tokens(text: str) -> int:
    """Count the tokens of `text`."""
    return sum(1 for _ in _TOKEN.finditer(text))


def cut_tokens(text: str, limit: int) -> str:
    """Return the start of `text` that holds at most `limit` tokens."""
    for number, match in enumerate(_TOKEN.finditer(text)):
        if number == limit:
            return text[: match.start()].rstrip()
    return text


def terms(text: str) -> list[str]:
    """Return the content words of `text` in lower case, cut to a rough stem, stop words left out."""
    words = (word.casefold() for word in _WORD.findall(text))
    return [_stem(word) for word in words if len(word) > 1 and word not in _STOPWORDS]


def _stem(word: str) -> str:
    for ending in ("ing", "ies", "ed", "es", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 4:
            return word[: -len(ending)]
    return word


def sentences(text: str) -> list[str]:
    """Split prose into sentences, each on one line."""
    paragraphs = re.split(r"\n\s*\n|\n(?=\s*(?:[-+*]|\d+[.)])\s)", text)
    found: list[str] = []
    for paragraph in paragraphs:
        flat = " ".join(_MARKUP.sub("", _LINK.sub(r"\1", paragraph)).split())
        found.extend(sentence for sentence in _SENTENCE_END.split(flat) if len(sentence) > 2)
    return found


def sections(text: str) -> list[Section]:
    """Split a document at its Markdown headings; plain text is a single section."""
    found: list[Section] = []
    heading, level, start, body = "", 0, 1, list[str]()
    for number, line, in_code in prose_lines(text):
        match = None if in_code else _HEADING.match(line)
        if match is None:
            if not in_code:
                body.append(line)
            continue
        found.append(Section(heading, level, start, "\n".join(body).strip()))
        heading, level, start, body = match.group(2).rstrip("# \t"), len(match.group(1)), number, []
    found.append(Section(heading, level, start, "\n".join(body).strip()))
    return [section for section in found if section.text or section.heading]


def prose_lines(text: str) -> Iterator[tuple[int, str, bool]]:
    """Yield line number, line and whether it is part of a code block; comments are blanked out."""
    visible = _COMMENT.sub(lambda match: "\n" * match.group().count("\n"), text)
    fence = ""
    for number, line in enumerate(visible.splitlines(), start=1):
        mark = _FENCE.match(line)
        if fence:
            yield number, line, True
            if mark and mark.group(1).startswith(fence) and not line.strip(" `~"):
                fence = ""
        elif mark:
            fence = mark.group(1)
            yield number, line, True
        else:
            yield number, line, False


def clip(text: str, length: int = 120) -> str:
    """Return `text` on one line, at most `length` characters, cut with an ellipsis in ASCII."""
    flat = " ".join(text.split())
    return flat if len(flat) <= length else flat[: length - 3].rstrip() + "..."


def checksum(text: str) -> str:
    """Return eight hexadecimal digits that change when `text` does."""
    return f"{zlib.crc32(text.encode('utf-8', 'surrogatepass')):08x}"

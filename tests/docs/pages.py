"""Read the Markdown pages: their fenced blocks, with what stands above each, and their links."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["DOCS", "PAGES", "ROOT", "Block", "blocks", "links", "prose", "table_rows"]

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]

_FENCE = re.compile(r"^(?P<indent>\s*)(?P<ticks>`{3,})\s*(?P<language>\w*)")
_COMMENT = re.compile(r"^\s*<!--\s*(?P<words>.*?)\s*-->\s*$")
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\((?P<target>[^)\s]+)[^)]*\)|!\[[^\]]*\]\((?P<image>[^)\s]+)[^)]*\)")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block.

    Attributes:
        page: the file it is in.
        line: number of its first line of content, from 1.
        language: word after the fence, or empty.
        note: words of the HTML comment right above it, or empty.
        text: content, without the indentation of the fence.
    """

    page: Path
    line: int
    language: str
    note: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path, language: str | None = None) -> list[Block]:
    """Return the fenced blocks of a page, or those of one language."""
    return [block for block in _blocks(page) if language in (None, block.language)]


def _blocks(page: Path) -> Iterator[Block]:
    lines = iter(enumerate(page.read_text(encoding="utf-8").splitlines(), 1))
    note = ""
    for number, line in lines:
        fence = _FENCE.match(line)
        if fence:
            text = "\n".join(_content(lines, fence["ticks"], len(fence["indent"])))
            yield Block(page, number + 1, fence["language"], note, f"{text}\n")
        comment = _COMMENT.match(line)
        if comment or line.strip():
            note = comment["words"] if comment else ""


def _content(lines: Iterator[tuple[int, str]], ticks: str, indent: int) -> Iterator[str]:
    for _, line in lines:
        if line.strip() == ticks:
            return
        yield line[min(indent, len(line) - len(line.lstrip())) :]
    raise AssertionError("a fence is not closed")


def prose(page: Path) -> str:
    """Return a page without its fenced blocks and inline code."""
    fenced = re.sub(
        r"^(\s*)(`{3,}).*?^\1\2\s*$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL
    )
    return re.sub(r"`[^`\n]*`", "", fenced)


def links(page: Path) -> list[str]:
    """Return the targets of links and images that stay within the project."""
    found = [match["target"] or match["image"] for match in _LINK.finditer(prose(page))]
    return [target for target in found if not re.match(r"[a-z]+:", target)]


def table_rows(page: Path, heading: str) -> list[list[str]]:
    """Return the cells of the first table below a heading, without its head."""
    text = page.read_text(encoding="utf-8")
    section = text.split(f"# {heading}\n", 1)[1]
    rows = re.findall(r"^\|(.+)\|$", section.split("\n#", 1)[0], flags=re.MULTILINE)
    cells = [[cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", row)] for row in rows]
    return cells[2:]

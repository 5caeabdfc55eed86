"""What the checker looks for in a document, and what the editor can repair by itself."""

from __future__ import annotations

import ast
import difflib
import posixpath
import re
import textwrap
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise
from urllib.parse import unquote

from .text import checksum, prose_lines
from .workspace import Document

__all__ = ["CHECKS", "Finding", "check_code", "check_headings", "check_links", "check_words", "repair"]

_LINK = re.compile(r"\[[^\[\]]*\]\(\s*<?([^()<>\s]+)>?[^()]*\)")
_CODE_SPAN = re.compile(r"`[^`]*`")
_REPEATED = re.compile(r"\b([^\W\d_]{2,})\s+\1\b", re.IGNORECASE)
_OPENING = re.compile(r"^ {0,3}(`{3,}|~{3,})\s*([\w+-]*)")
_LEGITIMATE_PAIRS = frozenset({"that", "had", "is", "in", "do", "so", "no", "very", "bye"})


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong in a document.

    Attributes:
        document: name of the document.
        check: name of the check that found it.
        line: 1-based line.
        message: what is wrong, for people.
        severity: "low", "medium" or "high".
        wrong: the text at fault, exactly as it stands there.
    """

    document: str
    check: str
    line: int
    message: str
    severity: str
    wrong: str

    @property
    def id(self) -> str:
        """The same for the same fault, also after lines above it have moved."""
        return f"{self.document}:{self.check}:{checksum(self.wrong)}"


def check_links(document: Document, target_text: Callable[[str], str | None]) -> list[Finding]:
    """Follow the links to other files and headings of the folder; links to the web are not followed.

    Args:
        document: the document to check.
        target_text: returns the text of a file by its path, or None when there is no such file.
    """
    if not document.is_markdown:
        return []
    found: list[Finding] = []
    for number, line, in_code in prose_lines(document.text):
        for target in [] if in_code else _LINK.findall(_CODE_SPAN.sub("", line)):
            problem = _link_problem(document, target, target_text)
            if problem:
                found.append(Finding(document.name, "links", number, problem, "medium", target))
    return found


def _link_problem(document: Document, target: str, target_text: Callable[[str], str | None]) -> str | None:
    path, _, anchor = unquote(target).partition("#")
    if re.match(r"[a-zA-Z][\w+.-]*:|//|/", path):
        return None
    name = (
        posixpath.normpath(posixpath.join(posixpath.dirname(document.name), path)) if path else document.name
    )
    text = document.text if name == document.name else target_text(name)
    if text is None:
        return f"broken link: there is no {path}"
    if anchor and name.lower().endswith((".md", ".markdown")) and anchor.lower() not in _anchors(text):
        return f"broken link: {path or 'this page'} has no heading for #{anchor}"
    return None


def _anchors(text: str) -> set[str]:
    headings = [
        line.lstrip("#") for _, line, in_code in prose_lines(text) if line.startswith("#") and not in_code
    ]
    plain = {re.sub(r"\s+", "-", re.sub(r"[^\w\s-]", "", heading.lower()).strip()) for heading in headings}
    return plain | set(re.findall(r"""(?:id|name)=["']([^"']+)["']""", text.lower()))


def check_headings(document: Document, _: Callable[[str], str | None]) -> list[Finding]:
    """Look for a missing title and for levels that are jumped over."""
    levels = [section for section in document.sections() if section.level]
    if not document.is_markdown or not levels:
        return []
    found: list[Finding] = []
    for before, after in pairwise(levels):
        if after.level > before.level + 1:
            message = f'heading "{after.heading}" jumps from level {before.level} to {after.level}'
            found.append(Finding(document.name, "headings", after.line, message, "low", after.heading))
    return found


def check_code(document: Document, _: Callable[[str], str | None]) -> list[Finding]:
    """Parse every Python block, without running it."""
    found: list[Finding] = []
    for start, code in _python_blocks(document) if document.is_markdown else ():
        problem = _syntax_problem(code)
        if problem:
            line, message = problem
            text = f"Python block does not parse: {message}"
            found.append(Finding(document.name, "code", start + line, text, "high", code))
    return found


def _python_blocks(document: Document) -> Iterable[tuple[int, str]]:
    """Yield the line of the opening mark and the code of every Python block."""
    block: list[str] | None = None
    start = 0
    for number, line, in_code in prose_lines(document.text):
        opening = _OPENING.match(line) if in_code else None
        if block is None and opening:
            block, start = (
                (list[str]() if opening.group(2).lower() in ("python", "py", "python3") else None),
                number,
            )
        elif block is not None and (opening or not in_code):
            yield start, textwrap.dedent("\n".join(block))
            block = None
        elif block is not None:
            block.append(line)
    if block is not None:
        yield start, textwrap.dedent("\n".join(block))


def _syntax_problem(code: str) -> tuple[int, str] | None:
    if code.lstrip().startswith(">>>"):  # a console session, not a program
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(code, "<block>", "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    except SyntaxError as error:
        return error.lineno or 1, error.msg
    except (ValueError, RecursionError, MemoryError) as error:
        return 1, str(error) or type(error).__name__
    return None


def check_words(document: Document, _: Callable[[str], str | None]) -> list[Finding]:
    """Look for doubled words, also across a line end."""
    lines = [
        ("" if in_code else _CODE_SPAN.sub("`", line)) for _, line, in_code in prose_lines(document.text)
    ]
    found: list[Finding] = []
    for match in _REPEATED.finditer("\n".join(lines)):
        word = match.group(1)
        if word.lower() in _LEGITIMATE_PAIRS or "\n\n" in match.group():
            continue
        line = "\n".join(lines).count("\n", 0, match.start()) + 1
        found.append(
            Finding(document.name, "words", line, f'doubled word "{word} {word}"', "low", match.group())
        )
    return found


CHECKS: dict[str, Callable[[Document, Callable[[str], str | None]], list[Finding]]] = {
    "links": check_links,
    "headings": check_headings,
    "code": check_code,
    "words": check_words,
}
"""The checks by name, in the order in which they run."""


def repair(document: Document, finding: Finding, names: Iterable[str]) -> tuple[str, str] | None:
    """Propose a repair: the corrected text and a sentence for the person who approves it.

    Args:
        document: the document as it is now.
        finding: the fault.
        names: the documents of the folder, to guess what a broken link meant.

    Returns:
        None when the fault needs a person, or is no longer there.
    """
    if finding.wrong not in document.text:
        return None
    match finding.check:
        case "words":
            word = finding.wrong.split()[0]
            return document.text.replace(
                finding.wrong, word, 1
            ), f'write "{word}" once on line {finding.line}'
        case "links":
            return _repair_link(document, finding, names)
        case _:
            return None


def _repair_link(document: Document, finding: Finding, names: Iterable[str]) -> tuple[str, str] | None:
    path, mark, anchor = finding.wrong.partition("#")
    folder = posixpath.dirname(document.name)
    known = [posixpath.relpath(name, folder or ".") for name in names if name != document.name]
    close = difflib.get_close_matches(path, known, n=1, cutoff=0.8)
    if not close or close[0] == path:
        return None
    target = close[0] + mark + anchor
    text = document.text.replace(f"]({finding.wrong}", f"]({target}", 1)
    return text, f"link to {target} instead of {finding.wrong} on line {finding.line}"

"""The folder that the fleet works on: finding, reading and correcting its documents.

The folder itself is never written to. Corrections go to a second folder, and are read from there
afterwards, so that the fleet sees its own work.
"""

from __future__ import annotations

import codecs
import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from .text import Section, checksum, sections

__all__ = ["Document", "Listing", "UnreadableError", "Workspace"]

DOCUMENT_SUFFIXES = frozenset({".md", ".markdown", ".mdx", ".rst", ".txt", ".text", ".adoc", ".org"})
MAX_BYTES = 1_000_000
"""A document is read up to this size, in bytes; nobody summarises a longer one in a demo."""
MAX_ENTRIES = 50_000
"""A walk looks at so many files and folders, so that ``--path /`` comes to an end."""
_SKIPPED_FOLDERS = frozenset({"node_modules", "__pycache__", "site-packages", "venv", "build", "dist"})


class UnreadableError(Exception):
    """A file that holds no text: empty, binary or refused by the operating system."""

    def __init__(self, name: str, why: str, category: str) -> None:
        super().__init__(f"{name}: {why}")
        self.name = name
        self.why = why
        self.category = category


@dataclass(frozen=True, slots=True)
class Document:
    """One text of the folder.

    Attributes:
        name: path below the folder, with forward slashes.
        text: the whole text, line ends as ``\\n``.
        encoding: the encoding it was read with.
        digest: changes when the text does.
    """

    name: str
    text: str
    encoding: str
    digest: str

    @property
    def is_markdown(self) -> bool:
        """True when the name says that the text is Markdown."""
        return self.name.lower().endswith((".md", ".markdown", ".mdx"))

    @property
    def title(self) -> str:
        """The first heading, or the name."""
        return next((section.heading for section in self.sections() if section.heading), self.name)

    def sections(self) -> list[Section]:
        """Return the text, split at its headings."""
        return sections(self.text)


@dataclass(frozen=True, slots=True)
class Listing:
    """What a walk found.

    Attributes:
        names: documents in alphabetical order, at most the limit.
        left_out: documents beyond the limit.
        complete: False when the folder is so large that the walk stopped early.
    """

    names: tuple[str, ...]
    left_out: int
    complete: bool


class Workspace:
    """A folder of documents and the corrected copies of some of them.

    Args:
        source: the folder to read; never written to.
        output: the folder for everything the fleet writes.
    """

    def __init__(self, source: Path, output: Path) -> None:
        self.source = source
        self.output = output
        self.corrected = output / "corrected"

    def listing(self, limit: int) -> Listing:
        """Walk the folder and list its documents; without any, every file counts as one.

        Raises:
            OSError: the folder itself cannot be read.
        """
        os.listdir(self.source)  # os.walk would pass over a missing folder in silence
        seen = list(islice(_walk(self.source, self.output), MAX_ENTRIES))
        files = [name for name in seen if name is not None]
        documents = [name for name in files if Path(name).suffix.lower() in DOCUMENT_SUFFIXES]
        names = sorted(documents or files)
        return Listing(tuple(names[:limit]), max(0, len(names) - limit), len(seen) < MAX_ENTRIES)

    def stamp(self, name: str) -> tuple[str, int, int] | None:
        """Return what changes whenever the document does, without reading it; None when it is gone."""
        path = self._place(name)
        try:
            status = path.stat()
        except OSError:
            return None
        return str(path), status.st_mtime_ns, status.st_size

    def load(self, name: str) -> bytes:
        """Return the bytes of a document, of its corrected copy when there is one.

        Raises:
            UnreadableError: the file is empty, binary or refused by the operating system.
        """
        try:
            path = self._place(name)
            # Some special files say they are empty and never stop talking, or never begin.
            raw = _read(path, MAX_BYTES) if path.stat().st_size else b""
        except OSError as error:
            category = "permissions" if isinstance(error, PermissionError) else "data_quality"
            raise UnreadableError(name, error.strerror or "cannot be read", category) from error
        if not raw.strip():
            raise UnreadableError(name, "is empty", "data_quality")
        if b"\0" in raw[:8192] and not raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            raise UnreadableError(name, "is binary, not text", "data_quality")
        return raw

    def decode(self, name: str, raw: bytes, encoding: str) -> Document:
        """Turn bytes into a document.

        Raises:
            UnicodeDecodeError: the bytes are not in this encoding.
        """
        decoder = codecs.getincrementaldecoder(encoding)()
        # A file cut at MAX_BYTES may end inside a character; only then an incomplete end is fine.
        text = decoder.decode(raw, final=len(raw) < MAX_BYTES)
        text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
        return Document(name, text, encoding, checksum(text))

    def linked_text(self, name: str) -> str | None:
        """Return the text behind a link: None when there is no such file, empty when it holds no text."""
        if name.startswith("..") or not self._place(name).exists():
            return None
        try:
            return self.load(name).decode("utf-8", "replace")
        except UnreadableError:
            return ""

    def correct(self, document: Document, text: str) -> Path:
        """Write a corrected copy and return where it is; the original stays as it was.

        Raises:
            OSError: the copy cannot be written.
        """
        target = self.corrected / document.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
        return target

    def _place(self, name: str) -> Path:
        corrected = self.corrected / name
        return corrected if corrected.is_file() else self.source / name


def _read(path: Path, most: int) -> bytes:
    with path.open("rb") as file:
        return file.read(most)


def _walk(folder: Path, ours: Path) -> Iterator[str | None]:
    """Yield each file below `folder`, and None for what is looked at and passed over: hidden or `ours`."""
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if _is_of_interest(Path(root, name), ours))
        yield None
        for name in sorted(files):
            path = Path(root, name)
            visible = not name.startswith(".") and os.path.isfile(path)  # which, unlike Path, never raises
            yield path.relative_to(folder).as_posix() if visible else None


def _is_of_interest(folder: Path, ours: Path) -> bool:
    return not folder.name.startswith(".") and folder.name not in _SKIPPED_FOLDERS and folder != ours

"""The librarian: walks the folder, reads what is new, indexes it and hands out the work that follows."""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from typing import Any

import hiveloop

from .model import Material, OverloadedError, Prompt
from .text import clip
from .work import WorkQueue
from .worker import Office, Worker
from .workspace import Document, Listing, UnreadableError

__all__ = ["Librarian", "Walk"]

STEPS = ["List the documents", "Read and index what is new", "Hand out the questions"]
QUESTIONS_PER_WALK = 4


@dataclass(frozen=True, slots=True)
class Walk:
    """A walk through the folder.

    Attributes:
        number: counts from 1.
        next_run: when the next walk is due, ISO 8601; None when this is the last one.
        interval: seconds between walks.
    """

    number: int
    next_run: str | None
    interval: float


@dataclass(slots=True)
class _Tally:
    """What one walk did."""

    new: int = 0
    changed: int = 0
    unchanged: int = 0
    unreadable: int = 0
    passages: int = 0


class Librarian(Worker[Walk]):
    """Keeps the index up to date.

    Args:
        office: what it shares with the others.
        limit: most documents to take in.
        questions: inbox of the researcher.
        summaries: inbox of the summariser.
        checks: inbox of the checker.
    """

    def __init__(
        self,
        office: Office,
        limit: int,
        *,
        questions: WorkQueue[str],
        summaries: WorkQueue[Document],
        checks: WorkQueue[Document],
    ) -> None:
        self._assistant = office.assistant("standin-small")
        super().__init__(office, "librarian", "indexer", self._assistant)
        self.limit = limit
        self._questions, self._summaries, self._checks = questions, summaries, checks
        self._stamps: dict[str, tuple[str, int, int] | None] = {}
        self._unreadable: set[str] = set()
        self._to_ask: dict[str, int] = {}
        self._asked: set[str] = set()

    def handle(self, item: Walk) -> None:
        """Walk through the folder once."""
        with self.agent.task(f"walk-{item.number}", project=self.office.project, type="indexing") as task:
            self._announce(item)
            task.plan(f"Know every document in {self.office.project}", STEPS)

            task.plan_step(0, "started", STEPS[0])
            listing = self._list()
            task.plan_step(0, "completed", f"{len(listing.names)} documents")

            task.plan_step(1, "started", STEPS[1])
            tally = self._read_all(listing)
            task.plan_step(
                1, "completed", f"{tally.new} new, {tally.changed} changed, {tally.unchanged} as before"
            )

            task.plan_step(2, "started", STEPS[2])
            asked = self._hand_out_questions()
            task.plan_step(2, "completed", f"{asked} questions for the researcher")
            task.set_payload({"new": tally.new, "changed": tally.changed, "passages": len(self.office.index)})

    def _announce(self, walk: Walk) -> None:
        """Tell when the next walk is due."""
        item: dict[str, Any] = {
            "id": "walk",
            "name": "Walk the folder again",
            "enabled": walk.next_run is not None,
        }
        if walk.next_run:
            item |= {"next_run": walk.next_run, "interval": f"{walk.interval:g}s"}
        self.agent.scheduled([item])

    @hiveloop.track("list_documents")
    def _list(self) -> Listing:
        listing = self.office.workspace.listing(self.limit)
        for name in sorted(set(self._stamps) - set(listing.names)):
            del self._stamps[name]
            self.office.index.remove(name)
        return listing

    def _read_all(self, listing: Listing) -> _Tally:
        tally = _Tally()
        for name in listing.names:
            if self.office.pace.stopped.is_set():
                break
            try:
                self._take_in(name, tally)
            except UnreadableError as error:
                tally.unreadable += 1
                self._report(error)
        return tally

    def _take_in(self, name: str, tally: _Tally) -> None:
        """Read one document and pass it on where it is news."""
        before, stamp = self._stamps.get(name), self.office.workspace.stamp(name)
        if before == stamp and name not in self.office.notebook.documents_with_issues():
            tally.unchanged += 1
            return
        document = self._read(name)
        if before == stamp:
            tally.unchanged += 1
            self._checks.put(document, f"look again at {name}", "librarian")
            return
        tally.new, tally.changed = tally.new + (before is None), tally.changed + (before is not None)
        self._index(document)
        self._stamps[name] = stamp
        self._find_questions(document)
        self._summaries.put(document, f"summarise {name}", "librarian")
        self._checks.put(document, f"check {name}", "librarian")

    def _read(self, name: str) -> Document:
        """Read a document, trying one encoding after the other."""
        with self.agent.track_context("read_document") as action:
            raw = self.office.workspace.load(name)
            document = self._decode(name, raw)
            action.set_payload(
                hiveloop.tool_payload(
                    args={"name": name},
                    result=f"{len(document.text):,} characters in {document.encoding}",
                    tool_category="file",
                    result_size_bytes=len(raw),
                )
            )
        self._resolve(name)
        return document

    def _decode(self, name: str, raw: bytes) -> Document:
        likely = "utf-16" if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8"
        try:
            return self.office.workspace.decode(name, raw, likely)
        except UnicodeDecodeError as error:
            where = f"{error.reason} at byte {error.start}"
            hiveloop.retry(f"{name} is not {likely} ({where}); trying latin-1", attempt=1)
        return self.office.workspace.decode(name, raw, "latin-1")  # takes any byte

    def _index(self, document: Document) -> None:
        with self.agent.track_context("index_document") as action:
            passages = self.office.index.replace(document)
            action.set_payload(
                hiveloop.tool_payload(args={"name": document.name}, result=f"{passages} passages")
            )

    def _find_questions(self, document: Document) -> None:
        material = Material(document.name, "\n".join(_outline(document)))
        try:
            reply = self._assistant.ask_json(
                "find_questions", Prompt("List the questions this text raises.", (material,))
            )
        except OverloadedError:
            return  # reported already, and a document without questions is no reason to stop the walk
        for rank, question in enumerate(reply.get("questions", [])):
            if question not in self._asked:
                self._to_ask.setdefault(str(question), rank)

    def _hand_out_questions(self) -> int:
        """Pass a few questions on: every document's first one before any second one, none twice."""
        chosen = sorted(self._to_ask, key=self._to_ask.__getitem__)[:QUESTIONS_PER_WALK]
        for question in chosen:
            del self._to_ask[question]
            self._asked.add(question)
            self._questions.put(question, clip(question), "librarian")
        return len(chosen)

    def _report(self, error: UnreadableError) -> None:
        self._unreadable.add(error.name)
        self.agent.report_issue(
            str(error),
            "low",
            issue_id=f"unreadable:{error.name}",
            category=error.category,
            context={"document": error.name},
        )

    def _resolve(self, name: str) -> None:
        if name in self._unreadable:
            self._unreadable.discard(name)
            self.agent.resolve_issue(f"{name} can be read now", issue_id=f"unreadable:{name}")


def _outline(document: Document) -> list[str]:
    """Return headings and prose; what looks like a question may stand in either."""
    return [line for section in document.sections() for line in (section.heading, section.text) if line]

"""What the fleet has found out so far: shared by all agents, safe to use from all their threads."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from .checks import Finding

__all__ = ["Answer", "Notebook", "OpenIssue"]


@dataclass(frozen=True, slots=True)
class Answer:
    """A question and what the documents say; `text` is empty when they say nothing.

    Attributes:
        question: the question.
        text: the quoted sentence.
        source: document and heading it stands in.
        confidence: 0.0 to 1.0.
    """

    question: str
    text: str
    source: str
    confidence: float


@dataclass(slots=True)
class OpenIssue:
    """A finding that is not repaired, and how often it was seen."""

    finding: Finding
    sightings: int = 1


@dataclass(slots=True)
class Notebook:
    """Answers, summaries and issues.

    Attributes:
        answers: in the order in which they were given.
        summaries: by name of the document.
        resolved: findings that a later check did not find any more.
    """

    answers: list[Answer] = field(default_factory=list[Answer])
    summaries: dict[str, str] = field(default_factory=dict[str, str])
    resolved: list[Finding] = field(default_factory=list[Finding])
    _open: dict[str, OpenIssue] = field(default_factory=dict[str, OpenIssue])
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def compare(self, document: str, findings: list[Finding]) -> tuple[list[OpenIssue], list[Finding]]:
        """Note the findings of a check and return what is open now and what has gone."""
        with self._lock:
            now = {finding.id: finding for finding in findings}
            known = {key: issue for key, issue in self._open.items() if issue.finding.document == document}
            gone = [self._open.pop(key).finding for key in known if key not in now]
            for key, finding in now.items():
                sightings = known[key].sightings + 1 if key in known else 1
                self._open[key] = OpenIssue(finding, sightings)
            self.resolved.extend(gone)
            return [self._open[key] for key in now], gone

    def open_issues(self) -> list[Finding]:
        """Return what still waits for repair, by document and line."""
        with self._lock:
            found = [issue.finding for issue in self._open.values()]
        return sorted(found, key=lambda finding: (finding.document, finding.line))

    def documents_with_issues(self) -> set[str]:
        """Return the names of documents that a check should look at again."""
        return {finding.document for finding in self.open_issues()}

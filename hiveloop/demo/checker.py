"""The checker: looks for faults in documents, keeps the list of issues and hands repairs to the editor."""

from __future__ import annotations

import hiveloop

from .checks import CHECKS, Finding
from .editor import Job, Repair
from .notebook import OpenIssue
from .work import WorkQueue
from .worker import Office, Worker
from .workspace import Document

__all__ = ["Checker"]

MAX_REPORTED = 5
"""Issues of one document that are reported one by one."""


class Checker(Worker[Document]):
    """Checks one document per task.

    Args:
        office: what it shares with the others.
        repairs: inbox of the editor.
    """

    def __init__(self, office: Office, *, repairs: WorkQueue[Job]) -> None:
        super().__init__(office, "checker", "quality")
        self._repairs = repairs

    def handle(self, item: Document) -> None:
        """Check a document."""
        with self.agent.task(f"check:{item.name}", project=self.office.project, type="check") as task:
            findings = self._inspect(item)
            still_open, gone = self.office.notebook.compare(item.name, findings)
            for finding in gone:
                self.agent.resolve_issue(
                    f"{finding.document}: repaired: {finding.message}", issue_id=finding.id
                )
            for issue in still_open[:MAX_REPORTED]:
                self._report(issue)
            task.set_payload({"issues": len(findings), "resolved": len(gone)})
        news = [issue.finding for issue in still_open if issue.sightings == 1][:MAX_REPORTED]
        if news:
            self._repairs.put(Repair(item, tuple(news)), f"repair {item.name}", "checker")

    def _inspect(self, document: Document) -> list[Finding]:
        with self.agent.track_context("inspect") as action:
            checks = (check(document, self.office.workspace.linked_text) for check in CHECKS.values())
            found = sorted(
                (finding for findings in checks for finding in findings), key=lambda finding: finding.line
            )
            action.set_payload(
                hiveloop.tool_payload(args={"checks": ", ".join(CHECKS)}, result=_verdict(found))
            )
        self.office.pace.wait(0.2)
        return found

    def _report(self, issue: OpenIssue) -> None:
        finding = issue.finding
        self.agent.report_issue(
            f"{finding.document}:{finding.line}: {finding.message}",
            finding.severity,
            issue_id=finding.id,
            category="data_quality",
            context={"document": finding.document, "line": finding.line, "check": finding.check},
            occurrence_count=issue.sightings,
        )


def _verdict(findings: list[Finding]) -> str:
    return "; ".join(f"line {finding.line}: {finding.message}" for finding in findings) or "nothing wrong"

"""The editor: repairs what it can and publishes the report; both only after somebody approved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import hiveloop
from hiveloop import Task

from .approvals import OPERATOR, Operator, Request
from .checks import CHECKS, Finding, repair
from .model import Material, Prompt
from .report import render
from .worker import Office, Worker
from .workspace import Document

__all__ = ["Editor", "Job", "Publish", "Repair"]

OUTCOMES = {"approved": "completed", "denied": "dismissed", "withdrawn": "deferred"}
"""What becomes of a repair after a decision."""
STEPS = ["Write the lead", "Ask for approval", "Write the file"]


@dataclass(frozen=True, slots=True)
class Repair:
    """Faults of one document to be repaired."""

    document: Document
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Publish:
    """The report to be written to `path`."""

    path: Path


Job = Repair | Publish


class Editor(Worker[Job]):
    """Changes things, and therefore asks first.

    Args:
        office: what it shares with the others.
        operator: the person to ask.
    """

    def __init__(self, office: Office, operator: Operator) -> None:
        self._assistant = office.assistant("standin-large")
        super().__init__(office, "editor", "editing", self._assistant)
        self._operator = operator

    def handle(self, item: Job) -> None:
        """Repair a document or publish the report."""
        match item:
            case Repair():
                self._repair(item)
            case Publish():
                self._publish(item)

    # -- repairing -------------------------------------------------------------------------

    def _repair(self, item: Repair) -> None:
        """Turn findings into one corrected copy; what is beyond repair goes to a person."""
        name = item.document.name
        with self.agent.task(f"repair:{name}", project=self.office.project, type="editing") as task:
            text, done = self._propose(task, item)
            if not done:
                task.complete(status="handed over")
                return
            changes = "; ".join(done.values())
            corrected = Document(name, text, "utf-8", item.document.digest)
            decision = self._ask(
                task,
                f"repair {name}: {changes}",
                lambda: self._faults(corrected) < self._faults(item.document),
            )
            if decision == "approved":
                self._save(corrected)
            for finding_id, change in done.items():
                self.agent.todo(f"repair:{finding_id}", OUTCOMES[decision], change, source="checker")
            task.complete(
                status="success" if decision == "approved" else decision, payload={"changes": changes}
            )

    def _propose(self, task: Task, item: Repair) -> tuple[str, dict[str, str]]:
        """Return the corrected text and what was done, by finding."""
        names = self.office.workspace.listing(1_000).names
        draft, done = item.document, dict[str, str]()
        for finding in item.findings:
            self.agent.todo(f"repair:{finding.id}", "created", finding.message, source="checker")
            proposal = repair(draft, finding, names)
            if proposal:
                draft = Document(draft.name, proposal[0], draft.encoding, draft.digest)
                done[finding.id] = proposal[1]
            else:
                self._hand_over(task, finding)
        return draft.text, done

    def _hand_over(self, task: Task, finding: Finding) -> None:
        where = f"{finding.document}:{finding.line}"
        task.escalate(f"{where}: {finding.message}", assigned_to="author", reason="out_of_scope")
        self.agent.todo(f"repair:{finding.id}", "deferred", f"{where} needs its author", source="checker")

    @hiveloop.track("save_corrected_copy")
    def _save(self, corrected: Document) -> Path:
        return self.office.workspace.correct(corrected, corrected.text)

    def _faults(self, document: Document) -> int:
        return sum(len(check(document, self.office.workspace.linked_text)) for check in CHECKS.values())

    # -- publishing ------------------------------------------------------------------------

    def _publish(self, item: Publish) -> None:
        """Write the report."""
        with self.agent.task("publish-report", project=self.office.project, type="publishing") as task:
            task.plan("A report that somebody has agreed to", STEPS)

            task.plan_step(0, "started", STEPS[0])
            report = render(self.office, self._lead())
            task.plan_step(0, "completed", f"{len(report.split())} words")

            task.plan_step(1, "started", STEPS[1])
            decision = self._ask(
                task, f"publish {item.path.name} to {item.path.parent}", lambda: not item.path.exists()
            )
            task.plan_step(1, "completed" if decision == "approved" else "failed", decision)

            if decision != "approved":
                task.plan_step(2, "skipped", STEPS[2])
                task.complete(status=decision)
                return
            task.plan_step(2, "started", STEPS[2])
            self._write(item.path, report)
            task.plan_step(2, "completed", str(item.path))
            task.set_payload({"path": str(item.path), "bytes": len(report.encode())})

    def _lead(self) -> str:
        summaries = sorted(self.office.notebook.summaries.items())
        material = tuple(Material(name, text) for name, text in summaries)
        return self._assistant.ask("write_lead", Prompt("Summarise the summaries.", material)).text

    @hiveloop.track("write_report")
    def _write(self, path: Path, report: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(report, encoding="utf-8", errors="backslashreplace")

    # -- asking ----------------------------------------------------------------------------

    def _ask(self, task: Task, summary: str, acceptable: Callable[[], bool]) -> str:
        """Ask the operator and wait for the decision; "withdrawn" when the fleet stops first."""
        request = Request(summary, acceptable)
        task.request_approval(summary, approver=OPERATOR)
        self._operator.ask(request)
        # People take their time: without this the agent would look stuck.
        task.expecting(60)
        while not request.decided.wait(0.05) and not self.office.pace.stopped.is_set():
            pass
        decision = request.decision or "withdrawn"
        task.approval_received(summary, approved_by=OPERATOR if request.decision else None, decision=decision)
        return decision

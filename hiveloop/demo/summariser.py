"""The summariser: two sentences for every document."""

from __future__ import annotations

from .model import Material, Prompt
from .text import clip, count_tokens
from .worker import Office, Worker
from .workspace import Document

__all__ = ["Summariser"]

PART_TOKENS = 1_500
"""Longer documents are summarised part by part, at most `MAX_PARTS` of them."""
MAX_PARTS = 4


class Summariser(Worker[Document]):
    """Summarises one document per task.

    Args:
        office: what it shares with the others.
    """

    def __init__(self, office: Office) -> None:
        self._assistant = office.assistant("standin-small")
        super().__init__(office, "summariser", "summary", self._assistant)

    def handle(self, item: Document) -> None:
        """Summarise a document."""
        with self.agent.task(f"summary:{item.name}", project=self.office.project, type="summary") as task:
            summary = self._summarise(item)
            self.office.notebook.summaries[item.name] = summary
            task.set_payload({"summary": clip(summary, 200)})

    def _summarise(self, document: Document) -> str:
        parts = _parts(document)
        summaries = [self._ask("summarise", document, part) for part in parts]
        if len(summaries) == 1:
            return summaries[0]
        return self._ask("summarise_the_parts", document, "\n\n".join(summaries))

    def _ask(self, purpose: str, document: Document, text: str) -> str:
        prompt = Prompt("Summarise the text in two sentences.", (Material(document.name, text),))
        return self._assistant.ask(purpose, prompt).text


def _parts(document: Document) -> list[str]:
    """Cut a document between sections into parts that a prompt can hold."""
    parts, room = [""], PART_TOKENS
    for section in document.sections():
        size = count_tokens(section.text)
        if size > room and parts[-1]:
            parts.append("")
            room = PART_TOKENS
        parts[-1] += section.text + "\n\n"
        room -= size
    return parts[:MAX_PARTS]

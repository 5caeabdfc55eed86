"""The researcher: answers questions with a quotation, or says that the documents do not know."""

from __future__ import annotations

import hiveloop

from .model import Material, Prompt
from .notebook import Answer
from .search import Hit
from .text import clip, count_tokens
from .worker import Office, Worker

__all__ = ["Researcher"]

INSTRUCTION = "Answer the question with one sentence out of the passages, quoted word by word."
PASSAGES = 6
CONTEXT_BUDGET = 300
"""Tokens of passages that go into one prompt."""
SURE_ENOUGH = 0.45
"""Below this confidence a person is asked."""


class Researcher(Worker[str]):
    """Answers one question per task.

    Args:
        office: what it shares with the others.
    """

    def __init__(self, office: Office) -> None:
        self._assistant = office.assistant("standin-large")
        super().__init__(office, "researcher", "research", self._assistant)

    def handle(self, item: str) -> None:
        """Answer a question."""
        with self.agent.task(
            f"question-{self.finished + 1}", project=self.office.project, type="question"
        ) as task:
            passages = self._look_up(item)
            answer = self._answer(item, passages)
            self.office.notebook.answers.append(answer)
            if answer.text:
                task.set_payload(
                    {"answer": clip(answer.text, 200), "source": answer.source, "question": item}
                )
                return
            task.escalate(
                f"No document answers: {item}",
                assigned_to="the person who asked",
                reason="confidence_low",
            )
            task.complete(status="unanswered", payload={"question": item, "confidence": answer.confidence})

    @hiveloop.track("look_up")
    def _look_up(self, question: str) -> list[Hit]:
        """Find passages and keep as many as the prompt has room for."""
        with self.agent.track_context("search_index") as action:
            hits = self.office.index.search(question, PASSAGES)
            action.set_payload(
                hiveloop.tool_payload(
                    args={"query": question},
                    result=", ".join(f"{hit.passage.source} ({hit.score:.1f})" for hit in hits) or "nothing",
                    tool_category="database",
                )
            )
        return _fit(hits)

    def _answer(self, question: str, hits: list[Hit]) -> Answer:
        """Let the model choose a sentence, and believe it only as far as its confidence goes."""
        material = tuple(Material(hit.passage.source, hit.passage.text) for hit in hits)
        reply = self._assistant.ask_json("answer", Prompt(INSTRUCTION, material, question))
        confidence = float(reply.get("confidence", 0.0))
        if confidence < SURE_ENOUGH:
            return Answer(question, "", "", confidence)
        return Answer(question, str(reply.get("answer", "")), str(reply.get("source", "")), confidence)


def _fit(hits: list[Hit]) -> list[Hit]:
    """Drop the worst passages until the rest fits, and report how much was left out."""
    sizes = [count_tokens(hit.passage.text) for hit in hits]
    kept, room = 0, CONTEXT_BUDGET
    while kept < len(hits) and sizes[kept] <= room:
        room -= sizes[kept]
        kept += 1
    kept = max(kept, 1)
    if kept < len(hits):
        before, after = sum(sizes), sum(sizes[:kept])
        hiveloop.event(
            "custom",
            {
                "kind": "context_compaction",
                "summary": f"{len(hits) - kept} of {len(hits)} passages left out: {before} to {after} tokens",
                "data": {
                    "tokens_before": before,
                    "tokens_after": after,
                    "tokens_removed": before - after,
                    "compression_ratio": round(after / before, 2),
                    "method": "truncation",
                    "messages_removed": len(hits) - kept,
                },
            },
        )
    return hits[:kept]

"""Layer 2a: every model call with its tokens, cost and latency, where the call is made.

The model is a stand-in that picks the sentence with the most words of the question; tokens are
counted on real text. Wrap your own client in the same way: one place, and every call is seen.

    python examples/layer2a_llm_calls.py

Prints to the terminal; with HIVELOOP_API_KEY set it reports to HiveBoard instead.
"""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import NamedTuple

import hiveloop

DOLLARS_PER_MILLION = {"local-large": (3.00, 15.00), "local-small": (0.25, 1.25)}


class Answer(NamedTuple):
    text: str
    tokens_in: int
    tokens_out: int


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def model(prompt: str, question: str) -> Answer:
    """Stand in for a model: the shortest sentence of the prompt that shares most words with the question."""
    sentences = re.split(r"(?<=[.!?])\s+|\n\n", prompt)
    asked = set(words(question))
    best = max(sentences, key=lambda sentence: (len(asked.intersection(words(sentence))), -len(sentence)))
    return Answer(" ".join(best.split()), len(words(prompt)) + len(words(question)), len(words(best)))


def ask(purpose: str, model_name: str, prompt: str, question: str, turn: int) -> str:
    """Call the model and report it; outside a task the report goes nowhere, and the call is the same."""
    start = time.perf_counter()
    answer = model(prompt, question)
    price_in, price_out = DOLLARS_PER_MILLION[model_name]
    hiveloop.llm_call(
        purpose,
        model_name,
        tokens_in=answer.tokens_in,
        tokens_out=answer.tokens_out,
        cost=(answer.tokens_in * price_in + answer.tokens_out * price_out) / 1e6,
        duration_ms=round((time.perf_counter() - start) * 1000),
        prompt_preview=question,
        response_preview=answer.text,
        metadata={"turn_number": turn, "stop_reason": "end_turn"},
    )
    return answer.text


def main() -> None:
    transport = None if os.environ.get("HIVELOOP_API_KEY") else hiveloop.ConsoleTransport()
    hb = hiveloop.init(transport=transport)
    reader = hb.agent("reader", type="research", version="local-large")

    text = Path(__file__).with_name("README.md").read_text(encoding="utf-8")
    with reader.task("read-the-readme", project="examples", type="question") as task:
        needs = ask("reasoning", "local-large", text, "Do the examples need an account or a model?", turn=1)
        where = ask("reasoning", "local-large", text, "How do colours come to the terminal?", turn=2)
        task.set_payload({"answer": ask("choose", "local-small", f"{needs} {where}", "no account?", turn=3)})

    hiveloop.shutdown()


if __name__ == "__main__":
    main()

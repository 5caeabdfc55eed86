"""The local stand-in for a language model: deterministic, free, and never on the network.

It does what an extractive model does: it picks sentences out of the text it is given. Everything
reported about it is real in its own terms: the tokens are counted in the actual prompt and reply, the
time is measured, and it has the manners of a hosted model that agents must cope with: a context limit,
chatter around the JSON it was asked for and, on request, refusals because of overload. Only the
prices are invented, and nobody is charged.
"""

from __future__ import annotations

import json
import math
import time
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from .text import clip, count_tokens, cut_tokens, sentences, terms

__all__ = ["PRICES", "LocalModel", "Material", "OverloadedError", "Price", "Prompt", "Reply"]

CONTEXT_TOKENS = 4_000
"""Longest prompt in tokens; what is beyond is not read."""
_CHATTY_ABOVE = 250
"""Asked for JSON about longer prompts than this, in tokens, the model wraps it in a sentence, unless it is
told to reply with JSON only."""


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars for a million tokens, and since when."""

    tokens_in: float
    tokens_out: float
    valid_from: str


# A real table has the same shape. It needs the date, since the same tokens cost something else next year.
PRICES = {
    "standin-small": Price(0.50, 2.00, "2026-11-01"),
    "standin-large": Price(3.00, 15.00, "2026-11-01"),
}


@dataclass(frozen=True, slots=True)
class Material:
    """A piece of text given to the model, and where it comes from."""

    source: str
    text: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the model is asked.

    Attributes:
        instruction: what to do; its first word decides: "Summarise", "Answer" or "List".
        material: the texts to work with.
        question: the question, for "Answer".
    """

    instruction: str
    material: tuple[Material, ...]
    question: str = ""

    def render(self) -> str:
        """Return the prompt as one text, the way its tokens are counted."""
        parts = [
            self.instruction,
            *(f"[{item.source}]\n{item.text}" for item in self.material),
            self.question,
        ]
        return "\n\n".join(part for part in parts if part)


@dataclass(frozen=True, slots=True)
class Reply:
    """What the model said, and what it took.

    Attributes:
        text: the reply.
        model: name of the model.
        tokens_in: tokens of the prompt.
        tokens_out: tokens of the reply.
        cost: US dollars by the price table.
        duration_ms: measured milliseconds.
    """

    text: str
    model: str
    tokens_in: int
    tokens_out: int
    cost: float
    duration_ms: int


class OverloadedError(Exception):
    """The model refused a call for now; asking again later may help."""


class LocalModel:
    """A model that picks sentences.

    Args:
        name: a name in `PRICES`.
        wait: called with the seconds that the answer takes; where the demo is slowed down to a pace that
            people can follow.
        fail_rate: share of calls to refuse as `OverloadedError`, 0.0 to 1.0. Which ones depends on the prompt
            and the number of the attempt only, so that a run can be repeated.
    """

    def __init__(self, name: str, wait: Callable[[float], object], fail_rate: float = 0.0) -> None:
        self.name = name
        self._wait = wait
        self._fail_rate = fail_rate

    def complete(self, prompt: Prompt, attempt: int = 1) -> Reply:
        """Answer a prompt; takes a moment.

        Raises:
            OverloadedError: the call was refused, because of `fail_rate`.
        """
        started = time.perf_counter()
        text = cut_tokens(prompt.render(), CONTEXT_TOKENS)
        tokens_in = count_tokens(text)
        if zlib.crc32(f"{attempt} {text}".encode("utf-8", "replace")) / 2**32 < self._fail_rate:
            self._wait(0.1)
            raise OverloadedError("529 overloaded (on purpose, by --fail-rate)")
        reply = _reply(prompt, tokens_in)
        tokens_out = count_tokens(reply)
        # Hosted models behave so: reading is fast, every written token takes its time.
        self._wait(0.2 + tokens_in * 0.000_3 + tokens_out * 0.008)
        duration_ms = round((time.perf_counter() - started) * 1000)
        return Reply(reply, self.name, tokens_in, tokens_out, self._cost(tokens_in, tokens_out), duration_ms)

    def _cost(self, tokens_in: int, tokens_out: int) -> float:
        price = PRICES[self.name]
        return round((tokens_in * price.tokens_in + tokens_out * price.tokens_out) / 1_000_000, 6)


def _reply(prompt: Prompt, tokens_in: int) -> str:
    match prompt.instruction.split(maxsplit=1)[0]:
        case "Answer":
            return _as_json(_answer(prompt), prompt, tokens_in)
        case "List":
            return _as_json({"questions": _questions(prompt)}, prompt, tokens_in)
        case _:
            return _summary(prompt)


def _as_json(value: object, prompt: Prompt, tokens_in: int) -> str:
    text = json.dumps(value, ensure_ascii=False)
    if "JSON only" in prompt.instruction or tokens_in <= _CHATTY_ABOVE:
        return text
    return f"Sure! Here is the JSON you asked for:\n{text}\nLet me know if you need anything else."


def _summary(prompt: Prompt, most: int = 2) -> str:
    """Pick the sentences whose words are frequent in the whole text, in their order."""
    found = [
        sentence
        for item in prompt.material
        for sentence in sentences(item.text)
        if not sentence.endswith("?")
    ]
    weights = Counter(word for sentence in found for word in terms(sentence))
    scored = [
        (_density(sentence, weights) * (1.2 if number == 0 else 1.0), number)
        for number, sentence in enumerate(found)
    ]
    best = sorted(number for _, number in sorted(scored, key=lambda pair: (-pair[0], pair[1]))[:most])
    return " ".join(clip(found[number], 300) for number in best) or "There is nothing to summarise."


def _density(sentence: str, weights: Counter[str]) -> float:
    words = set(terms(sentence))
    # fsum: the sum must not depend on the order of a set, which changes from run to run.
    return math.fsum(math.log1p(weights[word]) for word in words) / (6 + len(words))


def _questions(prompt: Prompt, most: int = 4) -> list[str]:
    """Pick the questions that a text asks or that its headings raise."""
    lines = [
        line.strip().lstrip("#-*+> ").strip() for item in prompt.material for line in item.text.splitlines()
    ]
    asked = [line for line in lines if line.endswith("?") and 10 < len(line) < 160]
    return list(dict.fromkeys(asked))[:most]


def _answer(prompt: Prompt) -> dict[str, object]:
    """Pick the sentence that shares most with the question; the rarer a shared word, the more it counts."""
    candidates = [(item.source, sentence) for item in prompt.material for sentence in sentences(item.text)]
    wanted = set(terms(prompt.question))
    if not candidates or not wanted:
        return {"answer": "", "source": "", "confidence": 0.0}
    spread = Counter(word for _, sentence in candidates for word in set(terms(sentence)))
    weight = {word: math.log(1 + (len(candidates) + 1) / (spread[word] + 0.5)) for word in wanted}
    shared = [
        math.fsum(weight[word] for word in wanted & set(terms(f"{sentence} {source}")))
        for source, sentence in candidates
    ]
    best = max(range(len(candidates)), key=lambda number: (shared[number], -number))
    source, sentence = candidates[best]
    return {
        "answer": sentence,
        "source": source,
        "confidence": round(shared[best] / math.fsum(weight.values()), 2),
    }

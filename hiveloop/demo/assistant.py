"""The one place where the fleet calls its language model, and so the one place that reports it.

Agents ask; tokens, cost, time, retries and corrections are reported to whatever task is current.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, cast

import hiveloop

from .model import CONTEXT_TOKENS, PRICES, LocalModel, OverloadedError, Prompt, Reply
from .text import checksum, clip
from .work import Pace

__all__ = ["Assistant"]

ATTEMPTS = 3


class Assistant:
    """Calls a model and copes with its moods.

    Args:
        model: the model.
        pace: how long to wait between attempts.
    """

    def __init__(self, model: LocalModel, pace: Pace) -> None:
        self.model = model
        self.calls = 0
        self._pace = pace
        self._strict = False
        self._down = False

    def ask(self, purpose: str, prompt: Prompt) -> Reply:
        """Call the model, up to three times when it is overloaded.

        Raises:
            OverloadedError: it refused every attempt.
        """
        for attempt in range(1, ATTEMPTS):
            try:
                return self._call(purpose, prompt, attempt)
            except OverloadedError as error:
                backoff = 0.25 * 2**attempt
                hiveloop.retry(f"{purpose}: {error}", attempt=attempt, backoff_seconds=backoff)
                self._pace.wait(backoff)
        try:
            return self._call(purpose, prompt, ATTEMPTS)
        except OverloadedError as error:
            self._give_up(error)
            raise

    def ask_json(self, purpose: str, prompt: Prompt) -> dict[str, Any]:
        """Call the model for a JSON object; an answer that does not parse is asked for again, more strictly.

        Returns:
            The object; an empty one when the second answer does not parse either.

        Raises:
            OverloadedError: it refused every attempt.
        """
        if self._strict:
            prompt = _strictly(prompt)
        try:
            return _parse(self.ask(purpose, prompt).text)
        except ValueError as error:
            hiveloop.retry(f"{purpose}: the answer is not JSON: {error}", attempt=1)
            self._learn()
        try:
            return _parse(self.ask(purpose, _strictly(prompt)).text)
        except ValueError:
            return {}

    def settings(self) -> dict[str, Any]:
        """Describe the model as configured."""
        price = PRICES[self.model.name]
        return {
            "model": self.model.name,
            "json_only": self._strict,
            "context_tokens": CONTEXT_TOKENS,
            "attempts": ATTEMPTS,
            "usd_per_million_tokens": {
                "in": price.tokens_in,
                "out": price.tokens_out,
                "since": price.valid_from,
            },
        }

    def _call(self, purpose: str, prompt: Prompt, attempt: int) -> Reply:
        reply = self.model.complete(prompt, attempt)
        self._recover()
        self.calls += 1
        hiveloop.llm_call(
            purpose,
            reply.model,
            tokens_in=reply.tokens_in,
            tokens_out=reply.tokens_out,
            cost=reply.cost,
            duration_ms=reply.duration_ms,
            prompt_preview=clip(prompt.question or prompt.render(), 200),
            response_preview=clip(reply.text, 200),
            metadata={"attempt": attempt, "prompt_hash": checksum(prompt.instruction)},
        )
        return reply

    def _give_up(self, error: OverloadedError) -> None:
        self._down = True
        hiveloop.report_issue(
            str(error), "high", issue_id=f"{self.model.name}-overloaded", category="rate_limit"
        )

    def _recover(self) -> None:
        if self._down:
            self._down = False
            hiveloop.resolve_issue("the model answers again", issue_id=f"{self.model.name}-overloaded")

    def _learn(self) -> None:
        self._strict = True
        lesson = "say 'JSON only' from the first question on"
        hiveloop.event(
            "custom",
            {
                "kind": "learning",
                "summary": lesson,
                "data": {
                    "trigger": "parse_error",
                    "category": "prompt",
                    "description": lesson,
                    "correction_applied": True,
                },
            },
        )
        hiveloop.event("custom", {"kind": "config_snapshot", "data": self.settings()})


def _strictly(prompt: Prompt) -> Prompt:
    return replace(prompt, instruction=f"{prompt.instruction} Reply with JSON only.")


def _parse(text: str) -> dict[str, Any]:
    value: Any = json.loads(text)
    if not isinstance(value, dict):
        raise ValueError(f"expected an object, got {type(value).__name__}")
    return cast("dict[str, Any]", value)

"""What the samples leave to the reader: a language model, tools, plans, a queue, an agent framework.

All of it is small, deterministic and real enough to do the work that the samples report.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

SONNET = "claude-sonnet-4-5-20250929"


def count_tokens(text: object) -> int:
    """Words of a text, or of everything inside a list: near enough to tokens, and repeatable."""
    if isinstance(text, str):
        return len(text.split())
    if isinstance(text, dict):
        return sum(count_tokens(value) for value in text.values())
    if isinstance(text, Iterable):
        return sum(count_tokens(part) for part in text)
    return 0


# -- the language model ------------------------------------------------------------------------------


@dataclass
class Usage:
    input_tokens: int
    output_tokens: int
    cache_creation_input_tokens: int = 0
    cache_read_input_tokens: int = 0


@dataclass
class ToolCall:
    name: str
    arguments: dict[str, Any]


@dataclass
class Response:
    content: str
    usage: Usage
    model: str = SONNET
    stop_reason: str = "end_turn"
    tool_calls: list[ToolCall] = field(default_factory=list)


class LLMClient:
    """Answers from a script, the last line again and again, and counts the tokens of real texts."""

    def __init__(self, *answers: str, tool_calls: list[ToolCall] | None = None) -> None:
        self._answers = list(answers) or ["The deal is worth 40 000 euros"]
        self._tool_calls = tool_calls or []
        self.prompts: list[object] = []
        self.messages = SimpleNamespace(create=self.create)
        self.chat_completions = SimpleNamespace(completions=SimpleNamespace(create=self.create))

    def create(self, prompt: object = "", **_: object) -> Response:
        self.prompts.append(prompt)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        usage = Usage(count_tokens(prompt), count_tokens(answer), cache_read_input_tokens=7)
        return Response(answer, usage, tool_calls=self._tool_calls)

    def complete(self, prompt: str, system: str = "", max_tokens: int = 2048) -> Response:
        return self.create(prompt)

    complete_with_tools = complete
    complete_json = complete

    def chat(self, messages: list[Any], tools: object = None, system: str = "") -> Response:
        return self.create([system, messages])


# -- tools -------------------------------------------------------------------------------------------


@dataclass
class ToolResult:
    data: Any
    success: bool = True
    error: str | None = None
    status_code: int = 200
    elapsed: int = 12

    @property
    def ok(self) -> bool:
        return self.success

    @property
    def output(self) -> str:
        return json.dumps(self.data)

    @property
    def raw(self) -> bytes:
        return self.output.encode()

    def __str__(self) -> str:
        return self.output


class ToolRegistry:
    """Two tools over three contacts; an unknown tool raises, as registries do. Counts every execution."""

    contacts = ("Ada Lovelace", "Alan Turing", "Grace Hopper")

    def __init__(self) -> None:
        self.executed: list[str] = []

    def execute(self, tool_name: str, parameters: dict[str, Any]) -> ToolResult:
        self.executed.append(tool_name)
        return getattr(self, f"_{tool_name}")(**parameters)

    def _search_contacts(self, query: str, **_: object) -> ToolResult:
        return ToolResult([name for name in self.contacts if query.lower() in name.lower()])

    def _send_mail(self, to: str, **_: object) -> ToolResult:
        return ToolResult(None, success=False, error=f"no route to {to}", status_code=502)


# -- plans and reflection ----------------------------------------------------------------------------


@dataclass
class Step:
    index: int
    description: str
    turns_taken: int = 3


def a_plan(*descriptions: str) -> SimpleNamespace:
    return SimpleNamespace(steps=[Step(index, text) for index, text in enumerate(descriptions)])


# -- the agent framework -----------------------------------------------------------------------------


class FrameworkAgent:
    """An agent object of some framework: configuration, counters, tools and a `run` method."""

    def __init__(self, agent_id: str = "sales", work: Callable[[str], str] = str.upper) -> None:
        self.id = agent_id
        self._hiveloop: Any = None
        self._work = work
        self.current_model = SONNET
        self.tools = [SimpleNamespace(name="search_contacts"), SimpleNamespace(name="send_mail")]
        self.config = SimpleNamespace(
            version="1.4.0",
            model=SONNET,
            max_turns=12,
            max_tokens=2048,
            temperature=0.2,
            guardrails_enabled=True,
        )
        self.metrics = SimpleNamespace(
            total_tokens_in=1200,
            total_tokens_out=350,
            total_cost=0.00884,
            error_count=2,
            consecutive_failures=0,
            last_error_message="timeout",
            tasks_completed=4,
            tasks_failed=1,
        )

    def run(self, message: str) -> str:
        return self._work(message)


@dataclass
class QueueItem:
    id: str
    title: str
    message: str = ""
    priority: str = "high"
    source: str = "webhook"
    timestamp: datetime = datetime(2026, 1, 2, 15, 0, tzinfo=UTC)


class WorkQueue(list[QueueItem]):
    """The inbox of an agent."""

    def oldest_age_seconds(self) -> int:
        return 120


class RateLimitError(Exception):
    """The answer 429 of `BusyApi`."""


class BusyApi:
    """Answers 429 a few times, then works."""

    def __init__(self, refusals: int) -> None:
        self._refusals = refusals

    def call(self, params: object) -> str:
        if self._refusals:
            self._refusals -= 1
            raise RateLimitError("429 too many requests")
        return f"done with {params}"


class NotingClock:
    """Stands where a sample says `time.sleep`: notes the wait and goes on."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


class App:
    """The routing decorator of a web framework."""

    def __init__(self) -> None:
        self.routes: dict[str, Callable[..., Any]] = {}

    def post(self, path: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        def register(handler: Callable[..., Any]) -> Callable[..., Any]:
            self.routes[path] = handler
            return handler

        return register

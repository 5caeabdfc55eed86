"""Tests of an agent by its spans, to copy. Nothing leaves the process, and no collector is needed.

Needs pip install "hiveloop[otel]" pytest; the fixture `hiveloop_spans` comes with it.

    python -m pytest examples/test_agent_spans.py

Never reads OTEL_EXPORTER_OTLP_ENDPOINT: a test reports to nobody.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import hiveloop

if TYPE_CHECKING:
    from hiveloop_otel.testing import SpanCapture

# -- the application under test; it would be a module of yours -------------------------------------

PRICES = {"tea": 4.5, "coffee": 6.0}


@hiveloop.track("look_up_price")
def look_up_price(item: str) -> float:
    price = PRICES[item]
    hiveloop.set_payload(hiveloop.tool_payload(args={"item": item}, result=price))
    return price


def answer(question: str, item: str) -> str:
    hb = hiveloop.init(api_key="hb_live_of_production")
    with hb.agent("shop").task(f"answer-{item}", correlation_id="chat-7") as task:
        price = look_up_price(item)
        task.llm_call("reply", "gpt-4o", tokens_in=60, tokens_out=9, cost=0.0004, prompt_preview=question)
        return f"{item} is {price:.2f}"


# -- tests -----------------------------------------------------------------------------------------


def test_it_looks_the_price_up_before_it_answers(hiveloop_spans: SpanCapture) -> None:
    answer("How much is tea?", "tea")
    task = hiveloop_spans.one("invoke_agent shop")
    steps = [span.name for span in hiveloop_spans.children(task)]
    assert steps == ["execute_tool look_up_price", "chat gpt-4o"]


def test_the_dashboard_gets_its_numbers(hiveloop_spans: SpanCapture) -> None:
    answer("How much is tea?", "tea")
    call = hiveloop_spans.one("chat gpt-4o").attributes or {}
    assert call["gen_ai.usage.input_tokens"] == 60
    assert call["gen_ai.usage.cost"] == 0.0004
    assert call["gen_ai.conversation.id"] == "chat-7"


def test_a_failure_is_visible(hiveloop_spans: SpanCapture) -> None:
    with pytest.raises(KeyError):
        answer("How much is milk?", "milk")
    for name in ("look_up_price", "invoke_agent shop"):
        span = hiveloop_spans.one(name)
        assert span.status.status_code.name == "ERROR"
        assert (span.attributes or {})["error.type"] == "KeyError"


def test_what_the_user_asked_stays_here(hiveloop_spans: SpanCapture) -> None:
    answer("How much is tea? My number is 555 0199.", "tea")
    told = [(span.attributes, [event.attributes for event in span.events]) for span in hiveloop_spans.spans()]
    assert "555" not in str(told)


class TestWithContent:
    @pytest.fixture
    def hiveloop_otel_options(self) -> dict[str, Any]:
        """Options of the `OTelTransport` for the tests of this class."""
        return {"capture_content": True}

    def test_the_question_is_exported(self, hiveloop_spans: SpanCapture) -> None:
        answer("How much is tea?", "tea")
        messages = (hiveloop_spans.one("chat gpt-4o").attributes or {})["gen_ai.input.messages"]
        assert "How much is tea?" in str(messages)


def test_nothing_changes_unnoticed(hiveloop_spans: SpanCapture) -> None:
    answer("How much is tea?", "tea")
    assert (
        hiveloop_spans.tree()
        == """\
invoke_agent shop
  - gen_ai.client.inference.operation.details
  execute_tool look_up_price
  chat gpt-4o (client)"""
    )

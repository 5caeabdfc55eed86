"""Whatever user code and instrumentations write onto our spans, the spans arrive."""

from __future__ import annotations

import math
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.trace import SpanContext, Status, StatusCode

import hiveloop
from hiveloop_otel import OTelTransport
from tests.support.otlp import OtlpSink

from .conftest import Maker
from .test_spans import attributes

SECRET = "sk-ant-api03-" + "a1B2" * 12
STRANGE: list[Any] = [
    None,
    math.nan,
    2**70,
    -5,
    b"\xff",
    "\ud800",
    "x" * 100_000,
    [1, "a"],
    {1: {2}},
    object(),
]


@pytest.mark.parametrize("value", STRANGE, ids=lambda value: str(type(value).__name__))
def test_nothing_that_others_write_costs_a_span(value: Any) -> None:
    with OtlpSink() as sink:
        hb = hiveloop.init(transport=OTelTransport(endpoint=sink.url), environment="test")
        agent = hb.agent("sales", heartbeat_interval=0)
        with agent.task("t"), agent.track_context("work"):
            span: Any = trace.get_current_span()
            span.set_attribute("key", value)
            span.set_attribute(value, 1)
            span.set_attributes({"other": value})
            span.add_event("happened", {"key": value}, value)
            span.add_event("happened", {value if value.__hash__ else 0: 1}, timestamp=value)
            span.record_exception(ValueError(value), {"key": value})
            span.set_status(value, value)
            span.set_status(StatusCode.ERROR, value)
            span.add_link(value)
            span.add_link(SpanContext(1, 2, is_remote=False), {"key": value})
            span.end(value)
        assert hb.flush(10)
        assert not hb.stats().dropped
        assert not sink.violations
        assert sink.names() == {"work": 1, "invoke_agent sales": 1}
        work = sink.spans()[0]
    assert [name for name, _, _ in work.events] == ["happened", "happened", "exception"]
    assert len(work.links) == 1
    assert work.status == "ERROR"


def test_what_others_wrote_is_exported_as_it_was_then(traced: Maker) -> None:
    seen = traced()
    items, details = ["a"], {"inner": {"n": 1}}
    with seen.agent.task("t"):
        span: Any = trace.get_current_span()
        span.set_attribute("items", items)
        span.set_attribute("details", details)
        span.add_event("happened", {"items": items})
        items.append("b")
        details["inner"]["n"] = 2
    top = seen.only("invoke_agent sales")
    assert attributes(top)["items"] == ("a",)
    assert attributes(top)["details"] == '{"inner":{"n":1}}'
    assert dict(top.events[0].attributes or {})["items"] == ("a",)


def test_secrets_are_redacted_wherever_others_write_them(traced: Maker) -> None:
    seen = traced()
    with seen.agent.task("t"):
        span = trace.get_current_span()
        span.set_attribute("app.notes", ["fine", f"key {SECRET}"])
        span.add_event("login", {"notes": [SECRET]})
        span.set_status(StatusCode.ERROR, f"refused {SECRET}")
    top = seen.only("invoke_agent sales")
    assert SECRET not in top.to_json()
    assert attributes(top)["app.notes"][0] == "fine"
    assert top.status.status_code is StatusCode.ERROR


def test_a_status_that_others_set_follows_the_rules_of_the_sdk(traced: Maker) -> None:
    seen = traced()
    with seen.agent.task("t"):
        trace.get_current_span().set_status(StatusCode.ERROR, "no")
        trace.get_current_span().set_status(StatusCode.UNSET)
    with seen.agent.task("t"):
        trace.get_current_span().set_status(Status(StatusCode.OK))
        trace.get_current_span().set_status(StatusCode.ERROR, "too late")
    assert [span.status.status_code for span in seen.spans()] == [StatusCode.ERROR, StatusCode.OK]

"""What becomes of spans that a receiver finds too large, and of work at the end of a process."""

from __future__ import annotations

import random
import string
from typing import Any

import pytest
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

import hiveloop
from hiveloop.stats import DropReason
from hiveloop_otel import OTelTransport
from tests.support.otlp import OtlpSink, ReceivedSpan, poisoned_by, saying
from tests.support.server import Answer, Request

CALLS = 40


def accepting_up_to(size: int) -> Any:
    def answer(request: Request) -> Answer:
        return saying(413, "too large") if len(request.body) > size else Answer()

    return answer


def noise(length: int) -> str:
    """A text that no compression makes smaller."""
    return "".join(random.choices(string.ascii_letters, k=length))


def a_large_task(endpoint: str, reader: InMemoryMetricReader) -> dict[DropReason, int]:
    hb = hiveloop.init(transport=OTelTransport(endpoint=endpoint, metric_reader=reader), environment="test")
    agent = hb.agent("sales", heartbeat_interval=0)
    with agent.task("large") as task:
        for _ in range(CALLS):
            task.llm_call("think", "gpt-4o", tokens_in=1, metadata={"noise": noise(100)})
        task.set_payload({"noise": noise(6_000)})
    assert hb.flush(10)
    return dict(hb.stats().dropped)


def dropped_spans(reader: InMemoryMetricReader) -> dict[str, int]:
    data: Any = reader.get_metrics_data()
    return {
        dict(point.attributes)["hiveloop.drop.reason"]: point.value
        for group in data.resource_metrics
        for scope in group.scope_metrics
        for metric in scope.metrics
        if metric.name == "hiveloop.otel.spans.dropped"
        for point in metric.data.data_points
    }


def test_a_span_that_is_too_large_arrives_without_its_events_and_with_short_texts() -> None:
    reader = InMemoryMetricReader()
    with OtlpSink() as sink:
        sink.default = accepting_up_to(2_000)
        assert a_large_task(sink.url, reader) == {}
        assert not dropped_spans(reader)
        assert sink.names() == {"invoke_agent sales": 1, "chat gpt-4o": CALLS}
        assert not sink.repeats()
        assert not sink.violations
        task = the_task(sink)
    assert (task.events, task.dropped_events) == ([], CALLS)
    assert task.attributes["hiveloop.task.llm.calls"] == CALLS
    assert len(task.attributes["hiveloop.task.payload.noise"]) == 256


def the_task(sink: OtlpSink) -> ReceivedSpan:
    (task,) = [span for span in sink.spans() if span.name == "invoke_agent sales"]
    return task


def test_what_is_still_too_large_is_counted_here_and_there() -> None:
    reader = InMemoryMetricReader()
    with OtlpSink() as sink:
        sink.default = accepting_up_to(10)
        dropped = a_large_task(sink.url, reader)
    assert set(dropped) == {DropReason.TOO_LARGE}
    assert dropped_spans(reader) == {"too_large": CALLS + 1}


def test_a_batch_that_is_halved_is_counted_and_assembled_once() -> None:
    """Halves are prepared anew; what is in them must not be taken for something new."""
    reader = InMemoryMetricReader()
    with OtlpSink(poisoned_by("poison")) as sink:
        hb = hiveloop.init(
            transport=OTelTransport(endpoint=sink.url, metric_reader=reader), environment="test"
        )
        agent = hb.agent("sales", heartbeat_interval=0)
        with agent.task("t") as task:
            for number in range(8):
                with agent.track_context("poison" if number == 5 else "fine"):
                    task.llm_call("think", "gpt-4o", tokens_in=10)
            task.retry("again")
        assert hb.flush(10)
        assert hb.stats().dropped == {DropReason.REFUSED: 1}
        assert sink.names() == {"invoke_agent sales": 1, "chat gpt-4o": 8, "fine": 7}
        assert not sink.repeats()
        task_span = the_task(sink)
    assert task_span.attributes["hiveloop.task.llm.calls"] == 8
    assert [name for name, _, _ in task_span.events] == ["hiveloop.retry"]
    assert count_of(reader, "hiveloop.action.duration") == 8
    assert count_of(reader, "hiveloop.task.duration") == 1
    assert dropped_spans(reader) == {"refused": 1}


def count_of(reader: InMemoryMetricReader, name: str) -> int:
    data: Any = reader.get_metrics_data()
    return sum(
        point.count
        for group in data.resource_metrics
        for scope in group.scope_metrics
        for metric in scope.metrics
        if metric.name == name
        for point in metric.data.data_points
    )


@pytest.mark.parametrize(
    "flag", ["metrics", "logs", "capture_content", "conversation_id", "heartbeat_logs", "queue_logs"]
)
def test_a_word_is_no_switch(flag: str) -> None:
    """The text "false" would switch it on."""
    options: dict[str, Any] = {flag: "false"}
    with pytest.raises(hiveloop.HiveLoopConfigError, match=f"{flag}=.false. is not valid: give True or"):
        OTelTransport(**options)

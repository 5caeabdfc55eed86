"""Tasks, actions and calls of models as spans: shape, ids, parents, times, status, limits."""

from __future__ import annotations

import contextvars
import threading
import uuid
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, TraceIdRatioBased
from opentelemetry.trace import SpanKind, StatusCode

import hiveloop

from .conftest import Maker, Traced

RUN = "7f1e3c52-94f5-4f0b-9c28-6a4c2b1d0e9f"


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def ids(span: ReadableSpan) -> tuple[int, int]:
    assert span.context is not None
    return span.context.trace_id, span.context.span_id


def parent_id(span: ReadableSpan) -> int | None:
    return None if span.parent is None else span.parent.span_id


def one_of_each(seen: Traced, **task: Any) -> None:
    with seen.agent.task("lead-42", **task) as current:
        with seen.agent.track_context("search") as action:
            action.set_payload(hiveloop.tool_payload(args={"q": "cats"}, result="3 hits"))
        current.llm_call("reason", "gpt-4o", tokens_in=1200, tokens_out=350, cost=0.008, duration_ms=5)


def test_a_task_a_tool_and_a_call_are_three_spans(traced: Maker) -> None:
    seen = traced()
    one_of_each(seen)
    spans = {span.name: span for span in seen.spans()}
    assert set(spans) == {"invoke_agent sales", "execute_tool search", "chat gpt-4o"}
    task, tool, call = (spans[n] for n in ("invoke_agent sales", "execute_tool search", "chat gpt-4o"))
    assert (task.kind, tool.kind, call.kind) == (SpanKind.INTERNAL, SpanKind.INTERNAL, SpanKind.CLIENT)
    assert task.parent is None
    assert parent_id(tool) == parent_id(call) == ids(task)[1]
    assert len({ids(span)[0] for span in spans.values()}) == 1


def test_a_call_inside_an_action_is_its_child(traced: Maker) -> None:
    seen = traced()
    with seen.agent.task("t") as task, seen.agent.track_context("think"):
        task.llm_call("reason", "gpt-4o")
    assert parent_id(seen.only("chat gpt-4o")) == ids(seen.only("think"))[1]


@pytest.mark.parametrize(("mode", "spans", "events"), [("both", 3, 1), ("event", 2, 1), ("span", 3, 0)])
def test_calls_of_models_as_events_or_spans(traced: Maker, mode: str, spans: int, events: int) -> None:
    seen = traced(llm_calls=mode)
    one_of_each(seen)
    assert len(seen.spans()) == spans
    task = seen.only("invoke_agent sales")
    assert [event.name for event in task.events] == ["gen_ai.client.inference.operation.details"] * events
    for event in task.events:
        told = dict(event.attributes or {})
        assert (told["gen_ai.usage.input_tokens"], told["gen_ai.usage.output_tokens"]) == (1200, 350)
        assert told["hiveloop.llm.cost_usd"] == 0.008


def test_the_mode_comes_from_the_environment_too(traced: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIVELOOP_OTEL_LLM_CALLS", "event")
    seen = traced()
    one_of_each(seen)
    assert len(seen.spans()) == 2


def test_the_trace_id_is_the_run_id(traced: Maker) -> None:
    seen = traced()
    one_of_each(seen)
    one_of_each(seen, task_run_id=RUN)
    one_of_each(seen, task_run_id=f"{{{RUN.upper()}}}")
    first, second, third = (span for span in seen.spans() if span.parent is None)
    assert format(ids(second)[0], "032x") == uuid.UUID(RUN).hex
    assert ids(second) == ids(third)
    run_id = attributes(first)["hiveloop.task.run_id"]
    assert format(ids(first)[0], "032x") == uuid.UUID(run_id).hex


def test_any_run_id_gives_valid_and_stable_ids(traced: Maker) -> None:
    found = []
    for _ in range(2):
        seen = traced()
        for run_id in ("run-42", "run-43", "00000000-0000-0000-0000-000000000000", "\ud800"):
            with seen.agent.task("t", task_run_id=run_id):
                pass
        found.append([ids(span) for span in seen.spans()])
        hiveloop.reset()
    assert found[0] == found[1]
    assert len(set(found[0])) == 4
    assert all(0 < trace_id < 2**128 and 0 < span_id < 2**64 for trace_id, span_id in found[0])


def test_totals_are_on_the_task_and_usage_is_not(traced: Maker) -> None:
    seen = traced()
    with seen.agent.task("t") as task:
        task.llm_call("a", "gpt-4o", tokens_in=10, tokens_out=1, cost=0.5)
        with seen.agent.track_context("tool") as action:
            task.llm_call("b", "gpt-4o", tokens_in=20, tokens_out=2, cost=0.25)
            action.set_payload({"args": {}})
        task.retry("again", attempt=2)
        task.plan("goal", ["a", "b"])
        task.escalate("help")
    told = attributes(seen.only("invoke_agent sales"))
    assert told["hiveloop.task.llm.calls"] == 2
    assert told["hiveloop.task.llm.input_tokens"] == 30
    assert told["hiveloop.task.llm.output_tokens"] == 3
    assert told["hiveloop.task.cost_usd"] == 0.75
    assert told["hiveloop.task.tool.calls"] == 1
    assert told["hiveloop.task.retries"] == 1
    assert told["hiveloop.plan.step_count"] == 2
    assert told["hiveloop.task.escalated"] is True
    assert not [key for key in told if key.startswith(("gen_ai.usage", "gen_ai.request"))]


def test_times_are_those_of_the_events(traced: Maker) -> None:
    memory = hiveloop.MemoryTransport()
    seen = traced(memory)
    with seen.agent.task("t"), seen.agent.track_context("step"):
        pass
    spans = {span.name: span for span in seen.spans()}
    times = {event.type.value: event.time_ns for event in memory.events}
    task, step = spans["invoke_agent sales"], spans["step"]
    assert (task.start_time, task.end_time) == (times["task_started"], times["task_completed"])
    assert (step.start_time, step.end_time) == (times["action_started"], times["action_completed"])


def test_spans_lie_inside_their_parents(traced: Maker) -> None:
    seen = traced()
    with seen.agent.task("t") as task:
        task.llm_call("a", "gpt-4o", duration_ms=3_600_000)  # longer than the task itself
        with seen.agent.track_context("step"):
            pass
    spans = {ids(span)[1]: span for span in seen.spans()}
    for span in spans.values():
        parent = spans.get(parent_id(span) or 0)
        assert span.end_time >= span.start_time  # type: ignore[operator]
        if parent is not None:
            assert parent.start_time <= span.start_time  # type: ignore[operator]
            assert span.end_time <= parent.end_time  # type: ignore[operator]


def test_other_peoples_spans_nest_and_leave_no_trace_in_the_context(traced: Maker) -> None:
    seen = traced()
    provider = TracerProvider(shutdown_on_exit=False)
    tracer = provider.get_tracer("app")
    with seen.agent.task("t"), seen.agent.track_context("step"):
        with tracer.start_as_current_span("theirs") as theirs:
            hiveloop.llm_call("inside", "gpt-4o")
        assert trace.get_current_span().get_span_context().is_valid
    assert trace.get_current_span() is trace.INVALID_SPAN
    step = seen.only("step")
    assert theirs.parent.span_id == ids(step)[1]  # type: ignore[attr-defined]
    assert theirs.get_span_context().trace_id == ids(step)[0]
    assert parent_id(seen.only("chat gpt-4o")) == theirs.get_span_context().span_id


def test_a_task_in_somebody_elses_span_is_its_child(traced: Maker) -> None:
    seen = traced()
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("app")
    with tracer.start_as_current_span("request") as request, seen.agent.task("t") as task:
        task.llm_call("a", "gpt-4o")
        with seen.agent.track_context("step"):
            pass
    top = seen.only("invoke_agent sales")
    assert parent_id(top) == request.get_span_context().span_id
    assert ids(top)[0] == request.get_span_context().trace_id
    assert parent_id(seen.only("chat gpt-4o")) == parent_id(seen.only("step")) == ids(top)[1]


def test_a_manual_task_keeps_its_own_children_in_somebody_elses_span(traced: Maker) -> None:
    seen = traced()
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("app")
    with tracer.start_as_current_span("request"):
        task = seen.agent.start_task("manual")
        task.llm_call("a", "gpt-4o")
        with seen.agent.track_context("step"):
            pass
        task.complete()
    top = seen.only("invoke_agent sales")
    assert parent_id(seen.only("chat gpt-4o")) == parent_id(seen.only("step")) == ids(top)[1]


def test_a_span_of_another_trace_is_linked(traced: Maker) -> None:
    seen = traced()
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("app")
    task = seen.agent.start_task("manual")
    with tracer.start_as_current_span("elsewhere") as other, seen.agent.track_context("step"):
        pass
    task.complete()
    step = seen.only("step")
    assert parent_id(step) == ids(seen.only("invoke_agent sales"))[1]
    assert [link.context.span_id for link in step.links] == [other.get_span_context().span_id]


def test_one_agent_working_for_another_is_one_trace(traced: Maker) -> None:
    seen = traced()
    helper = seen.hb.agent("writer", heartbeat_interval=0)
    with seen.agent.task("plan"), seen.agent.track_context("delegate"), helper.task("write"):
        pass
    manual = seen.agent.start_task("manual")
    with helper.task("again"):
        pass
    manual.complete()
    first, second = (span for span in seen.spans() if span.name == "invoke_agent writer")
    assert parent_id(first) == ids(seen.only("delegate"))[1]
    tops = [span for span in seen.spans() if span.name == "invoke_agent sales"]
    assert parent_id(second) == ids(tops[1])[1]


def test_what_others_write_onto_the_current_span_is_exported(traced: Maker) -> None:
    seen = traced()
    with seen.agent.task("t"):
        span = trace.get_current_span()
        assert span.is_recording()
        span.set_attribute("app.tenant", "acme")
        span.set_attributes({"app.list": ["a", "b"], "app.none": None})
        span.add_event("cache miss", {"key": "k"})
        span.record_exception(ValueError("caught"))
        span.update_name("lead intake")
        span.set_status(StatusCode.ERROR, "half done")
        span.end()
    assert not span.is_recording() or seen.spans()
    done = seen.only("lead intake")
    assert attributes(done)["app.tenant"] == "acme"
    assert attributes(done)["app.list"] == ("a", "b")
    assert [event.name for event in done.events] == ["cache miss", "exception"]
    assert (done.status.status_code, done.status.description) == (StatusCode.ERROR, "half done")
    assert not span.is_recording()
    span.set_attribute("too", "late")


def test_too_many_attributes_of_others_do_not_push_ours_out(traced: Maker) -> None:
    seen = traced()
    with seen.agent.task("t"):
        for number in range(128):
            trace.get_current_span().set_attribute(f"key{number}", number)
    top = seen.only("invoke_agent sales")
    told = attributes(top)
    assert len(told) == 128
    assert told["gen_ai.operation.name"] == "invoke_agent"
    assert told["hiveloop.task.status"] == "success"
    assert top.dropped_attributes == len([key for key in told if not key.startswith("key")])


def test_secrets_that_others_write_are_redacted(traced: Maker) -> None:
    seen = traced()
    with seen.agent.task("t"):
        trace.get_current_span().set_attribute("app.note", "key sk-ant-api03-" + "a1B2" * 12)
    assert "a1B2a1B2" not in str(attributes(seen.only("invoke_agent sales")))


def test_success_is_unset_and_failure_is_an_error(traced: Maker) -> None:
    seen = traced()
    with seen.agent.task("good"), seen.agent.track_context("fine"):
        pass
    with pytest.raises(KeyError), seen.agent.task("bad"), seen.agent.track_context("broken"):
        raise KeyError("no such lead")
    with seen.agent.task("soft"), seen.agent.track_context("tool") as action:
        action.set_payload(hiveloop.tool_payload(args={}, success=False, error="timeout"))
    status = {span.name: span.status for span in seen.spans() if not span.name.startswith("invoke")}
    assert status["fine"].status_code is StatusCode.UNSET
    assert status["broken"].status_code is StatusCode.ERROR
    assert status["execute_tool tool"].status_code is StatusCode.ERROR
    assert status["execute_tool tool"].description == "timeout"
    broken = seen.only("broken")
    assert attributes(broken)["error.type"] == "KeyError"
    assert [event.name for event in broken.events] == ["exception"]
    assert dict(broken.events[0].attributes or {})["exception.type"] == "KeyError"
    tasks = [span for span in seen.spans() if span.name == "invoke_agent sales"]
    assert [span.status.status_code for span in tasks] == [
        StatusCode.UNSET,
        StatusCode.ERROR,
        StatusCode.UNSET,
    ]


def test_a_busy_task_keeps_all_spans_and_its_newest_events(traced: Maker) -> None:
    seen = traced()
    with seen.agent.task("busy") as task:
        for number in range(5000):
            task.llm_call(f"call {number}", "gpt-4o")
    spans = seen.spans()
    assert len([span for span in spans if span.name == "chat gpt-4o"]) == 5000
    top = seen.only("invoke_agent sales")
    assert len(top.events) == 1024
    assert top.dropped_events == 3976
    assert dict(top.events[-1].attributes or {})["hiveloop.llm.call.name"] == "call 4999"


def test_an_open_task_is_exported_at_the_end_as_incomplete(traced: Maker) -> None:
    seen = traced()
    task = seen.agent.start_task("open")
    with seen.agent.track_context("done"):
        pass
    contextvars.copy_context().run(seen.agent.track_context("never left").__enter__)
    hiveloop.shutdown(timeout=5)
    spans = {span.name: span for span in seen.exporter.get_finished_spans()}
    assert set(spans) == {"done", "never left", "invoke_agent sales"}
    told = attributes(spans["invoke_agent sales"])
    assert told["hiveloop.span.incomplete"] is True
    assert told["hiveloop.task.status"] == "interrupted"
    assert attributes(spans["never left"])["hiveloop.span.incomplete"] is True
    assert spans["invoke_agent sales"].status.status_code is StatusCode.UNSET
    task.complete()


def test_what_comes_after_the_end_is_linked_not_lost(traced: Maker) -> None:
    seen = traced()
    with seen.agent.task("t") as task:
        task.request_approval("send it?")
    seen.spans()
    task.approval_received("yes")
    task.llm_call("late", "gpt-4o")
    top, late = seen.only("invoke_agent sales"), seen.only("hiveloop.approval.received")
    assert [event.name for event in top.events] == ["hiveloop.approval.requested"]
    assert (parent_id(late), late.links[0].context.span_id) == (ids(top)[1], ids(top)[1])
    assert late.start_time == late.end_time
    assert parent_id(seen.only("chat gpt-4o")) == ids(top)[1]


def test_an_approval_tells_how_long_it_took(traced: Maker) -> None:
    seen = traced()
    with seen.agent.task("t") as task:
        task.request_approval("send it?")
        task.approval_received("yes", approved_by="kim")
    received = seen.only("invoke_agent sales").events[1]
    assert 0 <= dict(received.attributes or {})["hiveloop.approval.received.wait_duration"] < 5


def test_what_happens_outside_any_task_is_an_instant_span(traced: Maker) -> None:
    seen = traced()
    seen.agent.report_issue("db down", severity="high")
    seen.agent.llm_call("idle", "gpt-4o")
    with seen.agent.task("t"):
        seen.agent.report_issue("inside", severity="low")
    first, inside = (span for span in seen.spans() if span.name == "hiveloop.issue.reported")
    assert first.parent is None
    assert first.start_time == first.end_time
    assert parent_id(inside) == ids(seen.only("invoke_agent sales"))[1]
    assert seen.only("chat gpt-4o").parent is None


def test_quiet_events_make_no_spans(traced: Maker) -> None:
    seen = traced()
    seen.agent.queue_snapshot(3)
    seen.agent.scheduled([{"id": "a"}])
    assert seen.spans() == []


def test_an_unsampled_trace_is_not_exported_and_says_so_to_others(traced: Maker) -> None:
    seen = traced(sampler=ALWAYS_OFF)
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("app")
    with seen.agent.task("t") as task, seen.agent.track_context("step"):
        task.llm_call("a", "gpt-4o")
        assert not trace.get_current_span().is_recording()
        seen.agent.report_issue("inside")
        with tracer.start_as_current_span("theirs") as theirs:
            assert not theirs.is_recording()
    assert seen.spans() == []


def test_a_ratio_is_kept_though_run_ids_are_not_random(traced: Maker) -> None:
    seen = traced(sampler=TraceIdRatioBased(0.5))
    for _ in range(400):
        with seen.agent.task("t"):
            pass
    assert 120 < len(seen.spans()) < 280


def test_threads_and_propagate_keep_the_context(traced: Maker) -> None:
    seen = traced()
    inside: list[int] = []

    def work() -> None:
        inside.append(trace.get_current_span().get_span_context().span_id)
        with seen.agent.track_context("in thread"):
            pass

    with seen.agent.task("t"):
        thread = threading.Thread(target=hiveloop.propagate(work))
        thread.start()
        thread.join()
    top = seen.only("invoke_agent sales")
    assert inside == [ids(top)[1]]
    assert parent_id(seen.only("in thread")) == ids(top)[1]


def test_a_tracked_generator_is_current_inside_only(traced: Maker) -> None:
    seen = traced()
    inside: list[int] = []

    @seen.agent.track("produce")
    def produce() -> Any:
        for number in range(2):
            inside.append(trace.get_current_span().get_span_context().span_id)
            yield number

    with seen.agent.task("t"):
        for _ in produce():
            current = trace.get_current_span().get_span_context().span_id
    assert set(inside) == {ids(seen.only("produce"))[1]}
    assert current == ids(seen.only("invoke_agent sales"))[1]


def test_a_task_whose_start_was_not_seen_is_right_but_for_its_start(traced: Maker) -> None:
    hb = hiveloop.init(transport=hiveloop.MemoryTransport())
    agent = hb.agent("early", heartbeat_interval=0)
    task = agent.start_task("t", task_run_id=RUN)
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    from hiveloop._client import HiveBoard  # the way `hiveloop.testing` redirects agents
    from hiveloop_otel import OTelTransport

    assert isinstance(hb, HiveBoard)
    exporter = InMemorySpanExporter()
    hiveloop.reset()
    other = hiveloop.init(transport=OTelTransport(span_exporter=exporter))
    hb.divert(other)
    task.llm_call("a", "gpt-4o")
    task.complete()
    assert other.flush(10)
    call, top = exporter.get_finished_spans()
    assert (ids(top)[0], parent_id(call)) == (uuid.UUID(RUN).int, ids(top)[1])
    assert attributes(top)["hiveloop.span.start_missing"] is True


def test_ten_thousand_open_tasks(traced: Maker) -> None:
    seen = traced()
    tasks = [seen.agent.start_task(f"t{number}") for number in range(10_000)]
    for task in tasks:
        task.complete()
    spans = seen.spans()
    assert len(spans) == 10_000
    assert len({ids(span) for span in spans}) == 10_000
    assert not any("hiveloop.span.start_missing" in attributes(span) for span in spans)


def test_bad_values_never_cost_a_span(traced: Maker) -> None:
    seen = traced()
    cyclic: dict[str, Any] = {}
    cyclic["self"] = cyclic
    for bad in (None, float("nan"), 10**400, b"\xff\x00", "\ud800", "x" * 1_000_000, cyclic, object()):
        with seen.agent.task("t") as task, seen.agent.track_context("\ud800 name") as action:
            action.set_payload({"args": bad, "\ud800": bad})
            task.llm_call("a", "m\ud800", prompt_preview=bad, metadata={"x": bad})  # type: ignore[arg-type]
            trace.get_current_span().set_attribute("bad", bad)  # type: ignore[arg-type]
            trace.get_current_span().add_event("\ud800", {"bad": bad})  # type: ignore[dict-item]
    assert len(seen.spans()) == 8 * 3
    from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

    assert len(encode_spans(seen.spans()).SerializeToString()) > 1000


def test_baggage_is_copied_when_asked(traced: Maker) -> None:
    from opentelemetry import baggage, context

    seen = traced(copy_baggage=["session.id"])
    token = context.attach(baggage.set_baggage("session.id", "s-1"))
    try:
        with seen.agent.task("t"):
            pass
    finally:
        context.detach(token)
    assert attributes(seen.only("invoke_agent sales"))["session.id"] == "s-1"


def test_steps_of_a_plan_as_spans(traced: Maker) -> None:
    seen = traced(plan_steps="span")
    with seen.agent.task("t") as task:
        task.plan("goal", ["a", "b"])
        task.plan_step(0, "started", "go")
        task.plan_step(0, "completed", "done")
        task.plan_step(1, "started", "go")
        task.plan_step(1, "failed", "no")
    first, second = seen.only("plan_step 0"), seen.only("plan_step 1")
    assert parent_id(first) == ids(seen.only("invoke_agent sales"))[1]
    assert (first.status.status_code, second.status.status_code) == (StatusCode.UNSET, StatusCode.ERROR)


def test_pending_spans_for_logfire(traced: Maker) -> None:
    seen = traced(pending="logfire")
    task = seen.agent.start_task("t")
    pending = seen.spans()[0]
    assert attributes(pending)["logfire.span_type"] == "pending_span"
    task.complete()
    top = seen.spans()[1]
    assert parent_id(pending) == ids(top)[1]
    assert ids(pending)[1] != ids(top)[1]


def test_resource_tells_stage_group_and_service(traced: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "from-env")
    seen = traced(service_version="1.2")
    one_of_each(seen)
    told = dict(seen.spans()[0].resource.attributes)
    assert told["service.name"] == "from-env"
    assert told["service.version"] == "1.2"
    assert told["deployment.environment.name"] == "test"
    assert "telemetry.sdk.name" in told


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"llm_calls": "spans"}, "llm_calls='spans'"),
        ({"dialect": "2"}, "dialect='2'"),
        ({"compat": ["nobody"]}, "'nobody'"),
        ({"compat": "mlflow"}, "compat="),
        ({"narrative": 3}, "narrative=3"),
        ({"pending": "x"}, "pending='x'"),
        ({"copy_baggage": [1]}, "copy_baggage"),
        ({"service_name": 3}, "service_name=3"),
        ({"resource": "me"}, "resource='me'"),
        ({"sampler": 0.5}, "sampler=0.5"),
    ],
)
def test_wrong_arguments_are_refused_with_the_fix(options: dict[str, Any], words: str) -> None:
    from hiveloop_otel import OTelTransport

    with pytest.raises(hiveloop.HiveLoopConfigError, match="give") as refusal:
        OTelTransport(**options)
    assert words in str(refusal.value)


def test_a_clock_that_is_set_back_turns_no_span_around(
    traced: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wall clock is the only thing that is not real here."""
    import time

    seen, true_time, back = traced(), time.time_ns, 0

    def stepped() -> int:
        return true_time() - back

    for module in ("hiveloop._task", "hiveloop._action", "hiveloop._agent"):
        monkeypatch.setattr(f"{module}.time_ns", stepped)
    with seen.agent.task("t") as task:
        with seen.agent.track_context("before"):
            pass
        back = 3600 * 10**9
        with seen.agent.track_context("after"):
            task.llm_call("a", "gpt-4o", duration_ms=1)
    top = seen.only("invoke_agent sales")
    for span in seen.spans():
        assert span.start_time is not None
        assert span.end_time is not None
        assert 0 <= span.end_time - span.start_time < 60 * 10**9, span.name
        assert top.start_time <= span.start_time, span.name  # type: ignore[operator]
        assert span.end_time <= top.end_time, span.name  # type: ignore[operator]

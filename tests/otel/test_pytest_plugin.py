"""The fixture `hiveloop_spans` and `capture_spans`, as somebody who tests an agent uses them."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import get_current_span

import hiveloop
from hiveloop import HiveLoopConfigError
from hiveloop_otel.testing import capture_spans

pytest_plugins = ["pytester"]


def run_agent() -> None:
    """An application that knows nothing of tests."""
    hb = hiveloop.init("hb_live_application", endpoint="https://api.hiveboard.io")
    agent = hb.agent("sales", type="sales")
    with agent.task("lead-42", project="crm") as task:
        task.llm_call("reason", "gpt-4o", tokens_in=1200, tokens_out=350, cost=0.008, prompt_preview="Hi Ada")
        with agent.track_context("search") as action:
            action.set_payload(hiveloop.tool_payload(args={"company": "Acme"}, result="3 contacts"))
            task.retry("again", attempt=2)
    try:
        with agent.task("lead-43"):
            raise ValueError("boom")
    except ValueError:
        pass
    hiveloop.shutdown()


TREE = """\
invoke_agent sales
  - gen_ai.client.inference.operation.details
  chat gpt-4o (client)
  execute_tool search
    - hiveloop.retry
invoke_agent sales ERROR boom
  - exception"""


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def test_the_tree_is_the_same_text_every_time() -> None:
    for _ in range(2):
        with capture_spans() as traced:
            run_agent()
            assert traced.tree() == TREE
        assert traced.tree() == str(traced) == TREE


def test_spans_are_found_by_name() -> None:
    with capture_spans() as traced:
        run_agent()
    names = [span.name for span in traced.spans()]
    assert names == ["invoke_agent sales", "chat gpt-4o", "execute_tool search", "invoke_agent sales"]
    chat = traced.one("chat gpt-4o")
    assert attributes(chat)["gen_ai.usage.input_tokens"] == 1200
    first, second = traced.by_name("invoke_agent sales")
    assert [span.name for span in traced.children(first)] == ["chat gpt-4o", "execute_tool search"]
    assert traced.children(second) == []


def test_the_same_work_is_there_as_tasks_and_calls() -> None:
    with capture_spans() as traced:
        run_agent()
    assert traced.capture.task("lead-42").llm_calls[0].model == "gpt-4o"
    assert traced.capture.task("lead-43").error == "ValueError: boom"


def test_failures_show_the_tree() -> None:
    with capture_spans() as traced:
        run_agent()
    with pytest.raises(AssertionError) as none:
        traced.one("chat claude")
    assert str(none.value) == f"there is no span 'chat claude'\n\n{TREE}"
    with pytest.raises(AssertionError, match="there are 2 spans 'invoke_agent sales'"):
        traced.one("invoke_agent sales")


def test_open_scopes_have_no_span_and_nothing_is_readable() -> None:
    with capture_spans() as traced:
        assert traced.tree() == "(no span is finished)"
        task = hiveloop.init().agent("sales").start_task("lead-42")
        assert traced.spans() == []
        task.complete()
        assert [span.name for span in traced.spans()] == ["invoke_agent sales"]
        traced.clear()
        assert (traced.spans(), traced.capture.tasks) == ([], [])


def test_after_the_block_it_stays_as_it_was() -> None:
    with capture_spans() as traced:
        task = hiveloop.init().agent("sales").start_task("lead-42")
    task.complete()
    assert traced.spans() == []
    assert traced.capture.open_tasks != []


def test_options_are_those_of_the_transport() -> None:
    with capture_spans(llm_calls="event", capture_content=True) as traced:
        run_agent()
    assert "chat" not in traced.tree()
    event = traced.by_name("invoke_agent sales")[0].events[0]
    assert "Hi Ada" in str(event.attributes)
    with pytest.raises(HiveLoopConfigError), capture_spans(llm_calls="often"):
        pass


def test_the_environment_decides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIVELOOP_OTEL_LLM_CALLS", "event")
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "span_and_event")
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    before = dict(os.environ)
    with capture_spans() as traced:
        run_agent()
    assert traced.tree() == TREE
    assert dict(os.environ) == before
    assert not any("Hi Ada" in str(span.attributes) for span in traced.spans())


def test_spans_of_other_libraries_appear_in_between() -> None:
    provider = TracerProvider()
    tracer = provider.get_tracer("their library")
    with capture_spans() as traced:
        provider.add_span_processor(SimpleSpanProcessor(traced.exporter))
        agent = hiveloop.init().agent("sales")
        with agent.task("lead-42"), tracer.start_as_current_span("theirs"), agent.track_context("ours"):
            get_current_span().set_attribute("shop", "7")
    assert traced.tree() == "invoke_agent sales\n  theirs\n    ours"
    assert attributes(traced.one("ours"))["shop"] == "7"


# -- in pytest -------------------------------------------------------------------------------------


def test_the_fixture_captures_the_spans_of_one_test(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import hiveloop, pytest

        agent = None

        def work():
            global agent
            agent = agent or hiveloop.init(api_key="hb_live_application").agent("sales")
            with agent.task("lead-42") as task:
                task.llm_call("reason", "gpt-4o", tokens_in=3, prompt_preview="Hi Ada")

        def test_one(hiveloop_spans):
            work()
            assert hiveloop_spans.one("chat gpt-4o").attributes["gen_ai.usage.input_tokens"] == 3

        def test_two(hiveloop_spans):
            assert hiveloop_spans.spans() == []

        def test_failing(hiveloop_spans):
            with hiveloop.init().agent("sales").task("lead-42"):
                pass
            hiveloop_spans.one("chat claude")

        class TestWithContent:
            @pytest.fixture
            def hiveloop_otel_options(self):
                return {"capture_content": True}

            def test_content(self, hiveloop_spans):
                with hiveloop.init().agent("sales").task("lead-42") as task:
                    task.llm_call("reason", "gpt-4o", prompt_preview="Hi Ada")
                assert "Hi Ada" in hiveloop_spans.one("chat gpt-4o").attributes["gen_ai.input.messages"]

        def test_both(hiveloop_spans, hiveloop_capture):
            pass

        def test_nothing_is_left():
            assert hiveloop.get_client() is None
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-W", "error")
    result.assert_outcomes(passed=4, failed=1, errors=1)
    result.stdout.fnmatch_lines(["*there is no span 'chat claude'*", "*invoke_agent sales*"])
    result.stdout.fnmatch_lines(["use hiveloop_spans.capture in place of the fixture hiveloop_capture"])


def test_without_a_test_that_asks_the_plugin_imports_little() -> None:
    program = (
        "import sys, pytest; old = set(sys.modules)\n"
        "import hiveloop_otel._pytest_plugin\n"
        "print(*set(sys.modules) - old)"
    )
    listed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert set(listed.stdout.split()) == {"hiveloop_otel", "hiveloop_otel._pytest_plugin"}


WITHOUT_OPENTELEMETRY = """
import sys

class NotInstalled:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "opentelemetry":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, NotInstalled())
"""


def test_without_opentelemetry_only_tests_that_ask_for_it_fail(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(WITHOUT_OPENTELEMETRY)
    pytester.makepyfile(
        """
        def test_without():
            pass

        def test_with(hiveloop_spans):
            pass
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-W", "error")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(['*ImportError: *pip install "hiveloop?otel?"*'])

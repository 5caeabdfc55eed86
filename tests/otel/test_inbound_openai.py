"""The real client of a model provider, instrumented in several ways, against a server on the loopback."""

from __future__ import annotations

import json
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import openai
import pytest
from openinference.instrumentation.openai import OpenAIInstrumentor as OpenInference
from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor as Provider
from opentelemetry.sdk.trace import TracerProvider

from hiveloop.testing import capture
from hiveloop_otel import HiveLoopSpanProcessor


class Model(BaseHTTPRequestHandler):
    """A model that answers as OpenAI's does."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if asked["model"] == "busy":
            self.answer(429, {"error": {"message": "slow down", "type": "rate_limit"}})
        elif asked.get("stream"):
            self.stream()
        else:
            usage = {"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14}
            message = {"role": "assistant", "content": "Hello"}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            self.answer(200, {**self.head("chat.completion"), "choices": [choice], "usage": usage})

    def head(self, kind: str) -> dict[str, Any]:
        return {"id": "c-1", "object": kind, "created": 1, "model": "gpt-4o-2024-08-06"}

    def stream(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        for content, reason in (("Hel", None), ("lo", "stop")):
            choice = {"index": 0, "delta": {"content": content}, "finish_reason": reason}
            chunk = {**self.head("chat.completion.chunk"), "choices": [choice]}
            self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())
        self.wfile.write(b"data: [DONE]\n\n")
        self.close_connection = True

    def answer(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def model() -> Iterator[openai.OpenAI]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Model)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    with openai.OpenAI(
        base_url=f"http://127.0.0.1:{server.server_port}/v1", api_key="none", max_retries=0
    ) as client:
        yield client
    server.shutdown()
    server.server_close()
    thread.join(5)


@contextmanager
def instrumented(provider: TracerProvider, instrumentors: list[Any]) -> Generator[None]:
    for instrumentor in instrumentors:
        instrumentor.instrument(tracer_provider=provider)
    try:
        yield
    finally:
        for instrumentor in reversed(instrumentors):
            instrumentor.uninstrument()


ASKED: Any = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Say hello"}]


@pytest.mark.parametrize(
    "instrumentors",
    [[OpenInference()], [Provider()], [OpenInference(), Provider()], [Provider(), OpenInference()]],
    ids=["OpenInference", "OpenTelemetry", "both", "both the other way round"],
)
def test_openai_s_client_however_it_is_instrumented(model: openai.OpenAI, instrumentors: list[Any]) -> None:
    provider = TracerProvider()
    provider.add_span_processor(HiveLoopSpanProcessor())
    agent = provider.get_tracer("some.framework").start_as_current_span("invoke_agent sales")
    with capture() as seen, instrumented(provider, instrumentors), agent:
        model.chat.completions.create(model="gpt-4o", messages=ASKED, temperature=0.5)
        for _ in model.chat.completions.create(model="gpt-4o", messages=ASKED, stream=True):
            pass
        with pytest.raises(openai.RateLimitError):
            model.chat.completions.create(model="busy", messages=ASKED)

    whole, streamed, refused = seen.llm_calls
    assert (whole.tokens_in, whole.tokens_out, whole.metadata["provider"]) == (11, 3, "openai")
    assert whole.model.startswith("gpt-4o")
    assert whole.metadata["stop_reason"] == "stop"
    assert whole.metadata["temperature"] == 0.5
    assert whole.duration_ms is not None
    assert (streamed.tokens_in, streamed.metadata["stop_reason"]) == (None, "stop")
    assert refused.model == "busy"
    assert refused.metadata["error_type"] == "openai.RateLimitError"
    assert [len(task.llm_calls) for task in seen.tasks] == [3]
    if any(isinstance(used, OpenInference) for used in instrumentors):
        assert (whole.prompt_preview, whole.response_preview) == ("Say hello", "Hello")

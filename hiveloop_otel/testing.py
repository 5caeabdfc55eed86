"""Assert on the spans that an instrumented agent makes; nothing leaves the process.

    from hiveloop_otel.testing import capture_spans

    def test_the_model_is_asked_once():
        with capture_spans() as traced:
            answer("What is our refund policy?")
        assert traced.one("chat gpt-4o").attributes["gen_ai.usage.input_tokens"] == 900

With pytest, the fixture ``hiveloop_spans`` does the same without the ``with``. `hiveloop.testing` asserts
on what an agent did rather than on how it looks as spans, and is at hand here as `SpanCapture.capture`.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from hiveloop.testing import FLUSH_SECONDS, Capture, capture

from .transport import OTelTransport

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

__all__ = ["SpanCapture", "capture_spans"]


class SpanCapture:
    """The finished spans of a `capture_spans` block, and readable failures.

    Every reading waits for what was reported so far, so no test needs to sleep. A task or action that is
    still open has no span yet. After the block the capture stays as it was at its end.

    Attributes:
        exporter: where the spans arrive. Give it to the application's own provider too, in a
            ``SimpleSpanProcessor``, and spans of other libraries appear between those of hiveloop.
        capture: the same work as tasks, actions and model calls; see `hiveloop.testing`.
    """

    def __init__(self, exporter: InMemorySpanExporter, seen: Capture) -> None:
        self.exporter = exporter
        self.capture = seen
        self._final: tuple[ReadableSpan, ...] | None = None

    def __repr__(self) -> str:
        return f"<hiveloop_otel.testing.SpanCapture, {len(self._arrived())} spans have arrived>"

    def __str__(self) -> str:
        return self.tree()

    def spans(self) -> list[ReadableSpan]:
        """Return all finished spans so far, in order of their start.

        Raises:
            AssertionError: events or spans were lost; the message says why.
        """
        _ = self.capture.events  # waits until all are exported, and complains of losses
        return sorted(self._arrived(), key=lambda span: span.start_time or 0)

    def by_name(self, name: str) -> list[ReadableSpan]:
        """Return the spans of that name, in order of their start.

        Raises:
            AssertionError: there is none; the message shows those there are.
        """
        __tracebackhide__ = True
        found = [span for span in self.spans() if span.name == name]
        if not found:
            raise AssertionError(f"there is no span {name!r}\n\n{self.tree()}")
        return found

    def one(self, name: str) -> ReadableSpan:
        """Return the only span of that name.

        Raises:
            AssertionError: there is none, or there are several.
        """
        __tracebackhide__ = True
        found = self.by_name(name)
        if len(found) > 1:
            raise AssertionError(f"there are {len(found)} spans {name!r}\n\n{self.tree()}")
        return found[0]

    def children(self, parent: ReadableSpan) -> list[ReadableSpan]:
        """Return the spans right below another one, in order of their start."""
        return [span for span in self.spans() if _parent_key(span) == _key(parent)]

    def tree(self) -> str:
        """Return all spans with their events as indented text, without times, durations and ids.

        It is the same for the same behaviour, so it suits snapshot tests.
        """
        spans = self.spans()
        known = {_key(span) for span in spans}
        below: dict[tuple[int, int] | None, list[ReadableSpan]] = {}
        for span in spans:
            parent = _parent_key(span)
            below.setdefault(parent if parent in known else None, []).append(span)
        lines = [line for root in below.get(None, []) for line in _lines(root, below, "")]
        return "\n".join(lines) or "(no span is finished)"

    def clear(self) -> None:
        """Forget the spans and events so far."""
        self.capture.clear()
        self.exporter.clear()

    def stop(self) -> None:
        """Keep the spans so far and take in no more; the end of the block calls it."""
        self.capture.client.flush(FLUSH_SECONDS)
        self._final = self.exporter.get_finished_spans()

    def _arrived(self) -> tuple[ReadableSpan, ...]:
        return self.exporter.get_finished_spans() if self._final is None else self._final


@contextmanager
def capture_spans(**options: Any) -> Generator[SpanCapture]:
    """Capture the spans of everything that agents report inside the ``with`` block.

    It is a `hiveloop.testing.capture` with an `OTelTransport` beside it: `hiveloop.init` returns the
    capturing client, whatever it is given, and nothing of the application needs to change. No setting is read
    from the environment.

    Args:
        **options: for `OTelTransport`, such as ``capture_content=True`` or ``llm_calls="event"``.

    Raises:
        HiveLoopConfigError: an option is not valid.
    """
    exporter = InMemorySpanExporter()
    with capture(transport=_transport(exporter, options)) as seen:
        traced = SpanCapture(exporter, seen)
        try:
            yield traced
        finally:
            traced.stop()


def _transport(exporter: InMemorySpanExporter, options: dict[str, Any]) -> OTelTransport:
    """Make a transport without the environment: a switch or a sampler in it must not decide about a test."""
    ours = ("OTEL_", "HIVELOOP_OTEL_")
    kept = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith(ours)}
    try:
        return OTelTransport(span_exporter=exporter, **options)
    finally:
        os.environ.update(kept)


def _key(span: ReadableSpan) -> tuple[int, int]:
    context = span.get_span_context()
    return (0, 0) if context is None else (context.trace_id, context.span_id)


def _parent_key(span: ReadableSpan) -> tuple[int, int] | None:
    return None if span.parent is None else (span.parent.trace_id, span.parent.span_id)


def _lines(
    span: ReadableSpan, below: dict[tuple[int, int] | None, list[ReadableSpan]], indent: str
) -> Iterator[str]:
    yield indent + " ".join(filter(None, (span.name, *_remarks(span))))
    for event in span.events:
        yield f"{indent}  - {event.name}"
    for child in below.get(_key(span), []):
        yield from _lines(child, below, f"{indent}  ")


def _remarks(span: ReadableSpan) -> Iterator[str]:
    """What is worth saying of a span: its kind unless it is the usual one, a remote parent, a failure."""
    if span.kind is not SpanKind.INTERNAL:
        yield f"({span.kind.name.lower()})"
    if span.parent is not None and span.parent.is_remote:
        yield "(remote parent)"
    if span.status.status_code is StatusCode.ERROR:
        yield f"ERROR {span.status.description or ''}".rstrip()

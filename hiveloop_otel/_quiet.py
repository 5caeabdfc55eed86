"""Calling exporters: neither traced nor heard in the log, and never beyond a deadline."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar

import opentelemetry.context as otel_context

from hiveloop._guard import contain

__all__ = ["quietly", "within"]

_LONGEST_REASON = 200

_LOGGERS = (
    "opentelemetry.exporter.otlp.proto.http.trace_exporter",
    "opentelemetry.exporter.otlp.proto.http._log_exporter",
    "opentelemetry.exporter.otlp.proto.http.metric_exporter",
    "opentelemetry.exporter.otlp.proto.grpc.exporter",
    "opentelemetry.exporter.otlp.json.http.trace_exporter",
    "opentelemetry.exporter.otlp.json.http._log_exporter",
    "opentelemetry.exporter.otlp.json.http.metric_exporter",
    "opentelemetry.util.re",
)
"""Where OTLP exporters write a line per failed attempt; the last one shows headers it cannot read."""

_muted: ContextVar[list[str] | None] = ContextVar("hiveloop_otel_muted", default=None)


class _Mute(logging.Filter):
    """Drops what exporters log while we call them, and keeps it as the reason of a failure.

    The engine logs an outage itself: one line when it begins and one when it ends. Other users of the same
    loggers are on other threads or contexts, and stay heard.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        kept = _muted.get()
        if kept is None:
            return True
        kept.append(contain("reading a log record", record.getMessage, default="")[:_LONGEST_REASON])
        return False


_MUTE = _Mute()
_FAILED: object = object()

# Instrumentations look for this plain key, or for the SDK's own, which has a random part and no public name.
_SUPPRESS = ("suppress_instrumentation", getattr(otel_context, "_SUPPRESS_INSTRUMENTATION_KEY", None))


@contextmanager
def quietly() -> Generator[list[str]]:
    """Keep what happens inside from being traced and logged; yields what would have been logged."""
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_MUTE)  # once only: a filter is not added again
    kept: list[str] = []
    context = otel_context.get_current()
    for key in _SUPPRESS:
        context = context if key is None else otel_context.set_value(key, True, context)
    token = otel_context.attach(context)
    muted = _muted.set(kept)
    try:
        yield kept
    finally:
        _muted.reset(muted)
        otel_context.detach(token)


def within(seconds: float, call: Callable[[], object], place: str) -> bool:
    """Make a call that may not keep its time, and wait for it no longer than `seconds`.

    It runs on a daemon thread, which is left to itself when the time is over. An interpreter that is going
    down starts no thread any more; the call is made here then.

    Args:
        seconds: to wait at most.
        call: returns False when it failed; anything else is success.
        place: name for the report of an exception.

    Returns:
        Whether the call ended in time and did not fail.
    """
    results: list[object] = []
    ended = threading.Event()

    def run() -> None:
        with quietly():
            results.append(contain(place, call, default=_FAILED))
        ended.set()

    try:
        threading.Thread(target=run, name="hiveloop-otel-call", daemon=True).start()
    except RuntimeError:
        run()
    return ended.wait(max(0.0, seconds)) and results[0] not in (False, _FAILED)

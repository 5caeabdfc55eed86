"""Carry the trace from process to process: W3C ``traceparent``, by OpenTelemetry's own propagators.

Where an HTTP client and a web framework are instrumented, traces travel by themselves, since scopes of
HiveLoop are current for OpenTelemetry too. These functions are for everything else: plain HTTP, message
queues, subprocesses.

    requests.post(url, headers=inject({}))      # the sender

    with remote_context(request.headers):       # the receiver
        with agent.task("answer"):              # a child of the sender's span
            ...

All of them work without a client of hiveloop, and none raises, whatever the carrier. Which headers are
written and read is the global propagator's decision: ``OTEL_PROPAGATORS``, or W3C trace context and baggage.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Iterator, Mapping, MutableMapping
from contextlib import AbstractContextManager, contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.propagators.textmap import Getter, Setter, TextMapPropagator
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from hiveloop import Task
from hiveloop._guard import attempt, notice
from hiveloop._shape import is_a, is_dict, is_list, kind_of

if TYPE_CHECKING:
    from opentelemetry.context import Context

__all__ = [
    "Carrier",
    "child_environment",
    "environment_context",
    "extract",
    "inject",
    "remote_context",
    "traceparent",
    "use_task",
]

Carrier = Mapping[Any, Any] | Iterable[Any]
"""Headers to read from, as they come: any mapping of names to texts, bytes or lists of those, whatever the
case of the names; a list of pairs; an ASGI scope; a WSGI environment."""

Writable = TypeVar("Writable", bound=MutableMapping[str, str] | list[Any])

MOST_HEADERS = 1_000
"""Headers looked at. Servers refuse requests with that many, and an endless carrier must come to an end."""


# -- sending ------------------------------------------------------------------------------------


def inject(carrier: Writable, context: Context | None = None) -> Writable:
    """Write the current span into headers that are about to be sent, and return them.

    Args:
        carrier: a mapping, or a list of pairs as ASGI has it: pairs of bytes if it holds any, else of text.
            Headers of the same name are replaced, whatever their case.
        context: the OpenTelemetry context to send; the current one by default.

    Returns:
        The carrier itself, unchanged when no span is current.
    """
    attempt("inject", _inject, carrier, context, default=None)
    return carrier


def _inject(carrier: MutableMapping[str, str] | list[Any], context: Context | None) -> None:
    headers: dict[str, str] = {}
    _propagator().inject(headers, context, _Sent())
    for name, value in headers.items():
        _into_list(carrier, name, value) if isinstance(carrier, list) else _into(carrier, name, value)


def _into(carrier: MutableMapping[str, str], name: str, value: str) -> None:
    """Set one header; a variant in another case would make two of it on the wire."""
    for other in [key for key in carrier if key != name and _name(key) == name.lower()]:
        del carrier[other]
    carrier[name] = value


def _into_list(carrier: list[Any], name: str, value: str) -> None:
    is_bytes = any(kind_of(part) is bytes for part in _pair(carrier[0])) if carrier else False
    kept = [item for item in carrier if _name(_pair(item)[0]) != name.lower()]
    carrier[:] = [*kept, (name.encode(), value.encode()) if is_bytes else (name, value)]


def traceparent() -> str | None:
    """Return the W3C ``traceparent`` of the current span, whatever the global propagator, or None."""
    headers: dict[str, str] = {}
    attempt("traceparent", _W3C.inject, headers, None, _Sent(), default=None)
    return headers.get("traceparent")


_W3C = TraceContextTextMapPropagator()


def child_environment(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return a copy of an environment that hands the current trace to a subprocess, as ``TRACEPARENT``.

        subprocess.run(command, env=child_environment())

    The subprocess joins with `environment_context`; so does any program that follows the convention.

    Args:
        environ: the environment to copy; that of the process by default.
    """
    copied = dict(os.environ if environ is None else environ)
    for name in _fields():
        copied.pop(_variable(name), None)  # one that we inherited names another span
    headers: dict[str, str] = {}
    for name, value in inject(headers).items():
        copied[_variable(name)] = value
    return copied


# -- receiving ----------------------------------------------------------------------------------


def extract(carrier: Carrier, context: Context | None = None) -> Context:
    """Return the context that the sender of these headers was in, on top of `context`.

    Use it where a context is passed on explicitly; otherwise `remote_context` is simpler.

    Args:
        carrier: the headers received.
        context: what to build on; the current context by default.

    Returns:
        `context` unchanged when the carrier has nothing to offer, or nothing that can be read.
    """
    base = otel_context.get_current() if context is None else context
    return attempt("extract", _extract, carrier, base, default=base)


def _extract(carrier: object, base: Context) -> Context:
    return _propagator().extract(_headers(carrier), base, _Headers())


@contextmanager
def remote_context(headers: Carrier) -> Generator[Context]:
    """Continue the sender's trace inside the ``with`` block: a task started there is the sender's child.

    Where an instrumented web framework has read the same headers already, its span of this request is
    between the two, and stays there.

    Args:
        headers: what was received; without a trace in it nothing changes.
    """
    with _attached(attempt("remote_context", _joined, headers, default=None)) as context:
        yield context


def environment_context(environ: Mapping[str, str] | None = None) -> AbstractContextManager[Context]:
    """Continue the trace that started this process, if ``TRACEPARENT`` names one.

    Nothing reads that variable unless this is called: it is inherited by grandchildren too, which may have
    nothing to do with the trace.

    Args:
        environ: where to look; the environment of the process by default.
    """
    found = os.environ if environ is None else environ
    return remote_context({name: found[_variable(name)] for name in _fields() if _variable(name) in found})


def _joined(headers: object) -> Context:
    """The current context with the sender's span in it, unless a child of that span is current."""
    current = otel_context.get_current()
    joined = _extract(headers, current)
    sender = trace.get_current_span(joined).get_span_context()
    if _is_child(trace.get_current_span(current), sender):
        return trace.set_span_in_context(trace.get_current_span(current), joined)
    return joined


def _is_child(span: trace.Span, sender: trace.SpanContext) -> bool:
    """Tell whether an open span of this process has the sender's as its parent."""
    parent = getattr(span, "parent", None)  # spans of the SDK have one, the API knows none
    if not isinstance(parent, trace.SpanContext) or not span.is_recording():
        return False
    return (parent.trace_id, parent.span_id) == (sender.trace_id, sender.span_id)


@contextmanager
def _attached(context: Context | None) -> Generator[Context]:
    """Make a context current. It is left only where it is current: a block may end in another thread."""
    if context is None:
        yield otel_context.get_current()
        return
    token = otel_context.attach(context)
    try:
        yield context
    finally:
        if otel_context.get_current() is context:
            otel_context.detach(token)


@contextmanager
def use_task(task: Task | None) -> Generator[Task | None]:
    """Make a manually started task current for a ``with`` block, for OpenTelemetry as well.

    `Agent.start_task` alone makes a task current for hiveloop only: its beginning and its end may lie in
    different contexts. Inside the block spans of other libraries nest below the task, and what `inject`
    writes is the task.

    Args:
        task: what `Agent.start_task` returned; with None nothing changes.
    """
    if task is None or not is_a(kind_of(task), Task):
        if task is not None:
            notice("use_task", "hiveloop: use_task takes a task; ignored")
        yield None
        return
    with task.activate():
        yield task


# -- carriers -----------------------------------------------------------------------------------


def _propagator() -> TextMapPropagator:
    """The global propagator; looked up late, since a misspelt ``OTEL_PROPAGATORS`` raises on import."""
    from opentelemetry.propagate import get_global_textmap

    return get_global_textmap()


def _fields() -> set[str]:
    """The names of all headers that may carry a trace here."""
    none: set[str] = set()
    return {"traceparent", "tracestate"} | attempt("propagation", _fields_of_propagator, default=none)


def _fields_of_propagator() -> set[str]:
    return set(_propagator().fields)


def _variable(name: str) -> str:
    """The environment variable of a header. Source: specification, environment variable carriers."""
    return "".join(letter if letter.isalnum() else "_" for letter in name.upper())


class _Sent(Setter[dict[str, str]]):
    """Writes into a plain dict; `_into` has the carriers of users."""

    def set(self, carrier: dict[str, str], key: str, value: str) -> None:
        carrier[key] = value


class _Headers(Getter[dict[str, list[str]]]):
    """Reads what `_headers` returns."""

    def get(self, carrier: dict[str, list[str]], key: str) -> list[str] | None:
        return carrier.get(key.lower())

    def keys(self, carrier: dict[str, list[str]]) -> list[str]:
        return list(carrier)


def _headers(carrier: object) -> dict[str, list[str]]:
    """The texts of a carrier by lower-case name."""
    found: dict[str, list[str]] = {}
    for item in islice(_items(carrier), MOST_HEADERS):
        name, value = _pair(item)
        texts = _texts(value)
        if texts:
            found.setdefault(_name(name), []).extend(texts)
    return found


def _items(carrier: object) -> Iterator[object]:
    inner: object = carrier.get("headers") if is_dict(carrier) else None
    if inner is not None and not _texts(inner):  # the scope of ASGI, the event of AWS Lambda
        return _items(inner)
    items = getattr(carrier, "items", None)
    found: Any = items() if callable(items) else carrier
    return iter(found)


def _pair(item: object) -> tuple[object, object]:
    """Name and value of one header; what is no pair has an empty name, which nobody asks for."""
    parts: list[object] = [*item] if is_list(item) else []
    return (parts[0], parts[1]) if len(parts) == 2 else ("", "")


def _name(name: object) -> str:
    """The name of a header in lower case; WSGI writes ``HTTP_TRACEPARENT``."""
    lower = "".join(_texts(name)).lower()
    return lower.removeprefix("http_").replace("_", "-") if lower.startswith("http_") else lower


def _texts(value: object) -> list[str]:
    """The texts in a header's value. Source: RFC 9110, header fields are Latin-1 at worst."""
    if isinstance(value, str):
        return [value.strip()]
    if isinstance(value, bytes):
        return [value.decode("latin-1").strip()]
    return [text for part in value for text in _flat(part)] if is_list(value) else []


def _flat(part: object) -> list[str]:
    return _texts(part) if isinstance(part, str | bytes) else []

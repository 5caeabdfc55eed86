"""What an OTLP receiver's HTTP answer means for the delivery of a batch.

Source: OTLP specification, "OTLP/HTTP Response" and "Partial Success". No header is ever quoted, and no part
of one that a receiver repeats, since keys travel in them.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, NamedTuple

from hiveloop._shape import is_dict
from hiveloop.transport import Delivered, Misconfigured, Outcome, Refused, Retry, TooLarge
from hiveloop.transports._answers import json_object, wait_of

from ._environment import OtlpSettings

__all__ = ["REPLIES", "Answer", "Rejection", "outcome_of", "rejection_in", "without_secrets"]

LONGEST_REASON = 200
SHORTEST_SECRET = 6

_KEY_REFUSED = frozenset((401, 402, 403, 407))
_WRONG_ADDRESS = frozenset((300, 301, 302, 303, 304, 305, 307, 308, 404, 405, 501))
_WORTH_A_RETRY = frozenset((408, 425, 429, 502, 503, 504))


class Answer(NamedTuple):
    """What a receiver said: status, headers by lower-case name, decompressed body."""

    status: int
    headers: dict[str, str]
    body: bytes


class Rejection(NamedTuple):
    """Partial success: how many items a receiver did not take, and its message, which may stand alone."""

    items: int = 0
    reason: str = ""


class Reply(NamedTuple):
    """The protobuf message that answers an export, the field that counts rejected items, a word for these."""

    module: str
    message: str
    field: str
    items: str

    def load(self) -> Any:
        """Return the message's class."""
        return getattr(import_module(f"opentelemetry.proto.collector.{self.module}"), self.message)


REPLIES = {
    "traces": Reply("trace.v1.trace_service_pb2", "ExportTraceServiceResponse", "rejected_spans", "spans"),
    "logs": Reply(
        "logs.v1.logs_service_pb2", "ExportLogsServiceResponse", "rejected_log_records", "log records"
    ),
    "metrics": Reply(
        "metrics.v1.metrics_service_pb2",
        "ExportMetricsServiceResponse",
        "rejected_data_points",
        "data points",
    ),
}


def outcome_of(answer: Answer, settings: OtlpSettings) -> Outcome:
    """Translate an answer to an export with these settings."""
    status, said = answer.status, _words(answer, settings)
    if 200 <= status < 300:
        return _delivered(answer, settings)
    if (advice := _advice(answer, settings)) is not None:
        return Misconfigured(f"HTTP {status}: {advice}")
    if status == 413:
        return TooLarge(f"HTTP 413{said}")
    after = wait_of(answer.headers.get("retry-after", "").strip())
    if status in _WORTH_A_RETRY:
        return Retry(f"HTTP {status}{said}", after=after)
    if status >= 500:
        return Retry(f"HTTP {status}{said}", after=after, suspect=True)
    return Refused(f"HTTP {status}{said}")


def _delivered(answer: Answer, settings: OtlpSettings) -> Outcome:
    if "html" in _kind(answer):  # a captive portal, a login page, some other server
        return Misconfigured(
            f"a web page answered at {settings.address} instead of an OTLP receiver; {_CHECK_ENDPOINT}"
        )
    count, reason = rejection_in(answer, settings)
    if count:
        reason = f"{count} {REPLIES[settings.signal].items} rejected: {reason or 'no reason given'}"
    return Delivered(warnings=(reason,) if reason else ())


_CHECK_ENDPOINT = "check endpoint= or OTEL_EXPORTER_OTLP_ENDPOINT"


def _advice(answer: Answer, settings: OtlpSettings) -> str | None:
    """Say what a person must do about an answer that no second attempt will change."""
    status, address = answer.status, settings.address
    if status in _KEY_REFUSED:
        return f"{address} does not accept the key; check headers= or OTEL_EXPORTER_OTLP_HEADERS"
    if status in _WRONG_ADDRESS:
        return f"no OTLP receiver answers at {address}; {_CHECK_ENDPOINT}{_hint(answer)}"
    if status == 415:
        return (
            f"{address} does not take {settings.protocol} with compression {settings.compression};"
            " set OTEL_EXPORTER_OTLP_PROTOCOL or OTEL_EXPORTER_OTLP_COMPRESSION"
        )
    return None


def _hint(answer: Answer) -> str:
    location = answer.headers.get("location", "").partition("?")[0].rpartition("@")[2]
    return f" (it redirects to {short(location)})" if location else ""


# -- partial success ----------------------------------------------------------------------------


def rejection_in(answer: Answer, settings: OtlpSettings) -> Rejection:
    """Read partial success; none in an answer that cannot be read."""
    reply = REPLIES[settings.signal]
    if not answer.body:
        return Rejection()
    if "json" in _kind(answer):
        return _rejection_in_json(answer, reply.field, settings)
    parsed = _parsed(reply.load(), answer.body)
    if parsed is None:
        return Rejection()
    partial = parsed.partial_success
    return Rejection(_count(getattr(partial, reply.field)), without_secrets(partial.error_message, settings))


def _rejection_in_json(answer: Answer, field: str, settings: OtlpSettings) -> Rejection:
    first, *others = field.split("_")
    name = first + "".join(word.capitalize() for word in others)
    partial = json_object(answer.body).get("partialSuccess")
    if not is_dict(partial):
        return Rejection()
    return Rejection(_count(partial.get(name)), without_secrets(partial.get("errorMessage"), settings))


def _count(value: object) -> int:
    """Read a count; JSON has 64-bit ones as text."""
    text = str(value) if isinstance(value, int | str) else ""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else 0


# -- texts and times ----------------------------------------------------------------------------


def _words(answer: Answer, settings: OtlpSettings) -> str:
    """Return ": " and the receiver's message, from a google.rpc.Status in protobuf or JSON, or from text."""
    kind = _kind(answer)
    found: object = None
    if "json" in kind:
        found = json_object(answer.body).get("message")
    elif "protobuf" in kind:
        found = getattr(_parsed(import_module("google.rpc.status_pb2").Status, answer.body), "message", None)
    elif kind.startswith("text/plain"):
        found = answer.body[:1000].decode("utf-8", "replace")
    text = without_secrets(found, settings)
    return f": {text}" if text else ""


def without_secrets(value: object, settings: OtlpSettings) -> str:
    """Return a receiver's text in one short line, without what it repeats of our headers."""
    text = value if isinstance(value, str) else ""
    secrets = {part for header in settings.headers.values() for part in (header, *header.split())}
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= SHORTEST_SECRET:
            text = text.replace(secret, "…")
    return short(text)


def short(text: str) -> str:
    """Return a text from outside in one printable line of at most 200 characters."""
    line = " ".join(text[: LONGEST_REASON * 2].split())
    return "".join(char for char in line if char.isprintable())[:LONGEST_REASON]


def _parsed(message: Any, body: bytes) -> Any:
    try:
        return message.FromString(body)
    except (ValueError, import_module("google.protobuf.message").DecodeError):
        return None


def _kind(answer: Answer) -> str:
    return answer.headers.get("content-type", "").lower()

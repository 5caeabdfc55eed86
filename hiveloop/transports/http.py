"""The native transport: batches of one agent's events to a HiveBoard server over HTTP.

Built on `requests`, which is imported at the first send, so that ``import hiveloop`` stays light.
"""

from __future__ import annotations

import gzip
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from hiveloop._shape import is_dict, is_list
from hiveloop._version import __version__
from hiveloop._wire import encode_batch, encode_event
from hiveloop.errors import HiveLoopConfigError
from hiveloop.transport import (
    Batch,
    BatchLimits,
    Delivered,
    JsonBatch,
    Misconfigured,
    Outcome,
    Refused,
    Retry,
    TakesJson,
    TooLarge,
    Transport,
)
from hiveloop.transports._address import DEFAULT_ENDPOINT, check_endpoint
from hiveloop.transports._answers import json_object, seconds_asked, wait_of
from hiveloop.transports._loading import load_session

if TYPE_CHECKING:
    from hiveloop.transports._session import Answer, Session

__all__ = ["HttpTransport"]

MAX_EVENTS = 500
MAX_BYTES = 1_000_000
"""Largest batch the server takes. Source: ingest API."""

_ENVELOPE_BYTES = 4_096
"""Left free in a batch for the envelope, and the commas between events."""

_GATEWAY = frozenset((502, 503, 504))
_WORTH_A_RETRY = frozenset((408, 425, 429))
_WRONG_ADDRESS = frozenset((301, 302, 303, 307, 308, 404, 405))


class _Body(NamedTuple):
    events: int
    content: bytes


class HttpTransport(Transport):
    """Sends events to a HiveBoard server.

    The TLS certificate is verified, proxies are taken from the environment, and redirects are not
    followed, so the key reaches the configured host only. The connection is kept open between
    batches, and opened anew in the child of a fork.

    Args:
        api_key: starts with "hb_"; from ``HIVELOOP_API_KEY`` unless given.
        endpoint: address of the server, such as "https://board.example.com"; from ``HIVELOOP_ENDPOINT``
            unless given.
        timeout: seconds one request may take; the engine's own timeout applies when shorter.
        headers: more headers for each request.
        ca_file: PEM file with the certificates to trust, instead of the default ones.
        compression: compress bodies with gzip; given up when the server does not take it.

    Raises:
        HiveLoopConfigError: the key or the address cannot be right.
    """

    name = "http"
    limits = BatchLimits(max_events=MAX_EVENTS, max_bytes=MAX_BYTES - _ENVELOPE_BYTES, one_agent=True)

    def __init__(
        self,
        api_key: str | None = None,
        endpoint: str | None = None,
        *,
        timeout: float = 30.0,
        headers: Mapping[str, str] | None = None,
        ca_file: str | None = None,
        compression: bool = False,
    ) -> None:
        api_key = os.environ.get("HIVELOOP_API_KEY") if api_key is None else api_key
        if not _is_key(api_key):
            raise HiveLoopConfigError(
                "api_key must be a text that starts with 'hb_': pass it or set HIVELOOP_API_KEY"
            )
        if not _is_positive(timeout):
            raise HiveLoopConfigError(f"timeout={timeout!r} is not valid: give seconds, more than 0")
        if ca_file is not None and not os.path.exists(ca_file):
            raise HiveLoopConfigError(f"ca_file={ca_file!r} is not valid: give the path of a PEM file")
        self.endpoint = check_endpoint(endpoint or os.environ.get("HIVELOOP_ENDPOINT") or DEFAULT_ENDPOINT)
        self._timeout = timeout
        self._ca_file = ca_file
        self._compression = compression
        self._headers = {
            **(headers or {}),
            "Authorization": f"Bearer {api_key}",
            "Content-Type": "application/json",
            "Accept": "application/json",
            "User-Agent": f"hiveloop/{__version__}",
        }
        self._session: Session | None = None
        self._pid = 0

    def __repr__(self) -> str:
        return f"HttpTransport(endpoint={self.endpoint!r})"

    def prepare(self, batch: Batch) -> object:
        """Encode a batch."""
        return self.prepare_json(JsonBatch(batch.agent, tuple(map(encode_event, batch.events))))

    def prepare_json(self, batch: JsonBatch) -> object:
        """Put a batch of encoded events together."""
        return _Body(len(batch.events), encode_batch(batch.agent, batch.events))

    def send(self, prepared: object, timeout: float) -> Outcome:
        """Post a prepared batch and translate the server's answer."""
        assert isinstance(prepared, _Body)  # noqa: S101 - narrows the type; only `prepare` makes it
        if len(prepared.content) > MAX_BYTES:
            return TooLarge(f"{len(prepared.content)} bytes")
        timeout = min(timeout, self._timeout)
        session = load_session()
        compressed = self._compression
        content = gzip.compress(prepared.content, 3) if compressed else prepared.content
        try:
            answer = self._connected().post(content, "gzip" if compressed else None, timeout)
        except session.FAILURES as error:
            self._disconnect()
            return Retry(session.describe_error(error, timeout))
        if compressed and answer.status in (400, 415, 501):
            self._compression = False
            return Retry("the server does not take compressed bodies", after=0.0)
        return outcome_of(answer)

    def _connected(self) -> Session:
        known = self._session
        if known is not None and self._pid == os.getpid():
            return known
        session: Session = load_session().Session(f"{self.endpoint}/v1/ingest", self._headers, self._ca_file)
        self._session, self._pid = session, os.getpid()
        return session

    def _disconnect(self) -> None:
        session, self._session = self._session, None
        if session is not None and self._pid == os.getpid():
            session.close()

    def close(self, timeout: float) -> None:
        """Close the connection."""
        self._disconnect()


def _is_key(value: object) -> bool:
    return isinstance(value, str) and value.startswith("hb_")


def _is_positive(value: object) -> bool:
    return isinstance(value, int | float) and value > 0


def outcome_of(answer: Answer) -> Outcome:
    """Translate a HiveBoard server's answer. Source: ingest API."""
    status = answer.status
    if 200 <= status < 300:
        return _delivered(answer)
    if status in (401, 403):
        return Misconfigured(
            f"HTTP {status}: the server does not accept this API key for sending; check api_key"
        )
    if status in _WRONG_ADDRESS:
        return Misconfigured(
            f"HTTP {status}: no HiveBoard answers at this address; check endpoint{_hint(answer)}"
        )
    if status == 413:
        return TooLarge("HTTP 413")
    if status in _WORTH_A_RETRY or status in _GATEWAY:
        return Retry(f"HTTP {status}", after=_retry_after(answer))
    if status >= 500:
        return Retry(f"HTTP {status}", after=_retry_after(answer), suspect=True)
    return Refused(f"HTTP {status}{_error_word(answer)}")


def _delivered(answer: Answer) -> Outcome:
    if "html" in answer.headers.get("Content-Type", "").lower():  # a captive portal, or some other server
        return Misconfigured("a web page answered instead of a HiveBoard; check endpoint")
    body = json_object(answer.body)
    rejected = [error for error in _dicts(body.get("errors")) if error.get("event_id")]
    first = rejected[0] if rejected else {}
    reason = "; ".join(str(first[key])[:200] for key in ("error", "message") if key in first)
    warnings = tuple(str(warning.get("warning", "")) for warning in _dicts(body.get("warnings")))
    return Delivered(tuple(str(error["event_id"]) for error in rejected), warnings, reason)


def _dicts(values: Any) -> list[dict[str, Any]]:
    return [value for value in values if is_dict(value)] if is_list(values) else []


def _retry_after(answer: Answer) -> float | None:
    """Seconds to wait: the header's, else those of the body's details."""
    header = answer.headers.get("Retry-After", "").strip()
    if header:
        return wait_of(header)
    details = json_object(answer.body).get("details")
    return seconds_asked(details.get("retry_after_seconds")) if is_dict(details) else None


def _hint(answer: Answer) -> str:
    location = answer.headers.get("Location", "")
    return f" (it redirects to {location[:200]})" if location else ""


def _error_word(answer: Answer) -> str:
    word = json_object(answer.body).get("error")
    return f" {word[:80]}" if isinstance(word, str) else ""


_: type[Transport] = HttpTransport
__: type[TakesJson] = HttpTransport

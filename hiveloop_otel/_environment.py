"""The standard OTEL_* variables of an OTLP exporter, with this package's arguments before them.

Source: OpenTelemetry specification, "OpenTelemetry Protocol Exporter". The exporters of the SDK read most of
these by themselves; they are read here so that a wrong one is refused when the transport is made, with its
name, and so that one target means the same whatever release of the exporter carries it.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, cast
from urllib.parse import SplitResult, unquote, urlsplit

from hiveloop._shape import is_longer, kind_of
from hiveloop.errors import HiveLoopConfigError
from hiveloop.transports._address import shown_address

__all__ = ["OtlpSettings", "Signal", "otlp_settings", "sdk_disabled"]

Signal = Literal["traces", "metrics", "logs"]

DEFAULT_TIMEOUT = 10.0
DEFAULT_ENDPOINT = {"http/protobuf": "http://localhost:4318", "http/json": "http://localhost:4318"}
DEFAULT_GRPC_ENDPOINT = "http://localhost:4317"
COMPRESSIONS = ("gzip", "deflate", "none")
PROTOCOLS = ("http/protobuf", "grpc", "http/json")

_PATHS = ("/v1/traces", "/v1/metrics", "/v1/logs")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")


@dataclass(frozen=True, slots=True)
class OtlpSettings:
    """Where and how one signal is sent by OTLP.

    Attributes:
        signal: what is sent.
        protocol: "http/protobuf", "http/json" or "grpc".
        endpoint: full URL of the signal for HTTP; URL or ``host:port`` of the receiver for gRPC.
        headers: sent with each request; keys of a service are in here, so they never show.
        timeout: most seconds one request may take.
        compression: "gzip", "deflate" or "none".
        certificate: PEM file of the authorities to trust; None for the usual ones.
        client_key: PEM file of the client's key, for mutual TLS.
        client_certificate: PEM file of the client's certificate, for mutual TLS.
        insecure: gRPC without TLS.
    """

    signal: Signal
    protocol: str
    endpoint: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    timeout: float
    compression: str
    certificate: str | None = None
    client_key: str | None = None
    client_certificate: str | None = None
    insecure: bool = False

    @property
    def client_pair(self) -> str | tuple[str, str] | None:
        """The client's certificate for `requests`: with its key, alone when one file holds both, or None."""
        if self.client_certificate and self.client_key:
            return self.client_certificate, self.client_key
        return self.client_certificate

    @property
    def address(self) -> str:
        """The endpoint for messages, without the parts in which people put passwords."""
        return shown_address(self.endpoint).strip("'\"")


def sdk_disabled() -> bool:
    """Tell whether ``OTEL_SDK_DISABLED`` switches OpenTelemetry off for this process."""
    return os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"


def otlp_settings(
    signal: Signal,
    *,
    endpoint: str | None = None,
    headers: Mapping[str, str] | None = None,
    timeout: float | None = None,
) -> OtlpSettings:
    """Read how a signal is to be sent.

    Args:
        signal: what is sent.
        endpoint: base address of the receiver, as in ``OTEL_EXPORTER_OTLP_ENDPOINT``, or the full
            ``.../v1/traces``; of the variables unless given.
        headers: added to those of the variables, and stronger.
        timeout: seconds per request; of the variables unless given.

    Raises:
        HiveLoopConfigError: an argument or a variable cannot be right.
    """
    protocol = _choice(signal, "PROTOCOL", PROTOCOLS)
    url = _endpoint(signal, protocol, endpoint)
    return OtlpSettings(
        signal=signal,
        protocol=protocol,
        endpoint=url,
        headers={**_headers_of_variables(signal), **_headers(headers)},
        timeout=_timeout(signal, timeout),
        compression=_choice(signal, "COMPRESSION", COMPRESSIONS),
        certificate=_file(signal, "CERTIFICATE"),
        client_key=_file(signal, "CLIENT_KEY"),
        client_certificate=_file(signal, "CLIENT_CERTIFICATE"),
        insecure=_is_insecure(signal, url),
    )


def _variable(signal: Signal, word: str) -> tuple[str, str]:
    """Return the name and the value of a variable, that of the signal first; an empty one counts as unset."""
    for name in (f"OTEL_EXPORTER_OTLP_{signal.upper()}_{word}", f"OTEL_EXPORTER_OTLP_{word}"):
        value = os.environ.get(name, "").strip()
        if value:
            return name, value
    return "", ""


def _choice(signal: Signal, word: str, choices: tuple[str, ...]) -> str:
    """Return one of `choices`; the first when the variables say nothing."""
    name, value = _variable(signal, word)
    if not value:
        return choices[0]
    if value.lower() not in choices:
        raise HiveLoopConfigError(f"{name}={value[:80]!r} is not valid: set one of {', '.join(choices)}")
    return value.lower()


# -- endpoint -----------------------------------------------------------------------------------


def _endpoint(signal: Signal, protocol: str, given: object) -> str:
    if given is not None:
        return _completed(signal, protocol, _checked("endpoint", protocol, given))
    name, value = _variable(signal, "ENDPOINT")
    if name.endswith(f"_{signal.upper()}_ENDPOINT"):
        return _checked(name, protocol, value)
    default = DEFAULT_ENDPOINT.get(protocol, DEFAULT_GRPC_ENDPOINT)
    return _completed(signal, protocol, _checked(name, protocol, value or default))


def _checked(name: str, protocol: str, value: object) -> str:
    """Return an address without surrounding space, or say what is wrong with it."""
    text = value.strip() if isinstance(value, str) else ""
    valid = bool(text) and text.isprintable() and " " not in text
    if not valid or not _is_address(text, bare=protocol == "grpc"):
        example = "http://localhost:4317" if protocol == "grpc" else "http://localhost:4318"
        raise HiveLoopConfigError(
            f"{name}={shown_address(value)} is not valid: give an address such as {example!r}"
        )
    return text


def _is_address(text: str, *, bare: bool) -> bool:
    if bare and "://" not in text:
        text = f"http://{text}"
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _completed(signal: Signal, protocol: str, address: str) -> str:
    """Return the signal's own URL for a base address, or for the URL of any signal."""
    if protocol == "grpc":
        return address
    parts: SplitResult = urlsplit(address)
    path = parts.path.rstrip("/")
    for known in _PATHS:
        path = path.removesuffix(known)
    return parts._replace(path=f"{path}/v1/{signal}").geturl()


def _is_insecure(signal: Signal, endpoint: str) -> bool:
    """Whether gRPC goes without TLS; https always has it. Source: the SDK's gRPC exporter."""
    if endpoint.startswith("https://"):
        return False
    _, value = _variable(signal, "INSECURE")
    return value.lower() == "true" if value else endpoint.startswith("http://")


# -- headers, timeout, files --------------------------------------------------------------------


def _headers_of_variables(signal: Signal) -> dict[str, str]:
    """Read ``name=value,name=value`` with values perhaps URL-encoded; no value gets into a message."""
    name, text = _variable(signal, "HEADERS")
    headers: dict[str, str] = {}
    for number, part in enumerate(text.split(","), start=1):
        if not part.strip():
            continue
        key, equals, value = part.partition("=")
        if not equals:
            raise HiveLoopConfigError(f"{name}: entry {number} has no '=': write name=value,name=value")
        headers[unquote(key.strip())] = unquote(value.strip())
    return _checked_headers(name, headers)


def _headers(given: object) -> dict[str, str]:
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise HiveLoopConfigError(
            f"headers={_kind(given)} is not valid: give a mapping of header names to texts"
        )
    return _checked_headers("headers", cast("Mapping[object, object]", given))


def _checked_headers(name: str, headers: Mapping[object, object] | Mapping[str, str]) -> dict[str, str]:
    checked: dict[str, str] = {}
    for key, value in headers.items():
        if not isinstance(key, str) or not _HEADER_NAME.fullmatch(key):
            raise HiveLoopConfigError(
                f"{name}: a header's name is not valid: use letters, digits and hyphens, as in 'x-api-key'"
            )
        if not isinstance(value, str) or is_longer(value, 65_536) or not _HEADER_VALUE.fullmatch(value):
            raise HiveLoopConfigError(
                f"{name}: the value of {key!r} is not valid: give one line of Latin-1 text"
            )
        checked[key.lower()] = value
    return checked


def _kind(value: object) -> str:
    return f"<{kind_of(value).__name__}>"


def _timeout(signal: Signal, given: object) -> float:
    if given is not None:
        return _seconds("timeout", given)
    name, value = _variable(signal, "TIMEOUT")
    return _seconds(name, value) if value else DEFAULT_TIMEOUT


def _seconds(name: str, value: object) -> float:
    number: float | None = None
    if isinstance(value, (int, float, str)) and not isinstance(value, bool):
        try:
            number = float(value)
        except (ValueError, OverflowError):
            number = None
    if number is None or not math.isfinite(number) or number <= 0:
        raise HiveLoopConfigError(f"{name}={repr(value)[:80]} is not valid: give seconds, more than 0")
    return number


def _file(signal: Signal, word: str) -> str | None:
    name, path = _variable(signal, word)
    if path and not os.path.isfile(path):
        raise HiveLoopConfigError(f"{name}={path!r} is not valid: there is no such file")
    return path or None

"""The network half of ``python -m hiveloop doctor``: the way of an event to the server, step by step."""

from __future__ import annotations

import json
import os
import platform
import socket
import ssl
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests
import requests.utils

import hiveloop
from hiveloop import (
    AgentInfo,
    Batch,
    Delivered,
    Event,
    EventType,
    Misconfigured,
    Outcome,
    Refused,
    Retry,
    Severity,
    TooLarge,
)
from hiveloop._config import Config
from hiveloop.transports import HttpTransport

from ._checks import Check, Status

__all__ = ["check_network"]

T = TypeVar("T")

_SKEW_SECONDS = 30.0
_EXPIRY_DAYS = 14.0
_DAY = 86_400.0
_PROXY_FIX = "check the variables HTTPS_PROXY and HTTP_PROXY, or add the server to NO_PROXY"


class _StepError(Exception):
    """A check that failed; nothing behind it can work."""

    def __init__(self, name: str, message: str, fix: str) -> None:
        super().__init__(message)
        self.check = Check(name, Status.FAIL, message, fix)


@dataclass(frozen=True, slots=True)
class _Way:
    """How requests reach the server.

    Attributes:
        url: the endpoint.
        host: the machine to connect to: the server, or the proxy before it.
        port: its port.
        proxy: address of the proxy without credentials, or empty.
        settings: what `requests` would use: ``verify`` and ``proxies``.
    """

    url: str
    host: str
    port: int
    proxy: str
    settings: dict[str, Any]

    @property
    def is_direct_tls(self) -> bool:
        """True when we speak TLS with the server itself."""
        return self.url.startswith("https:") and not self.proxy


def check_network(config: Config, timeout: float) -> Iterator[Check]:
    """Follow an event to the server; ends with the first step that fails.

    Args:
        config: the settings to check; the last step needs a key in them.
        timeout: seconds each step may take.
    """
    try:
        way = _way(config)
        yield from _proxy(way)
        yield from _dns(way, timeout)
        yield _tcp(way, timeout)
        if way.is_direct_tls:
            yield _tls(way, timeout)
        yield from _http(way, timeout)
        yield _ingest(config, timeout)
    except _StepError as failure:
        yield failure.check


def _way(config: Config) -> _Way:
    """Ask `requests` for proxy and certificates, as the transport does."""
    url = config.endpoint
    with requests.Session() as session:
        settings = session.merge_environment_settings(f"{url}/v1/ingest", {}, True, config.ca_file, None)
    proxy = requests.utils.select_proxy(url, settings["proxies"]) or ""
    if proxy and "://" not in proxy:
        proxy = f"http://{proxy}"
    parts = urlsplit(proxy or url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    shown = f"{parts.scheme}://{parts.hostname}:{port}" if proxy else ""  # without user and password
    return _Way(url, parts.hostname or "", port, shown, dict(settings))


def _proxy(way: _Way) -> Iterator[Check]:
    """Say when a proxy is used, and when the key would travel in the clear."""
    server = urlsplit(way.url).hostname or ""
    local = server == "localhost" or server.startswith("127.") or server == "::1"
    if way.proxy and local:
        fix = f"add {server} to NO_PROXY"
        yield Check("proxy", Status.WARN, f"requests to this very machine go to the proxy {way.proxy}", fix)
    elif way.proxy:
        yield Check("proxy", Status.OK, f"requests go through {way.proxy}, as the environment says")
    if way.url.startswith("http:") and not local:
        fix = "use an https:// endpoint"
        yield Check(
            "encryption", Status.WARN, "http:// sends the key and the events for everyone to read", fix
        )


def _dns(way: _Way, timeout: float) -> Iterator[Check]:
    """Look the name up, unless it is an address already."""
    try:
        found = _within(timeout, lambda: socket.getaddrinfo(way.host, way.port, type=socket.SOCK_STREAM))
    except TimeoutError:
        fix = "check the name server of this machine (/etc/resolv.conf), and the VPN"
        raise _StepError("dns", f"no answer about {way.host} within {timeout:g} s", fix) from None
    except (OSError, UnicodeError) as error:
        fix = "check the spelling of the endpoint; in a container or VPN, check its name server"
        raise _StepError("dns", f"nobody knows {way.host}: {_words(error)}", fix) from error
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    if addresses != [way.host]:
        yield Check("dns", Status.OK, f"{way.host} is {', '.join(addresses[:4])}")


def _tcp(way: _Way, timeout: float) -> Check:
    where = f"{way.host}:{way.port}"
    started = time.monotonic()
    try:
        socket.create_connection((way.host, way.port), timeout).close()
    except TimeoutError:
        fix = "check the firewall and the proxy settings (HTTPS_PROXY) of this machine"
        raise _StepError("tcp", f"no answer from {where} within {timeout:g} s", fix) from None
    except ConnectionRefusedError:
        fix = _PROXY_FIX if way.proxy else "check that the server is running, and the port of the endpoint"
        raise _StepError("tcp", f"{where} refuses connections: nothing listens there", fix) from None
    except OSError as error:
        fix = "check the network of this machine and the endpoint"
        raise _StepError("tcp", f"no connection to {where}: {_words(error)}", fix) from error
    return Check("tcp", Status.OK, f"connected to {where} in {_ms(started)}")


# -- TLS ------------------------------------------------------------------------------------------


def _tls(way: _Way, timeout: float) -> Check:
    bundle = way.settings["verify"]
    path = requests.utils.DEFAULT_CA_BUNDLE_PATH if bundle is True else str(bundle)
    try:
        is_folder = os.path.isdir(path)
        context = ssl.create_default_context(
            cafile=None if is_folder else path, capath=path if is_folder else None
        )
    except (OSError, ssl.SSLError) as error:
        fix = "give a PEM file of certificates as ca_file (HIVELOOP_CA_FILE)"
        raise _StepError("tls", f"{path} holds no certificates: {_words(error)}", fix) from error
    try:
        version, certificate = _handshake(way, context, timeout)
    except OSError as error:
        raise _tls_failure(way, path, error) from error
    return _certificate(version, certificate, path)


def _handshake(way: _Way, context: ssl.SSLContext, timeout: float) -> tuple[str, dict[str, Any]]:
    with (
        socket.create_connection((way.host, way.port), timeout) as plain,
        context.wrap_socket(plain, server_hostname=way.host) as secure,
    ):
        return secure.version() or "TLS", dict(secure.getpeercert() or {})


def _tls_failure(way: _Way, path: str, error: OSError) -> _StepError:
    plain = f"if the server speaks plain HTTP, write the endpoint as http://{way.host}:{way.port}"
    match error:
        case ssl.SSLCertVerificationError():
            message = f"the certificate is not accepted: {error.verify_message.rstrip('.')}"
            return _StepError("tls", message, _trust_fix(error, path))
        case ssl.SSLError(reason="WRONG_VERSION_NUMBER" | "RECORD_LAYER_FAILURE" | "HTTP_REQUEST"):
            return _StepError("tls", f"{way.host}:{way.port} does not speak TLS", plain)
        case TimeoutError():
            return _StepError(
                "tls", "the handshake did not end in time", f"{plain}; otherwise check the firewall"
            )
        case _:
            return _StepError(
                "tls", f"the handshake failed: {_words(error)}", f"check the TLS of the server; {plain}"
            )


def _trust_fix(error: ssl.SSLCertVerificationError, path: str) -> str:
    message = error.verify_message.lower()
    if "expired" in message or "not yet valid" in message:
        return "renew the server's certificate; if it is new, check the clock of this machine"
    if "not valid for" in message or "mismatch" in message:
        return "use the name that the certificate was made for as endpoint"
    return f"for a private certificate authority set HIVELOOP_CA_FILE to its PEM file (trusted now: {path})"


def _certificate(version: str, certificate: dict[str, Any], path: str) -> Check:
    expires = ssl.cert_time_to_seconds(str(certificate["notAfter"]))
    days = (expires - time.time()) / _DAY
    message = f"{version}, certificate valid for {days:.0f} more days, trusted by {path}"
    if days < _EXPIRY_DAYS:
        return Check("tls", Status.WARN, message, "renew the server's certificate before it expires")
    return Check("tls", Status.OK, message)


# -- HTTP -----------------------------------------------------------------------------------------


def _http(way: _Way, timeout: float) -> Iterator[Check]:
    """Ask for the address itself, without the key, to see who answers and what time it is there."""
    started, clock = time.monotonic(), time.time()
    try:
        response = _within(timeout, lambda: _get(way, timeout))
    except (requests.Timeout, TimeoutError):
        fix = "check the server's log; a proxy or a load balancer may be waiting for it"
        raise _StepError("http", f"connected, but no answer within {timeout:g} s", fix) from None
    except requests.exceptions.ProxyError as error:
        raise _StepError(
            "http", f"the proxy {way.proxy} does not help: {_words(error)}", _PROXY_FIX
        ) from error
    except requests.exceptions.SSLError as error:
        fix = "for a private certificate authority set HIVELOOP_CA_FILE to its PEM file"
        raise _StepError("http", f"TLS through the proxy failed: {_words(error)}", fix) from error
    except (requests.RequestException, OSError) as error:
        fix = "check that an HTTP server listens there; a TLS server needs an https:// endpoint"
        raise _StepError("http", f"no HTTP answer: {_words(error)}", fix) from error
    elapsed = time.monotonic() - started
    yield _answer(way, response, elapsed)
    yield _clock(response.headers.get("Date"), clock + elapsed / 2, elapsed)


def _get(way: _Way, timeout: float) -> requests.Response:
    return requests.get(
        f"{way.url}/",
        timeout=timeout,
        allow_redirects=False,
        proxies=way.settings["proxies"],
        verify=way.settings["verify"],
        headers={"Connection": "close"},
        stream=True,  # headers are enough
    )


def _answer(way: _Way, response: requests.Response, elapsed: float) -> Check:
    location = response.headers.get("Location", "")
    target, here = urlsplit(location), urlsplit(way.url)
    elsewhere = bool(target.netloc) and (target.scheme, target.netloc) != (here.scheme, here.netloc)
    response.close()
    if response.is_redirect and elsewhere:
        fix = f"use {target.scheme}://{target.netloc} as endpoint: events do not follow redirects"
        return Check("http", Status.WARN, f"{way.url} redirects to {target.scheme}://{target.netloc}", fix)
    # A HiveBoard need not have anything at its bare address, so any status will do here.
    return Check(
        "http", Status.OK, f"a server answers in {elapsed * 1000:.0f} ms (HTTP {response.status_code})"
    )


def _clock(date: str | None, now: float, elapsed: float) -> Check:
    """Compare clocks; the header is cut to whole seconds, so that much is no skew."""
    try:
        skew = parsedate_to_datetime(date or "").timestamp() + 0.5 - now
    except ValueError:
        return Check("clock", Status.SKIP, "the server does not tell its time")
    if abs(skew) <= _SKEW_SECONDS + elapsed:
        return Check("clock", Status.OK, f"within {max(1, round(abs(skew)))} s of the server's")
    behind = "behind" if skew > 0 else "ahead of"
    fix = "switch on time synchronisation (NTP): agents would look stuck, or events out of order"
    return Check("clock", Status.WARN, f"this machine is {abs(skew):.0f} s {behind} the server", fix)


# -- the probe ------------------------------------------------------------------------------------


def _ingest(config: Config, timeout: float) -> Check:
    """Send one event as a program would, and say what the server makes of it."""
    if not config.api_key or config.api_key.startswith("hb_read_"):
        return Check("ingest", Status.SKIP, "no probe event sent: that needs a key for sending")
    transport = HttpTransport(
        config.api_key,
        config.endpoint,
        timeout=timeout,
        headers=config.headers,
        ca_file=config.ca_file,
        compression=config.compression,
    )
    started = time.monotonic()
    try:
        outcome = transport.send(transport.prepare(Batch((_probe(config),))), timeout)
    finally:
        transport.close(1.0)
    return _verdict(outcome, started)


def _probe(config: Config) -> Event:
    agent = AgentInfo(
        agent_id="hiveloop-doctor",
        type="diagnostics",
        environment=config.environment,
        group=config.group,
        runtime=f"python-{platform.python_version()}",
        sdk_version=f"hiveloop-{hiveloop.__version__}",
    )
    payload = {"kind": "runtime", "summary": "Probe of hiveloop doctor", "data": {"event": "doctor_probe"}}
    return Event(
        str(uuid.uuid4()),
        time.time_ns(),
        EventType.CUSTOM,
        Severity.DEBUG,
        agent,
        payload_json=json.dumps(payload),
    )


def _verdict(outcome: Outcome, started: float) -> Check:
    match outcome:
        case Delivered(rejected=()):
            return Check("ingest", Status.OK, f"probe event accepted in {_ms(started)}")
        case Delivered():
            fix = "compare the versions of hiveloop and of the server"
            return Check(
                "ingest", Status.FAIL, "the server took the request, but rejected the event in it", fix
            )
        case Misconfigured(reason) if "401" in reason or "403" in reason:
            fix = "copy the key again from the API keys page; keys belong to one server and one workspace"
            return Check("ingest", Status.FAIL, reason, fix)
        case Misconfigured(reason) if "redirects" in reason:
            fix = "use that address as endpoint: events, and the key with them, do not follow redirects"
            return Check("ingest", Status.FAIL, reason, fix)
        case Misconfigured(reason):
            fix = "give the address of the HiveBoard itself, without any path of the dashboard"
            return Check("ingest", Status.FAIL, reason, fix)
        case Retry(reason):
            fix = "look at the server; programs keep their events and try again meanwhile"
            return Check("ingest", Status.FAIL, f"the server takes no events now: {reason}", fix)
        case Refused(reason) | TooLarge(reason):
            fix = "check that the endpoint is a HiveBoard, and of a version that fits"
            return Check("ingest", Status.FAIL, f"the server refused the event: {reason}", fix)


# -- words ----------------------------------------------------------------------------------------


def _within(timeout: float, call: Callable[[], T]) -> T:
    """Call something that has no deadline of its own, such as a name lookup, on a thread that we give up on.

    Raises:
        TimeoutError: it took longer than `timeout` seconds.
    """
    future: Future[T] = Future()

    def work() -> None:
        try:
            future.set_result(call())
        except (OSError, ValueError) as error:
            future.set_exception(error)

    threading.Thread(target=work, name="hiveloop-doctor", daemon=True).start()
    return future.result(timeout)


def _ms(started: float) -> str:
    return f"{(time.monotonic() - started) * 1000:.0f} ms"


def _words(error: BaseException) -> str:
    """Say what the innermost cause says, without the addresses of objects."""
    while (inner := _cause(error)) is not None:
        error = inner
    text = str(getattr(error, "strerror", None) or error) or type(error).__name__
    return text.partition(" object at 0x")[2].partition(": ")[2] or text


def _cause(error: BaseException) -> BaseException | None:
    reason = getattr(error, "reason", None)
    if isinstance(reason, BaseException):
        return reason
    return next((argument for argument in error.args if isinstance(argument, BaseException)), None)

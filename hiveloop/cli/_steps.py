"""The first steps of any way to a server: proxy, name lookup, connection, TLS; shared by all checks."""

from __future__ import annotations

import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests
import requests.utils

from ._checks import Check, Status

__all__ = [
    "PROXY_FIX",
    "StepError",
    "Way",
    "dns",
    "encryption",
    "ms",
    "proxy",
    "tcp",
    "tls",
    "way_to",
    "within",
    "words",
]

T = TypeVar("T")

PROXY_FIX = "check the variables HTTPS_PROXY and HTTP_PROXY, or add the server to NO_PROXY"
_EXPIRY_DAYS = 14.0
_DAY = 86_400.0


class StepError(Exception):
    """A check that failed; nothing behind it can work."""

    def __init__(self, name: str, message: str, fix: str) -> None:
        super().__init__(message)
        self.check = Check(name, Status.FAIL, message, fix)


@dataclass(frozen=True, slots=True)
class Way:
    """How requests reach the server.

    Attributes:
        url: the endpoint.
        host: the machine to connect to: the server, or the proxy before it.
        port: its port.
        proxy: address of the proxy without credentials, or empty.
        settings: what `requests` would use: ``verify`` and ``proxies``.
        trust: the variable that names the certificates to trust.
    """

    url: str
    host: str
    port: int
    proxy: str
    settings: dict[str, Any]
    trust: str = "HIVELOOP_CA_FILE"

    @property
    def is_direct_tls(self) -> bool:
        """True when we speak TLS with the server itself."""
        return self.url.startswith("https:") and not self.proxy

    @property
    def is_local(self) -> bool:
        """True when the server is on this machine."""
        server = urlsplit(self.url).hostname or ""
        return server == "localhost" or server.startswith("127.") or server == "::1"


def way_to(url: str, ca_file: str | None, trust: str = "HIVELOOP_CA_FILE") -> Way:
    """Ask `requests` for proxy and certificates, as a transport does.

    Args:
        url: of the server.
        ca_file: the certificates to trust, if they are not the usual ones.
        trust: the variable that would name them.
    """
    with requests.Session() as session:
        settings = session.merge_environment_settings(url, {}, True, ca_file, None)
    proxy = requests.utils.select_proxy(url, settings["proxies"]) or ""
    if proxy and "://" not in proxy:
        proxy = f"http://{proxy}"
    parts = urlsplit(proxy or url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    shown = f"{parts.scheme}://{parts.hostname}:{port}" if proxy else ""  # without user and password
    return Way(url, parts.hostname or "", port, shown, dict(settings), trust)


def proxy(way: Way) -> Iterator[Check]:
    """Say when a proxy is used."""
    if way.proxy and way.is_local:
        fix = f"add {urlsplit(way.url).hostname} to NO_PROXY"
        yield Check("proxy", Status.WARN, f"requests to this very machine go to the proxy {way.proxy}", fix)
    elif way.proxy:
        yield Check("proxy", Status.OK, f"requests go through {way.proxy}, as the environment says")


def encryption(way: Way) -> Iterator[Check]:
    """Say when a key would travel in the clear."""
    if way.url.startswith("http:") and not way.is_local:
        fix = "use an https:// endpoint"
        yield Check(
            "encryption", Status.WARN, "http:// sends the key and the events for everyone to read", fix
        )


def dns(way: Way, timeout: float) -> Iterator[Check]:
    """Look the name up, unless it is an address already."""
    try:
        found = within(timeout, lambda: socket.getaddrinfo(way.host, way.port, type=socket.SOCK_STREAM))
    except TimeoutError:
        fix = "check the name server of this machine (/etc/resolv.conf), and the VPN"
        raise StepError("dns", f"no answer about {way.host} within {timeout:g} s", fix) from None
    except (OSError, UnicodeError) as error:
        fix = "check the spelling of the endpoint; in a container or VPN, check its name server"
        raise StepError("dns", f"nobody knows {way.host}: {words(error)}", fix) from error
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    if addresses != [way.host]:
        yield Check("dns", Status.OK, f"{way.host} is {', '.join(addresses[:4])}")


def tcp(way: Way, timeout: float) -> Check:
    """Connect."""
    where = f"{way.host}:{way.port}"
    started = time.monotonic()
    try:
        socket.create_connection((way.host, way.port), timeout).close()
    except TimeoutError:
        fix = "check the firewall and the proxy settings (HTTPS_PROXY) of this machine"
        raise StepError("tcp", f"no answer from {where} within {timeout:g} s", fix) from None
    except ConnectionRefusedError:
        fix = PROXY_FIX if way.proxy else "check that the server is running, and the port of the endpoint"
        raise StepError("tcp", f"{where} refuses connections: nothing listens there", fix) from None
    except OSError as error:
        fix = "check the network of this machine and the endpoint"
        raise StepError("tcp", f"no connection to {where}: {words(error)}", fix) from error
    return Check("tcp", Status.OK, f"connected to {where} in {ms(started)}")


# -- TLS ------------------------------------------------------------------------------------------


def tls(way: Way, timeout: float) -> Check:
    """Shake hands, and look at the certificate."""
    bundle = way.settings["verify"]
    path = requests.utils.DEFAULT_CA_BUNDLE_PATH if bundle is True else str(bundle)
    try:
        is_folder = os.path.isdir(path)
        context = ssl.create_default_context(
            cafile=None if is_folder else path, capath=path if is_folder else None
        )
    except (OSError, ssl.SSLError) as error:
        fix = f"give a PEM file of certificates as {way.trust}"
        raise StepError("tls", f"{path} holds no certificates: {words(error)}", fix) from error
    try:
        version, certificate = _handshake(way, context, timeout)
    except OSError as error:
        raise _tls_failure(way, path, error) from error
    return _certificate(version, certificate, path)


def _handshake(way: Way, context: ssl.SSLContext, timeout: float) -> tuple[str, dict[str, Any]]:
    with (
        socket.create_connection((way.host, way.port), timeout) as plain,
        context.wrap_socket(plain, server_hostname=way.host) as secure,
    ):
        return secure.version() or "TLS", dict(secure.getpeercert() or {})


def _tls_failure(way: Way, path: str, error: OSError) -> StepError:
    plain = f"if the server speaks plain HTTP, write the endpoint as http://{way.host}:{way.port}"
    match error:
        case ssl.SSLCertVerificationError():
            message = f"the certificate is not accepted: {error.verify_message.rstrip('.')}"
            return StepError("tls", message, _trust_fix(error, path, way.trust))
        case ssl.SSLError(reason="WRONG_VERSION_NUMBER" | "RECORD_LAYER_FAILURE" | "HTTP_REQUEST"):
            return StepError("tls", f"{way.host}:{way.port} does not speak TLS", plain)
        case TimeoutError():
            return StepError(
                "tls", "the handshake did not end in time", f"{plain}; otherwise check the firewall"
            )
        case _:
            return StepError(
                "tls", f"the handshake failed: {words(error)}", f"check the TLS of the server; {plain}"
            )


def _trust_fix(error: ssl.SSLCertVerificationError, path: str, trust: str) -> str:
    message = error.verify_message.lower()
    if "expired" in message or "not yet valid" in message:
        return "renew the server's certificate; if it is new, check the clock of this machine"
    if "not valid for" in message or "mismatch" in message:
        return "use the name that the certificate was made for as endpoint"
    return f"for a private certificate authority set {trust} to its PEM file (trusted now: {path})"


def _certificate(version: str, certificate: dict[str, Any], path: str) -> Check:
    expires = ssl.cert_time_to_seconds(str(certificate["notAfter"]))
    days = (expires - time.time()) / _DAY
    message = f"{version}, certificate valid for {days:.0f} more days, trusted by {path}"
    if days < _EXPIRY_DAYS:
        return Check("tls", Status.WARN, message, "renew the server's certificate before it expires")
    return Check("tls", Status.OK, message)


# -- words ----------------------------------------------------------------------------------------


def within(timeout: float, call: Callable[[], T]) -> T:
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


def ms(started: float) -> str:
    """Say how long ago `started` was."""
    return f"{(time.monotonic() - started) * 1000:.0f} ms"


def words(error: BaseException) -> str:
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

"""A `requests` connection that keeps a deadline and is invisible to the application's tracing.

The timeouts of `requests` count from one received byte to the next, so a server that sends a byte
a second would hold a request for minutes. Here the read timeout bounds the whole answer.

Requests do not pass ``Session.send``: there instrumentations of `requests` hook in, and cookies,
redirects and authentication handlers live, none of which are wanted here.
"""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import sys
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import requests
import requests.adapters
import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from hiveloop.transport import work_ahead

__all__ = ["FAILURES", "Answer", "Session", "describe_error"]

CONNECT_SECONDS = 10.0
LARGEST_ANSWER = 1_000_000
"""Bytes of an answer that are read; a HiveBoard's is far smaller."""

FAILURES = (requests.RequestException, urllib3.exceptions.HTTPError, OSError)
"""What a request may raise when the network or the server is at fault."""


class Answer(NamedTuple):
    """What the server said."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class _DeadlineReader(io.RawIOBase):
    """Reads from a socket until a point in time, however slowly the bytes trickle in."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._raw: Any = sock.makefile("rb", buffering=0)
        timeout = sock.gettimeout()
        self._end = None if timeout is None else time.monotonic() + timeout

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self._end is not None:
            remaining = self._end - time.monotonic()
            if remaining <= 0:
                raise TimeoutError("the answer took too long")
            self._sock.settimeout(remaining)
        count: int | None = self._raw.readinto(buffer)
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class _BoundedSocket:
    """Hands `http.client` a reader with a deadline."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(_DeadlineReader(self._sock))


class _BoundedResponse(http.client.HTTPResponse):
    def __init__(self, sock: Any, *args: Any, **kwargs: Any) -> None:
        bounded: Any = _BoundedSocket(sock)
        super().__init__(bounded, *args, **kwargs)


class _Connection(HTTPConnection):
    response_class = _BoundedResponse

    def getresponse(self) -> Any:
        work_ahead()
        return super().getresponse()


class _SecureConnection(_Connection, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    pass


class _SecurePool(HTTPSConnectionPool):
    pass


setattr(_Pool, "ConnectionCls", _Connection)  # noqa: B010 - urllib3 annotates a protocol its own class misses
setattr(_SecurePool, "ConnectionCls", _SecureConnection)  # noqa: B010


class BoundedAdapter(requests.adapters.HTTPAdapter):
    """An adapter whose connections bound the whole answer, also through a proxy."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        _bound(self.poolmanager)

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        return _bound(super().proxy_manager_for(*args, **kwargs))


def _bound(manager: Any) -> Any:
    manager.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}
    return manager


class Session:
    """One connection to one address, for one thread.

    `requests` decides about proxies, certificates and headers, once; then its connection pool is used
    as it is, which halves the cost of a request.

    Args:
        url: where to post.
        headers: sent with every request.
        ca_file: certificates to trust instead of the default ones.
    """

    def __init__(self, url: str, headers: Mapping[str, str], ca_file: str | None) -> None:
        session = requests.Session()
        # Prepared without the session, which would let an entry in ~/.netrc replace the key.
        request = requests.Request("POST", url, headers=dict(headers)).prepare()
        settings = session.merge_environment_settings(url, {}, True, ca_file, None)
        adapter: Any = BoundedAdapter(pool_connections=1, pool_maxsize=1, max_retries=0)
        self._pool: Any = adapter.get_connection_with_tls_context(
            request, settings["verify"], proxies=settings["proxies"]
        )
        adapter.cert_verify(self._pool, url, settings["verify"], None)
        self._adapter = adapter
        self._target: Any = adapter.request_url(request, settings["proxies"])
        self._headers = {
            name: str(value) for name, value in request.headers.items() if name != "Content-Length"
        }
        self._used = False

    def post(self, body: bytes, encoding: str | None, timeout: float) -> Answer:
        """Send a body and read the whole answer, within about `timeout` seconds.

        Raises:
            urllib3.exceptions.HTTPError, OSError: no complete answer came.
        """
        try:
            return self._post(body, encoding, timeout)
        except FAILURES:
            if not self._used:
                raise
            self._used = False  # the server may have closed the idle connection: try a new one at once
            return self._post(body, encoding, timeout)

    def _post(self, body: bytes, encoding: str | None, timeout: float) -> Answer:
        headers = self._headers if encoding is None else {**self._headers, "Content-Encoding": encoding}
        with _untraced():
            response = self._pool.urlopen(
                "POST",
                self._target,
                body=body,
                headers=headers,
                retries=False,
                redirect=False,
                assert_same_host=False,
                timeout=urllib3.Timeout(connect=min(timeout, CONNECT_SECONDS), read=timeout),
                preload_content=False,
            )
            try:
                content = response.read(LARGEST_ANSWER, decode_content=True) or b""
            finally:
                response.release_conn()
        self._used = True
        return Answer(response.status, response.headers, content)

    def close(self) -> None:
        """Close the connection."""
        self._adapter.close()


@contextmanager
def _untraced() -> Generator[None]:
    """Keep instrumentations of `urllib3` from tracing our own uploads.

    Nothing is imported for it: an application that does not use OpenTelemetry has nothing to suppress.
    """
    context: Any = sys.modules.get("opentelemetry.context")
    if context is None:
        yield
        return
    token = context.attach(context.set_value("suppress_instrumentation", True))
    try:
        yield
    finally:
        context.detach(token)


def describe_error(error: Exception, timeout: float) -> str:
    """Say in a few words, without addresses and secrets, why no answer came."""
    match error:
        case urllib3.exceptions.SSLError() | ssl.SSLError():
            return f"TLS failed: {_root(error)}; for a private certificate authority set ca_file"
        case urllib3.exceptions.ProxyError():
            return f"the proxy failed: {_root(error)}"
        case urllib3.exceptions.NewConnectionError():  # before the next, from which it derives
            return _root(error)
        case urllib3.exceptions.ConnectTimeoutError():
            return "no connection in time"
        case urllib3.exceptions.TimeoutError() | TimeoutError():
            return f"no complete answer within {timeout:g} s"
        case _:
            return _root(error)


def _root(error: BaseException) -> str:
    """The innermost cause, which is what the operating system or the TLS library said."""
    while (inner := _inner(error)) is not None:
        error = inner
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return f"{type(error).__name__}: {text[:200]}" if text else type(error).__name__


def _inner(error: BaseException) -> BaseException | None:
    reason = getattr(error, "reason", None)
    if isinstance(reason, BaseException):
        return reason
    nested = [argument for argument in error.args if isinstance(argument, BaseException)]
    return nested[-1] if nested else error.__cause__

"""What stands before a server on this machine: a reverse proxy with TLS, a way that can be cut."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from typing import Self

__all__ = ["TlsProxy", "Way"]

_WAIT_SECONDS = 10.0
_OWN = (b"host:", b"connection:", b"x-forwarded-proto:")


class TlsProxy:
    """Passes requests and sockets on to a server; use it as a context manager.

    Args:
        tls: what it shows to clients.
        passes_host: whether it passes the ``Host`` header on; else it puts the server's own in its place.

    Attributes:
        target: port of the server on this machine; set it before the first request.
    """

    def __init__(self, tls: ssl.SSLContext, *, passes_host: bool = True) -> None:
        self.target = 0
        self._tls = tls
        self._passes_host = passes_host
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._open = list[socket.socket]()

    @property
    def url(self) -> str:
        """Where clients reach it."""
        return f"https://localhost:{self._listening.getsockname()[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, name="proxy", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for one in (self._listening, *self._open):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                threading.Thread(target=self._serve, args=(client,), name="proxy", daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), self._tls.wrap_socket(client, server_side=True) as outside:
            self._open.append(outside)
            head, _, body = self._head(outside).partition(b"\r\n\r\n")
            with socket.create_connection(("127.0.0.1", self.target), _WAIT_SECONDS) as inside:
                inside.settimeout(None)
                self._open.append(inside)
                inside.sendall(self._rewritten(head) + b"\r\n\r\n" + body)
                back = threading.Thread(target=_pump, args=(inside, outside), name="proxy", daemon=True)
                back.start()
                _pump(outside, inside)
                back.join()

    def _head(self, outside: ssl.SSLSocket) -> bytes:
        taken = b""
        while b"\r\n\r\n" not in taken:
            part = outside.recv(65_536)
            if not part:
                raise OSError("the client has gone")
            taken += part
        return taken

    def _rewritten(self, head: bytes) -> bytes:
        """One request for each connection, so that there is one head to rewrite."""
        first, *lines = head.split(b"\r\n")
        host = next(line for line in lines if line.lower().startswith(b"host:"))
        is_socket = any(line.lower() == b"upgrade: websocket" for line in lines)
        kept = [line for line in lines if not line.lower().startswith(_OWN)]
        own = host if self._passes_host else f"Host: 127.0.0.1:{self.target}".encode()
        connection = b"Connection: Upgrade" if is_socket else b"Connection: close"
        return b"\r\n".join([first, own, connection, b"X-Forwarded-Proto: https", *kept])


class Way:
    """A port that leads to another one of this machine, and can be cut; use it as a context manager.

    Args:
        target: the port of the server.

    Attributes:
        port: where it begins.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._open = list[socket.socket]()

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()

    def cut(self) -> None:
        """Break all connections off, and take no more."""
        for one in (self._listening, *self._open):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        self._open.clear()

    def mend(self) -> None:
        """Take connections again, at the same port."""
        self._listening = socket.create_server(("127.0.0.1", self.port))
        self._start()

    def _start(self) -> None:
        threading.Thread(target=self._accept, args=(self._listening,), name="way", daemon=True).start()

    def _accept(self, listening: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = listening.accept()
                far = socket.create_connection(("127.0.0.1", self._target), _WAIT_SECONDS)
                far.settimeout(None)
                self._open += (near, far)
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=_pump, args=pair, name="way", daemon=True).start()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while part := source.recv(65_536):
            sink.sendall(part)
        sink.shutdown(socket.SHUT_WR)

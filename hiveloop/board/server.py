"""Run a board: the socket, the server, and a clean end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Sequence
from types import FrameType

import uvicorn
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from hiveloop._guard import logger

from .app import create_app
from .routes import Settings
from .routes_live import NO_ANSWER
from .store.protocol import Store

__all__ = ["BoardServer", "PortTakenError", "endpoint_of", "listen"]

FIRST_PORT = 8787
_PORTS = 50
_GRACE_SECONDS = 1
_TICK_SECONDS = 0.1
_PARTING_SECONDS = 0.01
"""Within them a connection that its client has just closed is no longer counted."""
_BACKLOG = 2_048
PING_SECONDS = 20.0
"""Between pings to the clients of the stream, and until they must have answered."""
Started = Callable[[], Awaitable[None]]


class PortTakenError(Exception):
    """No port could be had; the message says which."""


def listen(host: str = "127.0.0.1", port: int | None = None) -> socket.socket:
    """Return a listening socket.

    Args:
        host: address to listen on.
        port: 0 for any; None for 8787 or the next one that is free.

    Raises:
        PortTakenError: it is taken, or the address is not of this machine.
    """
    ports = range(FIRST_PORT, FIRST_PORT + _PORTS) if port is None else (port,)
    reason = ""
    for candidate in ports:
        try:
            return _bound(host, candidate)
        except OSError as error:
            reason = error.strerror or str(error)
    shown = f"{ports[0]} to {ports[-1]}" if port is None else str(port)
    advice = "leave --port out, or give another one" if port else "give another --host or --port"
    raise PortTakenError(f"cannot listen on {host} port {shown}: {reason}; {advice}")


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol named, asyncio turns off Nagle's algorithm: else each answer would wait 40 ms for an
    # acknowledgement between its head and its body.
    found = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":  # elsewhere it would let two boards share a port
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind((host, port))
        found.listen(_BACKLOG)
    except OSError:
        found.close()
        raise
    return found


def endpoint_of(listening: socket.socket) -> str:
    """Return the address by which programs of this machine reach a listening socket."""
    host, port = listening.getsockname()[:2]
    if host in ("0.0.0.0", "::", ""):  # noqa: S104 - compared, not bound
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class _Socket(WebSocketsSansIOProtocol):
    """Ends the stream of a client that answers no ping, in the words of the contract."""

    def keepalive_timeout(self) -> None:
        # Of two reasons to close, the first is sent; the server's own would be 1011.
        self.conn.fail(NO_ANSWER, "no answer to a ping")
        super().keepalive_timeout()
        # Closing waits for what was written before to be read, and whoever is gone will never read it.
        self.loop.call_later(self.ping_timeout or 0.0, self.transport.abort)


class _Server(uvicorn.Server):
    """Says when it answers, and ends at once on the usual signals, whatever they mean to the process."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.answers = asyncio.Event()
        self._told = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        self.answers.set()

    async def main_loop(self) -> None:
        ticks = 0
        while not await self.on_tick(ticks):
            ticks += 1
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_TICK_SECONDS):
                    await self._told.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for listening in (*self.servers, *(sockets or ())):
            listening.close()
        await asyncio.sleep(_PARTING_SECONDS)
        if self.server_state.connections or self.server_state.tasks:
            await super().shutdown(sockets)  # leaves answers that are on their way some time
        else:
            await self.lifespan.shutdown()

    def end(self) -> None:
        """Have it end; any thread, and the handler of a signal."""
        self.should_exit = True
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # it has ended
                self._loop.call_soon_threadsafe(self._told.set)

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def end(number: int, frame: FrameType | None) -> None:
            self.handle_exit(number, frame)
            self.end()

        before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


class BoardServer:
    """A board that answers on a socket.

    Args:
        store: where events are kept; closed by the caller, after the server has ended.
        settings: how it is run.
        listening: the socket; closed when the server ends.
        ping_seconds: between pings to the clients of the stream, and until they must have answered.
    """

    def __init__(
        self,
        store: Store,
        settings: Settings,
        listening: socket.socket,
        ping_seconds: float = PING_SECONDS,
    ) -> None:
        self.endpoint = endpoint_of(listening)
        self._socket = listening
        self._started = threading.Event()
        self._thread: threading.Thread | None = None
        config = uvicorn.Config(
            create_app(store, settings),
            http="h11",
            ws=_Socket,
            ws_ping_interval=ping_seconds,
            ws_ping_timeout=ping_seconds,
            ws_max_size=65_536,
            ws_per_message_deflate=False,  # it costs more than the wires it saves, most of all on one machine
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            lifespan="on",
            timeout_graceful_shutdown=_GRACE_SECONDS,
            timeout_keep_alive=75,  # longer than SDKs keep a connection, so that they are the ones who close
        )
        self._server = _Server(config)

    # -- in the foreground --------------------------------------------------------------------

    def run(self, beside: Sequence[Started] = ()) -> None:
        """Answer until SIGINT or SIGTERM comes, or `stop` is called.

        Args:
            beside: what to do once the server answers; cancelled at its end.
        """
        asyncio.run(self._run(beside))

    async def _run(self, beside: Sequence[Started]) -> None:
        serving = asyncio.create_task(self._server.serve(sockets=[self._socket]))
        answering = asyncio.create_task(self._server.answers.wait())
        try:
            await asyncio.wait((serving, answering), return_when=asyncio.FIRST_COMPLETED)
            self._started.set()
            async with _meanwhile(beside if answering.done() else ()):
                await serving
        finally:
            self._started.set()
            answering.cancel()

    def stop(self) -> None:
        """Have the server end; any thread."""
        self._server.end()

    # -- on a thread --------------------------------------------------------------------------

    def start(self) -> None:
        """Answer on a thread of its own, and return when the server does.

        Raises:
            RuntimeError: it could not start; the log says why.
        """
        self._thread = threading.Thread(target=self.run, name="hiveloop-board", daemon=True)
        self._thread.start()
        self._started.wait()
        if not self._server.started:
            raise RuntimeError("the board did not start")
        logger.debug("hiveloop board: answers at %s", self.endpoint)

    def join(self) -> None:
        """End the server and wait for it."""
        self.stop()
        if self._thread is not None:
            self._thread.join()


@contextlib.asynccontextmanager
async def _meanwhile(works: Sequence[Started]) -> AsyncGenerator[None]:
    """Do things beside the block, and end them with it."""
    tasks = [asyncio.ensure_future(start()) for start in works]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

"""A real server on the loopback interface that behaves, or misbehaves, as a test tells it to.

    with ScriptedServer() as server:                    # answers like a HiveBoard
        server.enqueue(failing(503), throttled(2))      # the next two answers
        server.default = hanging()                      # every later one
        server.refuse()                                 # nobody listens; the port stays reserved
        server.listen()                                 # up again, on the same port

It speaks HTTP over raw sockets, one thread per connection, because faults such as a reset in
mid-body or an answer of one byte per second are below what an HTTP library lets one say.
"""

from __future__ import annotations

import contextlib
import email.utils
import gzip
import json
import socket
import ssl
import struct
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import trustme

__all__ = [
    "Answer",
    "Behaviour",
    "Exchange",
    "Request",
    "Script",
    "ScriptedServer",
    "TlsAuthority",
    "accepting",
    "closing",
    "dripping",
    "failing",
    "hanging",
    "redirecting",
    "rejecting",
    "resetting",
    "throttled",
    "throttled_in_body",
    "throttled_until",
]

JsonObject = dict[str, Any]

MAX_EVENTS = 500
MAX_BODY_BYTES = 1_000_000
ENVELOPE_FIELDS = ("agent_id", "agent_type", "framework", "runtime", "sdk_version", "environment", "group")
EVENT_FIELDS = ("event_id", "timestamp", "event_type", "severity")


class Behaviour(Enum):
    """How an answer travels."""

    NORMAL = auto()
    HANG = auto()
    DRIP = auto()
    RESET = auto()
    CLOSE = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer of the server.

    Attributes:
        status: HTTP status code.
        body: JSON document, or None for what a HiveBoard says with this status.
        headers: more response headers.
        behaviour: how the answer travels.
        rejects: picks the events that a 207 names in ``errors``.
        drip_seconds: pause between two bytes when dripping.
    """

    status: int = 200
    body: object = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    behaviour: Behaviour = Behaviour.NORMAL
    rejects: Callable[[JsonObject], bool] | None = None
    drip_seconds: float = 1.0


def accepting() -> Answer:
    """200: every event is taken."""
    return Answer()


def rejecting(rejects: Callable[[JsonObject], bool]) -> Answer:
    """207: the events for which `rejects` is true are named in ``errors``, the others are taken."""
    return Answer(status=207, rejects=rejects)


def failing(status: int) -> Answer:
    """An error with the body a HiveBoard gives with it."""
    return Answer(status=status)


def throttled(seconds: float) -> Answer:
    """429 with ``Retry-After`` in seconds."""
    return Answer(status=429, headers={"Retry-After": f"{seconds:g}"})


def throttled_until(unix_time: float) -> Answer:
    """429 with ``Retry-After`` as an HTTP date, which counts whole seconds."""
    return Answer(status=429, headers={"Retry-After": email.utils.formatdate(int(unix_time), usegmt=True)})


def throttled_in_body(seconds: float) -> Answer:
    """429 that says only in its body how long to wait."""
    details = {"retry_after_seconds": seconds}
    return Answer(status=429, body={"error": "rate_limit_exceeded", "status": 429, "details": details})


def redirecting(location: str, status: int = 308) -> Answer:
    """A redirect of the request, with its method and body, to another address."""
    return Answer(status=status, headers={"Location": location})


def hanging() -> Answer:
    """No answer at all; the connection stays open until the client leaves."""
    return Answer(behaviour=Behaviour.HANG)


def dripping(drip_seconds: float = 1.0) -> Answer:
    """A good answer, one byte at a time."""
    return Answer(behaviour=Behaviour.DRIP, drip_seconds=drip_seconds)


def resetting() -> Answer:
    """Headers, half of the body, then a TCP reset."""
    return Answer(behaviour=Behaviour.RESET)


def closing() -> Answer:
    """The connection is closed without a byte of answer."""
    return Answer(behaviour=Behaviour.CLOSE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request as it arrived.

    Attributes:
        method: such as "POST".
        path: path and query.
        headers: names in lower case.
        body: as sent, perhaps compressed.
        json: the decoded document, or None when there is none.
        monotonic: when it was complete, `time.monotonic`.
        unix_time: when it was complete, `time.time`.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    json: Any
    monotonic: float
    unix_time: float

    @property
    def events(self) -> list[JsonObject]:
        """The events of an ingest request; empty for any other."""
        events = self.json.get("events") if isinstance(self.json, dict) else None
        return list(events) if isinstance(events, list) else []

    @property
    def envelope(self) -> JsonObject:
        """The envelope of an ingest request; empty for any other."""
        envelope = self.json.get("envelope") if isinstance(self.json, dict) else None
        return dict(envelope) if isinstance(envelope, dict) else {}


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request and what it was answered; for a fault, what it would have been answered."""

    request: Request
    answer: Answer


class TlsAuthority:
    """A certificate authority of this test run, known to nobody until its certificate is written out."""

    def __init__(self) -> None:
        self._authority = trustme.CA()

    def server_context(self, *names: str) -> ssl.SSLContext:
        """Return a server's context with a fresh certificate for `names`."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._authority.issue_cert(*(names or ("127.0.0.1", "localhost"))).configure_cert(context)
        return context

    def write_certificate(self, path: Path) -> Path:
        """Write the authority's certificate where a client can read it, and return `path`."""
        self._authority.cert_pem.write_to_path(path)
        return path


Script = Answer | Callable[[Request], Answer]
"""The same answer to every request, or one chosen by looking at it."""


class ScriptedServer:
    """A loopback server for one test; use it as a context manager.

    Args:
        default: the answer to every request that no queued answer is waiting for, or a callable that
            looks at the request and chooses; it runs on a connection's thread.
        key: the API key that is accepted; any when None. Another one is answered with 401.
        port: the port, 0 for a free one.
        listening: False starts like a server that is down.
        tls: serve HTTPS with this context.

    Attributes:
        default: may be replaced at any time.
        key: may be replaced at any time.
        tls: may be replaced at any time, for connections made later.
    """

    def __init__(
        self,
        default: Script | None = None,
        *,
        key: str | None = None,
        port: int = 0,
        listening: bool = True,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.default: Script = accepting() if default is None else default
        self.key = key
        self.tls = tls
        self._changed = threading.Condition(threading.RLock())
        self._queued: deque[Answer] = deque()
        self._exchanges: list[Exchange] = []
        self._accepted: dict[str, JsonObject] = {}
        self._arrivals: Counter[str] = Counter()
        self._violations: list[str] = []
        self._failures: list[str] = []
        self._failed_handshakes = 0
        self._connections: set[socket.socket] = set()
        self._threads: set[threading.Thread] = set()
        self._acceptor: threading.Thread | None = None
        self._stopping = threading.Event()
        self._listener = _reserve(port)
        self.port: int = self._listener.getsockname()[1]
        if listening:
            self.listen()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        if error is None:
            assert not self._failures, self._failures

    @property
    def url(self) -> str:
        """Address to be used as the endpoint."""
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def listen(self) -> None:
        """Accept connections on the reserved port."""
        listener = self._listener
        listener.listen(256)
        listener.settimeout(0.1)
        self._acceptor = self._start(self._accept, listener)

    def refuse(self) -> None:
        """Go down: cut every connection and refuse new ones, keeping the port for `listen`."""
        self._stop_listening()
        self._cut_connections()
        self._listener = _reserve(self.port)

    def close(self) -> None:
        """Go down for good, and wait for every thread to end."""
        self._stopping.set()
        self._stop_listening()
        self._cut_connections()
        with self._changed:
            threads = list(self._threads)
        for thread in threads:
            thread.join(5.0)
            assert not thread.is_alive(), f"{thread.name} of the scripted server did not end"

    def enqueue(self, *answers: Answer) -> None:
        """Give these answers to the next requests, one each, before the default applies again."""
        with self._changed:
            self._queued.extend(answers)

    @property
    def exchanges(self) -> list[Exchange]:
        """Every request that arrived whole, with its answer, in order of arrival."""
        with self._changed:
            return list(self._exchanges)

    @property
    def requests(self) -> list[Request]:
        """Every request that arrived whole, in order of arrival."""
        return [exchange.request for exchange in self.exchanges]

    @property
    def failed_handshakes(self) -> int:
        """How many TLS handshakes the client broke off."""
        with self._changed:
            return self._failed_handshakes

    @property
    def violations(self) -> list[str]:
        """What a HiveBoard would have called invalid, in words."""
        with self._changed:
            return list(self._violations)

    def events(self) -> list[JsonObject]:
        """Every distinct event answered as accepted, by event_id, in order of arrival."""
        with self._changed:
            return list(self._accepted.values())

    def repeats(self) -> dict[str, int]:
        """Ids of events answered as accepted more than once, and how often.

        A HiveBoard drops the repetition, so `events` cannot show it.
        """
        with self._changed:
            return {event_id: times for event_id, times in self._arrivals.items() if times > 1}

    def wait_for(self, predicate: Callable[[], bool], timeout: float = 10.0) -> bool:
        """Wait until `predicate` holds, looking after every request, and return True.

        Raises:
            AssertionError: it did not hold within `timeout` seconds; the message says what arrived.
        """
        deadline = time.monotonic() + timeout
        with self._changed:
            while not predicate():
                remaining = deadline - time.monotonic()
                if remaining <= 0:
                    raise AssertionError(f"not within {timeout} s; {self._summary()}")
                # The predicate may look at more than requests: come back now and then.
                self._changed.wait(min(remaining, 0.05))
        return True

    def _summary(self) -> str:
        statuses = Counter(
            exchange.answer.status
            if exchange.answer.behaviour is Behaviour.NORMAL
            else exchange.answer.behaviour.name
            for exchange in self._exchanges
        )
        return f"answers {dict(statuses)}, {len(self._accepted)} events accepted, invalid: {self._violations}"

    # Connections

    def _start(self, target: Callable[[socket.socket], None], sock: socket.socket) -> threading.Thread:
        thread = threading.Thread(
            target=self._run, args=(target, sock), name=f"server-{self.port}-{target.__name__}", daemon=True
        )
        with self._changed:
            self._threads.add(thread)
        thread.start()
        return thread

    def _run(self, target: Callable[[socket.socket], None], sock: socket.socket) -> None:
        try:
            target(sock)
        except OSError:
            pass  # the other end went away, or the test closed this one: both are part of the play
        except BaseException as error:
            with self._changed:
                self._failures.append(f"{type(error).__name__}: {error}")
            raise
        finally:
            with self._changed:
                self._threads.discard(threading.current_thread())

    def _accept(self, listener: socket.socket) -> None:
        while not self._stopping.is_set():
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                continue
            connection.settimeout(None)
            with self._changed:
                self._connections.add(connection)
            self._start(self._serve, connection)

    def _stop_listening(self) -> None:
        with contextlib.suppress(OSError):  # was not listening
            # Closing alone would leave the port open while the acceptor is inside accept().
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        if self._acceptor is not None:
            self._acceptor.join(5.0)
            self._acceptor = None

    def _cut_connections(self) -> None:
        with self._changed:
            connections = list(self._connections)
        for connection in connections:
            with contextlib.suppress(OSError):  # already gone
                # The plain call, also under TLS: it wakes the connection's thread, which closes it.
                socket.socket.shutdown(connection, socket.SHUT_RDWR)

    def _serve(self, connection: socket.socket) -> None:
        raw = connection
        try:
            if self.tls is not None:
                connection = self._handshake(connection, self.tls)
            reader = _Reader(connection)
            while (request := reader.request()) is not None and self._reply(connection, request):
                pass
        finally:
            with self._changed:
                self._connections.difference_update((raw, connection))
            connection.close()

    def _handshake(self, connection: socket.socket, context: ssl.SSLContext) -> socket.socket:
        with self._changed:
            wrapped = context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
            self._connections.add(wrapped)
        try:
            wrapped.do_handshake()
        except OSError:
            with self._changed:
                self._connections.discard(wrapped)
                self._failed_handshakes += 1
                self._changed.notify_all()
            wrapped.close()
            raise
        return wrapped

    # Answers

    def _reply(self, connection: socket.socket, request: Request) -> bool:
        """Answer one request; False when the connection is of no more use."""
        answer, payload = self._decide(request)
        match answer.behaviour:
            case Behaviour.NORMAL:
                connection.sendall(payload)
                return True
            case Behaviour.HANG:
                while connection.recv(4096):
                    pass
            case Behaviour.DRIP:
                if self._drip(connection, payload, answer.drip_seconds):
                    self._take(request, answer)
                    return True
            case Behaviour.RESET:
                head, separator, content = payload.partition(b"\r\n\r\n")
                connection.sendall(head + separator + content[: len(content) // 2])
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            case Behaviour.CLOSE:
                pass
        return False

    def _decide(self, request: Request) -> tuple[Answer, bytes]:
        """Choose the answer, note the exchange and what it accepts, before a byte leaves.

        The client may look at the books as soon as it has read the answer.
        """
        with self._changed:
            answer = self._check(request, self._next_answer(request))
            self._exchanges.append(Exchange(request, answer))
            if answer.behaviour is Behaviour.NORMAL:
                self._take(request, answer)
            self._changed.notify_all()
        return answer, _encode(answer, _answer_body(request, answer))

    def _next_answer(self, request: Request) -> Answer:
        if self._queued:
            return self._queued.popleft()
        if isinstance(self.default, Answer):
            return self.default
        return self.default(request)

    def _check(self, request: Request, answer: Answer) -> Answer:
        """Put what a HiveBoard refuses by itself in the place of a good answer."""
        if answer.behaviour is not Behaviour.NORMAL or answer.status not in (200, 207):
            return answer
        if self.key is not None and request.headers.get("authorization") != f"Bearer {self.key}":
            return failing(401)
        violations = list(_violations(request))
        self._violations.extend(violations)
        return failing(400) if violations else answer

    def _take(self, request: Request, answer: Answer) -> None:
        if answer.status not in (200, 207):
            return
        with self._changed:
            for event in request.events:
                if answer.rejects is None or not answer.rejects(event):
                    self._arrivals[event["event_id"]] += 1
                    self._accepted.setdefault(event["event_id"], event)
            self._changed.notify_all()

    def _drip(self, connection: socket.socket, payload: bytes, seconds: float) -> bool:
        for byte in payload:
            connection.sendall(bytes((byte,)))
            if self._stopping.wait(seconds):
                return False
        return True


class _Reader:
    """Reads requests off one connection."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._buffer = b""

    def request(self) -> Request | None:
        """The next request, or None when the client closed the connection."""
        head = self._until(b"\r\n\r\n")
        if head is None:
            return None
        first, *lines = head.decode("latin-1").split("\r\n")
        method, path, _ = first.split(" ", 2)
        headers = {
            name.strip().lower(): value.strip() for name, _, value in (x.partition(":") for x in lines)
        }
        body = self._body(headers)
        if body is None:
            return None
        return Request(
            method=method,
            path=path,
            headers=headers,
            body=body,
            json=_decode(headers, body),
            monotonic=time.monotonic(),
            unix_time=time.time(),
        )

    def _body(self, headers: Mapping[str, str]) -> bytes | None:
        if headers.get("transfer-encoding", "").lower() == "chunked":
            return self._chunks()
        return self._exactly(int(headers.get("content-length", "0")))

    def _chunks(self) -> bytes | None:
        body = b""
        while (line := self._until(b"\r\n")) is not None:
            size = int(line.split(b";")[0], 16)
            chunk = self._exactly(size + 2)
            if chunk is None:
                return None
            if size == 0:
                return body
            body += chunk[:-2]
        return None

    def _until(self, mark: bytes) -> bytes | None:
        while mark not in self._buffer:
            if not self._more():
                return None
        found, _, self._buffer = self._buffer.partition(mark)
        return found

    def _exactly(self, size: int) -> bytes | None:
        while len(self._buffer) < size:
            if not self._more():
                return None
        found, self._buffer = self._buffer[:size], self._buffer[size:]
        return found

    def _more(self) -> bool:
        data = self._connection.recv(65_536)
        self._buffer += data
        return bool(data)


def _reserve(port: int) -> socket.socket:
    """Bind without listening: connections are refused, and nobody else can take the port."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", port))
    return sock


def _decode(headers: Mapping[str, str], body: bytes) -> Any:
    try:
        return json.loads(gzip.decompress(body) if headers.get("content-encoding") == "gzip" else body)
    except (ValueError, OSError, EOFError):
        return None


def _violations(request: Request) -> Iterable[str]:
    """What a HiveBoard checks of an ingest request."""
    if (request.method, request.path) != ("POST", "/v1/ingest"):
        yield f"{request.method} {request.path}"
    if len(request.body) > MAX_BODY_BYTES:
        yield f"body of {len(request.body)} bytes"
    if not 1 <= len(request.events) <= MAX_EVENTS:
        yield f"{len(request.events)} events"
    yield from (f"envelope without {name}" for name in ENVELOPE_FIELDS if not request.envelope.get(name))
    for event in request.events:
        yield from (f"event without {name}: {event}" for name in EVENT_FIELDS if not event.get(name))


def _answer_body(request: Request, answer: Answer) -> object:
    if answer.body is not None:
        return answer.body
    if answer.status in (200, 207):
        return _ingest_body(request, answer)
    phrase = HTTPStatus(answer.status).phrase
    return {"error": phrase.lower().replace(" ", "_"), "message": phrase, "status": answer.status}


def _ingest_body(request: Request, answer: Answer) -> JsonObject:
    rejected = [event for event in request.events if answer.rejects is not None and answer.rejects(event)]
    errors = [{"event_id": event["event_id"], "error": "invalid_event"} for event in rejected]
    taken = len(request.events) - len(rejected)
    return {"accepted": taken, "rejected": len(rejected), "warnings": [], "errors": errors}


def _encode(answer: Answer, body: object) -> bytes:
    content = json.dumps(body).encode()
    headers = {"Content-Type": "application/json", "Content-Length": str(len(content)), **answer.headers}
    lines = [f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + content

"""A receiver on loopback that costs next to nothing while a clock runs.

Run as a script it prints its port, answers every request at once and keeps the bodies as they are.
Commands come as lines on standard input: ``reset`` forgets everything, ``report`` decodes and counts
what arrived and answers with one line of JSON. It ends with its standard input.
"""

from __future__ import annotations

import gzip
import json
import os
import selectors
import socket
import sys
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

_HEAD_END = b"\r\n\r\n"


class Connection:
    """One client: cuts its byte stream into requests."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = sock
        self._buffer = bytearray()

    def requests(self, data: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield (head, body) of every request that `data` completes."""
        self._buffer += data
        while (head_end := self._buffer.find(_HEAD_END)) >= 0:
            head = bytes(self._buffer[:head_end])
            end = head_end + len(_HEAD_END) + _content_length(head)
            if len(self._buffer) < end:
                return
            body = bytes(self._buffer[head_end + len(_HEAD_END) : end])
            del self._buffer[:end]
            yield head, body


class Sink:
    """The listening socket, its clients and what they sent."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(sys.stdin.fileno(), selectors.EVENT_READ)
        self._received: list[tuple[bytes, bytes]] = []
        self._last_ns = 0

    def serve(self) -> None:
        """Serve until standard input ends."""
        print(self._listener.getsockname()[1], flush=True)
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._listener:
                    self._accept()
                elif isinstance(key.data, Connection):
                    self._read(key.data)
                elif not self._command():
                    return

    def _accept(self) -> None:
        sock, _ = self._listener.accept()
        self._selector.register(sock, selectors.EVENT_READ, Connection(sock))

    def _read(self, connection: Connection) -> None:
        try:
            data = connection.sock.recv(1 << 18)
            for head, body in connection.requests(data):
                self._received.append((head, body))
                self._last_ns = time.monotonic_ns()
                connection.sock.sendall(_answer(head, body))
        except OSError:
            data = b""
        if not data:
            self._selector.unregister(connection.sock)
            connection.sock.close()

    def _command(self) -> bool:
        # os.read, because a buffered reader would hide a second line from the selector.
        words = os.read(sys.stdin.fileno(), 4096).decode().split()
        for word in words:
            if word == "report":
                print(json.dumps(_report(self._received, self._last_ns)), flush=True)
            else:
                self._received, self._last_ns = [], 0
                print("{}", flush=True)
        return bool(words)


def _content_length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    return 0


def _answer(head: bytes, body: bytes) -> bytes:
    if b"/v1/traces" in head[:64]:
        return b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n"
    text = b'{"accepted": %d, "rejected": 0, "warnings": [], "errors": []}' % body.count(b'"event_id"')
    return (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(text)
    ) + text


def _report(received: list[tuple[bytes, bytes]], last_ns: int) -> dict[str, Any]:
    """Count what arrived; events by their unique id, spans of OTLP one by one."""
    ids: set[str] = set()
    events: Counter[str] = Counter()
    spans = repeated = 0
    for head, raw in received:
        body = gzip.decompress(raw) if b"content-encoding: gzip" in head.lower() else raw
        if b"/v1/traces" in head[:64]:
            spans += _span_count(body)
            continue
        for event in json.loads(body)["events"] if body else ():
            repeated += event["event_id"] in ids
            ids.add(event["event_id"])
            events[_label(event)] += 1
    return {
        "requests": len(received),
        "bytes": sum(len(body) for _, body in received),
        "last_ns": last_ns,
        "events": sum(events.values()),
        "repeated": repeated,
        "by_label": dict(events),
        "spans": spans,
    }


def _label(event: dict[str, Any]) -> str:
    """Events of an agent run have a task; of the others the kind or the type tells what they are."""
    if event.get("task_id") is not None:
        return "run"
    payload: dict[str, Any] = event.get("payload") or {}
    return str(payload.get("kind") or event["event_type"])


def _span_count(body: bytes) -> int:
    """Spans of an ExportTraceServiceRequest: resource_spans (1), scope_spans (2), spans (2)."""
    return sum(
        1
        for resource_spans in _messages(body, 1)
        for scope_spans in _messages(resource_spans, 2)
        for _ in _messages(scope_spans, 2)
    )


def _messages(body: bytes, wanted: int) -> Iterator[bytes]:
    """Yield the length-delimited fields numbered `wanted` of a protobuf message."""
    at = 0
    while at < len(body):
        tag, at = _varint(body, at)
        wire_type = tag & 7
        if wire_type == 2:
            size, at = _varint(body, at)
            if tag >> 3 == wanted:
                yield body[at : at + size]
            at += size
        elif wire_type == 0:
            _, at = _varint(body, at)
        else:
            at += 8 if wire_type == 1 else 4


def _varint(body: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = body[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


if __name__ == "__main__":
    Sink().serve()

"""A real board on a free port, and clients that ask it, for tests."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from websockets.sync.client import ClientConnection, connect

from hiveloop.board.keyring import Keyring
from hiveloop.board.keys import KeyKind
from hiveloop.board.routes import Settings
from hiveloop.board.routes_pages import LINK_PATH
from hiveloop.board.security import Limits, Sessions
from hiveloop.board.server import BoardServer, listen
from hiveloop.board.store.protocol import Store
from hiveloop.board.store.sqlite import SqliteStore

__all__ = ["Board", "Stream", "event", "running_board"]

SECRET = b"secret of the tests"


def event(event_type: str = "custom", /, ago: float = 1.0, **fields: Any) -> dict[str, Any]:
    """Return an event that happened `ago` seconds ago."""
    stamp = datetime.now(UTC) - timedelta(seconds=ago)
    made = {"event_id": str(uuid.uuid4()), "timestamp": stamp.isoformat(), "event_type": event_type}
    return {**made, **fields}


@dataclass
class Board:
    """A board that runs.

    Attributes:
        endpoint: its address.
        keys: a key of each kind.
        store: what it keeps its events in.
    """

    endpoint: str
    keys: dict[str, str]
    store: Store

    def client(self, kind: str | None = "live", **headers: str) -> httpx.Client:
        """Return a client with a key of a kind, or with none."""
        if kind is not None:
            headers["Authorization"] = f"Bearer {self.keys[kind]}"
        return httpx.Client(base_url=self.endpoint, headers=headers, timeout=20)

    @contextmanager
    def browser(self) -> Iterator[httpx.Client]:
        """Open the board by a one-time link, as a browser does."""
        with self.client(None) as client:
            response = client.get(self.link())
            assert response.status_code == 200, response.text
            yield client

    def link(self) -> str:
        """Return a new one-time link."""
        return f"{self.endpoint}{LINK_PATH}?token={Sessions(SECRET).new_link_token()}"

    def send(self, *events: dict[str, Any], agent: str = "ada", kind: str = "live", **envelope: Any) -> Any:
        """Report events and return the answer's body, which must be a success."""
        body = {"envelope": {"agent_id": agent, **envelope}, "events": list(events)}
        with self.client(kind) as client:
            response = client.post("/v1/ingest", json=body)
        assert response.status_code in (200, 207), response.text
        return response.json()

    def get(self, path: str, kind: str = "live", **parameters: Any) -> Any:
        """Return what an address answers, which must be 200."""
        with self.client(kind) as client:
            response = client.get(path, params=parameters)
        assert response.status_code == 200, response.text
        return response.json()

    def limit_pages(self, pages: int) -> None:
        """Let the database grow to so many pages; then SQLite reports the error of a full disk."""
        self.store.manage(f"PRAGMA max_page_count = {pages}").result(10)

    @contextmanager
    def stream(self, kind: str = "live", **subscription: Any) -> Iterator[Stream]:
        """Subscribe to the live stream."""
        address = self.endpoint.replace("http", "ws", 1) + f"/v1/stream?token={self.keys[kind]}"
        with connect(address, close_timeout=1) as socket:
            stream = Stream(socket)
            if subscription:
                stream.send(action="subscribe", **subscription)
                assert stream.next()["type"] == "subscribed"
            yield stream


@dataclass
class Stream:
    """A socket of the live stream."""

    socket: ClientConnection

    def send(self, **message: Any) -> None:
        """Send a message."""
        self.socket.send(json.dumps(message))

    def next(self, timeout: float = 10.0) -> dict[str, Any]:
        """Return the next message."""
        return json.loads(self.socket.recv(timeout))

    def until(self, wanted: Callable[[dict[str, Any]], bool], timeout: float = 10.0) -> list[dict[str, Any]]:
        """Return the messages up to the first that is wanted."""
        messages, deadline = list[dict[str, Any]](), time.monotonic() + timeout
        while not messages or not wanted(messages[-1]):
            messages.append(self.next(max(0.01, deadline - time.monotonic())))
        return messages

    def events(self, number: int, timeout: float = 10.0) -> list[dict[str, Any]]:
        """Return the next events of batches and single messages, at least so many."""
        found, deadline = list[dict[str, Any]](), time.monotonic() + timeout
        while len(found) < number:
            message = self.next(max(0.01, deadline - time.monotonic()))
            found += message.get("events", [])
            if message["type"] == "event.new":
                found.append(message["data"])
        return found


@contextmanager
def running_board(
    folder: Path,
    *,
    limits: Limits | None = None,
    port: int = 0,
    store: Store | None = None,
    ping_seconds: float = 20.0,
    **settings: Any,
) -> Iterator[Board]:
    """Run a board on a thread of this process.

    Args:
        folder: where its database is.
        limits: of requests; wide ones unless given, so that tests need not wait.
        port: where it answers.
        store: instead of an SQLite store of its own; closed here, too.
        ping_seconds: between pings to sockets, and until they must be answered.
        settings: more of its settings.
    """
    store = store or SqliteStore(folder / "board.db")
    try:
        keys = dict[str, str]()
        for kind in KeyKind:
            _, keys[kind.value], done = Keyring(store).add(kind, "tests")
            done.result(10)
        chosen = Settings(
            secret=SECRET,
            api_key=keys["live"],
            limits=limits or Limits(ingest=100_000, query=100_000),
            static=settings.pop("static", folder / "static"),
            **settings,
        )
        server = BoardServer(store, chosen, listen("127.0.0.1", port), ping_seconds)
        server.start()
        try:
            yield Board(server.endpoint, keys, store)
        finally:
            server.join()
    finally:
        store.close()

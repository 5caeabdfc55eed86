"""A process that reports events to a board at a rate, as the benchmark of the board has several of."""

from __future__ import annotations

import http.client
import itertools
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec

from hiveloop.board.model import NewEvent

from .board_store import fleet

__all__ = ["Load", "Report", "bodies", "report"]

_PREPARED = 1_000
"""Requests that are made before the first is sent, so that making them takes no time from the board, which
shares the machine; the others are made on the way."""


class Load(NamedTuple):
    """What to report.

    Attributes:
        endpoint: the board.
        key: a key of it.
        number: which of several processes this is.
        rate: events a second.
        seconds: for how long.
        batch: events in a request.
    """

    endpoint: str
    key: str
    number: int
    rate: float
    seconds: float
    batch: int


class Report(NamedTuple):
    """What a process saw.

    Attributes:
        events: how many the board took.
        seconds: how long that took.
        waits_ms: how long each answer took, in milliseconds.
    """

    events: int
    seconds: float
    waits_ms: list[float]


def report(load: Load, told: Connection) -> None:
    """Report; say "ready" first, and at the end send a `Report`."""
    step_us = round(1_000_000 / load.rate)
    made = bodies(
        fleet(seed=time.time_ns() % 65_000 + load.number, start_us=_now_us(), step_us=step_us), load.batch
    )
    prepared = list(itertools.islice(made, _PREPARED))
    place = urlsplit(load.endpoint)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=60)
    told.send("ready")
    waits: list[float] = []
    begin = time.perf_counter()
    for number, body in enumerate(itertools.chain(prepared, made)):
        due = number * load.batch / load.rate
        if due >= load.seconds or time.perf_counter() - begin > load.seconds:
            break
        _until(begin + due)
        waits.append(_post(connection, load.key, body))
    told.send(Report(len(waits) * load.batch, time.perf_counter() - begin, waits))


def bodies(events: Iterator[NewEvent], batch: int) -> Iterator[bytes]:
    """Yield requests with the events of all agents, as a collector sends them."""
    while True:
        told = [_wire(event) for event in itertools.islice(events, batch)]
        yield msgspec.json.encode(
            {"envelope": {"agent_id": "collector", "sdk_version": "bench"}, "events": told}
        )


def _wire(event: NewEvent) -> dict[str, Any]:
    names = ("event_id", "event_type", "agent_id", "severity", "task_id", "task_type", "action_id", "status")
    told = {name: value for name in names if (value := getattr(event, name))}
    return {
        **told,
        "timestamp": datetime.fromtimestamp(event.ts_us / 1e6, UTC).isoformat(),
        "payload": msgspec.Raw(event.payload.encode()),
        "duration_ms": event.duration_ms,
        "project_id": event.project or None,
        "task_run_id": event.run_id or None,
    }


def _post(connection: http.client.HTTPConnection, key: str, body: bytes) -> float:
    begin = time.perf_counter()
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    connection.request("POST", "/v1/ingest", body, headers)
    response = connection.getresponse()
    answer = response.read()
    assert response.status == 200, answer
    return (time.perf_counter() - begin) * 1_000


def _until(when: float) -> None:
    threading.Event().wait(max(0.0, when - time.perf_counter()))


def _now_us() -> int:
    return time.time_ns() // 1_000

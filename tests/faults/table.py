"""The faults of a server, each as a way to begin and a way to mend it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hiveloop
from tests.support.server import (
    Answer,
    Request,
    Script,
    ScriptedServer,
    TlsAuthority,
    accepting,
    closing,
    dripping,
    failing,
    hanging,
    redirecting,
    rejecting,
    resetting,
    throttled,
    throttled_in_body,
    throttled_until,
)

__all__ = ["FAULTS", "KEY", "OUTAGES", "Fault", "faulty_server", "holding_back", "reporting", "seconds"]

KEY = "hb_test_a-key-that-nobody-may-see"
OTHER_KEY = "hb_test_the-right-one"
NOWHERE = "http://127.0.0.1:9"


def seconds(short: float, full: float) -> float:
    """The length of an outage: `short`, or `full` when HIVELOOP_TEST_LONG=1 asks for it."""
    return full if os.environ.get("HIVELOOP_TEST_LONG") == "1" else short


BRIEF = seconds(0.8, 1.5)
"""Long enough for several attempts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One kind of trouble.

    Attributes:
        name: for the test id.
        begin: makes the trouble.
        mend: ends it.
        seconds: how long it lasts in a test.
        tls: the server speaks TLS, with a certificate of an authority nobody trusts until mended.
    """

    name: str
    begin: Callable[[ScriptedServer], None]
    mend: Callable[[ScriptedServer], None]
    seconds: float = BRIEF
    tls: bool = False

    def __str__(self) -> str:
        return self.name


def _answers(name: str, script: Script, lasting: float = BRIEF) -> Fault:
    def begin(server: ScriptedServer) -> None:
        server.default = script

    def mend(server: ScriptedServer) -> None:
        server.default = accepting()

    return Fault(name=name, begin=begin, mend=mend, seconds=lasting)


def _wrong_key(server: ScriptedServer) -> None:
    server.key = OTHER_KEY


def _right_key(server: ScriptedServer) -> None:
    server.key = KEY


def _nothing(_: ScriptedServer) -> None:
    return None


def _soon(_: Request) -> Answer:
    return throttled_until(time.time() + 1)


OUTAGES: tuple[Fault, ...] = (
    Fault(name="refused", begin=ScriptedServer.refuse, mend=ScriptedServer.listen, seconds=seconds(1.8, 10)),
    _answers("503", failing(503), seconds(3.0, 20)),
    _answers("429-seconds", throttled(1), 1.5),
    _answers("429-date", _soon, 1.5),
    _answers("429-body", throttled_in_body(1), 1.5),
    _answers("hang", hanging(), seconds(2.5, 10)),
    _answers("drip", dripping(), seconds(2.5, 10)),
    _answers("reset", resetting()),
    _answers("close", closing()),
    _answers("redirect", redirecting(f"{NOWHERE}/v1/ingest")),
    Fault(name="401", begin=_wrong_key, mend=_right_key),
    Fault(name="tls", begin=_nothing, mend=_nothing, tls=True),
)
"""Faults that pass, and after which nothing may be missing."""

FAULTS: tuple[Fault, ...] = (
    *OUTAGES,
    _answers("207", rejecting(lambda _: True)),
    _answers("400", failing(400)),
    _answers("413", failing(413)),
)
"""Everything under which `shutdown` and the interpreter's exit keep their time."""


@dataclass(frozen=True, slots=True)
class FaultyServer:
    """A server with a fault, and what a client needs to reach it once it is mended.

    Attributes:
        server: the server; the fault has begun.
        ca_file: the authority to trust for TLS, else None.
        mend: ends the fault.
    """

    server: ScriptedServer
    ca_file: str | None
    mend: Callable[[], None]


@contextmanager
def faulty_server(fault: Fault, folder: Path) -> Iterator[FaultyServer]:
    """Start a server whose `fault` has begun."""
    if not fault.tls:
        with ScriptedServer() as server:
            fault.begin(server)
            yield FaultyServer(server, None, lambda: fault.mend(server))
        return
    trusted, strange = TlsAuthority(), TlsAuthority()
    with ScriptedServer(tls=strange.server_context()) as server:

        def new_certificate() -> None:
            server.tls = trusted.server_context()

        yield FaultyServer(server, str(trusted.write_certificate(folder / "ca.pem")), new_certificate)


@contextmanager
def reporting(endpoint: str, **options: Any) -> Iterator[hiveloop.HiveBoard]:
    """Initialise hiveloop towards a scripted server, with a quick flush interval, and clean up after.

    Args:
        endpoint: the server's address.
        options: further arguments of `hiveloop.init`.
    """
    hb = hiveloop.init(KEY, endpoint=endpoint, environment="test", **{"flush_interval": 0.05, **options})
    try:
        yield hb
    finally:
        hiveloop.shutdown(timeout=0.2)
        hiveloop.reset()


@contextmanager
def holding_back(endpoint: str) -> Iterator[hiveloop.HiveBoard]:
    """The same, but sending hardly anything before a flush, so that many events share a batch."""
    with reporting(endpoint, flush_interval=60, batch_size=200) as hb:
        yield hb

"""The way of an event to the HiveBoard server, step by step; for ``python -m hiveloop doctor``."""

from __future__ import annotations

import json
import platform
import time
import uuid
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import requests

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
from ._steps import PROXY_FIX, StepError, Way, dns, encryption, ms, proxy, tcp, tls, way_to, within, words

__all__ = ["check_network"]

_SKEW_SECONDS = 30.0


def check_network(config: Config, timeout: float) -> Iterator[Check]:
    """Follow an event to the server; ends with the first step that fails.

    Args:
        config: the settings to check; the last step needs a key in them.
        timeout: seconds each step may take.
    """
    try:
        way = way_to(config.endpoint, config.ca_file)
        yield from proxy(way)
        yield from encryption(way)
        yield from dns(way, timeout)
        yield tcp(way, timeout)
        if way.is_direct_tls:
            yield tls(way, timeout)
        yield from _http(way, timeout)
        yield _ingest(config, timeout)
    except StepError as failure:
        yield failure.check


# -- HTTP -----------------------------------------------------------------------------------------


def _http(way: Way, timeout: float) -> Iterator[Check]:
    """Ask for the address itself, without the key, to see who answers and what time it is there."""
    started, clock = time.monotonic(), time.time()
    try:
        response = within(timeout, lambda: _get(way, timeout))
    except (requests.Timeout, TimeoutError):
        fix = "check the server's log; a proxy or a load balancer may be waiting for it"
        raise StepError("http", f"connected, but no answer within {timeout:g} s", fix) from None
    except requests.exceptions.ProxyError as error:
        raise StepError("http", f"the proxy {way.proxy} does not help: {words(error)}", PROXY_FIX) from error
    except requests.exceptions.SSLError as error:
        fix = "for a private certificate authority set HIVELOOP_CA_FILE to its PEM file"
        raise StepError("http", f"TLS through the proxy failed: {words(error)}", fix) from error
    except (requests.RequestException, OSError) as error:
        fix = "check that an HTTP server listens there; a TLS server needs an https:// endpoint"
        raise StepError("http", f"no HTTP answer: {words(error)}", fix) from error
    elapsed = time.monotonic() - started
    yield _answer(way, response, elapsed)
    yield _clock(response.headers.get("Date"), clock + elapsed / 2, elapsed)


def _get(way: Way, timeout: float) -> requests.Response:
    return requests.get(
        f"{way.url}/",
        timeout=timeout,
        allow_redirects=False,
        proxies=way.settings["proxies"],
        verify=way.settings["verify"],
        headers={"Connection": "close"},
        stream=True,  # headers are enough
    )


def _answer(way: Way, response: requests.Response, elapsed: float) -> Check:
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
            return Check("ingest", Status.OK, f"probe event accepted in {ms(started)}")
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

"""Who may ask: addresses, origins, sessions of browsers, rate limits; and the headers of every answer.

A board listens on this machine, but every web page open in a browser of this machine can send requests to it.
So names it does not know are refused (a foreign name that resolves to this machine), as are requests that
another site's page makes, and a browser is known by a cookie that no other site can send or read.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import secrets
import socket
import time
from collections.abc import Callable, Iterable
from ipaddress import ip_address
from typing import NamedTuple
from urllib.parse import urlsplit

__all__ = [
    "COOKIE",
    "HEADERS",
    "Hosts",
    "Limits",
    "RateLimits",
    "Sessions",
    "Verdict",
    "is_foreign",
    "is_loopback_name",
    "public_origin",
]

COOKIE = "hiveboard_session"
SESSION_SECONDS = 30 * 86_400
LINK_SECONDS = 15 * 60
_MOST_BUCKETS = 10_000

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self';"
        " connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""On every answer."""


# -- names and origins ------------------------------------------------------------------------


class Hosts:
    """The names under which the board answers.

    Args:
        names: more names, such as that of a reverse proxy, without ports.
        remote: whether other machines may ask; then any address in numbers is fine as well, which no name
            of an attacker's can pretend to be.
        origin: that of the board's pages in browsers, when a proxy stands before it: from `public_origin`.
    """

    def __init__(self, names: Iterable[str] = (), *, remote: bool = False, origin: str | None = None) -> None:
        self._names = {name.lower() for name in names}
        self._remote = remote
        self._origin = origin
        if origin is not None:
            self._names.add(urlsplit(origin).hostname or "")
        if remote:
            self._names.add(socket.gethostname().lower())

    def knows(self, host: str) -> bool:
        """Tell whether a ``Host`` header names this board."""
        name = _name_of(host)
        if name is None:
            return False
        return name in self._names or is_loopback_name(name) or (self._remote and _is_address(name))

    def is_foreign(self, origin: str | None, host: str) -> bool:
        """Tell whether a request comes from a page of another site.

        Args:
            origin: the ``Origin`` header; programs that are no browsers send none.
            host: the ``Host`` header, which some proxies replace by their own.
        """
        if origin is not None and self._origin is not None and public_origin(origin) == self._origin:
            return False
        return is_foreign(origin, host)


def _name_of(host: str) -> str | None:
    """The name in a ``Host`` header, without port and brackets."""
    host = host.strip().lower()
    if host.startswith("["):
        name, closed, rest = host[1:].partition("]")
        return name if closed and (not rest or rest[0] == ":") else None
    name, _, port = host.partition(":")
    return name if name and (not port or port.isdecimal()) else None


def is_loopback_name(name: str) -> bool:
    """Tell whether a name or address stands for this machine, whatever a name server says."""
    return name == "localhost" or (_is_address(name) and ip_address(name).is_loopback)


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def public_origin(url: str) -> str | None:
    """Return scheme, name and port of an address, or None when it is none, or more than that."""
    try:
        parts = urlsplit(url.strip().lower())
        port = parts.port
    except ValueError:
        return None
    more = parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc
    if parts.scheme not in ("http", "https") or not parts.hostname or more:
        return None
    name = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    usual = port in (None, 443 if parts.scheme == "https" else 80)
    return f"{parts.scheme}://{name}" if usual else f"{parts.scheme}://{name}:{port}"


def is_foreign(origin: str | None, host: str) -> bool:
    """Tell whether a request comes from a page of another site.

    Args:
        origin: the ``Origin`` header.
        host: the ``Host`` header.
    """
    if origin is None:
        return False
    scheme, separator, place = origin.strip().lower().partition("://")
    if not separator or scheme not in ("http", "https"):
        return True
    default = ":443" if scheme == "https" else ":80"
    return place.removesuffix(default) != host.strip().lower().removesuffix(default)


# -- sessions ---------------------------------------------------------------------------------


class Sessions:
    """One-time links and the cookies they become; both are signed texts, so nothing needs to be kept.

    Args:
        secret: signs them; kept in the data folder, so that cookies outlive a restart, and so that another
            process of the user can make a link for a running board.
        clock: seconds since the epoch.
    """

    def __init__(self, secret: bytes, clock: Callable[[], float] = time.time) -> None:
        self._secret = secret
        self._clock = clock
        self._started = clock()
        self._used: dict[str, float] = {}

    def new_link_token(self) -> str:
        """Return a token that opens one session within the next 15 minutes."""
        return self._signed("link")

    def open(self, token: str) -> str | None:
        """Return a new session's cookie for a token, once; None when the token is of no use."""
        issued = self._issued("link", token)
        now = self._clock()
        # What was used before a restart is not remembered, so older tokens are not taken at all.
        if issued is None or not self._started - 1 <= issued <= now + 1 or now - issued > LINK_SECONDS:
            return None
        self._used = {used: until for used, until in self._used.items() if until > now}
        if token in self._used:
            return None
        self._used[token] = issued + LINK_SECONDS + 1
        return self._signed("session")

    def knows(self, cookie: str) -> bool:
        """Tell whether a cookie is of a session that has not expired."""
        issued = self._issued("session", cookie)
        return issued is not None and -1 <= self._clock() - issued <= SESSION_SECONDS

    def _signed(self, purpose: str) -> str:
        # Rounded up: a link made in the second in which the board started is newer than the board.
        text = f"{math.ceil(self._clock())}.{secrets.token_urlsafe(16)}"
        return f"{text}.{self._signature(purpose, text)}"

    def _signature(self, purpose: str, text: str) -> str:
        return hmac.new(self._secret, f"{purpose}:{text}".encode(), hashlib.sha256).hexdigest()

    def _issued(self, purpose: str, token: str) -> float | None:
        text, _, signature = token.rpartition(".")
        expected = self._signature(purpose, text)
        if not hmac.compare_digest(expected.encode(), signature.encode("utf-8", "replace")):
            return None
        return float(text.partition(".")[0])


# -- rate limits ------------------------------------------------------------------------------


class Limits(NamedTuple):
    """Requests a second for each key, and sockets at once."""

    ingest: float = 1_000
    query: float = 300
    sockets: int = 50


class Verdict(NamedTuple):
    """Whether a request may pass.

    Attributes:
        passes: it may.
        limit: requests a second.
        remaining: how many may follow at once.
        wait: seconds until the next one may.
    """

    passes: bool
    limit: float
    remaining: int
    wait: float

    def headers(self) -> dict[str, str]:
        """Return what an answer tells about the limit."""
        told = {
            "X-RateLimit-Limit": f"{self.limit:g}",
            "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-Reset": str(math.ceil(time.time() + self.wait)),
        }
        return told if self.passes else {**told, "Retry-After": str(max(1, math.ceil(self.wait)))}


class RateLimits:
    """A bucket for each key and purpose, so that agents that report much do not blind who looks.

    Args:
        limits: how much each may.
        clock: seconds of a clock that never goes back.
    """

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self._rates = {"ingest": limits.ingest, "query": limits.query}
        self._clock = clock
        self._buckets: dict[tuple[str, str], tuple[float, float]] = {}

    def take(self, purpose: str, name: str) -> Verdict:
        """Take one request out of the bucket of `name` for `purpose`, "ingest" or "query"."""
        rate, now = self._rates[purpose], self._clock()
        size = max(1.0, rate)
        level, filled = self._buckets.get((purpose, name), (size, now))
        level = min(size, level + (now - filled) * rate)
        passes = level >= 1
        if passes:
            level -= 1
        if len(self._buckets) >= _MOST_BUCKETS and (purpose, name) not in self._buckets:
            self._buckets.clear()
        self._buckets[purpose, name] = (level, now)
        return Verdict(passes, rate, int(level), max(0.0, (1 - level) / rate))

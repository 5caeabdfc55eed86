"""The HTTP connection of our OTLP exporters: one attempt in bounded time, and its outcome known.

The exporters of the SDK report SUCCESS or FAILURE and no reason, and retry inside, where no deadline of
ours is kept. Retrying is the engine's business here. So the exporter is handed, as its public ``session=``,
one that answers everything but success with an exception it does not take for retryable, and remembers why.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import requests
import requests.auth
import requests.exceptions
import urllib3

from hiveloop._guard import contain
from hiveloop.transport import Delivered, Misconfigured, Outcome, Retry
from hiveloop.transports._loading import load_session

from ._answers import Answer, outcome_of, rejection_in
from ._environment import OtlpSettings

__all__ = ["OnRejected", "OtlpSession", "UndeliveredError"]

CONNECT_SECONDS = 10.0
LARGEST_ANSWER = 1_000_000

OnRejected = Callable[[int, str], None]
"""Told how many of the items of a request the receiver rejected, and why."""


class UndeliveredError(Exception):
    """A request did not arrive, for the reason in `outcome`; exporters do not know it, and do not retry."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(getattr(outcome, "reason", "not delivered"))
        self.outcome = outcome


class OtlpSession(requests.Session):
    """The session of one exporter.

    Redirects are not followed, an entry in ~/.netrc does not replace a key, and proxies come from the
    environment.

    Args:
        settings: of the exporter.
        inner: makes the requests; a session of a credential provider, or our own.
        on_rejected: told of partial success.

    Attributes:
        limit: seconds the next request may take.
        outcome: of the last request; None when there was none since `expect`.
    """

    def __init__(
        self,
        settings: OtlpSettings,
        inner: requests.Session | None = None,
        on_rejected: OnRejected | None = None,
    ) -> None:
        super().__init__()
        self.limit = settings.timeout
        self.outcome: Outcome | None = None
        self._settings = settings
        self._on_rejected = on_rejected
        self._foreign = inner is not None
        self._inner = _plain_session(settings) if inner is None else inner
        self._library = load_session()
        self._used = False

    def expect(self, seconds: float) -> None:
        """Get ready for an export that may take `seconds`."""
        self.limit = min(seconds, self._settings.timeout)
        self.outcome = None

    def request(self, method: str | bytes, url: str | bytes, *args: Any, **kwargs: Any) -> requests.Response:
        """Make one attempt; return the answer if it is good.

        Raises:
            UndeliveredError: there was no answer, or another one.
        """
        self.outcome = Retry("the request failed", suspect=True)  # should what follows raise
        answer, response = self._ask(method, url, kwargs)
        self.outcome = answer if not isinstance(answer, Answer) else outcome_of(answer, self._settings)
        if response is None or not isinstance(self.outcome, Delivered):
            raise UndeliveredError(self.outcome)
        if isinstance(answer, Answer):
            self._tell_of_rejected(answer)
        return response

    def _ask(
        self, method: Any, url: Any, options: dict[str, Any]
    ) -> tuple[Answer | Outcome, requests.Response | None]:
        end = time.monotonic() + self.limit
        while True:
            reused, self._used = self._used, False
            try:
                response = self._attempt(method, url, options, end - time.monotonic())
                answer = _read(response)
            except self._library.FAILURES as error:
                # The receiver may have closed the idle connection: try a new one at once.
                if reused and _may_be_stale(error) and end - time.monotonic() > 0:
                    continue
                return self._describe(error), None
            self._used = True
            return answer, response

    def _attempt(self, method: Any, url: Any, options: dict[str, Any], seconds: float) -> requests.Response:
        seconds = max(seconds, 0.001)
        bounded = urllib3.Timeout(total=seconds, connect=min(seconds, CONNECT_SECONDS))
        options = {
            "verify": self.verify,
            "cert": self.cert,
            **options,
            "headers": {**self._own_headers(), **(options.get("headers") or {})},
            "timeout": seconds if self._foreign else bounded,
            "allow_redirects": False,
            "stream": True,
        }
        return self._inner.request(method, url, **options)

    def _own_headers(self) -> dict[str, Any]:
        """Return what an exporter put on the session; the releases before 1.45 do."""
        return dict(self.headers) if "Content-Type" in self.headers else {}

    def _describe(self, error: Exception) -> Outcome:
        if isinstance(error, ValueError):  # its text may show a header, hence a key
            return Misconfigured(
                f"no request can be made ({type(error).__name__}): check endpoint, headers and proxies"
            )
        return Retry(_reason(error, self.limit, self._library.describe_error))

    def _tell_of_rejected(self, answer: Answer) -> None:
        count, reason = rejection_in(answer, self._settings)
        if count and self._on_rejected is not None:
            contain("otel.on_rejected", self._on_rejected, count, reason, default=None)

    def close(self) -> None:
        """Close the connection."""
        self._inner.close()


def _plain_session(settings: OtlpSettings) -> requests.Session:
    session = requests.Session()
    adapter: Any = load_session().BoundedAdapter
    for scheme in ("https://", "http://"):
        session.mount(scheme, adapter(pool_connections=1, pool_maxsize=1, max_retries=0))
    user, password = requests.utils.get_auth_from_url(settings.endpoint)
    session.auth = requests.auth.HTTPBasicAuth(user, password) if user or password else _unchanged
    return session


def _unchanged(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Stand for an authentication, which keeps `requests` from looking one up in ~/.netrc."""
    return request


def _read(response: requests.Response) -> Answer:
    raw: Any = response.raw
    try:
        body = raw.read(LARGEST_ANSWER, decode_content=True) or b""
    finally:
        response.close()  # back into the pool, unless something is left to read
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Answer(response.status_code, headers, body)


def _may_be_stale(error: Exception) -> bool:
    timeouts = (requests.Timeout, urllib3.exceptions.TimeoutError, TimeoutError)
    return not isinstance(error, (*timeouts, ValueError))


def _reason(error: Exception, seconds: float, describe: Callable[[Exception, float], str]) -> str:
    match error:
        case requests.exceptions.ConnectTimeout():
            return "no connection in time"
        case requests.exceptions.Timeout():
            return f"no complete answer within {seconds:g} s"
        case requests.exceptions.SSLError():
            return (
                f"TLS failed ({_cause(error)}); for a private certificate authority set"
                " OTEL_EXPORTER_OTLP_CERTIFICATE"
            )
        case _:
            return describe(_cause(error), seconds)


def _cause(error: BaseException) -> Exception:
    """Return what `requests` and urllib3 wrapped: in the end, what the operating system or TLS said."""
    for inner in (getattr(error, "reason", None), next(iter(error.args), None), error.__cause__):
        if isinstance(inner, Exception):
            return _cause(inner)
    return error if isinstance(error, Exception) else Exception(type(error).__name__)

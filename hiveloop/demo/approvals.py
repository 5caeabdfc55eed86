"""The person in the loop, simulated: a thread that looks at requests and decides after a moment."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from .work import Pace

__all__ = ["OPERATOR", "Operator", "Request"]

OPERATOR = "operator (simulated)"
"""The name that approvals are recorded under, so that nobody takes it for a person."""


@dataclass(slots=True)
class Request:
    """Something that somebody must agree to.

    Attributes:
        summary: what is asked.
        acceptable: the facts that the decision rests on, looked at by the operator.
        decision: "approved" or "denied", once `decided` is set.
    """

    summary: str
    acceptable: Callable[[], bool]
    decision: str = ""
    decided: threading.Event = field(default_factory=threading.Event)


class Operator(threading.Thread):
    """Decides one request after the other.

    Args:
        pace: how long thinking takes, and when to go home.
    """

    def __init__(self, pace: Pace) -> None:
        super().__init__(name="demo-operator", daemon=True)
        self._pace = pace
        self._requests: queue.Queue[Request | None] = queue.Queue()

    def ask(self, request: Request) -> None:
        """Put a request on the desk."""
        self._requests.put(request)

    def close(self) -> None:
        """Send the operator home."""
        self._requests.put(None)

    def run(self) -> None:
        """Decide until sent home; what is on the desk when the fleet stops stays undecided."""
        while (request := self._requests.get()) is not None:
            if self._pace.wait(1.2):
                return
            request.decision = "approved" if request.acceptable() else "denied"
            request.decided.set()

"""Which model calls count, where several instrumentations report the same one."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from ._open_spans import Call, OpenSpan, scope_name
from .outcome import BOUNDARIES, MODELS, outer_counts
from .reader import Kind

__all__ = ["Counter", "entered"]

_MOST_WAITING = 1_000
_MOST_REMEMBERED = 256
_SLACK_NS = 20_000_000
"""Clocks of two instrumentations are read one after the other, and some round to milliseconds."""


class _Told(NamedTuple):
    """What is remembered of a call that was counted."""

    maker: str
    start_ns: int
    end_ns: int
    models: frozenset[str]
    tokens: tuple[int | None, int | None]


class Counter:
    """Decides which calls to report; one per processor, under its lock.

    Several instrumentations may report the same call, each with a span around the other's. What a span
    inside another tells waits for the outer one to end, which happens at once as a rule; then it is clear
    which counts, and the inner one is completed with what only the outer one knows, such as what was said.

    Where nothing shows that a span is around another, as in frameworks that run their callbacks in threads,
    two calls of different makers are taken for one if they are of the same model, with the same tokens, and
    the second goes on during all of the first.
    """

    def __init__(self) -> None:
        self._told: deque[_Told] = deque(maxlen=_MOST_REMEMBERED)

    def calls(self, record: OpenSpan, call: Call) -> list[Call]:
        """Return the calls to report now that a model's span has ended.

        Args:
            record: the span.
            call: what it tells.
        """
        around = list(_wrappers(record))
        for node in around:
            node.inside -= node.kind == record.kind
        if any(node.counted for node in around):  # it ended before this one, and counted
            return []
        calls = [] if record.kind in record.covered else [call]
        if record.waiting:
            calls = _chosen(record.waiting, call)
        elif record.inside > 0 and not call.facts.has_usage:  # a stream: the call itself goes on
            calls = []
        record.counted = any(chosen is call for chosen in calls)
        if record.counted and self._was_told(call):
            return []
        calls = _left_to(around, record.kind, calls)
        self._told.extend(map(_remembered, calls))
        return calls

    def _was_told(self, call: Call) -> bool:
        """Tell whether another maker told this call; each answers for one call."""
        new = _remembered(call)
        for told in self._told:
            if _is_same(told, new):
                self._told.remove(told)
                return True
        return False


def _remembered(call: Call) -> _Told:
    facts = call.facts
    models = frozenset(name for name in (facts.model, facts.response_model) if name)
    return _Told(scope_name(call.span), *call.times_ns, models, (facts.tokens_in, facts.tokens_out))


def _is_same(told: _Told, new: _Told) -> bool:
    return (
        told.maker != new.maker
        and told.tokens == new.tokens != (None, None)
        and new.start_ns <= told.start_ns + _SLACK_NS
        and new.start_ns < told.end_ns <= new.end_ns + _SLACK_NS
        and not told.models.isdisjoint(new.models)
    )


def _chosen(inner: list[Call], outer: Call) -> list[Call]:
    if outer_counts(outer.facts, (call.facts for call in inner)):
        return [outer]
    if len(inner) > 1:
        return inner
    return [inner[0]._replace(facts=inner[0].facts.completed_by(outer.facts))]


def _left_to(around: list[OpenSpan], kind: Kind, calls: list[Call]) -> list[Call]:
    """Leave calls to the next model's span around them; where there is none, they are to be reported."""
    for node in around:
        may_be_one = node.kind == kind or node.may_be_about_ai
        if may_be_one and node.span is not None and len(node.waiting) < _MOST_WAITING:
            node.waiting.extend(calls)
            return []
    if calls:
        for node in around:
            node.covered = node.covered.union((kind,))
    return calls


def entered(record: OpenSpan) -> None:
    """Let the spans around a model's know that it is open."""
    for node in _wrappers(record):
        node.inside += node.kind == record.kind


def _wrappers(record: OpenSpan) -> Iterator[OpenSpan]:
    """The spans around a model's that may be about the same call, innermost first."""
    for node in record.ancestors():
        if node.kind in BOUNDARIES:
            return
        if node.kind not in MODELS or node.kind == record.kind:
            yield node

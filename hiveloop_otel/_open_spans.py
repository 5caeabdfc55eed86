"""The spans of others that are open, what was opened for them in HiveLoop, and which model calls count.

Everything here is called under the lock of `HiveLoopSpanProcessor`.
"""

from __future__ import annotations

import contextvars
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import hiveloop

from .reader import Kind, SpanFacts

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import SpanContext

__all__ = ["AGENTS", "MODELS", "TOOLS", "Call", "OpenSpan", "Scope", "ambient_scope", "counted", "entered"]

AGENTS: frozenset[Kind] = frozenset(("agent", "workflow"))
TOOLS: frozenset[Kind] = frozenset(("tool", "retrieval"))
MODELS: frozenset[Kind] = frozenset(("llm", "embedding"))
_BOUNDARIES: frozenset[Kind] = frozenset(("agent", "workflow", "tool"))
"""Spans that are not about the same call of a model as one inside them."""
_MOST_WAITING = 1_000
_LONGEST_CHAIN = 100


class Scope(NamedTuple):
    """A task or action that is open for a span, current in a context of its own only.

    Attributes:
        context: where it is current; what runs in it, or in a copy, nests below the scope.
        task: the task, or the action's task.
        action: None for a task.
        agent: whose task it is, by the name spans have for it; None for a task of the application's making.
        correlation_id: of the task; the tasks of other agents inside it have the same.
    """

    context: contextvars.Context
    task: hiveloop.Task
    action: hiveloop.Action | None = None
    agent: str | None = None
    correlation_id: str | None = None


class Call(NamedTuple):
    """A call of a model, to be reported in the scope it was made in."""

    scope: Scope
    facts: SpanFacts
    duration_ms: int
    identity: SpanContext


class OpenSpan:
    """A span that has started.

    Attributes:
        span: the span; None once it has ended.
        identity: its ids.
        parent: the span around it, if that was open here when this one started.
        kind: what it is about, as far as is known.
        ambient: the application's own task that it started in.
        task: the task that was started for it.
        action: the action that was started for it.
        covered: kinds of model calls inside it that were reported.
        counted: it was counted as a call itself.
        inside: spans of the same kind that are open inside it, of a model's span.
        waiting: calls inside it that wait for its end, of a model's span.
    """

    __slots__ = (
        "action",
        "ambient",
        "counted",
        "covered",
        "identity",
        "inside",
        "kind",
        "parent",
        "span",
        "task",
        "waiting",
    )

    def __init__(
        self,
        span: ReadableSpan,
        identity: SpanContext,
        parent: OpenSpan | None,
        kind: Kind,
        ambient: Scope | None,
    ) -> None:
        self.span: ReadableSpan | None = span
        self.identity = identity
        self.parent = parent
        self.kind: Kind = kind
        self.ambient = ambient
        self.task: Scope | None = None
        self.action: Scope | None = None
        self.covered: frozenset[Kind] = frozenset()
        self.counted = False
        self.inside = 0
        self.waiting: list[Call] = []

    @property
    def scope(self) -> Scope | None:
        """The innermost scope that was opened for this span."""
        return self.action or self.task

    def ancestors(self) -> Iterator[OpenSpan]:
        """Yield the spans around this one, innermost first."""
        node = self.parent
        for _ in range(_LONGEST_CHAIN):
            if node is None:
                return
            yield node
            node = node.parent

    def outermost(self) -> OpenSpan:
        """Return the outermost span around this one that is still open."""
        return [self, *(node for node in self.ancestors() if node.span is not None)][-1]

    def around(self, *, ended: bool = False) -> Scope | None:
        """Return the innermost scope around this span.

        A task that the application entered after the span around this one began is nearer than that span.

        Args:
            ended: whether scopes count whose span has ended before this one.
        """
        node = self
        for parent in self.ancestors():
            if node.ambient is not None and not _is_same(node.ambient, parent.ambient):
                return node.ambient
            if parent.scope is not None and (ended or parent.span is not None):
                return parent.scope
            node = parent
        return node.ambient


def ambient_scope() -> Scope | None:
    """Return the application's own task that is current."""
    task = hiveloop.get_current_task()
    return None if task is None else Scope(contextvars.copy_context(), task)


def _is_same(scope: Scope, other: Scope | None) -> bool:
    return other is not None and scope.task is other.task


# -- counting a call once ---------------------------------------------------------------------


def counted(record: OpenSpan, call: Call) -> list[Call]:
    """Return the calls to report now that a model's span has ended.

    Several instrumentations may report the same call, each with a span around the other's. What a span inside
    another tells waits for the outer one to end, which happens at once as a rule; then it is clear which
    counts, and the inner one is completed with what only the outer one knows, such as what was said.

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
    return _left_to(around, record.kind, calls)


def _chosen(inner: list[Call], outer: Call) -> list[Call]:
    """The calls nearest to the provider count, unless only the span around them tells usage."""
    if outer.facts.has_usage and not any(call.facts.has_usage for call in inner):
        return [outer]
    if len(inner) > 1:
        return inner
    return [inner[0]._replace(facts=inner[0].facts.completed_by(outer.facts))]


def _left_to(around: list[OpenSpan], kind: Kind, calls: list[Call]) -> list[Call]:
    """Leave calls to the next model's span around them; where there is none, they are to be reported."""
    for node in around:
        if node.kind == kind and node.span is not None and len(node.waiting) < _MOST_WAITING:
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
        if node.kind in _BOUNDARIES:
            return
        if node.kind not in MODELS or node.kind == record.kind:
            yield node

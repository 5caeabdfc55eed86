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

__all__ = ["AGENTS", "MODELS", "TOOLS", "Call", "OpenSpan", "Scope", "ambient_scope", "counted"]

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
    """

    context: contextvars.Context
    task: hiveloop.Task
    action: hiveloop.Action | None = None
    agent: str | None = None


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
        covered: kinds of model calls that were counted inside it.
        counted: it was counted as a call itself.
        waiting: calls inside it that tell no usage.
    """

    __slots__ = (
        "action",
        "ambient",
        "counted",
        "covered",
        "identity",
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
    """Return what to report now that a model's span has ended: itself, those inside it, or nothing yet.

    Args:
        record: the span.
        call: what it tells.
    """
    around = list(_wrappers(record))
    if any(node.counted for node in around):  # it ended before this one, and stood for it
        return []
    if record.kind in record.covered:
        return record.waiting
    if call.facts.has_usage:
        record.counted = True
        for node in around:
            node.covered = node.covered.union((record.kind,))
        return [call]
    return _without_usage(record, record.waiting or [call], around)


def _without_usage(record: OpenSpan, calls: list[Call], around: list[OpenSpan]) -> list[Call]:
    """Leave the calls to the next model's span around them, which may know more; report them without one."""
    for node in around:
        if node.kind == record.kind and node.span is not None and len(node.waiting) < _MOST_WAITING:
            node.waiting.extend(calls)
            return []
    record.counted = True
    return calls


def _wrappers(record: OpenSpan) -> Iterator[OpenSpan]:
    """The spans around a model's that may be about the same call, innermost first."""
    for node in record.ancestors():
        if node.kind in _BOUNDARIES:
            return
        if node.kind not in MODELS or node.kind == record.kind:
            yield node

"""The spans of others that are open, what was opened for them in HiveLoop, and which is around which.

Everything here is called under the lock of `HiveLoopSpanProcessor`.
"""

from __future__ import annotations

import contextvars
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import hiveloop

from .reader import Kind, SpanFacts, is_about_ai, kind_of_span

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import SpanContext

__all__ = [
    "Call",
    "OpenSpan",
    "Scope",
    "ambient_scope",
    "kind_so_far",
    "nearest",
    "scope_name",
]

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
    """A call of a model, to be reported in the scope it was made in.

    Attributes:
        scope: the scope.
        facts: what the span told.
        span: the ended span.
        identity: its ids.
    """

    scope: Scope
    facts: SpanFacts
    span: ReadableSpan
    identity: SpanContext

    @property
    def times_ns(self) -> tuple[int, int]:
        """Start and end, nanoseconds since the epoch."""
        start, end = self.span.start_time or 0, self.span.end_time or 0
        return start, max(start, end)


class OpenSpan:
    """A span that has started.

    Attributes:
        span: the span; None once it has ended.
        identity: its ids.
        maker: name of the instrumentation scope that made it.
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
        "maker",
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
        self.maker = scope_name(span)
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

    @property
    def may_be_about_ai(self) -> bool:
        """Whether it has not said yet what it is about, but will."""
        return self.kind == "other" and self.span is not None and is_about_ai(self.maker)

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


def nearest(record: OpenSpan, latest: OpenSpan | None) -> OpenSpan | None:
    """Return the span around a model's or a tool's.

    Frameworks that make their spans in callbacks, as LangChain's instrumentations do, do not make them
    current, so the span of the model's client beneath is no child of theirs: it has the parent theirs has, or
    none. But in this context theirs is the latest that has not ended.

    Args:
        record: the span.
        latest: the one that started last in its context, ended or not.
    """
    found: OpenSpan | None = None
    for node in () if latest is None else (latest, *latest.ancestors()):
        if node is record.parent:
            return found or node
        if found is None and node.maker != record.maker and _is_about_ai(node):
            found = node
    return found if record.parent is None else record.parent


def _is_about_ai(node: OpenSpan) -> bool:
    if node.span is None:
        return False
    return node.kind != "other" or is_about_ai(node.maker) or kind_so_far(node.span) != "other"


# -- spans ------------------------------------------------------------------------------------


def scope_name(span: ReadableSpan) -> str:
    """Return the name of the instrumentation that made a span."""
    scope = span.instrumentation_scope
    return "" if scope is None else scope.name


def kind_so_far(span: ReadableSpan) -> Kind:
    """Tell what a span is about, by what it has said so far."""
    return kind_of_span(span.name, span.attributes or {}, scope_name(span), span_kind=span.kind.name)

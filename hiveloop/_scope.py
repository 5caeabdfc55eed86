"""Which task, action and agent are current, kept in context variables.

One variable holds the innermost open scope; each scope knows the one it was entered from. Leaving
a scope restores that one, also when the exit runs in another context than the entry. A scope that
ended elsewhere is stepped over.
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import wraps
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from ._guard import notice
from ._shape import is_a, kind_of

if TYPE_CHECKING:
    from ._action import Action
    from ._agent import Agent
    from ._task import Task

__all__ = [
    "clear_current_agent",
    "clear_current_task",
    "current_scope",
    "get_current_agent",
    "get_current_task",
    "made_current",
    "make_current",
    "propagate",
    "raw_current",
    "set_current_agent",
    "set_current_task",
    "swap",
]

P = ParamSpec("P")
R = TypeVar("R")

_current: contextvars.ContextVar[Task | Action | None] = contextvars.ContextVar(
    "hiveloop_scope", default=None
)
# The agent a caller chose, with the scope it was chosen in: a scope entered later speaks for itself.
_chosen: contextvars.ContextVar[tuple[Agent, Task | Action | None] | None] = contextvars.ContextVar(
    "hiveloop_agent", default=None
)

raw_current = _current.get
"""Return the innermost scope entered in this context, ended or not."""

make_current = _current.set
"""Make a scope current in this context. Leaving sets the one before; a token would not survive an exit
in another context."""


def current_scope() -> Task | Action | None:
    """Return the innermost open scope of this context."""
    scope = _current.get()
    while scope is not None and (is_over(scope) or scope.agent.retired):
        scope = scope.entered_from
    return scope


def is_over(scope: Task | Action) -> bool:
    """Tell whether a scope has ended, by itself or with the task it belongs to."""
    task = scope.task
    return scope.ended or (task is not None and task.ended)


def swap(scope: Task | Action | None) -> Task | Action | None:
    """Make a scope current without linking it; return what was current, to be swapped back."""
    before = _current.get()
    _current.set(scope)
    return before


def made_current(scope: Task | Action | None) -> AbstractContextManager[None]:
    """Make a scope current for other libraries too, for a ``with`` block; see `ScopeHooks.activate`."""
    if scope is None or not scope.agent.has_hooks or is_over(scope):
        return nullcontext()
    return _activated(scope)


@contextmanager
def _activated(scope: Task | Action) -> Generator[None]:
    activation = scope.agent.activated(scope.started_event)
    try:
        yield
    finally:
        if activation is not None:
            scope.agent.deactivated(activation, None)


def get_current_task() -> Task | None:
    """Return the task this code runs in, or None outside any task."""
    scope = current_scope()
    return None if scope is None else scope.task


def set_current_task(task: Task | None) -> None:
    """Make a task current in this context; for callback frameworks that cannot use ``with``."""
    from ._task import Task

    if task is None or is_a(kind_of(task), Task):
        _current.set(task)
    else:
        notice("argument task", "hiveloop: set_current_task takes a task; ignored")


def clear_current_task() -> None:
    """Leave the current task in this context, without ending it; a task around it becomes current."""
    task = get_current_task()
    _current.set(None if task is None else task.entered_from)


def get_current_agent() -> Agent | None:
    """Return the agent this code runs for, or None outside."""
    scope, chosen = current_scope(), _chosen.get()
    if chosen is not None and (scope is None or chosen[1] is scope):
        return chosen[0]
    return None if scope is None else scope.agent


def set_current_agent(agent: Agent | None) -> None:
    """Choose the agent for this context; a task entered later has its own."""
    from ._agent import Agent

    if agent is None or is_a(kind_of(agent), Agent):
        _chosen.set(None if agent is None else (agent, current_scope()))
    else:
        notice("argument agent", "hiveloop: set_current_agent takes an agent; ignored")


def clear_current_agent() -> None:
    """Forget the agent chosen by `set_current_agent` in this context."""
    _chosen.set(None)


def propagate(function: Callable[P, R]) -> Callable[P, R]:
    """Carry the current task and agent into another thread.

    Wrap what you hand to a thread or executor: ``pool.submit(hiveloop.propagate(work), item)``. The
    wrapped function may run many times, also at the same time.
    """
    scope, chosen = _current.get(), _chosen.get()

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        scope_before, chosen_before = swap(scope), _chosen.get()
        _chosen.set(chosen)
        try:
            with made_current(scope):
                return function(*args, **kwargs)
        finally:
            _current.set(scope_before)
            _chosen.set(chosen_before)

    return call

"""Sensors as plain functions: they act on the current task or agent and do nothing without one."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar, overload

from ._action import Action
from ._agent import Agent, no_agent, untracked
from ._guard import guarded, guarded_scope
from ._scope import current_scope, get_current_agent, get_current_task
from ._task import Task

P = ParamSpec("P")
R = TypeVar("R")

__all__ = [
    "approval_received",
    "escalate",
    "event",
    "expecting",
    "llm_call",
    "plan",
    "plan_step",
    "queue_snapshot",
    "report_issue",
    "request_approval",
    "resolve_issue",
    "retry",
    "scheduled",
    "set_payload",
    "todo",
    "track",
    "track_context",
]


def _on_task(method: Callable[Concatenate[Task, P], Any]) -> Callable[P, None]:
    """Make a function of a task's method, for the current task."""

    @wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> None:
        task = get_current_task()
        if task is not None:
            method(task, *args, **kwargs)

    return _described(call, method, "task")


def _on_agent(method: Callable[Concatenate[Agent, P], Any]) -> Callable[P, None]:
    """Make a function of an agent's method, for the current agent."""

    @wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> None:
        agent = get_current_agent()
        if agent is not None:
            method(agent, *args, **kwargs)

    return _described(call, method, "agent")


def _on_either(
    of_task: Callable[Concatenate[Task, P], Any], of_agent: Callable[Concatenate[Agent, P], Any]
) -> Callable[P, None]:
    """Make a function that prefers the current task and falls back to the current agent."""

    @wraps(of_task)
    def call(*args: P.args, **kwargs: P.kwargs) -> None:
        task = get_current_task()
        if task is not None:
            of_task(task, *args, **kwargs)
            return
        agent = get_current_agent()
        if agent is not None:
            of_agent(agent, *args, **kwargs)

    return _described(call, of_task, "task, else the current agent")


def _described(call: Callable[P, None], method: Callable[..., Any], scope: str) -> Callable[P, None]:
    """Give a function the name, signature and documentation it would have if it were written out."""
    signature = inspect.signature(method)
    shown: Any = call
    shown.__signature__ = signature.replace(parameters=list(signature.parameters.values())[1:])
    shown.__module__, shown.__qualname__ = "hiveloop", call.__name__
    shown.__doc__ = f"{inspect.getdoc(method)}\n\nActs on the current {scope}; does nothing without one."
    del shown.__wrapped__
    return call


llm_call = _on_either(Task.llm_call, Agent.llm_call)
event = _on_either(Task.event, Agent.event)
plan = _on_task(Task.plan)
plan_step = _on_task(Task.plan_step)
escalate = _on_task(Task.escalate)
request_approval = _on_task(Task.request_approval)
approval_received = _on_task(Task.approval_received)
retry = _on_task(Task.retry)
queue_snapshot = _on_agent(Agent.queue_snapshot)
todo = _on_agent(Agent.todo)
scheduled = _on_agent(Agent.scheduled)
report_issue = _on_agent(Agent.report_issue)
resolve_issue = _on_agent(Agent.resolve_issue)


@guarded
def set_payload(payload: dict[str, Any]) -> None:
    """Attach data to the ending of the current action or task; does nothing without one."""
    scope = current_scope()
    if scope is not None:
        scope.set_payload(payload)


@guarded
def expecting(seconds: float) -> None:
    """Announce that the current action or task may stay silent for so many seconds."""
    scope = current_scope()
    if scope is not None:
        scope.expecting(seconds)


@guarded_scope(lambda: no_agent().track_context(""))
def track_context(action_name: str) -> Action:
    """Return an action of the current agent for a ``with`` block; a no-op one without an agent."""
    agent = get_current_agent()
    return no_agent().track_context(action_name) if agent is None else agent.track_context(action_name)


@overload
def track(action_name: Callable[P, R]) -> Callable[P, R]: ...


@overload
def track(action_name: str | None = None) -> Callable[[Callable[P, R]], Callable[P, R]]: ...


@guarded_scope(untracked)
def track(action_name: Any = None) -> Any:
    """Decorate a function, so that each call is an action of the agent that is current at the call.

    ``@hiveloop.track("search")`` or ``@hiveloop.track``; without a current agent the function just runs.
    """
    from ._track import decorator

    return decorator(action_name, lambda: get_current_agent() or no_agent())

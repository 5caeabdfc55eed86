"""The `track` decorator: one action per call of a function, whatever kind of function it is.

A generator's action runs from its first item to its last. It is current only while the generator's
own code runs, never across a ``yield``: the consumer's code in between belongs to the consumer.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Callable, Generator
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeAlias

from ._action import NAME_LIMIT, Action
from ._freeze import freeze_text
from ._guard import attempt
from ._scope import made_current, swap
from ._shape import is_a, kind_of

if TYPE_CHECKING:
    from ._agent import Agent
    from ._task import Task

__all__ = ["decorator"]

Scope: TypeAlias = "Task | Action | None"


def decorator(action_name: Any, agent: Callable[[], Agent]) -> Any:
    """Return what ``@track("name")`` or the bare ``@track`` stands for.

    Args:
        action_name: the name, None, or the function itself when the decorator is used bare.
        agent: says whose action it is, at each call.
    """
    if callable(action_name) or is_a(kind_of(action_name), classmethod, staticmethod):
        return attempt("track", _tracked, action_name, None, agent, default=action_name)
    name = None if action_name is None else freeze_text(action_name, NAME_LIMIT)

    def decorate(function: Any) -> Any:
        return attempt("track", _tracked, function, name, agent, default=function)

    return decorate


def _tracked(function: Any, name: str | None, agent: Callable[[], Agent]) -> Any:
    if is_a(kind_of(function), classmethod, staticmethod):
        kind: Any = function.__class__
        return kind(_tracked(function.__func__, name, agent))
    qualname = getattr(function, "__qualname__", kind_of(function).__name__)
    full = f"{getattr(function, '__module__', '?')}.{qualname}"
    shown = str(name or qualname)

    def action() -> Action:
        return Action(agent(), shown, full)

    if inspect.isasyncgenfunction(function):
        return _async_generator(function, action)
    if inspect.isgeneratorfunction(function):
        return _generator(function, action)
    if inspect.iscoroutinefunction(function):
        return _coroutine(function, action)
    return _plain(function, action)


def _plain(function: Callable[..., Any], action: Callable[[], Action]) -> Callable[..., Any]:
    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        with action():
            return function(*args, **kwargs)

    return call


def _coroutine(function: Callable[..., Any], action: Callable[[], Action]) -> Callable[..., Any]:
    @wraps(function)
    async def call(*args: Any, **kwargs: Any) -> Any:
        with action():
            return await function(*args, **kwargs)

    return call


# The wrappers of generator functions are generator functions themselves: web frameworks and pytest look.


def _generator(function: Callable[..., Any], action: Callable[[], Action]) -> Callable[..., Any]:
    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        inner: Generator[Any, Any, Any] = function(*args, **kwargs)
        scope = action()
        scope.begin_apart()
        inside: Scope = scope  # what is current in the generator's own code
        step: Callable[[], Any] = inner.__next__
        while True:
            before = swap(inside)
            try:
                with made_current(scope):
                    item = step()
            except StopIteration as stop:
                scope.end()
                return stop.value
            except BaseException as error:
                scope.end(error)
                raise
            finally:
                inside = swap(before)
            try:
                sent = yield item
            except GeneratorExit:
                _close(scope, inside, inner)
                raise
            except BaseException as error:
                step = _thrower(inner, error)
            else:
                step = _sender(inner, sent)

    return call


def _thrower(inner: Generator[Any, Any, Any], error: BaseException) -> Callable[[], Any]:
    return lambda: inner.throw(error)


def _sender(inner: Generator[Any, Any, Any], value: Any) -> Callable[[], Any]:
    return lambda: inner.send(value)


def _close(scope: Action, inside: Scope, inner: Generator[Any, Any, Any]) -> None:
    """The consumer had enough, which is no failure of the generator."""
    before = swap(inside)
    try:
        with made_current(scope):
            inner.close()
    except BaseException as error:
        scope.end(error)
        raise
    else:
        scope.set_payload({"closed_early": True})
        scope.end()
    finally:
        swap(before)


def _async_generator(function: Callable[..., Any], action: Callable[[], Action]) -> Callable[..., Any]:
    @wraps(function)
    async def call(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        inner: AsyncGenerator[Any, Any] = function(*args, **kwargs)
        scope = action()
        scope.begin_apart()
        inside: Scope = scope
        step: Callable[[], Any] = inner.__anext__
        while True:
            before = swap(inside)
            try:
                with made_current(scope):
                    item = await step()
            except StopAsyncIteration:
                scope.end()
                return
            except BaseException as error:
                scope.end(error)
                raise
            finally:
                inside = swap(before)
            try:
                sent = yield item
            except GeneratorExit:
                await _aclose(scope, inside, inner)
                raise
            except BaseException as error:
                step = _async_thrower(inner, error)
            else:
                step = _async_sender(inner, sent)

    return call


def _async_thrower(inner: AsyncGenerator[Any, Any], error: BaseException) -> Callable[[], Any]:
    return lambda: inner.athrow(error)


def _async_sender(inner: AsyncGenerator[Any, Any], value: Any) -> Callable[[], Any]:
    return lambda: inner.asend(value)


async def _aclose(scope: Action, inside: Scope, inner: AsyncGenerator[Any, Any]) -> None:
    before = swap(inside)
    try:
        with made_current(scope):
            await inner.aclose()
    except BaseException as error:
        scope.end(error)
        raise
    else:
        scope.set_payload({"closed_early": True})
        scope.end()
    finally:
        swap(before)

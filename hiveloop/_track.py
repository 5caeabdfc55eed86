"""The `track` decorator: one action per call of a function, whatever kind of function it is.

A generator's action runs from its first item to its last. It is current only while the generator's
own code runs, never across a ``yield``: the consumer's code in between belongs to the consumer.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Callable, Generator
from functools import wraps
from typing import TYPE_CHECKING, Any

from ._action import NAME_LIMIT, Action
from ._freeze import freeze_text
from ._guard import attempt
from ._scope import swap
from ._shape import is_a, kind_of

if TYPE_CHECKING:
    from ._agent import Agent

__all__ = ["decorator"]


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


def _generator(function: Callable[..., Any], action: Callable[[], Action]) -> Callable[..., Any]:
    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        return _run_generator(function(*args, **kwargs), action())

    return call


def _run_generator(inner: Generator[Any, Any, Any], scope: Action) -> Generator[Any, Any, Any]:
    scope.begin_apart()
    step: Callable[[], Any] = lambda: next(inner)  # noqa: E731 - rebound on each turn
    while True:
        before = swap(scope)
        try:
            item = step()
        except StopIteration as stop:
            scope.end()
            return stop.value
        except BaseException as error:
            scope.end(error)
            raise
        finally:
            swap(before)
        try:
            sent = yield item
        except GeneratorExit:
            _close(scope, inner)
            raise
        except BaseException as error:
            step = _thrower(inner, error)
        else:
            step = _sender(inner, sent)


def _thrower(inner: Generator[Any, Any, Any], error: BaseException) -> Callable[[], Any]:
    return lambda: inner.throw(error)


def _sender(inner: Generator[Any, Any, Any], value: Any) -> Callable[[], Any]:
    return lambda: inner.send(value)


def _close(scope: Action, inner: Generator[Any, Any, Any]) -> None:
    """The consumer had enough, which is no failure of the generator."""
    before = swap(scope)
    try:
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
    def call(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        return _run_async_generator(function(*args, **kwargs), action())

    return call


async def _run_async_generator(inner: AsyncGenerator[Any, Any], scope: Action) -> AsyncGenerator[Any, Any]:
    scope.begin_apart()
    step: Callable[[], Any] = inner.__anext__
    while True:
        before = swap(scope)
        try:
            item = await step()
        except StopAsyncIteration:
            scope.end()
            return
        except BaseException as error:
            scope.end(error)
            raise
        finally:
            swap(before)
        try:
            sent = yield item
        except GeneratorExit:
            await _aclose(scope, inner)
            raise
        except BaseException as error:
            step = _async_thrower(inner, error)
        else:
            step = _async_sender(inner, sent)


def _async_thrower(inner: AsyncGenerator[Any, Any], error: BaseException) -> Callable[[], Any]:
    return lambda: inner.athrow(error)


def _async_sender(inner: AsyncGenerator[Any, Any], value: Any) -> Callable[[], Any]:
    return lambda: inner.asend(value)


async def _aclose(scope: Action, inner: AsyncGenerator[Any, Any]) -> None:
    before = swap(scope)
    try:
        await inner.aclose()
    except BaseException as error:
        scope.end(error)
        raise
    else:
        scope.set_payload({"closed_early": True})
        scope.end()
    finally:
        swap(before)

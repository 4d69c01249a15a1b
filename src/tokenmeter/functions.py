"""Functions that run inside a block: what makes decorators of ``attribute`` and of ``metered``.

Plain functions and methods, coroutine functions, generators and asynchronous generators alike; a
block is entered anew for each step of a generator, so that its consumer stays outside.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar, cast

import wrapt

from tokenmeter.errors import ConfigurationError

_Proxy: Any = wrapt.ObjectProxy
_FunctionWrapper: Any = wrapt.FunctionWrapper
_BoundFunctionWrapper: Any = wrapt.BoundFunctionWrapper

F = TypeVar("F", bound=Callable[..., Any])


class Run(Protocol):
    """A block that follows one run of a function."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None: ...

    def took(self, value: Any) -> None:
        """See what the function returned or yielded."""
        ...

    def dropped(self, *, unread: bool) -> None:
        """See that nobody reads a generator any further, or at all; safe in a finaliser."""
        ...


class _Bound(_BoundFunctionWrapper):  # type: ignore[misc]
    """A decorated method; pickled as any method is."""

    def __reduce_ex__(self, _protocol: object) -> tuple[Any, ...]:
        return getattr, (self.__self__, self.__name__)


class Decorated(_FunctionWrapper):  # type: ignore[misc]
    """A decorated function: pickled by its name and copied as itself, as any function is."""

    __bound_function_wrapper__ = _Bound

    def __reduce_ex__(self, _protocol: object) -> str | tuple[Any, ...]:
        return self.__qualname__  # type: ignore[no-any-return]

    def __copy__(self) -> Decorated:
        return self

    def __deepcopy__(self, _memo: object) -> Decorated:
        return self


Begin = Callable[[tuple[Any, ...], dict[str, Any]], Run | None]
"""Gives what one call, with these arguments, runs in; ``None``: it runs as if undecorated."""


def decorated(decorator: str, function: F, begin: Begin, kind: Any = Decorated) -> F:
    """Decorate a function so that each call of it runs in what ``begin`` gives.

    ``kind`` is the class of what comes back, where it is to be more than a `Decorated`.

    Raises:
        ConfigurationError: It is not a function; the message names the decorator.
    """
    code = _code(decorator, function)
    drive = next((drive for is_kind, drive in _DRIVERS if is_kind(code)), _run)

    def around(wrapped: Any, _instance: Any, args: Any, kwargs: Any) -> Any:
        return drive(begin, wrapped, args, kwargs)

    return cast(F, kind(function, around))


def is_generating(function: Any) -> bool:
    """Say whether a function is a generator, of either colour."""
    code = getattr(function, "__func__", function)
    return inspect.isgeneratorfunction(code) or inspect.isasyncgenfunction(code)


_METHODS: Any = (classmethod, staticmethod)
_PARTIAL: Any = functools.partial


def _code(decorator: str, function: Any) -> Any:
    """Give the function that has the code: of a class method, of an object that can be called."""
    if isinstance(function, _METHODS):
        return function.__func__
    if isinstance(function, type) or not callable(function):
        advice = "; decorate its methods" if isinstance(function, type) else ""
        raise ConfigurationError(
            f"{decorator} decorates a function or a method; got {function!r}{advice}"
        )
    has_code = hasattr(function, "__code__") or isinstance(function, _PARTIAL)
    return function if has_code else function.__call__


def _run(begin: Begin, function: Any, args: Any, kwargs: Any) -> Any:
    run = begin(args, kwargs)
    if run is None:
        return function(*args, **kwargs)
    with run:
        result = function(*args, **kwargs)
        run.took(result)
        return result


def _run_coroutine(begin: Begin, function: Any, args: Any, kwargs: Any) -> Any:
    coroutine: Any = _await(begin, function, args, kwargs)
    coroutine.__name__ = getattr(function, "__name__", coroutine.__name__)
    coroutine.__qualname__ = getattr(function, "__qualname__", coroutine.__qualname__)
    return coroutine


async def _await(begin: Begin, function: Any, args: Any, kwargs: Any) -> Any:
    run = begin(args, kwargs)
    if run is None:
        return await function(*args, **kwargs)
    with run:
        result = await function(*args, **kwargs)
        run.took(result)
        return result


def _run_generator(begin: Begin, function: Any, args: Any, kwargs: Any) -> Any:
    """Give the generator that the function makes, stepping inside the block."""
    run = begin(args, kwargs)
    if run is None:
        return function(*args, **kwargs)
    with run:
        generator = function(*args, **kwargs)
    return (_AsyncSteps if inspect.isasyncgen(generator) else _Steps)(generator, run)


class _Driven(_Proxy):  # type: ignore[misc]
    """A generator of either colour, for all the world; dropping it ends its run."""

    __wrapped__: Any

    def __init__(self, generator: Any, run: Run) -> None:
        _Proxy.__init__(self, generator)
        self._self_run = run
        self._self_unread = True

    def __del__(self) -> None:
        with self._self_run as run:
            self.__wrapped__ = None  # what it does at its end is inside of the block too
            run.dropped(unread=self._self_unread)


class _Steps(_Driven):
    """Drive a generator, each step inside the block."""

    def __iter__(self) -> _Steps:
        return self

    def __next__(self) -> Any:
        return self.send(None)

    def send(self, value: Any) -> Any:
        self._self_unread = False
        with self._self_run as run:
            item = self.__wrapped__.send(value)
            run.took(item)
            return item

    def throw(self, *exc: Any) -> Any:
        with self._self_run as run:
            item = self.__wrapped__.throw(*exc)
            run.took(item)
            return item

    def close(self) -> Any:
        with self._self_run as run:
            result = self.__wrapped__.close()
            run.dropped(unread=self._self_unread)
            return result


class _AsyncSteps(_Driven):
    """Drive an asynchronous generator, each step inside the block."""

    def __aiter__(self) -> _AsyncSteps:
        return self

    def __anext__(self) -> Any:
        return self.asend(None)

    async def asend(self, value: Any) -> Any:
        self._self_unread = False
        with self._self_run as run:
            item = await self.__wrapped__.asend(value)
            run.took(item)
            return item

    async def athrow(self, *exc: Any) -> Any:
        with self._self_run as run:
            item = await self.__wrapped__.athrow(*exc)
            run.took(item)
            return item

    async def aclose(self) -> None:
        with self._self_run as run:
            await self.__wrapped__.aclose()
            run.dropped(unread=self._self_unread)


_DRIVERS: tuple[tuple[Callable[[Any], bool], Callable[..., Any]], ...] = (
    (inspect.isasyncgenfunction, _run_generator),
    (inspect.isgeneratorfunction, _run_generator),
    (inspect.iscoroutinefunction, _run_coroutine),
)

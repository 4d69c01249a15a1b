"""Attribution across threads and executors of one program: what a context variable does not reach.

A thread, and a task that is not started where the call arose, begin without it. `propagate` takes
whom calls are for along, with the tallies that watch them, and nothing else of the context. What
travels between programs is `baggage`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar, cast

from tokenmeter.attribution import Stints, block
from tokenmeter.event import Attribution
from tokenmeter.functions import Decorated, decorated, is_generating
from tokenmeter.runs import InTree
from tokenmeter.surroundings import RemoteSpan, remote_span, span_context
from tokenmeter.watching import Watcher, in_force

F = TypeVar("F", bound=Callable[..., Any])
P = ParamSpec("P")
R = TypeVar("R")


def propagate(function: F) -> F:
    """Take whom calls are for here to where the function will run: a thread, an executor, a task.

    Each call of what is given runs as if it were made here and now: in the same blocks, the same
    run of an agent, seen by the same tallies. Functions, coroutine functions and generators alike.
    It can be sent to another process by pickle if the function can; tallies stay behind.

    Raises:
        ConfigurationError: It is not a function.

    >>> from concurrent.futures import ThreadPoolExecutor
    >>> from tokenmeter import attribute
    >>> from tokenmeter.attribution import current
    >>> with ThreadPoolExecutor() as pool, attribute(task="T-1"):
    ...     pool.submit(propagate(lambda: current().task)).result()
    'T-1'
    """
    here = block.get()
    who = _Whole(here.attribution, remote_span(span_context(here.span)))
    return _carrying(function, who, in_force.get())


class ContextExecutor(Executor):
    """Give an executor whose jobs belong to whoever submits them; see `propagate`.

    Args:
        executor: Any executor of `concurrent.futures`, of threads or of processes. It is shut down
            with this one.

    >>> from concurrent.futures import ThreadPoolExecutor
    >>> with ContextExecutor(ThreadPoolExecutor()) as pool:
    ...     list(pool.map(len, ["a", "bc"]))
    [1, 2]
    """

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Have the executor call a function as if it were called here."""
        return self._executor.submit(propagate(fn), *args, **kwargs)

    def map(self, fn: Callable[..., R], *iterables: Iterable[Any], **options: Any) -> Iterator[R]:
        """Have the executor call a function for each item as if it were called here."""
        return self._executor.map(propagate(fn), *iterables, **options)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Shut the executor down."""
        self._executor.shutdown(wait=wait, cancel_futures=cancel_futures)


class _Whole:
    """Says everything, whatever is around: what was in force somewhere else."""

    def __init__(self, attribution: Attribution, span: RemoteSpan | None) -> None:
        self.attribution = attribution
        self.span = span

    def over(self, outer: Attribution, in_tree: InTree | None) -> Attribution:  # noqa: ARG002
        return self.attribution


class _Elsewhere:
    """What a function runs in that belongs to somewhere else."""

    __slots__ = ("_before", "_stints", "_watchers")

    def __init__(self, who: _Whole, watchers: tuple[Watcher, ...], *, many: bool) -> None:
        self._stints = Stints(who, None, many=many)
        self._watchers = watchers
        self._before: tuple[Watcher, ...] = ()

    def __enter__(self) -> Self:
        self._stints.__enter__()
        self._before = in_force.get()
        in_force.set(self._watchers)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None:
        in_force.set(self._before)
        self._stints.__exit__(kind, exc, trace)

    def took(self, value: Any) -> None: ...
    def dropped(self, *, unread: bool) -> None: ...


class _Propagated(Decorated):
    """A function that carries what was in force; by pickle too."""

    def __reduce_ex__(self, _protocol: object) -> tuple[Any, ...]:
        who = self._self_who
        return _sent, (self.__wrapped__, who.attribution, who.span)


def _sent(function: Any, attribution: Attribution, span: RemoteSpan | None) -> Any:
    return _carrying(function, _Whole(attribution, span), ())


def _carrying(function: F, who: _Whole, watchers: tuple[Watcher, ...]) -> F:
    many = is_generating(function)
    made = decorated(
        "propagate(...)", function, lambda _args, _kwargs: _Elsewhere(who, watchers, many=many),
        kind=_Propagated,
    )  # fmt: skip
    cast("Any", made)._self_who = who
    return made

"""The function seam: functions that are model calls.

For what no wire seam sees: a local pipeline, an in-house agent client, gRPC, a subprocess.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, NamedTuple, ParamSpec, Self, TypeVar, overload

from msgspec.structs import replace

from tokenmeter.call import Call
from tokenmeter.dialects import UNREADABLE, Asked, Reading, objects
from tokenmeter.dialects.content import Answer, Piece, Prompt
from tokenmeter.dialects.objects import Objects
from tokenmeter.errors import ConfigurationError
from tokenmeter.event import NOTHING, Usage, UsageEvent
from tokenmeter.functions import Run, decorated, is_generating
from tokenmeter.meter import Meter, default
from tokenmeter.providers import Route
from tokenmeter.watching import unwatch, watch

F = TypeVar("F", bound=Callable[..., Any])
P = ParamSpec("P")
R = TypeVar("R")

UsageOf = Callable[[Any], Usage | Mapping[str, Any] | None]
CountOf = Callable[..., int | str | None]


@overload
def metered(function: F, /) -> F: ...
@overload
def metered(
    *,
    model: str | None = None,
    provider: str | None = None,
    operation: str = "chat",
    usage: UsageOf | None = None,
    prompt: CountOf | None = None,
    completion: CountOf | None = None,
    meter: Meter | None = None,
) -> Callable[[F], F]: ...


def metered(  # noqa: PLR0913 - the options of one decorator, each with its default
    function: Any = None,
    /,
    *,
    model: str | None = None,
    provider: str | None = None,
    operation: str = "chat",
    usage: UsageOf | None = None,
    prompt: CountOf | None = None,
    completion: CountOf | None = None,
    meter: Meter | None = None,
) -> Any:
    """Meter a function that is a model call; plain, coroutine, generator or asynchronous one.

    Usage comes from ``usage``, else from ``prompt`` and ``completion``, else from what the function
    returns or yields when that carries one: a `Usage`, an SDK's object, a mapping. The function
    says nothing of its own when a wire call inside it completed with usage, since that has been
    counted; with an explicit ``usage`` it always does.

    Args:
        function: The function, when the decorator is used without arguments.
        model: The name of the model.
        provider: Who runs it.
        operation: The OpenTelemetry name of the operation.
        usage: Gives the usage of a result (of a generator: the list of what it yielded): a
            `Usage` or a mapping of its fields; ``None`` leaves it unknown.
        prompt: Gives the input of the call's arguments (a method's without ``self``): a number of
            tokens, or the text, which is left for estimation.
        completion: Gives the output of a result, likewise.
        meter: Whose meter; ``None`` is the default one.

    Raises:
        ConfigurationError: What is decorated is not a function.

    >>> @metered(model="llama-3.2-1b", usage=lambda text: {"output_tokens": len(text.split())})
    ... def local_llm(prompt: str) -> str:
    ...     return "as you wish"
    >>> from tokenmeter import tally
    >>> with tally() as spent:
    ...     answer = local_llm("do it")
    >>> spent.output_tokens
    3
    """
    sources = _Sources(usage, prompt, completion)
    for name, source in sources._asdict().items():
        _check_source(name, source)
    dialect = Objects(counts_output=operation != "embeddings")
    route = Route(provider, None, operation, dialect, known_host=True, source="metered")

    def decorate(function: F) -> F:
        what = "@tokenmeter.metered, or @tokenmeter.metered(model=…),"
        return decorated(what, function, _Seam(function, route, model, sources, meter).begin)

    return decorate if function is None else decorate(function)


class _Sources(NamedTuple):
    """What the user gave to say the usage of a call."""

    usage: UsageOf | None
    prompt: CountOf | None
    completion: CountOf | None


def _check_source(name: str, source: Any) -> None:
    if source is not None and (not callable(source) or inspect.iscoroutinefunction(source)):
        raise ConfigurationError(
            f"metered({name}=…) takes a plain function, such as "
            f"lambda {'*args' if name == 'prompt' else 'result'}: …; got {source!r}"
        )


class _Seam:
    """What all calls of one metered function have in common."""

    def __init__(
        self,
        function: Any,
        route: Route,
        model: str | None,
        sources: _Sources,
        meter: Meter | None,
    ) -> None:
        self.many = is_generating(function)
        self.name = getattr(function, "__qualname__", type(function).__qualname__)
        self.dialect = route.dialect
        self.sources = sources
        self._route = route
        self._asked = Asked(model=model, stream=self.many)
        self._meter = meter

    def begin(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Run | None:
        """Open a call, unless nothing is metered here."""
        meter = self._meter or default()
        call = meter.open_function(self._route)
        if call is None:
            return None
        account = _Account(self, meter)
        call.about(self._asked, account)
        account.asked(args, kwargs)
        call.reads(account)
        return _Metering(call, account, many=self.many)


def _text(given: object) -> str | None:
    return given if isinstance(given, str) else None


_NO_OUTPUT = {n: None for n in Usage.__struct_fields__ if n.startswith(("output_", "reasoning_"))}


class _Account:
    """What one call says of its usage, and whether another call inside has said it."""

    skipped = 0
    is_event_stream = False

    def __init__(self, seam: _Seam, meter: Meter) -> None:
        self._seam = seam
        self._meter = meter
        self._results: list[Any] = []
        self._said: objects.Body | None = None
        self._input_tokens: int | None = None
        self._prompt: str | None = None
        self._completion: str | None = None
        self._deferred: list[Callable[..., None]] | None = []
        self._counted_inside = False
        self._left_inside = False
        self.sent = True
        self.whole = False

    @property
    def is_explicit(self) -> bool:
        """Whether the user says what each call used, whatever happens inside."""
        return self._seam.sources.usage is not None

    def asked(self, args: Any, kwargs: Any) -> None:
        """Count the input now: the function may change what its arguments hold."""
        prompt = self._seam.sources.prompt
        if prompt is not None:
            given = self._run("prompt", prompt, *args, **kwargs)
            self._input_tokens, self._prompt = objects.number(given), _text(given)

    def took(self, value: Any) -> None:
        """Take what the function returned or yielded, no more of it than is needed."""
        self._said = self._run("what came", self._seam.dialect.fold, self._said, value)
        if self._seam.sources.usage or self._seam.sources.completion:
            self._results.append(value)

    def __call__(self, event: UsageEvent) -> None:
        """Watch a call that was made inside."""
        if event.kind == "call":
            known = event.input_tokens is not None or event.output_tokens is not None
            self._counted_inside |= known and event.status == "completed"
            self._left_inside |= event.status == "abandoned"

    share, is_named, has_failed = 1.0, True, False

    @property
    def says_something(self) -> bool:
        """Whether the user gave texts, to be weighed where no numbers are known."""
        return self._prompt is not None or self._completion is not None

    def prompt(self) -> Prompt | None:
        """Give the text of the input, where ``prompt`` gave one; for an estimate."""
        return None if self._prompt is None else Prompt(texts=(self._prompt,))

    def answer(self) -> Answer | None:
        """Give the text of the output, where ``completion`` gave one; for an estimate."""
        return None if self._completion is None else Answer((Piece("text", "", self._completion),))

    def defer(self, job: Callable[..., None]) -> bool:
        """Keep an estimate of a call inside until it is known who says the usage."""
        if self._deferred is None:
            return False
        self._deferred.append(job)
        return True

    def reading(self) -> Reading:
        """Say what the call was, as far as it came."""
        found = UNREADABLE if self._said is None else self._seam.dialect.reading(self._said)
        usage = self._usage(found)
        if not self._seam.dialect.counts_output:
            usage = replace(usage, **_NO_OUTPUT)
        counted = self._is_counted(usage)
        self._decide(counted)
        return replace(
            found,
            usage=usage,
            status=found.status if self.whole else None,
            error_type=found.error_type if self.whole else None,
            final=self.whole or (found.final and usage is found.usage),
            background=found.background and not self.is_explicit,
            counted=counted,
        )

    def _decide(self, counted: bool) -> None:
        """Have the calls inside say their estimates, unless this one knows better."""
        deferred, self._deferred = self._deferred, None
        for job in deferred or ():
            estimate = functools.partial(job, concede=not counted)
            if not self._meter.pending.later(estimate):
                job(concede=True)

    def _usage(self, found: Reading) -> Usage:
        usage, _, completion = self._seam.sources
        if usage is not None:
            return self._ask("usage", lambda given: objects.read(usage(given)).usage) or NOTHING
        given = self._ask("completion", completion) if completion else None
        made, self._completion = objects.number(given), _text(given)
        if self._input_tokens is None and made is None:
            return found.usage
        return Usage(
            input_tokens=found.usage.input_tokens
            if self._input_tokens is None
            else self._input_tokens,
            output_tokens=found.usage.output_tokens if made is None else made,
        )

    def _ask(self, source: str, piece: Callable[[Any], R]) -> R | None:
        if not self._results:
            return None
        return self._run(source, piece, self._results if self._seam.many else self._results[0])

    def _run(
        self, source: str, piece: Callable[P, R], *args: P.args, **kwargs: P.kwargs
    ) -> R | None:
        return self._meter.guard.run(f"{source} of {self._seam.name}", piece, *args, **kwargs)

    def _is_counted(self, usage: Usage) -> bool:
        """Say whether a call inside says the event of this answer.

        One that was completed with usage does. One that was left before its end, or goes on, does
        where nothing better is known here: its event says as much, and later perhaps more.
        """
        if self.is_explicit or self._counted_inside:
            return self._counted_inside and not self.is_explicit
        if usage.input_tokens is not None or usage.output_tokens is not None:
            return False
        return (
            bool(self._deferred)
            or self._left_inside
            or any(call.watched_by(self) for call in list(self._meter.open_calls))
        )


class _Metering:
    """The run of one metered call: closes it at whatever ends it."""

    def __init__(self, call: Call, account: _Account, *, many: bool) -> None:
        self._call = call
        self._account = account
        self._many = many
        self._first = True

    def __enter__(self) -> Self:
        if not self._account.is_explicit:
            watch(self._account)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None:
        unwatch(self._account)
        if exc is not None:
            self._ended(exc)

    def took(self, value: Any) -> None:
        self._account.took(value)
        if not self._many:
            self._exhausted()
        elif self._first:
            self._first = False
            self._call.first()

    def dropped(self, *, unread: bool) -> None:
        self._account.sent = not unread
        self._call.dropped()

    def _ended(self, exc: BaseException) -> None:
        if self._many and isinstance(exc, StopIteration | StopAsyncIteration):
            if isinstance(exc, StopIteration) and exc.value is not None:
                self._account.took(exc.value)
            self._exhausted()
        elif isinstance(exc, GeneratorExit):  # perhaps from a finaliser
            self._call.dropped()
        else:
            self._call.interrupted(exc)

    def _exhausted(self) -> None:
        self._account.whole = True
        self._call.exhausted()

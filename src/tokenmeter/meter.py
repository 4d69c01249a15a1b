"""The meter: what composes everything, and the default one behind the functions of the package."""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
import time
import weakref
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, Self, TypeVar, Unpack

from tokenmeter import exporters as exporting
from tokenmeter.answers import Answers
from tokenmeter.attribution import OUTERMOST
from tokenmeter.baggage import Carried, carried
from tokenmeter.call import Call
from tokenmeter.dialects import Dialect
from tokenmeter.dialects.own import installed, load
from tokenmeter.endings import END_S, care_for
from tokenmeter.errors import CannotWrapError, ConfigurationError
from tokenmeter.estimating import Room
from tokenmeter.event import NOBODY, Attribution, UsageEvent
from tokenmeter.exporters import Exporter, Given
from tokenmeter.exporters.named import Named
from tokenmeter.guard import LIMIT, Guard
from tokenmeter.ids import EventIds
from tokenmeter.pending import Pending
from tokenmeter.prices.pricing import Pricing
from tokenmeter.prices.sources import books
from tokenmeter.providers import Route, Router
from tokenmeter.runs import Run, find_users, hear, still_open
from tokenmeter.settings import Options, Settings, is_disabled, of_process
from tokenmeter.sinks import Sink, lineage, shares
from tokenmeter.surroundings import place
from tokenmeter.tallies import Tally, Totals
from tokenmeter.tokens.tokenizers import Tokenizers
from tokenmeter.unattributed import Counter, Unattributed, is_nobodys
from tokenmeter.watching import Watcher, watchers, watching
from tokenmeter.who import Who
from tokenmeter.wire.asides import Aside
from tokenmeter.wire.claim import PASS_THROUGH, claim, claimed, passing_through
from tokenmeter.wire.exact import ExactStreams
from tokenmeter.wire.stacks import STACKS, Stack, clients_in

T = TypeVar("T")

WAIT_S = END_S
"""How long leaving a tally, flushing and the end of the process wait for what is pending."""

_REMEMBERED = 100


class Undo:
    """Take something back: call it, or leave it as a context manager; more than once is once."""

    def __init__(self, undo: Callable[[], None]) -> None:
        self._undo: Callable[[], None] | None = undo

    def __call__(self) -> None:
        """Take it back now."""
        undo, self._undo = self._undo, None
        if undo is not None:
            undo()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self()


class NotUnderstood(NamedTuple):
    """Something that was sent to a model, as it seems, and that could not be read.

    Attributes:
        host: Where it went.
        path: What it asked for, without a query.
        answers: How many answers were in no known format; ``None``: the path itself is unknown,
            so nothing of it was read.
    """

    host: str
    path: str
    answers: int | None


class Meter:
    """Observe model calls and hand an event of each to the exporters.

    Most programs use the default meter through the functions of the package; a test makes its own,
    and keeps it: one that nobody holds any more is not told of the end of the process.

    Args:
        exporters: Names (``"jsonl:usage.jsonl"``, ``"stdout"``, ``"memory"``), tables
            (``{"name": "jsonl", "path": "usage.jsonl"}``) or callables of an event. With none,
            events are only added up in ``totals``.
        now_ns: The clock: nanoseconds since 1970.
        timer_s: The stopwatch: monotonic seconds.
        options: Providers, dialects, estimates, tokenizers, resolvers of users and others; see
            `tokenmeter.settings.Options`.

    Raises:
        ConfigurationError: An exporter, a provider, a dialect or a tokenizer cannot be used.
    """

    def __init__(
        self,
        exporters: Iterable[Given] | None = None,
        *,
        now_ns: Callable[[], int] = time.time_ns,
        timer_s: Callable[[], float] = time.perf_counter,
        **options: Unpack[Options],
    ) -> None:
        self.guard = Guard()
        self.ids = EventIds()
        self.pending = Pending(self.guard)
        self.answers: Answers[Call] = Answers()
        self.open_calls: set[Call] = set()
        self.room = Room()
        self.pid = os.getpid()
        self.place = place(os.environ)
        self.now_ns = now_ns
        self.timer_s = timer_s
        self.totals = Totals()
        """What was used so far, by user, task and model; bounded."""
        self.who: Who | None = None
        """What finds out whose a call is where no block says it; ``None`` where nothing does."""
        self.traces = False
        self.pricing: Pricing | None = None
        """What says what calls cost; ``None`` where nothing does."""
        self.unclaimed = Counter()
        self._layers: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()
        self._open_tallies: weakref.WeakSet[Tally] = weakref.WeakSet()
        self._unread: dict[tuple[str, str], int] = {}
        self._losses: list[str] = []
        self._attached: tuple[Sink, ...] = ()
        self._sinks: tuple[Sink, ...] = ()
        self._disabled = False
        self.settings = Settings()
        """What is in force, and where each of it comes from."""
        self.exact: ExactStreams | None = None
        """What asks streams for their usage; ``None`` where nothing does."""
        self.apply(of_process().given({"exporters": exporters, **options}))
        care_for(self)
        hear(self)

    def configure(
        self, *, exporters: Iterable[Given] | None = None, **options: Unpack[Options]
    ) -> Self:
        """Replace the exporters, the providers, the dialects, a switch; what is not given stays.

        ``estimates`` says whether what no provider reported is estimated; the counts of such events
        are marked ``estimated`` or ``partial``. ``tokenizers`` are functions that count for models
        by pattern of their names, and replace those given before. All of them are described in
        `tokenmeter.settings.Options`.

        Everything is checked before anything changes. Exporters that are replaced are flushed and
        closed.

        Raises:
            ConfigurationError: An exporter, a provider, a dialect or a tokenizer cannot be used.
        """
        return self.apply(self.settings.given({"exporters": exporters, **options}))

    def apply(self, settings: Settings) -> Self:
        """Put checked settings in force; the same exporters stay as they are.

        Raises:
            ConfigurationError: An exporter cannot be made; nothing has changed then.
        """
        before, replaced = self.settings, tuple[Sink, ...]()
        is_priced_anew = settings.prices is not before.prices
        pricing = self._pricing_by(settings) if is_priced_anew else self.pricing
        if settings.exporters is not before.exporters:
            made = self._made(settings.exporters)
            replaced = tuple(sink for sink in self._sinks if sink not in self._attached)
            self._sinks = (*made, *self._attached)
        if settings.exact_streams is not before.exact_streams:
            self.exact = ExactStreams(self.guard) if settings.exact_streams else None
        if settings.user is not before.user:
            self.who = Who(settings.user, self.guard) if settings.user else None
            find_users()
        self.traces = settings.trace_unattributed
        self._router = Router(settings.providers, (*settings.dialects, *self._brought()))
        self.tokenizers = Tokenizers(settings.tokenizers, self.guard)
        self.estimates = settings.estimates
        self._pseudonyms = settings.pseudonyms
        self.pricing = pricing
        self._enabled = not (self._disabled or is_disabled())
        self.settings = settings
        self.place = place(os.environ)
        self._end(replaced)
        return self

    def go_on(self, environ: Mapping[str, str]) -> None:
        """Have this process go on in the run that its parent says in ``BAGGAGE``, if it does."""
        said = self.taken(environ)
        OUTERMOST.attribution, OUTERMOST.span = said.over(NOBODY, None), said.span

    def taken(self, headers: Mapping[str, str]) -> Carried:
        """Read headers or variables of another program; what cannot be used of them is counted."""
        said = self.guard.run("baggage", carried, headers, self.settings.baggage)
        for reason, members in () if said is None else said.ignored:
            self.guard.count(f"baggage that was ignored: {reason}", members)
        return said or Carried()

    def attach(self, exporter: Given) -> Undo:
        """Add an exporter that `configure` does not replace; for tools around a program.

        Gives the undo, which flushes and closes the exporter.

        Raises:
            ConfigurationError: The exporter cannot be used.
        """
        attached = self._made([exporting.checked(exporter)])
        self._attached += attached
        self._sinks += attached

        def detach() -> None:
            self._attached = tuple(sink for sink in self._attached if sink not in attached)
            self._sinks = tuple(sink for sink in self._sinks if sink not in attached)
            self._end(attached)

        return Undo(detach)

    def wrap(self, client: T) -> T:
        """Meter a client; the same object comes back, and wrapping it again changes nothing.

        The HTTP client inside is hooked, so everything that goes through it is metered: copies
        made by ``with_options`` too, and another SDK's client that shares it. A copy that is given
        an HTTP client of its own is a new client.

        Args:
            client: A client of an SDK (openai, anthropic, google-genai, boto3 for Bedrock,
                mistralai, cohere, groq, together, ollama), or a client or session of httpx, httpx2,
                aiohttp, requests or urllib3.

        Raises:
            CannotWrapError: The object holds no such HTTP client.
        """
        for http_client, stack in _http_clients(client):
            layer = self._layers.get(http_client)
            if layer is None or not layer.active:
                self._layers[http_client] = stack.hook_client(http_client, self)
        return client

    def unwrap(self, client: T) -> T:
        """Stop metering a client; one that was never wrapped stays as it is.

        Raises:
            CannotWrapError: The object holds no HTTP client.
        """
        for http_client, _ in _http_clients(client):
            layer = self._layers.pop(http_client, None)
            if layer is not None:
                layer.undo()
        return client

    def instrument(self) -> Undo:
        """Meter every client in the process: those that exist and those created later.

        Clients in libraries that are imported later are metered too. Gives the undo, which is also
        a context manager.
        """
        undos = [stack.hook_libraries(self) for stack in STACKS]

        def undo() -> None:
            for take_back in reversed(undos):
                take_back()

        return Undo(undo)

    def open(self, method: str, host: str, path: str, aside: Aside | None = None) -> Call | None:
        """Open a call for a request, or give ``None`` for what asks no model; for seams."""
        if not self._enabled:
            return None
        route = self._router[method, host, path]
        if route is None or self.guard.failures.get(route.dialect.name, 0) >= LIMIT:
            return None
        return Call(self, route, aside)

    def open_function(self, route: Route) -> Call | None:
        """Open a call for a function that is one, or ``None`` where nothing is metered."""
        return Call(self, route) if self._enabled and not claimed() else None

    def record(self, event: UsageEvent) -> None:
        """Hand over an event that was made elsewhere.

        Raises:
            ConfigurationError: It is not a `UsageEvent`.
        """
        if not isinstance(event, UsageEvent):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError(f"record() takes a UsageEvent; got {event!r}")
        if self._enabled and not claimed():
            if event.kind == "call" and is_nobodys(event):
                self.unclaimed.count(None)
            self.emit(event, watchers())

    def whose(self, who: Attribution) -> Attribution:
        """Give an attribution with its user, where it has none and a resolver finds one."""
        return who if self.who is None else self.who.resolved(who)

    def unattributed(self) -> Unattributed:
        """Say how many calls had no user, team, task, agent or conversation.

        And, where ``trace_unattributed`` is on, which of your functions made them.
        """
        return self.unclaimed.said()

    def unread(self, route: Route) -> None:
        """Note that a model's answer was in no format that this route knows; for calls."""
        seen = (route.host or "", route.path)
        if seen in self._unread or len(self._unread) < _REMEMBERED:
            self._unread[seen] = self._unread.get(seen, 0) + 1

    def not_understood(self) -> list[NotUnderstood]:
        """Say what was seen on the wire and not understood, by host and path; at most some 200."""
        unrouted = [NotUnderstood(*seen, None) for seen in self._router.unrouted]
        return unrouted + [NotUnderstood(*seen, n) for seen, n in self._unread.items()]

    def ran(self, run: Run) -> None:
        """Say the event of a run of an agent that has ended; for `tokenmeter.runs`."""
        if self._enabled and (self._sinks or run.watchers):
            self.guard.run("the end of a run", self._say, run)

    def _say(self, run: Run) -> None:
        self.emit(run.event(self.place, self.pid, self), run.watchers)

    def later(self, job: Callable[[], object]) -> None:
        """Have the worker do something; safe in a finaliser."""
        self.pending.put(job)

    def expect_later(self) -> None:
        """Have the worker running, because `later` may follow."""
        self.pending.start()

    def emit(self, event: UsageEvent, watchers: tuple[Watcher, ...]) -> None:
        """Hand a finished event to tallies and exporters; nothing they do is metered."""
        if self.pricing is not None and event.kind == "call":
            if not self.pricing.is_loaded and self._waits(self.pricing, event, watchers):
                return
            event = self.guard.run("a price", self.pricing.priced, event) or event
        if self._pseudonyms is not None:
            event = self._pseudonyms.applied(event)
        if event.kind == "call":
            self.guard.run("the totals", self.totals.add, event)
        token = claim.set(PASS_THROUGH)
        try:
            for watcher in watchers:
                self.guard.run("a tally", watcher, event)
            for sink in self._sinks:
                sink.export(event)
        finally:
            claim.reset(token)

    @contextlib.contextmanager
    def tally(self, timeout: float = WAIT_S) -> Generator[Tally]:
        """Add up what the calls made inside use, live.

        Leaving waits at most ``timeout`` seconds for calls whose end is still pending.
        """
        spent = Tally()
        with self.filling(spent, spent.add, timeout):
            yield spent

    @contextlib.contextmanager
    def filling(self, spent: Tally, watcher: Watcher, timeout: float) -> Generator[None]:
        """Let a watcher add up what the calls made inside use, as `tally` does."""
        self._open_tallies.add(spent)
        try:
            with watching(watcher):
                yield
        finally:
            self.pending.drain(timeout)

    def flush(self, timeout: float = WAIT_S) -> bool:
        """Finish what is pending and flush the exporters; false when time ran out.

        Each exporter may take its share of the time that is left.
        """
        deadline = time.monotonic() + timeout
        done = self.pending.drain(timeout)
        left = max(0.0, deadline - time.monotonic())
        with passing_through():
            flushed = [sink.flush(share) for sink, share in shares(self._sinks, left)]
        return done and all(flushed)

    def shutdown(self, timeout: float = WAIT_S) -> bool:
        """End open streams as abandoned, flush and close; the meter passes through afterwards.

        Runs of agents that are open are abandoned too, as far as this meter's exporters hear.
        """
        deadline = time.monotonic() + timeout
        was_enabled, self._enabled = self._enabled, False
        for call in list(self.open_calls):
            call.released()
        done = self.pending.drain(timeout)
        for run in still_open() if was_enabled else ():
            self.guard.run("the end of a run", self._say, run)
        self.pending.stop()
        sinks, self._sinks, self._attached = self._sinks, (), ()
        self.settings = self.settings.without_exporters()
        return self._end(sinks, max(0.0, deadline - time.monotonic())) and done

    @property
    def is_enabled(self) -> bool:
        """Whether it meters, rather than having everything pass through."""
        return self._enabled

    def disable(self) -> None:
        """Pass everything through until `enable`; configuring changes nothing about that."""
        self._disabled, self._enabled = True, False

    def enable(self) -> None:
        """Meter again, unless the environment says no."""
        self._disabled, self._enabled = False, not is_disabled()

    def stats(self) -> dict[str, dict[str, int]]:
        """Give the accounts: what became of the events, per exporter, and what went wrong inside.

        An exporter's account is ``captured``, which is the sum of ``exported``, ``filtered``,
        ``dropped``, ``failed`` and ``pending``; see `Account`. Exporters of one name are numbered:
        ``Jsonl``, ``Jsonl 2``. Under ``guard`` stands what went wrong inside, by place.
        """
        accounts: dict[str, dict[str, int]] = {}
        for sink in itertools.chain.from_iterable(map(lineage, self._sinks)):
            same = sum(name.partition(" ")[0] == sink.name for name in accounts)
            name = f"{sink.name} {same + 1}" if same else sink.name
            accounts[name] = sink.account()._asdict()
        return accounts | {"guard": dict(self.guard.failures)}

    def losses(self) -> list[str]:
        """Say, a line each, what exporters that have ended did not deliver."""
        return list(self._losses)

    def _end(self, sinks: Sequence[Sink], timeout: float = WAIT_S) -> bool:
        """Flush and close; say whether everything arrived."""
        before = len(self._losses)
        with passing_through():
            for sink, share in shares(sinks, timeout):
                end = time.monotonic() + share
                sink.flush(share)
                sink.close(max(0.0, end - time.monotonic()))
                self._losses += sink.losses()
        return len(self._losses) == before

    def _waits(self, pricing: Pricing, event: UsageEvent, watchers: tuple[Watcher, ...]) -> bool:
        """Have the worker emit an event when prices are loaded; say whether it will.

        Calls around it have to know of it at once, because it may be what they would say, too.
        """
        if self.pending.is_here:
            self.guard.run("loading prices", pricing.load)
            return False
        around = [watcher for watcher in watchers if hasattr(watcher, "defer")]
        others = tuple(watcher for watcher in watchers if watcher not in around)
        if not self.pending.later(partial(self.emit, event, others)):
            return False
        for watcher in around:
            self.guard.run("a tally", watcher, event)
        return True

    def _pricing_by(self, settings: Settings) -> Pricing | None:
        """Give what prices by these settings: loaded, or while the worker loads it."""
        if not settings.prices:
            return None
        pricing = Pricing(books(settings.prices), self.guard)
        if settings.wait_for_prices or not self.pending.later(pricing.load):
            pricing.load()
        return pricing

    def _made(self, exporters: Iterable[Named | Exporter]) -> tuple[Sink, ...]:
        with contextlib.ExitStack() as undo:
            made: list[Sink] = []
            for given in exporters:
                made.append(Sink(exporting.made(given), self.guard))
                if isinstance(given, Named):  # nobody else closes it when the next one is refused
                    undo.callback(made[-1].close, WAIT_S)
            undo.pop_all()
        for sink in made:
            sink.watch(self.stats)
        return tuple(made)

    def _brought(self) -> list[Dialect]:
        """Give the dialects that installed packages bring; one that cannot be had is left out."""
        loaded = (self.guard.run(f"the dialect {p.name}", load, p) for p in installed())
        return [dialect for dialect in loaded if dialect is not None]

    def at_end(self, timeout: float) -> list[str]:
        """Shut down at the end of the process and say what was lost."""
        self.shutdown(timeout)
        return self._losses

    def after_fork(self) -> None:
        """Begin anew in a forked child: what is open belongs to the parent."""
        global _lock
        _lock = threading.RLock()
        for call in self.open_calls:
            call.disown()
        self.open_calls = set()
        self.room = Room()
        self.pid = os.getpid()
        self.ids.reseed()
        self.pending.reset()
        if self.pricing is not None and not self.pricing.is_loaded:
            self.pending.put(self.pricing.load)  # the parent's worker does it for the parent alone
        self.answers = Answers()
        self._losses = []
        self.totals = Totals()
        self.unclaimed = Counter()
        if self.who is not None:
            self.who.after_fork()
        for spent in list(self._open_tallies):
            spent.restart()
        for sink in self._sinks:
            sink.restart()


def _http_clients(client: object) -> list[tuple[Any, Stack]]:
    found = clients_in(client)
    if not found:
        raise CannotWrapError(
            f"wrap() takes a client of an SDK, such as OpenAI(), Anthropic() or "
            f"boto3.client('bedrock-runtime'), or an HTTP client of httpx, aiohttp, requests or "
            f"urllib3; got {_named(client)}. "
            f"For anything else call tokenmeter.instrument(), which meters every client in the "
            f"process, or decorate your own function with @tokenmeter.metered"
        )
    return found


def _named(thing: object) -> str:
    if isinstance(thing, type):
        return f"the class {thing.__name__}: make a client of it first"
    return f"an object of type {type(thing).__module__}.{type(thing).__qualname__}"


_lock = threading.RLock()
_default: Meter | None = None


def default() -> Meter:
    """Give the default meter, made at its first use."""
    global _default
    with _lock:
        if _default is None:
            _default = Meter()
        return _default


def configure(*, exporters: Iterable[Given] | None = None, **options: Unpack[Options]) -> Meter:
    """Configure the default meter and give it; see `Meter.configure`.

    What code does not say, now or earlier, is read from the environment (``TOKENMETER_EXPORTERS``
    and others) or else from ``tokenmeter.toml``, here and only here.

    Raises:
        ConfigurationError: A setting cannot be used; the message says where it stands.

    >>> meter = configure(exporters=["memory"])
    """
    meter = default()
    meter.apply(meter.settings.given({"exporters": exporters, **options}).read())
    meter.go_on(os.environ)
    return meter


def wrap(client: T) -> T:
    """Meter a client with the default meter; the same object comes back. See `Meter.wrap`.

    Raises:
        CannotWrapError: The object holds no HTTP client that could be observed.
    """
    return default().wrap(client)


def unwrap(client: T) -> T:
    """Stop metering a client; see `Meter.unwrap`."""
    return default().unwrap(client)


def instrument() -> Undo:
    """Meter every client in the process with the default meter; see `Meter.instrument`."""
    return default().instrument()


def tally(timeout: float = WAIT_S) -> contextlib.AbstractContextManager[Tally]:
    """Add up what the calls made inside use, live; see `Meter.tally`.

    >>> with tally() as spent:
    ...     pass
    >>> print(spent)
    0 calls, 0 input + 0 output tokens
    """
    return default().tally(timeout)


def record(event: UsageEvent) -> None:
    """Hand an event that was made elsewhere to the default meter; see `Meter.record`."""
    default().record(event)


def flush(timeout: float = WAIT_S) -> bool:
    """Finish what is pending and flush the exporters of the default meter."""
    return default().flush(timeout)


def shutdown(timeout: float = WAIT_S) -> bool:
    """End the default meter; see `Meter.shutdown`."""
    return default().shutdown(timeout)


def disabled() -> contextlib.AbstractContextManager[None]:
    """Make every seam pass through inside; nothing is metered, by any meter.

    >>> with disabled():
    ...     pass
    """
    return passing_through()

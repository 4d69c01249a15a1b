"""Play one case against the real SDKs and a real server, with and without the meter.

A `Case` says what is called and what must come of it; `play` gives what its caller saw, what the
server really used, and the events.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import gc
import inspect
import re
import socket
import ssl
import traceback
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

import anthropic
import httpx
import openai
import pytest

from contract.colour import Mode, opened, run
from tokenmeter import Meter, UsageEvent, attribute, check_invariants, diagnosis
from tokenmeter.event import Provenance, Status
from tokenmeter.exporters.memory import Memory
from tokenmeter.testing import Answer, Gate, ModelServer, Served

COUNTS = (
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
)
SDKS: dict[str, Any] = {"openai": openai, "anthropic": anthropic}
CLIENTS = {
    "openai": ("OpenAI", "AsyncOpenAI"),
    "anthropic": ("Anthropic", "AsyncAnthropic"),
}
TLS = ssl.create_default_context()  # one for all clients: making it is most of making a client


@dataclass(frozen=True, kw_only=True)
class Expect:
    """What an event must say; the defaults are those of a call that went well.

    ``served`` is the line of the server's account that has the truth, ``None`` where the server
    never heard of the call.
    """

    status: Status = "completed"
    http_status: int | None = 200
    error_type: str | None = None
    attempt: int | None = 0
    input: Provenance = "reported"
    output: Provenance = "reported"
    served: int | None = 0
    unsaid: tuple[str, ...] = ()  # counts for which the wire format has no word


WELL = Expect()
NONE = {"input": "none", "output": "none"}
UNKNOWN = {"input": "unknown", "output": "unknown"}


class LackError(Exception):
    """A method of an SDK has no word for what a case wants to say."""


@dataclass
class Stage:
    """What a call has at hand."""

    mode: Mode
    vendor: str
    server: ModelServer
    client: Any
    gates: list[Gate]
    words: dict[str, Any] = field(default_factory=dict)
    unsaid: tuple[str, ...] = ()

    @property
    def sdk(self) -> Any:
        return SDKS[self.vendor]

    def copied(self, **options: Any) -> Stage:
        """Give the same stage with a copy of the client that has other options."""
        return dataclasses.replace(self, client=self.client.with_options(**options))

    def saying(self, **words: Any) -> Stage:
        """Give the same stage where every call has these words too."""
        return dataclasses.replace(self, words=words)

    def silent_about(self, *words: str) -> Stage:
        """Give the same stage where no call has these words."""
        return dataclasses.replace(self, unsaid=words)

    def at(self, path: str) -> Callable[..., Any]:
        """Find ``chat.completions.create`` and the like; what it has no word for goes as it is."""
        method = attrgetter(path)(self.client)
        words = inspect.signature(method).parameters

        def ask(**asked: Any) -> Any:
            for word in self.unsaid:
                asked.pop(word, None)
            unknown = {word: asked.pop(word) for word in asked.keys() - words.keys()}
            if unknown and not path.endswith("create"):  # a helper must understand what is answered
                raise LackError(f"{path} has no {', '.join(sorted(unknown))}")
            return method(**asked, **self.words, **({"extra_body": unknown} if unknown else {}))

        return ask


@dataclass
class Played:
    seen: Any
    account: list[Served]
    events: list[UsageEvent]


def http_class_of(vendor: str, mode: Mode) -> Any:
    """Find the HTTP client that an SDK makes by itself; before it named it, that was httpx's."""
    name = "AsyncClient" if mode.is_async else "Client"
    return getattr(SDKS[vendor], f"Default{name.replace('Client', 'HttpxClient')}", None) or (
        getattr(httpx, name)
    )


def http_client_of(vendor: str, mode: Mode) -> Any:
    """Make the HTTP client that an SDK makes by itself, which is most of making a client."""
    return http_class_of(vendor, mode)(verify=TLS)


def client_of(vendor: str, mode: Mode, server: ModelServer, http_client: Any) -> Any:
    """Make a client of an SDK, one that does not retry."""
    made = getattr(SDKS[vendor], CLIENTS[vendor][mode.is_async])
    url = server.openai_url if vendor == "openai" else server.url
    return made(base_url=url, api_key="k", max_retries=0, http_client=http_client)


@dataclass(frozen=True, kw_only=True)
class Case:
    """One thing a user may do, and the events that must come of it."""

    name: str
    vendor: str
    call: Callable[[Stage], Coroutine[Any, Any, Any]]
    script: tuple[Answer, ...] = ()
    events: tuple[Expect, ...] = (WELL,)
    http_client: Callable[[str, Mode], Any] = http_client_of
    refuses: tuple[str, ...] = ()


@contextlib.contextmanager
def _bare(meter: Meter) -> Iterator[Callable[[Any], Any]]:
    yield lambda client: client


@contextlib.contextmanager
def _wrapped(meter: Meter) -> Iterator[Callable[[Any], Any]]:
    yield meter.wrap


@contextlib.contextmanager
def _instrumented(meter: Meter) -> Iterator[Callable[[Any], Any]]:
    with meter.instrument():
        yield lambda client: client


@contextlib.contextmanager
def _both(meter: Meter) -> Iterator[Callable[[Any], Any]]:
    with meter.instrument():
        yield meter.wrap


WIRINGS = {
    "bare": _bare,
    "wrap": _wrapped,
    "instrument": _instrumented,
    "both": _both,
    "exact": _wrapped,
    "exact, instrumented": _instrumented,
}


def play(case: Case, mode: Mode, wiring: str) -> Played:
    """Play a case once; every run has a server, a client and a meter of its own."""
    memory = Memory()
    is_exact = wiring.startswith("exact")
    meter = Meter([memory], estimates=False, exact_streams=is_exact)
    try:
        with ModelServer(refuses=case.refuses) as server:
            gates = [Gate(answer.gate.after) for answer in case.script if answer.gate]
            server.script(*_with_gates(case.script, gates))
            with WIRINGS[wiring](meter) as metered, attribute(user="ada"):
                seen = run(mode, _scene, case, mode, server, gates, metered)
            gc.collect()  # the SDKs' streams hold themselves
            assert meter.flush()
            assert meter.stats()["guard"] == {}
            assert meter.open_calls == set()
            return Played(seen, server.account, sorted(memory.events, key=attrgetter("ts")))
    finally:
        meter.shutdown()


@functools.cache
def bare(case_key: CaseKey) -> Played:
    """Play a case without any meter, once for each mode."""
    return play(case_key.case, case_key.mode, "bare")


@dataclass(frozen=True)
class CaseKey:
    """A case in a mode; cases are known by their names."""

    case: Case = field(hash=False)
    mode: Mode = field(hash=False)
    name: str = ""


def _with_gates(script: tuple[Answer, ...], gates: list[Gate]) -> Iterator[Answer]:
    left = iter(gates)
    for answer in script:
        yield dataclasses.replace(answer, gate=next(left)) if answer.gate else answer


async def _scene(
    case: Case, mode: Mode, server: ModelServer, gates: list[Gate], metered: Callable[[Any], Any]
) -> Any:
    http_client = case.http_client(case.vendor, mode)
    made = client_of(case.vendor, mode, server, http_client)
    assert metered(made) is made
    stage = Stage(mode, case.vendor, server, made, gates)
    try:
        async with opened(made):
            seen = await _seen(case, stage)
    except RuntimeError as exc:  # httpcore before 0.18, of streams that the SDK left open
        return seen if isinstance(seen, Lack) else [seen, fact(exc)]
    return seen


async def _seen(case: Case, stage: Stage) -> Any:
    try:
        return fact(await case.call(stage))
    except AssertionError:
        raise
    except Exception as exc:  # httpx's own ones too: anthropic lets them through
        if lack := lack_in(exc, case.vendor):
            return lack
        if isinstance(exc, AttributeError | TypeError):
            raise  # the case is wrong, or the SDK is
        return fact(exc)


class Lack(str):
    """What an SDK does not have, in words."""


def is_newest(vendor: str) -> bool:
    """Say whether an SDK is at least the newest that is called tested; such a one lacks nothing."""
    tested = next(sdk[-1] for sdk in diagnosis.SDKS if sdk[0] == vendor)
    versions = (tested.rpartition(" ")[2], SDKS[vendor].__version__)
    newest, installed = ([int(part) for part in version.split(".")[:2]] for version in versions)
    return installed >= newest


def lack_in(exc: BaseException, vendor: str) -> Lack | None:
    """Name what a case asked an SDK, or an object of it, for in vain."""
    while isinstance(exc, BaseExceptionGroup):
        exc = exc.exceptions[0]
    if isinstance(exc, LackError):
        what = str(exc)
    elif isinstance(exc, AttributeError) and _is_asked_here(exc, vendor):
        what = f"{type(exc.obj).__name__} has no {exc.name}"
    else:
        return None
    return Lack(f"{vendor} {SDKS[vendor].__version__}: {what}")


def _is_asked_here(exc: AttributeError, vendor: str) -> bool:
    """Say whether a case, and not the SDK itself, asked an object of the SDK."""
    *_, (last, _) = traceback.walk_tb(exc.__traceback__)
    asking: str = last.f_globals["__name__"]
    asked = type(exc.obj).__module__.partition(".")[0]
    return asking.startswith("contract.") and asked == vendor


def prove(case: Case, mode: Mode, wiring: str) -> None:
    """Show that a metered case looks as without us, and gives the events it must."""
    expected = bare(CaseKey(case, mode, f"{case.vendor} {case.name} {mode.name}"))
    if isinstance(expected.seen, Lack):  # said by the bare SDK: nothing of ours was near
        assert not is_newest(case.vendor), f"the case is wrong or outdated: {expected.seen}"
        pytest.skip(expected.seen)
    played = play(case, mode, wiring)
    assert expected.events == []
    assert played.seen == expected.seen
    assert played.account == expected.account
    assert [summary(event) for event in played.events] == [
        told(want, case.vendor, played.account) for want in case.events
    ]
    for event, want in zip(played.events, case.events, strict=True):
        check_event(event, want, played.account)


@functools.cache
def numbers_attempts(vendor: str) -> bool:
    """Say whether an SDK states which attempt a request is."""
    return "x-stainless-retry-count" in inspect.getsource(SDKS[vendor]._base_client)


def told(want: Expect, vendor: str, account: list[Served]) -> dict[str, Any]:
    """Give what an expectation means for an event."""
    served = None if want.served is None else account[want.served]
    return {
        "status": want.status,
        "http_status": want.http_status,
        "error_type": want.error_type,
        "attempt": want.attempt if numbers_attempts(vendor) else None,
        "input": want.input,
        "output": want.output,
        "user": "ada",
        **_counts(want, served),
    }


def _counts(want: Expect, served: Served | None) -> dict[str, int | None]:
    counts = dict.fromkeys(COUNTS) if served is None else {n: getattr(served, n) for n in COUNTS}
    if want.input != "reported":
        counts |= dict.fromkeys(("input_tokens", "cache_read_tokens", "cache_write_tokens"))
    if want.output != "reported":
        counts |= dict.fromkeys(("output_tokens", "reasoning_tokens"))
    return counts | dict.fromkeys(want.unsaid)


def summary(event: UsageEvent) -> dict[str, Any]:
    """Give what an event says; a partial count is checked by `check_event`."""
    counts = {name: getattr(event, name) for name in COUNTS}
    if event.output_provenance == "partial":
        counts |= dict.fromkeys(("output_tokens", "reasoning_tokens"))
    return {
        "status": event.status,
        "http_status": event.http_status,
        "error_type": event.error_type,
        "attempt": event.attempt,
        "input": event.input_provenance,
        "output": event.output_provenance,
        "user": event.user,
        **counts,
    }


def check_event(event: UsageEvent, want: Expect, account: list[Served]) -> None:
    """Check what holds for every event."""
    check_invariants(event)
    assert (event.kind, event.source, event.server_address) == ("call", "wire", "127.0.0.1")
    assert 0 <= (event.time_to_first_chunk_s or 0) <= (event.duration_s or 0)
    if want.served is None:
        return
    served = account[want.served]
    assert (event.request_model, event.stream) == (served.request_model, served.stream)
    assert event.response_id in (served.response_id, None)
    if "reported" in (want.input, want.output):
        assert event.response_model == served.request_model
    if event.stream and want.status == "completed":
        assert event.time_to_first_chunk_s is not None
    if want.output == "partial":
        assert 0 <= (event.output_tokens or 0) <= (served.output_tokens or 0)


def fact(thing: Any) -> Any:
    """Give what can be compared of what a caller saw, types included."""
    if isinstance(thing, BaseException):
        return _facts_of_error(thing)
    if hasattr(thing, "http_response"):
        response = thing.http_response
        return (type(thing), type(response), response.status_code, dict(response.headers))
    if isinstance(thing, list | tuple):
        return [fact(item) for item in thing]
    return type(thing), thing


def _facts_of_error(exc: BaseException) -> list[Any]:
    names = ("status_code", "code", "type", "body", "request_id")
    cause = exc.__cause__ and _facts_of_error(exc.__cause__)
    said = re.sub(r"127\.0\.0\.1:\d+", "the server", str(exc))
    return [type(exc), said, *(getattr(exc, name, None) for name in names), cause]


@contextlib.contextmanager
def closed_port() -> Iterator[int]:
    """Reserve a port on which nobody listens."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        yield reserved.getsockname()[1]

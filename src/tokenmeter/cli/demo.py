"""``tokenmeter demo``: a day of calls through the real SDKs, metered on this machine.

The scenario is a table: who, for what, and which kind of call. The server is either the
deterministic one of `tokenmeter.testing` or a real small language model.
"""

from __future__ import annotations

import argparse
import contextlib
import shlex
import sys
from collections.abc import Callable, Generator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from tokenmeter.attribution import attribute
from tokenmeter.cli.closing import Closing
from tokenmeter.errors import MissingExtraError
from tokenmeter.ledger import Ledger
from tokenmeter.meter import Meter
from tokenmeter.testing import Answer, ModelServer
from tokenmeter.testing.llm import SmallModel

if TYPE_CHECKING:
    from anthropic import Anthropic
    from openai import OpenAI

_MAX_TOKENS = 24
_TEXT = "The meter watches the wire, and each answer of a model becomes exactly one event."
_WEATHER: dict[str, object] = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where the demo's calls go: two wrapped clients and the models they ask for."""

    openai: OpenAI
    anthropic: Anthropic
    openai_model: str
    anthropic_model: str


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument(
        "--out", type=Path, default=Path("usage.jsonl"), metavar="FILE", help="where events go"
    )
    parser.add_argument(
        "--llm", action="store_true", help="ask a real small language model on this machine"
    )
    parser.set_defaults(command=_command)


def _command(options: argparse.Namespace) -> int:
    out: Path = options.out
    _need_packages()
    position = out.stat().st_size if out.exists() else 0
    if position:
        print(f"{out} exists: events are appended, and only those of this run are counted below.")
    meter = Meter(exporters=[f"jsonl:{out}"])
    with contextlib.ExitStack() as stack:
        stack.callback(meter.shutdown)
        server: ModelServer | SmallModel = SmallModel() if options.llm else ModelServer()
        stack.enter_context(server)
        _run(meter, server)
    _report(out, position)
    return 0


def _need_packages() -> None:
    for name in ("openai", "anthropic", "rich"):
        try:
            __import__(name)
        except ImportError as missing:
            raise MissingExtraError(name, "demo") from missing


def _run(meter: Meter, server: ModelServer | SmallModel) -> None:
    with _place(meter, server) as place:
        for user, task, call in SCENARIO:
            if call is _retried and isinstance(server, ModelServer):
                server.script(Answer(status=429, headers={"retry-after-ms": "1"}))
            with attribute(user=user, task=task):
                call(place)


@contextlib.contextmanager
def _place(meter: Meter, server: ModelServer | SmallModel) -> Generator[Place]:
    from anthropic import Anthropic
    from openai import OpenAI

    names = ("smollm2-135m",) * 2 if isinstance(server, SmallModel) else ("model-o", "model-a")
    with (
        OpenAI(base_url=server.openai_url, api_key="none") as openai,
        Anthropic(base_url=server.url, api_key="none") as anthropic,
    ):
        yield Place(meter.wrap(openai), meter.wrap(anthropic), *names)


def _report(out: Path, position: int) -> None:
    with Ledger(out, position) as ledger:
        closing = Closing(ledger)
    print(closing.total)
    closing.write(sys.stdout)
    name = shlex.quote(str(out))
    print(f"Ask it more:  tokenmeter report {name} --by provider,model,status")
    print(f"or with jq:   jq -s 'map(.output_tokens // 0) | add' {name}")


def _plain(place: Place) -> None:
    place.openai.chat.completions.create(
        model=place.openai_model,
        messages=[{"role": "user", "content": f"Say it shorter: {_TEXT}"}],
        max_tokens=_MAX_TOKENS,
    )


def _streamed_with_usage(place: Place) -> None:
    stream = place.openai.chat.completions.create(
        model=place.openai_model,
        messages=[{"role": "user", "content": f"Say it in French: {_TEXT}"}],
        max_tokens=_MAX_TOKENS,
        stream=True,
        stream_options={"include_usage": True},
    )
    for _chunk in stream:
        pass


def _streamed_without_usage(place: Place) -> None:
    stream = place.openai.chat.completions.create(
        model=place.openai_model,
        messages=[{"role": "user", "content": f"Say it in German: {_TEXT}"}],
        max_tokens=_MAX_TOKENS,
        stream=True,
    )
    for _chunk in stream:
        pass


def _tool_call(place: Place) -> None:
    place.openai.chat.completions.create(
        model=place.openai_model,
        messages=[{"role": "user", "content": "What is the weather in Paris?"}],
        max_tokens=_MAX_TOKENS,
        tools=[{"type": "function", "function": {"name": "weather", "parameters": _WEATHER}}],
    )


def _response(place: Place) -> None:
    place.openai.responses.create(
        model=place.openai_model,
        input=f"Give it a title: {_TEXT}",
        max_output_tokens=_MAX_TOKENS,
    )


def _message(place: Place) -> None:
    place.anthropic.messages.create(
        model=place.anthropic_model,
        max_tokens=_MAX_TOKENS,
        messages=[{"role": "user", "content": f"Review this sentence: {_TEXT}"}],
    )


def _cached_message(place: Place) -> None:
    place.anthropic.messages.create(
        model=place.anthropic_model,
        max_tokens=_MAX_TOKENS,
        system=[
            {
                "type": "text",
                "text": f"You review sentences. {_TEXT}",
                "cache_control": {"type": "ephemeral"},
            }
        ],
        messages=[{"role": "user", "content": "Is it short enough?"}],
    )


def _streamed_message(place: Place) -> None:
    with place.anthropic.messages.stream(
        model=place.anthropic_model,
        max_tokens=_MAX_TOKENS,
        messages=[{"role": "user", "content": f"Say it as a poem: {_TEXT}"}],
    ) as stream:
        stream.get_final_message()


def _message_tool_call(place: Place) -> None:
    place.anthropic.messages.create(
        model=place.anthropic_model,
        max_tokens=_MAX_TOKENS,
        messages=[{"role": "user", "content": "What is the weather in Rome?"}],
        tools=[{"name": "weather", "input_schema": {**_WEATHER}}],
    )


def _retried(place: Place) -> None:
    """Ask once; the deterministic server says 429 first, and the SDK asks again by itself."""
    _plain(place)


def _abandoned(place: Place) -> None:
    with place.openai.chat.completions.create(
        model=place.openai_model,
        messages=[{"role": "user", "content": f"Continue: {_TEXT}"}],
        max_tokens=_MAX_TOKENS,
        stream=True,
        stream_options={"include_usage": True},
    ) as stream:
        list(islice(stream, 4))


def _abandoned_message(place: Place) -> None:
    with place.anthropic.messages.stream(
        model=place.anthropic_model,
        max_tokens=_MAX_TOKENS,
        messages=[{"role": "user", "content": f"Continue: {_TEXT}"}],
    ) as stream:
        list(islice(stream, 4))


SCENARIO: tuple[tuple[str, str, Callable[[Place], None]], ...] = (
    ("ada", "summarise", _plain),
    ("ada", "summarise", _response),
    ("ada", "translate", _streamed_with_usage),
    ("ada", "translate", _streamed_without_usage),
    ("grace", "review", _cached_message),
    ("grace", "review", _cached_message),
    ("grace", "review", _message),
    ("grace", "translate", _streamed_message),
    ("grace", "weather", _message_tool_call),
    ("linus", "weather", _tool_call),
    ("linus", "summarise", _retried),
    ("linus", "review", _abandoned),
    ("linus", "review", _abandoned_message),
)
"""Who calls, for what, and how: three users, four tasks."""

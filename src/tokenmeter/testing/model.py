"""The model behind the server: the script, the account, and the answers, without any HTTP."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import threading
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from tokenmeter.event import Usage
from tokenmeter.testing.answers import Answer, Gate, Served
from tokenmeter.testing.anthropic_messages import MESSAGES
from tokenmeter.testing.formats import Format, PromptCache
from tokenmeter.testing.openai_chat import CHAT, COMPLETIONS, EMBEDDINGS
from tokenmeter.testing.openai_responses import RESPONSES, Background
from tokenmeter.testing.replies import Json, Reply, reply

_FORMATS = {
    "/chat/completions": CHAT,
    "/completions": COMPLETIONS,
    "/responses": RESPONSES,
    "/embeddings": EMBEDDINGS,
    "/messages": MESSAGES,
}
"""Wire format by the end of the path; where one end contains another, the longer comes first."""

_COUNTS = (
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
)


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request for a model's answer, and the script for it."""

    path: str
    form: Format
    request: Json
    answer: Answer

    @property
    def complete(self) -> bool:
        """Whether the request has everything that the format requires."""
        return all(self.request.get(name) for name in self.form.required)

    @property
    def streams(self) -> bool:
        """Whether the client wants a stream and the format has one."""
        return bool(self.request.get("stream")) and self.form is not EMBEDDINGS


def format_of(path: str) -> Format | None:
    """Return the wire format that a path belongs to, or ``None`` when it is no model call."""
    return next((form for end, form in _FORMATS.items() if path.endswith(end)), None)


class Model:
    """Answer requests one by one, and keep the account of it."""

    def __init__(self, refuses: Collection[str] = ()) -> None:
        self.refuses = frozenset(refuses)
        self.account: list[Served] = []
        self._scripts: dict[object, deque[Answer]] = {}
        self._gates: list[Gate] = []
        self._numbers = itertools.count(1)
        self._cache = PromptCache()
        self._background = Background()
        self._owed: dict[str, Callable[[], None]] = {}
        self._lock = threading.Lock()

    def script(self, *answers: Answer, model: str | None = None) -> None:
        """Queue the answers for the next requests, of one model or of any."""
        self._scripts.setdefault(model, deque()).extend(answers)
        self._gates.extend(answer.gate for answer in answers if answer.gate)

    def next_answer(self, model: object = None) -> Answer:
        """Return the next answer of the model's script, of the common one, or the normal one."""
        for name in (model, None):
            with contextlib.suppress(KeyError, IndexError):
                return self._scripts[name].popleft()
        return Answer()

    def open_gates(self) -> None:
        """Let everything go on that a script holds back."""
        for gate in self._gates:
            gate.open()

    def say(self, exchange: Exchange) -> Reply:
        """Answer a request, as told or by itself."""
        answer, request = exchange.answer, exchange.request
        with self._lock:
            prompt = exchange.form.prompt(request, self._cache)
            number = next(self._numbers)
        said = reply(
            prompt, number=number, model=request["model"], text=answer.text, calls=answer.calls
        )
        return dataclasses.replace(said, usage=answer.usage) if answer.usage else said

    def note(self, exchange: Exchange, said: Reply | None, reported: bool, **facts: Any) -> None:
        """Write an answer into the account; ``said`` is None where the model did no work."""
        usage = said.usage if said else Usage()
        self.account.append(
            Served(
                format=exchange.form.name,
                path=exchange.path,
                request_model=exchange.request.get("model"),
                stream=exchange.streams,
                status=exchange.answer.status,
                ending=exchange.answer.ending,
                reported=reported,
                **{"response_id": None} | facts,
                **{name: getattr(usage, name) for name in _COUNTS},
            )
        )

    def keep(self, finished: Json) -> None:
        """Keep a finished response for those who fetch it later."""
        self._background.keep(finished)

    def start(self, exchange: Exchange, said: Reply, finished: Json) -> Json:
        """Begin a background response; its usage is noted when its end is first fetched."""
        facts = {"response_id": finished["id"]}
        self.note(exchange, None, reported=False, **facts)
        self._owed[finished["id"]] = lambda: self.note(exchange, said, reported=True, **facts)
        return self._background.start(finished)

    def fetch(self, response_id: str) -> Json | None:
        """Return the present state of a response that was begun or kept earlier."""
        with self._lock:
            state = self._background.poll(response_id)
        if state is not None and state["usage"] is not None:
            self._owed.pop(response_id, lambda: None)()
        return state

"""A local HTTP server that speaks the wire formats of OpenAI and Anthropic.

Only HTTP lives here; what is answered is decided in ``model.py``, rendered in a file for each
vendor's API, and cut into network chunks in ``delivery.py``.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import socket
import sys
import threading
from collections.abc import Collection, Iterable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self, cast

from tokenmeter.testing.answers import Answer, Served
from tokenmeter.testing.anthropic_messages import count_tokens
from tokenmeter.testing.delivery import (
    ConnectionCutError,
    compressor,
    encoded,
    events_sent,
    network_chunks,
    split_events,
)
from tokenmeter.testing.formats import CREATED
from tokenmeter.testing.model import Exchange, Model, format_of
from tokenmeter.testing.openai_chat import error
from tokenmeter.testing.replies import Json

_EVENT_STREAM = "text/event-stream"
_MODELS = ("model-small", "model-large")


class ModelServer:
    """Serve a deterministic model on 127.0.0.1 in the formats of OpenAI and Anthropic.

    It speaks chat completions, responses (also background and fetched ones), completions,
    embeddings, messages and their count of tokens, plain and streamed. A token is a word of the
    request or of the answer. The answer echoes what the user said last, calls the first tool that
    is offered, thinks when it is asked to, and satisfies a JSON schema.

    >>> import httpx
    >>> with ModelServer() as server:
    ...     asked = {"model": "m", "messages": [{"role": "user", "content": "good morning"}]}
    ...     answer = httpx.post(server.openai_url + "/chat/completions", json=asked).json()
    >>> answer["choices"][0]["message"]["content"]
    'You said: good morning'
    >>> server.account[0].input_tokens, server.account[0].output_tokens
    (3, 4)

    Args:
        refuses: Members of a request, such as ``stream_options``, that the server does not know: it
            answers a request that has one with 400, before it looks at the script.
    """

    def __init__(self, *, refuses: Collection[str] = ()) -> None:
        self._model = Model(refuses)
        self._http = _Http(self._model)
        self._thread = threading.Thread(target=self._http.serve, name="tokenmeter-model-server")
        self._thread.start()

    @property
    def account(self) -> list[Served]:
        """What every answer really used, in order: the ground truth that a meter has to match.

        A background response stands in it twice: without counts when it is queued, with them
        when its end is first fetched.
        """
        return self._model.account

    @property
    def url(self) -> str:
        """The address without a path, as the Anthropic SDK wants its ``base_url``."""
        return f"http://127.0.0.1:{self._http.server_port}"

    @property
    def openai_url(self) -> str:
        """The address as the OpenAI SDK wants its ``base_url``."""
        return f"{self.url}/v1"

    def script(self, *answers: Answer, model: str | None = None) -> None:
        """Answer the next requests as told, one answer for each request of any kind.

        A script for a ``model`` is for the requests of it alone, and comes before the common one;
        so agents that ask at the same time, each its own model, get each its own answers.
        """
        self._model.script(*answers, model=model)

    def close(self) -> None:
        """Open all gates, close all connections and wait for the threads.

        Raises:
            Exception: What went wrong inside the server itself while it answered.
        """
        self._model.open_gates()
        self._http.stop()
        self._thread.join()
        self._http.close_connections()
        self._http.server_close()
        if self._http.crashes:
            raise self._http.crashes[0]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class _Http(ThreadingHTTPServer):
    """Give every connection a thread, and know all of them."""

    daemon_threads = False  # so that server_close() waits for every thread
    request_queue_size = 128

    def __init__(self, model: Model) -> None:
        self.model = model
        self.crashes: list[BaseException] = []
        self._connections: set[socket.socket] = set()
        self._stopping = False
        super().__init__(("127.0.0.1", 0), _Handler)

    def serve(self) -> None:
        """Accept connections until stopped; nothing is polled, so stopping takes no time."""
        while not self._stopping:
            self.handle_request()

    def stop(self) -> None:
        """Wake the accepting thread, and let it end."""
        self._stopping = True
        socket.create_connection(("127.0.0.1", self.server_port)).close()

    def process_request(self, request: Any, client_address: Any) -> None:
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._connections.discard(request)
        super().shutdown_request(request)

    def close_connections(self) -> None:
        """End the connections that clients keep alive."""
        for connection in tuple(self._connections):
            with contextlib.suppress(OSError):  # its client was quicker
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 (inherited)
        """Keep what is our own fault for close(), and stay silent."""
        crash = sys.exc_info()[1]
        # A client that goes away in the middle of an answer is what many tests are about.
        if crash is not None and not isinstance(crash, OSError | ConnectionCutError):
            self.crashes.append(crash)


class _Handler(BaseHTTPRequestHandler):
    """Answer the requests of one connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    @property
    def _model(self) -> Model:
        return cast("_Http", self.server).model

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (inherited name)
        """Stay silent."""

    def do_GET(self) -> None:
        """Answer a list of models or a response that was kept."""
        path, answer = self.path.partition("?")[0], self._begin()
        if answer.status >= 400 or answer.body is not None:
            self._send_scripted(error(answer.status), answer)
        elif "/responses/" in path:
            found = self._model.fetch(path.rpartition("/")[2])
            self._send_json(found or error(404), answer, 200 if found else 404)
        else:
            models = [{"id": m, "object": "model", "created": CREATED} for m in _MODELS]
            self._send_json({"object": "list", "data": models}, answer)

    def do_POST(self) -> None:
        """Answer a model call, a count of tokens, or nothing that the server knows."""
        request = _decoded(self._body())
        path = self.path.partition("?")[0]
        form = format_of(path)
        if form and request and not self._model.refuses.isdisjoint(request):
            self._respond(Exchange(path, form, request, Answer(status=400)))
            return
        answer = self._begin(None if request is None else request.get("model"))
        if request is None:
            self._send_json(error(400), answer, 400)
        elif path.endswith("/count_tokens"):
            self._send_json(count_tokens(request), answer)
        elif form is None:
            self._send_json(error(404), answer, 404)
        else:
            self._respond(Exchange(path, form, request, answer))

    def _begin(self, model: object = None) -> Answer:
        """Take the script's next answer; hold it back where the script says so."""
        answer = self._model.next_answer(model if isinstance(model, str) else None)
        if answer.gate is not None and answer.gate.after is None:
            answer.gate.wait_open()
        return answer

    def _respond(self, exchange: Exchange) -> None:
        answer = exchange.answer
        if not exchange.complete:
            answer = dataclasses.replace(answer, status=400)
            exchange = dataclasses.replace(exchange, answer=answer)
        if answer.ending == "hangup":
            self._model.note(exchange, None, reported=False)
            raise ConnectionCutError
        if answer.body is not None or answer.status >= 400:
            self._model.note(exchange, None, reported=False)
            self._send_scripted(exchange.form.error(answer.status), answer)
        else:
            self._speak(exchange)

    def _speak(self, exchange: Exchange) -> None:
        form, request, answer = exchange.form, exchange.request, exchange.answer
        said = self._model.say(exchange)
        whole = form.body(said, request)
        if whole.get("store"):
            self._model.keep(whole)
        if exchange.streams:
            events = events_sent(form.events(said, request), answer, form)
            reported = any(event.reports for event in events)
            self._model.note(exchange, said, reported, response_id=whole["id"])
            self._send_stream(encoded(events, answer), answer)
        elif request.get("background"):
            self._send_json(self._model.start(exchange, said, whole), answer)
        else:
            reported = answer.ending == "whole"
            self._model.note(exchange, said, reported, response_id=whole.get("id"))
            self._send_json(whole, answer)

    def _send_scripted(self, vendors_error: Json, answer: Answer) -> None:
        body = vendors_error if answer.body is None else answer.body
        if not isinstance(body, bytes):
            self._send_json(dict(body), answer)
        elif answer.headers.get("content-type", "").startswith(_EVENT_STREAM):
            self._send_stream(split_events(body), answer)
        else:
            self._send_body(body, answer, answer.status)

    def _send_json(self, body: Json, answer: Answer, status: int | None = None) -> None:
        encoded_body = b" " * answer.padding + json.dumps(body).encode()
        self._send_body(encoded_body, answer, status or answer.status)

    def _send_body(self, body: bytes, answer: Answer, status: int) -> None:
        compress, finish = compressor(answer.encoding)
        body = compress(body) + finish()
        length = {"content-length": str(len(body))}
        sent = body[: len(body) // 2] if answer.ending == "cut" else body
        self.wfile.write(self._head(status, "application/json", answer, length) + sent)
        if answer.ending == "cut":
            raise ConnectionCutError

    def _send_stream(self, events: Iterable[bytes], answer: Answer) -> None:
        kind = f"{_EVENT_STREAM}; charset=utf-8"
        self.wfile.write(self._head(answer.status, kind, answer, {"transfer-encoding": "chunked"}))
        for chunk in network_chunks(events, answer):
            self.wfile.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
        self.wfile.write(b"0\r\n\r\n")

    def _head(self, status: int, kind: str, answer: Answer, framing: Mapping[str, str]) -> bytes:
        encoding = {"content-encoding": answer.encoding} if answer.encoding else {}
        ids = {"request-id": "req_1", "x-request-id": "req_1"}
        headers = {"content-type": kind, **ids, **encoding, **answer.headers, **framing}
        phrase = self.responses.get(status, ("",))[0]
        lines = [f"HTTP/1.1 {status} {phrase}", *(f"{k}: {v}" for k, v in headers.items())]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    def _body(self) -> bytes:
        if self.headers.get("transfer-encoding") == "chunked":
            return b"".join(iter(self._chunk, b""))
        return self.rfile.read(int(self.headers.get("content-length") or 0))

    def _chunk(self) -> bytes:
        size = int(self.rfile.readline(), 16)
        return self.rfile.read(size + 2)[:size]


def _decoded(body: bytes) -> Json | None:
    """Return a request's JSON object, or ``None`` when it is none."""
    try:
        found: object = json.loads(body)
    except ValueError:
        return None
    return cast("Json", found) if isinstance(found, dict) else None

"""A server that answers Claude Code by a script for each agent, and the environment to meet it in.

Who asks is known by the system prompt; the answers of each agent come in their order, however many
ask at the same time. The account says what each answer used.
"""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple, cast

Json = dict[str, Any]


class Used(NamedTuple):
    """What an answer used, with inclusive totals."""

    agent: str
    answer: str
    input_tokens: int
    output_tokens: int


def say(text: str) -> list[Json]:
    return [{"type": "text", "text": text}]


def use(name: str, **arguments: Any) -> list[Json]:
    return [{"type": "tool_use", "name": name, "input": arguments}]


def ask(agent: str) -> list[Json]:
    """Start a sub-agent."""
    return use("Agent", description=f"ask {agent}", prompt="begin", subagent_type=agent)


class ClaudeServer:
    """Serve Anthropic's messages on loopback.

    Args:
        scripts: The answers of each agent: blocks, or a status; the last one is repeated.
    """

    def __init__(self, scripts: Mapping[str, list[list[Json] | int]]) -> None:
        self.scripts = {agent: list(script) for agent, script in scripts.items()}
        self.account: list[Used] = []
        self.asked: list[str] = []
        self.held, self.gate = threading.Event(), threading.Event()
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._http = _Http(self)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,))
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}"

    def close(self) -> None:
        self.gate.set()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def answer(self, request: Json) -> Json | int:
        """Give the next answer for who asks."""
        with self._lock:
            agent, number = self._who(request), next(self._numbers)
            self.asked.append(agent)
            script = self.scripts[agent]
            blocks = script[0] if len(script) == 1 else script.pop(0)
        if isinstance(blocks, int):
            return blocks
        return _message(request["model"], number, blocks)

    def hold(self, request: Json) -> None:
        """Stand at the gate where the user wants it."""
        if "wait at the gate" in json.dumps(request["messages"][-1]):
            self.held.set()
            self.gate.wait()

    def note(self, request: Json, message: Json) -> None:
        usage = message["usage"]
        cached = usage["cache_read_input_tokens"] + usage["cache_creation_input_tokens"]
        self.account.append(
            Used(
                self._who(request),
                message["id"],
                usage["input_tokens"] + cached,
                usage["output_tokens"],
            )
        )

    def _who(self, request: Json) -> str:
        system = json.dumps(request.get("system"))
        return next((agent for agent in self.scripts if f"I am the {agent}." in system), "nobody")


def _message(model: str, number: int, blocks: list[Json]) -> Json:
    content = [
        block | {"id": f"toolu_{number:04}_{index}"} if block["type"] == "tool_use" else block
        for index, block in enumerate(blocks)
    ]
    uses = any(block["type"] == "tool_use" for block in blocks)
    usage = {
        "input_tokens": 100 + number,
        "cache_creation_input_tokens": 20,
        "cache_read_input_tokens": 1000,
        "output_tokens": 30 + 2 * number,
    }
    return {
        "id": f"msg_{number:04}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": content,
        "stop_reason": "tool_use" if uses else "end_turn",
        "stop_sequence": None,
        "usage": usage,
    }


def _events(message: Json) -> Iterator[Json]:
    """Stream it; what the start says of the output is a placeholder, as in the vendor's."""
    early = message["usage"] | {"output_tokens": 1}
    yield {
        "type": "message_start",
        "message": message | {"content": [], "stop_reason": None, "usage": early},
    }
    for index, block in enumerate(message["content"]):
        if block["type"] == "text":
            empty, delta = {"text": ""}, {"type": "text_delta", "text": block["text"]}
        else:
            text = json.dumps(block["input"])
            empty, delta = {"input": {}}, {"type": "input_json_delta", "partial_json": text}
        yield {"type": "content_block_start", "index": index, "content_block": block | empty}
        yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    end = {"stop_reason": message["stop_reason"], "stop_sequence": None}
    yield {"type": "message_delta", "delta": end, "usage": message["usage"]}
    yield {"type": "message_stop"}


class _Http(ThreadingHTTPServer):
    daemon_threads = False

    def __init__(self, script: ClaudeServer) -> None:
        self.script = script
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Stay silent: a client that goes away is what some tests are about."""


class _Handler(BaseHTTPRequestHandler):
    """One request each: so that no thread waits for a client that is gone."""

    def log_message(self, *args: Any) -> None: ...

    def do_POST(self) -> None:
        script = cast(_Http, self.server).script
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if not self.path.partition("?")[0].endswith("/messages"):
            self._send(404, {"type": "error"})
            return
        script.hold(request)
        message = script.answer(request)
        if isinstance(message, int):
            error = {"type": "invalid_request_error", "message": "as scripted"}
            self._send(message, {"type": "error", "error": error})
            return
        script.note(request, message)
        with suppress(OSError):
            self._stream(message) if request.get("stream") else self._send(200, message)

    def do_GET(self) -> None:
        self._send(404, {"type": "error"})

    do_HEAD = do_GET  # noqa: N815 - as the base class wants it

    def _send(self, status: int, body: Json) -> None:
        self._head(status, "application/json")
        self.wfile.write(json.dumps(body).encode())

    def _stream(self, message: Json) -> None:
        self._head(200, "text/event-stream")
        for event in _events(message):
            self.wfile.write(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())
            self.wfile.flush()

    def _head(self, status: int, kind: str) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("connection", "close")
        self.end_headers()


def environment(url: str, home: Path) -> dict[str, str]:
    """Give what Claude Code is to see: the server, a home of its own, and no other traffic."""
    return {
        "ANTHROPIC_API_KEY": "sk-ant-dummy",
        "ANTHROPIC_BASE_URL": url,
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "CLAUDE_CONFIG_DIR": str(home / "claude"),
        "DISABLE_AUTOUPDATER": "1",
        "DISABLE_ERROR_REPORTING": "1",
        "DISABLE_TELEMETRY": "1",
        "HOME": str(home),
    }

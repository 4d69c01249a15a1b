"""Amazon Bedrock on this machine: its event streams, and a server that speaks them."""

from __future__ import annotations

import base64
import json
import struct
import threading
import time
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

JSON = "application/json"
EVENT_STREAM = "application/vnd.amazon.eventstream"


def compact(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def message(headers: dict[str, str], payload: bytes) -> bytes:
    """Render one message of an event stream."""
    head = b"".join(
        struct.pack(">B", len(name)) + name.encode() + struct.pack(">BH", 7, len(text)) + text
        for name, value in headers.items()
        for text in [value.encode()]
    )
    prelude = struct.pack(">II", 16 + len(head) + len(payload), len(head))
    whole = prelude + struct.pack(">I", zlib.crc32(prelude)) + head + payload
    return whole + struct.pack(">I", zlib.crc32(whole))


def event(kind: str, payload: object) -> bytes:
    """Render an event as Bedrock orders its headers."""
    headers = {":event-type": kind, ":content-type": JSON, ":message-type": "event"}
    return message(headers, compact(payload))


def chunk(payload: object) -> bytes:
    """Render an event of InvokeModelWithResponseStream, which wraps one of the model's own."""
    wrapped = base64.b64encode(compact(payload)).decode()
    return event("chunk", {"bytes": wrapped, "p": "abcdefgh"})


def failure(kind: str) -> bytes:
    """Render an exception in a stream."""
    headers = {":exception-type": kind, ":content-type": JSON, ":message-type": "exception"}
    return message(headers, compact({"message": "Too many tokens, please wait."}))


USAGE = {"inputTokens": 5, "outputTokens": 3, "totalTokens": 8}


def converse(**more: Any) -> dict[str, Any]:
    """Give a small answer of Converse."""
    said = {"message": {"role": "assistant", "content": [{"text": "hi"}]}}
    return {
        "output": said,
        "stopReason": "end_turn",
        "usage": USAGE,
        "metrics": {"latencyMs": 7},
    } | more


def converse_events(usage: dict[str, Any] = USAGE) -> list[bytes]:
    """Give the events of a small answer of ConverseStream."""
    delta = {"contentBlockIndex": 0, "delta": {"text": "hi"}, "p": "abc"}
    return [
        event("messageStart", {"role": "assistant", "p": "abcdef"}),
        event("contentBlockDelta", delta),
        event("contentBlockDelta", delta),
        event("contentBlockStop", {"contentBlockIndex": 0, "p": "a"}),
        event("messageStop", {"stopReason": "end_turn", "p": "ab"}),
        event("metadata", {"usage": usage, "metrics": {"latencyMs": 7}, "p": "abcd"}),
    ]


CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"


def claude(**usage: Any) -> dict[str, Any]:
    """Give a small message of Claude."""
    return {
        "id": "msg_bdrk_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4-5-20250929",
        "content": [{"type": "text", "text": "hi"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 5, "output_tokens": 3, **usage},
    }


def claude_events() -> list[dict[str, Any]]:
    """Give the events of a small message of Claude, as Bedrock wraps them."""
    start = claude() | {"content": [], "stop_reason": None}
    start["usage"] = {"input_tokens": 5, "output_tokens": 1}
    delta = {"type": "text_delta", "text": "hi"}
    metrics = {"inputTokenCount": 5, "outputTokenCount": 3, "invocationLatency": 7}
    return [
        {"type": "message_start", "message": start},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": delta},
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"output_tokens": 3},
        },
        {"type": "message_stop", "amazon-bedrock-invocationMetrics": metrics},
    ]


MEASURED = {
    "x-amzn-bedrock-input-token-count": "5",
    "x-amzn-bedrock-output-token-count": "3",
    "x-amzn-bedrock-invocation-latency": "7",
}


@dataclass
class Reply:
    """What the server does with one request.

    Args:
        status: The HTTP status.
        body: The parts of the body, each sent as one piece.
        headers: Headers beside its type and its length.
        content_type: The type of the body.
        chunked: The body goes out in chunks; else its length is said.
        short: Bytes that the length promises and that never come.
        stalls: Nothing follows until the server ends.
        hangs_up: The connection is closed without an answer.
    """

    status: int = 200
    body: list[bytes] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = JSON
    chunked: bool = False
    short: int = 0
    stalls: bool = False
    hangs_up: bool = False


def throttled() -> Reply:
    said = {"x-amzn-errortype": "ThrottlingException:http://internal.amazon.com/coral/x/"}
    return Reply(429, [compact({"message": "Too many requests"})], said)


def default_reply(path: str) -> Reply:
    """Answer as Bedrock would, by the operation."""
    head = {"x-amzn-requestid": "req-1"}
    operation = path.rpartition("/")[2]
    if operation == "converse":
        return Reply(body=[compact(converse())], headers=head)
    if operation == "converse-stream":
        return Reply(200, converse_events(), head, EVENT_STREAM, chunked=True)
    if operation == "invoke":
        return Reply(body=[compact(claude())], headers=head | MEASURED)
    if operation == "invoke-with-response-stream":
        chunks = [chunk(said) for said in claude_events()]
        head |= {"x-amzn-bedrock-content-type": JSON}
        return Reply(200, chunks, head, EVENT_STREAM, chunked=True)
    return Reply(404, [compact({"message": "no such operation"})])


class Bedrock:
    """A server that answers Converse and InvokeModel, with a script for what is unusual."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.script: list[Reply] = []
        self._over = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._over.set()
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                outer.requests.append((self.path, dict(self.headers), body))
                reply = outer.script.pop(0) if outer.script else default_reply(self.path)
                try:
                    self._answer(reply)
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True

            do_GET = do_PUT = do_POST  # noqa: N815

            def _answer(self, reply: Reply) -> None:
                if reply.hangs_up:
                    self.close_connection = True
                    return
                self.send_response(reply.status)
                self.send_header("content-type", reply.content_type)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                if reply.chunked:
                    self.send_header("transfer-encoding", "chunked")
                else:
                    size = sum(map(len, reply.body)) + reply.short
                    self.send_header("content-length", str(size))
                self.end_headers()
                for part in _framed(reply.body) if reply.chunked else reply.body:
                    self.wfile.write(part)
                    self.wfile.flush()
                if reply.stalls:
                    outer._over.wait(30)
                elif reply.chunked and not reply.short:
                    self.wfile.write(b"0\r\n\r\n")
                self.close_connection = bool(reply.short or reply.stalls)

            def log_message(self, *_args: object) -> None:
                """Say nothing."""

        return Handler


def _framed(parts: Iterable[bytes]) -> Iterator[bytes]:
    return (b"%x\r\n%b\r\n" % (len(part), part) for part in parts)


def wait_until(true: Any, seconds: float = 5.0) -> None:
    """Wait for what another thread does."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.001)

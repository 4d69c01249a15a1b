"""A local HTTP server that answers as a function says, for what `ModelServer` does not speak."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple


class Asked(NamedTuple):
    """A request as the server got it."""

    method: str
    path: str
    kind: str
    body: bytes
    headers: Mapping[str, str] = {}

    @property
    def json(self) -> dict[str, Any]:
        """The body, where it is a JSON object."""
        is_json = self.body and self.kind.startswith("application/json")
        return json.loads(self.body) if is_json else {}


class Told(NamedTuple):
    """What the server answers."""

    body: bytes
    kind: str = "application/json"
    status: int = 200
    headers: Mapping[str, str] = {}


def told(value: object, status: int = 200) -> Told:
    """Answer with JSON."""
    return Told(json.dumps(value).encode(), status=status)


DONE = "event: done\ndata: [DONE]\n\n"


def events(*values: Any, end: str = DONE) -> Told:
    """Answer with server-sent events, named as they are typed or as a pair says."""
    named = (value if isinstance(value, tuple) else (value.get("type"), value) for value in values)
    texts = (f"event: {name}\ndata: {json.dumps(value)}\n\n" for name, value in named)
    return Told("".join([*texts, end]).encode(), "text/event-stream")


@contextlib.contextmanager
def serving(answer: Callable[[Asked], Told]) -> Iterator[str]:
    """Serve on 127.0.0.1 while the block runs; gives the address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, *_args: object) -> None:
            """Stay silent."""

        def _do(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            kind = self.headers.get("content-type") or ""
            headers = {name.lower(): value for name, value in self.headers.items()}
            path = self.path.partition("?")[0]
            said = answer(Asked(self.command, path, kind, body, headers))
            self.send_response(said.status)
            self.send_header("content-type", said.kind)
            self.send_header("content-length", str(len(said.body)))
            for name, value in said.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(said.body)

        do_GET = do_POST = _do  # noqa: N815 (inherited names)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

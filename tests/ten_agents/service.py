"""A sub-agent behind HTTP: a server of its own process, which works for whoever asks.

Started with the address of the model server and the folder; says its port, and ends with its input.
"""

from __future__ import annotations

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import tokenmeter
from ten_agents.work import Agent, Place
from tokenmeter import attribute, extract


def main() -> None:
    place = Place(*sys.argv[1:])
    place.begin("service.jsonl")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
            with (
                extract(self.headers),  # type: ignore[arg-type]
                attribute(agent="searcher"),
                Agent(place, asked["id"], "searcher") as me,
            ):
                me.listens_to_claude()
                me.chats()
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_args: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    print(server.server_port, flush=True)
    sys.stdin.read()
    server.shutdown()
    thread.join()
    server.server_close()
    tokenmeter.shutdown()


if __name__ == "__main__":
    main()

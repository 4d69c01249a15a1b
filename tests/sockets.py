"""A server of raw bytes: it sends the pieces of an answer one by one, exactly as a test says."""

from __future__ import annotations

import contextlib
import re
import socket
import struct
import threading
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from tokenmeter.testing import Gate

Piece = bytes | Gate | None
"""Bytes to send, a gate to wait at, or ``None``: break the connection off here."""


def head(*headers: str, status: str = "200 OK") -> bytes:
    """Give the head of an answer."""
    return "\r\n".join([f"HTTP/1.1 {status}", *headers, "", ""]).encode()


def chunked(*chunks: bytes, end: bytes = b"0\r\n\r\n") -> list[bytes]:
    """Frame chunks, one piece each."""
    return [*(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks), end]


class RawServer:
    """Give every connection the next answer, then close it; keeps the requests that came."""

    def __init__(self, *answers: Iterable[Piece]) -> None:
        self._answers = [list(answer) for answer in answers]
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.requests: list[bytes] = []
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    @property
    def url(self) -> str:
        return f"{self.origin}/v1/chat/completions"

    def _serve(self) -> None:
        for answer in self._answers:
            connection, _ = self._socket.accept()
            with connection, contextlib.suppress(OSError):  # whoever asked is gone
                self.requests.append(_request(connection))
                _answer(connection, answer)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for piece in (piece for answer in self._answers for piece in answer):
            if isinstance(piece, Gate):
                piece.open()
        while self._thread.is_alive():  # for answers that nobody asked for
            with contextlib.suppress(OSError):
                socket.create_connection(self._socket.getsockname(), 1).close()
            self._thread.join(0.01)
        self._socket.close()


def _request(connection: socket.socket) -> bytes:
    received = b""
    while not _is_whole(received):
        data = connection.recv(65536)
        if not data:
            break
        received += data
    return received


def _is_whole(received: bytes) -> bool:
    if received.startswith(b"\x16"):  # a handshake of TLS, which this server does not speak
        return True
    before, ended, body = received.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: *(\d+)", before, re.IGNORECASE)
    if length is None:
        return bool(ended) and (b"chunked" not in before.lower() or body.endswith(b"0\r\n\r\n"))
    return bool(ended) and len(body) >= int(length[1])


def _answer(connection: socket.socket, pieces: Iterable[Piece]) -> None:
    for piece in pieces:
        if isinstance(piece, Gate):
            piece.wait_open()
        elif piece is None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return
        else:
            connection.sendall(piece)

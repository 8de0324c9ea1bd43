"""Servers that misbehave on the level of sockets: they count connections, never end, or swell up when unpacked."""

from __future__ import annotations

import socket
import threading
import time
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

__all__ = ["Listener", "answering", "bomb", "endless", "trickle"]

Body = Iterable[bytes]


@dataclass
class Listener:
    """A port of this machine, and how often somebody connected to it."""

    url: str
    port: int
    connections: list[float] = field(default_factory=list)
    closed: threading.Event = field(default_factory=threading.Event)


@contextmanager
def answering(body: Body, *headers: str, host: str = "127.0.0.1", status: str = "200 OK") -> Iterator[Listener]:
    """Answers every request with the status, these headers and the body, until the other side goes away.

    Args:
        body: pieces, each sent at once; asked for anew for each connection, so no iterator.
    """
    with socket.create_server((host, 0)) as server:
        port = server.getsockname()[1]
        listener = Listener(url=f"http://{host}:{port}/v.mp4", port=port)
        threading.Thread(
            target=_serve, args=(server, listener, body, (f"HTTP/1.1 {status}", *headers)), daemon=True
        ).start()
        yield listener
        listener.closed.set()
        server.shutdown(socket.SHUT_RDWR)


def _serve(server: socket.socket, listener: Listener, body: Body, headers: tuple[str, ...]) -> None:
    with suppress(OSError):
        while True:
            connection, _ = server.accept()
            listener.connections.append(time.monotonic())
            threading.Thread(target=_answer, args=(connection, listener, body, headers), daemon=True).start()


def _answer(connection: socket.socket, listener: Listener, body: Body, headers: tuple[str, ...]) -> None:
    with suppress(OSError), connection:
        asked = connection.recv(65536)
        connection.sendall("\r\n".join([*headers, "Connection: close", "", ""]).encode())
        if asked.startswith(b"GET"):
            for piece in body:
                connection.sendall(piece)
                if listener.closed.is_set():
                    break


class endless:
    """A body of media (by its first bytes) that never ends."""

    def __init__(self, first: bytes) -> None:
        self._first = first

    def __iter__(self) -> Iterator[bytes]:
        yield self._first
        while True:
            yield bytes(1 << 16)


class trickle:
    """A body that goes on for ever, a few bytes at a time."""

    def __init__(self, first: bytes, *, every_s: float) -> None:
        self._first, self._every_s = first, every_s

    def __iter__(self) -> Iterator[bytes]:
        yield self._first
        while True:
            threading.Event().wait(self._every_s)
            yield bytes(8)


class bomb:
    """Gzip of so much, some 1,000 times smaller; made piece by piece when it is asked for."""

    def __init__(self, first: bytes, *, size_mb: int) -> None:
        self._first, self._size_mb = first, size_mb

    def __iter__(self) -> Iterator[bytes]:
        zipped = zlib.compressobj(9, wbits=31)
        yield zipped.compress(self._first)
        for _ in range(self._size_mb):
            yield zipped.compress(bytes(1_000_000))
        yield zipped.flush()

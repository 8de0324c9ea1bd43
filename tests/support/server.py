"""A real HTTP server on 127.0.0.1 that serves a folder, and misbehaves where it is told to."""

from __future__ import annotations

import hashlib
import random
import re
import socket
import struct
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from urllib.parse import parse_qs, unquote, urlsplit

__all__ = ["MediaServer", "Request"]

_TYPES = {
    ".mp4": "video/mp4",
    ".webm": "video/webm",
    ".ts": "video/mp2t",
    ".m3u8": "application/vnd.apple.mpegurl",
    ".html": "text/html; charset=utf-8",
    ".wav": "audio/wav",
    ".csv": "text/csv",
}
_BLOCK = 16 * 1024


@dataclass(frozen=True)
class Request:
    """One request as it came in."""

    method: str
    path: str
    """Decoded, without the query."""
    range: str | None
    """The `Range` header."""
    cookie: str | None


class MediaServer:
    """Serves the files of a folder over HTTP/1.1, with `Range`. Use as a context manager.

    What a URL does is said by its first folder; what follows is a file of the served folder, or another of these:

    ==============================  ================================================================================
    `/FILE`                         the file
    `/page/FILE`                    an HTML page with a `<video>` that points to `/FILE`
    `/status/CODE/...`              this status, always; `?retry_after=S` adds the header
    `/flaky/N/CODE/FILE`            this status for the first N requests of this URL, then the file
    `/break/FILE`                   media break off after a third, unless asked with a `Range` from there on
    `/break-always/FILE`            media break off after a third of what is asked for, while that is over 1 kB
    `/reset/FILE`                   every connection is reset before an answer
    `/slow/KB_S/FILE`               at most so many kilobytes a second
    `/redirect/FILE`                302 to `/FILE`; `?to=URL` redirects anywhere
    `/loop/...`                     302 to itself
    `/type/MAJOR/MINOR/FILE`        the file under this content type
    `/empty/...`                    200 and no bytes
    `/token/FILE`                   401 unless asked with `?token=open-sesame`
    `/swap/N/FIRST/SECOND`          FIRST, breaking off as above, until it was gone on with N times; then SECOND, whole
    ==============================  ================================================================================

    Any file may be asked for with `?etag`, `?dated` (a `Last-Modified`), `?whole` (a `Range` is not heeded) or
    `?starred` (no size of the whole in `Content-Range`).

    Args:
        folder: what is served.
        failure_share: this share of all requests fails at random: 500, a break-off in the middle, or a reset.
        seed: of the random failures. They depend on the order of requests, so on threads.
        host: the address to listen on.
    """

    def __init__(self, folder: Path, *, failure_share: float = 0.0, seed: int = 0, host: str = "127.0.0.1") -> None:
        self.folder = folder.resolve()
        self.failure_share = failure_share
        self.requests: list[Request] = []
        """Every request so far, in the order of arrival."""
        self.bytes_sent = 0
        """Of bodies only."""
        self._rng = random.Random(seed)
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._httpd = _Server((host, 0), _Handler)
        self._httpd.media = self
        self._thread = threading.Thread(target=self._httpd.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def __enter__(self) -> MediaServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._httpd.shutdown()
        self._httpd.server_close()
        self._thread.join()

    @property
    def port(self) -> int:
        """The free port that was taken."""
        port: int = self._httpd.server_address[1]
        return port

    def url(self, path: str) -> str:
        """The full URL of a path, as `server.url("break/a.mp4")`."""
        return f"http://127.0.0.1:{self.port}/{path.lstrip('/')}"

    def ranges(self, path: str) -> list[str]:
        """The `Range` headers of all requests of a path that had one."""
        return [seen.range for seen in self.requests if seen.path == f"/{path.lstrip('/')}" and seen.range]

    def record(self, request: Request) -> int:
        """Keep a request; gives how many of the same URL came before it."""
        with self._lock:
            self.requests.append(request)
            self._counts[request.path] += 1
            return self._counts[request.path] - 1

    def count_bytes(self, number: int) -> None:
        """Add to `bytes_sent`."""
        with self._lock:
            self.bytes_sent += number

    def draw_failure(self) -> str | None:
        """What goes wrong with this request, by chance: `status`, `break`, `reset` or nothing."""
        with self._lock:
            if self._rng.random() >= self.failure_share:
                return None
            return self._rng.choice(["status", "break", "reset"])


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    media: MediaServer

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that go away are part of the tests; nothing is printed."""


@dataclass
class _Body:
    """How a file is sent."""

    path: Path
    content_type: str
    break_after: float | None = None
    """The share of the owed bytes after which the connection breaks off."""
    kb_s: float | None = None
    query: dict[str, str] = field(default_factory=dict)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is printed."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        path = unquote(parts.path)
        media = self.server.media
        before = media.record(Request(self.command, path, self.headers.get("Range"), self.headers.get("Cookie")))
        failure = media.draw_failure()
        if failure == "status":
            self._answer(500, b"by chance")
        elif failure == "reset":
            self._reset()
        else:
            query = {name: values[-1] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
            self._route(path.lstrip("/"), query, before, 0.5 if failure == "break" else None)

    def _route(self, path: str, query: dict[str, str], before: int, break_after: float | None) -> None:
        kind, _, rest = path.partition("/")
        file = rest.rpartition("/")[2] if kind in ("flaky", "slow", "type") else rest
        if kind == "status":
            headers = {"Retry-After": query["retry_after"]} if "retry_after" in query else {}
            self._answer(int(rest.partition("/")[0]), b"as told", headers)
        elif kind == "token" and query.get("token") != "open-sesame":
            self._answer(401, b"who are you?")
        elif kind == "flaky" and before < int(rest.split("/")[0]):
            self._answer(int(rest.split("/")[1]), b"not yet")
        elif kind == "page":
            page = f'<!doctype html><html><head><title>A page</title></head><body><video src="/{rest}"></video></body>'
            self._answer(200, page.encode(), {"Content-Type": _TYPES[".html"]})
        elif kind == "redirect":
            self._answer(302, b"", {"Location": query.get("to", f"/{rest}")})
        elif kind == "loop":
            self._answer(302, b"", {"Location": self.path})
        elif kind == "reset":
            self._reset()
        elif kind == "empty":
            self._answer(200, b"", {"Content-Type": "video/mp4"})
        else:
            if kind == "swap":
                turns, first, second = rest.split("/")
                is_first = len(self.server.media.ranges(path)) <= int(turns)
                kind, file = ("break-always", first) if is_first else ("swap", second)
            body = _Body(
                self.server.media.folder / (file if kind in _FILE_KINDS else path), "", break_after, query=query
            )
            self._shape(body, kind, rest)
            self._send(body)

    def _shape(self, body: _Body, kind: str, rest: str) -> None:
        body.content_type = _TYPES.get(body.path.suffix, "application/octet-stream")
        is_media = body.path.suffix not in (".m3u8", ".html")
        if is_media and (kind == "break-always" or (kind == "break" and self.headers.get("Range") is None)):
            body.break_after = 1 / 3
        elif kind == "slow":
            body.kb_s = float(rest.split("/")[0])
        elif kind == "type":
            body.content_type = "/".join(rest.split("/")[:2])

    def _send(self, body: _Body) -> None:
        path = body.path.resolve()
        if not path.is_file() or not path.is_relative_to(self.server.media.folder):
            self._answer(404, b"no such file")
            return
        data = path.read_bytes()
        start, end, status = 0, len(data), 200
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if asked is not None and "whole" not in body.query:
            start, end, status = int(asked[1]), min(int(asked[2] or len(data)) + 1, len(data)), 206
        if start >= end and status == 206:
            self._answer(416, b"", {"Content-Range": f"bytes */{len(data)}"})
            return
        self.send_response(status)
        self.send_header("Content-Type", body.content_type)
        self.send_header("Content-Length", str(end - start))
        if "etag" in body.query:
            self.send_header("ETag", f'"{hashlib.sha256(data).hexdigest()[:16]}"')
        if "dated" in body.query:
            self.send_header("Last-Modified", formatdate(path.stat().st_mtime, usegmt=True))
        if status == 206:
            size = "*" if "starred" in body.query else len(data)
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{size}")
        self.end_headers()
        if self.command == "GET":
            self._pour(data[start:end], body)

    def _pour(self, data: bytes, body: _Body) -> None:
        stop = len(data) if body.break_after is None else min(max(int(len(data) * body.break_after), 1024), len(data))
        step = _BLOCK if body.kb_s is None else max(int(body.kb_s * 1000 * 0.05), 1)
        for place in range(0, stop, step):
            block = data[place : min(place + step, stop)]
            self.wfile.write(block)
            self.server.media.count_bytes(len(block))
            if body.kb_s is not None:
                time.sleep(0.05)
        if stop < len(data):
            self.wfile.flush()
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

    def _answer(self, status: int, data: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "text/plain", "Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)

    def _reset(self) -> None:
        """Close so that the other side sees `connection reset` and not an orderly end."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()


_FILE_KINDS = {"break", "break-always", "slow", "type", "flaky", "swap", "token"}

"""A real HTTP proxy in front of a server that breaks down when told to."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx

__all__ = ["FlakyProxy", "flaky_proxy"]


class FlakyProxy:
    """Passes requests on, but for those that match a fault."""

    def __init__(self, target: str) -> None:
        self.target = target
        self.url = ""
        self._faults: list[tuple[re.Pattern[str], int, list[int]]] = []
        self.asked: list[str] = []

    def fail(self, pattern: str, *, status: int = 500, times: int = 10**9, skip: int = 0) -> None:
        """Answer requests `METHOD path` that match with an error (0: hang up), after `skip` of them, so many times."""
        self._faults.append((re.compile(pattern), status, [skip, times]))

    def heal(self) -> None:
        """No more faults."""
        self._faults.clear()

    def fault(self, request: str) -> int | None:
        """The error to answer with, if any."""
        for pattern, status, left in self._faults:
            if pattern.search(request):
                if left[0] > 0:
                    left[0] -= 1
                elif left[1] > 0:
                    left[1] -= 1
                    return status
        return None


@contextmanager
def flaky_proxy(target: str) -> Iterator[FlakyProxy]:
    """A proxy to a server, as long as the block runs."""
    proxy = FlakyProxy(target)
    with httpx.Client(base_url=target, timeout=60) as upstream:

        class Handler(BaseHTTPRequestHandler):
            def _pass_on(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                request = f"{self.command} {self.path}"
                proxy.asked.append(request)
                status = proxy.fault(request)
                if status == 0:
                    self.close_connection = True
                    return
                headers = {
                    name: self.headers[name] for name in ("Authorization", "Content-Type") if name in self.headers
                }
                if status is None:
                    answer = upstream.request(self.command, self.path, content=body, headers=headers)
                    self._answer(answer.status_code, answer.content, answer.headers.get("Content-Type", ""))
                else:
                    self._answer(status, b"broken", "text/plain")

            do_GET = do_POST = do_PATCH = do_DELETE = _pass_on

            def _answer(self, status: int, body: bytes, kind: str) -> None:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        proxy.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            server.shutdown()
            server.server_close()

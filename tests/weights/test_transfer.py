"""A file from an address: cut off, exchanged on the way, of another length, a page in its place."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from avis_data.errors import AvisError, ConfigError, DataError, ToolError
from avis_data.weights.transfer import RECORD_SUFFIX, download, forget
from support.hostile_servers import answering
from support.machine_faults import small_disk
from support.server import MediaServer

DATA = bytes(range(256)) * 800
OTHER = bytes(reversed(range(256))) * 800


@pytest.fixture
def server(tmp_path: Path) -> Iterator[MediaServer]:
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / "a.bin").write_bytes(DATA)
    (folder / "b.bin").write_bytes(OTHER)
    for place, path in enumerate(sorted(folder.iterdir())):
        os.utime(path, (1e9 + place, 1e9 + place))
    with MediaServer(folder) as server:
        yield server


@pytest.fixture
def part(tmp_path: Path) -> Path:
    return tmp_path / "home" / ".part-a.bin"


def fetch(server: MediaServer, path: str, part: Path, size_bytes: int | None = None) -> bytes:
    download(server.url(path), part, size_bytes=size_bytes, wait_s=0)
    return part.read_bytes()


@pytest.mark.parametrize("query", ["", "?etag", "?dated", "?etag&starred", "?etag&whole"])
@pytest.mark.parametrize("way", ["a.bin", "break/a.bin", "flaky/3/503/a.bin", "redirect/a.bin", "flaky/2/429/a.bin"])
def test_the_bytes_are_those_of_the_server(server: MediaServer, part: Path, way: str, query: str) -> None:
    if way.startswith("break") and not query:
        with pytest.raises(ToolError):
            fetch(server, way, part)  # what breaks off each time and cannot be gone on with
        return
    assert fetch(server, way + query, part, len(DATA)) == DATA


def test_what_was_cut_off_goes_on_where_it_stopped(server: MediaServer, part: Path) -> None:
    assert fetch(server, "break-always/a.bin?etag", part) == DATA
    assert len(server.ranges("break-always/a.bin")) > 5, "each try that gets further gives new tries"
    assert server.bytes_sent <= len(DATA), "nothing was sent twice"


def test_a_second_run_goes_on_too_and_only_with_the_same_address(server: MediaServer, part: Path) -> None:
    with pytest.raises(ToolError) as caught:
        fetch(server, "break/a.bin", part, len(DATA))
    kept = len(DATA) // 3
    assert f"{kept:,} bytes of {len(DATA):,} are kept" in str(caught.value) and part.stat().st_size == kept
    forget(part)
    part.write_bytes(DATA[:kept])
    part.with_name(part.name + RECORD_SUFFIX).write_text("{}")
    assert fetch(server, "a.bin?etag", part) == DATA, "of a part of which nothing is known nothing is used"
    assert not server.ranges("a.bin")
    part.write_bytes(DATA[:kept])
    assert fetch(server, "a.bin?etag", part) == DATA
    assert server.ranges("a.bin") == [f"bytes={kept}-"]
    part.write_bytes(DATA[:kept])
    assert fetch(server, "b.bin?etag", part) == OTHER, "the part of another address is not glued to this one"


@pytest.mark.parametrize("query", ["?etag", "?dated", "?etag&dated", ""])
@pytest.mark.parametrize("turns", [0, 1, 2])
def test_a_file_that_was_exchanged_is_never_glued_together(
    server: MediaServer, part: Path, turns: int, query: str
) -> None:
    path = f"swap/{turns}/a.bin/b.bin{query}"
    if query:
        assert fetch(server, path, part) == OTHER
    else:
        with pytest.raises(ToolError):
            fetch(server, path, part)  # it says nothing by which a part could be gone on with


FAULTS = [
    ("status/404/a.bin", ToolError, "no such file (HTTP 404)"),
    ("status/410/a.bin", ToolError, "no such file (HTTP 410)"),
    ("status/401/a.bin", ToolError, "wants to know who asks (HTTP 401)"),
    ("status/403/a.bin", ToolError, "wants to know who asks (HTTP 403)"),
    ("status/407/a.bin", ToolError, "wants to know who asks (HTTP 407)"),
    ("status/451/a.bin", ToolError, "answers HTTP 451"),
    ("status/503/a.bin", ToolError, "HTTP 503"),
    ("page/a.bin", ToolError, "a page or a packed answer came in place of the file (text/html)"),
    ("loop/a.bin", ToolError, "is sent on again and again"),
    ("reset/a.bin", ToolError, "goes on where it broke off"),
    ("empty/a.bin", DataError, "serves a file of 0 bytes"),
    ("redirect/a.bin?to=ftp://127.0.0.1/a.bin", ConfigError, "cannot be asked for"),
]


@pytest.mark.parametrize(("path", "kind", "words"), FAULTS)
def test_what_is_not_the_file_is_told(
    server: MediaServer, part: Path, path: str, kind: type[AvisError], words: str
) -> None:
    with pytest.raises(kind) as caught:
        fetch(server, path, part, len(DATA))
    assert words in str(caught.value) and "--from" in str(caught.value)
    assert "0x" not in str(caught.value), "no object of a library in the words"
    assert fetch(server, "a.bin", part, len(DATA)) == DATA, "and nothing of it is in the way of the next run"


def test_a_file_of_another_length_is_refused_before_it_is_fetched(server: MediaServer, part: Path) -> None:
    with pytest.raises(DataError, match=r"serves a file of 204,800 bytes, the published one has 7"):
        fetch(server, "slow/1/a.bin", part, 7)
    with answering([b"x" * 4096] * 1000, "Content-Type: application/octet-stream") as endless:
        with pytest.raises(DataError, match="more than 9,000 bytes"):
            download(endless.url, part, size_bytes=9000, wait_s=0)
    assert part.stat().st_size <= 9000


@pytest.mark.parametrize("url", ["ftp://x.org/a.bin", "file:///etc/passwd", "https:", "http://", "http://[::1/a"])
def test_what_is_no_address_is_told(part: Path, url: str) -> None:
    with pytest.raises((ConfigError, ToolError)):
        download(url, part, wait_s=0)
    assert not part.exists()


def test_no_server_and_no_host_are_told_with_what_helps(part: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(ToolError, match="refused"):
        download(f"http://127.0.0.1:{port}/a.bin", part, wait_s=0)


def test_secrets_of_an_address_are_not_told(server: MediaServer, part: Path) -> None:
    url = server.url("status/404/a.bin?token=hunter2").replace("http://", "http://me:pass@")
    with pytest.raises(ToolError) as caught:
        download(url, part, wait_s=0)
    assert "hunter2" not in str(caught.value) and "pass" not in str(caught.value)


def test_a_full_disk_is_told_before_and_keeps_what_came(server: MediaServer, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 100) as disk:
        with pytest.raises(OSError, match="No space left"):
            fetch(server, "a.bin?etag", disk / ".part-a", len(DATA))
        assert not (disk / ".part-a").exists(), "what cannot fit is not begun"
        (disk / "filler").write_bytes(b"")


@contextmanager
def forward_proxy(data: bytes) -> Iterator[tuple[str, list[str]]]:
    """A proxy that answers every address with the data; and the addresses that it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def do_CONNECT(self) -> None:
            asked.append(self.path)
            self.send_error(403, "not through here")

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_proxy_of_the_environment_is_used_and_blamed(part: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    with forward_proxy(DATA) as (proxy, asked):
        monkeypatch.setenv("HTTP_PROXY", proxy)
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        download("http://weights.example/a.bin", part, wait_s=0)
        assert part.read_bytes() == DATA and asked == ["http://weights.example/a.bin"]
        with pytest.raises(ToolError, match="the proxy does not let it through") as caught:
            download("https://weights.example/b.bin", part.with_name(".part-b"), wait_s=0)
    assert "HTTPS_PROXY" in str(caught.value)

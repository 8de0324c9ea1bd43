"""No link that a stranger wrote leads to this machine or to a private network, whatever way it takes."""

from __future__ import annotations

import ipaddress
import random
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from avis_data.errors import Reason
from avis_data.ledger import Ledger
from avis_data.paths import Workspace
from avis_data.pipelines.download import addresses
from support import shell
from support.fetching import failure, fetch
from support.hostile_servers import Listener, answering
from support.server import MediaServer

PUBLIC = "127.0.0.2"
"""Stands for the open internet in these tests; everything else on this machine is what it is."""

SPELLINGS = (
    "127.0.0.1", "127.1", "2130706433", "0x7f000001", "0x7f.0.0.1", "0177.0.0.1", "017700000001", "localhost",
    "127.0.0.1.", "0.0.0.0", "0", "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "127.8.9.10",
    "%31%32%37.0.0.1", "user:pw@127.0.0.1",
)  # fmt: skip

NOT_PUBLIC = (
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.127.255.254", "127.0.0.1", "127.255.0.1", "169.254.169.254",
    "169.254.170.2", "172.16.0.1", "172.31.255.255", "192.0.0.192", "192.0.2.1", "192.168.1.1", "198.18.0.1",
    "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255", "::", "::1",
    "::127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::ffff:0:192.168.0.1", "64:ff9b::7f00:1",
    "64:ff9b:1::7f00:1", "2002:7f00:1::", "2002:c0a8:101::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%eth0",
    "fec0::1", "ff02::1", "2001:db8::1", "100::1",
)  # fmt: skip

ARE_PUBLIC = (
    "1.1.1.1", "8.8.8.8", "100.63.255.255", "100.128.0.1", "172.15.0.1", "172.32.0.1", "192.169.0.1", "169.253.1.1",
    "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1",
)  # fmt: skip


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_these_addresses_are_not_public(address: str) -> None:
    assert not addresses.is_public(address)


@pytest.mark.parametrize("address", ARE_PUBLIC)
def test_these_addresses_are_public(address: str) -> None:
    assert addresses.is_public(address)


def test_no_wrapping_makes_a_private_address_public() -> None:
    rng = random.Random(20261128)
    networks = [ipaddress.ip_network(text) for text in ("10.0.0.0/8", "127.0.0.0/8", "100.64.0.0/10", "192.168.0.0/16")]
    wrappings: list[Callable[[int], int]] = [
        lambda ip: ip,
        lambda ip: 0xFFFF << 32 | ip,
        lambda ip: 0xFFFF << 48 | ip,
        lambda ip: 0x64FF9B << 96 | ip,
        lambda ip: 0x2002 << 112 | ip << 80 | rng.getrandbits(64),
        lambda ip: 0x20010000 << 96 | rng.getrandbits(32) << 64 | (ip ^ 0xFFFFFFFF),
    ]
    for _ in range(2000):
        network = rng.choice(networks)
        inner = int(network.network_address) + rng.randrange(network.num_addresses)
        assert not addresses.is_public(str(ipaddress.IPv6Address(rng.choice(wrappings)(inner))))


# Ways into a private network, each with an address that the listener of the test has


@pytest.fixture
def public(monkeypatch: pytest.MonkeyPatch) -> None:
    """127.0.0.2 counts as an address of the open internet."""
    real = addresses.is_public
    monkeypatch.setattr(addresses, "is_public", lambda text: text == PUBLIC or real(text))


@pytest.fixture
def inner() -> Iterator[Listener]:
    """What must not be reached: a server on this machine that would answer."""
    with answering([b"secret"], "Content-Type: video/mp4", host="0.0.0.0") as listener:  # every spelling
        yield listener


HEAD = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2\n"
KEY = '#EXT-X-KEY:METHOD=AES-128,URI="{url}"\n'
MPD = """<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT4S"
 profiles="urn:mpeg:dash:profile:isoff-main:2011"><Period><AdaptationSet mimeType="video/mp4"><Representation id="1"
 bandwidth="1000" codecs="avc1.42c00d" width="160" height="120"><SegmentList duration="2"><Initialization
 sourceURL="{url}"/><SegmentURL media="{url}"/></SegmentList></Representation></AdaptationSet></Period></MPD>"""

FILES = {
    "page.html": '<!doctype html><html><body><video src="{url}"></video></body></html>',
    "frame.html": '<!doctype html><html><head><meta property="og:video" content="{url}"></head><body></body></html>',
    "segment.m3u8": HEAD + "#EXTINF:2,\n{url}\n#EXT-X-ENDLIST\n",
    "late_segment.m3u8": HEAD + "#EXTINF:2,\nseg0.ts\n#EXTINF:2,\n{url}\n#EXT-X-ENDLIST\n",
    "key.m3u8": HEAD + KEY + "#EXTINF:2,\nseg0.ts\n#EXT-X-ENDLIST\n",
    "map.m3u8": HEAD + '#EXT-X-MAP:URI="{url}"\n#EXTINF:2,\nseg0.ts\n#EXT-X-ENDLIST\n',
    "variants.m3u8": "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1000\n{url}\n",
    "live.m3u8": HEAD + "#EXT-X-MEDIA-SEQUENCE:7\n#EXTINF:2,\n{url}\n#EXT-X-ENDLIST\n",
    "sample_aes.m3u8": HEAD + '#EXT-X-KEY:METHOD=SAMPLE-AES,URI="{url}"\n#EXTINF:2,\n{url}\n#EXT-X-ENDLIST\n',
    "manifest.mpd": MPD,
    "list.rss": '<rss version="2.0"><channel><title>t</title><item><link>{url}</link></item></channel></rss>',
    "list.xspf": '<playlist xmlns="http://xspf.org/ns/0/" version="1"><trackList><track><location>{url}</location>'
    "</track></trackList></playlist>",
    "show.smil": '<smil><head/><body><video src="{url}"/></body></smil>',
}


@dataclass(frozen=True)
class Site:
    """A site of the open internet, made by a stranger."""

    server: MediaServer
    folder: Path

    def url(self, path: str) -> str:
        return self.server.url(path).replace("127.0.0.1", PUBLIC, 1)

    def leads(self, way: str, target: str) -> str:
        """The link that gets to the target in this way."""
        if way == "listed":
            return target
        if way == "redirect":
            return self.url(f"redirect/x?to={target}")
        (self.folder / way).write_text(FILES[way].replace("{url}", target))
        return self.url(way)


@pytest.fixture
def site(tmp_path: Path, web_dir: Path) -> Iterator[Site]:
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "seg0.ts").write_bytes((web_dir / "seg0.ts").read_bytes())
    with MediaServer(folder, host="0.0.0.0") as server:  # asked under another address of this machine
        yield Site(server, folder)


@pytest.mark.usefixtures("public")
@pytest.mark.parametrize("way", ["listed", "redirect", *FILES])
def test_no_way_leads_into_a_private_network(tmp_path: Path, site: Site, inner: Listener, way: str) -> None:
    url = site.leads(way, f"http://127.0.0.1:{inner.port}/v.mp4")
    error = failure(tmp_path, url, allow_private_hosts=False)
    assert inner.connections == []
    assert error.reason in (Reason.PRIVATE_HOST, Reason.UNSUPPORTED_URL), error.message
    if way not in ("sample_aes.m3u8", "list.rss", "list.xspf"):  # refused for what they are, before they lead anywhere
        assert error.reason is Reason.PRIVATE_HOST, error.message
        assert "127.0.0.1" in error.message
        assert "--allow-private-hosts" in error.message


@pytest.mark.usefixtures("public")
@pytest.mark.parametrize("way", ["listed", "redirect", "late_segment.m3u8"])
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_no_spelling_of_an_address_gets_through(
    tmp_path: Path, site: Site, inner: Listener, spelling: str, way: str
) -> None:
    url = site.leads(way, f"http://{spelling}:{inner.port}/v.mp4")
    error = failure(tmp_path, url, allow_private_hosts=False)
    assert inner.connections == []
    assert error.reason in (Reason.PRIVATE_HOST, Reason.UNSUPPORTED_URL, Reason.NETWORK), error.message


@pytest.mark.usefixtures("public")
def test_what_leads_into_the_open_goes_on(tmp_path: Path, web_dir: Path) -> None:
    with MediaServer(web_dir, host="0.0.0.0") as server:  # as above
        for way in ("a.mp4", "page/a.mp4", "redirect/a.mp4", "list.m3u8", "encrypted.m3u8"):
            fetch(tmp_path, server.url(way).replace("127.0.0.1", PUBLIC), allow_private_hosts=False)


class Rebinding:
    """A resolver that gives another answer each time that it is asked."""

    def __init__(self, *answers: str) -> None:
        self.answers, self.asked = answers, 0

    def __call__(self, host: str, port: int, *_: object, **__: object) -> list[tuple[object, ...]]:
        answer = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in answer.split()]


@pytest.mark.usefixtures("public")
def test_the_address_that_was_checked_is_the_one_that_is_connected_to(
    tmp_path: Path, web_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    numeric = socket.getaddrinfo
    resolver = Rebinding(PUBLIC, "127.0.0.1")

    def resolve(host: str, port: int, *args: int, **kwargs: int) -> object:
        return resolver(host, port) if host == "site.test" else numeric(host, port, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with MediaServer(web_dir, host=PUBLIC) as outside, ExitStack() as stack:
        stack.enter_context(socket.create_server(("127.0.0.1", outside.port))).settimeout(0.01)
        error = failure(tmp_path, f"http://site.test:{outside.port}/redirect/a.mp4", allow_private_hosts=False)
        assert [request.path for request in outside.requests] == ["/redirect/a.mp4"]
    assert error.reason is Reason.PRIVATE_HOST, error.message
    resolver.answers = (f"{PUBLIC} 127.0.0.1",)
    assert failure(tmp_path, "http://site.test:1/", allow_private_hosts=False).reason is Reason.PRIVATE_HOST


class _Proxy(BaseHTTPRequestHandler):
    """Answers for every host with what the server of the test has under that path."""

    web: MediaServer

    def do_GET(self) -> None:
        self.server.asked.append(self.path)  # type: ignore[attr-defined]  # a plain server with one list more
        path = self.path.split("/", 3)[3]
        location = {"Location": "http://127.0.0.1:9/v.mp4"} if path == "inside" else {}
        data = b"" if location else (self.web.folder / path).read_bytes()
        self.send_response(302 if location else 200)
        for name, value in {"Content-Type": "video/mp4", "Content-Length": str(len(data)), **location}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    do_HEAD = do_GET

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is printed."""


def test_a_proxy_of_the_user_may_stand_in_a_private_network(
    tmp_path: Path, web: MediaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    handler = type("Handler", (_Proxy,), {"web": web})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as proxy:
        proxy.asked = []  # type: ignore[attr-defined]  # as above
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        for name in ("http_proxy", "HTTP_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.server_address[1]}")
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        file, _ = fetch(tmp_path, "http://known-to-the-proxy.invalid/a.mp4", allow_private_hosts=False)
        assert file.read_bytes() == (web.folder / "a.mp4").read_bytes()
        for way in ("http://169.254.169.254/latest", "http://known-to-the-proxy.invalid/inside"):
            assert failure(tmp_path, way, allow_private_hosts=False).reason is Reason.PRIVATE_HOST
        asked = proxy.asked  # type: ignore[attr-defined]  # as above
        proxy.shutdown()
    assert all("known-to-the-proxy" in url for url in asked)


def test_the_command_refuses_by_default_and_goes_where_it_is_told(
    tmp_path: Path, web: MediaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AVIS_DATA_ALLOW_PRIVATE_HOSTS", "0")
    (tmp_path / "videos.csv").write_text(f"url,video_id\n{web.url('a.mp4')},v\n")
    fetch_it = ("-C", tmp_path / "ds", "fetch", "--sleep", 0, "--workers", 1, "--retry-failed=private_host")
    assert shell.avis_data(*fetch_it, "--list", tmp_path / "videos.csv").code == 4
    assert web.requests == []
    workspace = Workspace(tmp_path / "ds")
    with Ledger(workspace.ledger, read_only=True) as ledger:
        assert [entry.reason for entry in ledger.entries("fetch").values()] == [Reason.PRIVATE_HOST]
    assert shell.avis_data(*fetch_it, "--allow-private-hosts").code == 0
    assert (workspace.source_dir() / "v.mp4").is_file()

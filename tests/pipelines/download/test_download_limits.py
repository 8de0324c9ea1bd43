"""A download has no end of its own: what trickles, never ends or swells up is ended by what it does, not by a clock."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterable
from pathlib import Path

import pytest

from avis_data.errors import Reason
from avis_data.pipelines.download import limits
from avis_data.recipe import FetchOptions
from support.fetching import failure, fetch
from support.hostile_servers import answering, bomb, endless, trickle
from support.server import MediaServer

MEDIA = b"\0\0\0\x18ftypmp42" + bytes(2000)
PAGE = b"<!doctype html><html><body>" + b"a word " * 300
VIDEO, HTML, ZIPPED = "Content-Type: video/mp4", "Content-Type: text/html", "Content-Encoding: gzip"


@pytest.mark.parametrize(
    ("body", "headers", "reason", "words"),
    [
        (trickle(MEDIA, every_s=0.02), (VIDEO,), Reason.TIMEOUT, "min_rate_kb_s"),
        (trickle(MEDIA, every_s=0.02), (VIDEO, "Content-Length: 9000000"), Reason.TIMEOUT, "min_rate_kb_s"),
        (trickle(PAGE, every_s=0.02), (HTML,), Reason.TIMEOUT, "min_rate_kb_s"),
        (endless(MEDIA), (VIDEO,), Reason.TOO_LARGE, "max_size_mb"),
        (endless(PAGE), (HTML,), Reason.TOO_LARGE, "max_size_mb"),
        (bomb(MEDIA, size_mb=200), (VIDEO, ZIPPED), Reason.TOO_LARGE, "max_growth"),
        (bomb(PAGE, size_mb=200), (HTML, ZIPPED), Reason.TOO_LARGE, "max_growth"),
    ],
    ids=["trickle", "trickle-sized", "trickle-page", "endless", "endless-page", "bomb", "bomb-page"],
)
def test_no_answer_goes_on_for_ever(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    body: Iterable[bytes],
    headers: tuple[str, ...],
    reason: Reason,
    words: str,
) -> None:
    monkeypatch.setattr(limits, "_RATE_OVER_S", 0.5)
    with answering(body, *headers) as server:
        tracemalloc.start()
        error = failure(tmp_path, server.url, max_size_mb=30)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert error.reason is reason, error.message
    assert words in error.message
    assert most < 100e6


def test_an_endless_answer_to_what_failed_or_leads_on_is_not_read(tmp_path: Path) -> None:
    with answering(endless(PAGE), HTML, status="404 Not Found") as server:
        assert failure(tmp_path, server.url, max_size_mb=1).reason in (Reason.REMOVED, Reason.TOO_LARGE)
    with answering(endless(PAGE), "Location: http://127.0.0.1:1/", status="302 Found") as server:
        assert failure(tmp_path, server.url).reason is Reason.NETWORK  # nobody listens there


def test_the_recipe_may_lift_each_limit(tmp_path: Path, web: MediaServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_RATE_OVER_S", 0.1)
    slow = web.url("slow/40/a.mp4")
    assert failure(tmp_path, slow, min_rate_kb_s=400).reason is Reason.TIMEOUT
    fetch(tmp_path, slow, min_rate_kb_s=None)
    video = (web.folder / "a.mp4").read_bytes() + bytes(3_000_000)
    with answering(bomb(video, size_mb=1), VIDEO, ZIPPED) as server:
        assert failure(tmp_path, server.url, max_growth=2).reason is Reason.TOO_LARGE
        fetch(tmp_path, server.url, max_growth=10**6, max_size_mb=None)


def test_there_is_a_limit_of_each_kind_by_default() -> None:
    options = FetchOptions()
    assert options.max_size_mb is not None
    assert options.min_rate_kb_s is not None
    assert options.max_growth < 1000

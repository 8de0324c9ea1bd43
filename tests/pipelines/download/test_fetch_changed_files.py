"""A file that is another one when its transfer goes on: what arrives is one of the two, and never half of each."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from yt_dlp.extractor.common import InfoExtractor

from avis_data.errors import ItemError, Reason
from avis_data.pipelines.download.partial_files import ServedFile
from avis_data.pipelines.download.source import download_video
from avis_data.recipe import FetchOptions
from support.fetching import bench_of, failure, fetch
from support.server import MediaServer


@pytest.mark.parametrize(
    ("second", "query"),
    [
        ("longer.mp4", "etag"),
        ("longer.mp4", ""),
        ("shorter.mp4", "etag"),
        ("shorter.mp4", ""),
        ("twin.mp4", "etag"),
        ("longer.mp4", "starred&etag"),
        ("longer.mp4", "whole"),
    ],
)
def test_a_file_that_changes_between_two_breaks_is_fetched_anew(
    tmp_path: Path, versions: Path, second: str, query: str
) -> None:
    with MediaServer(versions) as server:
        path = f"swap/1/first.mp4/{second}"
        file, _ = fetch(tmp_path, server.url(f"{path}?{query}"))
        assert len(server.ranges(path)) >= 2, "the transfer was gone on with before the file changed, and after"
    assert file.read_bytes() == (versions / second).read_bytes()


@pytest.mark.parametrize(
    ("second", "query"),
    [("longer.mp4", ""), ("shorter.mp4", ""), ("twin.mp4", "etag"), ("twin.mp4", "dated")],
)
def test_what_an_earlier_run_left_of_another_file_is_dropped(
    tmp_path: Path, versions: Path, second: str, query: str
) -> None:
    folder = tmp_path / "web"
    folder.mkdir()
    shutil.copy(versions / "first.mp4", folder / "v.mp4")
    os.utime(folder / "v.mp4", (1_000_000_000, 1_000_000_000))
    with MediaServer(folder) as server:
        assert failure(tmp_path, server.url(f"break-always/v.mp4?{query}")).reason is Reason.NETWORK
        (part,) = (tmp_path / "scratch").glob("*.part")
        assert 0 < part.stat().st_size
        shutil.copy(versions / second, folder / "v.mp4")
        file, _ = fetch(tmp_path, server.url(f"v.mp4?{query}"))
    assert file.read_bytes() == (versions / second).read_bytes()


@pytest.mark.parametrize("query", ["", "etag", "dated", "etag&starred"])
def test_what_an_earlier_run_left_of_the_same_file_is_used(tmp_path: Path, web: MediaServer, query: str) -> None:
    failure(tmp_path, web.url(f"break-always/a.mp4?{query}"))
    (part,) = (tmp_path / "scratch").glob("*.part")
    received = part.stat().st_size
    file, _ = fetch(tmp_path, web.url(f"a.mp4?{query}"))
    assert web.ranges("a.mp4") == [f"bytes={received}-"]
    assert file.read_bytes() == (web.folder / "a.mp4").read_bytes()


def test_a_part_of_nobody_knows_what_is_dropped(tmp_path: Path, web: MediaServer) -> None:
    bench = bench_of(tmp_path, "")
    (bench.scratch / "vid.mp4.mp4.part").write_bytes(b"another file's first bytes")
    file, _ = fetch(tmp_path, web.url("a.mp4"))
    assert web.ranges("a.mp4") == []
    assert file.read_bytes() == (web.folder / "a.mp4").read_bytes()


def test_a_file_that_changes_all_the_time_is_a_failure_of_the_network(tmp_path: Path, versions: Path) -> None:
    class Restless(MediaServer):
        """Serves the two files in turn."""

        def draw_failure(self) -> str | None:
            name = ("first.mp4", "longer.mp4")[len(self.requests) % 2]
            shutil.copy(versions / name, self.folder / "v.mp4")
            return None

    folder = tmp_path / "web"
    folder.mkdir()
    with Restless(folder) as server:
        error = failure(tmp_path, server.url("break-always/v.mp4"))
    assert error.reason is Reason.NETWORK
    assert "not the one that was begun" in error.message


def test_segments_of_another_play_list_are_dropped(tmp_path: Path, web_dir: Path) -> None:
    folder = tmp_path / "web"
    shutil.copytree(web_dir, folder)
    (folder / "seg3.ts").unlink()
    with MediaServer(folder) as server:
        with pytest.raises(ItemError):
            download_video(
                server.url("list.m3u8"),
                bench_of(tmp_path, "").scratch,
                name="vid",
                options=FetchOptions(sleep_s=0),
                allow_private_hosts=True,
            )
        assert list((tmp_path / "scratch").glob("*-Frag*"))
        shutil.copy(web_dir / "seg3.ts", folder)
        # Another cut of the video: as many segments, of which the first is another.
        (folder / "list.m3u8").write_text((folder / "list.m3u8").read_text().replace("seg0.ts", "another0.ts"))
        shutil.copy(web_dir / "seg1.ts", folder / "another0.ts")
        whole, _ = fetch(tmp_path / "undisturbed", server.url("list.m3u8"))
        before = len(server.requests)
        file, _ = fetch(tmp_path, server.url("list.m3u8"))
        assert "/another0.ts" in [request.path for request in server.requests[before:]]
    assert file.read_bytes() == whole.read_bytes()


def test_a_change_in_the_middle_of_a_transfer_in_blocks_is_noticed(tmp_path: Path, versions: Path) -> None:
    """Some sites are asked for blocks of a file (`bytes=N-M`), one after the other, into a file that stays open."""
    size = (versions / "first.mp4").stat().st_size
    folder = tmp_path / "web"
    folder.mkdir()
    shutil.copy(versions / "first.mp4", folder / "v.mp4")

    class Changing(MediaServer):
        def draw_failure(self) -> str | None:
            if len(self.ranges("v.mp4")) == 3:
                shutil.copy(versions / "longer.mp4", folder / "v.mp4")
            return None

    class SiteIE(InfoExtractor):  # type: ignore[misc]
        _VALID_URL = r"https://site\.test/watch"

        def _real_extract(self, url: str) -> dict[str, object]:
            media = {"url": server.url("v.mp4"), "ext": "mp4", "downloader_options": {"http_chunk_size": size // 6}}
            return {"id": "x", "title": "x", **media}

    scratch = bench_of(tmp_path, "").scratch
    with Changing(folder) as server:
        found = download_video(
            "https://site.test/watch",
            scratch,
            name="vid",
            options=FetchOptions(sleep_s=0),
            allow_private_hosts=True,
            extractors=[SiteIE],
        )
        assert len(server.ranges("v.mp4")) > 6
    assert found.path.read_bytes() == (versions / "longer.mp4").read_bytes()


@pytest.mark.parametrize(
    ("mine", "theirs", "same"),
    [
        (ServedFile(etag="a", size_bytes=5), ServedFile(etag="a", size_bytes=5), True),
        (ServedFile(etag="a", size_bytes=5), ServedFile(etag="b", size_bytes=5), False),
        (ServedFile(etag="a", size_bytes=5), ServedFile(etag="a", size_bytes=6), False),
        (ServedFile(size_bytes=5), ServedFile(etag="a", size_bytes=5), False),
        (ServedFile(size_bytes=5), ServedFile(size_bytes=5), True),
        (ServedFile(last_modified="x"), ServedFile(last_modified="y"), False),
        (ServedFile(etag="a"), ServedFile(etag="a", size_bytes=5), True),
        (ServedFile(), ServedFile(size_bytes=5), False),
        (ServedFile(), ServedFile(), False),
    ],
)
def test_files_are_the_same_where_nothing_differs_and_something_agrees(
    mine: ServedFile, theirs: ServedFile, same: bool
) -> None:
    assert mine.is_same(theirs) is same
    assert theirs.is_same(mine) is same

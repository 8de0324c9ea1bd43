"""What a broken or killed try leaves behind, and that the next one goes on from there to the same bytes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from avis_data.errors import ItemError, Reason
from support.fetching import bench_of, failure, fetch
from support.places import TESTS
from support.server import MediaServer


def test_a_transfer_that_breaks_off_goes_on_at_that_byte(tmp_path: Path, web: MediaServer, web_dir: Path) -> None:
    size = (web_dir / "a.mp4").stat().st_size
    fetch(tmp_path, web.url("break/a.mp4"))
    (asked,) = web.ranges("break/a.mp4")
    assert 0 < int(asked.removeprefix("bytes=").removesuffix("-")) <= size // 3


def test_a_second_run_goes_on_where_the_first_gave_up(tmp_path: Path, web: MediaServer, web_dir: Path) -> None:
    url = web.url("break-always/a.mp4")
    assert failure(tmp_path, url).reason is Reason.NETWORK
    (part,) = (tmp_path / "scratch").glob("*.part")
    received = part.stat().st_size
    assert 0 < received < (web_dir / "a.mp4").stat().st_size
    assert part.read_bytes() == (web_dir / "a.mp4").read_bytes()[:received]
    seen = len(web.ranges("break-always/a.mp4"))
    for _ in range(10):
        try:
            file, _ = fetch(tmp_path, url)
            break
        except ItemError as error:
            assert error.reason.retryable, error.message
    else:
        pytest.fail("it did not arrive")
    assert web.ranges("break-always/a.mp4")[seen] == f"bytes={received}-"
    assert file.read_bytes() == (web_dir / "a.mp4").read_bytes()


PROGRAM = """
import sys
from pathlib import Path
from avis_data.pipelines.stages.fetch import DownloadRequest, FetchStage
from avis_data.pipelines.engine.stage import Workbench
from avis_data.recipe import FetchOptions

root = Path(sys.argv[1])
record = DownloadRequest(video_id="vid", url=sys.argv[2])
bench = Workbench(item_id="vid", record=record, inputs={}, out=root / "out", scratch=root / "scratch")
FetchStage(FetchOptions(sleep_s=0), allow_private_hosts=True).run(bench)
"""


def kill_when(folder: Path, url: str, ready: Callable[[Path], bool]) -> None:
    """Fetch in a process of its own, and kill it with -9 as soon as `ready(scratch)`."""
    bench = bench_of(folder, url)
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(folder), url], cwd=TESTS)
    deadline = time.monotonic() + 60
    while not ready(bench.scratch):
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


def test_a_killed_download_goes_on_with_the_same_bytes(tmp_path: Path, web: MediaServer, web_dir: Path) -> None:
    url = web.url("slow/30/a.mp4")
    kill_when(tmp_path, url, lambda scratch: any(part.stat().st_size > 8000 for part in scratch.glob("*.part")))
    (part,) = (tmp_path / "scratch").glob("*.part")
    received = part.stat().st_size
    file, _ = fetch(tmp_path, url)
    assert web.ranges("slow/30/a.mp4") == [f"bytes={received}-"]
    assert file.read_bytes() == (web_dir / "a.mp4").read_bytes()


def test_a_killed_hls_download_keeps_whole_segments_and_doubles_none(tmp_path: Path, web: MediaServer) -> None:
    whole, _ = fetch(tmp_path / "undisturbed", web.url("list.m3u8"))
    url = web.url("slow/60/list.m3u8")
    kill_when(tmp_path / "killed", url, lambda scratch: len(list(scratch.glob("*-Frag2"))) > 0)
    scratch = tmp_path / "killed" / "scratch"
    joined = next(path for path in scratch.glob("*.part") if "-Frag" not in path.name)
    # As a kill leaves it between the segment's being appended and the note that it was.
    joined.write_bytes(joined.read_bytes() + next(scratch.glob("*-Frag2")).read_bytes())
    before = len(web.requests)
    file, _ = fetch(tmp_path / "killed", url)
    asked = [request.path for request in web.requests[before:]]
    assert "/slow/60/seg0.ts" not in asked
    assert "/slow/60/seg3.ts" in asked
    assert file.read_bytes() == whole.read_bytes()


def test_a_file_whose_transfer_was_done_before_the_kill_is_not_fetched_again(
    tmp_path: Path, web: MediaServer, web_dir: Path
) -> None:
    bench = bench_of(tmp_path, "")
    shutil.copy(web_dir / "a.mp4", bench.scratch / "vid.mp4.mp4")
    file, _ = fetch(tmp_path, web.url("a.mp4"))
    assert file.read_bytes() == (web_dir / "a.mp4").read_bytes()
    assert [request.path for request in web.requests] == ["/a.mp4"], "only the look at what kind of page it is"


def test_with_thirty_percent_random_failures_everything_arrives_in_a_few_tries(tmp_path: Path, web_dir: Path) -> None:
    with MediaServer(web_dir, failure_share=0.3, seed=7) as server:
        for number, path in enumerate(["a.mp4", "b.webm", "page/a.mp4", "list.m3u8"] * 2):
            for _ in range(8):
                try:
                    fetch(tmp_path / str(number), server.url(path))
                    break
                except ItemError as error:
                    assert error.reason.retryable, error.message
            else:
                pytest.fail(f"{path} did not arrive")

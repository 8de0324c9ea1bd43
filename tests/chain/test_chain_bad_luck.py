"""Bad servers, bad lists, torn files, a full disk, two runners: what a dataset team meets in a week."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.server import MediaServer
from support.shell import avis_data, start, tree_hashes

pytestmark = pytest.mark.slow


def write_list(path: Path, rows: dict[str, str]) -> Path:
    path.write_text("url,video_id\n" + "".join(f"{url},{video_id}\n" for video_id, url in rows.items()))
    return path


def media_of(world: Path) -> list[str]:
    return sorted(path.name for path in (world / "media").iterdir())


def reasons(workspace: Path) -> dict[str, str]:
    failed = avis_data("-C", workspace, "status", "--json").json["failed_items"]
    return {item["item_id"]: item["reason"] for item in failed}


def fetch_all(world: Path, workspace: Path) -> None:
    ran = avis_data("-C", workspace, "fetch", "--list", world / "videos.csv", "--allow-local")
    assert ran.code == 0, ran.err


def test_with_thirty_percent_failures_everything_reachable_arrives(world: Path, tmp_path: Path) -> None:
    with MediaServer(world / "media", failure_share=0.3, seed=4) as server:
        rows = {f"v{i}": server.url(f"{name}?copy={i}") for i, name in enumerate(media_of(world) * 3)}
        rows |= {"gone": server.url("status/410/x.mp4"), "missing": server.url("status/404/x.mp4")}
        videos = write_list(tmp_path / "videos.csv", rows)
        ran = avis_data(
            "-C", tmp_path / "dataset", "fetch", "--list", videos, "--sleep", 0, "--retries", 12, "--retry-wait", 0.02
        )
    assert ran.code == 4
    assert set(reasons(tmp_path / "dataset")) == {"gone", "missing"}
    for i, name in enumerate(media_of(world) * 3):
        arrived = tmp_path / "dataset" / "sources" / f"v{i}.mp4"
        assert arrived.read_bytes() == (world / "media" / name).read_bytes()


def test_every_kind_of_bad_answer_ends_in_its_reason(world: Path, tmp_path: Path) -> None:
    file = media_of(world)[0]
    with MediaServer(world / "media") as server:
        rows = {
            "page": server.url(f"page/{file}"),
            "redirected": server.url(f"redirect/{file}"),
            "broke_once": server.url(f"break/{file}"),
            "flaky": server.url(f"flaky/2/500/{file}"),
            "slow": server.url(f"slow/400/{file}"),
            "forbidden": server.url("status/403/a.mp4"),
            "removed": server.url("status/404/b.mp4"),
            "gone": server.url("status/410/c.mp4"),
            "down": server.url("status/500/d.mp4"),
            "no_video": server.url(f"type/text/html/{file}"),
            "empty": server.url("empty/e.mp4"),
        }
        videos = write_list(tmp_path / "videos.csv", rows)
        ran = avis_data(
            "-C",
            tmp_path / "d",
            "fetch",
            "--list",
            videos,
            "--sleep",
            0,
            "--retries",
            3,
            "--retry-wait",
            0.02,
            "--json",
        )
    assert ran.code == 4 and ran.json["stages"][0]["stopped"] is None
    found = reasons(tmp_path / "d")
    assert {name: found.get(name) for name in ("forbidden", "removed", "gone", "down", "empty")} == {
        "forbidden": "forbidden",
        "removed": "removed",
        "gone": "removed",
        "down": "server_error",
        "empty": "empty_file",
    }
    assert not {"page", "redirected", "broke_once", "flaky", "slow"} & set(found)


def test_a_site_that_throttles_ends_the_run_with_advice_and_loses_nothing(world: Path, tmp_path: Path) -> None:
    file = media_of(world)[0]
    with MediaServer(world / "media") as server:
        rows = {"good": server.url(file)} | {f"busy{i:02}": server.url(f"status/429/{i}.mp4") for i in range(30)}
        videos = write_list(tmp_path / "videos.csv", rows)
        ran = avis_data(
            "-C",
            tmp_path / "d",
            "fetch",
            "--list",
            videos,
            "--sleep",
            0,
            "--retry-wait",
            0.01,
            "--workers",
            2,
            "--json",
        )
    (stage,) = ran.json["stages"]
    assert ran.code == 4 and "--cookies" in stage["stopped"]
    assert stage["done"] == 1 and sum(stage["failed"].values()) < 20


def test_bad_rows_are_all_named_before_anything_is_fetched(world: Path, tmp_path: Path) -> None:
    lines = (world / "videos.csv").read_text().splitlines()
    bad = ["ftp://x.org/a.mp4,bad1,,,,,", "https://x.org/b.mp4,in valid,,,,,", "https://x.org/c.mp4,c,9,3,,,"]
    videos = world / "with-bad-rows.csv"
    videos.write_text("\n".join([*lines, *bad]) + "\n")
    try:
        ran = avis_data("-C", tmp_path / "d", "fetch", "--list", videos, "--allow-local")
        assert ran.code == 3
        first = len(lines) + 1
        for line, column in ((first, "url"), (first + 1, "video_id"), (first + 2, "end")):
            assert f"line {line}: {column}:" in ran.err
        assert not (tmp_path / "d" / "sources").exists()
        skipped = avis_data("-C", tmp_path / "d", "fetch", "--list", videos, "--allow-local", "--skip-bad-rows")
        assert skipped.code == 0
        assert len(list((tmp_path / "d" / "sources").iterdir())) == len(lines) - 1
    finally:
        videos.unlink()


def test_dry_run_touches_nothing(world: Path, tmp_path: Path) -> None:
    ran = avis_data(
        "-C", tmp_path / "d", "run", "--list", world / "videos.csv", "--allow-local", "--untrained", "--dry-run"
    )
    assert ran.code == 0 and re.search(r"^fetch +6 to do", ran.out)
    assert re.search(r"^extract +waits for fetch$", ran.out, re.MULTILINE), "it waits, it is not done"
    assert list((tmp_path / "d").iterdir()) == []


def test_a_torn_still_is_found_made_again_and_never_published(world: Path, tmp_path: Path) -> None:
    workspace = tmp_path / "d"
    fetch_all(world, workspace)
    for command in (["extract"], ["embed", "--untrained"], ["import", "--format", "ytvis", world / "truth.json"]):
        assert avis_data("-C", workspace, *command).code == 0
    before = tree_hashes(workspace)
    still = sorted(workspace.glob("clips/*/frames/00002.jpg"))[0]
    still.write_bytes(still.read_bytes()[:500])
    refused = avis_data("-C", workspace, "export", "--split", "4/1/1")
    assert refused.code != 0 and still.parents[1].name in refused.err + refused.out
    assert not (workspace / "exports" / "ytvis").exists()
    verified = avis_data("-C", workspace, "extract", "--verify", "--json")
    assert verified.json["stages"][0]["done"] == 1
    assert tree_hashes(workspace) == before


def test_nothing_is_made_from_a_source_that_is_not_the_one_that_was_fetched(world: Path, tmp_path: Path) -> None:
    workspace = tmp_path / "d"
    fetch_all(world, workspace)
    assert avis_data("-C", workspace, "extract").code == 0
    before = {path: digest for path, digest in tree_hashes(workspace).items() if not path.startswith("manifest/ledger")}
    first, second = sorted((workspace / "sources").glob("*.mp4"))[:2]
    first.write_bytes(second.read_bytes())
    forced = avis_data("-C", workspace, "extract", "--force", "--json")
    assert forced.code == 4 and forced.json["stages"][0]["failed"] == {"torn_input": 1}
    healed = avis_data("-C", workspace, "run", "--untrained", "--json")
    stages = {stage["stage"]: stage for stage in healed.json["stages"]}
    assert healed.code == 0 and stages["fetch"]["done"] == 1 and stages["extract"]["done"] == 1
    of_embed = ("features", "manifest/ledger")  # which `run` does too
    after = {path: digest for path, digest in tree_hashes(workspace).items() if not path.startswith(of_embed)}
    assert after == before


def test_two_commands_at_once_in_one_workspace(world: Path, tmp_path: Path) -> None:
    with MediaServer(world / "media") as server:
        videos = write_list(tmp_path / "videos.csv", {"slow": server.url(f"slow/20/{media_of(world)[0]}")})
        first = start("-C", tmp_path / "d", "fetch", "--list", videos, "--sleep", 0)
        try:
            wait_for(lambda: bool(server.requests))
            second = avis_data("-C", tmp_path / "d", "extract")
            assert second.code == 5 and f"process {first.pid}" in second.err
        finally:
            first.kill()
            first.wait()
    assert avis_data("-C", tmp_path / "d", "extract").code == 4  # the lock died with its process; nothing is fetched


def test_ctrl_c_ends_cleanly_and_a_second_run_goes_on(world: Path, tmp_path: Path) -> None:
    with MediaServer(world / "media") as server:
        rows = {f"v{i}": server.url(f"slow/100/{name}") for i, name in enumerate(media_of(world))}
        videos = write_list(tmp_path / "videos.csv", rows)
        running = start("-C", tmp_path / "d", "fetch", "--list", videos, "--sleep", 0, "--workers", 2)
        wait_for(lambda: len(list((tmp_path / "d" / "sources").glob("*.mp4"))) >= 2)  # so that one is in the ledger
        running.send_signal(signal.SIGINT)
        assert running.wait(timeout=30) == 130
        done = avis_data("-C", tmp_path / "d", "status", "--json").json["stages"][0]["done"]
        assert 1 <= done < len(rows)
        again = avis_data("-C", tmp_path / "d", "fetch", "--sleep", 0, "--json").json["stages"][0]
    assert again["already_done"] == done and again["done"] == len(rows) - done


@pytest.fixture
def small_disk(world: Path, tmp_path: Path) -> Iterator[Path]:
    """A disk that holds the sources of the world, a ledger, and little more."""
    folder = tmp_path / "small"
    folder.mkdir()
    sources_kb = sum(path.stat().st_size for path in (world / "media").iterdir()) // 1024
    mount = ["mount", "-t", "tmpfs", "-o", f"size={sources_kb + 700}k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("making a small disk needs the right to mount one")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_said_and_what_was_done_stays(world: Path, small_disk: Path) -> None:
    workspace, list_file = small_disk / "d", world / "videos.csv"
    ran = avis_data(
        "-C", workspace, "run", "--list", list_file, "--allow-local", "--untrained", "--json", "--workers", 1
    )
    assert ran.code == 4
    assert "disk is full" in ran.json["stages"][-1]["stopped"]
    assert "disk_full" in reasons(workspace).values()
    folders = sorted(workspace.glob("clips/*"))
    assert len(folders) == sum(stage["done"] for stage in ran.json["stages"] if stage["stage"] == "extract")
    for folder in folders:
        assert len(list((folder / "frames").iterdir())) == 5 and (folder / "times.json").exists()
    larger = world.parent / "larger"
    shutil.copytree(workspace, larger)
    again = avis_data("-C", larger, "run", "--list", list_file, "--allow-local", "--untrained", "--retry-failed")
    assert again.code == 0, again.err


def wait_for(condition: Callable[[], bool], timeout_s: float = 60.0) -> None:
    ends = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < ends, "waited in vain"
        time.sleep(0.05)

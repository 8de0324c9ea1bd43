"""Killed, torn, disk full, replaced: what stands under the final name is whole, or is not there."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from avis_data.errors import BusyError, ConfigError, DataError, ProblemsError
from avis_data.formats.ytvis import YtvisDataset, YtvisTrack, YtvisVideo, read_ytvis
from avis_data.io import remove
from avis_data.masks.rle import encode
from avis_data.paths import Workspace
from avis_data.pipelines.engine.lock import open_for_work
from avis_data.pipelines.exports.plan import ExportOptions
from avis_data.pipelines.exports.publish import export
from avis_data.pipelines.exports.ytvis import YTVIS
from avis_data.pipelines.exports.ytvis_truth import check_dataset, write_dataset
from avis_data.records import Category
from support.fake_workspace import FakeClip, FakeTrack, make_workspace, mask_of

OPTIONS = ExportOptions(split="75/25", seed=1)
EXPORT = """
import resource, sys
from pathlib import Path
from avis_data.cli.main import main
if len(sys.argv) > 2:
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
sys.exit(main(["-C", sys.argv[1], "export", "--split", "75/25", "--seed", "1", "--force"]))
"""


def clips(number: int, num_seconds: int = 3) -> list[FakeClip]:
    return [
        FakeClip(
            clip_id=f"clip{index:03d}",
            video_id=f"v{index}",
            num_seconds=num_seconds,
            tracks=(FakeTrack(track_id="t0", sounding=(0, 2)),),
        )
        for index in range(number)
    ]


def tree(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def in_part(workspace: Workspace, pattern: str, number: int) -> Callable[[], bool]:
    """True once the unfinished export holds so many files of that kind."""
    return lambda: len(list(workspace.exports.glob(f".part-*/{pattern}"))) >= number


@pytest.mark.slow
def test_killed_at_any_moment_it_leaves_nothing_half_and_the_next_run_gives_the_same_bytes(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path / "ws", clips(150))
    export(workspace, YTVIS, OPTIONS)
    target = workspace.exports / "ytvis"
    wanted = tree(target)
    moments = [
        in_part(workspace, "train", 1),
        in_part(workspace, "train/JPEGImages/*", 60),
        in_part(workspace, "*/FEATAudios/*", 20),
        in_part(workspace, "train.json", 1),
        in_part(workspace, "files.sha256", 1),
        in_part(workspace, "certificate.json", 1),
    ]
    killed = 0
    for index, reached in enumerate(moments):
        replaces = index % 2 == 0
        if replaces:
            export(workspace, YTVIS, OPTIONS)
        else:
            remove(target)
        process = subprocess.Popen([sys.executable, "-c", EXPORT, str(workspace.root)], stderr=subprocess.DEVNULL)
        while process.poll() is None and not reached():
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        killed += process.wait() == -signal.SIGKILL
        if target.exists():
            assert tree(target) == wanted
    assert killed >= 4
    export(workspace, YTVIS, ExportOptions(split="75/25", seed=1, force=True, workers=2))
    assert tree(target) == wanted
    assert [path.name for path in workspace.exports.iterdir()] == ["ytvis"]


def test_a_torn_still_is_named_and_not_published(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path / "ws", clips(6))
    torn = workspace.frame("clip002", 1)
    torn.write_bytes(torn.read_bytes()[:-200])
    changed = workspace.frame("clip004", 0)
    changed.write_bytes(workspace.frame("clip003", 0).read_bytes())
    sound = workspace.clip_dir("clip005") / "audio.wav"
    data = bytearray(sound.read_bytes())
    data[-1] ^= 1
    sound.write_bytes(data)
    workspace.frame("clip000", 2).unlink()
    with pytest.raises(ProblemsError) as caught:
        export(workspace, YTVIS, OPTIONS)
    message = str(caught.value)
    assert "clip clip002: torn_input: torn: clips/clip002/frames/00001.jpg" in message
    assert "clip clip004: torn_input: the stills in clips/clip004/frames are not those" in message
    assert "clip clip005: torn_input: clips/clip005/audio.wav is not what was extracted" in message
    assert "clip clip000: source_missing: no clips/clip000/frames/00002.jpg" in message
    assert "avis-data extract --verify" in message and "4 of 6 clips" in message
    assert list(workspace.exports.iterdir()) == []


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    """A limit on the size of files stands in for a full disk: the system refuses the write in the same way."""
    workspace = make_workspace(tmp_path / "ws", clips(4, num_seconds=10))
    export(workspace, YTVIS, ExportOptions(split="75/25", name="before"))  # makes the ledger, which needs room too
    run = subprocess.run(
        [sys.executable, "-c", EXPORT, str(workspace.root), "400000"], capture_output=True, text=True, check=False
    )
    assert run.returncode == 3, run.stderr
    assert "no space left" in run.stderr and "Traceback" not in run.stderr
    assert [path.name for path in workspace.exports.iterdir()] == ["before"]


def test_the_same_export_again_is_already_done_and_another_one_needs_force(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path / "ws", clips(8))
    first = export(workspace, YTVIS, OPTIONS)
    number = (workspace.exports / "ytvis" / "train.json").stat().st_ino
    again = export(workspace, YTVIS, OPTIONS)
    assert not first.already_done and again.already_done and again.files_sha256 == first.files_sha256
    assert (workspace.exports / "ytvis" / "train.json").stat().st_ino == number
    with pytest.raises(ConfigError, match="made from other data or options") as caught:
        export(workspace, YTVIS, ExportOptions(split="50/50", seed=1))
    assert "--force" in str(caught.value) and "--name" in str(caught.value)
    replaced = export(workspace, YTVIS, ExportOptions(split="50/50", seed=1, force=True))
    assert replaced.plan.assignment.counts() == {"train": 4, "val": 4}


def test_a_damaged_export_is_not_taken_for_done(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path / "ws", clips(4))
    export(workspace, YTVIS, OPTIONS)
    next((workspace.exports / "ytvis").glob("*/WAVAudios/*.wav")).unlink()
    with pytest.raises(ConfigError, match=r"damaged: .*\.wav is missing"):
        export(workspace, YTVIS, OPTIONS)
    (workspace.exports / "ytvis" / "certificate.json").unlink()
    with pytest.raises(ConfigError, match="no finished export"):
        export(workspace, YTVIS, OPTIONS)


def test_leftovers_of_a_killed_run_are_removed_and_other_folders_are_not(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path / "ws", clips(4))
    (workspace.exports / ".part-dead" / "train").mkdir(parents=True)
    (workspace.exports / "mine").mkdir()
    export(workspace, YTVIS, OPTIONS)
    assert sorted(path.name for path in workspace.exports.iterdir()) == ["mine", "ytvis"]


def test_it_waits_for_no_other_command(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path / "ws", clips(4))
    with open_for_work(workspace, "extract"), pytest.raises(BusyError, match="`extract`"):
        export(workspace, YTVIS, OPTIONS)


def test_a_place_that_cannot_be_written_is_told_plainly(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path / "ws", clips(4))
    workspace.exports.write_text("a file where the folder should be")
    with pytest.raises(DataError, match="exports: File exists; nothing was published"):
        export(workspace, YTVIS, OPTIONS)


def test_a_pixel_that_differs_when_read_back_keeps_the_export_back(tmp_path: Path) -> None:
    masks = (encode(mask_of("a", "t", 0)), None)
    video = YtvisVideo(video_id=1, name="a", width=48, height=32, length=2, file_names=("a/0.jpg", "a/1.jpg"))
    dataset = YtvisDataset(
        videos=(video,),
        tracks=(YtvisTrack(track_id=1, video_id=1, category_id=3, masks=masks),),
        categories=(Category(id=3, name="guitar"),),
    )
    path = tmp_path / "train.json"
    write_dataset(path, dataset, form="polygons", step=lambda: None)
    check_dataset(path, dataset)
    assert read_ytvis(path).tracks[0].masks[0] is not None
    one_more = mask_of("a", "t", 0)
    one_more[0, 40] = True
    for changed in (
        {"tracks": (replace(dataset.tracks[0], masks=(encode(one_more), None)),)},
        {"tracks": (replace(dataset.tracks[0], masks=(masks[0], masks[0])),)},
        {"tracks": (replace(dataset.tracks[0], masks=(None, None)),)},
        {"tracks": ()},
        {"videos": (replace(video, width=49),)},
        {"categories": (Category(id=3, name="cello"),)},
    ):
        with pytest.raises(DataError, match=r"train\.json is not what was written"):
            check_dataset(path, replace(dataset, **changed))
    text = path.read_text()
    for torn in (text[:-3], text.replace("]}\n", "] }\n"), text + "\n", text.replace('"annotations": [', ""), ""):
        path.write_text(torn)
        with pytest.raises(DataError, match=r"train\.json is not what was written"):
            check_dataset(path, dataset)

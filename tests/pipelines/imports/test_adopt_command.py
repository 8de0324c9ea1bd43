"""`avis-data import --media` as a person runs it: an export comes back as it was; kill -9 changes no byte."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from avis_data.formats.ytvis import YtvisDataset, read_ytvis
from avis_data.masks.rle import decode
from avis_data.pipelines.exports.plan import ExportOptions
from avis_data.pipelines.exports.publish import export
from avis_data.pipelines.exports.ytvis import YTVIS
from support.fake_workspace import FakeClip, FakeTrack, make_workspace
from support.shell import avis_data, start, tree_hashes
from support.ytvis_world import write_split

SPLITS = ("train", "val", "test")


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export of eight clips, 4/2/2; one is silent throughout, one has a licence."""
    tracks = (FakeTrack(track_id="a", sounding=(0, 2)), FakeTrack(track_id="b", category="person", sounding=(1,)))
    clips = [
        FakeClip(
            clip_id=f"clip{number}",
            video_id=f"video{number}",
            num_seconds=3 + number % 2,
            split=("train", "train", "val", "test")[number % 4],
            tracks=tracks[: number % 3] if number else tracks,
            license="CC-BY-4.0" if number == 1 else None,
        )
        for number in range(8)
    ]
    workspace = make_workspace(tmp_path_factory.mktemp("first") / "dataset", clips)
    export(workspace, YTVIS, ExportOptions(select="all"))
    return workspace.exports / "ytvis"


def pixels(dataset: YtvisDataset) -> dict[tuple[str, int, int], bytes]:
    """By video, category and second: the masks, decoded."""
    names = {video.video_id: video.name for video in dataset.videos}
    return {
        (names[track.video_id], track.category_id, second): decode(mask).tobytes()
        for track in dataset.tracks
        for second, mask in enumerate(track.masks)
        if mask is not None
    }


def import_media(workspace: Path, root: Path, split: str, *options: object) -> list[object]:
    files = ["--format", "ytvis", root / f"{split}.json", "--media", root / split]
    return ["-C", workspace, "import", *files, *options]


@pytest.mark.slow
def test_an_export_comes_back_as_it_was(exported: Path, tmp_path: Path) -> None:
    dataset = tmp_path / "dataset"
    for split in SPLITS:
        ran = avis_data(*import_media(dataset, exported, split, "--workers", 1, "--json"))
        assert ran.code == 0, ran.err
        assert ran.json["adopt"]["failed"] == {} and ran.json["problems"] == []
    assert avis_data("-C", dataset, "embed", "--untrained", "--workers", 1).code == 0
    assert avis_data("-C", dataset, "export").code == 0
    again = dataset / "exports" / "ytvis"
    for split in SPLITS:
        before, after = read_ytvis(exported / f"{split}.json"), read_ytvis(again / f"{split}.json")
        assert after.videos == before.videos and after.categories == before.categories
        assert pixels(after) == pixels(before) and after.licenses == before.licenses
        for video in before.videos:
            for name in video.file_names:
                still = f"{split}/JPEGImages/{name}"
                assert (again / still).read_bytes() == (exported / still).read_bytes()
            sound = f"{split}/WAVAudios/{video.name}.wav"
            assert (again / sound).read_bytes() == (exported / sound).read_bytes()
            assert np.load(again / split / "FEATAudios" / f"{video.name}.npy").shape == (video.length, 128)
    checked = avis_data("validate", again, "--json")
    assert checked.code == 0
    status = avis_data("-C", dataset, "status", "--json").json["stages"]
    assert {stage["stage"]: stage["done"] for stage in status} == {"fetch": 0, "extract": 0, "adopt": 8, "embed": 8}


@pytest.mark.slow
def test_kill_and_resume_give_the_bytes_of_an_undisturbed_run(tmp_path: Path) -> None:
    names = [f"video{number:02d}" for number in range(60)]
    write_split(tmp_path, "train", names)
    for name in names[::7]:  # some at the rate that the published set has
        noise = np.random.default_rng(len(name)).uniform(-0.5, 0.5, (3 * 44_100, 2))
        soundfile.write(tmp_path / "train" / "WAVAudios" / f"{name}.wav", noise, 44_100)
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    assert avis_data(*import_media(undisturbed, tmp_path, "train", "--workers", 2)).code == 0
    for least in (1, 20, 40):
        process = start(*import_media(killed, tmp_path, "train", "--workers", 2))
        while process.poll() is None and sum(1 for _ in killed.glob("clips/*/times.json")) < least:
            time.sleep(0.005)
        process.kill()
        process.wait()
    ran = avis_data(*import_media(killed, tmp_path, "train", "--workers", 2, "--json"))
    assert ran.code == 0
    had_done = ran.json["adopt"]["already_done"]
    assert 30 <= had_done < 60 and ran.json["adopt"]["done"] == 60 - had_done
    expected = tree_hashes(undisturbed)
    assert len(expected) > 60 * 5 and tree_hashes(killed) == expected


def test_a_dry_run_makes_no_workspace(exported: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    ran = avis_data(*import_media(tmp_path / "empty", exported, "val", "--dry-run", "--json"))
    assert ran.code == 0 and ran.json["adopt"]["to_do"] == 2 and ran.json["num_clips"] == 2
    assert list((tmp_path / "empty").iterdir()) == []


def test_options_of_media_need_media(exported: Path, tmp_path: Path) -> None:
    for option in (["--into", "train"], ["--workers", "2"], ["--verify"]):
        ran = avis_data("-C", tmp_path, "import", "--format", "ytvis", exported / "val.json", *option)
        assert ran.code == 2 and f"{option[0]} goes with --media" in ran.err


@pytest.mark.slow
def test_a_failed_video_is_listed_and_the_exit_code_says_so(tmp_path: Path) -> None:
    write_split(tmp_path, "train", ["alpha", "beta"])
    (tmp_path / "train" / "JPEGImages" / "beta" / "1.jpg").unlink()
    refused = avis_data(*import_media(tmp_path / "dataset", tmp_path, "train", "--workers", 1))
    assert refused.code == 3 and "'beta' could not be adopted" in refused.err and "--skip-bad" in refused.err
    assert "1 done" in refused.out and "run again" in refused.err
    ran = avis_data(*import_media(tmp_path / "dataset", tmp_path, "train", "--workers", 1, "--skip-bad", "--json"))
    assert ran.code == 4 and ran.json["skipped_clips"] == ["beta"] and ran.json["num_clips"] == 1
    listed = avis_data("-C", tmp_path / "dataset", "status", "--failed")
    assert "adopt beta: source_missing" in listed.out and "1 of 3 stills are missing: 1.jpg" in listed.out
    assert json.loads((tmp_path / "dataset/manifest/clips.jsonl").read_text())["clip_id"] == "alpha"

"""Six stills a second from the list to the export and back: counts, masks, flags, times, and what is refused."""

from __future__ import annotations

import json
import shutil
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from avis_data.annotation.work.push_draft import DraftRequest, push_draft
from avis_data.errors import AvisError, ConfigError, ProblemsError
from avis_data.formats.ytvis import YtvisDataset, read_ytvis
from avis_data.io import read_json, write_json
from avis_data.manifest import read_manifest
from avis_data.masks.rle import area, decode
from avis_data.pipelines.exports.plan import ExportOptions, plan_export
from avis_data.pipelines.exports.publish import export
from avis_data.pipelines.exports.ytvis import YTVIS
from avis_data.quality import validate
from avis_data.quality.stats import dataset_stats
from avis_data.records import Clip
from avis_data.synth.labels import read_scenes
from avis_data.synth.scene import WorldOptions
from avis_data.synth.world import check_options
from support.rated_world import Rated, run, six_per_second

STILLS, SECONDS = 18, 3


def splits(folder: Path) -> dict[str, YtvisDataset]:
    return {name: read_ytvis(folder / f"{name}.json") for name in ("train", "val", "test")}


def masks_by_place(datasets: list[YtvisDataset]) -> dict[tuple[str, bytes], Any]:
    """Clip name and the pixels of a track's masks, to its flags."""
    found = {}
    for dataset in datasets:
        names = {video.video_id: video.name for video in dataset.videos}
        for track in dataset.tracks:
            pixels = np.stack([np.zeros((64, 96), bool) if mask is None else decode(mask) for mask in track.masks])
            found[names[track.video_id], pixels.tobytes()] = track.sounding
    return found


def test_the_manifest_counts_stills_and_seconds(rated: Rated) -> None:
    clips = list(read_manifest(rated.workspace.manifest / "clips.jsonl", Clip))
    assert {(clip.fps, clip.num_frames, clip.num_seconds) for clip in clips} == {(6.0, STILLS, SECONDS)}


def test_files_are_one_for_each_still_and_sound_is_whole_seconds(rated: Rated) -> None:
    for split, dataset in splits(rated.export).items():
        for video in dataset.videos:
            folder = rated.export / split
            assert len(list((folder / "JPEGImages" / video.name).iterdir())) == video.length == STILLS
            assert np.load(folder / "FEATAudios" / f"{video.name}.npy").shape == (STILLS, 128)
            with wave.open(str(folder / str(video.audio_file))) as file:
                assert file.getnframes() == SECONDS * 16000
            assert video.fps == 6 and video.source and video.name.startswith(video.source)
            assert video.frame_times is not None
            np.testing.assert_allclose(video.frame_times, (np.arange(STILLS) + 0.5) / 6, atol=1e-6)


def test_masks_and_flags_are_those_of_the_world(rated: Rated) -> None:
    want = masks_by_place([read_ytvis(rated.world / "truth.json")])
    assert masks_by_place(list(splits(rated.export).values())) == want
    flags = [flag for of_track in want.values() for flag in of_track]
    assert {True, False} <= set(flags)


def test_the_world_hears_by_period(rated: Rated) -> None:
    """A still is heard if the sound covers half of its sixth of a second."""
    truth = {video.name: video for video in read_ytvis(rated.world / "truth.json").videos}
    for scene in read_scenes(rated.world / "scenes.json"):
        assert truth[scene.clip_id].length == STILLS
        for track in scene.tracks:
            fine = np.arange(0, SECONDS, 0.001) + 0.0005
            on = np.zeros(len(fine), bool)
            for start, end in track.sounds:
                on |= (fine >= start) & (fine < end)
            share = [on[(fine >= k / 6) & (fine < (k + 1) / 6)].mean() for k in range(STILLS)]
            for number, part in enumerate(share):
                assert abs(part - 0.5) < 0.01 or track.heard[number] == (part > 0.5)


def test_validate_and_stats_understand_the_rate(rated: Rated) -> None:
    report = validate(rated.export, deep=True)
    assert report.is_clean and not report.findings.of("warning"), report.as_dict()
    total = dataset_stats(rated.export)["all"]
    assert (total.frames, total.length_mean, total.mean_seconds) == (4 * STILLS, STILLS, SECONDS)
    flags = [flag for track in masks_by_place(list(splits(rated.export).values())).values() for flag in track]
    sounding = sum(number * frames for number, frames in total.frames_by_sources.items())
    assert (sounding, total.masks) == (flags.count(True), flags.count(True) + flags.count(False))


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda video: video.update(fps=3), "sound-short"),
        (lambda video: video.update(fps=60), "sound-long"),
        (lambda video: video["frame_times"].__setitem__(4, video["frame_times"][5] - 0.001), "frame-time"),
        (lambda video: video.update(frame_times=[0.1, 0.1]), "unreadable"),
        (lambda video: video.update(fps="six"), "unreadable"),
        (lambda video: video.update(audio_file="../../x.wav"), "unreadable"),
    ],
)
def test_validate_finds_what_is_wrong_with_a_rate(rated: Rated, tmp_path: Path, change: Any, code: str) -> None:
    shutil.copytree(rated.export, tmp_path / "set")
    content = read_json(tmp_path / "set" / "train.json")
    change(content["videos"][0])
    (tmp_path / "set" / "train.json").write_text(json.dumps(content))
    assert code in validate(tmp_path / "set" / "train.json").as_dict()["by_code"]


def test_flags_must_fit_the_masks(rated: Rated, tmp_path: Path) -> None:
    content = read_json(rated.world / "truth.json")
    content["annotations"][0]["sounding"] = [True, 1]
    write_json(tmp_path / "truth.json", content)
    with pytest.raises(ProblemsError, match="sounding: must be 18 of true, false or null"):
        read_ytvis(tmp_path / "truth.json")


def test_the_certificate_says_rate_and_masks(rated: Rated) -> None:
    said = read_json(rated.export / "certificate.json")
    total = said["counts"]["total"]
    assert (said["fps"], total["seconds"], total["frames"]) == (6.0, 12, 72)
    assert total["silent_seconds"] + total["single_seconds"] + total["multi_seconds"] == pytest.approx(12, abs=0.01)
    assert said["truth"]["masks_of"] == "visible"
    assert sum(said["truth"]["masks_sounding"].values()) == total["masks"]
    assert said["embeddings"]["front_end"] == {"causal": 72}
    assert {(clip["fps"], clip["num_frames"]) for clip in said["clips"]} == {(6.0, 18)}


def test_of_the_same_labels_what_sounds_alone(rated: Rated) -> None:
    export(rated.workspace, YTVIS, ExportOptions(name="sounding", split="2/1/1", objects="sounding"))
    seen = masks_by_place(list(splits(rated.export).values()))
    heard = masks_by_place(list(splits(rated.workspace.exports / "sounding").values()))
    assert all(flags is None for flags in heard.values()), "every mask sounds, so nothing is said of it"
    want = set()
    for (name, pixels), flags in seen.items():
        masks = np.frombuffer(pixels, bool).reshape(STILLS, 64, 96).copy()
        masks[[flag is not True for flag in flags]] = False
        if masks.any():
            want.add((name, masks.tobytes()))
    assert set(heard) == want


def test_masks_of_which_nobody_said_whether_they_sound(rated: Rated, tmp_path: Path) -> None:
    """A file without flags, into a dataset of all that is seen: kept as seen, never published as sounding."""
    shutil.copytree(rated.workspace.root, tmp_path / "ws")
    workspace = type(rated.workspace)(tmp_path / "ws")
    content = read_json(rated.world / "truth.json")
    for annotation in content["annotations"]:
        del annotation["sounding"]
    write_json(tmp_path / "truth.json", content)
    assert run("-C", workspace.root, "import", "--format", "ytvis", tmp_path / "truth.json") == 0
    plan = plan_export(workspace, YTVIS, ExportOptions(split="2/1/1"))
    flags = {flag for item in plan.inputs.clips for track in item.tracks for flag in track.sounding}
    assert flags == {None}
    with pytest.raises(ProblemsError, match="nobody said whether they sound; avis-data export --objects visible"):
        plan_export(workspace, YTVIS, ExportOptions(split="2/1/1", objects="sounding"))


def test_an_export_comes_back_as_it_was(rated: Rated, tmp_path: Path) -> None:
    workspace = six_per_second(tmp_path / "again", truth="visible")
    for split in ("train", "val", "test"):
        truth = rated.export / f"{split}.json"
        assert run("-C", workspace.root, "import", "--format", "ytvis", truth, "--media", truth.with_suffix("")) == 0
    assert run("-C", workspace.root, "embed", "--untrained", "--workers", 1) == 0
    assert run("-C", workspace.root, "export") == 0
    again = workspace.exports / "ytvis"
    assert masks_by_place(list(splits(again).values())) == masks_by_place(list(splits(rated.export).values()))
    files = [file for file in rated.export.rglob("*.*") if file.suffix in (".jpg", ".wav", ".npy")]
    assert {file.suffix for file in files} == {".jpg", ".wav", ".npy"}
    for file in files:
        assert (again / file.relative_to(rated.export)).read_bytes() == file.read_bytes(), file
    assert {(video.fps, video.frame_times) for video in read_ytvis(again / "train.json").videos} == {(6.0, None)}
    times = read_json(workspace.clip_dir(read_ytvis(again / "train.json").videos[0].name) / "times.json")
    assert (times["num_seconds"], times["num_frames"], times["found_duration_s"]) == (SECONDS, STILLS, 3.0)


def test_a_set_of_another_rate_is_not_adopted(rated: Rated, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("-C", tmp_path, "init", "--recipe", "aviseg") == 0
    truth = rated.export / "val.json"
    code = run("-C", tmp_path, "import", "--format", "ytvis", truth, "--media", truth.with_suffix(""))
    assert code == 3 and "has 6 frames a second, the recipe 1" in capsys.readouterr().err


def test_truth_of_another_rate_is_refused(rated: Rated, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = read_json(rated.world / "truth.json")
    for video in content["videos"]:
        del video["fps"]
    write_json(tmp_path / "truth.json", content)
    code = run("-C", rated.workspace.root, "import", "--format", "ytvis", tmp_path / "truth.json", "--dry-run")
    assert code == 3 and "has 1 frames a second, the clip 6" in capsys.readouterr().err


def test_another_rate_in_the_recipe_makes_the_stills_stale(rated: Rated, tmp_path: Path) -> None:
    shutil.copytree(rated.workspace.root, tmp_path / "ws")
    workspace = type(rated.workspace)(tmp_path / "ws")
    workspace.recipe.write_text(workspace.recipe.read_text().replace("fps: 6", "fps: 3"))
    with pytest.raises(ProblemsError, match="avis-data extract"):
        plan_export(workspace, YTVIS, ExportOptions(split="2/1/1"))
    assert run("-C", workspace.root, "extract", "--workers", 1) == 0
    assert {clip.num_frames for clip in read_manifest(workspace.manifest / "clips.jsonl", Clip)} == {9}


def test_what_works_second_by_second_says_so(rated: Rated, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConfigError, match="labelling goes second by second, this dataset has 6 stills a second"):
        request = DraftRequest(clip_ids=None, annotators=("a@b.de",), double=0, seed=0, workers=1, dry_run=True)
        push_draft(rated.workspace, request)
    assert run("-C", rated.workspace.root, "export", "--format", "avsbench-ms3") == 2
    assert "one label a second, this dataset 6" in capsys.readouterr().err


def test_a_rate_of_labels_changes_no_picture_and_no_sound(rated: Rated, tmp_path: Path) -> None:
    options = ("--num-clips", 1, "--seconds", 3, "--size", "96x64", "--seed", 3, "--video-fps", 12, "--workers", 1)
    assert run("synth", *options, "--out", tmp_path) == 0
    (media,) = (tmp_path / "media").iterdir()
    assert media.read_bytes() == (rated.world / "media" / media.name).read_bytes()
    usual = read_ytvis(tmp_path / "truth.json")
    assert usual.videos[0].length == SECONDS
    assert {scene.label_fps for scene in read_scenes(tmp_path / "scenes.json")} == {1.0}
    assert all(area(mask) for track in usual.tracks for mask in track.masks if mask is not None)


def test_rates_that_cannot_be_labelled() -> None:
    with pytest.raises(AvisError, match="--fps"):
        check_options(WorldOptions(label_fps=31), num_clips=1, base_url=None)

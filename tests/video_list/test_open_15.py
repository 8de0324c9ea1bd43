"""The drawn truth of real clips: list and truth name the same clips, and it is the truth of the stills that we make."""

from __future__ import annotations

from pathlib import Path

from avis_data.categories import category_set
from avis_data.cli.main import main
from avis_data.formats.ytvis import read_ytvis
from avis_data.masks.rle import area
from avis_data.video_list import read_video_list
from support.places import ROOT

FOLDER = ROOT / "manifests" / "open-15"


def test_list_and_truth_name_the_same_clips() -> None:
    listed = read_video_list(FOLDER / "videos.csv", allow_local=True)
    truth = read_ytvis(FOLDER / "truth.json")
    assert sorted(row.span.clip_id for row in listed.clips) == sorted(video.name for video in truth.videos)
    assert all(row.license for row in listed.clips)
    assert {item.name for item in truth.categories} == {item.name for item in category_set("open-15").categories}


def test_what_is_drawn_and_what_sounds() -> None:
    truth = read_ytvis(FOLDER / "truth.json")
    flags = [flag for track in truth.tracks for flag in track.sounding or ()]
    masks = [mask for track in truth.tracks for mask in track.masks]
    assert sum(video.length for video in truth.videos) == 141 and len(truth.tracks) == 44
    assert sum(mask is not None for mask in masks) == 344 and flags.count(True) == 79
    assert [flag is None for flag in flags] == [mask is None for mask in masks], "said of every mask, and of no other"
    assert all(area(mask) > 0 for mask in masks if mask is not None)


def test_it_is_the_truth_of_the_stills_that_we_make(media_dir: Path, tmp_path: Path) -> None:
    names = ("bee_on_thistle.mp4", "bear_behind_fence.webm")
    rows = [f"{media_dir / name},{Path(name).stem}" for name in names]
    (tmp_path / "list.csv").write_text("\n".join(["url,video_id", *rows]) + "\n")
    workspace = str(tmp_path / "ds")
    assert main(["-C", workspace, "init", "--recipe", "aviseg"]) == 0
    recipe = tmp_path / "ds" / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("categories: aviseg-26", "categories: open-15"))
    for command, code in (
        (["fetch", "--list", str(tmp_path / "list.csv"), "--allow-local", "--sleep", "0", "-j", "1"], 0),
        (["extract", "-j", "1"], 0),
        (["import", "--format", "ytvis", str(FOLDER / "truth.json"), "--skip-bad"], 4),  # 13 clips are not here
        (["export", "--format", "ytvis", "--split", "1/1", "--without-features"], 0),
    ):
        assert main(["-C", workspace, *command]) == code, command
    exported = [read_ytvis(tmp_path / "ds" / "exports" / "ytvis" / f"{split}.json") for split in ("train", "val")]
    lengths = {video.name: video.length for dataset in exported for video in dataset.videos}
    assert lengths == {"bee_on_thistle": 4, "bear_behind_fence": 3}
    heard = [sum(mask is not None for mask in track.masks) for dataset in exported for track in dataset.tracks]
    assert heard == [1], "the bee in one second; the thistle and the bear are seen and not heard"

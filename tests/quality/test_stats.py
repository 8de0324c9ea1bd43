"""`avis-data stats`: figures against counting by hand."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from avis_data.cli.main import main
from avis_data.quality.stats import dataset_stats
from support.places import REFERENCE_TRUTHS
from support.ytvis_world import truth


@pytest.fixture
def root(tmp_path: Path) -> Path:
    train = truth(["alpha", "beta"])
    train["annotations"] = train["annotations"][:3]  # beta has only its person
    test = truth(["gamma", "delta"])
    test["annotations"] = test["annotations"][:2]  # nothing sounds in delta
    test["annotations"][1]["segmentations"] = [None, [], None]
    (tmp_path / "train.json").write_text(json.dumps(train))
    (tmp_path / "test.json").write_text(json.dumps(test))
    return tmp_path


def test_figures_by_hand(root: Path) -> None:
    figures = dataset_stats(root)
    train, test, everything = figures["train"], figures["test"], figures["all"]
    # alpha: person, person + dog, silence. beta: person, person, silence.
    assert (train.videos, train.frames, train.masks, train.tracks) == (2, 6, 5, 3)
    assert (train.silent_frames, train.single_frames, train.multi_frames) == (2, 3, 1)
    assert train.frames_by_sources == {0: 2, 1: 3, 2: 1} and train.sources_max == 2
    assert (train.length_min, train.length_median, train.length_max, train.length_mean) == (3, 3, 3, 3)
    assert (train.videos_with_silent_frame, train.videos_silent_throughout, train.maskless_tracks) == (2, 0, 0)
    assert (train.categories["person"].tracks, train.categories["person"].masks) == (2, 4)
    assert (train.categories["dog"].videos, train.categories["dog"].masks) == (1, 1)
    # gamma: person, person, silence, and a dog that never sounds. delta: silence.
    assert (test.masks, test.silent_frames, test.maskless_tracks, test.videos_silent_throughout) == (2, 4, 1, 1)
    assert (everything.videos, everything.frames, everything.masks) == (4, 12, 7)
    assert everything.frames_by_sources == {0: 6, 1: 5, 2: 1}
    assert everything.categories["person"].videos == 3
    with zipfile.ZipFile(root / "set.zip", "w") as archive:
        for name in ("train.json", "test.json"):
            archive.write(root / name, f"aviseg/{name}")
    assert dataset_stats(root / "set.zip") == figures


def test_the_command_prints_a_table_and_json(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stats", str(root)]) == 0
    text = capsys.readouterr().out
    assert "2 / 3 / 1" in text and "50.00 % / 41.67 % / 8.33 %" in text and "silent throughout: 1" in text
    assert main(["stats", str(root / "train.json"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found) == ["train"] and found["train"]["multi_frames"] == 1


def test_a_file_that_cannot_be_read_is_bad_input(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "test.json").write_text('{"videos": [3]}')
    assert main(["stats", str(root)]) == 3
    assert "videos[0]: must be an object" in capsys.readouterr().err


def test_an_empty_dataset_has_zeros(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "train.json").write_text('{"videos": [], "annotations": [], "categories": []}')
    assert main(["stats", str(tmp_path)]) == 0
    assert main(["stats", str(tmp_path), "--json"]) == 0
    assert '"frames": 0' in capsys.readouterr().out


@pytest.mark.parametrize("path", REFERENCE_TRUTHS)
def test_reference_files_against_their_own_lists(path: Path) -> None:
    raw = json.loads(path.read_text())
    sounding: dict[tuple[int, int], int] = {}
    for video in raw["videos"]:
        sounding.update({(video["id"], second): 0 for second in range(len(video["file_names"]))})
    for entry in raw["annotations"]:
        for second, area_px in enumerate(entry["areas"]):
            sounding[entry["video_id"], second] += bool(area_px)
    found = dataset_stats(path)["gt"]
    numbers = list(sounding.values())
    assert (found.frames, found.masks) == (len(numbers), sum(numbers))
    assert (found.silent_frames, found.single_frames) == (numbers.count(0), numbers.count(1))

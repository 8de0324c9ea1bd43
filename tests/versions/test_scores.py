"""Stored results under two versions of the truth: exact figures of a set whose results are known."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from avis_data.cli.main import main
from avis_data.errors import ConfigError, DataError
from avis_data.versions.scores import score_change
from avis_data.versions.version import read_version
from support.ytvis_world import HEIGHT, WIDTH, truth

NAMES = ["a", "b", "c"]


def results_of(content: dict[str, Any], path: Path) -> Path:
    """The results of a model that knows this truth."""
    from avis_data.masks.rle import coco_dict, rle_from_segmentation

    def rle(polygons: Any) -> Any:
        if polygons is None:
            return None
        mask = rle_from_segmentation(polygons, height=HEIGHT, width=WIDTH)
        assert mask is not None
        coded = coco_dict(mask)
        return {"size": coded["size"], "counts": coded["counts"].decode()}

    entries = [
        {
            "video_id": entry["video_id"],
            "category_id": entry["category_id"],
            "score": 0.9,
            "segmentations": [rle(polygons) for polygons in entry["segmentations"]],
        }
        for entry in content["annotations"]
    ]
    path.write_text(json.dumps(entries))
    return path


def write(folder: Path, content: dict[str, Any], split: str = "test") -> Path:
    folder.mkdir()
    (folder / f"{split}.json").write_text(json.dumps(content))
    return folder


def test_ids_are_carried_over_by_name_so_the_same_truth_gives_the_same_figures(tmp_path: Path) -> None:
    old, new = truth(NAMES), truth([*reversed(NAMES), "fresh"], first_id=5)
    new["categories"] = [{"id": 8, "name": "dog"}, {"id": 3, "name": "person"}]
    for entry in new["annotations"]:
        entry["category_id"] = {1: 3, 2: 8}[entry["category_id"]]
    results = results_of(old, tmp_path / "results.json")
    sides = [read_version(write(tmp_path / name, content)) for name, content in (("old", old), ("new", new))]
    found = score_change(*sides, results, split="test")
    assert (found.num_old, found.num_common) == (3, 3)
    assert found.before["FSLA"] == found.common_before["FSLA"] == found.common_after["FSLA"] == 1.0
    assert found.common_after["mAP"] == 1.0


def test_truth_that_changed_changes_the_figures_of_the_common_videos(tmp_path: Path) -> None:
    old = truth(NAMES)
    new = truth(["a", "b"])
    new["annotations"] = [entry for entry in new["annotations"] if entry["id"] != 2]  # a's dog does not sound after all
    results = results_of(old, tmp_path / "results.json")
    write(tmp_path / "old", old)
    write(tmp_path / "new", new)
    found = score_change(read_version(tmp_path / "old"), read_version(tmp_path / "new"), results, split="test")
    assert (found.num_old, found.num_common) == (3, 2)
    assert found.common_before["FSLA"] == 1.0
    assert found.common_after["FSLA"] is not None and found.common_after["FSLA"] < 1.0


def test_a_split_that_is_not_there_and_nothing_in_common(tmp_path: Path) -> None:
    old, other = (read_version(write(tmp_path / name, truth([name]))) for name in ("old", "other"))
    results = results_of(truth(["old"]), tmp_path / "results.json")
    with pytest.raises(ConfigError, match="has no split 'val'"):
        score_change(old, other, results, split="val")
    with pytest.raises(DataError, match="no video is in both"):
        score_change(old, other, results, split="test")


def test_the_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = truth(NAMES)
    new = copy.deepcopy(old)
    del new["annotations"][1]
    write(tmp_path / "old", old)
    write(tmp_path / "new", new)
    results = results_of(old, tmp_path / "results.json")
    files = ["--html", str(tmp_path / "page.html"), "--save", str(tmp_path / "changes.json"), "--score", str(results)]
    assert main(["diff", str(tmp_path / "old"), str(tmp_path / "new"), *files]) == 0
    said = capsys.readouterr().out
    assert "a: dog 2 removed (1 mask(s))" in said
    assert "results.json on test" in said and "100.0" in said
    page = (tmp_path / "page.html").read_text()
    assert "dog 2 removed" in page and "<script" not in page
    assert main(["diff", str(tmp_path / "old"), str(tmp_path / "new"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["counts"]["tracks"]["removed"] == 1
    made = ["patch", str(tmp_path / "old"), str(tmp_path / "changes.json"), "--out", str(tmp_path / "made")]
    assert main(made) == 0
    assert json.loads((tmp_path / "made" / "test.json").read_text()) == new
    assert main(made) == 2, "never over what is there"
    assert main(["patch", str(tmp_path / "new"), str(tmp_path / "changes.json"), "--out", str(tmp_path / "x")]) == 3


def test_names_from_the_set_cannot_put_markup_on_the_page(tmp_path: Path) -> None:
    old, new = truth(["a"]), truth(["a"])
    new["categories"][1]["name"] = "<script>alert(1)</script>"
    write(tmp_path / "old", old)
    write(tmp_path / "new", new)
    page = tmp_path / "page.html"
    assert main(["diff", str(tmp_path / "old"), str(tmp_path / "new"), "--html", str(page)]) == 0
    assert "<script" not in page.read_text()

"""`avis-data validate`: clean data pass, every planted fault is found by its words."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image

from avis_data.cli.main import main
from avis_data.quality import Severity, validate
from support.places import REFERENCE_TRUTHS
from support.ytvis_world import HEIGHT, SECONDS, WIDTH, write_split


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_split(tmp_path, "train", ["alpha", "beta"], seed=1)
    write_split(tmp_path, "test", ["gamma"], seed=2)
    return tmp_path


def edit(root: Path, change: Callable[[dict[str, Any]], None], split: str = "train") -> None:
    path = root / f"{split}.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def sound(channels: int = 2, seconds: float = SECONDS, rate: int = 16_000, subtype: str = "PCM_16") -> Any:
    def plant(root: Path) -> None:
        samples = np.zeros((int(seconds * rate), channels))
        soundfile.write(root / "train/WAVAudios/alpha.wav", samples, rate, subtype=subtype)

    return plant


def features(array: Any) -> Any:
    return lambda root: np.save(root / "train/FEATAudios/alpha.npy", array)


def truth_edit(change: Callable[[dict[str, Any]], None]) -> Any:
    return lambda root: edit(root, change)


def entry(index: int, key: str, value: Any) -> Any:
    return truth_edit(lambda content: content["annotations"][index].update({key: value}))


def frame_of_wrong_size(root: Path) -> None:
    Image.new("RGB", (WIDTH + 1, HEIGHT)).save(root / "train/JPEGImages/alpha/1.jpg")


def same_source(root: Path) -> None:
    for split in ("train", "test"):
        edit(root, lambda content: content["videos"][0].update(source_video="abc"), split)


def same_video(root: Path) -> None:
    edit(root, lambda content: content["videos"][0].update(file_names=[f"alpha/{t}.jpg" for t in range(3)]), "test")


def copied_frames(root: Path) -> None:
    for second in range(SECONDS):
        source = root / f"train/JPEGImages/alpha/{second}.jpg"
        (root / f"test/JPEGImages/gamma/{second}.jpg").write_bytes(source.read_bytes())


def drop_boxes(content: dict[str, Any]) -> None:
    content["annotations"][0]["bboxes"][1] = None


def reorder(content: dict[str, Any]) -> None:
    content["annotations"][:2] = content["annotations"][1::-1]


NEGATIVE = np.full((SECONDS, 128), -1, np.float32)
NAN = np.full((SECONDS, 128), np.nan, np.float32)
EMPTY_RLE = {"size": [HEIGHT, WIDTH], "counts": [HEIGHT * WIDTH]}
FAULTS: list[tuple[str, Any, Severity]] = [
    ("unreadable", lambda root: (root / "train.json").write_text("{"), Severity.ERROR),
    ("unreadable", entry(0, "category_id", 55), Severity.ERROR),
    ("unreadable", truth_edit(lambda c: c["videos"][0].update(length=99)), Severity.ERROR),
    ("unreadable", truth_edit(lambda c: c["videos"][0].update(file_names=["../../x/1.jpg"])), Severity.ERROR),
    ("unreadable", truth_edit(lambda c: c["annotations"][1].update(id=1)), Severity.ERROR),
    ("id-not-positive", entry(0, "id", 0), Severity.ERROR),
    ("id-not-positive", entry(0, "id", -1), Severity.ERROR),
    ("size-missing", truth_edit(lambda c: c["annotations"][0].pop("height")), Severity.ERROR),
    ("iscrowd-missing", truth_edit(lambda c: c["annotations"][0].pop("iscrowd")), Severity.ERROR),
    ("areas-missing", truth_edit(lambda c: c["annotations"][0].pop("areas")), Severity.WARNING),
    ("bboxes-missing", truth_edit(lambda c: c["annotations"][0].pop("bboxes")), Severity.ERROR),
    ("bbox-missing", truth_edit(drop_boxes), Severity.ERROR),
    ("bbox-shape", entry(0, "bboxes", [[1, 2], [2, 2, 5, 6], None]), Severity.ERROR),
    ("bbox-differs", entry(0, "bboxes", [[1, 2, 5, 9], [2, 2, 5, 6], None]), Severity.WARNING),
    ("area-differs", entry(0, "areas", [30, 60, None]), Severity.WARNING),
    ("box-without-mask", entry(0, "bboxes", [[1, 2, 5, 6], [2, 2, 5, 6], [1, 1, 2, 2]]), Severity.WARNING),
    ("silence-as-list", truth_edit(lambda c: c["annotations"][0]["segmentations"].__setitem__(2, [])), Severity.ERROR),
    (
        "mask-empty",
        truth_edit(lambda c: c["annotations"][0]["segmentations"].__setitem__(2, EMPTY_RLE)),
        Severity.ERROR,
    ),
    ("mask-lost", truth_edit(lambda c: c["annotations"][0]["segmentations"].__setitem__(2, [[1, 2]])), Severity.ERROR),
    (
        "polygon-dropped",
        truth_edit(lambda c: c["annotations"][0]["segmentations"][0].append([1, 2, 3])),
        Severity.WARNING,
    ),
    (
        "form-rle",
        truth_edit(lambda c: c["annotations"][0]["segmentations"].__setitem__(2, EMPTY_RLE)),
        Severity.WARNING,
    ),
    (
        "form-rle-list",
        truth_edit(lambda c: c["annotations"][0]["segmentations"].__setitem__(2, [EMPTY_RLE])),
        Severity.WARNING,
    ),
    ("annotation-order", truth_edit(reorder), Severity.ERROR),
    ("track-without-mask", entry(0, "segmentations", [None] * SECONDS), Severity.WARNING),
    ("video-without-track", truth_edit(lambda c: c.update(annotations=c["annotations"][:2])), Severity.NOTE),
    ("category-unused", truth_edit(lambda c: c["categories"].append({"id": 3, "name": "cat"})), Severity.NOTE),
    ("category-ids", truth_edit(lambda c: c["categories"].append({"id": 9, "name": "cat"})), Severity.WARNING),
    ("categories-differ", truth_edit(lambda c: c["categories"].append({"id": 3, "name": "cat"})), Severity.ERROR),
    (
        "frame-name",
        truth_edit(lambda c: c["videos"][0]["file_names"].__setitem__(0, "alpha/first.jpg")),
        Severity.ERROR,
    ),
    ("frame-order", truth_edit(lambda c: c["videos"][0]["file_names"].reverse()), Severity.ERROR),
    ("frames-missing", lambda root: (root / "train/JPEGImages/alpha").rename(root / "elsewhere"), Severity.ERROR),
    ("frame-missing", lambda root: (root / "train/JPEGImages/alpha/1.jpg").unlink(), Severity.ERROR),
    ("frame-extra", lambda root: (root / "train/JPEGImages/alpha/9.jpg").write_bytes(b"x"), Severity.ERROR),
    ("frame-broken", lambda root: (root / "train/JPEGImages/alpha/1.jpg").write_bytes(b"x"), Severity.ERROR),
    ("frame-size", frame_of_wrong_size, Severity.ERROR),
    ("folder-missing", lambda root: (root / "train/WAVAudios").rename(root / "elsewhere"), Severity.ERROR),
    ("folder-missing", lambda root: (root / "train/FEATAudios").rename(root / "elsewhere"), Severity.WARNING),
    ("sound-missing", lambda root: (root / "train/WAVAudios/alpha.wav").unlink(), Severity.ERROR),
    ("sound-broken", lambda root: (root / "train/WAVAudios/alpha.wav").write_bytes(b"RIFF"), Severity.ERROR),
    ("sound-mono", sound(channels=1), Severity.ERROR),
    ("sound-channels", sound(channels=6), Severity.WARNING),
    ("sound-coding", sound(subtype="FLOAT"), Severity.ERROR),
    ("sound-rate", sound(rate=8000), Severity.WARNING),
    ("sound-short", sound(seconds=SECONDS - 1), Severity.ERROR),
    ("sound-incomplete", sound(seconds=SECONDS - 0.5), Severity.WARNING),
    ("sound-long", sound(seconds=SECONDS + 2), Severity.WARNING),
    ("features-missing", lambda root: (root / "train/FEATAudios/alpha.npy").unlink(), Severity.ERROR),
    ("features-broken", lambda root: (root / "train/FEATAudios/alpha.npy").write_bytes(b"x"), Severity.ERROR),
    ("features-broken", features(np.array([{}], dtype=object)), Severity.ERROR),
    ("features-dtype", features(np.zeros((SECONDS, 128))), Severity.ERROR),
    ("features-shape", features(np.zeros((SECONDS + 1, 128), np.float32)), Severity.ERROR),
    ("features-not-finite", features(NAN), Severity.ERROR),
    ("features-negative", features(NEGATIVE), Severity.WARNING),
    ("stranger", lambda root: (root / "train/WAVAudios/nobody.wav").write_bytes(b"x"), Severity.WARNING),
    ("source-shared", same_source, Severity.ERROR),
    ("video-shared", same_video, Severity.ERROR),
    ("same-frames", copied_frames, Severity.WARNING),
]


def test_clean_data_have_no_findings(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = validate(root, deep=True)
    assert [str(finding) for finding in report.findings.kept] == []
    assert main(["validate", str(root)]) == 0
    assert "0 error(s), 0 warning(s), 0 note(s)" in capsys.readouterr().out


@pytest.mark.parametrize(("code", "plant", "severity"), FAULTS, ids=[f"{n}-{f[0]}" for n, f in enumerate(FAULTS)])
def test_a_planted_fault_is_found(
    code: str, plant: Any, severity: Severity, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plant(root)
    exit_code = main(["validate", str(root), "--json"])
    found = json.loads(capsys.readouterr().out)
    assert (code, severity.value) in {(item["code"], item["severity"]) for item in found["findings"]}
    assert exit_code == (3 if found["counts"]["error"] else 0)
    assert found["counts"]["error"] or severity is not Severity.ERROR


def test_a_broken_picture_is_found_only_when_asked_for(root: Path) -> None:
    path = root / "train/JPEGImages/alpha/1.jpg"
    path.write_bytes(path.read_bytes()[:-150])
    assert validate(root).is_clean
    assert not validate(root, deep=True).is_clean


def test_one_file_alone_is_checked_without_media(root: Path, tmp_path: Path) -> None:
    alone = tmp_path / "truth.json"
    alone.write_text((root / "train.json").read_text())
    report = validate(alone)
    assert report.is_clean and report.checked == {"truth.json": {"num_videos": 2, "num_tracks": 4, "media": False}}
    (root / "train/JPEGImages/alpha/1.jpg").unlink()
    assert not validate(root / "train.json").is_clean


def test_many_like_findings_are_counted_and_the_first_shown(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(30):
        (root / f"train/WAVAudios/x{number}.wav").write_bytes(b"")
    assert main(["validate", str(root), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["by_code"]["stranger"] == 30 and found["counts"]["warning"] == 30


def test_a_folder_without_truth_is_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", str(tmp_path)]) == 3
    assert "no train.json" in capsys.readouterr().err


@pytest.mark.parametrize(
    "content", ["[]", "null", "7", '{"videos": [[]], "annotations": [[], {"id": []}], "categories": 3}']
)
def test_strange_json_is_listed_and_never_crashes(content: str, tmp_path: Path) -> None:
    (tmp_path / "train.json").write_text(content)
    assert not validate(tmp_path).is_clean


@pytest.mark.parametrize("truth", REFERENCE_TRUTHS)
def test_no_reference_truth_has_an_error(truth: Path) -> None:
    report = validate(truth)
    assert report.is_clean, report.findings.of(Severity.ERROR)

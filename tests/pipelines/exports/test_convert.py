"""A labelled set in one format becomes one in another, without a workspace, and is proven like an export."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from avis_data.cli.main import main
from avis_data.formats.sets.clips import LabelledClip
from avis_data.formats.sets.compare import differences, kept
from avis_data.formats.sets.overlap import num_contested
from avis_data.formats.sets.registry import SETS
from avis_data.formats.sets.spec import Keeps
from avis_data.io import read_json
from avis_data.masks.rle import encode
from support.labelled_sets import odd_clips
from support.labelled_sets import write_set as write_labelled
from support.toy_set import TOY_SET, ToyReader, ToyWriter


@pytest.fixture(autouse=True)
def formats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    with SETS.with_added(TOY_SET):
        yield


def write_set(folder: Path, *, names: tuple[str, ...] = ("a", "b", "c", "d"), split: str | None = None) -> Path:
    left = np.zeros((4, 12), bool)
    left[1:3, :5] = True
    for name in names:
        (folder / name).mkdir(parents=True)
        track = {"id": "1", "category": "dog", "masks": [encode(left).counts, None], "sounding": [True, None]}
        said = {"size": [4, 12], "split": split, "stills": ["0", "1"], "tracks": [track]}
        (folder / name / "labels.json").write_text(json.dumps(said), encoding="utf-8")
        for number in (0, 1):
            Image.new("RGB", (12, 4), (number, 9, 9)).save(folder / name / f"{number}.jpg")
    (folder / "toy.txt").write_text("toy")
    return folder


def run(*more: str) -> int:
    return main(["convert", "in", "--format", "toy-set", "--to", "toy-set", "--out", "out", *more])


def clips_of(folder: Path) -> dict[str, LabelledClip]:
    return {clip.name: clip for clip in ToyReader().read(folder) if isinstance(clip, LabelledClip)}


def test_every_clip_comes_back_with_certificate_and_hashes(capsys: pytest.CaptureFixture[str]) -> None:
    write_set(Path("in"), split="val")
    assert main(["convert", "in", "--to", "toy-set", "--out", "out"]) == 0, "its form is recognised"
    assert "out: written, 13 files, read back and compared: toy-set" in capsys.readouterr().out
    before, after = clips_of(Path("in")), clips_of(Path("out"))
    assert list(after) == ["a", "b", "c", "d"] and {clip.split for clip in after.values()} == {"val"}
    for name, clip in after.items():
        assert not list(differences(clip, kept(before[name], TOY_SET), TOY_SET))
    said = read_json(Path("out/certificate.json"))
    assert said["converted_from"] == {"format": "toy-set", "name": "in"} and said["counts"]["val"]["masks"] == 4
    subprocess.run(["sha256sum", "--quiet", "-c", "files.sha256"], cwd="out", check=True)
    assert run() == 2, "a folder that holds something is not written over"


def test_a_split_is_drawn_and_the_same_again() -> None:
    write_set(Path("in"))
    assert run("--split", "2/2", "--seed", "4") == 0
    first = {name: clip.split for name, clip in clips_of(Path("out")).items()}
    assert sorted(filter(None, first.values())) == ["train", "train", "val", "val"]
    Path("out").rename("before")
    assert run("--split", "2/2", "--seed", "4") == 0
    assert Path("before/files.sha256").read_bytes() == Path("out/files.sha256").read_bytes()


def test_faults_leave_a_clip_out_and_are_all_named(capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_set(Path("in"))
    (folder / "b" / "labels.json").write_text('{"size": [4, 12]}')
    (folder / "c" / "1.jpg").unlink()
    assert run() == 4
    out = capsys.readouterr().out
    assert "2 clip(s) left out" in out and "b/labels.json" in out
    assert "clip c: stills: the set has no pictures of it, and toy-set holds them" in out
    assert sorted(clips_of(Path("out"))) == ["a", "d"]
    assert read_json(Path("out/certificate.json"))["clips_left_out"] == ["b", "c"]


def test_names_outside_a_category_set_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    write_set(Path("in"))
    assert run("--map", "dog=hound", "--categories", "aviseg-26") == 3
    assert "'hound' is not in the category set" in capsys.readouterr().err and not Path("out").exists()
    assert run("--categories", "aviseg-26", "--dry-run", "--json") == 0
    assert json.loads(capsys.readouterr().out)["counts"]["total"] == {"clips": 4, "tracks": 4, "masks": 4}
    assert not Path("out").exists()


def test_what_is_not_written_right_gets_no_name(capsys: pytest.CaptureFixture[str]) -> None:
    write_set(Path("in"))
    with SETS.with_added(replace(TOY_SET, name="toy-broken", writer=ToyWriter(breaks=True))):
        assert main(["convert", "in", "--format", "toy-set", "--to", "toy-broken", "--out", "out"]) == 3
    assert "read back, clip a: 1 masks differ of 1" in capsys.readouterr().err and not Path("out").exists()


def test_what_a_format_loses_is_not_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    """A format without sound takes masks of which nobody said whether they sound."""
    folder = write_set(Path("in"))
    said = read_json(folder / "a" / "labels.json")
    said["tracks"][0]["sounding"] = [None, None]
    (folder / "a" / "labels.json").write_text(json.dumps(said))
    assert run() == 4
    assert "clip a: sounding: of 1 masks the set does not say whether they sound" in capsys.readouterr().out
    deaf = replace(TOY_SET, name="toy-deaf", keeps=Keeps(sounding="no"))
    with SETS.with_added(replace(deaf, writer=ToyWriter(deaf=True))):
        assert main(["convert", "in", "--format", "toy-set", "--to", "toy-deaf", "--out", "deaf"]) == 0


def test_pixels_of_two_objects_are_said_with_who_got_them(capsys: pytest.CaptureFixture[str]) -> None:
    clips = [replace(clip, source=None) for clip in odd_clips(3, 8)]
    write_labelled(SETS["coco"], Path("set"), clips)
    assert main(["convert", "set", "--to", "davis", "--sounding", "unknown"]) == 0, capsys.readouterr().err
    contested = sum(num_contested(clip) for clip in clips)
    rule = "a pixel of two objects belongs to the smaller one"
    assert contested > 9 and f"{contested} pixels are of two objects or more: {rule}" in capsys.readouterr().out


def test_an_unknown_form_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    Path("in").mkdir()
    assert main(["convert", "in", "--to", "toy-set", "--out", "out"]) == 2
    assert "in: looks like none that is known" in capsys.readouterr().err


@dataclass(frozen=True, kw_only=True)
class MoreReader(ToyReader):
    """Reads what the toy's reader reads, and says so."""


def test_of_two_forms_the_narrower_is_recognised(capsys: pytest.CaptureFixture[str]) -> None:
    """A set of one format with a description beside it is of both; by itself neither would be the right one."""
    write_set(Path("in"))
    more = replace(TOY_SET, name="toy-more", reader=MoreReader())
    with SETS.with_added(more):
        assert main(["convert", "in", "--to", "toy-set", "--out", "out"]) == 2
    assert "looks like" in capsys.readouterr().err
    with SETS.with_added(replace(more, narrows=("toy-set",))):
        assert main(["convert", "in", "--to", "toy-set", "--out", "out"]) == 0
    assert read_json(Path("out/certificate.json"))["converted_from"]["format"] == "toy-more"


def test_turns_and_rates_follow_the_numbers_of_stills(capsys: pytest.CaptureFixture[str]) -> None:
    """Stills 0, 5 and 10 of a video of 10 a second are half a second apart; where one is missing, RTTM is refused."""
    mask = encode(np.ones((4, 12), bool)).counts

    def write(folder: Path, *numbers: int) -> None:
        (folder / "a").mkdir(parents=True)
        track = {"id": "1", "category": "dog", "masks": [mask] * len(numbers), "sounding": [None] * len(numbers)}
        said = {"size": [4, 12], "split": None, "stills": [str(number) for number in numbers], "tracks": [track]}
        (folder / "a" / "labels.json").write_text(json.dumps(said))
        (folder / "toy.txt").write_text("toy")

    write(Path("in"), 0, 5, 10)
    write(Path("gap"), 0, 5, 15)
    Path("turns.csv").write_text("clip_id,track,start,end\na,1,0.5,1\n")
    spec = replace(TOY_SET, reader=replace(TOY_SET.reader, numbered=True), name="toy-numbered")  # type: ignore[type-var]
    with SETS.with_added(spec):
        command = ["convert", "--format", "toy-numbered", "--to", "rttm", "--set-fps", "10", "--sounding", "turns.csv"]
        assert main([*command, "in", "--out", "rttm"]) == 0, capsys.readouterr().err
        assert Path("rttm/train.rttm").read_text().split()[3:5] == ["0.500", "0.500"]
        assert Path("rttm/train.uem").read_text().split()[-1] == "1.500"
        assert main([*command, "gap", "--out", "not"]) == 3
        assert "clip a: stills: are not at one rate, as rttm has them" in capsys.readouterr().err


HALVES = {
    "track": lambda said: said["tracks"][0].update(id="t\ud800"),
    "category": lambda said: said["tracks"][0].update(category="dog\udfff"),
    "still": lambda said: said.update(stills=["0\ud83d", "1"]),
}


@pytest.mark.parametrize("what", HALVES)
@pytest.mark.parametrize("target", ["coco", "hf", "webdataset"])
def test_half_a_character_is_told_whatever_is_written(
    what: str, target: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """JSON can hold it; UTF-8 cannot."""
    folder = write_set(Path("in"))
    said = read_json(folder / "a" / "labels.json")
    HALVES[what](said)
    (folder / "a" / "labels.json").write_text(json.dumps(said))
    if what == "still":
        (folder / "a" / "0.jpg").unlink()
    assert main(["convert", "in", "--format", "toy-set", "--to", target, "--out", "out"]) == 4
    assert "half of a character" in capsys.readouterr().out

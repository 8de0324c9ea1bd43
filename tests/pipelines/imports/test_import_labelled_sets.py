"""Labels of other tools enter a workspace: matched with its stills, checked, clip by clip, kept as received."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from avis_data.cli.main import main
from avis_data.formats.sets.registry import SETS
from avis_data.manifest import read_manifest
from avis_data.masks.rle import Rle, decode, encode
from avis_data.masks.table import read_masks
from avis_data.paths import Workspace
from avis_data.records import State, Track
from support.fake_workspace import WIDTH_HEIGHT, FakeClip, make_workspace
from support.toy_set import TOY_SET

WIDTH, HEIGHT = WIDTH_HEIGHT


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    clips = [FakeClip(clip_id=f"c{number}", video_id=f"v{number}", num_seconds=4) for number in range(3)]
    workspace = make_workspace(tmp_path, clips)
    rng = np.random.default_rng(7)
    for clip in clips:
        for second in range(4):  # pictures that can be told apart
            pixels = np.kron(rng.integers(0, 255, (4, 6, 3), np.uint8), np.ones((8, 8, 1), np.uint8))
            Image.fromarray(pixels).save(workspace.frame(clip.clip_id, second), quality=95)
    monkeypatch.chdir(tmp_path)
    with SETS.with_added(TOY_SET):
        yield workspace


def mask(x: int, width: int = 5) -> str:
    inside = np.zeros((HEIGHT, WIDTH), bool)
    inside[3:9, x : x + width] = True
    return encode(inside).counts


def track(name: str = "a", category: str | None = "dog", **more: Any) -> dict[str, Any]:
    said = {"id": name, "category": category, "masks": [mask(1), None, mask(3), mask(4)]}
    return said | {"sounding": [True, None, False, None]} | more


def write_set(folder: Path, clips: dict[str, list[dict[str, Any]]], **more: Any) -> Path:
    for name, tracks in clips.items():
        (folder / name).mkdir(parents=True)
        said = {"size": [HEIGHT, WIDTH], "split": None, "stills": ["0", "1", "2", "3"], "tracks": tracks} | more
        (folder / name / "labels.json").write_text(json.dumps(said), encoding="utf-8")
    (folder / "toy.txt").write_text("toy")
    return folder


def take(folder: Path, *more: str) -> int:
    return main(["import", "--format", "toy-set", str(folder), *more])


def rows_of(workspace: Workspace, clip_id: str) -> dict[tuple[str, int], State]:
    return {(row.track_id, row.frame): row.state for _, rows in read_masks(workspace.masks, [clip_id]) for row in rows}


def test_what_a_set_says_becomes_rows_pixel_by_pixel(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_set(workspace.root / "set", {"c0": [track()], "c1": []})
    assert take(folder) == 4, "the silent clip is taken"
    said = capsys.readouterr().out
    assert "of 1 masks the set does not say whether they sound: --sounding all, unknown, or FILE" in said
    assert take(folder, "--sounding", "unknown") == 0
    out = capsys.readouterr().out
    assert "imported 2 clip(s), 1 track(s), 3 mask(s) of set" in out and "1 mask(s) of which nobody said" in out
    states = {("a", 0): State.SOUNDING, ("a", 2): State.SILENT, ("a", 3): State.VISIBLE}
    assert rows_of(workspace, "c0") == states
    ((_, rows),) = read_masks(workspace.masks, ["c0"])
    for row, counts in zip(rows, (mask(1), mask(3), mask(4)), strict=True):
        assert row.counts is not None
        assert np.array_equal(decode(Rle(HEIGHT, WIDTH, row.counts)), decode(Rle(HEIGHT, WIDTH, counts)))
    (kept,) = workspace.annotations.glob("import-*/received")
    assert sorted(path.relative_to(kept).as_posix() for path in kept.rglob("*.json")) == [
        "c0/labels.json",
        "c1/labels.json",
    ]
    assert take(folder, "--sounding", "unknown") == 0, "the same again changes nothing"
    assert rows_of(workspace, "c0") == states
    assert take(folder, "--sounding", "all") == 0
    assert rows_of(workspace, "c0")["a", 3] is State.SOUNDING, "only what the set leaves open is filled in"
    assert rows_of(workspace, "c0")["a", 2] is State.SILENT
    tracks = [found for found in read_manifest(workspace.manifest / "tracks.jsonl", Track) if found.clip_id == "c0"]
    assert [(found.track_id, found.num_sounding, found.origin) for found in tracks] == [("a", 2, "import:toy-set")]


def test_good_clips_go_on_and_every_fault_is_named(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_set(
        workspace.root / "set",
        {"c0": [track(category="dgo"), track("b", "persn")], "c1": [track()], "c9": [track()]},
    )
    (folder / "c2").mkdir()
    (folder / "c2" / "labels.json").write_text('{"size": [32, 48]}')
    assert take(folder, "--sounding", "all") == 4
    out = capsys.readouterr().out
    assert "imported 1 clip(s)" in out and "3 clip(s) of the set left out" in out
    assert "clip c0: track a: 'dgo' is not in the category set: --map 'dgo=dog'" in out
    assert "clip c0: track b: 'persn' is not in the category set: --map 'persn=person'" in out
    assert "c2/labels.json" in out and "clip c9: this workspace has no clip 'c9'; it has c0, c1, c2" in out
    assert rows_of(workspace, "c0") == {} and len(rows_of(workspace, "c1")) == 3
    assert take(folder, "--sounding", "all", "--map", "dgo=dog", "--map", "persn=person") == 4
    assert len(rows_of(workspace, "c0")) == 6


def test_names_of_a_set_are_mapped_by_hand_and_by_file(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_set(workspace.root / "set", {"task 7": [track(category=None), track("b", "Hund, klein")]})
    names = workspace.root / "names.csv"
    names.write_text('old,new\n"Hund, klein",dog\n')
    command = ["--sounding", "all", "--map-file", str(names), "--clip", "c2"]
    assert take(folder, *command) == 3
    assert "the format has no categories: --map unknown=NAME" in capsys.readouterr().err
    assert take(folder, *command, "--map", "unknown=person") == 0
    found = {entry.track_id: entry.category for entry in read_manifest(workspace.manifest / "tracks.jsonl", Track)}
    assert found == {"a": "person", "b": "dog"}
    for bad, message in ((["--map", "dog"], "must be old=new"), (["--map-file", "no.csv"], "no.csv: cannot be read")):
        assert take(folder, *bad) in (2, 3)
        assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "stills", "said"),
    [
        ({"size": [HEIGHT, 40]}, 4, "is 40 x 32 pixels, the clip here 48 x 32"),
        ({}, 5, "the set has a still 4, the clip has 4 stills, from 0 on"),
    ],
)
def test_what_does_not_fit_the_stills_is_refused(
    workspace: Workspace, capsys: pytest.CaptureFixture[str], more: dict[str, Any], stills: int, said: str
) -> None:
    silent = track(masks=[None] * stills, sounding=[None] * stills)
    names = {"stills": [str(number) for number in range(stills)]}
    folder = write_set(workspace.root / "set", {"c0": [silent]}, **names, **more)
    assert take(folder, "--sounding", "all") == 3
    assert said in capsys.readouterr().err


def test_a_set_at_another_rate_is_resampled_by_time(workspace: Workspace) -> None:
    """At 2 a second the stills of 0, 1, ... are on display until the middle of each second, as `extract` takes them."""
    masks = [mask(x) for x in range(8)]
    folder = write_set(
        workspace.root / "set",
        {"c0": [track(masks=masks, sounding=[True] * 8)]},
        stills=[str(number) for number in range(8)],
    )
    assert take(folder) == 3
    assert take(folder, "--set-fps", "2") == 0
    ((_, rows),) = read_masks(workspace.masks, ["c0"])
    lefts = [row.box_xywh[0] for row in rows if row.box_xywh is not None]
    assert lefts == [0, 2, 4, 6]
    assert take(folder, "--set-fps", "0.5") == 3, "a slower set has stills without labels"
    assert take(folder, "--set-fps", "2", "--set-start", "1") == 0
    ((_, rows),) = read_masks(workspace.masks, ["c0"])
    assert [(row.frame, row.box_xywh[0]) for row in rows if row.box_xywh] == [(1, 0), (2, 2), (3, 4)]


def test_pictures_of_another_instant_are_noticed(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_set(workspace.root / "set", {"c0": [track()]})
    for here, there in ((0, 1), (1, 2), (2, 3), (3, 3)):
        with Image.open(workspace.frame("c0", there)) as still:
            still.save(folder / "c0" / f"{here}.jpg", quality=60)
    assert take(folder, "--sounding", "all") == 3
    assert "its pictures are those 1 still(s) later in the clip" in capsys.readouterr().err
    for number in range(4):
        with Image.open(workspace.frame("c0", number)) as still:
            still.save(folder / "c0" / f"{number}.jpg", quality=60)
    assert take(folder, "--sounding", "all") == 0


def test_numbers_that_may_mean_two_things_are_asked_for(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    """Stills 1 to 3 of four: from 0, or from 1?"""
    few = track(masks=[mask(1), mask(2), mask(3)], sounding=[True] * 3)
    folder = write_set(workspace.root / "set", {"c0": [few]}, stills=["1", "2", "3"])
    spec = replace(TOY_SET, reader=replace(TOY_SET.reader, numbered=True), name="toy-numbered")  # type: ignore[type-var]
    with SETS.with_added(spec):
        command = ["import", "--format", "toy-numbered", str(folder)]
        assert main(command) == 3
        assert "from 0 or from 1 is not clear" in capsys.readouterr().err
        assert main([*command, "--first-number", "1"]) == 0
        assert sorted(frame for _, frame in rows_of(workspace, "c0")) == [0, 1, 2]
        assert main([*command, "--first-number", "0"]) == 0
        assert sorted(frame for _, frame in rows_of(workspace, "c0")) == [1, 2, 3]


def test_a_dry_run_changes_nothing(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_set(workspace.root / "set", {"c0": [track()]})
    assert take(folder, "--sounding", "all", "--dry-run", "--json") == 0
    assert json.loads(capsys.readouterr().out)["num_masks"] == 3
    assert rows_of(workspace, "c0") == {} and not list(workspace.annotations.glob("import-*"))


def test_stills_are_found_by_a_pattern_of_their_names(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    """The order of the set is not that of the numbers, and its numbers begin with 1."""
    names = ["a_2.cut", "a_1.cut", "a_4.cut", "a_3.cut"]
    moved = track(masks=[mask(2), mask(1), mask(4), mask(3)], sounding=[True] * 4)
    folder = write_set(workspace.root / "set", {"c0": [moved]}, stills=names)
    assert take(folder, "--name-pattern", r"a_(?P<number>\d+)") == 0
    ((_, rows),) = read_masks(workspace.masks, ["c0"])
    assert [row.box_xywh[0] for row in rows if row.box_xywh] == [1, 2, 3, 4]
    for pattern, said in (("a_(", "--name-pattern 'a_('"), ("a_1", "has no group"), (r"b_(\d)", "does not fit")):
        assert take(folder, "--name-pattern", pattern) == 3
        assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    "text",
    [
        "SPEAKER c0 1 0.000 1.000 <NA> <NA> dog_a <NA> <NA>\n",
        "clip_id,track,start,end\nc0,a,0,1.1\n",
    ],
)
def test_a_file_of_turns_says_what_sounds(workspace: Workspace, capsys: pytest.CaptureFixture[str], text: str) -> None:
    """Also of the one clip that has another name in its set; what the set says itself stays."""
    folder = write_set(workspace.root / "set", {"task 7": [track(sounding=[None, None, True, None])]})
    turns = workspace.root / "turns.txt"
    turns.write_text(text)
    assert take(folder, "--sounding", str(turns), "--clip", "c0") == 0, capsys.readouterr().err
    states = {("a", 0): State.SOUNDING, ("a", 2): State.SOUNDING, ("a", 3): State.SILENT}
    assert rows_of(workspace, "c0") == states
    turns.write_text(text.replace("dog_a", "dgo_a").replace(",a,", ",b,"))
    assert take(folder, "--sounding", str(turns), "--clip", "c0") == 3
    assert "turns.txt" in (said := capsys.readouterr().err) and "is no track of clip c0, which has a" in said
    turns.write_text(text + "SPEAKER c0 x\nc0,a,x,y\n")
    assert take(folder, "--sounding", str(turns), "--clip", "c0") == 3
    assert "line(s) cannot be read" in capsys.readouterr().err


def test_turns_are_in_the_seconds_of_the_clip(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a set that leaves a still out, and of one that has ten a second."""
    turns = workspace.root / "turns.csv"
    turns.write_text("clip_id,track,start,end\nc0,a,2,3\n")
    few = track(masks=[mask(1), mask(2), mask(3)], sounding=[None] * 3)
    gap = write_set(workspace.root / "gap", {"c0": [few]}, stills=["0", "2", "3"])
    many = track(masks=[mask(1)] * 40, sounding=[None] * 40)
    fast = write_set(workspace.root / "fast", {"c0": [many]}, stills=[str(number) for number in range(40)])
    spec = replace(TOY_SET, reader=replace(TOY_SET.reader, numbered=True), name="toy-numbered")  # type: ignore[type-var]
    silent, heard = State.SILENT, State.SOUNDING
    with SETS.with_added(spec):
        command = ["import", "--format", "toy-numbered", "--sounding", str(turns)]
        assert main([*command, str(gap)]) == 0
        assert "1 of 4 stills are not in the set" in capsys.readouterr().out
        assert rows_of(workspace, "c0") == {("a", 0): silent, ("a", 2): heard, ("a", 3): silent}
        assert main([*command, str(fast), "--set-fps", "10"]) == 0
        states = {("a", 0): silent, ("a", 1): silent, ("a", 2): heard, ("a", 3): silent}
        assert rows_of(workspace, "c0") == states


def ytvis_file(path: Path, length: int, *, category: str = "dog", **more: Any) -> Path:
    """A plain YouTube-VIS file of one video, in which an object moves a pixel in each still."""
    video = {"id": 1, "width": WIDTH, "height": HEIGHT, "length": length}
    video["file_names"] = [f"c0/{number:05d}.jpg" for number in range(length)]
    outlines = [[[x, 1, x + 5, 1, x + 5, 6, x, 6]] for x in range(length)]
    track = {"id": 1, "video_id": 1, "category_id": 7, "iscrowd": 0, "segmentations": outlines}
    track |= {"bboxes": [[x, 1, 5, 5] for x in range(length)], "areas": [25] * length}
    said = {"videos": [video | more], "annotations": [track], "categories": [{"id": 7, "name": category}]}
    path.write_text(json.dumps(said))
    return path


def test_something_may_be_said_of_a_youtube_vis_file(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    """Its names, its rate and what sounds: plain YouTube-VIS has categories of its own, no sound, and 5 a second."""
    file = ytvis_file(workspace.root / "val.json", 20, category="giant_panda")
    command = ["import", "--format", "ytvis", str(file)]
    assert main(command) == 3
    assert main([*command, "--map", "giant_panda=dog", "--set-fps", "5"]) == 3
    assert "the set does not say whether they sound" in capsys.readouterr().err
    assert main([*command, "--map", "giant_panda=dog", "--set-fps", "5", "--sounding", "unknown"]) == 0
    ((_, rows),) = read_masks(workspace.masks, ["c0"])
    assert [(row.frame, row.box_xywh[0], row.state) for row in rows if row.box_xywh] == [
        (0, 2, State.VISIBLE), (1, 7, State.VISIBLE), (2, 12, State.VISIBLE), (3, 17, State.VISIBLE),
    ]  # fmt: skip


def test_a_youtube_vis_file_in_an_archive(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    """It is taken as other sets are: nothing is said of sounding in plain YouTube-VIS."""
    file = ytvis_file(workspace.root / "val.json", 4)
    with zipfile.ZipFile(workspace.root / "labels.zip", "w") as archive:
        archive.write(file, "labels/val.json")
    command = ["import", "--format", "ytvis", str(workspace.root / "labels.zip")]
    assert main([*command, "--skip-bad"]) == 2
    assert "--skip-bad goes with one truth file" in capsys.readouterr().err
    assert main([*command, "--sounding", "all"]) == 0, capsys.readouterr()
    ((_, rows),) = read_masks(workspace.masks, ["c0"])
    assert [(row.frame, row.state) for row in rows] == [(frame, State.SOUNDING) for frame in range(4)]
    kept = [path.name for path in workspace.annotations.rglob("*") if path.is_file()]
    assert "val.json" in kept or "labels.zip" in kept, kept


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["toy-set", "--media", "."], "--media goes with --format ytvis"),
        (["toy-set", "--workers", "2"], "--workers goes with --format ytvis"),
        (["toy-set", "--skip-bad"], "--skip-bad goes with --format ytvis"),
        (["ytvis", "--workers", "2"], "--workers goes with --media"),
        (["ytvis", "--match", "time", "--skip-bad"], "--match and --skip-bad do not go together"),
        (["ytvis", "--map", "a=b", "--media", "."], "--map and --media do not go together"),
        (["ytvis", "--identity", "group"], "--identity goes with --format "),
    ],
)
def test_an_option_that_would_do_nothing_is_refused(
    workspace: Workspace, capsys: pytest.CaptureFixture[str], command: list[str], said: str
) -> None:
    name, *more = command
    assert main(["import", "--format", name, str(workspace.recipe), *more]) == 2
    assert said in capsys.readouterr().err

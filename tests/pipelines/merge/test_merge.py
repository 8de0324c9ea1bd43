"""Two workspaces become one: labels, rounds, clashes, what was removed; what cannot be merged is told, all at once."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from avis_data.annotation.labels.records import Verdict
from avis_data.annotation.labels.rounds import ClipState
from avis_data.annotation.labels.store import keep_received, read_round
from avis_data.annotation.labels.tables import bring_up_to_date
from avis_data.annotation.labels.workspace_labels import WorkspaceLabels
from avis_data.cli.main import main
from avis_data.features.store import clips_in_part
from avis_data.ledger import Ledger
from avis_data.manifest import read_manifest
from avis_data.masks.table import read_masks
from avis_data.paths import Workspace
from avis_data.pipelines.engine.lock import open_for_work
from avis_data.pipelines.kept_video_list import CLIP_ROW, ListOptions, adopt_list, read_wanted
from avis_data.pipelines.manifests import existing_clips
from avis_data.pipelines.merge import build as building
from avis_data.pipelines.truth_records import labelled_truth
from avis_data.pipelines.upkeep.tombstones import read_tombstones
from avis_data.recipe import load_recipe
from avis_data.records import Track
from avis_data.video_list import read_video_list
from support.fake_workspace import FakeClip, FakeTrack, make_workspace
from support.rounds_world import exported_masks, labels, open_round, say, square, track
from support.shell import tree_hashes

ANN, BOB, REV = "ann@example.com", "bob@example.com", "rev@example.com"


def run(*arguments: object) -> int:
    with contextlib.chdir(Path.cwd()):  # -C leads elsewhere
        return main([str(argument) for argument in arguments])


def is_fit(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> bool:
    """Whether nothing is damaged; the sources of these workspaces never were there."""
    capsys.readouterr()
    run("-C", workspace.root, "doctor", "--workspace")
    told = capsys.readouterr().out
    return "damaged" not in told and all("/sources/" in line for line in told.splitlines() if "missing:" in line)


@pytest.fixture(autouse=True)
def _stay(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def side(name: str, *clips: FakeClip) -> Workspace:
    return make_workspace(Path(name).resolve(), clips)


def clip(name: str, *tracks: FakeTrack, video: str | None = None, same_bytes_as: str | None = None) -> FakeClip:
    return FakeClip(
        clip_id=name, video_id=video or f"v_{name}", num_seconds=6, tracks=tracks, same_bytes_as=same_bytes_as
    )


def label(
    workspace: Workspace, clip_id: str, person: str, *, accepted: bool, identity: str = "dog_1", x: int = 4
) -> None:
    """A draft of one person, and where asked a review that accepts it."""
    drawn = [track(identity, {0: square(x, 4), 1: square(x + 1, 4)}, [(0, 2)], annotator=person)]
    say(workspace, labels(clip_id, "draft", person, drawn, project_id=1))
    keep_received(workspace, "draft", clip_id, 7, json.dumps({"id": 7, "clip": clip_id, "by": person}))
    if accepted:
        say(
            workspace,
            labels(clip_id, "review", REV, drawn, Verdict.ACCEPT, project_id=1),
        )


def lab(
    name: str, person: str, *clip_ids: str, accepted: Sequence[str] = (), identity: str = "dog_1", x: int = 4
) -> Workspace:
    """A workspace in which one person labelled all clips."""
    workspace = side(name, *(clip(clip_id) for clip_id in clip_ids))
    open_round(workspace, "draft", {clip_id: (person,) for clip_id in clip_ids})
    if accepted:
        open_round(workspace, "review", {clip_id: (REV,) for clip_id in accepted})
    for clip_id in clip_ids:
        label(workspace, clip_id, person, accepted=clip_id in accepted, identity=identity, x=x)
    bring_up_to_date(workspace, command="avis-data export")
    return workspace


def merged() -> Workspace:
    return Workspace(Path("c").resolve())


def said_of(workspace: Workspace) -> dict[str, list[tuple[object, ...]]]:
    """The rows of the table of masks."""
    return {
        clip_id: [tuple(row.model_dump(mode="json").values()) for row in rows]
        for clip_id, rows in read_masks(workspace.masks)
    }


def test_rounds_and_labels_of_both_come_over(capsys: pytest.CaptureFixture[str]) -> None:
    """Labelled apart, merged: as if one team had labelled all."""
    a, b = lab("a", ANN, "one", "two", accepted=["one"]), lab("b", BOB, "three", accepted=["three"])
    whole = side("whole", clip("one"), clip("three"), clip("two"))
    open_round(whole, "draft", {"one": (ANN,), "two": (ANN,), "three": (BOB,)})
    open_round(whole, "review", {"one": (REV,), "three": (REV,)})
    for clip_id, person in (("one", ANN), ("two", ANN), ("three", BOB)):
        label(whole, clip_id, person, accepted=clip_id != "two")
    bring_up_to_date(whole, command="avis-data export")
    before = tree_hashes(a.root), tree_hashes(b.root)
    assert run("merge", "a", "b", "--out", "c") == 0
    assert (tree_hashes(a.root), tree_hashes(b.root)) == before
    assert said_of(merged()) == said_of(whole)
    assert {name: entry.state for name, entry in labelled_truth(merged()).items()} == {
        "one": "accepted",
        "two": "draft",
        "three": "accepted",
    }
    states = {
        place.clip_id: (place.state, place.authors, place.reviewers) for place in WorkspaceLabels(merged()).places()
    }
    assert states == {
        "one": (ClipState.ACCEPTED, (ANN,), (REV,)),
        "two": (ClipState.TO_REVIEW, (ANN,), ()),
        "three": (ClipState.ACCEPTED, (BOB,), (REV,)),
    }
    info = read_round(merged(), "draft")
    assert info.closed_at is not None and "merged" in str(info.close_reason)
    assert [project.project_id for project in info.projects] == [1, 2]
    received = sorted(path.relative_to(merged().annotations).as_posix() for path in merged().annotations.rglob("*.gz"))
    assert len(received) == 3
    for workspace in (merged(), whole):
        assert run("-C", workspace.root, "export", "--split", "1/1/0") == 0
    assert exported_masks(merged()) == exported_masks(whole)
    assert is_fit(merged(), capsys)


def test_tables_of_embeddings_hold_the_clips_of_both() -> None:
    side("a", clip("one"), clip("two")), side("b", clip("three"))
    assert run("merge", "a", "b", "--out", "c") == 0
    packed = [name for part in merged().features.glob("part-*.parquet") for name in clips_in_part(part)]
    assert sorted(packed) == ["one", "three", "two"]
    with Ledger(merged().ledger, read_only=True) as ledger:
        assert [found.clip_id for found in existing_clips(ledger)] == ["one", "three", "two"]


@pytest.mark.parametrize("prefer", [None, "A", "B"])
def test_one_clip_labelled_twice(prefer: str | None, capsys: pytest.CaptureFixture[str]) -> None:
    """Accepted before draft, equal ones are joined, others are a conflict."""
    a = lab("a", ANN, "other", "same", "better", accepted=["other", "same"])
    b = lab("b", BOB, "other", "same", "better", accepted=["other", "same", "better"])
    label(b, "other", BOB, accepted=True, x=9)
    bring_up_to_date(b, command="avis-data export")
    assert run("merge", "a", "b", "--out", "c", *(["--prefer", prefer] if prefer else [])) == (0 if prefer else 3)
    told = capsys.readouterr()
    if prefer is None:
        assert "other" in told.err and "--prefer" in told.err and "same:" not in told.err and not Path("c").exists()
        return
    rows, owner = said_of(merged()), {"A": a, "B": b}[prefer]
    assert rows["other"] == said_of(owner)["other"]
    assert rows["better"] == said_of(b)["better"] and "accepted before draft" in told.out
    assert rows["same"] == said_of(a)["same"]
    assert len(list((merged().annotations / "draft" / "received" / "other").iterdir())) == 2, "of both, as received"


def test_one_name_for_two_videos(capsys: pytest.CaptureFixture[str]) -> None:
    lab("a", ANN, "one", accepted=["one"])
    b = side("b", clip("one", video="v_one", same_bytes_as="else"), clip("two"))
    open_round(b, "draft", {"one": (BOB,)})
    label(b, "one", BOB, accepted=False, x=9)
    bring_up_to_date(b, command="avis-data export")
    assert run("merge", "a", "b", "--out", "c") == 3
    told = capsys.readouterr().err
    assert "v_one" in told and "--rename-clashes" in told and not Path("c").exists()
    assert run("merge", "a", "b", "--out", "c", "--rename-clashes", "lab2") == 0
    with Ledger(merged().ledger, read_only=True) as ledger:
        names = {found.clip_id: found.video_id for found in existing_clips(ledger)}
    assert names == {"one": "v_one", "v_one-lab2_000000_006000": "v_one-lab2", "two": "v_two"}
    for stage in (["extract"], ["embed", "--untrained"]):
        capsys.readouterr()
        assert run("-C", "c", *stage, "--dry-run", "--json") == 0
        found = json.loads(capsys.readouterr().out)
        assert [plan["to_do"] for plan in found["stages"]] == [0] * len(found["stages"]), stage
    renamed = said_of(merged())["v_one-lab2_000000_006000"]
    assert [row[1:] for row in renamed] == [row[1:] for row in said_of(b)["one"]]
    assert is_fit(merged(), capsys)


def test_categories_get_the_names_of_a(capsys: pytest.CaptureFixture[str]) -> None:
    lab("a", ANN, "one")
    lab("b", BOB, "two", accepted=["two"], identity="hound_1")
    assert run("merge", "a", "b", "--out", "c") == 3
    assert "'hound' is not in aviseg-26" in capsys.readouterr().err
    assert run("merge", "a", "b", "--out", "c", "--map", "hound=dgo") == 3
    assert "did you mean 'dog'" in capsys.readouterr().err
    assert run("merge", "a", "b", "--out", "c", "--map", "hound=dog") == 0
    assert {(row[1], row[2]) for row in said_of(merged())["two"]} == {("dog_1", "dog")}
    tracks = list(read_manifest(merged().manifest / "tracks.jsonl", Track))
    assert {found.category for found in tracks} == {"dog"}
    assert labelled_truth(merged())["two"].state == "accepted"
    assert is_fit(merged(), capsys)


def test_what_one_side_removed_does_not_come_in(capsys: pytest.CaptureFixture[str]) -> None:
    lab("a", ANN, "one", "two")
    lab("b", BOB, "two", "three")
    assert run("-C", "a", "remove", "v_two", "--reason", "takedown") == 0
    assert run("merge", "a", "b", "--out", "c") == 0
    assert "v_two" in capsys.readouterr().out
    assert len(read_tombstones(merged()).all) == 1
    assert run("-C", "c", "remove", "v_two", "--verify") == 0
    assert sorted(WorkspaceLabels(merged()).clips) == ["one", "three"]


def test_recipes_that_make_other_media(capsys: pytest.CaptureFixture[str]) -> None:
    side("a", clip("one"))
    b = side("b", clip("two"))
    values = yaml.safe_load(b.recipe.read_text())
    values["extract"] |= {"jpeg_quality": 5, "missing_sound": "pad"}
    b.recipe.write_text(yaml.safe_dump(values))
    assert run("merge", "a", "b", "--out", "c") == 3
    told = capsys.readouterr().err
    assert "extract.jpeg_quality: A has 2, B has 5" in told and "extract.missing_sound" in told


def published_set() -> Path:
    """An export of three clips, as strangers get it."""
    b = side("b", *(clip(name, FakeTrack(track_id="t1")) for name in ("s1", "s2", "s3")))
    assert run("-C", b.root, "export", "--split", "1/1/1", "--name", "set") == 0
    return Path(shutil.move(b.root / "exports" / "set", "set"))


def test_a_set_of_others(capsys: pytest.CaptureFixture[str]) -> None:
    a = lab("a", ANN, "one", accepted=["one"])
    folder = published_set()
    before = tree_hashes(folder), tree_hashes(a.root)
    capsys.readouterr()
    assert run("merge", "a", folder, "--out", "c", "--dry-run") == 0
    assert "would write: 4 video(s), 4 clip(s)" in capsys.readouterr().out
    assert not Path("c").exists() and not list(Path().glob(".part-*"))
    assert run("merge", "a", folder, "--out", "c") == 0
    assert (tree_hashes(folder), tree_hashes(a.root)) == before
    mine, theirs = said_of(merged()), said_of(Workspace(Path("b").resolve()))
    assert mine["one"] == said_of(a)["one"]
    seen = {name: [row[3:10] for row in rows] for name, rows in mine.items() if name != "one"}
    assert seen == {name: [row[3:10] for row in rows] for name, rows in theirs.items()}
    clips = WorkspaceLabels(merged()).clips
    assert sorted(str(clips[name].split) for name in ("s1", "s2", "s3")) == ["test", "train", "val"]
    for name in ("s1", "s2", "s3"):
        frames = [path.read_bytes() for path in sorted((merged().clip_dir(name) / "frames").iterdir())]
        assert frames == [path.read_bytes() for path in sorted(Path("b", "clips", name, "frames").iterdir())]
    assert is_fit(merged(), capsys)


def test_categories_of_a_set(capsys: pytest.CaptureFixture[str]) -> None:
    side("a", clip("one"))
    truth = published_set() / "train.json"
    truth.write_text(truth.read_text().replace('"dog"', '"hound"'))
    assert run("merge", "a", truth, "--out", "c", "--map", "houd=dog") == 2
    assert "did you mean 'hound'" in capsys.readouterr().err
    assert run("merge", "a", truth, "--out", "c", "--map", "hound=dog") == 0
    assert {row[2] for rows in said_of(merged()).values() for row in rows} == {"dog"}
    assert not list(Path().glob(".part-*"))


LISTED = "url,video_id,start,end,categories,license,split\n"


def listed(name: str, rows: str, *clips: FakeClip, header: str = LISTED) -> Workspace:
    """A workspace with a list, its rows as given."""
    workspace = side(name, *clips)
    workspace.video_list.write_text(header + rows)
    with Ledger(workspace.ledger) as ledger:
        options = ListOptions()
        adopt_list(workspace, ledger, read_wanted(workspace, ledger, load_recipe(workspace), options), options)
    return workspace


def test_lists_are_joined_with_what_they_say() -> None:
    """One link under two names is one video; what only one list says stays."""
    listed("a", "https://example.org/x.mp4,x,0,6,dog,cc-by-4.0,\nhttps://example.org/y.mp4,y,0,6,cat,,\n")
    listed("b", "https://example.org/x.mp4,bx,0,6,cat,,test\nhttps://example.org/x.mp4,bx,10,16,,,test\n")
    assert run("merge", "a", "b", "--out", "c") == 0
    lines = merged().video_list.read_text().splitlines()[1:]
    assert [line.partition(",")[2] for line in lines] == [
        "x,0,6,dog;cat,cc-by-4.0,test,,,",
        "x,10,16,,,test,,,",
        "y,0,6,cat,,,,,",
    ]
    assert run("-C", "c", "status") == 0
    with Ledger(merged().ledger, read_only=True) as ledger:
        again = read_wanted(merged(), ledger, load_recipe(merged()), ListOptions())
        assert {(row.span.clip_id, CLIP_ROW.dump_json(row).decode()) for row in again.clips} == set(
            ledger.wanted("clip")
        )


def test_what_lists_say_videos_are_about_is_joined() -> None:
    header = "url,video_id,start,end,scenario\n"
    listed("a", "https://example.org/x.mp4,x,0,6,music\nhttps://example.org/y.mp4,y,0,6,\n", header=header)
    listed("b", "https://example.org/x.mp4,bx,0,6,animal\n", header=header)
    assert run("merge", "a", "b", "--out", "c") == 0
    found = {row.span.clip_id: row.scenarios for row in read_video_list(merged().video_list).clips}
    assert found == {"x_000000_006000": ("music", "animal"), "y_000000_006000": ()}


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("https://example.org/x.mp4,x,0,6,dog,cc-by-nc-4.0,\n", "license is 'cc-by-4.0' in A and 'cc-by-nc-4.0' in B"),
        ("https://example.org/x.mp4,x,3,9,dog,,\n", "the same seconds are in"),
        ("https://example.org/else.mp4,x,0,6,dog,,\n", "is another video, https://example.org/x.mp4 in A"),
    ],
)
def test_lists_that_say_something_else(rows: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    listed("a", "https://example.org/x.mp4,x,0,6,dog,cc-by-4.0,\n")
    listed("b", rows)
    assert run("merge", "a", "b", "--out", "c") == 3
    assert words in capsys.readouterr().err
    assert run("merge", "a", "b", "--out", "c", "--prefer", "B", "--rename-clashes", "b") == 0
    assert run("-C", "c", "status") == 0
    first = rows.splitlines()[0].split(",", 1)[1].replace("x,", "x-b,", 1) if "else" in rows else rows.split(",", 1)[1]
    assert first.strip().rstrip(",") in merged().video_list.read_text()


def test_embeddings_of_other_weights(capsys: pytest.CaptureFixture[str]) -> None:
    side("a", clip("one"))
    make_workspace(Path("b").resolve(), [clip("two")], weights="untrained-7")
    assert run("merge", "a", "b", "--out", "c") == 3
    assert "A has untrained-0, B has untrained-7" in capsys.readouterr().err
    assert run("merge", "a", "b", "--out", "c", "--prefer", "B") == 0
    assert "1 clip(s) are left to avis-data embed" in capsys.readouterr().out
    assert [name for part in merged().features.glob("part-*.parquet") for name in clips_in_part(part)] == ["two"]


def broken(kind: str) -> None:
    a = Workspace(Path("a").resolve())
    b = Workspace(Path("b").resolve())
    if kind == "no workspace":
        shutil.rmtree("b")
        Path("b").mkdir()
    elif kind == "damaged ledger":
        b.ledger.write_bytes(b"SQLite format 3\0" + bytes(5000))
    elif kind == "newer":
        import sqlite3

        with sqlite3.connect(b.ledger) as db:
            db.execute("PRAGMA user_version = 999")
        db.close()
    elif kind == "link out":
        Path("elsewhere").mkdir()
        shutil.rmtree(b.masks, ignore_errors=True)
        b.masks.symlink_to(Path("elsewhere").resolve())
    elif kind == "removal":
        a.removed.mkdir()
        a.removal.write_text('{"new": [], "exports": null}')
    elif kind == "list":
        b.video_list.write_text("url,video_id\nhttps://example.org/x.mp4,other\n")


@pytest.mark.parametrize(
    ("kind", "arguments", "code", "words"),
    [
        ("", ("a", "a", "--out", "c"), 2, "same folder"),
        ("", ("a", "a/clips", "--out", "c"), 2, "lies in"),
        ("", ("a", "b", "--out", "a/c"), 2, "lies in"),
        ("", ("a", "b", "--out", "b"), 2, "same folder"),
        ("", ("a", "b", "--out", "full"), 2, "is there already"),
        ("", ("a", "none", "--out", "c"), 2, "none"),
        ("", ("a", "b", "--out", "c", "--map", "x"), 2, "old=new"),
        ("", ("a", "b", "--out", "c", "--rename-clashes", "../x"), 2, "--rename-clashes"),
        ("no workspace", ("b", "a", "--out", "c"), 2, "no workspace"),
        ("no workspace", ("a", "b", "--out", "c"), 3, "train.json"),
        ("damaged ledger", ("a", "b", "--out", "c"), 3, "ledger"),
        ("newer", ("a", "b", "--out", "c"), 3, "999"),
        ("link out", ("a", "b", "--out", "c"), 3, "leads out"),
        ("removal", ("a", "b", "--out", "c"), 2, "avis-data remove"),
        ("list", ("a", "b", "--out", "c"), 3, "avis-data fetch"),
    ],
)
def test_what_cannot_be_merged(
    kind: str, arguments: tuple[str, ...], code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    side("a", clip("one"))
    side("b", clip("two"))
    Path("full").mkdir()
    Path("full/x").touch()
    broken(kind)
    assert run("merge", *arguments) == code
    told = capsys.readouterr().err
    assert words in told and "Traceback" not in told
    assert not Path("c").exists() and not list(Path().glob(".part-*"))


@pytest.mark.parametrize("busy", ["a", "b"])
def test_a_running_command(busy: str, capsys: pytest.CaptureFixture[str]) -> None:
    workspaces = {"a": side("a", clip("one")), "b": side("b", clip("two"))}
    with open_for_work(workspaces[busy], "avis-data extract"):
        assert run("merge", "a", "b", "--out", "c") != 0
    assert "avis-data extract" in capsys.readouterr().err


def test_a_dry_run_changes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    side("a", clip("one", FakeTrack(track_id="t")))
    side("b", clip("one", FakeTrack(track_id="t"), same_bytes_as="x"), clip("two"))
    before = tree_hashes(Path.cwd())
    assert run("merge", "a", "b", "--out", "c", "--dry-run", "--json") == 3
    said = json.loads(capsys.readouterr().out)
    assert said["sides"]["A"]["videos"] == 1 and said["sides"]["A"]["imported"] == 1
    assert [problem["field"] for problem in said["problems"]] == ["v_one"]
    assert tree_hashes(Path.cwd()) == before


def test_a_full_disk_leaves_nothing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    side("a", clip("one"))
    side("b", clip("two"))

    def full(*_: object) -> None:
        raise OSError(28, os.strerror(28), "c")

    monkeypatch.setattr(building, "write_manifests", full)
    assert run("merge", "a", "b", "--out", "c") == 5
    assert "No space left" in capsys.readouterr().err
    assert not Path("c").exists() and not list(Path().glob(".part-*"))

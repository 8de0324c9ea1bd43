"""What people said becomes the truth of the export, and nothing else does."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from avis_data.annotation.labels import tables as label_tables
from avis_data.annotation.labels import workspace_labels
from avis_data.annotation.labels.records import MaskOrigin, Verdict
from avis_data.annotation.labels.tables import TablesReport, changed_clips, update_tables
from avis_data.annotation.labels.workspace_labels import WorkspaceLabels
from avis_data.cli.main import main
from avis_data.errors import DataError, ProblemsError
from avis_data.io import read_json, sha256_tree
from avis_data.manifest import read_manifest, write_manifest
from avis_data.masks.rle import Rle, decode
from avis_data.masks.table import read_masks, replace_clips
from avis_data.paths import Workspace
from avis_data.pipelines.engine.lock import open_for_work
from avis_data.pipelines.exports.plan import ExportOptions, plan_export
from avis_data.pipelines.exports.spec import ExportSpec
from avis_data.pipelines.exports.ytvis import YTVIS
from avis_data.records import MaskRow, Track
from support.fake_workspace import FakeClip, FakeTrack, make_workspace
from support.rounds_world import SECONDS, exported_masks, extracted_again, labels, open_round, say, square, track

ANN, REV = "ann@example.com", "rev@example.com"
DOG = track("dog_1", {0: square(1, 1), 1: square(2, 1), 2: square(3, 1)}, [(1, 4)])
CAT = track("cat_1", {5: square(20, 9)}, [(5, 6)], origin=MaskOrigin.EDITED, annotator=REV)
OPTIONS = ExportOptions(split="50/50")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """`acc` is accepted, `quiet` accepted with nothing in it, `new` a draft, `gone` dropped, `file` has imported truth,
    `back` was sent back, `open` is being labelled, `never` was not given to anybody."""
    names = ["acc", "quiet", "new", "gone", "back", "open", "never"]
    clips = [FakeClip(clip_id=name, video_id=f"v_{name}", num_seconds=SECONDS) for name in names]
    imported = (FakeTrack(track_id="000001", category="car", sounding=(0, 1)),)
    clips.append(FakeClip(clip_id="file", video_id="v_file", num_seconds=SECONDS, tracks=imported))
    workspace = make_workspace(tmp_path / "ws", clips)
    open_round(workspace, "draft", {name: [ANN] for name in [*names[:-1], "file"]})
    say(workspace, *(labels(name, "draft", ANN, [DOG]) for name in ("acc", "quiet", "new", "gone", "back", "file")))
    say(workspace, labels("open", "draft", ANN, [DOG], None))
    open_round(workspace, "review", {name: [REV] for name in ("acc", "quiet", "gone", "back")})
    say(
        workspace,
        labels("acc", "review", REV, [DOG, CAT], Verdict.FIXED),
        labels("quiet", "review", REV, [], Verdict.ACCEPT),
        labels("gone", "review", REV, [DOG], Verdict.DROP),
        labels("back", "review", REV, [DOG], Verdict.SEND_BACK),
    )
    return workspace


def refresh(workspace: Workspace) -> TablesReport:
    with open_for_work(workspace, "test") as ledger:
        return update_tables(WorkspaceLabels(workspace), ledger)


def rows_of(workspace: Workspace, clip_id: str) -> list[MaskRow]:
    return [row for _, rows in read_masks(workspace.masks, [clip_id]) for row in rows]


def tables(workspace: Workspace) -> list[str]:
    return [sha256_tree(workspace.masks), sha256_tree(workspace.manifest), sha256_tree(workspace.annotations)]


def truth_of(workspace: Workspace, *, spec: ExportSpec = YTVIS, **options: object) -> dict[str, list[str]]:
    plan = plan_export(workspace, spec, ExportOptions(split="50/50", **options))  # type: ignore[arg-type]
    return {
        item.clip.clip_id: [track.track.track_id for track in item.tracks]
        for item in plan.inputs.clips
        if item.has_truth
    }


def test_accepted_labels_become_rows_with_every_state(workspace: Workspace) -> None:
    report = refresh(workspace)
    assert (report.accepted, report.draft, report.sent_back, report.dropped) == (2, 2, 1, 1)
    rows = [row for row in rows_of(workspace, "acc") if row.track_id == "dog_1"]
    assert [row.frame for row in rows] == list(range(6)) and {row.round for row in rows} == {"accepted"}
    assert [row.state.value for row in rows] == ["silent", "sounding", "sounding", "hidden", "hidden", "hidden"]
    assert (decode(Rle(32, 48, rows[1].counts or "")) == square(2, 1)).all() and rows[3].counts is None
    assert rows[1].box_xywh == (2, 1, 8, 8) and rows[1].area_px == 64
    assert (rows[1].origin, rows[1].annotator) == ("clicked:grabcut", ANN)
    (cat,) = [row for row in rows_of(workspace, "acc") if row.track_id == "cat_1" and row.counts is not None]
    assert (cat.origin, cat.annotator) == ("edited", REV)
    tracks = [item for item in read_manifest(workspace.manifest / "tracks.jsonl", Track) if item.clip_id == "acc"]
    assert [(item.track_id, item.num_sounding, item.origin) for item in tracks] == [
        ("cat_1", 1, "labelled:review"),
        ("dog_1", 2, "labelled:review"),
    ]


def test_only_what_was_accepted_is_exported_unless_drafts_are_asked_for(workspace: Workspace) -> None:
    refresh(workspace)
    assert truth_of(workspace) == {"acc": ["cat_1", "dog_1"], "file": ["000001"], "quiet": []}
    expected = {"acc": ["cat_1", "dog_1"], "file": ["000001"], "new": ["dog_1"], "quiet": []}
    assert truth_of(workspace, include="draft") == expected, "what was sent back is no draft like others"
    plan = plan_export(workspace, YTVIS, ExportOptions(split="50/50", select="all"))
    everything = [item.clip.clip_id for item in plan.inputs.clips]
    assert everything == ["acc", "back", "file", "never", "new", "open", "quiet"], "what was dropped is not among them"
    assert plan.inputs.dropped == ("gone",) and plan.as_dict()["clips_dropped"] == 1
    assert plan.inputs.sent_back == ("back",) and plan.as_dict()["clips_sent_back"] == 1
    open_round(workspace, "fix", {"back": [ANN]})
    refresh(workspace)
    assert "back" not in truth_of(workspace, include="draft"), "not while it is being mended either"
    say(workspace, labels("back", "fix", ANN, [DOG, CAT]))
    refresh(workspace)
    assert truth_of(workspace, include="draft")["back"] == ["cat_1", "dog_1"]


def test_a_draft_that_would_drop_its_clip_is_no_truth_at_all(workspace: Workspace) -> None:
    say(workspace, labels("new", "draft", ANN, [DOG], Verdict.DROP))
    refresh(workspace)
    assert "new" not in truth_of(workspace, include="draft") and rows_of(workspace, "new") == []


def test_a_review_of_imported_truth_takes_its_place_and_gives_it_back(workspace: Workspace) -> None:
    open_round(workspace, "review-2", {"file": [REV]})
    say(workspace, labels("file", "review-2", REV, [], Verdict.ACCEPT))
    refresh(workspace)
    assert truth_of(workspace)["file"] == [], "nothing sounds, says the reviewer"
    say(workspace, labels("file", "review-2", REV, [CAT], Verdict.SEND_BACK))
    refresh(workspace)
    assert truth_of(workspace)["file"] == ["000001"]


def test_the_same_again_changes_nothing(workspace: Workspace) -> None:
    assert len(changed_clips(WorkspaceLabels(workspace))) == 6
    refresh(workspace)
    before = tables(workspace)
    assert changed_clips(WorkspaceLabels(workspace)) == [] and refresh(workspace).changed == ()
    assert tables(workspace) == before


def test_labels_that_change_or_go_away_are_followed(workspace: Workspace) -> None:
    refresh(workspace)
    say(workspace, labels("acc", "review", REV, [CAT], Verdict.ACCEPT))
    assert refresh(workspace).changed == ("acc",) and truth_of(workspace)["acc"] == ["cat_1"]
    say(workspace, labels("acc", "review", REV, [CAT], Verdict.UNSURE))
    refresh(workspace)
    assert "acc" not in truth_of(workspace) and truth_of(workspace, include="draft")["acc"] == ["dog_1"]
    for path in (workspace.annotations / "draft" / "labelled" / "new").iterdir():
        path.unlink()
    refresh(workspace)
    assert rows_of(workspace, "new") == [] and "new" not in truth_of(workspace, include="draft")


def test_an_import_that_came_later_does_not_take_the_review_away(workspace: Workspace) -> None:
    refresh(workspace)
    replace_clips(workspace.masks, {"acc": []})
    kept = [item for item in read_manifest(workspace.manifest / "tracks.jsonl", Track) if item.clip_id != "acc"]
    write_manifest(workspace.manifest / "tracks.jsonl", kept)
    assert refresh(workspace).changed == ("acc",) and truth_of(workspace)["acc"] == ["cat_1", "dog_1"]


@pytest.mark.parametrize("step", ["replace_clips", "write_manifest", "write_labelled_truth"])
def test_killed_between_its_steps_it_is_completed(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Once before each step and once after it; the bytes at the end are those of a run that was left alone."""
    whole = make_copy(workspace, tmp_path / "whole")
    refresh(whole)
    module = workspace_labels if step == "write_labelled_truth" else label_tables
    done: Callable[..., object] = getattr(module, step)
    for dies_after in (False, True):
        copy = make_copy(workspace, tmp_path / f"{step}-{dies_after}")

        def dies(*given: object, after: bool = dies_after) -> None:
            if after:
                done(*given)
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(module, step, dies)
            with pytest.raises(KeyboardInterrupt):
                refresh(copy)
        refresh(copy)
        assert tables(copy) == tables(whole)


def make_copy(workspace: Workspace, root: Path) -> Workspace:
    shutil.copytree(workspace.root, root)
    return Workspace(root)


def test_labels_for_other_stills_are_not_published_until_somebody_looked(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    refresh(workspace)
    Image.new("RGB", (48, 32), "red").save(workspace.frame("quiet", 1))
    extracted_again(workspace, "quiet")
    refresh(workspace)
    with pytest.raises(ProblemsError, match=r"clip quiet: truth: it was made for other stills; .*review confirm quiet"):
        plan_export(workspace, YTVIS.with_options(features=False), ExportOptions(split="50/50"))
    monkeypatch.chdir(workspace.root)
    assert main(["review", "confirm", "quiet"]) == 0
    assert "1 of 1 clip(s) confirmed" in capsys.readouterr().out
    assert truth_of(workspace, spec=YTVIS.with_options(features=False))["quiet"] == []
    assert changed_clips(WorkspaceLabels(workspace)) == []
    assert main(["review", "confirm", "never"]) == 3


def test_the_export_command_takes_what_people_said_and_certifies_it(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(workspace.root)
    assert main(["export", "--split", "50/50", "--dry-run"]) == 0
    assert "the labels of 6 clip(s) changed since" in capsys.readouterr().err
    assert main(["export", "--split", "50/50"]) == 0
    said = capsys.readouterr().out
    assert "1 clip(s) dropped by a reviewer" in said and "4 clip(s) without accepted truth: left out" in said
    truth = read_json(workspace.exports / "ytvis" / "certificate.json")["truth"]
    assert truth["clips_by"] == {"accepted": 2, "import": 1} and truth["labelled_in"] == {"review": 2}
    assert truth["rounds"] == {"accepted": 2, "import": 1} and truth["clips_dropped"] == 1
    assert truth["origins"] == {"file:truth.json": 1, "labelled:review": 2}
    assert 'example.com"' not in json.dumps(truth), "people are not published"
    assert main(["validate", "exports/ytvis", "--deep"]) == 0
    assert main(["export", "--split", "50/50", "--include", "draft", "--name", "all", "--json"]) == 0
    certificate = read_json(workspace.exports / "all" / "certificate.json")
    assert certificate["truth"]["clips_by"] == {"accepted": 2, "draft": 1, "import": 1}
    assert certificate["truth"]["selection"] == "accepted, draft"


def test_the_exported_masks_are_those_that_were_accepted(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workspace.root)
    assert main(["export", "--split", "50/50"]) == 0
    found = exported_masks(workspace)
    dog = found["acc", "dog"]
    assert [mask is not None for mask in dog] == [False, True, True, False, False, False], (
        "heard from 1 to 4, seen to 3"
    )
    assert dog[1] is not None and (decode(dog[1]) == square(2, 1)).all()
    assert dog[2] is not None and (decode(dog[2]) == square(3, 1)).all()
    assert ("quiet", "dog") not in found and ("gone", "dog") not in found


def test_a_damaged_current_file_says_how_to_mend_it(workspace: Workspace) -> None:
    refresh(workspace)
    path = workspace.annotations / "current.json"
    good = path.read_bytes()
    path.write_text('{"clips": {"acc": {"state": "fine"}}}')
    with pytest.raises(DataError, match=r"current\.json"):
        plan_export(workspace, YTVIS, OPTIONS)
    path.unlink()
    refresh(workspace)
    assert path.read_bytes() == good

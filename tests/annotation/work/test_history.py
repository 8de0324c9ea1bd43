"""What changed between two rounds, track by track."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from avis_data.annotation.labels.changes import changes_between
from avis_data.annotation.labels.records import ClipTask, LabelledTrack, Verdict
from avis_data.annotation.labels.store import write_pushed
from avis_data.annotation.labels.workspace_labels import WorkspaceLabels
from avis_data.annotation.work.history import clip_history
from avis_data.cli.main import main
from avis_data.paths import Workspace
from support.rounds_world import clips_only, labels, open_round, say, square, track

ANN, REV = "ann@example.com", "rev@example.com"
DOG = track("dog_1", {0: square(0, 0), 1: square(0, 0), 2: square(0, 0)}, [(0, 3)])


def changes(before: list[LabelledTrack], after: list[LabelledTrack]) -> list[str]:
    return changes_between(labels("c", "draft", ANN, before), labels("c", "review", REV, after)).lines()


def test_nothing_changed() -> None:
    found = changes_between(labels("c", "draft", ANN, [DOG]), labels("c", "review", REV, [DOG]))
    assert not found and found.lines() == []


def test_masks_that_were_added_removed_and_changed() -> None:
    after = track("dog_1", {1: square(4, 0), 2: square(0, 0), 3: square(0, 0), 5: square(0, 0)}, [(0, 3)])
    found = changes_between(labels("c", "draft", ANN, [DOG]), labels("c", "review", REV, [after]))
    (dog,) = found.tracks
    assert (dog.masks_added, dog.masks_removed) == ((3, 5), (0,))
    assert dog.masks_changed == {1: pytest.approx(1 / 3)}, "8 x 8 squares, 4 pixels apart"
    assert found.lines() == [
        "dog_1 changed: 2 mask(s) added (page 4, 6); 1 mask(s) removed (page 1); 1 mask(s) changed (page 2, IoU 0.33)"
    ]


def test_spans_and_sound_out_of_view() -> None:
    after = track("dog_1", {second: square(0, 0) for second in range(3)}, [(1, 2), (4, 6)])
    assert changes([DOG], [after]) == ["dog_1 changed: sounds 0-3 s -> 1-2 s, 4-6 s"]
    before = labels("c", "draft", ANN, [DOG])
    found = changes_between(before, labels("c", "review", REV, [DOG], off_screen=[(2, 4)]))
    assert found and found.lines() == ["off-screen sound never -> 2-4 s"]


def test_a_new_name_is_no_new_object_and_a_new_category_is() -> None:
    renamed = DOG.model_copy(update={"identity": "dog_3"})
    assert changes([DOG], [renamed]) == ["dog_3 changed: was dog_1"]
    other = DOG.model_copy(update={"identity": "cat_1", "category": "cat"})
    assert changes([DOG], [other]) == [
        "cat_1 added: 3 mask(s) added (page 1-3); sounds never -> 0-3 s",
        "dog_1 removed: 3 mask(s) removed (page 1-3); sounds 0-3 s -> never",
    ]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    workspace = clips_only(tmp_path / "ws", "a", "b")
    open_round(workspace, "draft", {"a": [ANN]})
    say(workspace, labels("a", "draft", ANN, [DOG], note="far away"))
    open_round(workspace, "review", {"a": [REV]})
    write_pushed(workspace, "review", ClipTask(clip_id="a", tracks=(DOG,)), REV)
    shorter = track("dog_1", {0: square(0, 0), 1: square(0, 0)}, [(0, 2)])
    said = labels("a", "review", REV, [shorter], Verdict.SEND_BACK, note="listen again", reasons=("sounding seconds",))
    say(workspace, said)
    return workspace


def test_the_way_of_a_clip(workspace: Workspace) -> None:
    first, second = clip_history(WorkspaceLabels(workspace), "a").steps
    assert first.changes is None and (first.num_tracks, first.num_masks) == (1, 3)
    assert second.changes is not None
    assert second.changes.lines() == ["dog_1 changed: 1 mask(s) removed (page 3); sounds 0-3 s -> 0-2 s"]


def test_the_command_tells_who_said_what(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(workspace.root)
    assert main(["review", "history", "a"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "a: to fix"
    assert (
        f"review: {REV} send back" in said and "  note: listen again" in said and "  reasons: sounding seconds" in said
    )
    assert main(["review", "history", "a", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [step["verdict"] for step in found["steps"]] == ["done", "send back"]
    assert found["steps"][1]["changes"]["tracks"][0]["masks_removed"] == [2]
    for unknown in ("b", "../a"):
        assert main(["review", "history", unknown]) == 3

"""What a lead decided in two workspaces holds in the merged one: assignments, settlements, reopenings, comments."""

from __future__ import annotations

from pathlib import Path

import pytest

from avis_data.annotation.labels.records import Verdict
from avis_data.annotation.labels.rounds import Place
from avis_data.annotation.labels.tables import bring_up_to_date
from avis_data.annotation.labels.workspace_labels import WorkspaceLabels
from avis_data.annotation.work.history import clip_history
from avis_data.annotation.work.review_plan import plan_next
from avis_data.cli.main import main
from avis_data.paths import Workspace
from avis_data.pipelines.truth_records import labelled_truth
from support.rounds_world import clips_only, labels, open_round, say, square, track

ANN, BOB, REV, TOM = (f"{name}@example.com" for name in ("ann", "bob", "rev", "tom"))
WAYS = ("settled", "dropped", "back", "reopened", "moved", "late", "commented", "open", "own")


def decided(root: Path, side: str) -> Workspace:
    """A workspace with a clip for each thing that a lead can do; everybody's project has the same number in both."""
    names = {way: f"{way}-{side}" for way in WAYS}
    workspace = clips_only(root / side, *names.values())
    labelled = [way for way in WAYS if way not in ("late", "open")]
    reviewed = [way for way in labelled if way != "moved"]
    open_round(workspace, "draft", {names[way]: [ANN] for way in WAYS})
    open_round(workspace, "review", {names[way]: [REV, TOM] for way in reviewed})
    drawn = [track("dog_1", {0: square(4, 4), 1: square(5, 4)}, [(0, 2)], annotator=ANN)]
    for way in labelled:
        say(workspace, labels(names[way], "draft", ANN, drawn, project_id=1))
    for way in reviewed:
        # Reviewers disagree where the lead has to settle it.
        verdicts = Verdict.ACCEPT, Verdict.ACCEPT if way in ("reopened", "commented") else Verdict.SEND_BACK
        for number, (person, verdict) in enumerate(zip((REV, TOM), verdicts, strict=True), 1):
            say(workspace, labels(names[way], "review", person, drawn, verdict, note="see", project_id=number))

    def lead(*words: str) -> None:
        assert main(["-C", str(workspace.root), "review", *words, "--by", f"lea-{side}"]) == 0

    lead("settle", names["settled"], "accept", "--note", f"it is right in {side}")
    lead("settle", names["dropped"], "drop clip", "--of", TOM, "--note", "too dark")
    lead("settle", names["back"], "send back", "--note", "the tail is missing")
    lead("reopen", names["reopened"], "--note", "a cat is missing")
    lead("comment", names["commented"], "--note", f"a good one of {side}")
    lead("comment", names["open"], "--note", "mind the second dog")
    store = WorkspaceLabels(workspace)
    away = {names["late"]: BOB, names["moved"]: BOB}
    store.give_anew(
        "draft",
        [
            item.model_copy(update={"annotator": away.get(item.clip_id, item.annotator)})
            for item in store.assignments("draft")
        ],
    )
    for way in ("late", "moved"):  # ann's project, whose tasks are bob's now
        say(workspace, labels(names[way], "draft", ANN, drawn, project_id=1))
    bring_up_to_date(workspace, command="avis-data export")
    return workspace


def standing(workspace: Workspace) -> dict[str, Place]:
    return {place.clip_id: place for place in WorkspaceLabels(workspace).places()}


@pytest.fixture
def sides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Workspace, Workspace, Workspace]:
    monkeypatch.chdir(tmp_path)
    a, b = decided(tmp_path, "a"), decided(tmp_path, "b")
    assert main(["merge", str(a.root), str(b.root), "--out", str(tmp_path / "c")]) == 0
    return a, b, Workspace(tmp_path / "c")


def test_clips_stand_where_the_lead_put_them(sides: tuple[Workspace, Workspace, Workspace]) -> None:
    a, b, merged = sides
    before, after = standing(a) | standing(b), standing(merged)
    expected = {
        "settled": "accepted", "dropped": "dropped", "back": "to fix", "reopened": "to review", "commented": "accepted",
        "own": "review", "moved": "draft", "late": "draft", "open": "draft",
    }  # fmt: skip
    assert {name: str(place.state) for name, place in before.items()} == {
        f"{way}-{side}": state for way, state in expected.items() for side in "ab"
    }
    still_open = {"own": "to review", "moved": "unlabelled", "late": "unlabelled", "open": "unlabelled"}
    assert {name: str(place.state) for name, place in after.items()} == {
        f"{way}-{side}": still_open.get(way, state) for way, state in expected.items() for side in "ab"
    }, "what was open stands where it stood before, and what ann said of bob's clips does not count"
    for name, place in after.items():
        assert place.authors == before[name].authors and set(place.remarks) >= {
            remark for remark in before[name].remarks if remark.startswith("lea-")
        }
    done = {name: entry for side in (a, b) for name, entry in labelled_truth(side).items()}
    now = labelled_truth(merged)
    assert {name: entry.state for name, entry in now.items()} == {name: entry.state for name, entry in done.items()}


def test_the_story_of_a_clip_comes_with_it(sides: tuple[Workspace, Workspace, Workspace]) -> None:
    a, b, merged = sides
    labels_of = WorkspaceLabels(merged)
    for workspace in (a, b):
        own = WorkspaceLabels(workspace)
        for name in own.clips:
            assert clip_history(labels_of, name).decisions == clip_history(own, name).decisions
            assert [(step.answer.round, step.answer.annotator) for step in clip_history(labels_of, name).steps] == [
                (step.answer.round, step.answer.annotator) for step in clip_history(own, name).steps
            ]
    plan = plan_next(labels_of, reviewers=[REV, TOM])
    notes = {item.clip_id: (name, item.note) for name, items in plan.assignments.items() for item in items}
    for side in "ab":
        assert notes[f"reopened-{side}"][0] == "review-2"
        assert f"lea-{side} reopened it: a cat is missing" in notes[f"reopened-{side}"][1]
        assert notes[f"back-{side}"][0] == "fix"
        assert f"lea-{side} settled it: send back: the tail is missing" in notes[f"back-{side}"][1]
        assert labels_of.told("draft-2", f"open-{side}") == [f"lea-{side} said: mind the second dog"]

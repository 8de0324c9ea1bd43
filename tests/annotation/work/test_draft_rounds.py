"""Who gets which clip in a draft round: twice when asked late, and again after the round was closed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from avis_data.annotation.labels.first_labels import first_labels
from avis_data.annotation.labels.records import Assignment, Interval, Verdict
from avis_data.annotation.labels.rounds import ClipState
from avis_data.annotation.labels.workspace_labels import WorkspaceLabels
from avis_data.annotation.labelstudio.tasks import task_of
from avis_data.annotation.work.draft_plan import assign, current_draft, num_twice, plan_draft
from avis_data.annotation.work.review_plan import plan_next
from avis_data.cli.main import main
from avis_data.manifest import read_manifest
from avis_data.paths import Workspace
from avis_data.records import Clip, State
from support.rounds_world import clips_only, labels, open_round, say, square, track

ANN, BOB, DAN = "ann@example.com", "bob@example.com", "dan@example.com"
DOG = track("dog_1", {0: square(1, 1)}, [(0, 1)])


def people(workspace: Workspace, *names: str, double: float = 0.0) -> dict[str, list[str | None]]:
    """Who has which clip in a plan for all clips of the workspace."""
    clips = [place.clip_id for place in WorkspaceLabels(workspace).places()]
    found: dict[str, list[str | None]] = {}
    for item in plan_draft(WorkspaceLabels(workspace), clips, annotators=names, double=double, seed=0):
        found.setdefault(item.clip_id, []).append(item.annotator)
    return found


@pytest.mark.parametrize(
    ("share", "clips", "wanted"), [(0.05, 8, 1), (0.05, 20, 1), (0.05, 21, 2), (0.0, 8, 0), (1, 3, 3)]
)
def test_a_share_of_few_clips_is_one_at_least(share: float, clips: int, wanted: int) -> None:
    assert num_twice(share, clips) == wanted
    given = assign([f"c{i}" for i in range(clips)], annotators=[ANN, BOB], double=share, seed=0, known={})
    assert sum(len(names) == 2 for names in given.values()) == wanted


def test_clips_that_were_given_to_one_get_a_second_when_it_is_asked_for_later(tmp_path: Path) -> None:
    workspace = clips_only(tmp_path / "ws", "a", "b", "c", "d")
    open_round(workspace, "draft", {"a": [ANN], "b": [BOB], "c": [None], "d": [ANN]})
    say(workspace, labels("a", "draft", ANN, [DOG], project_id=2))  # past its draft: a reviewer may have it already
    given = people(workspace, ANN, BOB, double=1.0)
    assert given == {"a": [ANN], "b": [BOB, ANN], "c": [None], "d": [ANN, BOB]}
    WorkspaceLabels(workspace).give(
        "draft", [Assignment(clip_id=name, annotator=who) for name, all_ in given.items() for who in all_]
    )
    assert people(workspace, ANN, BOB, double=1.0) == {name: sorted(who, key=str) for name, who in given.items()}
    assert people(workspace, DAN) == people(workspace, ANN, BOB), "nothing is taken from anybody"


def test_a_new_clip_is_labelled_twice_before_one_that_somebody_has(tmp_path: Path) -> None:
    workspace = clips_only(tmp_path / "ws", "a", "b", "c", "d")
    open_round(workspace, "draft", {"a": [ANN], "b": [BOB]})
    given = people(workspace, ANN, BOB, double=0.5)
    assert [len(given[name]) for name in "abcd"] == [1, 1, 2, 2]


@pytest.mark.parametrize(
    ("named", "identities"), [(("dog",), ["dog_1"]), (("dog", "cat"), []), ((), []), (("kazoo",), [])]
)
def test_loudness_is_suggested_for_the_only_category_of_a_clip(
    tmp_path: Path, named: tuple[str, ...], identities: list[str]
) -> None:
    workspace = clips_only(tmp_path / "ws", "a")
    (clip,) = read_manifest(workspace.manifest / "clips.jsonl", Clip)
    tone = np.zeros(clip.num_seconds * 16000, dtype=np.float32)
    tone[33600:62400] = 0.5 * np.sin(2 * np.pi * 440 * np.arange(28800) / 16000)  # 2.1 to 3.9 s
    soundfile.write(workspace.clip_dir("a") / "audio.wav", tone, 16000, subtype="PCM_16")
    start = first_labels(WorkspaceLabels(workspace), clip.model_copy(update={"categories": named}))
    assert [item.identity for item in start.tracks] == identities
    for item in start.tracks:
        assert item.intervals == (Interval(start_s=2, end_s=4),) and item.masks == ()
        assert set(item.states) == {State.HIDDEN}
    assert start.silence == (Interval(start_s=0, end_s=2), Interval(start_s=4, end_s=clip.num_seconds))
    page = task_of(clip, start, round_name="draft", categories=["dog", "cat"], media_prefix="")
    assert ("guesses from loudness" in page["data"]["hint"]) == bool(identities)
    spans = [region["value"]["timelinelabels"] for region in page["predictions"][0]["result"]]
    assert spans == [*([name] for name in identities), ["silence"], ["silence"]]


def test_what_a_closed_draft_left_open_is_given_out_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace = clips_only(tmp_path / "ws", "a", "b", "c")
    monkeypatch.chdir(workspace.root)
    open_round(workspace, "draft", {"a": [ANN], "b": [DAN], "c": [DAN]})
    say(workspace, labels("a", "draft", ANN, [DOG], project_id=1))
    say(workspace, labels("c", "draft", DAN, [DOG], Verdict.UNSURE, project_id=2))
    assert current_draft(WorkspaceLabels(workspace)) == "draft"
    assert main(["review", "close", "draft", "--reason", "dan left"]) == 0
    assert "avis-data annotate push --round draft" in capsys.readouterr().err
    assert current_draft(WorkspaceLabels(workspace)) == "draft-2"
    assert people(workspace, BOB) == {"b": [BOB], "c": [BOB]}
    assert main(["annotate", "push", "--round", "draft", "--annotators", BOB, "--dry-run", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["round"], said["num_labelled"], said["parts"]) == ("draft-2", 1, [{"annotator": BOB, "clips": 2}])
    open_round(workspace, "draft-2", {"b": [BOB], "c": [BOB]})
    assert [place.state for place in WorkspaceLabels(workspace).places()] == [
        ClipState.TO_REVIEW,
        ClipState.DRAFT,
        ClipState.DRAFT,
    ]
    say(workspace, labels("b", "draft-2", BOB, [DOG], project_id=1))
    given = plan_next(WorkspaceLabels(workspace), reviewers=[ANN, BOB]).assignments
    assert {item.clip_id: (name, item.annotator) for name in given for item in given[name]} == {
        "a": ("review", BOB),
        "b": ("review-2", ANN),
    }

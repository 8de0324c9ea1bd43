"""The whole way of clips over a real Label Studio: two people, killed in between, exported, validated, compared."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from avis_data.annotation.labels.store import read_round
from avis_data.annotation.labels.workspace_labels import WorkspaceLabels
from avis_data.annotation.labelstudio.client import LabelStudio
from avis_data.annotation.labelstudio.regions import regions_from_tracks
from avis_data.annotation.labelstudio.tasks import START
from avis_data.annotation.work import review_start
from avis_data.cli.main import main
from avis_data.io import read_json
from avis_data.masks.rle import decode
from avis_data.paths import Workspace
from support.review_team import Team, result
from support.rounds_world import exported_masks, square, track

pytestmark = pytest.mark.slow

DOG = track("dog_1", {second: square(2, 3) for second in range(4)}, [(0, 4)])
WIDER = track("dog_1", {0: square(2, 3), 1: square(2, 3, 12), 2: square(2, 3)}, [(0, 3)])
CAT = track("cat_1", {4: square(30, 10), 5: square(31, 10)}, [(4, 6)])


def test_draft_send_back_fix_accept_export(make_team: Callable[..., Team], capsys: pytest.CaptureFixture[str]) -> None:
    team = make_team("a", "b", "c", "d")
    workspace, ann, rev = team.workspace, team.ann, team.rev
    assert main(["annotate", "push", "--round", "draft", "--annotators", ann.email]) == 0
    ann.say(workspace, "draft", "a", result([DOG], "done", note="is it one dog?"))
    ann.say(workspace, "draft", "b", result([CAT], "done"))
    ann.say(workspace, "draft", "c", result([], "done"))
    ann.say(workspace, "draft", "d", result([DOG], None))
    assert main(["annotate", "pull"]) == 0
    assert team.states() == {"a": "to review", "b": "to review", "c": "to review", "d": "draft"}

    assert main(["review", "start", "--reviewers", rev.email]) == 0
    assert sorted(rev.tasks(workspace, "review")) == ["a", "b", "c"]
    hint, filled = rev.page(workspace, "review", "a")
    assert "is it one dog?" in hint and ann.email in hint
    assert {region["id"] for region in filled} == {region["id"] for region in regions_from_tracks([DOG])}
    assert team.states()["a"] == "review"
    rev.say(workspace, "review", "a", result([DOG], "send back", note="wider on page 2", reasons=["mask"]))
    rev.say(workspace, "review", "b", result([CAT], "drop clip", reasons=["missed object"]))
    rev.say(workspace, "review", "c", result([], "accept"))
    assert main(["annotate", "pull"]) == 0
    assert team.states() == {"a": "to fix", "b": "dropped", "c": "accepted", "d": "draft"}

    assert main(["review", "start", "--reviewers", rev.email]) == 0
    hint, _ = ann.page(workspace, "fix", "a")
    assert "wider on page 2" in hint and "mask" in hint
    ann.say(workspace, "fix", "a", result([WIDER], "done"))
    ann.say(workspace, "draft", "d", result([CAT], "done"))
    assert main(["annotate", "pull"]) == 0
    assert main(["review", "start", "--reviewers", rev.email]) == 0
    assert team.states() == {"a": "review", "b": "dropped", "c": "accepted", "d": "review"}
    assert sorted(rev.tasks(workspace, "review-2")) == ["a"] and sorted(rev.tasks(workspace, "review")) == list("abcd")
    rev.say(workspace, "review-2", "a", result([WIDER], "accept"))
    rev.say(workspace, "review", "d", result([CAT, DOG], "fixed"))
    assert main(["annotate", "pull"]) == 0
    assert team.states() == {"a": "accepted", "b": "dropped", "c": "accepted", "d": "accepted"}

    check_history(team, capsys)
    for name in ("draft", "review", "fix", "review-2"):
        assert main(["review", "close", name]) == 0
    check_export(workspace, capsys)


def check_history(team: Team, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["review", "history", "a", "--json"]) == 0
    steps = json.loads(capsys.readouterr().out)["steps"]
    ann, rev = team.ann.email, team.rev.email
    assert [(step["round"], step["annotator"], step["verdict"]) for step in steps] == [
        ("draft", ann, "done"),
        ("review", rev, "send back"),
        ("fix", ann, "done"),
        ("review-2", rev, "accept"),
    ]
    assert steps[1]["changes"]["tracks"] == [] == steps[3]["changes"]["tracks"]
    (change,) = steps[2]["changes"]["tracks"]
    assert change["masks_changed"] == {"1": pytest.approx(64 / 144)} and change["masks_removed"] == [3]
    assert (change["sounding_before_s"], change["sounding_after_s"]) == ([[0, 4]], [[0, 3]])


def check_export(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["export", "--split", "2/1", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["clips_dropped"] == 1 and report["counts"]["total"]["clips"] == 3
    assert main(["validate", "exports/ytvis", "--deep"]) == 0
    truth = read_json(workspace.exports / "ytvis" / "certificate.json")["truth"]
    assert truth["labelled_in"] == {"review": 2, "review-2": 1} and truth["clips_by"] == {"accepted": 3}
    found = exported_masks(workspace)
    assert sorted(found) == [("a", "dog"), ("d", "cat"), ("d", "dog")]
    for (clip_id, category), drawn in {("a", "dog"): WIDER, ("d", "cat"): CAT, ("d", "dog"): DOG}.items():
        masks = found[clip_id, category]
        assert [t for t, mask in enumerate(masks) if mask is not None] == [mask.frame for mask in drawn.masks]
    assert (decode(found["a", "dog"][1]) == square(2, 3, 12)).all()
    assert (decode(found["d", "cat"][5]) == square(31, 10)).all()


def test_a_clip_that_two_labelled_is_decided_by_a_third(
    make_team: Callable[..., Team], capsys: pytest.CaptureFixture[str]
) -> None:
    team = make_team("a", "b")
    workspace, ann, bob, rev = team.workspace, team.ann, team.bob, team.rev
    push = ["annotate", "push", "--round", "draft", "--annotators", f"{ann.email},{bob.email}", "--double", "100%"]
    assert main(push) == 0
    for person, tracks in ((ann, [DOG]), (bob, [WIDER, CAT])):
        for clip_id in "ab":
            person.say(workspace, "draft", clip_id, result(tracks, "done"))
    assert main(["annotate", "pull"]) == 0
    capsys.readouterr()
    assert main(["agreement", "--html", "agreement.html", "--json"]) == 0
    total = json.loads(capsys.readouterr().out)["total"]
    assert total["num_clips"] == 2 and (total["num_matched"], total["num_unmatched"]) == (2, 2)
    assert total["mask_iou"]["value"] == pytest.approx((1 + 64 / 144 + 1) / 3)
    assert main(["review", "start", "--reviewers", f"{ann.email},{rev.email}"]) == 0
    assert sorted(rev.tasks(workspace, "review")) == ["a", "b"], "ann made one of the drafts"
    hint, filled = rev.page(workspace, "review", "a")
    assert "Also labelled by" in hint and "Please decide" in hint and filled


class Killed(BaseException):
    """As a process that is killed: nothing catches it."""


@pytest.mark.parametrize("moment", ["before the first project", "after the first project", "after the server has it"])
def test_killed_while_starting_it_is_completed_and_nothing_is_doubled(
    make_team: Callable[..., Team], monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    team = make_team("a", "b", "c")
    workspace, ann, bob, rev = team.workspace, team.ann, team.bob, team.rev
    assert main(["annotate", "push", "--round", "draft", "--annotators", ann.email]) == 0
    for clip_id in "abc":
        ann.say(workspace, "draft", clip_id, result([DOG], "done"))
    assert main(["annotate", "pull"]) == 0
    start = ["review", "start", "--reviewers", f"{rev.email},{bob.email}"]
    with monkeypatch.context() as patch:
        dies_at(patch, moment)
        with pytest.raises(Killed):
            main(start)
    assert team.states() == dict.fromkeys("abc", "review"), "noted, so that nobody else gets them"
    assert main(start) == 0 and main(start) == 0
    given = [*rev.tasks(workspace, "review"), *bob.tasks(workspace, "review")]
    assert sorted(given) == ["a", "b", "c"]
    assert {place.remarks for place in WorkspaceLabels(workspace).places()} == {()}
    projects = read_round(workspace, "review").projects
    assert projects
    for project in projects:
        settings = rev.client.project(project.project_id)
        assert settings is not None and settings.settings["model_version"] == START, "else the pages are empty"


def dies_at(patch: pytest.MonkeyPatch, moment: str) -> None:
    push, sends, calls = review_start.push_round, LabelStudio.import_tasks, []

    def push_once(*given: Any, **options: Any) -> Any:
        calls.append(moment)
        if moment == "before the first project" or (moment == "after the first project" and len(calls) == 2):
            raise Killed
        return push(*given, **options)

    def send_and_die(client: LabelStudio, project_id: int, tasks: Any) -> int:
        sends(client, project_id, tasks)
        raise Killed

    patch.setattr(review_start, "push_round", push_once)
    if moment == "after the server has it":
        patch.setattr(LabelStudio, "import_tasks", send_and_die)

"""A verdict counts if somebody else labelled the clip and it says what became of the page; else it is asked back."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from avis_data.annotation.labels.workspace_labels import WorkspaceLabels
from avis_data.cli.main import main
from avis_data.io import read_json
from avis_data.masks.rle import decode
from support.review_team import Team, result
from support.rounds_world import exported_masks, square, track

DOG = track("dog_1", {second: square(2, 3) for second in range(4)}, [(0, 4)])
WIDER = track("dog_1", {second: square(2, 3, 12) for second in range(4)}, [(0, 4)])
SHORTER = track("dog_1", {second: square(2, 3) for second in range(4)}, [(0, 2)])
CAT = track("cat_1", {4: square(30, 10)}, [(4, 5)])

ODD = {
    "emptied": ([], "accept", "accept_emptied", "does nothing sound"),
    "redrawn": ([WIDER], "accept", "accept_changed", "not as they were given"),
    "seconds": ([SHORTER], "accept", "accept_changed", "not as they were given"),
    "more": ([DOG, CAT], "accept", "accept_changed", "not as they were given"),
    "unfixed": ([DOG], "fixed", "fixed_unchanged", "nothing was changed"),
}
"""Of a page with DOG: what is left of it, the verdict, the kind of problem, and what it says."""


@pytest.mark.slow
def test_a_verdict_that_is_not_what_the_page_says_is_asked_back(
    make_team: Callable[..., Team], capsys: pytest.CaptureFixture[str]
) -> None:
    team = make_team(*ODD, "good", "fixed", "empty")
    workspace, ann, rev = team.workspace, team.ann, team.rev
    assert main(["annotate", "push", "--round", "draft", "--annotators", ann.email]) == 0
    for name in (*ODD, "good", "fixed", "empty"):
        ann.say(workspace, "draft", name, result([] if name == "empty" else [DOG], "done"))
    assert main(["annotate", "pull"]) == 0
    assert main(["review", "start", "--reviewers", rev.email]) == 0
    for name, (tracks, verdict, _, _) in ODD.items():
        rev.say(workspace, "review", name, result(tracks, verdict))
    rev.say(workspace, "review", "good", result([DOG], "accept"))
    rev.say(workspace, "review", "empty", result([], "accept"))
    rev.say(workspace, "review", "fixed", result([DOG, CAT], "fixed"))
    capsys.readouterr()
    assert main(["annotate", "pull", "--json"]) == 0
    told = {(item["clip_id"], item["kind"]) for item in json.loads(capsys.readouterr().out)["problems"]}
    assert told == {*((name, kind) for name, (_, _, kind, _) in ODD.items()), ("redrawn", "own_labels")}
    assert team.states() == {**dict.fromkeys(ODD, "review"), **dict.fromkeys(["good", "fixed", "empty"], "accepted")}
    for place in WorkspaceLabels(workspace).places():
        if place.clip_id in ODD:
            assert place.waits_for == (rev.email,) and ODD[place.clip_id][3] in " ".join(place.remarks)
    rev.say(workspace, "review", "emptied", result([], "fixed"))
    rev.say(workspace, "review", "unfixed", result([DOG], "accept"))
    assert main(["annotate", "pull"]) == 0
    assert (team.states()["emptied"], team.states()["unfixed"]) == ("accepted", "accepted")


@pytest.mark.slow
def test_nobody_accepts_their_own_labels_unless_that_is_allowed_and_then_it_is_certified(
    make_team: Callable[..., Team], capsys: pytest.CaptureFixture[str]
) -> None:
    """`a`: the author presses accept in the reviewer's project; `b`: the reviewer draws all; `c`, `d`: as it should."""
    team = make_team("a", "b", "c", "d")
    workspace, ann, bob, rev = team.workspace, team.ann, team.bob, team.rev
    assert main(["annotate", "push", "--round", "draft", "--annotators", ann.email]) == 0
    for name, tracks in (("a", [DOG]), ("b", []), ("c", [DOG]), ("d", [DOG])):
        ann.say(workspace, "draft", name, result(tracks, "done"))
    assert main(["annotate", "pull"]) == 0
    assert main(["review", "start", "--reviewers", ann.email]) == 4, "nobody is left who may"
    assert "--allow-own" in capsys.readouterr().err
    assert main(["review", "start", "--reviewers", rev.email]) == 0
    ann.client.annotate(rev.tasks(workspace, "review")["a"], result([DOG], "accept"))
    rev.say(workspace, "review", "b", result([CAT], "fixed"))
    for name in "cd":
        rev.say(workspace, "review", name, result([DOG], "accept"))
    assert main(["annotate", "pull"]) == 0
    assert team.states() == {"a": "review", "b": "to review", "c": "accepted", "d": "accepted"}
    (place, *_) = WorkspaceLabels(workspace).places()
    assert place.waits_for == (rev.email,) and "labelled it and said accept" in place.remarks[0]
    assert certified(capsys) == {"clips_by": {"accepted": 2}, "clips_accepted_by_their_authors": 0}

    assert main(["review", "start", "--reviewers", f"{rev.email},{bob.email}"]) == 0
    assert list(bob.tasks(workspace, "review-2")) == ["b"], "what rev drew is reviewed by somebody else"
    bob.say(workspace, "review-2", "b", result([CAT], "accept"))
    rev.say(workspace, "review", "a", result([DOG], "accept"))
    assert main(["annotate", "pull"]) == 0
    assert set(team.states().values()) == {"accepted"}
    assert certified(capsys) == {"clips_by": {"accepted": 4}, "clips_accepted_by_their_authors": 0}
    mask = exported_masks(workspace)["b", "cat"][4]
    assert mask is not None and (decode(mask) == square(30, 10)).all()


def certified(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    """Who accepted what, as the certificate of the export says."""
    assert main(["export", "--split", "50/50", "--force"]) == 0, capsys.readouterr().err
    truth = read_json(Path("exports/ytvis/certificate.json"))["truth"]
    return {name: truth[name] for name in ("clips_by", "clips_accepted_by_their_authors")}


@pytest.mark.slow
def test_own_reviews_that_are_allowed_count_and_are_counted(
    make_team: Callable[..., Team], capsys: pytest.CaptureFixture[str]
) -> None:
    team = make_team("a", "b")
    workspace, ann = team.workspace, team.ann
    assert main(["annotate", "push", "--round", "draft", "--annotators", ann.email]) == 0
    for name in "ab":
        ann.say(workspace, "draft", name, result([DOG], "done"))
    assert main(["annotate", "pull"]) == 0
    assert main(["review", "start", "--reviewers", ann.email, "--allow-own"]) == 0
    for name in "ab":
        ann.say(workspace, "review", name, result([DOG], "accept"))
    assert main(["annotate", "pull"]) == 0
    assert set(team.states().values()) == {"accepted"}
    assert {place.remarks for place in WorkspaceLabels(workspace).places()} == {
        (f"{ann.email} reviewed labels of their own",)
    }
    assert certified(capsys) == {"clips_by": {"accepted": 2}, "clips_accepted_by_their_authors": 2}

"""The lead gives open work to others at any time, reopens, settles and comments; the next page tells the story."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from avis_data.annotation.labels.workspace_labels import WorkspaceLabels
from avis_data.annotation.labelstudio.settings import read_settings, write_settings
from avis_data.cli.main import main
from support.label_studio import free_port
from support.review_team import Person, Team, result
from support.rounds_world import square, track

pytestmark = pytest.mark.slow

DOG = track("dog_1", {second: square(2, 3) for second in range(4)}, [(0, 4)])
WIDER = track("dog_1", {0: square(2, 3, 12), **{second: square(2, 3) for second in range(1, 4)}}, [(0, 4)])


def waits(team: Team) -> dict[str, tuple[str, ...]]:
    return {place.clip_id: place.waits_for for place in WorkspaceLabels(team.workspace).places() if place.waits_for}


def give(person: Person, *arguments: str) -> list[str]:
    return ["review", "assign", *arguments, "--give-to", person.email]


def test_open_work_goes_to_others_in_drafts_reviews_and_fixes(
    make_team: Callable[..., Team], capsys: pytest.CaptureFixture[str]
) -> None:
    team = make_team("a", "b", "c", "d")
    workspace, ann, bob, rev = team.workspace, team.ann, team.bob, team.rev
    assert main(["annotate", "push", "--round", "draft", "--annotators", ann.email]) == 0
    ann.say(workspace, "draft", "a", result([DOG], "done"))
    ann.say(workspace, "draft", "b", result([], "unsure", note="half done"))
    assert main(give(bob, "--person", ann.email)) == 0
    assert waits(team) == dict.fromkeys("bcd", (bob.email,)), "a was submitted, though not pulled: it counts"
    assert sorted(bob.tasks(workspace, "draft")) == ["b", "c", "d"]
    assert sorted(ann.tasks(workspace, "draft")) == ["a", "b"], "what was begun stays"
    begun = ann.client._read(f"api/tasks/{ann.tasks(workspace, 'draft')['b']}/", lambda found: found)
    assert f"given to {bob.email}" in begun["data"]["headline"]
    assert main(give(bob, "--person", ann.email)) == 0 and main(give(bob, "b")) == 0, "again: nothing more"
    assert sorted(bob.tasks(workspace, "draft")) == ["b", "c", "d"]
    ann.say(workspace, "draft", "b", result([DOG], "done"))
    assert main(["annotate", "pull"]) == 0
    assert team.states()["b"] == "draft", "it is bob's now"
    for name in "bcd":
        bob.say(workspace, "draft", name, result([DOG], "done"))
    assert main(["annotate", "pull"]) == 0
    assert main(["review", "start", "--reviewers", rev.email]) == 0

    capsys.readouterr()
    assert main([*give(ann, "a", "c"), "--json"]) == 4
    said = json.loads(capsys.readouterr().out)
    assert [item["clip_id"] for item in said["moved"]] == ["c"] and "labelled it" in said["left"]["a"]
    assert waits(team) == {"a": (rev.email,), "b": (rev.email,), "c": (ann.email,), "d": (rev.email,)}
    ann.say(workspace, "review", "c", result([DOG], "send back", reasons=["mask"], note="wider"))
    assert main(["annotate", "pull"]) == 0
    assert main(["review", "start", "--reviewers", rev.email]) == 0
    assert waits(team)["c"] == (bob.email,)
    assert main(give(ann, "c")) == 0
    assert waits(team)["c"] == (ann.email,) and "c" not in bob.tasks(workspace, "fix")
    hint, filled = ann.page(workspace, "fix", "c")
    assert "wider" in hint and filled
    ann.say(workspace, "fix", "c", result([WIDER], "done"))
    assert main(["annotate", "pull"]) == 0
    assert main(["review", "start", "--reviewers", rev.email]) == 0
    hint, _ = rev.page(workspace, "review-2", "c")
    assert f"{ann.email} had asked (review): mask: wider" in hint
    assert "dog_1 changed: 1 mask(s) changed (page 1" in hint


def test_the_lead_reopens_settles_and_comments(
    make_team: Callable[..., Team], capsys: pytest.CaptureFixture[str]
) -> None:
    team = make_team("a", "b")
    workspace, ann, bob, rev = team.workspace, team.ann, team.bob, team.rev
    assert main(["annotate", "push", "--round", "draft", "--annotators", ann.email]) == 0
    for name in "ab":
        ann.say(workspace, "draft", name, result([DOG], "done"))
    assert main(["annotate", "pull"]) == 0
    assert main(["review", "settle", "a", "accept", "--note", "why"]) == 2, "it is not in review"
    assert main(["review", "start", "--reviewers", rev.email]) == 0
    rev.say(workspace, "review", "a", result([DOG], "accept"))
    rev.say(workspace, "review", "b", result([DOG], "accept"))
    bob.client.annotate(rev.tasks(workspace, "review")["b"], result([DOG], "drop clip", reasons=["mask"]))
    assert main(["annotate", "pull"]) == 0
    assert team.states() == {"a": "accepted", "b": "review"}, "the reviewers of b disagree"

    assert main(["review", "settle", "b", "accept", "--note", "the clip is good", "--by", "lea"]) == 0
    assert main(["review", "comment", "a", "--note", "mind the second dog", "--by", "lea"]) == 0
    assert team.states() == {"a": "accepted", "b": "accepted"}
    assert main(["review", "reopen", "a", "--note", "one dog is missing", "--by", "lea"]) == 0
    assert main(["review", "reopen", "a", "--note", "again"]) == 2
    assert team.states() == {"a": "to review", "b": "accepted"}
    assert main(["annotate", "pull", "--force"]) == 0
    assert team.states() == {"a": "to review", "b": "accepted"}, "pulling takes nothing back"
    assert main(["review", "start", "--reviewers", rev.email]) == 0
    hint, _ = rev.page(workspace, "review-2", "a")
    assert "lea said: mind the second dog" in hint and "lea reopened it: one dog is missing" in hint
    rev.say(workspace, "review-2", "a", result([DOG, track("dog_2", {1: square(30, 9)}, [(1, 2)])], "fixed"))
    assert main(["annotate", "pull"]) == 0
    assert team.states()["a"] == "accepted"
    capsys.readouterr()
    assert main(["review", "history", "b"]) == 0
    assert "review: lea settled it: accept: the clip is good" in capsys.readouterr().out


def test_a_comment_reaches_the_page_that_is_open(
    make_team: Callable[..., Team], capsys: pytest.CaptureFixture[str]
) -> None:
    team = make_team("a", "b")
    workspace, ann = team.workspace, team.ann
    assert main(["annotate", "push", "--round", "draft", "--annotators", ann.email]) == 0
    before, _ = ann.page(workspace, "draft", "a")
    settings = read_settings(workspace)
    comment = ["review", "comment", "a", "--note", "mind the\nsecond dog", "--by", "lea"]
    write_settings(workspace, settings.model_copy(update={"url": f"http://127.0.0.1:{free_port()}"}))
    capsys.readouterr()
    assert main(comment) == 4, "the server is down: kept, and told"
    assert "its page does not show it yet" in capsys.readouterr().err
    write_settings(workspace, settings)
    for _ in range(2):
        assert main(comment) == 0
        assert ann.page(workspace, "draft", "a")[0] == f"{before}\nlea said: mind the second dog", "once"
    assert ann.page(workspace, "draft", "b")[0] == before
    capsys.readouterr()
    assert main(["review", "status", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert [clip["remarks"] for clip in said["clips"]] == [["lea said: mind the\nsecond dog"], []]
    assert said["next"] == [f"wait for {ann.email}, then avis-data annotate pull"]
    assert main(["review", "status"]) == 0 and "lea said: mind the" in capsys.readouterr().out

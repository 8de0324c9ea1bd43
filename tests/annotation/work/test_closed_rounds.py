"""What was submitted before a round is closed counts, what comes later is kept and told, and it looks closed."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from avis_data.annotation.labels.store import read_round
from avis_data.annotation.labelstudio.settings import read_settings, write_settings
from avis_data.cli.main import main
from support.flaky_proxy import flaky_proxy
from support.label_studio import TestServer
from support.labelling_world import ask
from support.review_team import Team, result
from support.rounds_world import square, track

pytestmark = pytest.mark.slow

DOG = track("dog_1", {second: square(2, 3) for second in range(4)}, [(0, 4)])


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict:
    capsys.readouterr()
    assert main([*arguments, "--json"]) == 0
    found: dict = json.loads(capsys.readouterr().out)
    return found


def test_closing_pulls_first_and_what_comes_later_changes_nothing(
    make_team: Callable[..., Team], label_studio: TestServer, capsys: pytest.CaptureFixture[str]
) -> None:
    team = make_team("a", "b", "c")
    workspace, ann, rev = team.workspace, team.ann, team.rev
    assert main(["annotate", "push", "--round", "draft", "--annotators", ann.email]) == 0
    for name in "ab":
        ann.say(workspace, "draft", name, result([DOG], "done"))
    assert main(["review", "close", "draft"]) == 2, "c is open; a and b are pulled all the same"
    assert team.states() == {"a": "to review", "b": "to review", "c": "draft"}
    ann.say(workspace, "draft", "c", result([DOG], "done"))
    assert main(["review", "close", "draft", "--reason", "ann is away"]) == 0
    assert set(team.states().values()) == {"to review"} and read_round(workspace, "draft").close_reason is None
    (project,) = read_round(workspace, "draft").projects
    shown = ask(label_studio, "GET", f"projects/{project.project_id}/")
    assert shown["title"].startswith("closed · ") and "does not count" in shown["expert_instruction"]

    assert main(["review", "start", "--reviewers", rev.email]) == 0
    rev.say(workspace, "review", "a", result([DOG], "drop clip", reasons=["mask"]))
    rev.say(workspace, "review", "b", result([DOG], "accept"))
    assert main(["review", "close", "review", "--reason", "rev left"]) == 0
    expected = {"a": "dropped", "b": "accepted", "c": "to review"}
    assert team.states() == expected
    rev.say(workspace, "review", "a", result([DOG], "accept"))
    rev.say(workspace, "review", "c", result([DOG], "accept"))
    late = said(capsys, "annotate", "pull")["late"]
    assert [(item["round"], item["clip_id"], item["annotator"]) for item in late] == [
        ("review", "a", rev.email),
        ("review", "c", rev.email),
    ]
    for options in (("--round", "review"), ("--round", "review", "--force"), ("--force",)):
        assert main(["annotate", "pull", *options]) == 0
        assert team.states() == expected
    assert "does not count" in capsys.readouterr().err
    assert len(list((workspace.annotations / "review" / "received" / "a").iterdir())) == 2, "nothing is lost"
    assert main(["review", "start", "--reviewers", rev.email]) == 0
    assert list(rev.tasks(workspace, "review-2")) == ["c"]
    assert main(["review", "close", "review"]) == 0, "again: nothing changes"
    assert main(["review", "close", "review-9"]) == 3


def test_a_round_that_cannot_be_pulled_stays_open(make_team: Callable[..., Team], label_studio: TestServer) -> None:
    team = make_team("a", "b")
    workspace, ann = team.workspace, team.ann
    assert main(["annotate", "push", "--round", "draft", "--annotators", ann.email]) == 0
    ids = ann.tasks(workspace, "draft")
    for name in "ab":
        ann.say(workspace, "draft", name, result([DOG], "done"))
    with flaky_proxy(label_studio.url) as proxy:
        write_settings(workspace, read_settings(workspace).model_copy(update={"url": proxy.url}))
        proxy.fail(rf"GET /api/tasks/{ids['b']}/annotations")
        assert main(["review", "close", "draft", "--reason", "out of time"]) == 5
        assert read_round(workspace, "draft").closed_at is None and team.states()["a"] == "to review"
        proxy.heal()
        assert main(["review", "close", "draft", "--reason", "out of time"]) == 0
    assert team.states() == {"a": "to review", "b": "to review"}

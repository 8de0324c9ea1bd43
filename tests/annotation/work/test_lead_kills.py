"""What the lead decides is done whole by the same command again, at whatever step it was killed before."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from avis_data.annotation.labels.records import Verdict
from avis_data.annotation.labels.workspace_labels import WorkspaceLabels
from avis_data.cli.main import main
from support.dying import changes_of, die_at
from support.label_studio import TestServer
from support.labelling_world import ask
from support.review_team import Person, Team, result
from support.rounds_world import clips_only, labels, open_round, say, square, track
from support.shell import tree_hashes

pytestmark = pytest.mark.slow

NUM_KILLS = int(os.environ.get("AVIS_DATA_KILLS", 3))
DOG = track("dog_1", {second: square(2, 3) for second in range(4)}, [(0, 4)])
ANN, BOB, REV, TOM = (f"{name}@example.com" for name in ("ann", "bob", "rev", "tom"))


def data_of(person: Person, workspace: Any, clip_id: str) -> dict[str, Any]:
    task: dict[str, Any] = person.client._read(f"api/tasks/{person.tasks(workspace, 'draft')[clip_id]}/", dict)
    return dict(task["data"])


def test_open_work_that_is_given_away_is_whose_it_was_or_will_be(
    make_team: Callable[..., Team], label_studio: TestServer
) -> None:
    """Ann and bob give each other two clips again and again; on one of them ann has begun."""
    team = make_team("a", "b")
    workspace, ann, bob = team.workspace, team.ann, team.bob
    assert main(["annotate", "push", "--round", "draft", "--annotators", ann.email]) == 0
    begun = ann.tasks(workspace, "draft")["b"]
    draft = {"result": result([DOG], None), "lead_time": 3.0}
    ask(label_studio, "POST", f"tasks/{begun}/drafts", draft)
    headline = data_of(ann, workspace, "b")["headline"]
    assert main(["review", "comment", "a", "--note", "mind the second dog", "--by", "lea"]) == 0

    def give(to: Person, away: Person) -> list[object]:
        return ["-C", workspace.root, "review", "assign", "--person", away.email, "--give-to", to.email]

    def check(to: Person, away: Person) -> None:
        waits = {place.clip_id: place.waits_for for place in WorkspaceLabels(workspace).places()}
        assert waits == {"a": (to.email,), "b": (to.email,)}
        assert sorted(to.tasks(workspace, "draft")) == ["a", "b"], "both, and each once"
        assert sorted(away.tasks(workspace, "draft")) == (["b"] if away is ann else [])
        assert "lea said: mind the second dog" in data_of(to, workspace, "a")["hint"]
        said = data_of(ann, workspace, "b")["headline"]
        assert (said == headline) if to is ann else f"given to {to.email}" in said
        (kept,) = ann.client.drafts(begun)
        assert len(kept.result) == len(draft["result"]), "what was drawn is untouched"

    pair = (bob, ann)
    assert main([str(word) for word in give(*pair)]) == 0
    check(*pair)
    pair = (ann, bob)
    number = changes_of(*give(*pair))
    check(*pair)
    assert number > 10
    steps = random.Random(11).sample(range(1, number), min(NUM_KILLS, number - 1))
    died = 0
    for step in steps:
        pair = (pair[1], pair[0])
        died += die_at(step, *give(*pair))
        assert main(["review", "status"]) == 0
        assert main([str(word) for word in give(*pair)]) == 0
        check(*pair)
    assert died > len(steps) / 2, "most kills were in the work"


@pytest.mark.parametrize(
    ("words", "state"),
    [
        (["settle", "accept", "--of", BOB], "accepted"),
        (["reopen"], "to review"),
        (["comment"], "review"),
    ],
)
def test_a_decision_is_made_once_and_whole(tmp_path: Path, words: list[str], state: str) -> None:
    """Each kill has a clip of its own; the reviewers bob and tom disagree, or both accept it where it is reopened."""
    names = [f"clip-{number}" for number in range(NUM_KILLS + 2)]
    workspace = clips_only(tmp_path / "ds", *names)
    agree = words[0] == "reopen"
    open_round(workspace, "draft", {name: [ANN] for name in names})
    open_round(workspace, "review", {name: [BOB, TOM] for name in names})
    for name in names:
        say(workspace, labels(name, "draft", ANN, [DOG]))
        say(workspace, labels(name, "review", BOB, [DOG], Verdict.ACCEPT))
        say(workspace, labels(name, "review", TOM, [DOG], Verdict.ACCEPT if agree else Verdict.SEND_BACK))

    def decide(name: str) -> list[object]:
        return ["-C", workspace.root, "review", words[0], name, *words[1:], "--note", "why", "--by", "lea"]

    assert main([str(word) for word in decide(names[0])]) == 0
    number = changes_of(*decide(names[1]))
    rng = random.Random(7)
    died = 0
    for name in names[2:]:
        died += die_at(rng.randrange(1, number + 1), *decide(name))
        assert main([str(word) for word in decide(name)]) == 0
    found = WorkspaceLabels(workspace)
    assert {place.clip_id: str(place.state) for place in found.places()} == dict.fromkeys(names, state)
    assert [item.clip_id for item in found.decisions("review")] == names, "each said once"
    before = tree_hashes(workspace.annotations)
    assert main([str(word) for word in decide(names[1])]) == 0
    assert tree_hashes(workspace.annotations) == before, "again: nothing changes"
    assert died > NUM_KILLS / 2

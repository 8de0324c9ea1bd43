"""A command reads every file of the rounds once, however many of its parts ask for it."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from avis_data.annotation.labels.records import Verdict
from avis_data.annotation.labels.tables import update_tables
from avis_data.annotation.labels.workspace_labels import WorkspaceLabels
from avis_data.cli.main import main
from avis_data.paths import Workspace
from avis_data.pipelines.engine.lock import open_for_work
from support.rounds_world import clips_only, labels, open_round, say, square, track

ANN, BOB, REV = "ann@example.com", "bob@example.com", "rev@example.com"
DOG = track("dog_1", {0: square(1, 1), 1: square(2, 1)}, [(0, 2)])

_opened: Counter[str] | None = None


def _count(event: str, arguments: tuple[object, ...]) -> None:
    """A hook of Python's own, so every way of opening a file is counted; `mode` is None for `os.open`."""
    if _opened is None or event != "open":
        return
    path, mode, flags = arguments
    is_read = not isinstance(flags, int) or flags & (os.O_WRONLY | os.O_RDWR) == 0
    if isinstance(path, str) and is_read and (mode is None or "r" in str(mode)):
        _opened[path] += 1


sys.addaudithook(_count)


@contextmanager
def opened_in(workspace: Workspace) -> Iterator[Counter[str]]:
    """How often each file of a workspace is opened for reading, by its path there."""
    global _opened
    found: Counter[str] = Counter()
    _opened = Counter()
    try:
        yield found
    finally:
        root = str(workspace.root.resolve())
        for path, number in _opened.items():
            whole = os.path.realpath(path)
            if whole.startswith(root + os.sep):
                found[os.path.relpath(whole, root)] += number
        _opened = None


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """Four clips: three labelled twice, of which one is accepted and one sent back; one by nobody."""
    workspace = clips_only(tmp_path / "ws", "a", "b", "c", "d")
    open_round(workspace, "draft", {name: [ANN, BOB] for name in ("a", "b", "c")})
    for person, number in ((ANN, 1), (BOB, 2)):
        say(workspace, *(labels(name, "draft", person, [DOG], project_id=number) for name in ("a", "b", "c")))
    open_round(workspace, "review", {name: [REV] for name in ("a", "b")})
    say(workspace, labels("a", "review", REV, [DOG], Verdict.ACCEPT, project_id=1))
    say(workspace, labels("b", "review", REV, [DOG], Verdict.SEND_BACK, note="the mask", project_id=1))
    with open_for_work(workspace, "test") as ledger:
        update_tables(WorkspaceLabels(workspace), ledger)
    monkeypatch.chdir(workspace.root)
    return workspace


def of_rounds(opened: Counter[str]) -> dict[str, int]:
    """Without the masks, which are not kept in memory."""
    return {path: number for path, number in opened.items() if "/labelled/" not in path}


COMMANDS = [
    ("review", "status"),
    ("review", "history", "a"),
    ("agreement", "--html", "agreement.html"),
    ("agreement", "--round", "review"),
    ("annotate", "push", "--round", "draft", "--annotators", f"{ANN},{BOB}", "--double", "50%", "--dry-run"),
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command[:2]))
def test_a_command_opens_each_file_of_the_rounds_once(workspace: Workspace, command: tuple[str, ...]) -> None:
    with opened_in(workspace) as opened:
        assert main(list(command)) == 0
    names = of_rounds(opened)
    rounds = {path: number for path, number in names.items() if path.startswith("annotations/")}
    assert rounds and set(rounds.values()) == {1}, rounds
    assert names.get("manifest/clips.jsonl", 1) == 1, "the manifest likewise"


def test_where_clips_stand_takes_one_look_at_every_answer(workspace: Workspace) -> None:
    with opened_in(workspace) as opened:
        assert main(["review", "status"]) == 0
    answers = {path: number for path, number in opened.items() if "/labelled/" in path}
    assert len(answers) == 8 and set(answers.values()) == {1}


def test_masks_are_read_where_they_are_compared_and_once(workspace: Workspace) -> None:
    with opened_in(workspace) as opened:
        assert main(["agreement"]) == 0
    answers = {path: number for path, number in opened.items() if "/draft/labelled/" in path}
    assert len(answers) == 6 and set(answers.values()) == {2}, "its head for where the clip stands, its masks once"


def test_an_export_reads_the_current_labels_once_for_each_side(workspace: Workspace) -> None:
    with opened_in(workspace) as opened:
        assert main(["export", "--format", "ytvis", "--split", "1/0/0", "--without-features"]) == 0
    assert opened["annotations/current.json"] == 2, "what the rounds are compared with, and what the export is made of"
    rounds = {path: number for path, number in of_rounds(opened).items() if path.startswith("annotations/")}
    del rounds["annotations/current.json"]
    assert rounds and set(rounds.values()) == {1}, rounds


def test_what_is_written_through_the_object_is_known_to_it(workspace: Workspace) -> None:
    known = WorkspaceLabels(workspace)
    assert {place.clip_id: place.state.value for place in known.places()}["c"] == "to review"
    known.keep_round(known.round("draft").model_copy(update={"closed_at": "2026-02-01T00:00:00+00:00"}))
    known.keep_labelled(labels("c", "draft", ANN, [DOG], None, project_id=1))
    known.keep_labelled(labels("c", "draft", BOB, [DOG], None, project_id=2))
    fresh = WorkspaceLabels(workspace)
    assert known.places() == fresh.places() and known.closed_rounds() == fresh.closed_rounds() == {"draft"}
    assert {place.clip_id: place.state.value for place in known.places()}["c"] == "unlabelled"
    (answer,) = known.answers("review", "a")
    known.withdraw(answer)
    assert known.places() == WorkspaceLabels(workspace).places()

"""What was drawn on old stills is not published on new ones until somebody looked, whatever happened in which order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image

from avis_data.annotation.labels.first_labels import first_labels
from avis_data.annotation.labels.records import Media, PreLabels, Verdict
from avis_data.annotation.labels.store import write_prelabels
from avis_data.annotation.labels.workspace_labels import WorkspaceLabels
from avis_data.cli.main import main
from avis_data.paths import Workspace
from support.label_studio import TestServer
from support.labelling_world import ask, push, start_world, task_ids
from support.review_team import Team, result
from support.rounds_world import SECONDS, clips_only, extracted_again, labels, open_round, say, square, track

DOG = track("dog_1", {second: square(2, 3) for second in range(3)}, [(0, 3)])
WIDER = track("dog_1", {second: square(2, 3, 12) for second in range(3)}, [(0, 3)])
EXPORT = ["export", "--format", "coco", "--split", "50/50", "--include", "draft", "--dry-run"]


def paint(workspace: Workspace, clip_id: str, colour: str) -> None:
    """The stills are made again, and are others."""
    Image.new("RGB", (48, 32), colour).save(workspace.frame(clip_id, 1))
    extracted_again(workspace, clip_id)


def refused(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The clips whose labels the export does not take for that reason."""
    capsys.readouterr()
    code = main(EXPORT)
    said = capsys.readouterr().err
    found = sorted({line.split(":")[0].split()[-1] for line in said.splitlines() if "other stills" in line})
    assert code == (3 if found else 0), said
    return found


ORDERS = [
    "extract pull",
    "pull extract force",
    "pull extract note pull",
    "extract note pull force",
    "pull note extract force note pull",
]


@pytest.mark.slow
@pytest.mark.parametrize("order", ORDERS)
def test_no_order_of_commands_publishes_old_masks_on_new_stills(
    label_studio: TestServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], order: str
) -> None:
    workspace, client = start_world(label_studio, "stills", num_clips=2), label_studio.client()
    monkeypatch.chdir(workspace.root)
    push(workspace)
    task_id = task_ids(client, workspace)["c1"]
    annotation = client.annotate(task_id, result([DOG], "done"))
    for number, step in enumerate(order.split()):
        if step == "extract":
            paint(workspace, "c1", "red")
        elif step == "note":
            said = {"result": result([DOG], "done", note=f"note {number}")}
            ask(label_studio, "PATCH", f"annotations/{annotation}/", said)
        else:
            assert main(["annotate", "pull", *(["--force"] if step == "force" else [])]) == 0
    assert refused(capsys) == ["c1"]


@pytest.mark.slow
def test_what_was_confirmed_stays_so_until_something_else_is_drawn(
    label_studio: TestServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace, client = start_world(label_studio, "confirmed", num_clips=2), label_studio.client()
    monkeypatch.chdir(workspace.root)
    push(workspace)
    annotation = client.annotate(task_ids(client, workspace)["c1"], result([DOG], "done"))
    assert main(["annotate", "pull"]) == 0
    paint(workspace, "c1", "red")
    for said, asked_back in (
        (result([DOG], "done", note="a dog"), []),
        (result([WIDER], "done", note="a dog"), ["c1"]),
    ):
        assert main(["review", "confirm", "c1"]) == 0
        assert refused(capsys) == []
        ask(label_studio, "PATCH", f"annotations/{annotation}/", {"result": said})
        assert main(["annotate", "pull", "--force"]) == 0
        assert refused(capsys) == asked_back
    assert main(["review", "confirm", "c1"]) == 0
    paint(workspace, "c1", "blue")
    assert main(["annotate", "pull", "--force"]) == 0
    assert refused(capsys) == ["c1"]


@pytest.mark.slow
def test_a_review_of_old_masks_on_new_stills_is_told_and_asked_back(
    make_team: Callable[..., Team], capsys: pytest.CaptureFixture[str]
) -> None:
    team = make_team("a", "b")
    workspace, ann, rev = team.workspace, team.ann, team.rev
    assert main(["annotate", "push", "--round", "draft", "--annotators", ann.email]) == 0
    for name in "ab":
        ann.say(workspace, "draft", name, result([DOG], "done"))
    assert main(["annotate", "pull"]) == 0
    paint(workspace, "a", "red")
    assert main(["review", "start", "--reviewers", rev.email]) == 0
    assert "were made again" in rev.page(workspace, "review", "a")[0]
    assert "were made again" not in rev.page(workspace, "review", "b")[0]
    for name in "ab":
        rev.say(workspace, "review", name, result([DOG], "accept"))
    assert main(["annotate", "pull"]) == 0
    assert refused(capsys) == ["a"]
    assert main(["review", "status"]) == 0
    assert "avis-data review confirm a" in capsys.readouterr().out
    assert main(["review", "confirm", "a"]) == 0
    assert refused(capsys) == []


def test_what_was_confirmed_before_a_review_stays_so_after_it(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace = clips_only(tmp_path / "ws", "a", "b")
    monkeypatch.chdir(workspace.root)
    open_round(workspace, "draft", {"a": ["ann@example.com"], "b": ["ann@example.com"]})
    say(workspace, *(labels(name, "draft", "ann@example.com", [DOG]) for name in "ab"))
    main(EXPORT[:-1])
    before = Media.of(WorkspaceLabels(workspace).clips["a"])
    paint(workspace, "a", "red")
    paint(workspace, "b", "red")
    assert main(["review", "confirm", "a", "b"]) == 0
    open_round(workspace, "review", {"a": ["rev@example.com"], "b": ["rev@example.com"]})
    for name, tracks in (("a", [DOG]), ("b", [WIDER])):
        said = labels(name, "review", "rev@example.com", tracks, Verdict.ACCEPT)
        say(workspace, said.model_copy(update={"media": before}))
    assert main(EXPORT[:-1]) == 3
    said = capsys.readouterr().err
    assert "clip b: truth: it was made for other stills" in said and "clip a" not in said


@pytest.mark.parametrize("drawn_on", ["old", "new", "not known"])
def test_masks_of_machines_know_their_stills_too(tmp_path: Any, drawn_on: str) -> None:
    workspace = clips_only(tmp_path / "ws", "a")
    old = WorkspaceLabels(workspace).clips["a"]
    paint(workspace, "a", "red")
    new = WorkspaceLabels(workspace).clips["a"]
    frames = {"old": old.frames_sha256, "new": new.frames_sha256, "not known": None}[drawn_on]
    size = {"fps": 1.0, "num_frames": SECONDS, "height": 32, "width": 48, "frames_sha256": frames}
    write_prelabels(workspace, PreLabels(clip_id="a", tracks=(DOG,), source="propagate", **size))
    media = first_labels(WorkspaceLabels(workspace), new).media
    assert (media.frames_sha256 if media is not None else None) == frames

"""`avis-data review` and `avis-data agreement`, as a person types them, without a server."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from avis_data.annotation.agreement.adjudication import compare_rounds
from avis_data.annotation.labels.records import Assignment, ClipTask, Verdict
from avis_data.annotation.labels.store import write_pushed
from avis_data.annotation.labels.workspace_labels import WorkspaceLabels
from avis_data.annotation.work.review_plan import plan_next
from avis_data.cli.main import main
from avis_data.io import read_json
from avis_data.paths import Workspace
from support.rounds_world import clips_only, labels, open_round, say, square, track

ANN, BOB, REV = "ann@example.com", "bob@example.com", "rev@example.com"
DOG = track("dog_1", {second: square(1, 1) for second in range(6)}, [(0, 6)])
LATE = track("dog_1", {second: square(1, 1) for second in range(6)}, [(2, 6)])


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """`a` and `b` were labelled twice, `c` once."""
    workspace = clips_only(tmp_path / "ws", "a", "b", "c")
    monkeypatch.chdir(workspace.root)
    open_round(workspace, "draft", {"a": [ANN, BOB], "b": [ANN, BOB], "c": [ANN]})
    say(workspace, labels("a", "draft", ANN, [DOG], problems=2, project_id=1, note="hard to hear"))
    say(workspace, labels("a", "draft", BOB, [LATE], project_id=2))
    say(workspace, labels("b", "draft", ANN, [DOG], project_id=1), labels("b", "draft", BOB, [DOG], project_id=2))
    say(workspace, labels("c", "draft", ANN, [DOG], Verdict.UNSURE, project_id=1, note="two dogs?"))
    return workspace


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict:
    assert main([*arguments, "--json"]) == 0
    found: dict = json.loads(capsys.readouterr().out)
    return found


def test_status_says_what_waits_for_whom(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["review", "status"]) == 0
    said = capsys.readouterr().out
    assert said.splitlines()[0] == "2 to review, 1 draft" and f"waiting for {ANN}: 1 in draft" in said
    assert f"{ANN} said unsure: two dogs?" in said
    found = run(capsys, "review", "status", "--state", "to review")
    assert found["states"] == {"draft": 1, "to review": 2} and found["waiting"] == {ANN: {"draft": 1}}
    assert [clip["clip_id"] for clip in found["clips"]] == ["a", "b"] and found["clips"][0]["num_drafts"] == 2
    assert main(["review", "status", "--state", "fine"]) == 2


def test_close_is_recorded(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["review", "close", "draft"]) == 2
    assert "c waits for ann@example.com" in capsys.readouterr().err
    assert main(["review", "close", "draft", "--reason", " "]) == 2, "a reason is needed"
    assert main(["review", "close", "draft", "--reason", "ann is away"]) == 0
    kept = read_json(workspace.annotations / "draft" / "round.json")
    assert kept["close_reason"] == "ann is away" and kept["closed_at"]
    assert run(capsys_drained(capsys), "review", "status")["states"] == {"to review": 2, "unlabelled": 1}
    assert main(["review", "close", "review-9"]) == 3


def capsys_drained(capsys: pytest.CaptureFixture[str]) -> pytest.CaptureFixture[str]:
    capsys.readouterr()
    return capsys


def test_start_without_a_server_says_what_to_do(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["review", "start"]) == 5
    assert "avis-data annotate serve" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["review", "status"], ["review", "close", "draft"], ["agreement"]])
def test_a_folder_that_is_no_workspace_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2 and list(tmp_path.iterdir()) == []


def test_a_clip_that_was_labelled_twice_goes_to_a_third_with_both(workspace: Workspace) -> None:
    given = {
        item.clip_id: item for item in plan_next(WorkspaceLabels(workspace), reviewers=[ANN, REV]).assignments["review"]
    }
    assert sorted(given) == ["a", "b"] and {item.annotator for item in given.values()} == {REV}
    assert given["a"].prev_by == BOB, "the draft with fewer problems is shown"
    assert given["b"].prev_by == ANN, "of equal ones the first name"
    note = given["a"].note
    assert "Also labelled by ann@example.com (2 problem(s)), not shown: dog_1 sounds 0-6 s" in note
    assert "ann@example.com's note: hard to hear" in note and "differ in 2 of 6 sounding track-seconds" in note


def test_agreement_in_figures(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    found = run(capsys, "agreement")
    assert found["total"]["num_clips"] == 2 and list(found["rounds"]) == ["draft"]
    assert found["total"]["disagreement"] == pytest.approx(2 / 12)
    assert found["total"]["mask_iou"] == {"value": 1.0, "low": None, "high": None}
    assert [(item["clip_id"], item["disagreement"]) for item in found["queue"]] == [
        ("a", pytest.approx(1 / 3)),
        ("b", 0.0),
    ]
    assert found["annotators"][BOB]["spans"]["onset_bias_s"] == 1.0
    assert run(capsys, "agreement", "--round", "draft") == found
    assert main(["agreement", "--round", "review"]) == 3 and main(["agreement", "--round", "drft"]) == 3
    assert main(["agreement"]) == 0
    told = "a (ann@example.com, bob@example.com): 33.3 %, 2 of 6 sounding track-seconds; to review"
    assert told in capsys.readouterr().out and found["queue"][0]["state"] == "to review"


def test_a_review_is_compared_with_what_the_reviewer_found(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    given = {"prev_round": "draft", "prev_by": ANN}
    clips = {"a": [DOG], "b": [DOG], "c": []}
    WorkspaceLabels(workspace).give("review", [Assignment(clip_id=name, annotator=REV, **given) for name in clips])
    for name, tracks in clips.items():
        write_pushed(workspace, "review", ClipTask(clip_id=name, tracks=tuple(tracks)), REV)
    open_round(workspace, "review", {})
    assert main(["agreement", "--round", "review"]) == 0
    assert "0 clip(s) as people found them" in capsys.readouterr().out
    say(workspace, labels("a", "review", REV, [LATE], Verdict.FIXED))
    say(workspace, labels("b", "review", REV, [DOG], Verdict.SEND_BACK, reasons=("mask",)))
    assert main(["agreement", "--round", "review-2"]) == 3
    assert not run(capsys, "agreement")["queue"][0]["round"].startswith("review"), "not of itself: it is not blind"
    found = run(capsys, "agreement", "--round", "review")
    assert [(item["clip_id"], item["annotators"]) for item in found["queue"]] == [("a", [ANN, REV])]
    assert found["queue"][0]["disagreement"] == pytest.approx(1 / 3) and found["blind"] is False
    assert found["annotators"][REV]["spans"]["onset_bias_s"] == 2.0
    say(workspace, labels("c", "review", REV, [DOG], Verdict.FIXED))  # found empty, though its author said unsure
    assert run(capsys, "agreement", "--round", "review")["queue"][0]["clip_id"] == "c"
    assert main(["agreement", "--round", "review", "--html", "page.html"]) == 0
    assert "so not blind" in capsys.readouterr().out
    text = Path("page.html").read_text(encoding="utf-8")
    assert "They had seen it" in text and text.count("<figure>") == 2


def test_a_reviewer_who_drops_what_its_author_would_drop_agrees(workspace: Workspace) -> None:
    say(workspace, labels("c", "draft", ANN, [DOG], Verdict.DROP, project_id=1))
    item = Assignment(clip_id="c", annotator=REV, prev_round="draft", prev_by=ANN)
    WorkspaceLabels(workspace).give("review", [item])
    write_pushed(workspace, "review", ClipTask(clip_id="c", tracks=(DOG,)), REV)
    say(workspace, labels("c", "review", REV, [DOG], Verdict.DROP))
    assert [item.disagreement for item in compare_rounds(WorkspaceLabels(workspace), "review")] == [0.0]


class Page(HTMLParser):
    """Tags, and everything that could load something."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "action", "srcset")]
        assert not any(name.startswith("on") for name, _ in attrs)


def test_the_page_loads_nothing_and_escapes_what_people_wrote(workspace: Workspace) -> None:
    evil = "<script>alert(1)</script>@example.com"
    open_round(workspace, "draft", {"c": [ANN, evil]})
    bad = track("dog_1", {0: square(30, 9)}, [(0, 1)]).model_copy(update={"identity": "<img src=x onerror=alert(2)>"})
    say(workspace, labels("c", "draft", ANN, [DOG]), labels("c", "draft", evil, [bad]))
    assert main(["agreement", "--html", "pages/agreement.html"]) == 0
    text = (workspace.root / "pages" / "agreement.html").read_text(encoding="utf-8")
    page = Page()
    page.feed(text)
    assert page.links == [] and not page.tags & {"script", "img", "link", "iframe"}
    assert "&lt;script&gt;" in text and "default-src 'none'" in text and not re.search(r"url\(", text)
    assert text.count("<figure>") == 2, "one drawing for each clip on which people differ"
    assert main(["agreement", "--html", str(workspace.root)]) == 2


def test_a_page_without_any_comparison(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clips_only(tmp_path / "ws", "a")
    monkeypatch.chdir(tmp_path / "ws")
    assert main(["agreement", "--html", "page.html"]) == 0
    assert "No clip was labelled by two people yet" in Path("page.html").read_text(encoding="utf-8")

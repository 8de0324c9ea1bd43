"""`avis-data problems`: everything that needs a look is in it, the worst first, and no text of the data is markup."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path

import pytest

from avis_data.annotation.labels.records import ClipProblem, Flag, PreLabels, Verdict
from avis_data.annotation.labels.store import write_prelabels
from avis_data.annotation.labelstudio.settings import ServerSettings, write_settings
from avis_data.annotation.problems.collect import read_predicted
from avis_data.cli.main import main
from avis_data.masks.rle import encode
from avis_data.paths import Workspace
from support.rounds_world import SECONDS, clips_only, labels, open_round, say, square, track

ANN, BOB = "ann@example.com", "bob@example.com"
EVIL = '<img src=x onerror="alert(1)"><script>alert(2)</script>'
DOG = track("dog_1", {second: square(2 + second, 2) for second in range(SECONDS)}, [(0, SECONDS)])
JUMP = track("dog_1", {second: square(2 if second != 3 else 36, 2) for second in range(SECONDS)}, [(0, SECONDS)])


class Tags(HTMLParser):
    """Every tag with its attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    workspace = clips_only(tmp_path / "ws", "a", "b", "c", "d")
    open_round(workspace, "draft", {"a": [ANN, BOB], "b": [ANN], "c": [ANN], "d": [ANN]})
    bad = ClipProblem(kind="bad_mask", identity=EVIL, frame=1, message=f"left out: {EVIL}")
    small = ClipProblem(kind="speck", identity="dog_1", frame=2, message="a mask of 3 pixel(s)")
    said = labels("b", "draft", ANN, [DOG], project_id=7).model_copy(update={"problems": (small, bad)})
    say(
        workspace,
        labels("a", "draft", ANN, [DOG]),
        labels("a", "draft", BOB, [track("cat_1", {0: square(9, 9)}, [(0, 1)])]),
    )
    say(workspace, said, labels("c", "draft", ANN, [JUMP], Verdict.UNSURE, note=EVIL))
    flag = Flag(frame=4, identity="dog_1", reason="lost", message=f"lost {EVIL}")
    size = {"fps": 1.0, "num_frames": SECONDS, "height": 32, "width": 48}
    write_prelabels(workspace, PreLabels(clip_id="d", tracks=(DOG,), flags=(flag,), source="propagate", **size))
    monkeypatch.chdir(workspace.root)
    return workspace


def listed(capsys: pytest.CaptureFixture[str], *more: str) -> list[dict[str, object]]:
    capsys.readouterr()
    assert main(["problems", "--json", *more]) == 0
    found: list[dict[str, object]] = json.loads(capsys.readouterr().out)["problems"]
    return found


def test_all_sources_in_one_list_the_worst_first(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    write_settings(workspace, ServerSettings(url="http://127.0.0.1:8080/", clips_folder="x"))
    found = listed(capsys)
    assert {item["source"] for item in found} == {"problem", "flag", "disagreement", "remark", "label error"}
    severities = [float(str(item["severity"])) for item in found]
    assert severities == sorted(severities, reverse=True) and all(0 <= value <= 1 for value in severities)
    kinds = [item["kind"] for item in found if item["clip_id"] == "b" and item["source"] == "problem"]
    assert kinds == ["bad_mask", "speck"]
    (speck,) = [item for item in found if item["kind"] == "speck"]
    assert speck["task"] == "http://127.0.0.1:8080/projects/7/data?task=1" and speck["still"] == 2
    (error,) = [item for item in found if item["source"] == "label error"]
    assert error["clip_id"] == "c" and error["still"] in (3, 4)
    (unsure,) = [item for item in found if item["source"] == "remark"]
    assert unsure["clip_id"] == "c" and "unsure" in str(unsure["message"])
    assert [item["clip_id"] for item in listed(capsys, "--clips", "d")] == ["d"]


@pytest.mark.parametrize("url", ["http://127.0.0.1:8080", "javascript:alert(1)//", 'http://x/"onmouseover="alert(1)'])
def test_no_text_of_the_data_is_markup(workspace: Workspace, url: str, tmp_path: Path) -> None:
    write_settings(workspace, ServerSettings(url=url, clips_folder="x"))
    page = tmp_path / "problems.html"
    assert main(["problems", "--html", str(page)]) == 0
    said = page.read_text()
    tags = Tags(said).found
    assert "script" not in {tag for tag, _ in tags} and EVIL not in said and "alert(1)" in said
    for tag, values in tags:
        assert not [name for name in values if name.startswith("on")], (tag, values)
        assert str(values.get("src") or "data:").startswith("data:")
        assert not str(values.get("href") or "").lower().startswith("javascript")
    articles = [tag for tag, _ in tags if tag == "article"]
    pictures = [values for tag, values in tags if tag == "img"]
    assert len(pictures) == len(articles) > 5, "each with its still"
    assert ("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}) in tags


def test_a_still_that_is_gone_costs_its_picture_only(workspace: Workspace, tmp_path: Path) -> None:
    for still in (1, 2):
        workspace.frame("b", still).write_bytes(b"no picture")
    page = tmp_path / "problems.html"
    assert main(["problems", "--html", str(page)]) == 0
    assert "no picture" in page.read_text() and "a mask of 3 pixel(s)" in page.read_text()


def test_a_model_that_disagrees_names_the_track(
    workspace: Workspace, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Its results are matched by the name of the video, which is the clip."""
    export = tmp_path / "export"
    export.mkdir()
    videos = [
        {"id": n, "width": 48, "height": 32, "length": SECONDS, "file_names": [f"{c}/{s}.jpg" for s in range(SECONDS)]}
        for n, c in enumerate("abcd", start=1)
    ]
    categories = [{"id": 1, "name": "dog"}, {"id": 2, "name": "cat"}]
    truth = {"videos": videos, "categories": categories, "annotations": []}
    (export / "test.json").write_text(json.dumps(truth))
    mask = [{"size": [32, 48], "counts": encode(square(2 + second, 2)).counts} for second in range(SECONDS)]
    results = tmp_path / "results.json"
    results.write_text(json.dumps([{"video_id": 2, "category_id": 2, "score": 0.9, "segmentations": mask}]))
    (said,) = read_predicted(export / "test.json", results)["b"]
    assert said.category == "cat" and sorted(said.masks) == list(range(SECONDS))
    say(workspace, labels("c", "draft", ANN, [DOG]), labels("b", "draft", ANN, [DOG]))
    found = listed(capsys, "--pred", str(results), "--data", str(export))
    (error,) = [item for item in found if item["source"] == "label error"]
    assert error["clip_id"] == "b" and "another category for the model" in str(error["message"])
    assert main(["problems", "--pred", str(results)]) == 2

"""What was made by another recipe or from other inputs is not done: `status` counts it as to do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from avis_data.cli.main import main
from avis_data.errors import Reason
from avis_data.ledger import Done, Failed, Ledger, MeanCost, Output
from avis_data.paths import Workspace
from avis_data.pipelines.stages.adopt import AdoptedVideo
from avis_data.pipelines.status import StageStatus, workspace_status
from avis_data.recipe import Recipe, load_recipe
from support.fake_workspace import FakeClip, make_workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return make_workspace(tmp_path / "ws", [FakeClip(clip_id=f"c{index}", video_id=f"v{index}") for index in range(4)])


def numbers(workspace: Workspace, recipe: Recipe | None = None) -> dict[str, tuple[int, int, int]]:
    """By stage: done, stale, to do."""
    with Ledger(workspace.ledger, read_only=True) as ledger:
        found: list[StageStatus] = workspace_status(ledger, recipe or load_recipe(workspace))
    return {status.stage: (status.done, status.stale, status.to_do) for status in found}


def test_what_is_current_is_done(workspace: Workspace) -> None:
    assert numbers(workspace) == {"fetch": (4, 0, 0), "extract": (4, 0, 0), "embed": (4, 0, 0)}


def test_another_recipe_makes_it_stale(workspace: Workspace) -> None:
    recipe = load_recipe(workspace)
    other = recipe.model_copy(update={"extract": recipe.extract.model_copy(update={"frame_at": "end"})})
    assert numbers(workspace, other)["extract"] == (0, 4, 4)
    assert numbers(workspace, other)["embed"] == (4, 0, 0)  # its sound is there and is the same until extraction


def test_embeddings_of_other_sound_are_stale(workspace: Workspace) -> None:
    with Ledger(workspace.ledger) as ledger:
        entry = ledger.entries("extract")["c1"]
        outputs = [output._replace(sha256="a" * 64) for output in entry.outputs()]
        facts = json.loads(dict(ledger.facts("extract"))["c1"])
        ledger.commit_done(
            "extract",
            Done(item_id="c1", key=entry.key, facts=facts, inputs={}, outputs=outputs, wall_s=1.0, cpu_s=1.0),
        )
    assert numbers(workspace)["extract"] == (4, 0, 0) and numbers(workspace)["embed"] == (3, 1, 1)


def test_a_clip_whose_source_was_lost_is_not_done(workspace: Workspace) -> None:
    with Ledger(workspace.ledger) as ledger:
        ledger.commit_failed("fetch", Failed(item_id="v3", key="k", reason=Reason.REMOVED, message="gone"))
    assert numbers(workspace)["fetch"] == (3, 0, 0) and numbers(workspace)["extract"] == (3, 1, 1)


@pytest.mark.parametrize(
    ("sound", "missing_sound", "current"),
    [("complete", "fail", 1), ("silent", "fail", 1), ("short", "fail", 0), ("none", "fail", 0), ("none", "pad", 1)],
)
def test_adopted_sound_that_the_recipe_takes_no_more_is_stale(
    workspace: Workspace, sound: str, missing_sound: str, current: int
) -> None:
    with Ledger(workspace.ledger) as ledger:
        ledger.adopt([("of_a_set", AdoptedVideo(name="of_a_set").model_dump_json())])
        facts = {
            "start_s": 0.0,
            "num_seconds": 3,
            "fps": 1.0,
            "num_frames": 3,
            "width": 48,
            "height": 32,
            "frame_at": None,
            "sound": sound,
        }
        facts |= {"source_sha256": "b" * 64, "source_bytes": 7, "adopted_on": "2026-01-02"}
        audio = Output(path="clips/of_a_set/audio.wav", sha256="a" * 64, size_bytes=1)
        done = Done(item_id="of_a_set", key="k", facts=facts, inputs={}, outputs=[audio], wall_s=1.0, cpu_s=1.0)
        ledger.commit_done("adopt", done)
    recipe = load_recipe(workspace)
    recipe = recipe.model_copy(update={"extract": recipe.extract.model_copy(update={"missing_sound": missing_sound})})
    with Ledger(workspace.ledger, read_only=True) as ledger:
        (status,) = [status for status in workspace_status(ledger, recipe) if status.stage == "adopt"]
    assert (status.done, status.stale, status.to_do) == (current, 1 - current, 1 - current)


def test_the_command_shows_it_and_changes_nothing(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(workspace.root)
    text = workspace.recipe.read_text()
    workspace.recipe.write_text(text.replace("frame_at: mid", "frame_at: start"))
    assert workspace.recipe.read_text() != text
    before = {path: path.stat().st_mtime_ns for path in workspace.root.rglob("*")}
    assert main(["status", "--json"]) == 0
    stages = {stage["stage"]: stage for stage in json.loads(capsys.readouterr().out)["stages"]}
    assert (stages["extract"]["done"], stages["extract"]["stale"], stages["extract"]["to_do"]) == (0, 4, 4)
    assert main(["status"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0][:4] == ["stage", "done", "stale", "failed"]
    assert ["extract", "0", "4", "0", "4"] in [line[:5] for line in lines]
    assert {path: path.stat().st_mtime_ns for path in workspace.root.rglob("*")} == before


def test_clips_with_names_like_parts_are_no_parts(tmp_path: Path) -> None:
    """`part-x` of an older list must not count as an item of a stage of clips; what parts cost is known too."""
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        for stage, name in (("extract", "part-x"), ("extract", "a"), ("pack", "part-0"), ("pack", "part-f")):
            done = Done(item_id=name, key="k", facts={}, inputs={}, outputs=[], wall_s=1.0, cpu_s=1.0)
            ledger.commit_done(stage, done)
        ledger.replace_wanted(["v"], [("a", "{}")])
        assert [count.count for count in ledger.tallies.counts(ledger.tallies.unlisted())] == [1]
        assert ledger.tallies.mean_cost("pack") == MeanCost(wall_s=1.0, size_bytes=0.0)

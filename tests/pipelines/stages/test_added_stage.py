"""Adding a stage takes its file, its line in the registry and its test: everything else follows from its spec."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import loudness_stage
import pytest
from click.testing import CliRunner

from avis_data.cli.commands import cli
from avis_data.cli.main import main
from avis_data.errors import ConfigError
from avis_data.ledger import Ledger
from avis_data.paths import Workspace
from avis_data.pipelines.engine.executors.local import LocalExecutors
from avis_data.pipelines.engine.spec import Choices
from avis_data.pipelines.stages import STAGES
from avis_data.pipelines.status import workspace_status
from avis_data.pipelines.steps import StepRequest, do_steps, plan_steps, usual_steps
from avis_data.recipe import load_recipe
from support.fake_workspace import FakeClip, make_workspace


@pytest.fixture(autouse=True)
def added() -> Iterator[None]:
    with STAGES.with_added(loudness_stage.SPEC):
        yield


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    clips = [FakeClip(clip_id=f"c{index}", video_id="v") for index in range(3)]
    made = make_workspace(tmp_path / "ws", clips)
    monkeypatch.chdir(made.root)
    return made


def answer(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> dict[str, Any]:
    capsys.readouterr()
    assert main([*arguments, "--json"]) == code
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_it_is_planned_done_skipped_retried_and_shown(
    workspace: Workspace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def shown() -> dict[str, dict[str, Any]]:
        return {stage["stage"]: stage for stage in answer(capsys, "status")["stages"]}

    assert list(shown()) == ["fetch", "extract", "embed"]
    (plan,) = answer(capsys, "loudness", "--dry-run")["stages"]
    assert (plan["stage"], plan["to_do"], plan["waiting"]) == ("loudness", 3, 0)

    monkeypatch.setenv(loudness_stage.FAILS, "c1")
    (first,) = answer(capsys, "loudness", code=4)["stages"]
    assert (first["done"], first["failed"]) == (2, {"timeout": 1})
    assert json.loads((workspace.clip_dir("c0") / "loudness.json").read_text())["loudness"] > 0.1
    row = shown()["loudness"]
    assert (row["wanted"], row["done"], row["failed"], row["to_do"]) == (3, 2, {"timeout": 1}, 0)
    assert [item["message"] for item in answer(capsys, "status")["failed_items"]] == ["c1: no luck"]

    monkeypatch.delenv(loudness_stage.FAILS)
    (second,) = answer(capsys, "loudness", code=4)["stages"]
    assert (second["planned"], second["already_done"], second["failed_before"]) == (0, 2, {"timeout": 1})
    (third,) = answer(capsys, "loudness", "--retry-failed")["stages"]
    assert (third["done"], third["already_done"]) == (1, 2)
    assert (shown()["loudness"]["done"], shown()["loudness"]["stale"]) == (3, 0)


def test_its_parameters_may_be_chosen_and_key_its_results(workspace: Workspace) -> None:
    choices = Choices(loudness_stage.LoudnessParams(measure="peak"))
    request = StepRequest(steps=["loudness"], executors=lambda _: LocalExecutors(workers=1), choices=choices)
    recipe = load_recipe(workspace)
    (report,) = do_steps(workspace, recipe, request, command="test")
    assert report.done == 3 and plan_steps(workspace, recipe, request)[0].num_done == 3
    with Ledger(workspace.ledger, read_only=True) as ledger:
        (status,) = [status for status in workspace_status(ledger, recipe) if status.stage == "loudness"]
    assert (status.done, status.stale, status.to_do) == (0, 3, 3)  # usually it is measured otherwise


def test_it_has_a_command_and_run_may_take_it_in() -> None:
    shown = CliRunner().invoke(cli, ["--help"]).output
    assert "loudness" in shown and "adopt" not in shown.split()
    text = CliRunner().invoke(cli, ["loudness", "--help"]).output
    assert "Measure how loud the clips are." in text and "(2)" in text and "--retry-failed" in text
    assert usual_steps() == ["fetch", "extract", "embed"]
    assert usual_steps(also=["loudness", "preview"]) == ["fetch", "extract", "preview", "embed", "loudness"]
    with STAGES.with_added(replace(loudness_stage.SPEC, name="loudness2", usual=True)):
        assert usual_steps() == ["fetch", "extract", "embed", "loudness2"]


def test_a_stage_of_another_command_and_one_that_is_not_there_are_refused(workspace: Workspace) -> None:
    for name, words in (("adopt", "another command"), ("loudnes", "did you mean 'loudness'")):
        request = StepRequest(steps=[name], executors=lambda _: LocalExecutors(workers=1))
        with pytest.raises(ConfigError, match=words):
            plan_steps(workspace, load_recipe(workspace), request)


@pytest.mark.parametrize("name", STAGES.names())
def test_specs_fit_their_place_and_their_command(name: str) -> None:
    spec = STAGES[name]
    names = STAGES.names()
    assert spec.name == name and all(names.index(before) < names.index(name) for before in spec.after)
    command = cli.get_command(click.Context(cli), name)
    assert (command is None) == (spec.items is None)
    if command is not None:
        (workers,) = [option for option in command.params if option.name == "workers"]
        assert isinstance(workers, click.Option) and workers.show_default == str(spec.workers or "all cores")

"""`--init auto` and names of the table of weights: what they lead to, and what they say where nothing is there."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from avis_data.errors import ConfigError, DataError, ToolError
from avis_data.training.checkpoints.start_weights import start_file
from avis_data.training.config import load_config, shipped_configs
from avis_data.weights import register
from avis_data.weights.known import known_by_name
from support.tiny_training import in_process

FROM_A_RUN = {"afcv_r50": "its recipe starts from a CrossVIS of yours"}


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AVIS_DATA_HOME", str(tmp_path / "home"))


@pytest.mark.parametrize("name", shipped_configs())
def test_every_recipe_names_weights_of_the_table_that_its_backbone_can_take(name: str) -> None:
    config = load_config(name)
    if name in FROM_A_RUN or name.endswith("_tiny"):
        with pytest.raises(ConfigError, match="names no weights"):
            start_file(Path("auto"), config)
        return
    assert config.start_weights is not None
    known = known_by_name(config.start_weights)
    assert known is not None and known.kind == "backbone"
    with pytest.raises(ToolError, match=f"the weights {known.name} are not here") as caught:
        start_file(Path("auto"), config)
    assert caught.value.hint == f"avis-data weights get {known.name}"


def test_auto_is_the_file_that_was_fetched_and_a_name_any_other(tmp_path: Path) -> None:
    path = tmp_path / "mine.pth"
    torch.save({"conv1.weight": torch.zeros(1)}, path)
    register(path, "resnet50")
    config = load_config("avism_r50")
    assert start_file(Path("auto"), config) == start_file(Path("resnet50"), config) == path
    assert start_file(path, config) == path
    with pytest.raises(ToolError, match="weights get swin-l"):
        start_file(Path("swin-l"), config)
    with pytest.raises(DataError, match="no such file"):
        start_file(tmp_path / "none.pth", config)
    changed = load_config("avism_r50", ["start_weights=mask2former-r50"])
    with pytest.raises(ToolError, match="weights get mask2former-r50"):
        start_file(Path("auto"), changed)


def test_train_baseline_names_the_command_before_anything_is_made(
    world_export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["train-baseline", "--data", world_export, "--out", tmp_path / "run", "--device", "cpu", "--init", "auto"]
    ran = in_process(capsys, *command, "--config", "avism_r50")
    assert ran.code == 5 and "hint: avis-data weights get resnet50" in ran.err
    assert not (tmp_path / "run").exists()

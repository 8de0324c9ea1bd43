"""A figure that a test adds is validated, logged, shown in the report's curves, and may choose the best weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from avis_data.errors import ConfigError
from avis_data.metrics import FIGURES
from avis_data.report.model import ModelFiles, model_section
from support.missed_frames import MISSED
from support.tiny_training import started, tiny_config


def test_a_run_measures_it_logs_it_and_chooses_by_it(
    world_export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ConfigError, match=r"validation.metric is Missed"):
        tiny_config("validation.metric=Missed")
    with FIGURES.with_added(MISSED):
        config = tiny_config("loop.iterations=2", "validation.every=1", "validation.metric=Missed")
        trainer = started(config, world_export, tmp_path / "run")
        trainer.run()
        page = model_section(ModelFiles(run=tmp_path / "run"))
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    found = [line["validation"]["strict"]["Missed"] for line in lines if "validation" in line]
    assert len(found) == 2 and all(0 <= value <= 1 for value in found)
    assert f"Missed {100 * found[-1]:.1f}" in capsys.readouterr().err
    assert trainer.state.best_score == -min(found), "fewer is better"
    assert "Missed on val (strict)" in page

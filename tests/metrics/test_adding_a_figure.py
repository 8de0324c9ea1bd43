"""A figure that a test adds is shown wherever the figures that ship are; in training: tests/training/run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from avis_data.cli.main import main
from avis_data.metrics import FIGURES, evaluate_files
from avis_data.report.model import ModelFiles, model_section
from support.metric_world import random_world, with_predictions, write_files
from support.missed_frames import MISSED

WORLD = with_predictions(random_world(np.random.default_rng(3), videos=12), lambda item: item.predictions[:1])


@pytest.fixture(autouse=True)
def added() -> Iterator[None]:
    with FIGURES.with_added(MISSED):
        yield


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    return write_files(tmp_path, WORLD)


def missed_by_hand() -> float:
    """By sets of frames instead of sums."""
    heard, seen = (
        {
            (video.name, t)
            for video in WORLD
            for track in (video.truth if side == "truth" else video.predictions)
            for t, mask in enumerate(track.masks)
            if mask is not None and np.any(mask)
        }
        for side in ("truth", "predictions")
    )
    assert heard and heard - seen
    return len(heard - seen) / len(heard)


def test_evaluate_shows_it_in_json_in_the_table_with_an_interval_and_for_each_video(
    files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["evaluate", "--truth", str(files[0]), "--pred", str(files[1]), "--bootstrap", "50"]
    assert main([*given, "--per-video", str(tmp_path / "videos.parquet"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["strict"]["Missed"] == pytest.approx(missed_by_hand())
    low, high = found["strict"]["intervals"]["Missed"]
    assert 0 <= low <= found["strict"]["Missed"] <= high <= 1 and low < high
    assert "Missed" not in found["aviseg_compat"], "it is defined in strict alone"
    assert main(given) == 0
    (row,) = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("Missed")]
    assert row[:3] == ["Missed", "-", f"{100 * missed_by_hand():.2f}"]
    videos = pd.read_parquet(tmp_path / "videos.parquet")
    assert videos[videos["mode"] == "strict"]["Missed"].notna().any()


def test_compare_says_that_fewer_is_better(
    files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "none.json").write_text("[]")
    given = [str(files[1]), str(tmp_path / "none.json"), "--truth", str(files[0]), "--mode", "strict"]
    assert main(["compare", *given, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["strict"]["Missed"]
    assert found["b"] == 1.0 and found["difference"] == pytest.approx(1 - missed_by_hand())
    assert found["verdict"] == "A is better"
    assert main(["compare", *given]) == 0
    assert "Missed" in capsys.readouterr().out


def test_the_report_shows_it(files: tuple[Path, Path]) -> None:
    page = model_section(ModelFiles(truth=files[0], predictions=files[1]))
    assert f"<td>Missed</td><td>{100 * missed_by_hand():.2f}</td><td>-</td>" in page


def test_a_figure_that_ships_elsewhere_goes_to_worker_processes(files: tuple[Path, Path]) -> None:
    one, two = (evaluate_files(*files, modes=["strict"], workers=number).result.strict for number in (1, 2))
    assert one is not None and two is not None and one.figures == two.figures and "Missed" in one.figures

"""`avis-data evaluate` and `avis-data compare` as they are typed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd
import pytest

import avis_data.metrics
from avis_data.cli import evaluate_command
from avis_data.cli.main import main
from avis_data.metrics import Mode, Variant, evaluate_files
from support.metric_world import perfect, pred_json, random_world, write_files
from support.places import ROOT

DOCUMENT = ROOT / "docs" / "metrics.md"
WORLD = random_world(np.random.default_rng(5), videos=5)


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    return write_files(tmp_path, WORLD)


def run(files: tuple[Path, Path], *arguments: str) -> int:
    return main(["evaluate", "--truth", str(files[0]), "--pred", str(files[1]), *arguments])


def test_table_shows_both_modes_in_percent_and_says_what_they_mean(
    files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(files) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["metric,", "%", "aviseg_compat", "strict"]
    figures = evaluate_files(*files, modes=[Mode.COMPAT, Mode.STRICT]).result.as_dict()
    row = next(line for line in lines if line.startswith("HOTA"))
    assert row.split()[1:] == [f"{100 * figures[mode]['HOTA']:.2f}" for mode in (Mode.COMPAT, Mode.STRICT)]
    assert any(line.startswith("aviseg_compat: what the public") for line in lines)
    assert any(line.startswith("strict: what the papers") for line in lines)


def test_json_on_stdout_is_one_object_of_fractions_with_the_names_of_the_cases(
    files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(files, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found) == ["aviseg_compat", "strict", "meta"]
    names = "AP_all AP50 AP75 AR_all HOTA DetA AssA DetRe DetPr AssRe AssPr LocA OWTA FSLA FSLAn FSLAs FSLAm".split()
    for mode in ("aviseg_compat", "strict"):
        assert all(found[mode][name] is None or 0 <= found[mode][name] <= 1 for name in names)
        assert len(found[mode]["HOTA_per_alpha"]) == 19
        assert len(found[mode]["AP_per_iou"]) == 10
    assert found["meta"]["num_videos"] == 5
    assert found["meta"]["predictions"]["file"] == "pred.json"


@pytest.mark.parametrize(
    ("mode", "keys"),
    [
        ("aviseg_compat", ["aviseg_compat", "meta"]),
        ("strict", ["strict", "meta"]),
        ("ytvis", ["ytvis", "meta"]),
        ("all", ["aviseg_compat", "strict", "ytvis", "meta"]),
    ],
)
def test_modes_are_chosen(
    mode: str, keys: list[str], files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(files, "--mode", mode, "--out", str(tmp_path / "out.json")) == 0
    assert list(json.loads((tmp_path / "out.json").read_text())) == keys
    assert capsys.readouterr().out


def test_number_of_workers_changes_nothing(files: tuple[Path, Path]) -> None:
    modes = [Mode.COMPAT, Mode.STRICT, Mode.YTVIS]
    one, two = (evaluate_files(*files, modes=modes, workers=workers).result.as_dict() for workers in (1, 2))
    assert one == two


def test_variants_change_compat_and_are_named(files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    plain = evaluate_files(*files, modes=[Mode.COMPAT]).result.as_dict()["aviseg_compat"]
    assert run(files, "--variant", "empty_as_null", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["aviseg_compat"]["HOTA"] > plain["HOTA"]
    assert found["meta"]["variants"] == ["empty_as_null"]
    assert run(files, "--variant", "empty_as_null", "--mode", "strict") == 2
    assert "aviseg_compat" in capsys.readouterr().err


def test_per_video_rows_hold_each_video_alone(files: tuple[Path, Path], tmp_path: Path) -> None:
    assert run(files, "--per-video", str(tmp_path / "videos.parquet")) == 0
    rows = pd.read_parquet(tmp_path / "videos.parquet")
    assert len(rows) == 2 * len(WORLD)
    row = rows[(rows["mode"] == "strict") & (rows["video"] == WORLD[0].name)].iloc[0]
    (tmp_path / "one").mkdir()
    alone = evaluate_files(*write_files(tmp_path / "one", WORLD[:1]), modes=[Mode.STRICT]).result.strict
    assert alone is not None
    assert (row["FSLA"], row["HOTA"]) == (alone.figures["FSLA"], alone.figures["HOTA"])
    assert row["num_truth"] == len(WORLD[0].truth)


def test_intervals_are_printed_and_follow_the_seed(
    files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    found = []
    for seed in ("1", "1", "2"):
        assert run(files, "--bootstrap", "50", "--seed", seed, "--json") == 0
        found.append(json.loads(capsys.readouterr().out)["strict"]["intervals"])
    low, high = found[0]["HOTA"]
    assert 0 <= low < high <= 1
    assert found[0] == found[1] != found[2]
    assert run(files, "--bootstrap", "50") == 0
    assert "[" in capsys.readouterr().out


def test_errors_are_written_and_need_the_strict_mode(
    files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(files, "--errors", str(tmp_path / "errors"), "--json") == 0
    missing = 1 - json.loads(capsys.readouterr().out)["strict"]["FSLA"]
    assert pd.read_parquet(tmp_path / "errors" / "summary.parquet")["missing"].sum() == pytest.approx(missing)
    assert run(files, "--errors", str(tmp_path / "e"), "--mode", "aviseg_compat") == 2


def test_bad_input_ends_with_3_and_lenient_counts_what_it_leaves_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    truth, predictions = write_files(tmp_path, WORLD)
    entries: list[Any] = pred_json(WORLD)
    entries[1]["score"] = float("nan")
    predictions.write_text(json.dumps(entries))
    assert run((truth, predictions)) == 3
    shown = capsys.readouterr()
    assert "pred.json: [1]: score: must be a finite number" in shown.err
    assert "--lenient" in shown.err
    assert "Traceback" not in shown.err
    assert run((truth, predictions), "--lenient") == 0
    assert "left out: 1 bad entries" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments", [["--task", "avs", "--workers", "2"], ["--classes", "3"], ["--task", "avs", "--mode", "strict"]]
)
def test_options_that_would_do_nothing_are_refused(
    arguments: list[str], files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(files, *arguments) == 2
    assert "goes with --task" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--out", "--per-video", "--errors"])
def test_places_that_cannot_be_written_are_named(
    option: str, files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(files, option, str(files[0] / "x")) == 2  # below a file
    assert "cannot be written" in capsys.readouterr().err


def test_compare_says_which_is_better(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    world = random_world(np.random.default_rng(7), videos=12)
    truth, noisy = write_files(tmp_path, world)
    exact = tmp_path / "exact.json"
    exact.write_text(json.dumps(pred_json(perfect(world))))
    arguments = ["compare", str(noisy), str(exact), "--truth", str(truth), "--bootstrap", "100"]
    assert main(arguments) == 0
    shown = capsys.readouterr().out
    assert "B is better" in shown
    assert main([*arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    hota = found["strict"]["HOTA"]
    assert hota["verdict"] == "B is better"
    assert hota["b"] == 1.0
    assert hota["low"] <= hota["difference"] <= hota["high"]
    assert hota["p_value"] < 0.05


def test_every_variant_can_be_chosen_and_is_documented() -> None:
    choices = next(option.type for option in evaluate_command.command.params if option.name == "variants")
    assert isinstance(choices, click.Choice)
    assert list(choices.choices) == [str(variant) for variant in Variant]
    text = DOCUMENT.read_text(encoding="utf-8")
    assert all(f"`{variant}`" in text for variant in Variant)


def test_the_example_of_the_document_runs() -> None:
    example = DOCUMENT.read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    names: dict[str, Any] = {}
    exec(compile(example, str(DOCUMENT), "exec"), names)
    assert names["result"].strict.figures["FSLA"] == 1.0


def test_every_public_name_can_be_imported() -> None:
    assert all(getattr(avis_data.metrics, name) is not None for name in avis_data.metrics.__all__)
    assert sorted(avis_data.metrics.__all__) == dir(avis_data.metrics)

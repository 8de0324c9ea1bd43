"""The recipe "add a model" of CONTRIBUTING.md: a folder with a spec, a line in the registry, a config. Nothing else.

The folder is this one, the line is `with_added`, the config is patchwork.yaml.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import patchwork
import pytest

from avis_data.training.registry import MODELS
from support.tiny_training import in_process

CONFIG = Path(__file__).with_name("patchwork.yaml")


@pytest.fixture(autouse=True)
def added() -> Iterator[None]:
    with MODELS.with_added(patchwork.SPEC):
        yield


def test_it_trains_predicts_and_is_evaluated(
    world_export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, results = tmp_path / "run", tmp_path / "results.json"
    ran = in_process(
        capsys,
        *("train-baseline", "--data", world_export, "--config", CONFIG, "--out", run, "--device", "cpu", "--json"),
    )
    assert ran.code == 0, ran.err
    assert json.loads(ran.out)["iteration"] == 2 and (run / "best.safetensors").is_file()
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert lines[0]["losses"].keys() == {"mask", "class"} and "HOTA" in lines[-1]["validation"]["strict"]
    ran = in_process(
        capsys, "predict", "--checkpoint", run, "--data", world_export, "--out", results, "--device", "cpu", "--json"
    )
    assert ran.code == 0, ran.err
    assert json.loads(ran.out) == {"out": str(results), "clips": 2, "tracks": 2, "silent_clips": 0}
    ran = in_process(capsys, "evaluate", "--truth", world_export / "test.json", "--pred", results, "--json")
    assert ran.code == 0, ran.err


def test_what_holds_for_every_model_holds_for_it(
    world_export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train = ("train-baseline", "--data", world_export, "--config", CONFIG, "--out", tmp_path / "run")
    ran = in_process(capsys, *train, "--set", "model.chanels=2", "--set", "data.frames=null")
    assert ran.code == 3 and "model.chanels: unknown key" in ran.err
    ran = in_process(capsys, *train, "--set", "validation.metric=mIoU")
    assert ran.code == 2 and "--set validation.metric=mAP" in ran.err
    ran = in_process(
        capsys, "benchmark-model", "--config", CONFIG, "--num-frames", 2, "--repeats", 1, "--device", "cpu", "--json"
    )
    assert ran.code == 0 and json.loads(ran.out)["model"] == "patchwork", ran.err

"""Runs: resuming to the same numbers, accumulating, several processes, interrupting, what is logged and kept."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from avis_data.training.config import config_values, load_config
from avis_data.training.run.loop import Trainer
from support.tiny_training import TINY, in_process, started, tiny_config


def losses_of(run: Path) -> dict[int, Any]:
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return {line["iteration"]: line["losses"] for line in lines if "losses" in line}


def last_weights(trainer: Trainer) -> dict[str, torch.Tensor]:
    folder = trainer.folder.last()
    assert folder is not None
    return load_file(folder / "model.safetensors")


@pytest.mark.parametrize("workers", [0, 2])
def test_a_resumed_run_has_the_losses_of_an_uninterrupted_one(world_export: Path, tmp_path: Path, workers: int) -> None:
    # Swin draws dropped paths: the random state of the main process is tried too.
    swin = "model.backbone={embed_channels: 8, depths: [1, 1, 1, 1], heads: [1, 1, 2, 2], window: 4, drop_path: 0.5}"
    settings = [swin, f"data.workers={workers}", "loop.checkpoint_every=3", "schedule.warmup=2"]
    whole = started(tiny_config("loop.iterations=6", *settings), world_export, tmp_path / "whole")
    whole.run()
    first = started(tiny_config("loop.iterations=6", *settings), world_export, tmp_path / "parts")
    ready = first._batches()
    for _ in range(3):
        first.iterate(ready)
    first._save()
    torch.manual_seed(12345)  # another process would start with another state
    second = started(tiny_config("loop.iterations=6", *settings), world_export, tmp_path / "parts", resume=True)
    second.run()
    expected, found = losses_of(tmp_path / "whole"), losses_of(tmp_path / "parts")
    assert sorted(found) == [4, 5, 6]
    assert {number: expected[number] for number in found} == found
    for name, tensor in last_weights(whole).items():
        assert torch.equal(tensor, last_weights(second)[name]), name


def test_another_seed_gives_other_losses(world_export: Path, tmp_path: Path) -> None:
    for seed in (0, 1):
        started(tiny_config("loop.iterations=1", f"loop.seed={seed}"), world_export, tmp_path / str(seed)).run()
    assert losses_of(tmp_path / "0") != losses_of(tmp_path / "1")


def test_the_log_is_cut_back_to_the_checkpoint(world_export: Path, tmp_path: Path) -> None:
    """A killed run has logged more than it had saved; these iterations come again, and are logged once."""
    trainer = started(tiny_config("loop.iterations=4", "loop.checkpoint_every=2"), world_export, tmp_path / "run")
    trainer.run()
    log = tmp_path / "run" / "log.jsonl"
    log.write_text(log.read_text() + '{"iteration": 5, "loss": 1.0}\n{"iteration": 6, "lo')
    config = tiny_config("loop.iterations=6")
    started(config, world_export, tmp_path / "run", resume=True).run()
    assert [json.loads(line)["iteration"] for line in log.read_text().splitlines()] == [1, 2, 3, 4, 5, 6]


def test_accumulated_passes_give_the_gradient_of_their_mean(world_export: Path, tmp_path: Path) -> None:
    """Each pass alone is an oracle: its gradient is computed by itself, then averaged."""
    free = "optimiser.clip_norm=null"
    whole = started(tiny_config("loop.accumulate=2", free), world_export, tmp_path / "a")
    passes = started(tiny_config("data.batch=1", "loop.iterations=2", free), world_export, tmp_path / "b")
    ready = passes._batches()
    expected = [passes.gradients(ready), passes.gradients(ready)]
    whole.iterate(whole._batches())
    for name, parameter in whole.model.named_parameters():
        mean = (expected[0][name] + expected[1][name]) / 2
        assert parameter.grad is not None
        torch.testing.assert_close(parameter.grad, mean, rtol=1e-4, atol=1e-5)


def test_gradients_are_limited(world_export: Path, tmp_path: Path) -> None:
    trainer = started(tiny_config("optimiser.clip_norm=0.01"), world_export, tmp_path / "run")
    record = trainer.iterate(trainer._batches())
    squares = [p.grad.square().sum() for p in trainer.model.parameters() if p.grad is not None]
    assert float(record.gradient_norm) > 1 and float(torch.stack(squares).sum().sqrt()) == pytest.approx(0.01, rel=1e-3)


def test_what_a_run_leaves(trained: Path) -> None:
    lines = [json.loads(line) for line in (trained / "log.jsonl").read_text().splitlines()]
    steps = [line for line in lines if "losses" in line]
    assert [line["iteration"] for line in steps] == [1, 2, 3]
    assert all(abs(line["loss"] - sum(line["losses"].values())) < 1e-6 for line in steps)
    assert all(0 <= line["data_wait_share"] <= 1 and line["memory_mb"] > 50 for line in steps)
    figures = [line["validation"] for line in lines if "validation" in line]
    assert len(figures) == 1 and {"mAP", "HOTA", "FSLA"} < figures[0]["strict"].keys()
    assert (trained / "best.safetensors").is_file()
    assert len(list((trained / "samples").glob("0000003-*.png"))) == 2
    assert [path.name for path in (trained / "checkpoints").iterdir()] == ["0000003"]
    assert list((trained / "tensorboard").iterdir())
    config = load_config(trained / "config.yaml")
    assert config_values(config)["model"]["frame_queries"] == 4 and config.loop.iterations == 3


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_bar_shows_losses_speed_waiting_and_memory(
    world_export: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = started(tiny_config("loop.iterations=2", "loop.log_every=1"), world_export, tmp_path / "run")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "250")
    trainer.run()
    last = re.split(r"[\r\n]+", terminal.getvalue().strip())[-1]
    shown = dict(part.split("=") for part in re.findall(r"[\w/]+=\s*[\d.]+", last.replace("= ", "=")))
    assert set(shown) == {"loss", "s/it", "data", "mem", "class", "mask", "dice", "similarity"} and "2/2" in last
    losses = losses_of(tmp_path / "run")[2]
    for kind in ("class", "mask", "dice", "similarity"):
        of_kind = sum(value for name, value in losses.items() if name.split(".")[-1] == kind)
        assert float(shown[kind]) == pytest.approx(of_kind, abs=0.006)


def test_the_best_weights_are_those_of_the_highest_score(
    world_export: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = iter([0.2, 0.7, 0.4])
    monkeypatch.setattr(
        "avis_data.training.run.avis_task.validate_model",
        lambda *_: {"strict": {"mAP": next(scores), "HOTA": 0.0, "FSLA": 0.0}},
    )
    trainer = started(tiny_config("loop.iterations=3", "validation.every=1"), world_export, tmp_path / "run")
    ready = trainer._batches()
    weights = []
    for _ in range(3):
        trainer.iterate(ready)
        weights.append({name: tensor.clone() for name, tensor in trainer.model.state_dict().items()})
        trainer._validate(trainer.val)  # type: ignore[arg-type]
    assert (trainer.state.best_score, trainer.state.best_iteration) == (0.7, 2)
    best = load_file(trainer.folder.best)
    assert all(torch.equal(best[name], tensor) for name, tensor in weights[1].items())
    assert not all(torch.equal(best[name], tensor) for name, tensor in weights[2].items())


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_being_stopped_saves_and_resume_goes_on(
    world_export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], number: signal.Signals
) -> None:
    """Ctrl-C, and what `timeout` or a batch system sends: to the whole group, so to the processes that decode too."""
    run = tmp_path / "run"
    settings = [*TINY, "loop.iterations=100000", "data.workers=2"]
    options = [part for setting in settings for part in ("--set", setting)]
    arguments = ["train-baseline", "--data", world_export, "--config", "avism_tiny", "--out", run, *options]
    command = [sys.executable, "-m", "avis_data", *map(str, arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment, start_new_session=True)
    deadline = time.monotonic() + 120
    while not (run / "log.jsonl").is_file() and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.1)
    os.killpg(process.pid, number)
    told, said = process.communicate(timeout=60)
    assert process.returncode == 130 and "--resume" in told and "Traceback" not in said
    (saved,) = (run / "checkpoints").iterdir()
    done = int(saved.name)
    assert done >= 1 and sorted(losses_of(run)) == list(range(1, done + 1))
    more = in_process(
        capsys,
        "train-baseline",
        "--data",
        world_export,
        "--out",
        run,
        "--resume",
        "--set",
        f"loop.iterations={done + 1}",
    )
    assert more.code == 0, more.err
    assert sorted(losses_of(run)) == list(range(1, done + 2))

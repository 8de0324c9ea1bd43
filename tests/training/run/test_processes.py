"""Several processes that share a batch: what they compute, how a batch is divided, and what is written and said."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from avis_data.errors import ConfigError, DataError
from avis_data.training.config import config_values, load_config, shipped_configs
from avis_data.training.models.shared import Dropout, DropPath, SharedBatchNorm
from avis_data.training.registry import build_model
from avis_data.training.run.distributed import Processes
from avis_data.training.run.division import divided, recorded, scaled
from avis_data.training.run.train import resolved_config, train_baseline
from support.avsbench_world import write_avss, write_ms3
from support.once import made_once
from support.places import TESTS
from support.process_cases import CASES
from support.tiny_training import TINY, started, tiny_config


@pytest.fixture(scope="module")
def computed(world_export: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What every case gives in one, two and four processes."""

    def compute(root: Path) -> None:
        (root / "export").symlink_to(world_export)
        write_ms3(root / "ms3")
        write_avss(root / "avss")
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(TESTS)}
        command = [sys.executable, "-m", "support.process_cases", str(root)]
        ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900, check=False)
        assert ran.returncode == 0, ran.stderr

    return made_once(tmp_path_factory, "processes", compute)


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 4])
@pytest.mark.parametrize("name", CASES)
def test_several_processes_are_equal_to_one(computed: Path, name: str, count: int) -> None:
    """Gradients, statistics of batch norms, and losses before and after a change of the weights."""
    one, several = load_file(computed / f"{name}-1.safetensors"), load_file(computed / f"{name}-{count}.safetensors")
    assert one.keys() == several.keys()
    # What is left is measured against each gradient's own size; some have none but rounding, as a bias before the norm
    # of its own channel: those against the usual size.
    size = {key: float(value.abs().max()) for key, value in one.items() if key.startswith("gradient/")}
    usual = statistics.median(size.values())
    floor = {key: usual if size[key] < 0.01 * usual else 0.1 * usual for key in size}
    off = {key: float((several[key] - one[key]).abs().max()) / (size[key] + floor[key]) for key in size}
    worst = max(off, key=lambda key: off[key])
    print(name, count, worst, off[worst], size[worst] / usual)
    assert off[worst] < 1e-6, worst
    rest = [key for key in one if key not in size]
    assert any(key.startswith("loss/1") for key in rest)
    for key in rest:
        torch.testing.assert_close(several[key], one[key], rtol=1e-6, atol=1e-8)


def test_every_model_normalises_and_drops_over_all_processes() -> None:
    """A batch norm of PyTorch sees one process only, a dropout of PyTorch draws by process: no recipe may have one."""
    allowed = (SharedBatchNorm, Dropout, DropPath)
    for name in shipped_configs():
        with torch.device("meta"):
            model = build_model(load_config(name, ["model.num_identities=3"] if "afcv" in name else []))
        drawn = [part for part in model.modules() if isinstance(part, (Dropout, DropPath))]
        assert [part.place for part in drawn] == list(range(len(drawn)))
        inside = {id(part) for drop in model.modules() if isinstance(drop, DropPath) for part in drop.children()}
        for where, part in model.named_modules():
            batch_norm = isinstance(part, torch.nn.modules.batchnorm._BatchNorm)
            drops = bool(getattr(part, "p", 0) or getattr(part, "drop_prob", 0)) and id(part) not in inside
            assert isinstance(part, allowed) or not (batch_norm or drops), (name, where)


@pytest.mark.parametrize(
    ("batch", "accumulate", "started_", "scale", "expected"),
    [
        (2, 1, 1, False, (2, 1, 1, 2)),
        (2, 1, 2, False, (2, 2, 1, 1)),
        (2, 1, 8, False, (2, 2, 1, 1)),
        (2, 1, 8, True, (8, 8, 1, 1)),
        (2, 1, 3, True, (3, 3, 1, 1)),
        (16, 1, 8, True, (16, 8, 1, 2)),
        (16, 4, 1, False, (16, 1, 4, 4)),
        (16, 4, 2, False, (16, 2, 2, 4)),
        (16, 4, 4, False, (16, 4, 1, 4)),
        (16, 4, 8, False, (16, 8, 1, 2)),
        (16, 4, 3, False, (16, 2, 2, 4)),
        (16, 4, 3, True, (18, 3, 2, 3)),
        (16, 16, 32, True, (32, 32, 1, 1)),
    ],
)
def test_a_batch_is_divided(
    batch: int, accumulate: int, started_: int, scale: bool, expected: tuple[int, int, int, int]
) -> None:
    """Never more clips at once than one process would have; a larger batch only where that was asked for."""
    config = load_config("avism_r50", [f"data.batch={batch}", f"loop.accumulate={accumulate}"])
    found = divided(config, started_, scale=scale)
    assert (found.batch, found.processes, found.passes, found.clips) == expected
    assert found.processes * found.passes * found.clips == found.batch and found.clips <= batch // accumulate


def test_a_scaled_recipe_sees_as_many_clips_at_a_rate_in_proportion() -> None:
    recipe = load_config("avism_r50")
    division = divided(recipe, 8, scale=True)
    config = recorded(scaled(recipe, division), division, recipe)
    assert (config.data.batch, config.loop.iterations, config.optimiser.rate) == (8, 12_000, 4e-4)
    assert config.data.batch * config.loop.iterations == recipe.data.batch * recipe.loop.iterations
    # The recipe has no warm-up: the rate rises from the recipe's own one, over 5 of 90 parts.
    assert (config.schedule.milestones, config.schedule.warmup, config.schedule.warmup_start) == ((8000,), 667, 0.25)
    assert (config.validation.every, config.loop.checkpoint_every, config.loop.log_every) == (1000, 250, 20)
    written = config_values(config)["loop"]["divided"]
    assert written == {
        "processes": 8, "passes": 1, "clips": 1,
        "scaled_from": {"batch": 2, "rate": 1e-4, "warmup": 0, "iterations": 48_000},
    }  # fmt: skip
    # What is written is a recipe by itself: eight processes scale it no further, and two keep what it says.
    assert divided(config, 8, scale=True) == division and scaled(config, division) == config
    fewer = divided(config, 2, scale=False)
    assert (fewer.batch, fewer.processes, fewer.passes, fewer.clips) == (8, 2, 2, 2)
    assert recorded(config, fewer, config).loop.divided.scaled_from == config.loop.divided.scaled_from
    warmed = load_config("rcf_r101")
    again = scaled(warmed, divided(warmed, 32, scale=True))
    assert (again.data.batch, again.schedule.warmup, again.schedule.warmup_start) == (32, 500, 0.001)
    assert (again.optimiser.rate, again.loop.iterations) == (1.2e-3, 30_000)


def test_a_kept_recipe_is_kept() -> None:
    recipe = load_config("avism_r50")
    for count in (1, 2, 8):
        division = divided(recipe, count, scale=False)
        assert scaled(recipe, division) == recipe and recorded(recipe, division, recipe).data == recipe.data
        assert recorded(recipe, division, recipe).loop.divided.scaled_from is None


@pytest.mark.slow
def test_torchrun_trains_with_the_processes_that_a_batch_needs(world_export: Path, tmp_path: Path) -> None:
    """Two of three share the batch of two clips; the third one is told of, and ends."""
    run = tmp_path / "run"
    settings = [*TINY, "loop.iterations=2", "validation.every=2", "validation.draw_every=2"]
    options = [part for setting in settings for part in ("--set", setting)]
    arguments = ["-m", "avis_data", "train-baseline", "--data", str(world_export), "--config", "avism_tiny", "--out"]
    said = torchrun(3, *arguments, str(run), *options)
    assert "1 of 3 processes have nothing to do" in said and "loop.processes=scale" in said
    assert sorted(losses_of(run)) == [1, 2]
    started(tiny_config("loop.iterations=2"), world_export, tmp_path / "alone").run()
    for number, losses in losses_of(tmp_path / "alone").items():
        assert losses_of(run)[number] == pytest.approx(losses, rel=1e-3)
    config = load_config(run / "config.yaml")
    assert config.loop.divided is not None and config.loop.divided.processes == 2


@pytest.mark.slow
def test_a_run_goes_on_with_another_number_of_processes(
    world_export: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What four processes began one goes on with: the scaled recipe stays, and it is said."""
    run = tmp_path / "run"
    settings = [*TINY, "loop.iterations=4", "loop.processes=scale"]
    recipe = load_config("avism_tiny", settings)
    division = divided(recipe, 4, scale=True)
    begun = recorded(scaled(recipe, division), division, recipe)
    assert (begun.data.batch, begun.loop.iterations, begun.loop.accumulate) == (4, 2, 2)
    trainer = started(begun, world_export, run)
    trainer.iterate(trainer._batches())
    trainer._save()
    resumed = resolved_config(model=None, name=None, settings=[], precision=None, resumed=run)
    result = train_baseline(world_export, resumed, run, resume=True, device_name="cpu")
    assert result.iteration == 2
    assert "was divided among 4 process(es), now among 1" in caplog.text and "2 pass(es), not 1" in caplog.text
    config = load_config(run / "config.yaml")
    assert (config.data.batch, config.optimiser.rate) == (4, 2 * recipe.optimiser.rate)
    assert config.loop.divided is not None and config.loop.divided.scaled_from is not None
    assert (config.loop.divided.processes, config.loop.divided.scaled_from.batch) == (1, 2)
    with pytest.raises(ConfigError, match=r"began with loop\.processes=scale"):
        resolved_config(model=None, name=None, settings=["loop.processes=keep"], precision=None, resumed=run)
    # A process for which there is no clip ends before it opens anything.
    monkeypatch.setenv("WORLD_SIZE", "8")
    monkeypatch.setenv("RANK", "7")
    assert train_baseline(tmp_path / "nowhere", tiny_config(), tmp_path / "none", device_name="cpu").finished
    assert not (tmp_path / "none").exists()


def test_what_several_processes_cannot_share_is_refused(world_export: Path, tmp_path: Path) -> None:
    three, two = Processes(rank=0, world_size=3), Processes(rank=0, world_size=2)
    with pytest.raises(ConfigError, match=r"data.batch=2 cannot be divided among 3 processes"):
        started(tiny_config(), world_export, tmp_path / "three", processes=three)
    learning = "model.backbone.frozen_norms=false"
    started(tiny_config(learning), world_export, tmp_path / "one")
    with pytest.raises(ConfigError, match="cannot share batch norms"):
        started(tiny_config(learning), world_export, tmp_path / "two", processes=two)


def test_what_the_first_process_does_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """The others get its result or its error, and do not do it themselves."""
    sent: list[object] = []

    def broadcast(found: list[object], src: int) -> None:
        assert src == 0
        if found == [None]:
            found[:] = sent
        sent[:] = found

    monkeypatch.setattr("torch.distributed.broadcast_object_list", broadcast)
    first, second = Processes(rank=0, world_size=2), Processes(rank=1, world_size=2)
    assert [part.once(lambda: 7) for part in (first,)] == [7]
    assert second.once(lambda: pytest.fail("done twice")) == 7

    def bad() -> int:
        raise DataError("no sound")

    for part in (first, second):
        with pytest.raises(DataError, match="no sound"):
            part.once(bad if part.is_first else lambda: pytest.fail("done twice"))


def losses_of(run: Path) -> dict[int, dict[str, float]]:
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return {line["iteration"]: line["losses"] for line in lines if "losses" in line}


def torchrun(count: int, *arguments: str) -> str:
    """What the processes said."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    ran = subprocess.run(
        [*command, *arguments], env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stderr

"""Train a baseline: the one function behind `avis-data train-baseline`."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

from avis_data.errors import ConfigError, DataError
from avis_data.format_numbers import check_run
from avis_data.training.checkpoints.start_weights import load_initial, start_file
from avis_data.training.config import RunConfig, changed_config, load_config
from avis_data.training.device import choose_device
from avis_data.training.registry import MODELS, new_model
from avis_data.training.run.distributed import joined_processes, started_processes
from avis_data.training.run.division import divided, recorded, scaled
from avis_data.training.run.loop import Trainer, TrainingResult
from avis_data.training.run.run_folder import RunFolder
from avis_data.training.task import Split, task_of

__all__ = ["fitted_config", "resolved_config", "train_baseline"]

logger = logging.getLogger(__name__)
_IDLE = TrainingResult(iteration=0, finished=True, best_score=None, best_iteration=None, data_wait_share=0.0)


def train_baseline(
    data: Path,
    config: RunConfig,
    out: Path,
    *,
    resume: bool = False,
    init: Path | None = None,
    allow_partial: bool = False,
    device_name: str = "auto",
) -> TrainingResult:
    """Train a model on an export, or go on with it.

    Of the processes that torchrun started, those for which the batch has no clip end at once.

    Args:
        data: a dataset in the AVISeg layout.
        out: the folder of the run.
        resume: go on from its last checkpoint.
        init: weights to start from: a file, a name of `weights list`, or `auto`, the recipe's; None: random ones.
        allow_partial: start also from weights that fill little of the model.
        device_name: `auto`, `cpu`, `cuda`, ...

    Raises:
        ConfigError: if the config and the options do not go together.
        ProblemsError: if the recipe cannot be scaled to the processes.
        DataError: if the data or the weights are not in order, or the loss becomes no number.
        ToolError: if the device is missing or its memory runs out.
        BusyError: if another training writes in that folder.
    """
    if resume and init is not None:
        raise ConfigError(
            "--init gives weights to start with, --resume goes on with those of the run; give one of them"
        )
    if allow_partial and init is None:
        raise ConfigError("--allow-partial is about the weights of --init; give both")
    init = None if init is None else start_file(init, config)
    started = started_processes()
    division = divided(config, started.world_size, scale=config.loop.processes == "scale" and not resume)
    if started.rank >= division.processes:
        return _IDLE
    device = choose_device(device_name)
    folder = RunFolder(out)
    train = task_of(config).open(data, "train", config)
    train.need_labels()
    with joined_processes(device, division.processes) as processes:
        recipe = processes.once(lambda: fitted_config(config, train))
        config = recorded(scaled(recipe, division), division, recipe)
        if processes.is_first:
            _tell(config, recipe, started.world_size)
        model = new_model(config, device)
        start = None if init is None else load_initial(model, init, allow_partial=allow_partial)
        if init is None and not resume and processes.is_first and config.optimiser.backbone_factor < 1:
            # Only recipes that start from a trained backbone let it learn more slowly than the rest.
            logger.warning("init=random: the published recipe starts from a trained backbone, --init auto")
        if not resume:
            folder.check_new()
        trainer = Trainer(config, data, model, folder, device=device, processes=processes, train=train)
        with folder.claimed() if processes.is_first else nullcontext():
            if resume:
                trainer.resume()
            processes.wait()
            if processes.is_first:
                folder.write_config(config)
                if not resume:
                    folder.write_start(None if start is None else start.values(str(init)))
            return trainer.run()


def _tell(config: RunConfig, before: RunConfig, started: int) -> None:
    """Say what the number of processes changes, where it changes anything.

    Args:
        before: the recipe, or the config of a run that goes on.
    """
    now, then = config.loop.divided, before.loop.divided
    assert now is not None  # it was just written
    if config.data.batch != before.data.batch:
        logger.warning(
            "%d processes, the recipe is scaled (loop.processes=scale): batch %d -> %d, rate %g -> %g, "
            "warm-up %d -> %d, iterations %d -> %d",
            now.processes,
            *(before.data.batch, config.data.batch, before.optimiser.rate, config.optimiser.rate),
            *(before.schedule.warmup, config.schedule.warmup, before.loop.iterations, config.loop.iterations),
        )
    if now.processes < started:
        logger.warning(
            "%d of %d processes have nothing to do: the recipe's batch has %d clip(s), which %d share. "
            "Start fewer, or give --set loop.processes=scale (a larger batch and rate, fewer iterations)",
            *(started - now.processes, started, config.data.batch, now.processes),
        )
    if then is not None and then.processes != now.processes:
        same = now.passes == then.passes
        logger.warning(
            "this run was divided among %d process(es), now among %d: batch, rate, iterations and samples stay; %s",
            *(then.processes, now.processes),
            "losses are the same but for rounding"
            if same
            else f"an iteration has {now.passes} pass(es), not {then.passes}: losses and batch norms average over one",
        )


def fitted_config(config: RunConfig, train: Split) -> RunConfig:
    """The config with what follows from the training set: iterations of a number of rounds, and what the model asks.

    Raises:
        ConfigError: if the config contradicts the data.
        DataError: if there is nothing to learn from, or a recording cannot be read.
    """
    config = replace(config, model=train.fitted(config))
    if config.loop.rounds is None:
        return config
    iterations = max(1, round(config.loop.rounds * train.samples(config).per_round / config.data.batch))
    return replace(config, loop=replace(config.loop, iterations=iterations, rounds=None))


def resolved_config(
    *, model: str | None, name: str | None, settings: Sequence[str], precision: str | None, resumed: Path | None
) -> RunConfig:
    """The config that options mean: of a run that is gone on with its own, else a named one, else the model's recipe.

    Raises:
        ConfigError: if there is no such config or run.
        ProblemsError: with every bad key.
    """
    if resumed is not None:
        check_run(resumed)
        file = RunFolder(resumed).config
        if not file.is_file():
            raise DataError(f"{resumed}: holds no run (no config.yaml)", hint="start without --resume")
        if name is not None:
            raise ConfigError("--resume goes on with the run's own config", hint="change it with --set")
        config = load_config(file, settings, model=model)
        began = load_config(file).loop.processes
        if config.loop.processes != began:
            raise ConfigError(
                f"{resumed}: began with loop.processes={began}, which its rate and its iterations fit",
                hint=f"without --set loop.processes={config.loop.processes}",
            )
    else:
        config = load_config(name or MODELS[model or "avism"].default_config, settings, model=model)
    if precision is not None:
        config = changed_config(config, [f"loop.precision={precision}"], where="--precision")
    return config

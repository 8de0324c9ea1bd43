"""`avis-data train-baseline`: an export to a trained model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from avis_data.cli.options import (
    config_option,
    data_option,
    device_option,
    json_option,
    model_option,
    out_option,
    precision_option,
    set_option,
)
from avis_data.cli.stream_data_option import stream_data_option
from avis_data.errors import ExitCode

if TYPE_CHECKING:
    from avis_data.training.config import ValidationConfig
    from avis_data.training.run.loop import TrainingResult

__all__ = ["command"]

_PATH = click.Path(path_type=Path)


@click.command("train-baseline")
@data_option(required=True)
@stream_data_option
@model_option
@config_option
@set_option
@out_option(show_default="runs/<config>")
@click.option("--resume", is_flag=True, help="Go on from the last checkpoint of the run, with its config.")
@click.option(
    "--init",
    type=_PATH,
    default=None,
    metavar="auto|WEIGHTS",
    help="Weights to start from: those of the recipe (auto), a name of `weights list`, a file; default: random.",
)
@click.option("--allow-partial", is_flag=True, help="Start also from weights that fill little of the model.")
@device_option
@precision_option
@json_option
def command(
    data: Path,
    model_name: str | None,
    config_name: str | None,
    settings: tuple[str, ...],
    out: Path | None,
    resume: bool,
    init: Path | None,
    allow_partial: bool,
    device_name: str,
    precision: str | None,
    as_json: bool,
) -> int:
    """Train a baseline on an export.

    The configs are avism_r50 (default), avism_r101, avism_swinl, rcf_r101, rcf_r50_audio, rcf_swinb, rcf_swinl,
    afcv_r50, crossvis_r50, crossvis_r101, avs_bg_pvt_s4, avsbench_pvt_s4 (and r50, ms3, avss), and for a CPU, in
    minutes: avism_tiny, heed_tiny, rcf_tiny, afcv_tiny, crossvis_tiny, avs_bg_tiny, tpavi_tiny.

    The run folder gets checkpoints, best.safetensors (by the validation metric), log.jsonl, TensorBoard logs and drawn
    samples. Ctrl-C saves; --resume goes on to the same losses. Several GPUs: torchrun --nproc-per-node N -m avis_data
    train-baseline ...

    \b
    Example:
      avis-data train-baseline --data exports/ytvis --config avism_tiny --out runs/tiny
      avis-data train-baseline --data exports/ytvis --set model.frame_fusion=false --set model.video_fusion=false
    """
    import os
    from dataclasses import asdict

    from avis_data.extras import need_extra

    need_extra("train", what="training")
    from avis_data.training.run.train import resolved_config, train_baseline

    folder = out or Path("runs") / (Path(config_name).stem if config_name else f"{model_name or 'avism'}")
    config = resolved_config(
        model=model_name, name=config_name, settings=settings, precision=precision, resumed=folder if resume else None
    )
    result = train_baseline(
        data, config, folder, resume=resume, init=init, allow_partial=allow_partial, device_name=device_name
    )
    if os.environ.get("RANK", "0") == "0":  # of the processes of torchrun, one speaks
        if as_json:
            click.echo(json.dumps({"out": str(folder), **asdict(result)}))
        else:
            click.echo(f"{folder}: {_summary(config.validation, result)}")
    return int(ExitCode.OK if result.finished else ExitCode.INTERRUPTED)


def _summary(validation: ValidationConfig, result: TrainingResult) -> str:
    done = f"{result.iteration} iterations, {100 * result.data_wait_share:.0f} % of the time waiting for data"
    if result.best_score is not None:
        chosen = "" if validation.split == "val" else f", chosen on the split {validation.split}"
        done += f", best strict {validation.metric} {100 * result.best_score:.1f} after {result.best_iteration}{chosen}"
    return done if result.finished else f"{done}; stopped and saved, go on with --resume"

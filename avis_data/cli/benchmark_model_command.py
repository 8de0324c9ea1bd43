"""`avis-data benchmark-model`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from avis_data.cli.options import (
    checkpoint_option,
    config_option,
    device_option,
    json_option,
    model_option,
    set_option,
    size_option,
)
from avis_data.errors import ConfigError

if TYPE_CHECKING:
    from avis_data.training.predict.benchmark import BenchmarkRequest

__all__ = ["command"]


@click.command("benchmark-model")
@model_option
@config_option
@checkpoint_option()
@set_option
@click.option(
    "--num-frames", type=click.IntRange(1), default=10, show_default=True, metavar="N", help="Frames of the clip."
)
@size_option(default="640x360")
@click.option(
    "--stream-fps",
    type=click.FloatRange(min=0, min_open=True),
    default=6.0,
    show_default=True,
    metavar="RATE",
    help="Frames per second of the stream.",
)
@click.option(
    "--repeats",
    type=click.IntRange(1),
    default=3,
    show_default=True,
    metavar="N",
    help="How many clips; the median of their times counts.",
)
@click.option(
    "--find-max-frames",
    is_flag=True,
    help="Search for the longest clip that memory holds, in tries from --num-frames on, and measure nothing else.",
)
@click.option(
    "--memory-mb",
    type=click.IntRange(1),
    metavar="N",
    help="What each try of --find-max-frames may use on a CPU beside the model, in 10^6 bytes (Linux).",
)
@device_option
@json_option
def command(
    as_json: bool,
    size: tuple[int, int],
    checkpoint: Path | None,
    find_max_frames: bool,
    memory_mb: int | None,
    **options: Any,
) -> None:
    """Measure a model on clips of noise: frames a second, latency, parameters, peak memory.

    Give one of three: --model for a published recipe with random weights, --config for another config with random
    weights, --checkpoint for trained weights.

    Latency is that of a stream: an online model (rcf, afcv) answers when a frame has come and was predicted, the others
    when all frames of the clip have. Decoding is not part of it. With random weights there is little to make masks of:
    trained ones are somewhat slower.

    \b
    Example:
      avis-data benchmark-model --model rcf
      avis-data benchmark-model --checkpoint runs/rcf_tiny --stream-fps 1 --json
      avis-data benchmark-model --model avism --set model.window=12 --find-max-frames
    """
    from dataclasses import asdict

    from avis_data.extras import need_extra

    need_extra("train", what="a model")
    from avis_data.training.predict.benchmark import BenchmarkRequest, benchmark_model

    request = BenchmarkRequest(weights=checkpoint, size_hw=(size[1], size[0]), **options)
    if find_max_frames:
        _find_max_frames(request, memory_mb, as_json)
        return
    if memory_mb is not None:
        raise ConfigError(
            "--memory-mb: is a limit for --find-max-frames", hint="add --find-max-frames, or leave it out"
        )
    found = benchmark_model(request)
    if as_json:
        click.echo(json.dumps(asdict(found)))
        return
    kind = "online" if found.online else f"clips of {found.num_frames} frames"
    height, width = found.network_size
    click.echo(f"{found.model}: {kind}, {width}x{height}, {found.precision}, {found.device}")
    heard = found.parameters_with_vggish_mib
    mib = f"{found.parameters_mib:.1f} MiB" + ("" if heard is None else f", {heard:.1f} MiB with VGGish")
    click.echo(f"  {found.parameters:,} parameters ({mib})")
    click.echo(f"  {found.fps:.1f} frames/s, {found.peak_memory_mb:,.0f} MB at most")
    click.echo(f"  latency {found.latency_s:.3f} s in a stream of {found.stream_fps:g} frames/s")


def _find_max_frames(request: BenchmarkRequest, memory_mb: int | None, as_json: bool) -> None:
    from dataclasses import asdict

    from avis_data.training.predict.max_frames import FrameTry, find_max_frames

    def told(made: FrameTry) -> None:
        needed = f"{made.peak_memory_mb:,.0f} MB at most" if made.fits else f"do not fit: {made.why}"
        click.echo(f"{made.frames} frames: {needed}", err=True)

    found = find_max_frames(request, memory_mb=memory_mb, on_try=told)
    if as_json:
        click.echo(json.dumps(asdict(found)))
        return
    more = "no end was found" if found.too_many is None else f"{found.too_many} do not fit"
    click.echo(f"{found.model}, {found.device}: {found.max_frames} frames fit, {more}")

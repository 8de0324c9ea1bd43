"""`avis-data benchmark-model`."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import click

from avis_data.cli.options import json_option

__all__ = ["command"]


def _size(context: click.Context, parameter: click.Parameter, value: str) -> tuple[int, int]:
    match = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", value)
    if match is None:
        raise click.BadParameter(f"{value!r} is no size; write WIDTHxHEIGHT, like 640x360")
    return int(match[2]), int(match[1])


@click.command("benchmark-model")
@click.option("--model", "model_name", default=None, help="A model with random weights, as published; or:")
@click.option("--config", "config_name", default=None, metavar="NAME|FILE", help="Another config, random weights; or:")
@click.option("--weights", type=click.Path(path_type=Path), default=None, help="Trained weights, or a run's folder.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change the config; may be repeated.")
@click.option("--frames", "num_frames", type=click.IntRange(min=1), default=10, show_default=True, help="Of the clip.")
@click.option("--size", "size_hw", default="640x360", show_default=True, callback=_size, help="Of original frames.")
@click.option(
    "--stream-fps",
    type=click.FloatRange(min=0, min_open=True),
    default=6.0,
    show_default=True,
    help="At which frames come.",
)
@click.option("--repeats", type=click.IntRange(min=1), default=3, show_default=True, help="Their median counts.")
@click.option("--device", "device_name", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, mps.")
@json_option
def command(as_json: bool, **options: Any) -> None:
    """Measure a model on clips of noise: frames a second, latency, parameters, peak memory.

    Latency is that of a stream: an online model (rcf, afcv) answers when a frame has come and was predicted, the others
    when all frames of the clip have. Decoding is not part of it. With random weights there is little to make masks of:
    trained ones are somewhat slower.

    \b
    Example:
      avis-data benchmark-model --model rcf
      avis-data benchmark-model --weights runs/rcf_tiny --stream-fps 1 --json
    """
    from dataclasses import asdict

    from avis_data.training.predict.benchmark import BenchmarkRequest, benchmark_model

    found = benchmark_model(BenchmarkRequest(**options))
    if as_json:
        click.echo(json.dumps(asdict(found)))
        return
    kind = "online" if found.online else f"clips of {found.num_frames} frames"
    height, width = found.network_size
    click.echo(f"{found.model}: {kind}, {width}x{height}, {found.precision}, {found.device}")
    click.echo(f"  {found.parameters:,} parameters, {found.fps:.1f} frames/s, {found.peak_memory_mb:,.0f} MB at most")
    click.echo(f"  latency {found.latency_s:.3f} s in a stream of {found.stream_fps:g} frames/s")

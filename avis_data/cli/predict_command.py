"""`avis-data predict`: a trained model on an export or a video."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from avis_data.cli.options import json_option

__all__ = ["command"]

_PATH = click.Path(path_type=Path)


@click.command("predict")
@click.option("--weights", type=_PATH, required=True, help="A weight file, or the folder of a run (its best ones).")
@click.option("--data", type=_PATH, default=None, help="A dataset in the AVISeg layout (an export).")
@click.option("--video", type=_PATH, default=None, help="A video file instead; extracted and embedded by itself.")
@click.option("--split", default="test", show_default=True, help="Of the dataset.")
@click.option("--out", type=_PATH, default=Path("results.json"), show_default=True, help="The result file.")
@click.option("--keep", type=_PATH, default=None, metavar="DIR", help="With --video: keep it as a dataset there.")
@click.option("--vggish", type=_PATH, default=None, metavar="FILE", help="With --video: VGGish weights.")
@click.option("--config", "config_name", default=None, metavar="NAME|FILE", help="For weights that do not say theirs.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change the config; may be repeated.")
@click.option("--device", "device_name", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, mps.")
@click.option("--precision", type=click.Choice(["bf16", "fp32"]), default=None, help="Default: what the config says.")
@json_option
def command(out: Path, as_json: bool, **options: Any) -> None:
    """Predict sounding objects: class, score and a mask per second, with the post-processing of the published model.

    The result file is what `avis-data evaluate` and the official evaluation read. With the length of a video, memory
    grows by its frame queries and run lengths only.

    \b
    Example:
      avis-data predict --weights runs/tiny --data exports/ytvis --out results.json
      avis-data predict --weights avism.safetensors --video concert.mp4 --keep concert --out concert.json
    """
    import sys
    from dataclasses import asdict

    from tqdm import tqdm

    from avis_data.training.predict import PredictRequest, predict

    with tqdm(desc="predict", unit="clip", disable=not sys.stderr.isatty(), dynamic_ncols=True) as bar:

        def done(of: int) -> None:
            bar.total = of
            bar.update()

        summary = predict(PredictRequest(**options), out, on_clip=done)
    if as_json:
        click.echo(json.dumps({"out": str(out), **asdict(summary)}))
    else:
        click.echo(f"{out}: {summary.tracks} tracks in {summary.clips} clips, {summary.silent_clips} without any")

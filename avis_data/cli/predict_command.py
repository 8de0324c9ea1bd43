"""`avis-data predict`: a trained model on an export or a video."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from avis_data.cli.options import json_option

if TYPE_CHECKING:
    from avis_data.training.predict.predict import PredictRequest

__all__ = ["command"]

_PATH = click.Path(path_type=Path)


@click.command("predict")
@click.option("--model", "model_name", default=None, help="Which model; default: what the weights say.")
@click.option("--weights", type=_PATH, required=True, help="A weight file, or the folder of a run (its best ones).")
@click.option("--data", type=_PATH, default=None, help="A dataset: AVISeg's layout (an export), or AVSBench's.")
@click.option("--video", type=_PATH, default=None, help="A video file instead; extracted and embedded by itself.")
@click.option(
    "--fps",
    type=click.FloatRange(0, 30, min_open=True),
    default=None,
    help="With --video: frames that are looked at in a second, as in the training data; default: 1.",
)
@click.option("--split", default="test", show_default=True, help="Of the dataset.")
@click.option("--out", type=_PATH, default=None, help="Default: results.json; masks: predictions.")
@click.option("--stream", "as_stream", is_flag=True, help="Print each frame as it is predicted, a line of JSON each.")
@click.option("--keep", type=_PATH, default=None, metavar="DIR", help="With --video: keep it as a dataset there.")
@click.option("--vggish", type=_PATH, default=None, metavar="FILE", help="With --video: VGGish weights.")
@click.option("--config", "config_name", default=None, metavar="NAME|FILE", help="For weights that do not say theirs.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change the config; may be repeated.")
@click.option("--device", "device_name", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, mps.")
@click.option("--precision", type=click.Choice(["bf16", "fp32"]), default=None, help="Default: what the config says.")
@json_option
def command(out: Path | None, as_stream: bool, as_json: bool, **options: Any) -> None:
    """Predict sounding objects: class, score and a mask per second, with the post-processing of the published model.

    The result file is what `avis-data evaluate` and the official evaluation read. With the length of a video, memory
    grows by its frame queries and run lengths only. Online models (rcf, afcv) can --stream: a line per frame with the
    objects in it, their class and score as known by then; nothing is revised later. avs-bg writes a folder of masks,
    which `avis-data evaluate --task avs` reads.

    \b
    Example:
      avis-data predict --weights runs/tiny --data exports/ytvis --out results.json
      avis-data predict --weights avism.safetensors --video concert.mp4 --keep concert --out concert.json
      avis-data predict --model rcf --weights runs/rcf --video concert.mp4 --fps 6 --stream
    """
    import sys
    from dataclasses import asdict

    from tqdm import tqdm

    from avis_data.errors import ConfigError
    from avis_data.training.predict.predict import PredictRequest, predict

    if as_stream:
        if out is not None or as_json:
            raise ConfigError("--stream prints lines of JSON; it goes neither with --out nor with --json")
        _print_frames(PredictRequest(**options))
        return
    with tqdm(desc="predict", unit="clip", disable=not sys.stderr.isatty(), dynamic_ncols=True) as bar:

        def done(of: int) -> None:
            bar.total = of
            bar.update()

        summary = predict(PredictRequest(**options), out, on_clip=done)
    if as_json:
        click.echo(json.dumps(asdict(summary)))
    else:
        click.echo(str(summary))


def _print_frames(request: PredictRequest) -> None:
    from avis_data.training.predict.predict import stream

    for seen in stream(request):
        objects = [
            {
                "track": thing.identity,
                "category_id": thing.label + 1,
                "score": thing.score,
                "segmentation": {"size": [thing.mask.height, thing.mask.width], "counts": thing.mask.counts},
            }
            for thing in seen.objects
        ]
        click.echo(json.dumps({"clip": seen.clip.clip_id, "frame": seen.frame, "objects": objects}))

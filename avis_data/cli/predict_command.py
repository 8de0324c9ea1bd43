"""`avis-data predict`: a trained model on an export or a video."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from avis_data.cli.options import (
    checkpoint_option,
    config_option,
    data_option,
    device_option,
    fps_option,
    json_option,
    model_option,
    on_option,
    out_option,
    precision_option,
    set_option,
    weights_option,
)
from avis_data.cli.stream_data_option import stream_data_option
from avis_data.cli.written_path import WrittenPath

if TYPE_CHECKING:
    from avis_data.training.predict.predict import PredictRequest

__all__ = ["command"]

_PATH = click.Path(path_type=Path)


@click.command("predict")
@model_option
@checkpoint_option(required=True)
@data_option()
@stream_data_option
@click.option(
    "--video", type=_PATH, default=None, metavar="FILE", help="Instead of --data: a video, extracted and embedded here."
)
@fps_option()
@on_option
@out_option(show_default="results.json, or predictions for masks")
@click.option("--stream", "as_stream", is_flag=True, help="Print each frame as it is predicted, a line of JSON each.")
@click.option(
    "--keep", type=WrittenPath(), default=None, metavar="DIR", help="With --video: keep it there, as a dataset."
)
@weights_option
@config_option
@set_option
@device_option
@precision_option
@json_option
def command(
    out: Path | None, as_stream: bool, as_json: bool, weights: Path | None, checkpoint: Path, **options: Any
) -> None:
    """Predict sounding objects: class, score and a mask per frame, with the post-processing of the published model.

    The result file is what `avis-data evaluate` and the official evaluation read. With the length of a video, memory
    grows by its frame queries and run lengths only. Models of tracks can --stream: a line per frame with the
    objects in it, their class and score as known by then; nothing is revised later. avs-bg writes a folder of masks,
    which `avis-data evaluate --task avs` reads. Weights that do not say what they are need --config or --model.

    A --video is looked at --fps times a second (default 1; take the rate of the training data), and its sound embedded
    with --weights.

    \b
    Example:
      avis-data predict --checkpoint runs/tiny --data exports/ytvis --out results.json
      avis-data predict --checkpoint avism.safetensors --video concert.mp4 --keep concert --out concert.json
      avis-data predict --model rcf --checkpoint runs/rcf --video concert.mp4 --fps 6 --stream
    """
    import sys

    from tqdm import tqdm

    from avis_data.errors import ConfigError
    from avis_data.extras import need_extra

    need_extra("train", what="a model")
    from avis_data.training.predict.predict import PredictRequest, predict

    request = PredictRequest(weights=checkpoint, vggish=weights, **options)
    if as_stream:
        if out is not None or as_json:
            raise ConfigError("--stream prints lines of JSON; it goes neither with --out nor with --json")
        _print_frames(request)
        return
    with tqdm(desc="predict", unit="clip", disable=not sys.stderr.isatty(), dynamic_ncols=True) as bar:

        def done(of: int) -> None:
            bar.total = of
            bar.update()

        summary = predict(request, out, on_clip=done)
    if as_json:
        click.echo(json.dumps(summary.as_dict()))
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
        click.echo(json.dumps({"clip": seen.clip_id, "frame": seen.frame, "objects": objects}))

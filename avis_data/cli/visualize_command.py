"""`avis-data visualize`: predictions as videos and contact sheets, and where a model looked."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from avis_data.cli.options import (
    checkpoint_option,
    clips_option,
    config_option,
    data_option,
    device_option,
    json_option,
    listed_clips,
    on_option,
    out_option,
    pred_option,
    set_option,
)
from avis_data.errors import ConfigError

if TYPE_CHECKING:
    from avis_data.training.predict.attention import AttentionSummary

__all__ = ["command"]


@click.command("visualize")
@data_option(required=True)
@pred_option(multiple=True)
@click.option(
    "--title",
    "titles",
    multiple=True,
    metavar="NAME",
    help="What stands over a panel, one for each --pred in their order; default: after their paths.",
)
@click.option(
    "--attention", is_flag=True, help="Instead of --pred: where a model (rcf, avs-bg) looks, and which slots fire."
)
@checkpoint_option()
@config_option
@set_option
@device_option
@out_option(required=True)
@on_option
@clips_option
@json_option
def command(
    data: Path,
    predictions: tuple[Path, ...],
    titles: tuple[str, ...],
    attention: bool,
    checkpoint: Path | None,
    config_name: str | None,
    settings: tuple[str, ...],
    device_name: str,
    out: Path,
    split: str,
    clips: str | None,
    as_json: bool,
) -> None:
    """Render predictions: for every clip an mp4 with the original sound, and a PNG contact sheet.

    Masks have the colour of their identity; a strip below shows the sound, and who sounds when. Masks of an AVSBench
    dataset have the colour of their class. Several --pred are shown side by side, each under its title.

    With --attention a model predicts, and sheets show where it looks: for RCF its attention between picture, sound and
    the slots that fired, with a table of slots by category; for AVS-BG the gates of sound and motion. Without
    --checkpoint the weights are random, and every sheet says so.

    \b
    Example:
      avis-data visualize --data exports/ytvis --pred results.json --out shown
      avis-data visualize --data exports/ms3 --pred masks --out shown
      avis-data visualize --data exports/ytvis --pred avism.json --pred rcf.json --out shown
      avis-data visualize --attention --checkpoint runs/rcf_tiny --data exports/ytvis --out looked
    """
    clip_ids = listed_clips(clips) or ()
    if attention:
        if predictions or titles:
            raise ConfigError("--attention is of a model, not of --pred and --title: give --checkpoint RUN|FILE")
        from avis_data.extras import need_extra

        need_extra("train", what="a model")
        from avis_data.training.predict.attention import AttentionRequest, draw_attention

        request = AttentionRequest(
            data=data,
            weights=checkpoint,
            config_name=config_name,
            settings=settings,
            split=split,
            clip_ids=clip_ids,
            device_name=device_name,
        )
        with _progress() as done:
            summary = draw_attention(request, out, on_clip=done)
        click.echo(json.dumps(summary.as_dict()) if as_json else _attention_text(summary))
        return
    if not predictions:
        raise ConfigError("give predictions to show", hint="--pred results.json, or --attention --checkpoint RUN")
    if checkpoint is not None or config_name is not None or settings:
        raise ConfigError("--checkpoint, --config and --set are of a model: they go with --attention")
    from avis_data.training.predict.visualize import panel_titles
    from avis_data.training.task import task_of_predictions

    with _progress() as done:
        named, task = panel_titles(predictions, titles), task_of_predictions(predictions)
        files = task.visualize(data, named, out, split_name=split, clip_ids=clip_ids, on_clip=done)
    if as_json:
        click.echo(json.dumps({"out": str(out), "files": [str(file) for file in files]}))
    else:
        click.echo(f"{out}: {len(files)} files")


@contextmanager
def _progress() -> Iterator[Callable[[int], None]]:
    """A bar on a terminal; what is given is called after each clip with the number of all."""
    import sys

    from tqdm import tqdm

    with tqdm(desc="visualize", unit="clip", disable=not sys.stderr.isatty(), dynamic_ncols=True) as bar:

        def done(of: int) -> None:
            bar.total = of
            bar.update()

        yield done


def _attention_text(summary: AttentionSummary) -> str:
    from avis_data.metrics.text_tables import text_table

    lines = [f"{summary.out}: {len(summary.files)} files"]
    if not summary.is_trained:
        lines.append("the weights are random: the maps show the network, not anything learnt")
    if summary.fired:
        slots = range(len(next(iter(summary.fired.values()))))
        rows = [[category, *map(str, counts)] for category, counts in sorted(summary.fired.items())]
        lines.append(text_table([f"slot that fired, of {summary.num_frames} frames", *map(str, slots)], rows))
    elif summary.fired is not None:
        lines.append(f"no slot fired in {summary.num_frames} frames")
    return "\n".join(lines)

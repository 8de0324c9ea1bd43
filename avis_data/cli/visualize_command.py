"""`avis-data visualize`: predictions as videos and contact sheets."""

from __future__ import annotations

import json
from pathlib import Path

import click

from avis_data.cli.options import (
    clips_option,
    data_option,
    json_option,
    listed_clips,
    on_option,
    out_option,
    pred_option,
)

__all__ = ["command"]


@click.command("visualize")
@data_option(required=True)
@pred_option(required=True, multiple=True)
@click.option(
    "--title",
    "titles",
    multiple=True,
    metavar="NAME",
    help="What stands over a panel, one for each --pred in their order; default: after their paths.",
)
@out_option(required=True)
@on_option
@clips_option
@json_option
def command(
    data: Path,
    predictions: tuple[Path, ...],
    titles: tuple[str, ...],
    out: Path,
    split: str,
    clips: str | None,
    as_json: bool,
) -> None:
    """Render predictions: for every clip an mp4 with the original sound, and a PNG contact sheet.

    Masks have the colour of their identity; a strip below shows the sound, and who sounds when. Masks of an AVSBench
    dataset have the colour of their class. Several --pred are shown side by side, each under its title.

    \b
    Example:
      avis-data visualize --data exports/ytvis --pred results.json --out shown
      avis-data visualize --data exports/ms3 --pred masks --out shown
      avis-data visualize --data exports/ytvis --pred avism.json --pred rcf.json --out shown
    """
    import sys

    from tqdm import tqdm

    from avis_data.training.predict.visualize import panel_titles
    from avis_data.training.task import task_of_predictions

    with tqdm(desc="visualize", unit="clip", disable=not sys.stderr.isatty(), dynamic_ncols=True) as bar:

        def done(of: int) -> None:
            bar.total = of
            bar.update()

        named, task = panel_titles(predictions, titles), task_of_predictions(predictions)
        files = task.visualize(data, named, out, split_name=split, clip_ids=listed_clips(clips) or (), on_clip=done)
    if as_json:
        click.echo(json.dumps({"out": str(out), "files": [str(file) for file in files]}))
    else:
        click.echo(f"{out}: {len(files)} files")

"""`avis-data visualize`: predictions as videos and contact sheets."""

from __future__ import annotations

import json
from pathlib import Path

import click

from avis_data.cli.options import json_option

__all__ = ["command"]

_PATH = click.Path(path_type=Path)


@click.command("visualize")
@click.option("--data", type=_PATH, required=True, help="A dataset in the AVISeg layout (an export).")
@click.option("--pred", "results", type=_PATH, required=True, help="A result file (avis-data predict).")
@click.option("--out", type=_PATH, required=True, help="Folder for the videos and pictures.")
@click.option("--split", default="test", show_default=True, help="Of the dataset.")
@click.option("--clip", "clips", multiple=True, metavar="NAME", help="Only this clip; may be repeated.")
@json_option
def command(data: Path, results: Path, out: Path, split: str, clips: tuple[str, ...], as_json: bool) -> None:
    """Render predictions: for every clip an mp4 with the original sound, and a PNG contact sheet.

    Masks have the colour of their identity; a strip below shows the sound, and who sounds when.

    \b
    Example:
      avis-data visualize --data exports/ytvis --pred results.json --out shown
    """
    import sys

    from tqdm import tqdm

    from avis_data.training.visualize import visualize

    with tqdm(desc="visualize", unit="clip", disable=not sys.stderr.isatty(), dynamic_ncols=True) as bar:

        def done(of: int) -> None:
            bar.total = of
            bar.update()

        files = visualize(data, results, out, split_name=split, clip_ids=clips, on_clip=done)
    if as_json:
        click.echo(json.dumps({"out": str(out), "files": [str(file) for file in files]}))
    else:
        click.echo(f"{out}: {len(files)} files")

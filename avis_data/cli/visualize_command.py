"""`avis-data visualize`: predictions as videos and contact sheets."""

from __future__ import annotations

import json
from pathlib import Path

import click

from avis_data.cli.options import json_option

__all__ = ["command"]

_PATH = click.Path(path_type=Path)


@click.command("visualize")
@click.option("--data", type=_PATH, required=True, help="A dataset (an export), in the layout of AVISeg or AVSBench.")
@click.option(
    "--pred",
    "results",
    type=_PATH,
    required=True,
    help="What avis-data predict wrote: a result file, or a folder of masks.",
)
@click.option("--out", type=_PATH, required=True, help="Folder for the videos and pictures.")
@click.option("--split", default="test", show_default=True, help="Of the dataset.")
@click.option("--clip", "clips", multiple=True, metavar="NAME", help="Only this clip; may be repeated.")
@json_option
def command(data: Path, results: Path, out: Path, split: str, clips: tuple[str, ...], as_json: bool) -> None:
    """Render predictions: for every clip an mp4 with the original sound, and a PNG contact sheet.

    Masks have the colour of their identity; a strip below shows the sound, and who sounds when. Masks of an AVSBench
    dataset have the colour of their class.

    \b
    Examples:
      avis-data visualize --data exports/ytvis --pred results.json --out shown
      avis-data visualize --data exports/ms3 --pred masks --out shown
    """
    import sys

    from tqdm import tqdm

    from avis_data.training.predict.visualize import visualize
    from avis_data.training.predict.visualize_avs import visualize_masks

    with tqdm(desc="visualize", unit="clip", disable=not sys.stderr.isatty(), dynamic_ncols=True) as bar:

        def done(of: int) -> None:
            bar.total = of
            bar.update()

        render = visualize_masks if results.is_dir() else visualize
        files = render(data, results, out, split_name=split, clip_ids=clips, on_clip=done)
    if as_json:
        click.echo(json.dumps({"out": str(out), "files": [str(file) for file in files]}))
    else:
        click.echo(f"{out}: {len(files)} files")

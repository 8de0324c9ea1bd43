"""`avis-data stats`: the figures of a dataset."""

from __future__ import annotations

import json
from pathlib import Path

import click

from avis_data.cli.options import json_option

__all__ = ["command"]


@click.command(name="stats")
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@json_option
def command(path: Path, as_json: bool) -> None:
    """Count videos, frames, masks, sounding objects, lengths and categories of a YTVIS / AVISeg dataset.

    PATH is the folder with train.json, val.json, test.json (those there are), or one truth file. Media are not needed.

    \b
    Example:
      avis-data stats exports/aviseg
    """
    from avis_data.quality.stats import dataset_stats, stats_json, stats_table

    figures = dataset_stats(path)
    click.echo(json.dumps(stats_json(figures)) if as_json else stats_table(figures))

"""`avis-data stats`: the figures of a dataset."""

from __future__ import annotations

import json
from pathlib import Path

import click

from avis_data.cli.options import json_option

__all__ = ["command"]


@click.command(name="stats")
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@click.option("--channels", is_flag=True, help="How different the two channels of each clip's sound are; reads them.")
@json_option
def command(path: Path, channels: bool, as_json: bool) -> None:
    """Count videos, frames, masks, sounding objects, lengths and categories of a YTVIS / AVISeg dataset.

    PATH is the folder with train.json, val.json, test.json (those there are), or one truth file. Media are not needed,
    but for --channels: the difference of left and right beside their sum, in dB, 0 where nothing is common to them.

    \b
    Example:
      avis-data stats exports/aviseg
      avis-data stats exports/aviseg --channels
    """
    from avis_data.quality.channels import channel_differences, channels_table
    from avis_data.quality.stats import dataset_stats, stats_json, stats_table

    if channels:
        found = channel_differences(path)
        click.echo(json.dumps(found) if as_json else channels_table(found))
        return
    figures = dataset_stats(path)
    click.echo(json.dumps(stats_json(figures)) if as_json else stats_table(figures))

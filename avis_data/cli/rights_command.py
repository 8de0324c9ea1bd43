"""`avis-data rights`."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import click

from avis_data.cli.options import csv_option, current_workspace, json_option

__all__ = ["command"]


@click.command("rights")
@csv_option
@json_option
def command(table: Path | None, as_json: bool) -> None:
    """List the videos by licence, and what the recipe holds back: it is never exported.

    The rule stands in recipe.yaml: `rights: {allow: [cc-by, cc0], unknown: hold}`. The columns license, uploader,
    channel and upload_date of the list count more than what the source says of itself.

    \b
    Example:
      avis-data -C my-dataset rights
      avis-data -C my-dataset rights --csv rights.csv
    """
    from avis_data.io import write_text
    from avis_data.ledger import Ledger
    from avis_data.pipelines.upkeep.rights import rights_csv, rights_of
    from avis_data.recipe import load_recipe

    workspace = current_workspace()
    recipe = load_recipe(workspace)
    with Ledger(workspace.ledger, read_only=True) as ledger:
        rows = rights_of(workspace, ledger, recipe)
    if table is not None:
        write_text(table, rights_csv(rows))
    if as_json:
        rule = recipe.rights.model_dump(mode="json")
        click.echo(json.dumps({"rule": rule, "videos": [row.as_dict() for row in rows]}))
        return
    videos: Counter[tuple[str, str]] = Counter()
    clips: Counter[tuple[str, str]] = Counter()
    for row in rows:
        videos[row.license or "not known", row.state] += 1
        clips[row.license or "not known", row.state] += row.clips
    click.echo(f"{'licence':40} {'videos':>7} {'clips':>7}  state")
    for (license, state), number in sorted(videos.items()):
        click.echo(f"{license[:40]:40} {number:7} {clips[license, state]:7}  {state}")
    held = sum(row.clips for row in rows if row.state == "held")
    click.echo(f"{len(rows)} video(s), {held} clip(s) of videos that are held")
    if table is not None:
        click.echo(f"written to {table}")

"""`avis-data du`."""

from __future__ import annotations

import json

import click

from avis_data.cli.options import current_workspace, json_option
from avis_data.cli.report_run import human_bytes

__all__ = ["command"]


@click.command("du")
@json_option
def command(as_json: bool) -> None:
    """Say what takes the space of a workspace, by what it is. Nothing is changed.

    Stills that exports share with the workspace (hard links) are counted once; "linked" says how much an export
    would take alone. "made again" can be deleted, and is made when it is needed.

    \b
    Example:
      avis-data -C my-dataset du
    """
    from avis_data.pipelines.upkeep.sizes import sizes_in_bucket, sizes_of
    from avis_data.recipe import load_recipe

    workspace = current_workspace()
    load_recipe(workspace)
    sizes = sizes_of(workspace)
    total, stored = sum(size.size_bytes for size in sizes), sizes_in_bucket(workspace)
    if as_json:
        said = {"bytes": total, "groups": [size.as_dict() for size in sizes]}
        click.echo(json.dumps({**said, **({"bucket": [size.as_dict() for size in stored]} if stored else {})}))
        return
    click.echo(f"{'':18} {'files':>8} {'size':>10} {'linked':>10} {'made again':>11}")
    for size in sizes:
        others = f"{human_bytes(size.linked_bytes):>10} {human_bytes(size.remade_bytes):>11}"
        click.echo(f"{size.group:18} {size.files:8} {human_bytes(size.size_bytes):>10} {others}")
    click.echo(f"{'total':18} {sum(size.files for size in sizes):8} {human_bytes(total):>10}")
    for size in stored:
        click.echo(f"bucket: {size.group:10} {size.files:8} {human_bytes(size.size_bytes):>10}")

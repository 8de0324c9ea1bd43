"""`avis-data prune`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from avis_data.cli.options import current_workspace, json_option
from avis_data.cli.report_run import human_bytes

if TYPE_CHECKING:
    from avis_data.pipelines.upkeep.leftovers import Leftovers

__all__ = ["command"]

_SHOWN = 20


@click.command("prune")
@click.option("--yes", is_flag=True, help="Do it, instead of saying what would be done.")
@click.option("--labels", is_flag=True, help="Labels as well; the text above says which.")
@json_option
def command(yes: bool, labels: bool, as_json: bool) -> None:
    """Say what nobody wants any more, and remove it with --yes.

    These are videos and clips that no list wants, with all that was made of them; files of older recipes and sources;
    what the segmenter keeps of stills that are gone; what killed commands left half done. Labels of people stay: where
    a list wants the clip again they are there again. With --labels what people said of clips that no list wants goes
    too. Partial downloads that may go on stay.

    \b
    Example:
      avis-data -C my-dataset prune
      avis-data -C my-dataset prune --yes
    """
    from avis_data.ledger import Ledger
    from avis_data.pipelines.engine.lock import open_for_work
    from avis_data.pipelines.upkeep.leftovers import find_leftovers, prune
    from avis_data.recipe import load_recipe

    workspace = current_workspace()
    load_recipe(workspace)  # before the lock, which would leave files in a folder that is no workspace
    if yes:
        with open_for_work(workspace, "avis-data prune") as ledger:
            found = find_leftovers(workspace, ledger, labels=labels)
            prune(workspace, ledger, found, labels=labels)
    else:
        with Ledger(workspace.ledger, read_only=True) as ledger:
            found = find_leftovers(workspace, ledger, labels=labels)
    if as_json:
        click.echo(json.dumps({"dry_run": not yes, **found.as_dict()}))
    else:
        _say(found, yes=yes)


def _say(found: Leftovers, *, yes: bool) -> None:
    if found.unlisted:
        names = sorted(found.unlisted)
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        click.echo(f"no list wants {len(names)} video(s) and clip(s): {', '.join(names[:_SHOWN])}{more}")
    for why, (number, size_bytes) in found.by_reason().items():
        click.echo(f"  {number:6} files {human_bytes(size_bytes):>10}  {why}")
    for kind, number in sorted(found.rows.items()):
        click.echo(f"  {number:6} clips have rows in: {kind}")
    if found.labelled:
        click.echo(f"{len(found.labelled)} of them have labels of people, which stay (--labels removes them)")
    verb = "removed" if yes else "would remove"
    hint = (
        ""
        if yes or not (found.files or found.objects or found.rows or found.unlisted)
        else "; avis-data prune --yes does it"
    )
    click.echo(f"{verb} {len(found.files) + len(found.objects)} files, {human_bytes(found.size_bytes)}{hint}")

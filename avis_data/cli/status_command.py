"""`avis-data status`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from avis_data.cli.options import current_workspace, json_option
from avis_data.cli.report_run import human_bytes, human_time

if TYPE_CHECKING:
    from avis_data.pipelines.status import FailedItem, StageStatus

__all__ = ["command"]


@click.command("status")
@click.option("--failed", "list_failed", is_flag=True, help="List every failed item with its reason and message.")
@json_option
def command(list_failed: bool, as_json: bool) -> None:
    """Say what is done, what failed and why, what is left, and how long that takes. Only the ledger is read.

    \b
    Example:
      avis-data -C my-dataset status --failed
    """
    from avis_data.ledger import Ledger
    from avis_data.pipelines.status import failed_items, overview
    from avis_data.recipe import load_recipe

    workspace = current_workspace()
    recipe = load_recipe(workspace)
    with Ledger(workspace.ledger, read_only=True) as ledger:
        stages, gone = overview(ledger, recipe)
        failures = failed_items(ledger, stages)
    if as_json:
        found: dict[str, object] = {"recipe": recipe.name, "stages": [stage.as_dict() for stage in stages]}
        found["unlisted"] = {"videos": gone.videos, "clips": gone.clips}
        click.echo(json.dumps(found | {"failed_items": [item.as_dict() for item in failures]}))
        return
    _say_stages(stages)
    if gone:
        click.echo(gone.said())
    if workspace.removal.exists():
        click.echo("a removal of videos was broken off half-way: avis-data remove completes it")
    if list_failed:
        _say_failures(failures)
    elif failures:
        click.echo(f"{len(failures)} item(s) failed: avis-data status --failed says which and why")


def _say_stages(stages: list[StageStatus]) -> None:
    numbers = " ".join(f"{name:>8}" for name in ("done", "stale", "failed", "to do"))
    click.echo(f"{'stage':9} {numbers} {'size':>10}  {'left, one worker':16}  why failed")
    for stage in stages:
        left = human_time(stage.left_s) if stage.left_s is not None else "unknown" if stage.to_do else "-"
        reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(stage.failed.items()))
        click.echo(
            f"{stage.stage:9} {stage.done:8} {stage.stale:8} {sum(stage.failed.values()):8} {stage.to_do:8}"
            f" {human_bytes(stage.size_bytes):>10}  {left:16}  {reasons}".rstrip()
        )


def _say_failures(failures: list[FailedItem]) -> None:
    for item in failures:
        kind = "may pass" if item.reason.retryable else "permanent"
        click.echo(f"{item.stage} {item.item_id}: {item.reason} ({kind}, tried {item.attempts}x)")
        for line in item.message.splitlines():
            click.echo(f"    {line}")

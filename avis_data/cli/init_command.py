"""`avis-data init`."""

from __future__ import annotations

import click

from avis_data.cli.options import current_workspace

__all__ = ["command"]


@click.command("init")
@click.option(
    "--recipe",
    "recipe_name",
    default="aviseg",
    show_default=True,
    metavar="NAME",
    help="One of the recipes: aviseg, avis-20, avsbench-s4, avsbench-ms3.",
)
def command(recipe_name: str) -> None:
    """Make the current folder (or -C DIR) a workspace. The recipe is copied into it, to be read and edited.

    \b
    Example:
      avis-data -C my-dataset init --recipe avis-20
    """
    from avis_data.recipe import create_workspace

    workspace = current_workspace()
    recipe = create_workspace(workspace, recipe_name)
    click.echo(f"{workspace.recipe}: {recipe.name}: {recipe.description}")

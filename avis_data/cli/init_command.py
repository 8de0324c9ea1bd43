"""`avis-data init`."""

from __future__ import annotations

from pathlib import Path

import click

from avis_data.cli.options import current_workspace
from avis_data.errors import ConfigError

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
@click.option(
    "--put",
    "elsewhere",
    multiple=True,
    metavar="NAME=FOLDER",
    help="A folder of the workspace lies elsewhere, as on a bigger disk; may be repeated.",
)
def command(recipe_name: str, elsewhere: tuple[str, ...]) -> None:
    """Make the current folder (or -C DIR) a workspace. The recipe is copied into it, to be read and edited.

    With --put a folder of it (clips, sources, exports, runs ...) is a link to FOLDER. It holds for you, on this
    machine, for this folder: a workspace that was moved, copied or unpacked has it said anew. Commands refuse to write
    or delete through any other link that leads out of a workspace. It may also be said of a workspace that exists.

    \b
    Example:
      avis-data -C my-dataset init --recipe avis-20
      avis-data -C my-dataset init --put sources=/big/sources --put clips=/big/clips
    """
    from avis_data.links.put_folders import put
    from avis_data.recipe import create_workspace

    workspace = current_workspace()
    if elsewhere:
        put(workspace.root, dict(_parted(text) for text in elsewhere))
    recipe = create_workspace(workspace, recipe_name)
    click.echo(f"{workspace.recipe}: {recipe.name}: {recipe.description}")


def _parted(text: str) -> tuple[str, Path]:
    name, sign, folder = text.partition("=")
    path = Path(folder).expanduser()
    if not sign or not path.is_absolute():
        raise ConfigError(f"--put {text}: write NAME=FOLDER with the folder in full, as clips=/big/clips")
    return name, path

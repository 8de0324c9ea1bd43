"""`avis-data patch`: a new version's truth out of the old one and a file of changes."""

from __future__ import annotations

from pathlib import Path

import click

from avis_data.cli.options import out_option

__all__ = ["command"]

_SET = click.Path(exists=True, path_type=Path)


@click.command(name="patch")
@click.argument("old", type=_SET)
@click.argument("changes", type=_SET)
@out_option(required=True)
def command(old: Path, changes: Path, out: Path) -> None:
    """Make the truth files of a new version: the dataset OLD with the CHANGES that `avis-data diff --save` wrote.

    The folder --out then has the very content of the new version's truth files, or is not made at all.

    \b
    Example:
      avis-data patch aviseg changes-1.1.0.json --out aviseg-1.1.0
    """
    from avis_data.errors import ConfigError
    from avis_data.versions.patch import apply_changes
    from avis_data.versions.version import split_files

    if out.exists():
        raise ConfigError(f"{out}: is there already", hint="give --out a new folder")
    made = apply_changes(changes, split_files(old), out)
    click.echo("\n".join(map(str, made)))

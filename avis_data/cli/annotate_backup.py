"""`avis-data annotate backup` and `annotate restore`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from avis_data.cli.options import current_workspace, out_option

__all__ = ["back_up_labels", "restore_labels"]


@click.command("backup")
@out_option(required=True)
def back_up_labels(out: Path) -> None:
    """Copy all that people did on Label Studio into a new folder, while they work.

    The copy has the server's database as of one instant, its settings and uploads, what was pulled, the accounts, and
    snapshot.jsonl: all tasks and answers as text. It holds passwords' hashes and tokens: keep it private. Servers that
    others run (--label-studio-url) are backed up by them.

    \b
    Example:
      avis-data -C my-dataset annotate backup --out ../backups/monday
    """
    from avis_data.annotation.labelstudio.backups import back_up
    from avis_data.annotation.serve.label_studio_install import LABEL_STUDIO_VERSION

    now = datetime.now(UTC).isoformat(timespec="seconds")
    record = back_up(current_workspace(), out, version=LABEL_STUDIO_VERSION, now=now)
    click.echo(f"{out}: {record.tasks} tasks, {record.answers} answers, {len(record.files)} files")


@click.command("restore")
@click.argument("folder", type=click.Path(path_type=Path))
def restore_labels(folder: Path) -> None:
    """Bring a backup into this workspace, which has no server yet; then start it: avis-data annotate serve.

    The workspace may lie on another machine and in another folder, and the server may have another port. It needs the
    same clips: a copy of the workspace, or one that was made again from its list.

    \b
    Example:
      avis-data -C my-dataset annotate restore ../backups/monday
    """
    from avis_data.annotation.labelstudio.backups import restore
    from avis_data.annotation.serve.label_studio_install import LABEL_STUDIO_VERSION

    found = restore(current_workspace(), folder, version=LABEL_STUDIO_VERSION)
    record = found.record
    click.echo(f"{folder}: {record.tasks} tasks, {record.answers} answers of {record.made_at} are back")
    for name in found.kept:
        click.echo(f"  annotations/{name}: differs from the backup; the workspace's own stays", err=True)
    click.echo("  start it: avis-data annotate serve", err=True)

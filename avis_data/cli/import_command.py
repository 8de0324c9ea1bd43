"""`avis-data import`: existing truth enters the workspace."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from avis_data.cli.options import current_workspace, json_option
from avis_data.errors import ExitCode

if TYPE_CHECKING:
    from avis_data.pipelines.import_truth import ImportReport

__all__ = ["command"]


@click.command(name="import")
@click.argument("truth", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--format", "file_format", type=click.Choice(["ytvis"]), required=True, help="What TRUTH is.")
@click.option("--skip-bad", is_flag=True, help="Leave out videos with problems, whole, instead of importing nothing.")
@click.option("--dry-run", is_flag=True, help="Check and count; change nothing.")
@json_option
def command(truth: Path, file_format: str, skip_bad: bool, dry_run: bool, as_json: bool) -> int:
    """Bring existing truth (masks, tracks, categories) into the workspace.

    TRUTH is a YouTube-VIS / AVISeg file: masks as polygons or RLE, null or [] where an object does not sound. Its
    videos are matched with the clips by name, its categories with the recipe's by name. Nothing is imported if anything
    is wrong. What the file says replaces what the workspace held of the same clips; the file is kept as received.

    \b
    Example:
      avis-data -C dataset import --format ytvis ../world/truth.json
    """
    from avis_data.pipelines.import_truth import import_ytvis
    from avis_data.pipelines.lock import open_for_work

    workspace = current_workspace()
    if dry_run:
        report = import_ytvis(workspace, truth, ledger=None, skip_bad=skip_bad)
    else:
        with open_for_work(workspace, "avis-data import") as ledger:
            report = import_ytvis(workspace, truth, ledger=ledger, skip_bad=skip_bad)
    if as_json:
        click.echo(json.dumps(report.as_dict()))
    else:
        _print(report, dry_run=dry_run)
    return ExitCode.PARTIAL if report.problems else ExitCode.OK


def _print(report: ImportReport, *, dry_run: bool) -> None:
    verb = "would import" if dry_run else "imported"
    click.echo(
        f"{verb} {report.num_clips} clip(s), {report.num_tracks} track(s), {report.num_masks} mask(s) of {report.file}"
    )
    for number, text in (
        (report.num_silent_clips, "clip(s) in which nothing sounds"),
        (report.num_maskless_tracks, "track(s) that never sound"),
        (report.num_clips_without, "clip(s) of the workspace are not in the file"),
        (report.dropped_polygons, "outline(s) dropped: fewer than 3 points or an odd number of values"),
        (len(report.skipped_clips), "video(s) of the file left out for their problems:"),
    ):
        if number:
            click.echo(f"  {number} {text}")
    for problem in report.problems:
        click.echo(f"    {problem}")

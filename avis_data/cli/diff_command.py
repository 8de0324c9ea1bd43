"""`avis-data diff`: what changed between two versions of a dataset."""

from __future__ import annotations

import json
from pathlib import Path

import click

from avis_data.cli.options import html_option, json_option, on_option, workers_option
from avis_data.cli.written_path import WrittenPath

__all__ = ["command"]

_SET = click.Path(exists=True, path_type=Path)


@click.command(name="diff")
@click.argument("old", type=_SET)
@click.argument("new", type=_SET)
@json_option
@html_option
@click.option(
    "--save",
    type=WrittenPath(),
    metavar="FILE.json",
    help="Write here what `avis-data patch` needs to make NEW of OLD.",
)
@click.option(
    "--score", type=_SET, metavar="RESULTS.json", help="Say what the change does to the figures of results of OLD."
)
@on_option
@workers_option(default=1, show_default=True)
def command(
    old: Path,
    new: Path,
    as_json: bool,
    page: Path | None,
    save: Path | None,
    score: Path | None,
    split: str,
    workers: int,
) -> None:
    """Say what changed from the dataset OLD to NEW: videos, tracks, masks, sounding seconds, categories, splits.

    OLD and NEW are exports, or any folders or truth files in the YTVIS / AVISeg layout. Videos and categories are
    found by name, tracks by their pixels; ids may differ.

    \b
    Example:
      avis-data diff exports/ytvis-1-0-0 exports/ytvis-1-1-0 --html changes.html
    """
    from avis_data.io import write_json
    from avis_data.versions.changes import compare_versions
    from avis_data.versions.patch import changes_json
    from avis_data.versions.scores import score_change
    from avis_data.versions.text import changes_table, score_table
    from avis_data.versions.version import read_version

    before, after = read_version(old), read_version(new)
    changes = compare_versions(before, after, keep_same=save is not None)
    figures = None
    if score is not None:
        figures = score_change(before, after, score, split=split, workers=workers)
    if save is not None:
        write_json(save, changes_json(before, after, changes), indent=None)
    if page is not None:
        from avis_data.report.changes import write_changes_page

        write_changes_page(changes, page, score=figures)
    if as_json:
        click.echo(json.dumps(changes.as_dict() | ({"score": figures.as_dict()} if figures else {}), allow_nan=False))
        return
    click.echo(changes_table(changes))
    if figures is not None:
        click.echo(score_table(figures))

"""`avis-data duplicates`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from avis_data.cli.options import csv_option, current_workspace, html_option, json_option

if TYPE_CHECKING:
    from avis_data.paths import Workspace
    from avis_data.pipelines.duplicates import Duplicates

__all__ = ["command"]


@click.command("duplicates")
@csv_option
@html_option
@json_option
def command(table: Path | None, page: Path | None, as_json: bool) -> None:
    """List clips whose picture or sound is nearly the same, in groups; `avis-data fingerprint` comes before.

    Copies are found that were coded again, cropped, mirrored, letterboxed, or play up to 5 % faster or slower; spans
    that overlap; and the same sound under other pictures. `split: {group_by: [source, near_duplicate]}` in recipe.yaml
    keeps each group on one side of every split.

    \b
    Example:
      avis-data -C my-dataset duplicates --html duplicates.html --csv duplicates.csv
    """
    from avis_data.io import csv_text, write_text
    from avis_data.ledger import Ledger
    from avis_data.pipelines.duplicates import near_duplicates

    workspace = current_workspace()
    with Ledger(workspace.ledger, read_only=True) as ledger:
        found = near_duplicates(workspace, ledger)
    if table is not None:
        write_text(table, csv_text(found.rows()))
    if page is not None:
        _write_page(workspace, found, page)
    if as_json:
        click.echo(json.dumps(found.as_dict()))
        return
    for number, group in enumerate(found.groups):
        click.echo(f"group {number}: {', '.join(group)}")
        for link in found.links:
            if link.first in group:
                mirrored = ", mirrored" if link.is_mirrored else ""
                click.echo(
                    f"  {link.first} {link.second}: {link.by} {link.likeness:.2f}, {link.offset_s:+.1f} s{mirrored}"
                )
    in_groups = sum(len(group) for group in found.groups)
    click.echo(f"{found.num_clips} clip(s), {in_groups} of them in {len(found.groups)} group(s) of near-duplicates")


def _write_page(workspace: Workspace, found: Duplicates, page: Path) -> None:
    from avis_data.manifest import read_manifest
    from avis_data.pipelines.engine.bucket import bring_clip
    from avis_data.records import Clip
    from avis_data.report.duplicates import write_duplicates_page

    clips = {clip.clip_id: clip for clip in read_manifest(workspace.manifest / "clips.jsonl", Clip)}

    def still(clip_id: str, moment_s: float) -> Path | None:
        number = round(moment_s * clips[clip_id].fps)
        bring_clip(workspace, clip_id)
        return workspace.frame(clip_id, number) if 0 <= number < clips[clip_id].num_frames else None

    write_duplicates_page(found.links, found.groups, page, still=still)

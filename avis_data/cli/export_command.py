"""`avis-data export`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from avis_data.cli.options import current_workspace

if TYPE_CHECKING:
    from avis_data.paths import Workspace
    from avis_data.pipelines.export import ExportPlan

__all__ = ["command"]

_COLUMNS = ("clips", "sources", "seconds", "tracks", "masks", "silent_seconds", "single_seconds", "multi_seconds")


@click.command("export")
@click.option("--format", type=click.Choice(["ytvis"]), default="ytvis", show_default=True)
@click.option("--split", metavar="N/N/N", help="train/val/test or train/val: numbers of clips, or percentages.")
@click.option("--split-file", type=click.Path(dir_okay=False, path_type=Path), help="CSV or JSON of clip_id to split.")
@click.option("--name", default="ytvis", show_default=True, help="Folder below exports/.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the division into splits.")
@click.option(
    "--clips",
    type=click.Choice(["accepted", "all"]),
    default="accepted",
    show_default=True,
    help="Only clips with accepted truth, or the others too, without annotations.",
)
@click.option(
    "--include",
    type=click.Choice(["draft"]),
    help="Also labels that no reviewer accepted yet; the certificate says so.",
)
@click.option(
    "--masks",
    type=click.Choice(["polygons", "rle"]),
    default="polygons",
    show_default=True,
    help="rle is much smaller; the official evaluation reads polygons only.",
)
@click.option(
    "--without-features", "features", is_flag=True, flag_value=False, default=True, help="Leave FEATAudios out."
)
@click.option("--workers", type=click.IntRange(min=1), default=4, show_default=True, help="Threads.")
@click.option("--force", is_flag=True, help="Replace an export of the same name.")
@click.option("--dry-run", is_flag=True, help="Only say what would be written.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(dry_run: bool, as_json: bool, **choices: Any) -> None:
    """Write a dataset others can read: splits, stills, sound, features, truth, and a certificate.

    Clips of one source stay on one side, categories and numbers of sources are spread evenly. Everything is read
    back and compared before the export gets its name.

    \b
    Example:
      avis-data export --format ytvis --split 616/105/205 --seed 1
      avis-data export --split 75/25 --name small --dry-run
    """
    from avis_data.pipelines.export import ExportOptions, export_ytvis, plan_export

    workspace, options = current_workspace(), ExportOptions(**choices)
    _take_labels(workspace, dry_run=dry_run)
    if dry_run:
        plan = plan_export(workspace, options)
        _show(plan, {"dry_run": True, **plan.as_dict()}, f"would write exports/{options.name}", as_json=as_json)
        return
    report = export_ytvis(workspace, options)
    said = "is already there" if report.already_done else f"written, {report.num_files} files, read back and compared"
    _show(report.plan, report.as_dict(), f"{report.path}: {said}", as_json=as_json)


def _take_labels(workspace: Workspace, *, dry_run: bool) -> None:
    """Bring the tables up to what people said; a dry run only tells that they are not."""
    from avis_data.annotation.current import changed_clips, refresh_current
    from avis_data.pipelines.lock import open_for_work

    changed = changed_clips(workspace)
    if changed and dry_run:
        click.echo(f"the labels of {len(changed)} clip(s) changed since; this is the export without that", err=True)
    elif changed:
        with open_for_work(workspace, "avis-data export") as ledger:
            refresh_current(workspace, ledger)


def _show(plan: ExportPlan, result: dict[str, Any], headline: str, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(result, ensure_ascii=False))
        return
    division = plan.assignment
    click.echo(
        f"{headline} (split {division.request}" + (f", seed {division.seed})" if division.seed is not None else ")")
    )
    names = [column.removesuffix("_seconds") for column in _COLUMNS]
    click.echo(f"{'':8}" + "".join(f"{name:>10}" for name in names))
    for split, counts in result["counts"].items():
        click.echo(f"{split:8}" + "".join(f"{counts[column]:>10}" for column in _COLUMNS))
    off = result["max_deviation_clips"]
    click.echo(f"balance: no category or number of sources is more than {off:.1f} clips off its share of a split")
    size = (
        f"{plan.bytes_linked / 1e6:.1f} MB of stills (linked), {plan.bytes_written / 1e6:.1f} MB of sound and features"
    )
    click.echo(size)
    left_out = len(plan.inputs.without_truth)
    if left_out:
        without = sum(not item.has_truth for item in plan.inputs.clips)
        how = "exported without annotations" if without else "left out (--clips all takes them)"
        click.echo(f"{left_out} clip(s) without accepted truth: {how}")
    if plan.inputs.dropped:
        click.echo(f"{len(plan.inputs.dropped)} clip(s) dropped by a reviewer: never exported")
    drafts = sum(item.labels is not None and item.labels.state == "draft" for item in plan.inputs.clips)
    if drafts:
        click.echo(f"{drafts} clip(s) with labels that no reviewer accepted yet (--include draft)")
    unknown = plan.inputs.unknown_categories()
    if unknown:
        named = ", ".join(f"{name!r} {count}" for name, count in unknown.items())
        click.echo(f"the list names categories that the set {plan.inputs.categories.name!r} lacks, in clip(s): {named}")

"""`avis-data export`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from avis_data.cli.options import (
    current_workspace,
    dry_run_option,
    force_option,
    json_option,
    objects_option,
    seed_option,
    workers_option,
)
from avis_data.errors import ConfigError

if TYPE_CHECKING:
    from avis_data.paths import Workspace
    from avis_data.pipelines.exports.avsbench import AvsbenchPlan
    from avis_data.pipelines.exports.ytvis import ExportPlan

__all__ = ["command"]

_COLUMNS = ("clips", "sources", "seconds", "tracks", "masks", "silent_seconds", "single_seconds", "multi_seconds")
_YTVIS_ONLY = {"select": "accepted", "objects": None, "masks": "polygons", "features": True}
"""Options that other formats have no use for, and what they are when nobody gives them."""


@click.command("export")
@click.option(
    "--format",
    type=click.Choice(["ytvis", "avsbench-s4", "avsbench-ms3"]),
    default="ytvis",
    show_default=True,
    help="The format of the dataset.",
)
@click.option(
    "--split", metavar="N/N/N", help="Sizes of train/val/test or train/val: numbers of clips, or percentages."
)
@click.option("--split-file", type=click.Path(dir_okay=False, path_type=Path), help="CSV or JSON of clip_id to split.")
@click.option("--name", help="Folder below exports/; default: the format.")
@seed_option()
@click.option(
    "--select",
    type=click.Choice(["accepted", "all"]),
    default="accepted",
    show_default=True,
    help="Clips with accepted truth only, or the others too, without annotations (ytvis).",
)
@click.option(
    "--include",
    type=click.Choice(["draft"]),
    help="Take labels that no reviewer accepted yet too; the certificate says so.",
)
@objects_option(show_default="as the recipe says")
@click.option(
    "--masks",
    type=click.Choice(["polygons", "rle"]),
    default="polygons",
    show_default=True,
    help="How masks are written: rle is much smaller; the official evaluation reads polygons only (ytvis).",
)
@click.option(
    "--without-features",
    "features",
    is_flag=True,
    flag_value=False,
    default=True,
    help="Leave the folder FEATAudios out (ytvis).",
)
@click.option(
    "--sound",
    type=click.Choice(["wav", "logmel"]),
    help="Write audio_wav (default), or audio_log_mel as .npy (avsbench).",
)
@workers_option(default=4, show_default=True)
@force_option
@dry_run_option
@json_option
def command(dry_run: bool, as_json: bool, **choices: Any) -> None:
    """Write a dataset others can read: splits, stills, sound, features, truth, and a certificate.

    Clips of one source stay on one side, categories and numbers of sources are spread evenly. Everything is read
    back and compared before the export gets its name. --force replaces an export of the same name.

    \b
    Example:
      avis-data export --format ytvis --split 616/105/205 --seed 1
      avis-data export --split 75/25 --name small --dry-run
      avis-data export --format avsbench-s4 --split 70/15/15
    """
    workspace = current_workspace()
    choices["name"] = choices["name"] or choices["format"]
    plan_it, export_it = _ytvis(workspace, choices) if choices["format"] == "ytvis" else _avsbench(workspace, choices)
    _take_labels(workspace, dry_run=dry_run)
    if dry_run:
        plan = plan_it()
        _show(plan, {"dry_run": True, **plan.as_dict()}, f"would write exports/{choices['name']}", as_json=as_json)
        return
    report = export_it()
    said = "is already there" if report.already_done else f"written, {report.num_files} files, read back and compared"
    _show(report.plan, report.as_dict(), f"{report.path}: {said}", as_json=as_json)


def _ytvis(workspace: Workspace, choices: dict[str, Any]) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """What plans and what makes the export of whole clips."""
    from avis_data.pipelines.exports.ytvis import ExportOptions, export_ytvis, plan_export

    if choices.pop("sound") is not None:
        raise ConfigError("--sound goes with --format avsbench-s4 and avsbench-ms3")
    options = ExportOptions(clips=choices.pop("select"), truth=choices.pop("objects"), **choices)
    return partial(plan_export, workspace, options), partial(export_ytvis, workspace, options)


def _avsbench(workspace: Workspace, choices: dict[str, Any]) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """What plans and what makes the export of clips of five seconds."""
    from avis_data.pipelines.exports.avsbench import AvsbenchOptions, export_avsbench, plan_avsbench

    for name, usual in _YTVIS_ONLY.items():
        if choices.pop(name) != usual:
            option = "--without-features" if name == "features" else f"--{name}"
            raise ConfigError(f"{option} goes with --format ytvis")
    choices["sound"] = choices["sound"] or "wav"
    options = AvsbenchOptions(**choices)
    return partial(plan_avsbench, workspace, options), partial(export_avsbench, workspace, options)


def _take_labels(workspace: Workspace, *, dry_run: bool) -> None:
    """Bring the tables up to what people said; a dry run only tells that they are not."""
    from avis_data.annotation.labels.tables import changed_clips, update_tables
    from avis_data.annotation.labels.workspace_labels import WorkspaceLabels
    from avis_data.pipelines.engine.lock import open_for_work

    changed = changed_clips(WorkspaceLabels(workspace))
    if changed and dry_run:
        click.echo(f"the labels of {len(changed)} clip(s) changed since; this is the export without that", err=True)
    elif changed:
        with open_for_work(workspace, "avis-data export") as ledger:
            update_tables(WorkspaceLabels(workspace), ledger)  # read anew: others may have written meanwhile


def _show(plan: ExportPlan | AvsbenchPlan, result: dict[str, Any], headline: str, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(result, ensure_ascii=False))
        return
    division = plan.assignment
    click.echo(
        f"{headline} (split {division.request}" + (f", seed {division.seed})" if division.seed is not None else ")")
    )
    columns = [column for column in _COLUMNS if column in result["counts"]["total"]]
    click.echo(f"{'':8}" + "".join(f"{column.removesuffix('_seconds'):>10}" for column in columns))
    for split, counts in result["counts"].items():
        click.echo(f"{split:8}" + "".join(f"{counts[column]:>10}" for column in columns))
    off = result["max_deviation_clips"]
    click.echo(f"balance: no category or number of sources is more than {off:.1f} clips off its share of a split")
    for line in _remarks(plan, result):
        click.echo(line)


def _remarks(plan: ExportPlan | AvsbenchPlan, result: dict[str, Any]) -> Iterator[str]:
    """How large it is, and which clips are there in another way than one may think, or not at all."""
    if "bytes_linked" in result:
        linked, written = result["bytes_linked"], result["bytes_written"]
        yield f"{linked / 1e6:.1f} MB of stills (linked), {written / 1e6:.1f} MB of sound and features"
    else:
        yield f"at most {result['bytes_written'] / 1e6:.1f} MB"
        if result["clips_without_window"]:
            yield f"{result['clips_without_window']} clip(s) without 5 seconds that are fit: left out"
    left_out = len(plan.inputs.without_truth)
    if left_out:
        without = sum(not item.has_truth for item in plan.inputs.clips)
        taken = " (--select all takes them)" if "bytes_linked" in result else ""
        how = "exported without annotations" if without else f"left out{taken}"
        yield f"{left_out} clip(s) without accepted truth: {how}"
    if plan.inputs.dropped:
        yield f"{len(plan.inputs.dropped)} clip(s) dropped by a reviewer: never exported"
    drafts = sum(item.labels is not None and item.labels.state == "draft" for item in plan.inputs.clips)
    if drafts:
        yield f"{drafts} clip(s) with labels that no reviewer accepted yet (--include draft)"
    unknown = plan.inputs.unknown_categories()
    if unknown:
        named = ", ".join(f"{name!r} {count}" for name, count in unknown.items())
        yield f"the list names categories that the set {plan.inputs.categories.name!r} lacks, in clip(s): {named}"

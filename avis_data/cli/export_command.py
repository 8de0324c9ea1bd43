"""`avis-data export`: knows no format by name; what a format has and can, its `ExportSpec` says."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import click

from avis_data.cli.options import (
    FormatName,
    current_workspace,
    dry_run_option,
    force_option,
    format_option,
    json_option,
    objects_option,
    seed_option,
    workers_option,
)
from avis_data.cli.own_options import FormatCommand, FormatList, Side, took

if TYPE_CHECKING:
    from avis_data.paths import Workspace
    from avis_data.pipelines.exports.plan import ExportPlan

__all__ = ["command"]


def _sides() -> Iterator[Side]:
    from avis_data.pipelines.exports import FORMATS

    return (Side(spec.name, spec.summary, spec.options()) for spec in FORMATS)


class _ExportCommand(FormatCommand):
    sides: ClassVar[Mapping[str, FormatList]] = {"Formats": _sides}


def _names() -> list[str]:
    from avis_data.pipelines.exports import FORMATS

    return FORMATS.names()


@click.command("export", cls=_ExportCommand)
@format_option(type=FormatName(_names), default="ytvis", show_default=True)
@click.option(
    "--split", metavar="N/N/N", help="Sizes of train/val/test or train/val: numbers of clips, or percentages."
)
@click.option("--split-file", type=click.Path(dir_okay=False, path_type=Path), help="CSV or JSON of clip_id to split.")
@click.option("--name", help="Folder below exports/; default: the format.")
@click.option(
    "--version", metavar="N.N.N", help="Name the version: CHANGES.md then says what is new since the one before."
)
@seed_option()
@click.option(
    "--select",
    type=click.Choice(["accepted", "all"]),
    default="accepted",
    show_default=True,
    help="Clips with accepted truth only, or the others too, without annotations.",
)
@click.option(
    "--include",
    type=click.Choice(["draft"]),
    help="Take labels that no reviewer accepted yet too; the certificate says so.",
)
@objects_option(show_default="as the recipe says")
@workers_option(default=4, show_default=True)
@force_option
@dry_run_option
@json_option
def command(
    format_name: str,
    split: str | None,
    split_file: Path | None,
    name: str | None,
    version: str | None,
    seed: int,
    select: Literal["accepted", "all"],
    include: Literal["draft"] | None,
    objects: Literal["sounding", "visible"] | None,
    workers: int,
    force: bool,
    dry_run: bool,
    as_json: bool,
    **own: object,
) -> None:
    """Write a dataset others can read: splits, stills, sound, features, truth, and a certificate.

    Clips of one source stay on one side, categories and numbers of sources are spread evenly. Everything is read
    back and compared before the export gets its name. --force replaces an export of the same name.

    \b
    Example:
      avis-data export --format ytvis --split 616/105/205 --seed 1
      avis-data export --split 75/25 --name small --dry-run
      avis-data export --version 1.1.0
      avis-data export --format avsbench-s4 --split 70/15/15
    """
    from avis_data.pipelines.exports import FORMATS
    from avis_data.pipelines.exports.plan import ExportOptions, plan_export

    workspace = current_workspace()
    spec = FORMATS[format_name]
    (given,) = took(own, [Side(spec.name, spec.summary, spec.options())], _sides)
    spec = spec.with_options(**given)
    options = ExportOptions(
        name=name,
        version=version,
        split=split,
        split_file=split_file,
        seed=seed,
        select=select,
        include=include,
        objects=objects,
        workers=workers,
        force=force,
    )
    _take_labels(workspace, dry_run=dry_run)
    if dry_run:
        plan = plan_export(workspace, spec, options)
        _show(plan, {"dry_run": True, **plan.as_dict()}, f"would write exports/{plan.name}", as_json=as_json)
        return
    from avis_data.pipelines.exports.publish import export  # a plan does without it, and without 20 MB of it

    report = export(workspace, spec, options)
    said = "is already there" if report.already_done else f"written, {report.num_files} files, read back and compared"
    _show(report.plan, report.as_dict(), f"{report.path}: {said}", as_json=as_json)
    if report.contested_pixels and not as_json:
        from avis_data.formats.sets.overlap import OVERLAP_RULE

        click.echo(f"{report.contested_pixels} pixels are of two objects or more: {OVERLAP_RULE}")


def _take_labels(workspace: Workspace, *, dry_run: bool) -> None:
    """Bring the tables up to what people said; a dry run only tells that they are not."""
    from avis_data.annotation.labels.tables import bring_up_to_date, changed_clips
    from avis_data.annotation.labels.workspace_labels import WorkspaceLabels

    if not dry_run:
        bring_up_to_date(workspace, command="avis-data export")
    elif changed := changed_clips(WorkspaceLabels(workspace)):
        click.echo(f"the labels of {len(changed)} clip(s) changed since; this is the export without that", err=True)


def _show(plan: ExportPlan, result: dict[str, object], headline: str, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(result, ensure_ascii=False))
        return
    division = plan.assignment
    click.echo(
        f"{headline} (split {division.request}" + (f", seed {division.seed})" if division.seed is not None else ")")
    )
    columns = plan.spec.columns
    click.echo(f"{'':8}" + "".join(f"{column.removesuffix('_seconds'):>10}" for column in columns))
    for split, counts in plan.counts().items():
        click.echo(f"{split:8}" + "".join(f"{counts[column]:>10}" for column in columns))
    off = result["max_deviation_clips"]
    click.echo(f"balance: no category or number of sources is more than {off:.1f} clips off its share of a split")
    for line in _remarks(plan):
        click.echo(line)


def _remarks(plan: ExportPlan) -> Iterator[str]:
    """How large it is, and which clips are there in another way than one may think, or not at all."""
    linked, written = plan.size.linked / 1e6, plan.size.written / 1e6
    yield f"{linked:.1f} MB of stills (linked), {written:.1f} MB of other media" if linked else f"{written:.1f} MB"
    if plan.unfit:
        yield f"{len(plan.unfit)} clip(s) {plan.spec.unfit}: left out"
    left_out = len(plan.inputs.without_truth)
    if left_out:
        without = sum(not item.has_truth for item in plan.inputs.clips)
        taken = " (--select all takes them)" if plan.spec.takes_unlabelled else ""
        how = "exported without annotations" if without else f"left out{taken}"
        yield f"{left_out} clip(s) without accepted truth: {how}"
    if plan.inputs.sent_back:
        number = len(plan.inputs.sent_back)
        yield f"{number} clip(s) were sent back by a reviewer and not mended yet: their labels are not taken"
    if plan.inputs.dropped:
        yield f"{len(plan.inputs.dropped)} clip(s) dropped by a reviewer: never exported"
    if plan.inputs.held:
        yield f"{len(plan.inputs.held)} clip(s) held by their licence (rights in recipe.yaml): never exported"
    if bare := len(plan.without_features):
        yield f"{bare} clip(s) without embeddings: exported without these (avis-data embed makes them)"
    drafts = sum(item.labels is not None and item.labels.state == "draft" for item in plan.inputs.clips)
    if drafts:
        yield f"{drafts} clip(s) with labels that no reviewer accepted yet (--include draft)"
    unknown = plan.inputs.unknown_categories()
    if unknown:
        named = ", ".join(f"{name!r} {count}" for name, count in unknown.items())
        yield f"the list names categories that the set {plan.inputs.categories.name!r} lacks, in clip(s): {named}"

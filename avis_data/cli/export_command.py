"""`avis-data export`: knows no format by name; what a format has and can, its `ExportSpec` says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

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
from avis_data.errors import ConfigError

if TYPE_CHECKING:
    from avis_data.formats.sets.options import OwnOption
    from avis_data.paths import Workspace
    from avis_data.pipelines.exports.plan import ExportPlan
    from avis_data.pipelines.exports.spec import ExportSpec

__all__ = ["command"]

_OWN = "own_"
"""What the parameters begin with that are a format's own options."""


class _OwnOption(click.Option):
    """An option that some formats have."""

    def __init__(self, option: OwnOption, formats: tuple[str, ...]) -> None:
        is_flag = option.kind is bool
        usual = None if is_flag or option.usual is None else str(option.usual)
        kind = click.Choice(option.choices) if option.choices else None if is_flag else option.kind
        super().__init__(
            [f"{_OWN}{option.name}", option.flag],
            type=kind,
            is_flag=is_flag,
            default=None,
            help=option.help + (f" Default: {usual}." if usual else ""),
        )
        self.formats = formats


class _ExportCommand(click.Command):
    """Has, beside the options of every export, those of each format that there is."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        return [*super().get_params(ctx), *_own_options()]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        from avis_data.pipelines.exports import FORMATS

        sections: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            title = f"Options of {' and '.join(param.formats)}" if isinstance(param, _OwnOption) else "Options"
            if record is not None:
                sections.setdefault(title, []).append(record)
        sections["Formats"] = [(spec.name, spec.summary) for spec in FORMATS]
        for title, records in sections.items():
            with formatter.section(title):
                formatter.write_dl(records)


def _own_options() -> list[_OwnOption]:
    """One for each flag, whichever formats have it: then it means the same in all of them."""
    from avis_data.pipelines.exports import FORMATS

    having: dict[tuple[str, str], list[tuple[str, OwnOption]]] = {}
    for spec in FORMATS:
        for option in spec.options().values():
            having.setdefault((option.name, option.flag), []).append((spec.name, option))
    return [_OwnOption(found[0][1], tuple(name for name, _ in found)) for found in having.values()]


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
      avis-data export --format avsbench-s4 --split 70/15/15
    """
    from avis_data.pipelines.exports import FORMATS
    from avis_data.pipelines.exports.plan import ExportOptions, plan_export
    from avis_data.pipelines.exports.publish import export

    workspace = current_workspace()
    given = {key.removeprefix(_OWN): value for key, value in own.items() if value is not None}
    spec = _with_own_options(FORMATS[format_name], given)
    options = ExportOptions(
        name=name,
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
    report = export(workspace, spec, options)
    said = "is already there" if report.already_done else f"written, {report.num_files} files, read back and compared"
    _show(report.plan, report.as_dict(), f"{report.path}: {said}", as_json=as_json)


def _with_own_options(spec: ExportSpec, given: dict[str, object]) -> ExportSpec:
    """The format with what was asked of it.

    Raises:
        ConfigError: for an option that other formats have and this one has not; for a value that it does not take.
    """
    known = spec.options()
    for option in _own_options():
        name = (option.name or "").removeprefix(_OWN)
        if name in given and name not in known:
            raise ConfigError(f"{option.opts[0]} goes with --format {' or '.join(option.formats)}")
    return spec.with_options(
        **{name: not known[name].usual if known[name].kind is bool else value for name, value in given.items()}
    )


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
    if plan.inputs.dropped:
        yield f"{len(plan.inputs.dropped)} clip(s) dropped by a reviewer: never exported"
    drafts = sum(item.labels is not None and item.labels.state == "draft" for item in plan.inputs.clips)
    if drafts:
        yield f"{drafts} clip(s) with labels that no reviewer accepted yet (--include draft)"
    unknown = plan.inputs.unknown_categories()
    if unknown:
        named = ", ".join(f"{name!r} {count}" for name, count in unknown.items())
        yield f"the list names categories that the set {plan.inputs.categories.name!r} lacks, in clip(s): {named}"

"""`avis-data import`: existing truth enters the workspace."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import click
from click.core import ParameterSource

from avis_data.cli.options import (
    FormatName,
    available_cores,
    current_workspace,
    dry_run_option,
    format_option,
    json_option,
    verify_option,
    workers_option,
)
from avis_data.cli.own_options import FormatCommand, FormatList, Side, took
from avis_data.cli.report_run import human_bytes, say_report
from avis_data.cli.run_steps import recipe_of
from avis_data.cli.set_options import adjustment_of, read_sides, reader_of, set_options
from avis_data.errors import ConfigError, ExitCode

if TYPE_CHECKING:
    from avis_data.formats.sets.adjust import Adjustment
    from avis_data.ledger import Ledger
    from avis_data.paths import Workspace
    from avis_data.pipelines.engine.planner import Plan
    from avis_data.pipelines.imports.labelled_sets import SetImport
    from avis_data.pipelines.imports.truth import ImportReport
    from avis_data.records import SplitName

__all__ = ["command"]


def _names() -> list[str]:
    from avis_data.formats.sets.registry import SETS

    return ["ytvis", *(name for name in SETS.names() if name != "ytvis" and SETS[name].reader is not None)]


class _ImportCommand(FormatCommand):
    sides: ClassVar[Mapping[str, FormatList]] = {"Formats": read_sides}


@click.command(name="import", cls=_ImportCommand)
@click.argument("source", type=click.Path(exists=True, path_type=Path))
@format_option(type=FormatName(_names), required=True)
@click.option(
    "--media",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The folder with JPEGImages and WAVAudios of SOURCE (ytvis): they become clips first.",
)
@click.option(
    "--into",
    "split",
    type=click.Choice(["train", "val", "test"]),
    help="The split that these clips are of (with --media); default: by the name of SOURCE, as train.json.",
)
@set_options
@click.option(
    "--match",
    "match_by",
    type=click.Choice(["auto", "number", "name", "time"]),
    default="auto",
    show_default=True,
    help="How stills of the set are found among those of the clip.",
)
@click.option(
    "--set-fps",
    type=click.FloatRange(0, 1000, min_open=True),
    help="How many numbers of the set's stills (stills, where they have none) make a second.",
)
@click.option("--set-start", type=float, metavar="S", help="When its first still was taken, seconds into the clip.")
@click.option(
    "--name-pattern", metavar="REGEX", help="Stills are matched by the number in their names, the group of REGEX."
)
@click.option("--first-number", type=click.IntRange(0), metavar="N", help="What the set calls the first still.")
@workers_option()
@verify_option
@click.option(
    "--skip-bad",
    is_flag=True,
    help="Leave out videos with problems (ytvis), whole, instead of importing nothing.",
)
@dry_run_option
@json_option
def command(
    source: Path,
    format_name: str,
    media: Path | None,
    split: SplitName | None,
    sounding: str | None,
    pairs: tuple[str, ...],
    map_file: Path | None,
    clip_name: str | None,
    match_by: Literal["auto", "number", "name", "time"],
    set_fps: float | None,
    set_start: float | None,
    name_pattern: str | None,
    first_number: int | None,
    workers: int | None,
    verify: bool,
    skip_bad: bool,
    dry_run: bool,
    as_json: bool,
    **own: object,
) -> int:
    """Bring existing labels (masks, tracks, categories) into the workspace.

    SOURCE is the file or folder of a set in one of the formats below. Its clips are matched with those of the
    workspace by name, its categories with the recipe's by name, its stills with the clips' stills; sizes and pictures
    are compared. What the set says replaces what the workspace held of the same clips; its files are kept as received.
    A clip with a fault is left out, whole, and the others are taken (exit code 4). docs/formats.md says what each
    format can hold.

    ytvis: SOURCE is a YouTube-VIS / AVISeg file; nothing is imported if anything is wrong (--skip-bad), unless
    something is said of it (--sounding, --map, --match ...), or it is a folder or a ZIP archive: then it is taken as
    other sets are. With --media, the set's own stills and sound become clips first, without a source video: stills are
    copied byte for byte, sound becomes 16 kHz mono. Run again to resume. --into, --workers and --verify go with it.

    \b
    Example:
      avis-data -C dataset import --format ytvis ../world/truth.json
      avis-data -C aviseg import --format ytvis AVISeg/train.json --media AVISeg/train
    """
    matching = {
        "by": match_by,
        "fps": set_fps,
        "start_s": set_start,
        "name_pattern": name_pattern,
        "first_number": first_number,
    }
    as_others = _check_options(format_name, has_media=media is not None) or format_name != "ytvis"
    as_others = as_others or _is_several_files(source, typed="--media" if media else "--skip-bad" if skip_bad else "")
    wanted = _set_import(
        format_name, source, adjustment_of(sounding, pairs, map_file, clip_name, set_fps=set_fps), matching, own
    )
    if media is not None:
        choices = _Choices(workers=workers or available_cores(), verify=verify, skip_bad=skip_bad, as_json=as_json)
        return _import_set(source, media, split, choices, dry_run=dry_run)

    def work(workspace: Workspace, ledger: Ledger | None) -> ImportReport:
        if as_others:
            return _import_of_set(workspace, wanted, ledger)
        return _import_of_file(workspace, source, ledger, skip_bad=skip_bad)

    return _import_labels(work, dry_run=dry_run, as_json=as_json)


_GO_WITH = {
    "--media": "--format ytvis",
    "--skip-bad": "--format ytvis",
    "--into": "--media",
    "--workers": "--media",
    "--verify": "--media",
}
"""What an option needs, of those that do not go with every import."""
_OF_SETS = {
    *("--sounding", "--map", "--map-file", "--clip", "--match"),
    *("--set-fps", "--set-start", "--name-pattern", "--first-number"),
}
"""What people say of a set. A ytvis file says it itself; where they say it of one, it is taken as other sets are."""


def _check_options(format_name: str, *, has_media: bool) -> bool:
    """Refuse an option that was typed and would do nothing; gives whether something is said of the set.

    Raises:
        ConfigError: that names what it goes with.
    """
    context = click.get_current_context()
    able = {"--format ytvis": format_name == "ytvis", "--media": has_media and format_name == "ytvis"}
    typed = {
        param.opts[0]
        for param in context.command.params
        if context.get_parameter_source(param.name or "") is ParameterSource.COMMANDLINE
    }
    for name in sorted(typed & _GO_WITH.keys()):
        if not able[needs := _GO_WITH[name]]:
            shown = "--format ytvis" if needs == "--media" and format_name != "ytvis" else needs
            raise ConfigError(f"{name} goes with {shown}")
    said = sorted(typed & _OF_SETS)
    for name in ("--media", "--skip-bad"):
        if said and name in typed:
            raise ConfigError(f"{said[0]} and {name} do not go together")
    return bool(said)


def _is_several_files(source: Path, *, typed: str) -> bool:
    """Whether a set is an archive or a folder, which is taken as other sets are.

    Raises:
        ConfigError: if an option was typed that goes with one truth file.
    """
    from avis_data.formats.sets.files import is_zip

    if not source.is_dir() and not is_zip(source):
        return False
    if typed:
        raise ConfigError(f"{typed} goes with one truth file, {source} is an archive or a folder", hint="unpack it")
    return True


@dataclass(frozen=True, kw_only=True)
class _Choices:
    workers: int
    verify: bool
    skip_bad: bool
    as_json: bool


def _set_import(
    format_name: str, source: Path, adjustment: Adjustment, matching: Mapping[str, Any], own: Mapping[str, object]
) -> SetImport:
    from avis_data.formats.sets.options import own_options
    from avis_data.formats.sets.registry import SETS
    from avis_data.pipelines.imports.labelled_sets import SetImport
    from avis_data.pipelines.imports.matching import Matching

    spec = SETS[format_name]
    options = own_options(spec.reader) if spec.reader is not None else {}
    (given,) = took(own, [Side(spec.name, spec.summary, options)], read_sides)
    return SetImport(
        path=source,
        format_name=format_name,
        reader=reader_of(spec, given),
        adjustment=adjustment,
        matching=Matching(**matching),
    )


def _import_of_set(workspace: Workspace, wanted: SetImport, ledger: Ledger | None) -> ImportReport:
    """The labels of a set, for clips that are there."""
    from avis_data.pipelines.imports.labelled_sets import import_labelled_set

    return import_labelled_set(workspace, wanted, ledger=ledger)


def _import_of_file(workspace: Workspace, truth: Path, ledger: Ledger | None, *, skip_bad: bool) -> ImportReport:
    """The labels of a ytvis file, for clips that are there."""
    from avis_data.pipelines.imports.truth import import_ytvis

    return import_ytvis(workspace, truth, ledger=ledger, skip_bad=skip_bad)


def _import_labels(work: Callable[[Workspace, Ledger | None], ImportReport], *, dry_run: bool, as_json: bool) -> int:
    """Import under the workspace's lock, or only count, and say what was found."""
    from avis_data.pipelines.engine.lock import open_for_work

    workspace = current_workspace()
    if dry_run:
        report = work(workspace, None)
    else:
        with open_for_work(workspace, "avis-data import") as ledger:
            report = work(workspace, ledger)
    if as_json:
        click.echo(json.dumps(report.as_dict()))
    else:
        _print(report, dry_run=dry_run)
    return ExitCode.PARTIAL if report.problems else ExitCode.OK


def _import_set(truth: Path, media: Path, split: SplitName | None, choices: _Choices, *, dry_run: bool) -> int:
    from avis_data.pipelines.engine.executors.local import LocalExecutors
    from avis_data.pipelines.engine.runner import StageReport
    from avis_data.pipelines.imports.existing_set import import_set, plan_set, read_set
    from avis_data.pipelines.imports.removed import redaction_of

    workspace = current_workspace()
    redaction = redaction_of(workspace, recipe_of(workspace, make_workspace=True, dry_run=True))
    files = read_set(truth, media, split=split, redaction=redaction)  # before a folder becomes a workspace for nothing
    recipe = recipe_of(workspace, make_workspace=True, dry_run=dry_run)
    if dry_run:
        plan, would = plan_set(workspace, recipe, files, verify=choices.verify, skip_bad=choices.skip_bad)
        return _say_plan(plan, would, as_json=choices.as_json)
    code, ended = ExitCode.OK, {}
    executors = LocalExecutors(workers=min(choices.workers, len(files.parsed.dataset.videos)))
    for report in import_set(
        workspace, recipe, files, executors=executors, verify=choices.verify, skip_bad=choices.skip_bad
    ):
        if isinstance(report, StageReport):
            code = max(code, report.exit_code)
            ended["adopt"] = report.as_dict()
        else:
            code = max(code, ExitCode.PARTIAL if report.problems else ExitCode.OK)
            ended |= report.as_dict()
        if not choices.as_json:
            say_report(report, again="run again") if isinstance(report, StageReport) else _print(report, dry_run=False)
    if choices.as_json:
        click.echo(json.dumps(ended))
    return code


def _say_plan(plan: Plan, report: ImportReport, *, as_json: bool) -> int:
    if as_json:
        click.echo(json.dumps({"dry_run": True, "adopt": plan.as_dict(), **report.as_dict()}))
    else:
        size = f" ({human_bytes(plan.expected_bytes or 0)} to read)" if plan.num_to_do else ""
        torn = f", {len(plan.torn)} with missing or changed files" if plan.torn else ""
        click.echo(f"{plan.stage:8} {plan.num_to_do} to do{size}, {plan.num_done} done{torn}")
        _print(report, dry_run=True)
    return ExitCode.PARTIAL if report.problems else ExitCode.OK


_SHOWN = 5
"""Remarks; --json has all."""


def _print(report: ImportReport, *, dry_run: bool) -> None:
    verb = "would import" if dry_run else "imported"
    click.echo(
        f"{verb} {report.num_clips} clip(s), {report.num_tracks} track(s), {report.num_masks} mask(s) of {report.file}"
    )
    for number, text in (
        (report.num_silent_clips, "clip(s) in which nothing sounds"),
        (report.num_maskless_tracks, "track(s) that never sound"),
        (report.num_unsaid_masks, "mask(s) of which nobody said whether they sound"),
        (report.num_clips_without, "clip(s) of the workspace are not in the file"),
        (report.num_removed, "clip(s) of the set were removed from this workspace (avis-data remove): left out"),
        (report.dropped_polygons, "outline(s) dropped: fewer than 3 points or an odd number of values"),
        (len(report.remarks), "remark(s): " + "; ".join(report.remarks[:_SHOWN])),
        (len(report.skipped_clips), "clip(s) of the set left out for their problems:"),
    ):
        if number:
            click.echo(f"  {number} {text}")
    for problem in report.problems:
        click.echo(f"    {problem}")

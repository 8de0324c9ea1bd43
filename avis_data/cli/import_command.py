"""`avis-data import`: existing truth enters the workspace."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

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
from avis_data.cli.report_run import human_bytes, say_report
from avis_data.cli.run_steps import recipe_of
from avis_data.errors import ConfigError, ExitCode

if TYPE_CHECKING:
    from avis_data.pipelines.engine.planner import Plan
    from avis_data.pipelines.imports.truth import ImportReport
    from avis_data.records import SplitName

__all__ = ["command"]


@click.command(name="import")
@click.argument("truth", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@format_option(type=FormatName(lambda: ["ytvis"]), required=True)
@click.option(
    "--media",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The folder with JPEGImages and WAVAudios of TRUTH: they become clips first.",
)
@click.option(
    "--into",
    "split",
    type=click.Choice(["train", "val", "test"]),
    help="The split that these clips are of (with --media); default: by the name of TRUTH, as train.json.",
)
@workers_option()
@verify_option
@click.option("--skip-bad", is_flag=True, help="Leave out videos with problems, whole, instead of importing nothing.")
@dry_run_option
@json_option
def command(
    truth: Path,
    format_name: str,
    media: Path | None,
    split: SplitName | None,
    workers: int | None,
    verify: bool,
    skip_bad: bool,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Bring existing truth (masks, tracks, categories) into the workspace.

    TRUTH is a YouTube-VIS / AVISeg file: masks as polygons or RLE, null or [] where an object does not sound. Its
    videos are matched with the clips by name, its categories with the recipe's by name. Nothing is imported if anything
    is wrong. What the file says replaces what the workspace held of the same clips; the file is kept as received.

    With --media, the set's own stills and sound become clips first, without a source video: stills are copied byte for
    byte, sound becomes 16 kHz mono. Run again to resume. --into, --workers and --verify go with --media.

    \b
    Example:
      avis-data -C dataset import --format ytvis ../world/truth.json
      avis-data -C aviseg import --format ytvis AVISeg/train.json --media AVISeg/train
    """
    if media is not None:
        choices = _Choices(workers=workers or available_cores(), verify=verify, skip_bad=skip_bad, as_json=as_json)
        return _import_set(truth, media, split, choices, dry_run=dry_run)
    for name, value in (("--into", split), ("--workers", workers), ("--verify", verify)):
        if value:
            raise ConfigError(f"{name} goes with --media")
    return _import_truth(truth, skip_bad=skip_bad, dry_run=dry_run, as_json=as_json)


@dataclass(frozen=True, kw_only=True)
class _Choices:
    workers: int
    verify: bool
    skip_bad: bool
    as_json: bool


def _import_truth(truth: Path, *, skip_bad: bool, dry_run: bool, as_json: bool) -> int:
    from avis_data.pipelines.engine.lock import open_for_work
    from avis_data.pipelines.imports.truth import import_ytvis

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


def _import_set(truth: Path, media: Path, split: SplitName | None, choices: _Choices, *, dry_run: bool) -> int:
    from avis_data.pipelines.engine.executors.local import LocalExecutors
    from avis_data.pipelines.engine.runner import StageReport
    from avis_data.pipelines.imports.existing_set import import_set, plan_set, read_set

    files = read_set(truth, media, split=split)  # before a folder becomes a workspace for nothing
    workspace = current_workspace()
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
        size = f" ({human_bytes(plan.expected_bytes or 0)} to read)" if plan.todo else ""
        torn = f", {len(plan.torn)} with missing or changed files" if plan.torn else ""
        click.echo(f"{plan.stage:8} {len(plan.todo)} to do{size}, {plan.num_done} done{torn}")
        _print(report, dry_run=True)
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

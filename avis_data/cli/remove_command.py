"""`avis-data remove`."""

from __future__ import annotations

import getpass
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from avis_data.cli.options import by_option, current_workspace, dry_run_option, json_option, verify_option
from avis_data.cli.report_run import human_bytes
from avis_data.errors import ConfigError, ExitCode

if TYPE_CHECKING:
    from avis_data.paths import Workspace
    from avis_data.pipelines.upkeep.remove import RemovalReport, RemovalRequest
    from avis_data.pipelines.upkeep.tombstones import RemovalReason

__all__ = ["command"]

_SHOWN = 20


@click.command("remove")
@click.argument("video_ids", metavar="[VIDEO]...", nargs=-1)
@click.option(
    "--reason",
    type=click.Choice(["takedown", "rights", "quality", "duplicate"]),
    help="Why it is done; it is kept.",
)
@by_option
@click.option(
    "--exports", "with_exports", is_flag=True, help="Write exports that hold a removed video anew, without it."
)
@verify_option
@dry_run_option
@json_option
def command(
    video_ids: tuple[str, ...],
    reason: RemovalReason | None,
    by: str | None,
    with_exports: bool,
    verify: bool,
    dry_run: bool,
    as_json: bool,
) -> ExitCode:
    """Remove videos for good: sources, clips, labels, tasks, rows of tables and lists. A tombstone stays.

    A removed video does not come back by fetch or import. Exports that hold it are named; --exports writes them anew
    with the same options and the same division, those with a version as the next one. A removal that was broken off
    is completed by the next call, also without VIDEO. There is no way back: --dry-run first.

    --verify changes nothing: it searches every file of the workspace for what was removed, and names what it finds
    (exit code 4).

    \b
    Example:
      avis-data -C my-dataset remove dQw4w9WgXcQ --reason takedown --exports
      avis-data -C my-dataset remove dQw4w9WgXcQ --verify
    """
    from avis_data.pipelines.upkeep.remove import RemovalRequest
    from avis_data.recipe import load_recipe

    workspace = current_workspace()
    load_recipe(workspace)  # before the lock, which would leave files in a folder that is no workspace
    if verify:
        if reason or with_exports or by or dry_run:
            raise ConfigError("--verify only looks: it goes with VIDEO and --json")
        return _verify(workspace, video_ids, as_json=as_json)
    request = RemovalRequest(
        video_ids=video_ids,
        reason=reason,
        by=by or getpass.getuser(),
        today=datetime.now(UTC).date().isoformat(),
        exports=with_exports,
    )
    report = _removed(workspace, request, dry_run=dry_run)
    if as_json:
        click.echo(json.dumps({"dry_run": dry_run, **report.as_dict()}))
    else:
        _say(report, dry_run=dry_run)
    return report.exit_code


def _removed(workspace: Workspace, request: RemovalRequest, *, dry_run: bool) -> RemovalReport:
    from avis_data.annotation.work.removed_tasks import delete_removed_tasks
    from avis_data.ledger import Ledger
    from avis_data.pipelines.engine.lock import REMOVE, open_for_work
    from avis_data.pipelines.upkeep.remove import plan_removal, remove_videos

    if dry_run:
        with Ledger(workspace.ledger, read_only=True) as ledger:
            return plan_removal(workspace, ledger, request)
    if not request.video_ids and not request.exports and not workspace.removed.exists():
        raise ConfigError("no VIDEO is named, and nothing was removed before", hint="avis-data remove --help")
    with open_for_work(workspace, REMOVE) as ledger:
        return remove_videos(
            workspace, ledger, request, on_server=lambda stones: delete_removed_tasks(workspace, stones)
        )


def _verify(workspace: Workspace, video_ids: tuple[str, ...], *, as_json: bool) -> ExitCode:
    from avis_data.pipelines.upkeep.verify import traces_of

    number, traces = traces_of(workspace, video_ids)
    if as_json:
        click.echo(json.dumps({"files": number, "found": [trace.as_dict() for trace in traces]}))
    elif not traces:
        click.echo(f"nothing found in {number} files")
    else:
        for trace in traces:
            click.echo(f"{trace.path}: {trace.what} ({trace.kind})")
        click.echo(f"{len(traces)} found in {number} files")
    return ExitCode.PARTIAL if traces else ExitCode.OK


def _say(report: RemovalReport, *, dry_run: bool) -> None:
    verb = "would remove" if dry_run else "removed"
    if report.completed:
        click.echo(f"completed a removal of {report.completed} video(s) that was broken off")
    click.echo(f"{verb} {report.videos} video(s), {report.clips} clip(s): {human_bytes(report.bytes_freed)}")
    for kind, number in sorted(report.files.items()):
        click.echo(f"  {number:6} {kind}")
    if report.tasks:
        click.echo(f"  {report.tasks:6} task(s) on the labelling server")
    if report.known:
        click.echo(f"{len(report.known)} removed before: {', '.join(report.known[:_SHOWN])}")
    if report.tasks_left is not None:
        click.echo(f"tasks on the labelling server are left: {report.tasks_left}", err=True)
        click.echo("  the next avis-data annotate push, review start or remove deletes them", err=True)
    for entry in report.rewritten:
        if entry.problem is None:
            what = "no clip was left, removed"
            if entry.now is not None:
                what = "written anew" if entry.now == entry.name else f"written anew as exports/{entry.now}, removed"
            click.echo(f"exports/{entry.name}: {what}")
        else:
            click.echo(f"exports/{entry.name}: holds them still, {entry.problem}", err=True)
    still = [name for name in report.exports if all(entry.name != name for entry in report.rewritten)]
    for name in still:
        click.echo(f"exports/{name}: holds {'them' if dry_run else 'what was removed'}; --exports writes it anew")

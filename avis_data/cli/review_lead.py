"""What the lead says beside the rounds: `avis-data review assign`, `reopen`, `settle` and `comment`."""

from __future__ import annotations

import getpass
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from avis_data.cli.options import by_option, current_workspace, json_option, of_option
from avis_data.errors import AvisError, ConfigError, ExitCode

if TYPE_CHECKING:
    from avis_data.annotation.labels.rounds import Place
    from avis_data.annotation.labels.workspace_labels import WorkspaceLabels
    from avis_data.annotation.work.lead import AssignReport

__all__ = ["assign", "comment", "reopen", "settle"]

_note_option = click.option("--note", metavar="TEXT", required=True, help="For the next person; it is kept.")


@click.command("assign")
@click.argument("clip_ids", metavar="[CLIP]...", nargs=-1)
@click.option("--person", metavar="EMAIL", help="Only the tasks that this person has, or `anyone`.")
@click.option("--give-to", metavar="A,B", required=True, help="E-mails of those who get the tasks.")
@json_option
def assign(clip_ids: Sequence[str], person: str | None, give_to: str, as_json: bool) -> int:
    """Give open tasks to somebody else, in drafts, reviews and fixes: of some clips, of one person, or both.

    What people submitted is pulled first, and counts. A task that nobody began is taken off the server; one that
    somebody began stays there and says that it is another's now. Nobody gets their own labels to review.

    \b
    Example:
      avis-data review assign --person dan@example.com --give-to ann@example.com,bob@example.com
      avis-data review assign dog_park_1 --give-to carol@example.com
    """
    from avis_data.annotation.labels.tables import update_tables
    from avis_data.annotation.labels.workspace_labels import WorkspaceLabels
    from avis_data.annotation.labelstudio.settings import connect
    from avis_data.annotation.work.lead import assign_anew
    from avis_data.pipelines.engine.lock import open_for_work

    to = _emails(give_to)
    if not clip_ids and person is None:
        raise ConfigError("whose tasks, or which clips?", hint="avis-data review assign --person A --give-to B")
    workspace = current_workspace()
    client, settings = connect(workspace)
    with open_for_work(workspace, "avis-data review assign") as ledger:
        labels = WorkspaceLabels(workspace)
        who = person.strip().lower() if person is not None else None
        report = assign_anew(labels, client, settings, to=to, person=who, clip_ids=clip_ids)
        update_tables(labels, ledger)
    if as_json:
        click.echo(json.dumps(report.as_dict(), ensure_ascii=False))
    else:
        _say_assigned(report)
    return ExitCode.PARTIAL if report.left else ExitCode.OK


@click.command("reopen")
@click.argument("clip_id", metavar="CLIP")
@_note_option
@by_option
@json_option
def reopen(clip_id: str, note: str, by: str | None, as_json: bool) -> int:
    """Let a clip that was accepted or dropped be reviewed once more. `review start` gives it out.

    \b
    Example:
      avis-data review reopen dog_park_1 --note "the second dog is missing"
    """
    from avis_data.annotation.work import lead

    return _decided(
        clip_id, lambda labels, who, now: lead.reopen(labels, clip_id, note=note, by=who, at=now), by, as_json
    )


@click.command("settle")
@click.argument("clip_id", metavar="CLIP")
@click.argument("verdict", type=click.Choice(["accept", "send back", "drop clip"]))
@of_option
@_note_option
@by_option
@json_option
def settle(clip_id: str, verdict: str, of: str | None, note: str, by: str | None, as_json: bool) -> int:
    """End a review by your word: reviewers who disagree, or who do not answer what was asked back.

    The labels are those of --of, else of the reviewer who gave this verdict, or of the only one who said anything.

    \b
    Example:
      avis-data review settle dog_park_1 accept --note "the masks are right"
    """
    from avis_data.annotation.labels.records import Verdict
    from avis_data.annotation.work import lead

    def decide(labels: WorkspaceLabels, who: str, now: str) -> Place:
        return lead.settle(labels, clip_id, Verdict(verdict), of=of, note=note, by=who, at=now)

    return _decided(clip_id, decide, by, as_json)


@click.command("comment")
@click.argument("clip_id", metavar="CLIP")
@_note_option
@by_option
@json_option
def comment(clip_id: str, note: str, by: str | None, as_json: bool) -> int:
    """Say something of a clip: its page shows it when it is loaded anew, and the next one, `review status` and history.

    \b
    Example:
      avis-data review comment dog_park_1 --note "the bark at the end is off-screen"
    """
    from avis_data.annotation.work import lead

    return _decided(
        clip_id, lambda labels, who, now: lead.comment(labels, clip_id, note=note, by=who, at=now), by, as_json
    )


def _decided(clip_id: str, decide: Callable[[WorkspaceLabels, str, str], Place], by: str | None, as_json: bool) -> int:
    from avis_data.annotation.labels.tables import update_tables
    from avis_data.annotation.labels.workspace_labels import WorkspaceLabels
    from avis_data.annotation.work.lead import tell_page
    from avis_data.pipelines.engine.lock import open_for_work
    from avis_data.recipe import load_recipe

    workspace = current_workspace()
    load_recipe(workspace)
    fault = None
    with open_for_work(workspace, "avis-data review") as ledger:
        labels = WorkspaceLabels(workspace)
        place = decide(labels, by or getpass.getuser(), datetime.now(UTC).isoformat(timespec="seconds"))
        update_tables(labels, ledger)
        try:
            tell_page(labels, clip_id)
        except AvisError as error:
            fault = error
    click.echo(json.dumps(place.as_dict(), ensure_ascii=False) if as_json else f"{clip_id}: {place.state.value}")
    if fault is not None:
        click.echo(f"it is kept, but its page does not show it yet ({fault}); give the same command again", err=True)
    return ExitCode.PARTIAL if fault is not None else ExitCode.OK


def _emails(text: str) -> list[str]:
    found = list(dict.fromkeys(name.strip().lower() for name in text.split(",") if name.strip()))
    for name in found:
        if "@" not in name:
            raise ConfigError(f"--give-to: {name!r} is no e-mail address")
    if not found:
        raise ConfigError("--give-to names nobody")
    return found


def _say_assigned(report: AssignReport) -> None:
    for item in report.moved:
        click.echo(f"{item.round}/{item.clip_id}: {item.before or 'anyone'} -> {item.after}")
    if not report.moved:
        click.echo("nothing was given to others")
    for clip_id, why in report.left.items():
        click.echo(f"{clip_id} stays: {why}", err=True)
    for part in report.pushed:
        if part.refused:
            click.echo(f"{part.annotator}: the server refuses the project in {part.round}: {part.refused}", err=True)
    if report.num_kept:
        click.echo(f"{report.num_kept} task(s) were begun: they stay on the server and say that they are another's")
    if report.without_account:
        who = ", ".join(report.without_account)
        click.echo(f"no account on the server yet: {who}; they make it at {report.invitation}", err=True)

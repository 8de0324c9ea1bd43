"""`avis-data review`: the rounds of review, from draft to accepted."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from avis_data.cli.options import current_workspace, json_option
from avis_data.cli.review_lead import assign, comment, reopen, settle
from avis_data.errors import ConfigError, ExitCode, ToolError

if TYPE_CHECKING:
    from avis_data.annotation.labels.rounds import Place
    from avis_data.annotation.labels.workspace_labels import WorkspaceLabels
    from avis_data.annotation.work.history import ClipHistory
    from avis_data.annotation.work.project_status import Address
    from avis_data.annotation.work.review_start import StartReport

__all__ = ["command"]

_SHOWN = 100
"""So many clips are listed where nobody asks for all."""


@click.group("review")
def command() -> None:
    """Review what was labelled: draft, review, fix, review again, until every clip is accepted or dropped.

    \b
    Example:
      avis-data annotate pull
      avis-data review start --reviewers carol@example.com
      avis-data review status
    """


@command.command("start")
@click.option("--reviewers", metavar="A,B", default="", help="E-mails; default: all who labelled, if there are two.")
@click.option("--allow-own", is_flag=True, help="People may review what they labelled themselves; it is certified.")
@json_option
def start(reviewers: str, allow_own: bool, as_json: bool) -> int:
    """Give what was labelled to reviewers, and what was sent back to those who labelled it.

    Nobody reviews what they labelled, unless --allow-own lets them. The page shows the labels as they are now and the
    last note. Run it as often as you like: a second run adds only what is new.

    \b
    Example:
      avis-data review start --reviewers carol@example.com,dan@example.com
    """
    from tqdm import tqdm

    from avis_data.annotation.labels.tables import update_tables
    from avis_data.annotation.labels.workspace_labels import WorkspaceLabels
    from avis_data.annotation.labelstudio.settings import connect
    from avis_data.annotation.work.review_start import start_review
    from avis_data.pipelines.engine.lock import open_for_work
    from avis_data.recipe import load_recipe

    workspace = current_workspace()
    load_recipe(workspace)  # before the lock, which would leave files in a folder that is no workspace
    people = _emails(reviewers)
    client, settings = connect(workspace)
    with (
        open_for_work(workspace, "avis-data review start") as ledger,
        tqdm(desc="push", unit="clip", disable=None) as bar,
    ):
        labels = WorkspaceLabels(workspace)
        report = start_review(
            labels,
            client,
            settings,
            reviewers=people,
            allow_own=allow_own,
            on_clip=lambda _: bar.update() and None,
        )
        update_tables(labels, ledger)
    if as_json:
        click.echo(json.dumps(report.as_dict(), ensure_ascii=False))
    else:
        _print_start(report)
    refused = any(part.refused for part in report.pushed)
    return ExitCode.PARTIAL if report.plan.without_reviewer or refused else ExitCode.OK


@command.command("status")
@click.option("--state", metavar="STATE", help="Only the clips in this state, as 'to fix'.")
@click.option("--all", "list_all", is_flag=True, help=f"List every clip, not only the first {_SHOWN}.")
@json_option
def status(state: str | None, list_all: bool, as_json: bool) -> None:
    """Say where every clip stands, what waits for whom and where, what to pull, and the next command.

    \b
    Example:
      avis-data review status
      avis-data review status --state review --all
      avis-data review status --state review --json
    """
    from avis_data.annotation.labels.rounds import ClipState
    from avis_data.annotation.labels.workspace_labels import WorkspaceLabels
    from avis_data.recipe import load_recipe

    workspace = current_workspace()
    load_recipe(workspace)
    known = [item.value for item in ClipState]
    if state is not None and state not in known:
        raise ConfigError(f"no state {state!r}; there are: {', '.join(known)}")
    labels = WorkspaceLabels(workspace)
    every = labels.places()
    shown = [place for place in every if state in (None, place.state.value)]
    around = _around(labels)
    if as_json:
        click.echo(json.dumps({**_status_json(every, shown), **around.as_dict()}, ensure_ascii=False))
    else:
        _print_status(every, shown, most=len(shown) if list_all else _SHOWN)
        for line in around.lines():
            click.echo(line)
        if around.fault:
            click.echo(f"what is to be pulled is not known: {around.fault}", err=True)


@command.command("close")
@click.argument("round_name", metavar="ROUND")
@click.option("--reason", metavar="WHY", help="Why it is done; it is kept.")
@json_option
def close(round_name: str, reason: str | None, as_json: bool) -> None:
    """Close a round for good: nothing is given out in it any more.

    What people submitted is pulled first. A round with open clips is closed for a --reason only: these clips get their
    task in the next round. On the server its projects are grey and say that they are closed.

    \b
    Example:
      avis-data review close draft
      avis-data review close review-2 --reason "dan left, carol takes his clips"
    """
    from datetime import UTC, datetime

    from avis_data.annotation.work.close_round import close_workspace_round
    from avis_data.recipe import load_recipe

    if reason is not None and not reason.strip():
        raise ConfigError("--reason is empty", hint=f"avis-data review close {round_name} --reason 'WHY'")
    workspace = current_workspace()
    load_recipe(workspace)
    info, pulled = close_workspace_round(workspace, round_name, now=datetime.now(UTC), reason=reason)
    if pulled is not None and pulled.labelled:
        click.echo(f"{len(pulled.labelled)} answer(s) were pulled before it was closed", err=True)
    if info.close_reason:
        again = "annotate push --round draft" if info.kind == "draft" else "review start"
        click.echo(f"what was open in it is given out anew by: avis-data {again}", err=True)
    if as_json:
        click.echo(info.model_dump_json())
    else:
        click.echo(f"{info.name}: closed at {info.closed_at}" + (f": {info.close_reason}" if info.close_reason else ""))


@command.command("history")
@click.argument("clip_id", metavar="CLIP")
@json_option
def history(clip_id: str, as_json: bool) -> None:
    """Show what people said of a clip and what they changed: masks, seconds, verdicts, notes.

    \b
    Example:
      avis-data review history dog_park_1
    """
    from avis_data.annotation.labels.workspace_labels import WorkspaceLabels
    from avis_data.annotation.work.history import clip_history
    from avis_data.recipe import load_recipe

    workspace = current_workspace()
    load_recipe(workspace)
    found = clip_history(WorkspaceLabels(workspace), clip_id)
    if as_json:
        click.echo(json.dumps(found.as_dict(), ensure_ascii=False))
    else:
        _print_history(found)


@command.command("confirm")
@click.argument("clip_ids", metavar="CLIP...", nargs=-1, required=True)
@json_option
def confirm(clip_ids: Sequence[str], as_json: bool) -> None:
    """Say that the labels of clips fit, although their stills or sound were made again. Look at them first.

    \b
    Example:
      avis-data review confirm dog_park_1
    """
    from avis_data.annotation.labels.tables import confirm_media
    from avis_data.annotation.labels.workspace_labels import WorkspaceLabels
    from avis_data.pipelines.engine.lock import open_for_work
    from avis_data.recipe import load_recipe

    workspace = current_workspace()
    load_recipe(workspace)
    with open_for_work(workspace, "avis-data review confirm"):
        changed = confirm_media(WorkspaceLabels(workspace), clip_ids)
    click.echo(
        json.dumps({"confirmed": changed}) if as_json else f"{len(changed)} of {len(clip_ids)} clip(s) confirmed"
    )


for _command in (assign, comment, reopen, settle):
    command.add_command(_command)


def _emails(text: str) -> list[str]:
    found = [name.strip().lower() for name in text.split(",") if name.strip()]
    for name in found:
        if "@" not in name:
            raise ConfigError(f"--reviewers: {name!r} is no e-mail address")
    return found


def _print_start(report: StartReport) -> None:
    for name, items in sorted(report.plan.assignments.items()):
        for person, number in sorted(Counter(item.annotator or "anyone" for item in items).items()):
            click.echo(f"{name}: {number} clip(s) for {person}")
    if not report.plan.assignments:
        click.echo("nothing new to review or to fix")
    for pushed in report.pushed:
        person = pushed.annotator or "anyone"
        if pushed.refused:
            click.echo(f"{person}: the server refuses the project in {pushed.round}: {pushed.refused}", err=True)
        elif pushed.num_added:
            click.echo(f"project {pushed.project_id} ({pushed.round}, {person}): {pushed.num_added} new task(s)")
    for clip_id, reason in sorted(report.plan.without_reviewer.items()):
        click.echo(f"{clip_id} waits for a reviewer: {reason}", err=True)
    if report.without_account:
        who = ", ".join(report.without_account)
        click.echo(f"no account on the server yet: {who}; they make it at {report.invitation}", err=True)
    if report.plan.without_reviewer:
        click.echo("  hint: avis-data review start --reviewers SOMEBODY.ELSE@EXAMPLE.COM (or --allow-own)", err=True)


@dataclass(frozen=True)
class _Around:
    """What `review status` says beside the clips."""

    addresses: Sequence[Address]
    to_pull: dict[str, int] | None
    fault: str | None
    strangers: dict[str, list[str]]
    next_steps: Sequence[str]

    def as_dict(self) -> dict[str, object]:
        return {
            "addresses": [address.as_dict() for address in self.addresses],
            "to_pull": self.to_pull,
            "server_fault": self.fault,
            "not_in_manifest": self.strangers,
            "next": list(self.next_steps),
        }

    def lines(self) -> Iterator[str]:
        for item in self.addresses:
            yield f"{item.annotator}: {item.num_open} in {item.round}: {item.url}"
        for name, number in (self.to_pull or {}).items():
            yield f"to pull: {number} task(s) of {name}"
        for clip_id, said in self.strangers.items():
            yield f"{clip_id} is not in the manifest (any more), and has labels: {', '.join(said)}"
        for number, step in enumerate(self.next_steps):
            yield f"{'next' if number == 0 else 'then'}: {step}"


def _around(labels: WorkspaceLabels) -> _Around:
    from avis_data.annotation.work.project_status import addresses, next_steps, to_pull

    waiting, fault = None, None
    try:
        waiting = to_pull(labels)
    except ToolError as error:
        fault = str(error.args[0])
    strangers = {
        clip_id: [f"{answer.round} of {answer.annotator}" for answer in answers]
        for clip_id, answers in labels.strangers().items()
    }
    return _Around(addresses(labels), waiting, fault, strangers, next_steps(labels, waiting))


def _waiting(every: Sequence[Place]) -> dict[str, dict[str, int]]:
    """Person to round to number of clips that wait for them."""
    waiting: dict[str, Counter[str]] = {}
    for place in every:
        for person in place.waits_for:
            waiting.setdefault(person, Counter())[place.round or ""] += 1
    return {person: dict(sorted(counts.items())) for person, counts in sorted(waiting.items())}


def _status_json(every: Sequence[Place], shown: Sequence[Place]) -> dict[str, object]:
    return {
        "states": dict(sorted(Counter(place.state.value for place in every).items())),
        "waiting": _waiting(every),
        "clips": [place.as_dict() for place in shown],
    }


def _print_status(every: Sequence[Place], shown: Sequence[Place], *, most: int) -> None:
    counts = Counter(place.state.value for place in every)
    click.echo(", ".join(f"{number} {state}" for state, number in counts.most_common()) or "no clips")
    for person, rounds in _waiting(every).items():
        click.echo(f"waiting for {person}: " + ", ".join(f"{number} in {name}" for name, number in rounds.items()))
    listed = shown[:most]
    width = max((len(place.clip_id) for place in listed), default=0)
    for place in listed:
        waits = f"waits for {', '.join(place.waits_for)}" if place.waits_for else ""
        columns = [f"{place.clip_id:{width}}", f"{place.state.value:10}", f"{place.round or '-':9}", waits]
        click.echo("  ".join(part for part in (*columns, *place.remarks) if part).rstrip())

    if len(shown) > most:
        click.echo(f"... and {len(shown) - most} more: --all lists them, --state S those in one state")


def _print_history(found: ClipHistory) -> None:
    click.echo(f"{found.place.clip_id}: {found.place.state.value}")
    for step in found.steps:
        answer = step.answer
        said = " ".join(part for part in (answer.updated_at, answer.verdict or "no verdict") if part)
        click.echo(f"{answer.round}: {answer.annotator} {said}")
        lines = [f"reasons: {', '.join(answer.reasons)}"] if answer.reasons else []
        lines += [f"note: {answer.note}"] if answer.note else []
        lines += [f"last changed by {answer.updated_by}"] if answer.updated_by else []
        if step.changes is None:
            lines.append(f"{step.num_tracks} track(s), {step.num_masks} mask(s)")
        else:
            lines += step.changes.lines() or [f"nothing changed from {step.started_from}"]
        lines += [f"put right since: {repair.text()}, by {repair.by} {repair.at}" for repair in answer.repairs]
        for line in lines:
            click.echo(f"  {line}")
    for name, decision in found.decisions:
        click.echo(f"{name}: {decision.text()} ({decision.at})")

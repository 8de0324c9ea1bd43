"""`avis-data annotate push`, `annotate pull` and `annotate status`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from avis_data.cli.options import (
    available_cores,
    clips_option,
    current_workspace,
    dry_run_option,
    force_option,
    json_option,
    listed_clips,
    seed_option,
    workers_option,
)
from avis_data.errors import ConfigError, ExitCode

if TYPE_CHECKING:
    from avis_data.annotation.work.pull import PullReport
    from avis_data.annotation.work.push_draft import DraftReport

__all__ = ["pull_labels", "push_clips", "say_status"]

_SHOWN_PROBLEMS = 20
_MOST_LABELS = 50
"""Of a category: a page with more is of no use."""


class _Share(click.ParamType):
    """`5%` or `0.05`."""

    name = "share"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        text = str(value)
        try:
            share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
        except ValueError:
            share = -1.0
        if not 0 <= share <= 1:
            self.fail(f"{text!r} is no share, as 5% or 0.05", param, ctx)
        return share


class _Numbers(click.ParamType):
    """`person=8,dog=3`."""

    name = "numbers"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> dict[str, int]:
        if isinstance(value, dict):
            return value
        found = {}
        for part in filter(None, (part.strip() for part in str(value).split(","))):
            name, equals, number = part.partition("=")
            if not (equals and name.strip() and number.strip().isascii() and number.strip().isdigit()):
                self.fail(f"{part!r}: write CATEGORY=NUMBER, as person=8", param, ctx)
            if not 1 <= int(number) <= _MOST_LABELS:
                self.fail(f"{part!r}: from 1 to {_MOST_LABELS}", param, ctx)
            found[name.strip()] = int(number)
        return found


@click.command("push")
@click.option("--round", "round_name", type=click.Choice(["draft"]), required=True, help="The round, by its name.")
@clips_option
@click.option("--annotators", metavar="A@X,B@Y", help="E-mails of accounts: each gets a project of their own.")
@click.option(
    "--double", type=_Share(), default=0.0, metavar="SHARE", help="Share of the clips that two people label, blind: 5%."
)
@click.option(
    "--labels",
    "more_labels",
    type=_Numbers(),
    default="",
    metavar="CATEGORY=N",
    help="Labels as well; the text above says which.",
)
@seed_option()
@workers_option()
@dry_run_option
@json_option
def push_clips(
    round_name: str,
    clips: str | None,
    annotators: str | None,
    double: float,
    more_labels: dict[str, int],
    seed: int,
    workers: int | None,
    dry_run: bool,
    as_json: bool,
) -> ExitCode:
    """Bring clips to Label Studio as tasks of the first round, filled with what is known. Run again to complete.

    Masks come from propagation or an imported file, spans of sound from loudness. A clip that the server has already is
    left alone, and a clip stays with the person that it was given to (--seed decides who gets which). Previews are made
    where they are missing. --labels person=8,dog=3 gives every page at least so many labels of a category, those that
    are there already too. Later rounds are given out by `avis-data review start`.

    \b
    Example:
      avis-data -C my-dataset annotate push --round draft --annotators ann@example.com,bob@example.com --double 5%
    """
    from avis_data.annotation.work.push_draft import DraftRequest, push_draft

    request = DraftRequest(
        clip_ids=listed_clips(clips),
        annotators=_emails(annotators),
        double=double,
        more_labels=more_labels,
        seed=seed,
        workers=workers or available_cores(),
        dry_run=dry_run,
    )
    report = push_draft(current_workspace(), request)
    if as_json:
        click.echo(json.dumps(report.as_dict()))
    else:
        _say_push(report, dry_run=dry_run)
    refused = not dry_run and any(part["refused"] for part in report.parts)
    return ExitCode.PARTIAL if report.without_preview or refused else ExitCode.OK


@click.command("pull")
@click.option("--round", "round_names", multiple=True, metavar="ROUND", help="The round, by its name.")
@force_option
@json_option
def pull_labels(round_names: tuple[str, ...], force: bool, as_json: bool) -> ExitCode:
    """Fetch what people did since the last pull. They may go on working meanwhile.

    Each state of an annotation is kept as received in annotations/<round>/received, and never changed. What was said
    after a round was closed is kept too, told, and does not count. --round may be repeated. With --force every task is
    asked for again, and all labels of open rounds are made anew.

    \b
    Example:
      avis-data -C my-dataset annotate pull
    """
    from avis_data.annotation.work.pull import pull_workspace

    report = pull_workspace(current_workspace(), names=round_names, force=force)
    if as_json:
        click.echo(json.dumps(report.as_dict()))
    else:
        _say_pull(report)
    return ExitCode.PARTIAL if report.failed else ExitCode.OK


@click.command("status")
@json_option
def say_status(as_json: bool) -> None:
    """Say how many tasks each project has and how many are done, and how the servers of `annotate serve` are.

    The server is asked, nothing is changed.

    \b
    Example:
      avis-data -C my-dataset annotate status
    """
    from avis_data.annotation.labels.made_masks import fillings
    from avis_data.annotation.serve.server_states import refusals, server_states
    from avis_data.annotation.work.project_status import project_statuses

    servers, refused = server_states(current_workspace()), refusals(current_workspace())
    filled = fillings(current_workspace())
    if not as_json:
        for server in servers:
            click.echo(server.words())
        for click_refused in refused:
            click.echo(f"a click came to nothing: {click_refused.at} {click_refused.clip_id}: {click_refused.why}")
        for filling in filled:
            click.echo(f"a box is being filled: {filling.clip_id} {filling.words()}{filling.waits()}")
    rows = project_statuses(current_workspace())
    if as_json:
        projects = [row.as_dict() for row in rows]
        states = {"servers": [server.as_dict() for server in servers], "refused": [item.as_dict() for item in refused]}
        boxes = [filling.as_dict() for filling in filled]
        click.echo(json.dumps({**states, "filling": boxes, "projects": projects}))
        return
    click.echo(f"{'project':50} {'tasks':>6} {'done':>6} {'skipped':>8} {'to pull':>8}  state")
    for row in rows:
        numbers = f"{row.num_tasks:6} {row.num_done:6} {row.num_skipped:8} {row.num_to_pull:8}"
        click.echo(f"{row.title:50} {numbers}  {row.state}")


def _emails(text: str | None) -> list[str]:
    found = [name.strip().lower() for name in (text or "").split(",") if name.strip()]
    for name in found:
        if "@" not in name:
            raise ConfigError(f"--annotators: {name!r} is no e-mail address")
    return found


def _say_push(report: DraftReport, *, dry_run: bool) -> None:
    for part in report.parts:
        who = part["annotator"] or "anyone"
        if dry_run:
            click.echo(f"{who}: {part['clips']} clip(s)")
            continue
        if part["refused"]:
            click.echo(f"{who}: the server refuses the project: {part['refused']}", err=True)
            continue
        removed = f", {part['num_doubles_removed']} double(s) removed" if part["num_doubles_removed"] else ""
        more = part["num_with_more_labels"]
        removed += f", {more} page(s) with more labels (shown when a page is loaded anew)" if more else ""
        click.echo(f"{who}: {part['num_added']} added, {part['num_there']} there already{removed}")
    if report.num_double:
        click.echo(f"{report.num_double} clip(s) are labelled by two people")
    for line in _left_undone(report):
        click.echo(line, err=True)
    if any(part.get("num_added") for part in report.parts):
        for line in report.listening:
            click.echo(line, err=True)
    for clip_id in report.without_preview[:_SHOWN_PROBLEMS]:
        click.echo(f"{clip_id}: no preview, so not pushed (avis-data status --failed)", err=True)
    if report.without_account:
        who = ", ".join(report.without_account)
        click.echo(f"no account on the server yet: {who}; they make it at {report.invitation}", err=True)


def _left_undone(report: DraftReport) -> Iterator[str]:
    """What was asked for and cannot be, with the reason."""
    if report.round != "draft":
        yield f"these are in {report.round}: the draft round before it is closed"
    if report.num_labelled:
        yield f"{report.num_labelled} clip(s) were labelled in an earlier draft round and are left alone"
    if report.num_double_short:
        short = f"{report.num_double_short} fewer are labelled twice than asked for"
        yield f"{short}: the others were given to anyone, or are past their draft"
    if report.without_clips:
        yield f"no clip for {', '.join(report.without_clips)}: all were given to others before, and stay with them"


def _say_pull(report: PullReport) -> None:
    click.echo(
        f"{report.num_tasks} task(s), {report.num_unchanged} unchanged, {report.num_received} annotation(s) received,"
        f" {len(report.labelled)} labelled, {len(report.problems)} problem(s)"
    )
    for name, clip_id, annotator in report.withdrawn:
        click.echo(f"{name}/{clip_id}: {annotator} deleted their annotation; it does not count any more")
    for line in report.repairs:
        click.echo(line)
    for name, clip_id, annotator in report.late:
        said = f"{annotator} changed it after {name} was closed: kept as received, and it does not count"
        click.echo(f"{name}/{clip_id}: {said}", err=True)
    for name, clip_id, problem in report.problems[:_SHOWN_PROBLEMS]:
        click.echo(f"{name}/{clip_id}: {problem.text()}")
    if len(report.problems) > _SHOWN_PROBLEMS:
        click.echo(f"... and {len(report.problems) - _SHOWN_PROBLEMS} more: --json lists all")
    for warning in report.warnings:
        click.echo(f"warning: {warning}", err=True)
    for where, message in report.failed.items():
        click.echo(f"{where}: {message}", err=True)

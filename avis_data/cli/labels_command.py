"""`avis-data labels`: repairs of labels that no editor of single regions offers."""

from __future__ import annotations

import getpass
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from avis_data.cli.options import by_option, current_workspace, dry_run_option, json_option, of_option
from avis_data.errors import ConfigError

if TYPE_CHECKING:
    from avis_data.annotation.labels.kept_repairs import RepairReport
    from avis_data.annotation.labels.records import Answer, Repair

__all__ = ["command"]


class _Still(click.ParamType):
    """`7` as in frames/00007.jpg, or `p8`: page 8."""

    name = "still"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        text = str(value)
        number = text.removeprefix("p")
        if not (number.isascii() and number.isdigit()) or len(number) > 6 or text == "p0":
            self.fail(f"{text!r} is no still: write 7, as in frames/00007.jpg, or p8 for page 8", param, ctx)
        return int(number) - 1 if text.startswith("p") else int(number)


class _Stills(_Still):
    """`8-10,12`."""

    name = "stills"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:  # type: ignore[override]  # several
        found: set[int] = set()
        for part in str(value).split(","):
            first, dash, last = part.strip().partition("-")
            start = super().convert(first, param, ctx)
            end = super().convert(last, param, ctx) if dash else start
            if end < start:
                self.fail(f"{part!r}: the last still lies before the first", param, ctx)
            found |= set(range(start, end + 1))
        return tuple(sorted(found))


_clip_argument = click.argument("clip_id", metavar="CLIP")
_until_option = click.option("--until", "last", type=_Still(), metavar="STILL", help="The last still of it.")
_FROM = "Where to begin, or to take it from."


def _from_option(*, required: bool) -> Callable[[Callable[..., int | None]], Callable[..., int | None]]:
    return click.option("--from", "first", type=_Still(), required=required, metavar="STILL", help=_FROM)


@click.group("labels")
def command() -> None:
    """Put pulled labels right: swap, merge, split, delete, copy. The next round begins with the labels put right.

    A STILL counts from 0, as frames/00007.jpg does; p8 is the same as page 8. A repair says who did it and when,
    done twice it is done once, `labels undo` takes it back, and later pulls keep it.

    \b
    Example:
      avis-data labels swap dog_park_1 person_1 person_2 --from 7
      avis-data labels undo dog_park_1
    """


@command.command("swap")
@_clip_argument
@click.argument("one", metavar="OBJECT")
@click.argument("other", metavar="OTHER")
@_from_option(required=False)
@_until_option
@of_option
@by_option
@dry_run_option
@json_option
def swap(clip_id: str, one: str, other: str, first: int | None, last: int | None, **more: object) -> None:
    """Exchange two objects: masks and sounding seconds, from a still onward.

    \b
    Example:
      avis-data labels swap dog_park_1 person_1 person_2 --from 7
    """
    _repair("swap", clip_id, (one, other), first=first or 0, last=last, more=more)


@command.command("merge")
@_clip_argument
@click.argument("one", metavar="OBJECT")
@click.argument("other", metavar="OTHER")
@_from_option(required=False)
@_until_option
@of_option
@by_option
@dry_run_option
@json_option
def merge(clip_id: str, one: str, other: str, first: int | None, last: int | None, **more: object) -> None:
    """Make OTHER a part of OBJECT: it was one thing all along. Where both have a mask, the two become one.

    \b
    Example:
      avis-data labels merge dog_park_1 person_1 person_2
    """
    _repair("merge", clip_id, (one, other), first=first or 0, last=last, more=more)


@command.command("split")
@_clip_argument
@click.argument("one", metavar="OBJECT")
@click.argument("other", metavar="NEW")
@_from_option(required=True)
@_until_option
@of_option
@by_option
@dry_run_option
@json_option
def split(clip_id: str, one: str, other: str, first: int, last: int | None, **more: object) -> None:
    """Give an object another name from a still onward: it is another thing there, or of another category.

    \b
    Example:
      avis-data labels split dog_park_1 person_1 person_3 --from 7
    """
    _repair("split", clip_id, (one, other), first=first, last=last, more=more)


@command.command("delete")
@_clip_argument
@click.argument("one", metavar="OBJECT")
@_from_option(required=False)
@_until_option
@of_option
@by_option
@dry_run_option
@json_option
def delete(clip_id: str, one: str, first: int | None, last: int | None, **more: object) -> None:
    """Take an object away, with its masks and sounding seconds; from a still onward, if one is named.

    \b
    Example:
      avis-data labels delete dog_park_1 dog_2 --from 7 --until 9
    """
    _repair("delete", clip_id, (one,), first=first or 0, last=last, more=more)


@command.command("copy")
@_clip_argument
@click.argument("one", metavar="OBJECT")
@_from_option(required=True)
@click.option("--onto", type=_Stills(), required=True, metavar="A-B,C", help="The stills that get the mask too.")
@of_option
@by_option
@dry_run_option
@json_option
def copy(clip_id: str, one: str, first: int, onto: tuple[int, ...], **more: object) -> None:
    """Put an object's mask of one still on others too, in place of what it has there.

    \b
    Example:
      avis-data labels copy dog_park_1 dog_1 --from 7 --onto 8-10
    """
    _repair("copy", clip_id, (one,), first=first, onto=onto, more=more)


@command.command("undo")
@_clip_argument
@click.argument("number", type=click.IntRange(1), metavar="[NUMBER]", required=False)
@of_option
@by_option
@json_option
def undo(clip_id: str, number: int | None, of: str | None, by: str | None, as_json: bool) -> None:
    """Take back the last repair of a clip, or the one of this number; others stay.

    \b
    Example:
      avis-data labels undo dog_park_1
      avis-data labels undo dog_park_1 2
    """
    from avis_data.annotation.labels.kept_repairs import undo_repair
    from avis_data.annotation.labels.tables import update_tables
    from avis_data.annotation.labels.workspace_labels import WorkspaceLabels
    from avis_data.pipelines.engine.lock import open_for_work
    from avis_data.recipe import load_recipe

    workspace = current_workspace()
    load_recipe(workspace)
    with open_for_work(workspace, "avis-data labels") as ledger:
        labels = WorkspaceLabels(workspace)
        report = undo_repair(labels, clip_id, number, by=by or getpass.getuser(), at=_now(), of=of)
        update_tables(labels, ledger)
    _say(report, as_json=as_json, dry_run=False)


@command.command("list")
@click.argument("clip_id", metavar="CLIP")
@json_option
def list_repairs(clip_id: str, as_json: bool) -> None:
    """List the repairs of a clip with their numbers, those that were taken back too.

    \b
    Example:
      avis-data labels list dog_park_1
    """
    from avis_data.annotation.labels.kept_repairs import repairs_of
    from avis_data.annotation.labels.workspace_labels import WorkspaceLabels
    from avis_data.recipe import load_recipe

    workspace = current_workspace()
    load_recipe(workspace)
    labels = WorkspaceLabels(workspace)
    if clip_id not in labels.clips and not labels.clip_passages(clip_id):
        raise ConfigError(f"no clip {clip_id!r} in the manifest", hint="avis-data review status")
    found = repairs_of(labels, clip_id)
    if as_json:
        entries = [
            {"round": answer.round, "annotator": answer.annotator, "repairs": [item.model_dump() for item in repairs]}
            for answer, repairs in found
        ]
        click.echo(json.dumps({"clip_id": clip_id, "labels": entries}, ensure_ascii=False))
        return
    for answer, repairs in found:
        _say_repairs(answer, repairs)
    if not found:
        click.echo(f"{clip_id}: nothing was put right")


def _repair(
    kind: str,
    clip_id: str,
    identities: tuple[str, ...],
    *,
    first: int,
    last: int | None = None,
    onto: tuple[int, ...] = (),
    more: dict[str, object],
) -> None:
    from avis_data.annotation.labels.kept_repairs import repair_labels
    from avis_data.annotation.labels.records import Repair, RepairKind
    from avis_data.annotation.labels.tables import update_tables
    from avis_data.annotation.labels.workspace_labels import WorkspaceLabels
    from avis_data.pipelines.engine.lock import open_for_work
    from avis_data.recipe import load_recipe

    workspace = current_workspace()
    load_recipe(workspace)  # before the lock, which would leave files in a folder that is no workspace
    of, by, dry_run = more["of"], more["by"], bool(more["dry_run"])
    wanted = Repair(
        number=1,
        kind=RepairKind(kind),
        identities=identities,
        first=first,
        last=last,
        onto=onto,
        by=str(by or getpass.getuser()),
        at=_now(),
    )
    whose = None if of is None else str(of).strip().lower()
    if dry_run:
        report = repair_labels(WorkspaceLabels(workspace), clip_id, wanted, of=whose, dry_run=True)
    else:
        with open_for_work(workspace, "avis-data labels") as ledger:
            labels = WorkspaceLabels(workspace)
            report = repair_labels(labels, clip_id, wanted, of=whose)
            update_tables(labels, ledger)
    _say(report, as_json=bool(more["as_json"]), dry_run=dry_run)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _say(report: RepairReport, *, as_json: bool, dry_run: bool) -> None:
    if as_json:
        click.echo(json.dumps({"dry_run": dry_run, **report.as_dict()}, ensure_ascii=False))
        return
    labels, repair = report.labels, report.repair
    where = f"{labels.clip_id}: {repair.text()}"
    whose = f"the labels of {labels.annotator} ({labels.round})"
    if report.changes is None:
        did, who = ("undone", repair.undone_by) if repair.undone_at else ("done", repair.by)
        click.echo(f"{where}: {did} before, by {who} at {repair.undone_at or repair.at}; nothing changed")
        return
    verb = "taken back in" if repair.undone_at else "would be done in" if dry_run else "done in"
    click.echo(f"{where}: {verb} {whose}, as repair {repair.number}")
    for line in report.changes.lines():
        click.echo(f"  {line}")
    for problem in labels.problems:
        click.echo(f"  to look at: {problem.text()}")
    if report.was_accepted:
        click.echo(f"{labels.annotator} accepted these labels before, and has not seen this", err=True)


def _say_repairs(answer: Answer, repairs: Sequence[Repair]) -> None:
    click.echo(f"{answer.round}: labels of {answer.annotator}")
    for item in repairs:
        state = ""
        if item.undone_at:
            state = f"; undone by {item.undone_by} {item.undone_at}"
        elif item.waits:
            state = "; waits: the labels were changed on the server since"
        elif item.done_on_page:
            state = f"; {answer.annotator} did the same on the page since"
        click.echo(f"  {item.number}. {item.text()}: by {item.by} {item.at}{state}")

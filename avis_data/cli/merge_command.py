"""`avis-data merge`: two workspaces, or a workspace and a set, become a new workspace."""

from __future__ import annotations

import getpass
import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from avis_data.cli.options import dry_run_option, json_option, out_option
from avis_data.cli.set_options import map_option
from avis_data.errors import ConfigError, ExitCode

if TYPE_CHECKING:
    from avis_data.pipelines.merge.plan import MergeChoices, MergePlan

__all__ = ["command"]

_SHOWN = 20
_FOLDER = click.Path(exists=True, path_type=Path)


@click.command("merge")
@click.argument("a", metavar="A", type=_FOLDER)
@click.argument("b", metavar="B", type=_FOLDER)
@out_option(required=True)
@map_option
@click.option(
    "--rename-clashes",
    "suffix",
    metavar="SUFFIX",
    help="What ids of B get, after a `-`, where A has another video of that name; without it they are refused.",
)
@click.option(
    "--prefer",
    type=click.Choice(["A", "B"]),
    help="Whose word counts where both say something else of the same clip; without it that is refused.",
)
@dry_run_option
@json_option
def command(
    a: Path,
    b: Path,
    out: Path,
    pairs: tuple[str, ...],
    suffix: str | None,
    prefer: Literal["A", "B"] | None,
    dry_run: bool,
    as_json: bool,
) -> ExitCode:
    """Join two workspaces, or the workspace A and the set B in the AVISeg layout, in a new workspace.

    A and B stay as they are. --out is a new workspace with the recipe of A; media are second names of the files of A
    and B where the file system has them, so it takes little space. Labels, rounds, annotations as received, rows of
    lists, embeddings and fingerprints come over, and nothing is computed again. What one side removed does not come
    in from the other. Of a clip that both have, accepted labels count before imported ones and those before drafts.
    Everything that keeps A and B apart is listed at once, and then nothing is written. Killed, run it again.

    \b
    Example:
      avis-data merge lab-1 lab-2 --out whole --dry-run
      avis-data merge lab-1 lab-2 --out whole --map hound=dog --rename-clashes lab2
    """
    from avis_data.formats.sets.adjust import read_category_map
    from avis_data.pipelines.merge.build import check_places
    from avis_data.pipelines.merge.plan import MergeChoices

    check_places(a, b, out)
    if suffix is not None and not re.fullmatch(r"[A-Za-z0-9_-]{1,16}", suffix, re.ASCII):
        raise ConfigError(f"--rename-clashes {suffix!r:.40}: must be 1 to 16 letters, digits, '_' or '-'")
    choices = MergeChoices(categories=read_category_map(pairs, None), suffix=suffix, prefer=prefer)
    plan = _merged(a, b, out, choices, dry_run=dry_run)
    _say(plan, out, dry_run=dry_run, as_json=as_json)
    return ExitCode.BAD_INPUT if plan.problems else ExitCode.OK


def _merged(a: Path, b: Path, out: Path, choices: MergeChoices, *, dry_run: bool) -> MergePlan:
    """Plan it, and do it. What B holds if it is a set is known only when it was read: into a folder beside --out."""
    from avis_data.annotation.work.merged_rounds import MergedRounds
    from avis_data.cli.options import available_cores
    from avis_data.io import remove
    from avis_data.paths import Workspace
    from avis_data.pipelines.engine.executors.local import LocalExecutors
    from avis_data.pipelines.merge.build import build, hold, unfinished
    from avis_data.pipelines.merge.given_set import adopt_given_set
    from avis_data.pipelines.merge.plan import plan_merge
    from avis_data.pipelines.merge.side import read_side
    from avis_data.recipe import load_recipe

    first, is_set = Workspace(a.resolve()), not (b / "recipe.yaml").exists()
    second = Workspace(unfinished(out, what="set-") if is_set else b.resolve())
    for workspace in (first,) if is_set else (first, second):
        load_recipe(workspace)  # before the lock, which would leave files in a folder that is no workspace
    held = () if dry_run else (first,) if is_set else (first, second)
    today = datetime.now(UTC).date().isoformat()
    with hold(*held):
        one = read_side("A", first)
        try:
            if is_set:
                adopt_given_set(b, second, one, choices, executors=LocalExecutors(workers=available_cores()))
                choices = replace(choices, categories={})  # they have their names of A by now
            plan = plan_merge(one, read_side("B", second, source=b), choices)
            if not dry_run:
                build(plan, out, MergedRounds(today=today), today=today, by=getpass.getuser())
        finally:
            if is_set:
                remove(second.root)
    return plan


def _say(plan: MergePlan, out: Path, *, dry_run: bool, as_json: bool) -> None:
    said = plan.as_dict()
    if as_json:
        click.echo(json.dumps({"dry_run": dry_run, "path": str(out), **said}))
        return
    for name, side in plan.sides.items():
        counts = ", ".join(f"{number} {what}" for what, number in side.counts().items() if number)
        click.echo(f"{name}: {side.source}: {counts}")
    for title, lines in (
        ("in both, joined", plan.joined),
        ("renamed", [f"{old} of B is {new}" for old, new in plan.renamed.items()]),
        ("removed", [f"{video_id} {why}" for video_id, why in plan.removed.items()]),
        ("decided", plan.decided),
        ("in the way", [str(problem) for problem in plan.problems]),
    ):
        shown = lines if title == "in the way" else lines[:_SHOWN]
        if lines:
            click.echo(f"{title} ({len(lines)}):")
        for line in shown:
            click.echo(f"  {line}")
        if len(lines) > len(shown):
            click.echo(f"  and {len(lines) - len(shown)} more (--json has all)")
    if plan.num_without_embeddings:
        click.echo(f"{plan.num_without_embeddings} clip(s) are left to avis-data embed: made with other weights")
    verb = "would write" if dry_run else "written"
    if not plan.problems:
        click.echo(f"{out}: {verb}: {len(plan.videos)} video(s), {len(plan.clips)} clip(s)")

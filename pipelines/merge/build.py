"""The new workspace: made beside its place under another name, and there at once or not at all.

Both sides are only read. What a kill leaves is the unfinished folder, which the same command makes anew.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Protocol

from avis_data.categories import category_set
from avis_data.errors import ConfigError, ProblemsError
from avis_data.io import TEMPORARY_PREFIX, flush, fsync_tree, remove, write_bytes
from avis_data.ledger import Ledger
from avis_data.ledger.text import write_ledger
from avis_data.paths import Workspace
from avis_data.pipelines.engine.bucket import bring_all
from avis_data.pipelines.engine.lock import locked
from avis_data.pipelines.manifests import write_manifests
from avis_data.pipelines.merge.files import bring_imports, bring_media, write_list
from avis_data.pipelines.merge.origins import write_origins
from avis_data.pipelines.merge.plan import MergePlan
from avis_data.pipelines.merge.rows import ledger_lines, rekey
from avis_data.pipelines.stages.tables import finish_tables, pack_tables
from avis_data.pipelines.upkeep.clean import Cleaner
from avis_data.pipelines.upkeep.redaction import Redaction
from avis_data.pipelines.upkeep.tombstones import Tombstones, write_tombstones
from avis_data.recipe import load_recipe

__all__ = ["People", "build", "check_places", "hold", "unfinished"]

_COMMAND = "avis-data merge"


class People(Protocol):
    """Brings over what people said; `annotation` knows how."""

    def files(self, plan: MergePlan, workspace: Workspace) -> None:
        """Bring the rounds and what belongs to them; there is no ledger yet."""

    def tables(self, workspace: Workspace, ledger: Ledger) -> None:
        """Bring the tables up to what the rounds say."""


def check_places(a: Path, b: Path, out: Path) -> None:
    """Refuse places that a merge cannot go by.

    Raises:
        ConfigError: if two of the three are the same or one lies in another, or something is at `out` already.
    """
    named = {"A": Path(os.path.realpath(a)), "B": Path(os.path.realpath(b)), "--out": Path(os.path.realpath(out))}
    for one, path in named.items():
        for other, folder in named.items():
            if one < other and path == folder:
                raise ConfigError(f"{one} and {other} are the same folder, {path}")
            if one != other and folder in path.parents:
                raise ConfigError(f"{one} ({path}) lies in {other} ({folder})", hint="name folders beside each other")
    target = named["--out"]
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        hint = "the merged workspace is a new folder: A and B stay as they are; name one that is not there"
        raise ConfigError(f"--out {out}: is there already", hint=hint)


def unfinished(out: Path, *, what: str = "") -> Path:
    """The folder that a merge works in, always the same one: what a kill left is replaced by the next."""
    path = Path(os.path.realpath(out))
    return path.with_name(f"{TEMPORARY_PREFIX}merge-{what}{path.name}")


@contextmanager
def hold(*workspaces: Workspace) -> Iterator[None]:
    """Keep other commands out of both sides while they are read.

    Raises:
        BusyError, DataError, ConfigError: as `locked`.
    """
    with ExitStack() as stack:
        for workspace in workspaces:
            stack.enter_context(locked(workspace, _COMMAND))
        yield


def build(plan: MergePlan, out: Path, people: People, *, today: str, by: str) -> None:
    """Make the new workspace; the caller holds both sides.

    Args:
        plan: without problems.
        out: where it will be.
        people: bring over what people said.
        today: YYYY-MM-DD, UTC.
        by: who merges.

    Raises:
        ProblemsError: if the plan has problems.
        DataError: if a file of a side is damaged; nothing is at `out` then.
    """
    if plan.problems:
        hint = "nothing was written; --dry-run shows the whole plan"
        raise ProblemsError(f"{len(plan.problems)} thing(s) keep A and B apart", plan.problems, hint=hint, shown=1000)
    target, workspace = Path(os.path.realpath(out)), Workspace(unfinished(out))
    remove(workspace.root)
    try:
        workspace.root.mkdir(parents=True)
        _fill(plan, workspace, people, today=today, by=by)
        fsync_tree(workspace.root)
        if target.is_dir():
            target.rmdir()  # an empty one, which Windows does not replace
        os.replace(workspace.root, target)
        flush(target.parent)
    finally:
        remove(workspace.root)


def _fill(plan: MergePlan, workspace: Workspace, people: People, *, today: str, by: str) -> None:
    first = plan.sides["A"]
    write_bytes(workspace.recipe, first.workspace.recipe.read_bytes())
    for side in plan.sides.values():
        bring_all(side.workspace)
    bring_media(plan, workspace)
    write_list(plan, workspace)
    bring_imports(plan, workspace)
    people.files(plan, workspace)
    stones = Tombstones([stone for side in plan.sides.values() for stone in side.stones.all])
    if stones:
        write_tombstones(workspace, stones.all)
    write_origins(workspace, plan, today=today, by=by)
    write_ledger(workspace.ledger, ledger_lines(plan, workspace))
    recipe = load_recipe(workspace)
    with Ledger(workspace.ledger) as ledger:
        rekey(plan, workspace, recipe, ledger)
        pack_tables(workspace, recipe, ledger, weights_sha256=plan.weights)
        write_manifests(workspace, ledger)
        people.tables(workspace, ledger)
        if stones:  # what was received of the other side may name them
            categories = {category.name for category in category_set(recipe.categories).categories}
            redaction = Redaction(stones, categories=categories, list_folder=str(workspace.root))
            ledger.forget(stones.is_gone, redaction.value)
            Cleaner(workspace, stones, redaction, ledger=ledger).all(lambda *_: None)
            finish_tables(workspace, recipe, ledger)
        write_manifests(workspace, ledger)

"""Run steps of the pipeline for a command, and tell how they went."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from avis_data.cli.options import RunOptions
from avis_data.cli.report_run import say_plans, say_reports
from avis_data.errors import ExitCode

if TYPE_CHECKING:
    from avis_data.paths import Workspace
    from avis_data.pipelines.steps import EmbedChoices, FetchChoices
    from avis_data.recipe import Recipe

__all__ = ["recipe_of", "run_steps"]


def run_steps(
    workspace: Workspace,
    steps: list[str],
    run: RunOptions,
    *,
    fetch: FetchChoices | None = None,
    embed: EmbedChoices | None = None,
    make_workspace: bool = False,
) -> ExitCode:
    """Plan (`--dry-run`) or do the steps. `make_workspace`: give a folder without a recipe the default one."""
    from avis_data.pipelines.steps import EmbedChoices, FetchChoices, StepRequest, check_steps, do_steps, plan_steps

    request = StepRequest(
        steps=steps,
        executors=run.executors(),
        selection=run.selection(),
        policy=run.policy(),
        fetch=fetch or FetchChoices(),
        embed=embed or EmbedChoices(),
    )
    recipe = recipe_of(workspace, make_workspace=make_workspace, dry_run=True)
    if run.dry_run:
        return say_plans(plan_steps(workspace, recipe, request), workers=run.workers, as_json=run.as_json)
    if make_workspace and not workspace.recipe.exists():
        check_steps(workspace, recipe, request)  # first: a list that is no good leaves no half-made workspace behind
        recipe_of(workspace, make_workspace=True, dry_run=False)
    command = f"avis-data {click.get_current_context().info_name}"
    return say_reports(do_steps(workspace, recipe, request, command=command), as_json=run.as_json)


def recipe_of(workspace: Workspace, *, make_workspace: bool, dry_run: bool) -> Recipe:
    """The workspace's recipe; `make_workspace`: a folder without one gets the default (a dry run only reads it)."""
    from avis_data.recipe import DEFAULT_RECIPE, create_workspace, load_recipe, parse_shipped_recipe

    if workspace.recipe.exists() or not make_workspace:
        return load_recipe(workspace)
    return parse_shipped_recipe(DEFAULT_RECIPE) if dry_run else create_workspace(workspace, DEFAULT_RECIPE)

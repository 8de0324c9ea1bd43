"""Run steps of the pipeline for a command, and tell how they went."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from avis_data.cli.options import RunOptions, current_workspace, run_options
from avis_data.cli.report_run import say_plans, say_reports
from avis_data.errors import ExitCode

if TYPE_CHECKING:
    from avis_data.paths import Workspace
    from avis_data.pipelines.steps import StepRequest
    from avis_data.recipe import Recipe

__all__ = ["added_stage_command", "command_name", "recipe_of", "run_steps", "stage_command", "step_request"]


def run_steps(
    workspace: Workspace,
    steps: list[str],
    run: RunOptions,
    *choices: object,
    make_workspace: bool = False,
) -> ExitCode:
    """Plan (`--dry-run`) or do the steps, and tell how they went.

    Args:
        workspace: where.
        steps: names of stages, in their order.
        run: how.
        choices: what else a person said, as `FetchChoices`; at most one of a kind.
        make_workspace: give a folder without a recipe the default one.
    """
    from avis_data.pipelines.steps import check_steps, do_steps, plan_steps

    request = step_request(steps, run, *choices)
    recipe = recipe_of(workspace, make_workspace=make_workspace, dry_run=True)
    if run.dry_run:
        return say_plans(plan_steps(workspace, recipe, request), as_json=run.as_json)
    if make_workspace and not workspace.recipe.exists():
        check_steps(workspace, recipe, request)  # first: a list that is no good leaves no half-made workspace behind
        recipe_of(workspace, make_workspace=True, dry_run=False)
    code = say_reports(do_steps(workspace, recipe, request, command=command_name()), as_json=run.as_json)
    if "fetch" in steps:
        _tell_unlisted(workspace)
    return code


def _tell_unlisted(workspace: Workspace) -> None:
    """Say (to stderr) what the list, which may be a new one, no longer wants."""
    from avis_data.ledger import Ledger
    from avis_data.pipelines.status import unlisted

    with Ledger(workspace.ledger, read_only=True) as ledger:
        gone = unlisted(ledger)
    if gone:
        click.echo(gone.said(), err=True)


def step_request(steps: list[str], run: RunOptions, *choices: object) -> StepRequest:
    """What the pipeline is asked for; arguments as those of `run_steps`."""
    from avis_data.pipelines.engine.spec import Choices
    from avis_data.pipelines.steps import StepRequest

    return StepRequest(
        steps=steps,
        executors=lambda spec: run.executors(usual=spec.workers),
        selection=run.selection(),
        policy=run.policy(),
        choices=Choices(*choices),
    )


def command_name() -> str:
    """The name by which other commands are told which one is at work: `avis-data fetch`."""
    return f"avis-data {click.get_current_context().info_name}"


def recipe_of(workspace: Workspace, *, make_workspace: bool, dry_run: bool) -> Recipe:
    """The workspace's recipe; `make_workspace`: a folder without one gets the default (a dry run only reads it)."""
    from avis_data.recipe import DEFAULT_RECIPE, create_workspace, load_recipe, parse_shipped_recipe

    if workspace.recipe.exists() or not make_workspace:
        return load_recipe(workspace)
    return parse_shipped_recipe(DEFAULT_RECIPE) if dry_run else create_workspace(workspace, DEFAULT_RECIPE)


def stage_command(name: str, text: str, *, usual_workers: str = "all cores") -> click.Command:
    """A command that does one stage and has no options but those of every stage.

    Args:
        name: of the stage, and of the command.
        text: what `--help` says.
        usual_workers: what it says of the default of `--workers`.
    """

    @click.command(name, help=text)
    @run_options(usual_workers=usual_workers)
    def command(run: RunOptions) -> ExitCode:
        return run_steps(current_workspace(), [name], run)

    return command


def added_stage_command(name: str) -> click.Command:
    """The command of a stage that is known by its spec only."""
    from avis_data.pipelines.stages import STAGES

    spec = STAGES[name]
    text = f"{spec.summary} Run again to resume.\n\n\b\nExample:\n  avis-data -C my-dataset {name}"
    return stage_command(name, text, usual_workers=str(spec.workers or "all cores"))

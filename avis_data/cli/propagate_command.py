"""`avis-data propagate`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from avis_data.cli.options import (
    RunOptions,
    clips_option,
    current_workspace,
    engine_option,
    engine_weights_option,
    listed_clips,
    run_options,
    video_fps_option,
)
from avis_data.cli.report_run import say_trouble
from avis_data.errors import ExitCode

if TYPE_CHECKING:
    from avis_data.annotation.propagation.clip_results import ClipResult
    from avis_data.annotation.propagation.propagate import PropagateChoices
    from avis_data.pipelines.engine.planner import Plan
    from avis_data.pipelines.engine.runner import StageReport

__all__ = ["command"]


@click.command("propagate")
@clips_option
@click.option("--round", "round_name", metavar="ROUND", help="The round, by its name.")
@engine_option(default="optical-flow")
@engine_weights_option
@video_fps_option(default=6)
@run_options(usual_workers="1")
def command(
    run: RunOptions,
    clips: str | None,
    round_name: str | None,
    engine: str,
    engine_weights: Path | None,
    video_fps: int,
) -> ExitCode:
    """Carry the masks drawn on some stills of a clip to all others, and flag those that need a look.

    It starts from the masks of --round, else from the clip's pre-labels, else from imported truth. What was drawn is
    never changed, and masks that were carried before are made anew. Scene cuts end it. The result is the clip's
    pre-labels, which `annotate push` fills the pages with. Run it again to go on where it stopped; with --force clips
    whose masks and pictures did not change are done too. It does one clip after the other, as an engine uses the whole
    machine for it; with a large GPU, or many cores, --workers does several at once.

    The engine optical-flow needs no weights; sam2 takes the folder of SAM 2, by default the registered one. Between the
    stills it looks at the video, at most --video-fps pictures a second; 1 looks at stills only.

    \b
    Example:
      avis-data propagate --round draft
      avis-data propagate --engine sam2 --engine-weights sam2.1-hiera-small --clips dog_park_1
    """
    from avis_data.annotation.propagation.propagate import PropagateChoices
    from avis_data.cli.run_steps import command_name, step_request
    from avis_data.pipelines.steps import do_steps, plan_steps
    from avis_data.recipe import load_recipe

    workspace = current_workspace()
    recipe = load_recipe(workspace)
    choices = PropagateChoices(
        clip_ids=listed_clips(clips), round_name=round_name, engine=engine, weights=engine_weights, video_fps=video_fps
    )
    request = step_request(["propagate"], run, choices)
    if run.dry_run:
        (plan,) = plan_steps(workspace, recipe, request, only_count=False)
        return _tell(choices, plan, None, as_json=run.as_json)
    (report,) = do_steps(workspace, recipe, request, command=command_name())
    return _tell(choices, report.plan, report, as_json=run.as_json)


def _tell(choices: PropagateChoices, plan: Plan, report: StageReport | None, *, as_json: bool) -> ExitCode:
    """Print what became of every clip; gives the exit code."""
    from avis_data.annotation.propagation.clip_results import clip_results
    from avis_data.ledger import Ledger

    with Ledger(current_workspace().ledger, read_only=True) as ledger:
        done_ids = () if report is None else report.done_ids
        found = clip_results(ledger, plan, done_ids=done_ids, clip_ids=choices.clip_ids)
    code = ExitCode.OK if report is None else report.exit_code
    if as_json:
        click.echo(json.dumps(_as_dict(choices, found, plan, report, code), ensure_ascii=False))
    else:
        _print(choices.engine, found, report)
    return code


def _as_dict(
    choices: PropagateChoices, found: list[ClipResult], plan: Plan, report: StageReport | None, code: ExitCode
) -> dict[str, object]:
    return {
        "exit_code": int(code),
        "dry_run": report is None,
        "stages": [plan.as_dict() if report is None else report.as_dict()],
        "engine": choices.engine,
        "failed": sum(clip.state == "failed" for clip in found),
        "drawn": sum(clip.num_drawn for clip in found),
        "carried": sum(clip.num_carried for clip in found),
        "flags": sum(clip.num_flags for clip in found),
        "clips": [clip.as_dict() for clip in found],
    }


def _print(engine: str, found: list[ClipResult], report: StageReport | None) -> None:
    for clip in found:
        if clip.state in ("done", "to do"):
            pictures = f"{clip.fps} pictures a second" if clip.fps > 1 else "stills only"
            made = f", {clip.num_carried} carried, {clip.num_flags} flag(s)" if clip.state == "done" else ""
            click.echo(f"{clip.clip_id}: {clip.state}: {clip.num_drawn} drawn ({clip.source}, {pictures}){made}")
            if clip.note:
                click.echo(f"  {clip.note}")
    states = [clip.state for clip in found]
    said = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    click.echo(f"{engine}: {said or 'no clip'}")
    if states and set(states) == {"nothing drawn"}:
        click.echo("  hint: draw some stills first: avis-data annotate push --round draft, then pull", err=True)
    if report is not None:
        say_trouble(report, again="again: --retry-failed[=<reason>]")

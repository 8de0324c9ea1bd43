"""`avis-data prelabel`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from avis_data.cli.options import (
    RunOptions,
    clips_option,
    current_workspace,
    data_option,
    engine_option,
    engine_weights_option,
    listed_clips,
    on_option,
    out_option,
    run_options,
    video_fps_option,
)
from avis_data.cli.report_run import say_trouble
from avis_data.errors import ConfigError, ExitCode

if TYPE_CHECKING:
    from avis_data.annotation.prelabel.prelabel import PrelabelChoices, PrelabelFacts
    from avis_data.annotation.prelabel.results import Written
    from avis_data.pipelines.engine.planner import Plan
    from avis_data.pipelines.engine.runner import StageReport

__all__ = ["command"]

_PATH = click.Path(path_type=Path)


@click.command("prelabel")
@clips_option
@click.option("--tagger", default="yamnet", show_default=True, metavar="NAME", help="What says which sounds are heard.")
@click.option("--tagger-weights", type=_PATH, metavar="PATH", help="Weights of the tagger; default: registered ones.")
@click.option("--detector", default="ssd-mobilenet", show_default=True, metavar="NAME", help="What finds things.")
@click.option("--detector-weights", type=_PATH, metavar="PATH", help="Those of the detector; default: registered ones.")
@engine_option(default="auto")
@engine_weights_option
@click.option(
    "--follow",
    type=click.Choice(["optical-flow", "sam2"]),
    default="optical-flow",
    show_default=True,
    help="What carries masks to the other stills.",
)
@click.option(
    "--who",
    type=click.Choice(["largest", "central", "moving", "all"]),
    default="largest",
    show_default=True,
    help="Which of several things of one category sounds.",
)
@video_fps_option(default=6)
@data_option()
@on_option
@out_option()
@run_options()
def command(
    run: RunOptions,
    clips: str | None,
    data: Path | None,
    split: str,
    out: Path | None,
    **options: Any,
) -> ExitCode:
    """Let machines label clips that nobody has labelled: what is heard, what is seen, who of it sounds when.

    A tagger (yamnet, ast, clap) says which categories are heard, a detector (ssd-mobilenet, grounding-dino, owlv2)
    finds them, the --engine of `annotate serve` draws them, propagation follows them. Nothing is trained. yamnet and
    ssd-mobilenet are small files that `weights get` brings; the others take a folder as their publishers lay it out.

    `annotate push --round draft` then begins its pages with these labels, which stay marked as made by machines until a
    person changes them. With --out and --data they become a result file for `evaluate`, a baseline. Run it again to go
    on where it stopped.

    \b
    Example:
      avis-data weights get u2netp silero-vad ssd-mobilenet; avis-data weights get yamnet --accept-licence
      avis-data prelabel
      avis-data prelabel --data exports/ytvis --on test --out results.json
    """
    from avis_data.annotation.prelabel.prelabel import PrelabelChoices
    from avis_data.annotation.prelabel.who_sounds import Choice
    from avis_data.cli.run_steps import command_name, step_request
    from avis_data.links.check import check_links
    from avis_data.pipelines.steps import do_steps, plan_steps
    from avis_data.recipe import load_recipe

    truth = _truth(data, split, out)
    workspace = current_workspace()
    check_links(workspace.root)  # said before weights are looked for
    recipe = load_recipe(workspace)
    choices = PrelabelChoices(
        clip_ids=listed_clips(clips),
        carrier=options.pop("follow"),
        choice=Choice(options.pop("who")),
        **options,
    )
    request = step_request(["prelabel"], run, choices)
    if run.dry_run:
        (plan,) = plan_steps(workspace, recipe, request, only_count=False)
        return _tell(choices, plan, None, None, as_json=run.as_json)
    (report,) = do_steps(workspace, recipe, request, command=command_name())
    written = None
    if out is not None and truth is not None and not report.stopped:
        from avis_data.annotation.prelabel.results import write_machine_results

        written = write_machine_results(workspace, truth, out)
    return _tell(choices, report.plan, report, written, as_json=run.as_json)


def _truth(data: Path | None, split: str, out: Path | None) -> Path | None:
    """The truth file whose videos a result file is about; None where none is asked for."""
    if (data is None) != (out is None):
        raise ConfigError(
            "--out and --data go together: a result file is about the videos of an export",
            hint="avis-data prelabel --data exports/ytvis --on test --out results.json",
        )
    if data is None:
        return None
    truth = data / f"{split}.json"
    if not truth.is_file():
        raise ConfigError(f"{truth}: no such file", hint="--data takes an export in the layout of AVISeg")
    return truth


def _tell(
    choices: PrelabelChoices, plan: Plan, report: StageReport | None, written: Written | None, *, as_json: bool
) -> ExitCode:
    """Print what became of every clip; gives the exit code."""
    from avis_data.annotation.prelabel.prelabel import SPEC, PrelabelFacts
    from avis_data.ledger import Ledger

    with Ledger(current_workspace().ledger, read_only=True) as ledger:
        facts = dict(ledger.read_facts(SPEC.name, PrelabelFacts))
    code = ExitCode.OK if report is None else report.exit_code
    done = set() if report is None else set(report.done_ids)
    missing = [] if choices.found.speech is not None else ["avis-data weights get silero-vad"]
    if as_json:
        shown = sorted(done | set(plan.done))
        click.echo(
            json.dumps(
                {
                    "exit_code": int(code),
                    "dry_run": report is None,
                    "stages": [plan.as_dict() if report is None else report.as_dict()],
                    "clips": [{"clip_id": name, **facts[name].model_dump(mode="json")} for name in shown],
                    "written": None if written is None else written.as_dict(),
                    "better_with": missing,
                },
                ensure_ascii=False,
            )
        )
        return code
    for name in sorted(done):
        click.echo(f"{name}: {_said(facts[name])}")
    click.echo(_counts(plan, report))
    if written is not None:
        left = f"; {len(written.missing)} clip(s) of it have no labels" if written.missing else ""
        click.echo(f"{written.path}: {written.num_tracks} track(s) of {written.num_clips} clip(s){left}")
    for line in missing:
        click.echo(f"  hint: when somebody speaks is told better by Silero VAD: {line}", err=True)
    if report is not None:
        say_trouble(report, again="again: --retry-failed[=<reason>]")
    return code


def _said(facts: PrelabelFacts) -> str:
    if not facts.heard:
        return "nothing is heard that the set has a category for"
    lost = f", of which nothing here can find {', '.join(facts.not_findable)}" if facts.not_findable else ""
    found = f"{len(facts.scores)} thing(s) sound in {facts.num_sounding} still(s)" if facts.scores else "nothing seen"
    return f"heard {', '.join(facts.heard)}{lost}; {found}, {facts.num_masks} mask(s)"


def _counts(plan: Plan, report: StageReport | None) -> str:
    if report is None:
        return f"prelabel: {plan.num_to_do} to do, {plan.num_done} done, {plan.num_waiting} wait for the stage before"
    failed = f", {sum(report.failed.values())} failed" if report.failed else ""
    return f"prelabel: {report.done} done, {report.already_done} were done before{failed}"

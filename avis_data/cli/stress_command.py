"""`avis-data stress`: does a model hear at all?"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from avis_data.cli.options import (
    bootstrap_option,
    checkpoint_option,
    config_option,
    data_option,
    device_option,
    json_option,
    model_option,
    on_option,
    out_option,
    precision_option,
    seed_option,
    set_option,
    truth_option,
    untrained_option,
    weights_option,
    workers_option,
)
from avis_data.errors import AvisError, ConfigError, ExitCode

if TYPE_CHECKING:
    from avis_data.stress.scoring import ModelScore

__all__ = ["command"]

_FILE = click.Path(path_type=Path)
_plan_argument = click.argument("plan_file", type=_FILE, metavar="PLAN")
_conditions_option = click.option(
    "--conditions", metavar="A,B", help="Only these conditions; default: all. docs/stress.md lists them."
)
_scenes_option = click.option(
    "--scenes",
    type=_FILE,
    metavar="FILE",
    help="The scenes.json of the synthetic world: what each thing sounds like on its own.",
)


@click.group()
def command() -> None:
    """Say whether a model hears at all: ask it again with silence, noise, other clips' sound, and late sound.

    `plan` chooses the sounds and writes a manifest with their hashes. `run` asks a model of ours; `make` writes the
    clips with their sounds, for any other program. `score` says what the model loses by it.

    \b
    Example:
      avis-data stress plan --data exports/ytvis --out stress.json
      avis-data stress run stress.json --data exports/ytvis --checkpoint runs/tiny --out heard/tiny
      avis-data stress score stress.json heard/tiny --truth exports/ytvis/test.json
    """


@command.command("plan")
@data_option(required=True)
@on_option
@_conditions_option
@_scenes_option
@seed_option()
@out_option(default=Path("stress.json"))
@json_option
def plan_stress(
    data: Path, split: str, conditions: str | None, scenes: Path | None, seed: int, out: Path, as_json: bool
) -> None:
    """Choose what each clip hears under each condition, and write it with the hash of every sound.

    The same dataset and seed give the same plan. With --scenes sources can be muted one by one, and it is known what is
    heard and not seen.

    \b
    Example:
      avis-data stress plan --data exports/ytvis --scenes world/scenes.json --out stress.json
    """
    import sys

    from tqdm import tqdm

    from avis_data.stress.plan import Given, make_plan, write_plan

    with tqdm(desc="stress plan", unit="sound", disable=not sys.stderr.isatty(), dynamic_ncols=True) as bar:

        def done(of: int) -> None:
            bar.total = of
            bar.update()

        given = Given(data=data, split=split, scenes=scenes)
        plan = make_plan(given, conditions=_named(conditions), seed=seed, on_clip=done)
    write_plan(out, plan)
    rows = {
        condition.name: {"clips": len(condition.clips), "left_out": len(condition.left_out)}
        for condition in plan.conditions
    }
    if as_json:
        click.echo(json.dumps({"out": str(out), "plan_sha256": plan.sha256, "conditions": rows}))
        return
    for condition in plan.conditions:
        click.echo(f"{condition.name:16} {len(condition.clips):5} clips  {condition.says}")
        if condition.left_out:
            reasons = sorted(set(condition.left_out.values()))
            click.echo(f"{'':16} {len(condition.left_out):5} left out: {'; '.join(reasons)}")
    click.echo(f"{out}: {len(plan.conditions)} conditions of {len(plan.sounds)} clips")


@command.command("make")
@_plan_argument
@data_option(required=True)
@_scenes_option
@_conditions_option
@weights_option
@untrained_option
@out_option(required=True)
@json_option
def make_media(
    plan_file: Path,
    data: Path,
    scenes: Path | None,
    conditions: str | None,
    weights: Path | None,
    untrained: bool,
    out: Path,
    as_json: bool,
) -> None:
    """Write the clips with their other sounds, a dataset OUT/<condition> each, for programs that are not ours.

    Every sound is compared with the plan. Embeddings are written too with --weights or --untrained. Run it again to go
    on where it stopped. A program's results belong into one folder: true.json, of the dataset as it is, and
    <condition>.json for each condition.

    \b
    Example:
      avis-data stress make stress.json --data exports/ytvis --conditions silence,other-category --out stressed
    """
    from avis_data.formats.aviseg_folders import FEATURES
    from avis_data.stress.making import check_vggish, embedding_of, is_made, make_dataset, opened_for
    from avis_data.stress.plan import Given, chosen, read_plan

    plan = read_plan(plan_file)
    wanted = chosen(plan, _named(conditions))
    world = opened_for(plan, Given(data=data, split=plan.split, scenes=scenes))
    embed = None
    if weights is not None or untrained:
        from avis_data.weights import resolve_vggish

        found = resolve_vggish(weights, untrained=untrained)
        check_vggish(data, found[1])
        embed = embedding_of(found)
    elif (data / plan.split / FEATURES).is_dir():
        _say(
            "embeddings of the other sounds are not written: --weights FILE, or --untrained, of the export's own VGGish"
        )
    made = {}
    for condition in wanted.values():
        target = out / condition.name
        if not condition.clips:
            _say(f"{condition.name}: applies to no clip")
            continue
        is_there = is_made(target, condition, plan, embed=embed)
        if not is_there:
            make_dataset(target, condition, plan, world, embed=embed)
        made[condition.name] = {"clips": len(condition.clips), "made": not is_there}
        _say(f"{target}: {len(condition.clips)} clips{', there already' if is_there else ''}")
    if as_json:
        click.echo(json.dumps({"out": str(out), "conditions": made}))
    else:
        click.echo(f"{out}: {len(made)} conditions")


@command.command("run")
@_plan_argument
@data_option(required=True)
@_scenes_option
@_conditions_option
@model_option
@checkpoint_option(required=True)
@config_option
@set_option
@weights_option
@untrained_option
@device_option
@precision_option
@out_option(required=True)
@json_option
def run_model(
    plan_file: Path,
    data: Path,
    scenes: Path | None,
    conditions: str | None,
    checkpoint: Path,
    weights: Path | None,
    untrained: bool,
    out: Path,
    as_json: bool,
    **options: Any,
) -> None:
    """Predict the clips as they are and under each condition: OUT/true.json and OUT/<condition>.json.

    The media of a condition are made when it is its turn, and removed after it. Run it again to go on where it stopped.
    Models that hear VGGish embeddings need the same --weights as the export's.

    \b
    Example:
      avis-data stress run stress.json --data exports/ytvis --checkpoint runs/tiny --out heard/tiny
    """
    from avis_data.extras import need_extra
    from avis_data.stress.plan import Given, chosen, read_plan

    need_extra("train", what="a model")
    from avis_data.training.predict.predict import PredictRequest
    from avis_data.training.predict.stress import StressedModel, predict_stressed

    plan = read_plan(plan_file)
    made = predict_stressed(
        StressedModel(
            request=PredictRequest(weights=checkpoint, vggish=weights, data=data, split=plan.split, **options),
            untrained=untrained,
        ),
        plan,
        Given(data=data, split=plan.split, scenes=scenes),
        out,
        conditions=list(chosen(plan, _named(conditions)).values()),
        on_condition=lambda name, is_new: _say(f"{name}: {'predicted' if is_new else 'there already'}"),
    )
    if as_json:
        click.echo(json.dumps({"out": str(out), "results": made}))
    else:
        click.echo(f"{out}: results of {len(made)} sounds, the true one among them")


@command.command("score")
@_plan_argument
@click.argument("results", nargs=-1, required=True, type=_FILE, metavar="RESULTS...")
@truth_option
@bootstrap_option(default=1000)
@seed_option()
@workers_option(default=1, show_default=True)
@out_option()
@json_option
def score_results(
    plan_file: Path,
    results: tuple[Path, ...],
    truth: Path,
    bootstrap: int,
    seed: int,
    workers: int,
    out: Path | None,
    as_json: bool,
) -> ExitCode:
    """Say what each model loses when the sound is not the true one, and what it marks where nothing sounds.

    RESULTS are folders of any program, one for each model: true.json and <condition>.json, result files as
    `avis-data evaluate` reads them. The audio reliance of a model is the strict FSLA with the true sound minus that
    with the changed one, as a mean over the conditions in which the true sound is gone; a model that does not hear
    has 0.
    Exit code 4 if results of some condition are missing or cannot be used.

    \b
    Example:
      avis-data stress score stress.json heard/tiny heard/deaf --truth exports/ytvis/test.json
    """
    # The arrays are small: threads of the linear algebra library only burn time waiting for each other.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from avis_data.io import write_json
    from avis_data.stress.plan import read_plan
    from avis_data.stress.scoring import score_model
    from avis_data.stress.told import scores_json, scores_text

    plan = read_plan(plan_file)
    names = _names_of(results)
    models, failed = _each(
        names,
        lambda name: score_model(plan, truth, names[name], name=name, num_draws=bootstrap, seed=seed, workers=workers),
    )
    value = scores_json(models, plan)
    if out is not None:
        write_json(out, value)
    click.echo(json.dumps(value, allow_nan=False) if as_json else scores_text(models))
    return ExitCode.PARTIAL if failed or any(model.missing for model in models) else ExitCode.OK


def _each(names: dict[str, Path], score: Callable[[str], ModelScore]) -> tuple[list[ModelScore], list[AvisError]]:
    """The models that can be scored, and what is wrong with the others, told. Raises where none can."""
    models, failed = [], []
    for name in names:
        try:
            models.append(score(name))
        except AvisError as error:
            failed.append(error)
            if len(failed) == len(names):
                raise
            _say(f"{name}: {error}")
    return models, failed


def _names_of(folders: tuple[Path, ...]) -> dict[str, Path]:
    """The folders by their last parts, or as they were given where these are the same."""
    short = [folder.name or str(folder) for folder in folders]
    if len(set(short)) == len(short):
        return dict(zip(short, folders, strict=True))
    found = {str(folder): folder for folder in folders}
    if len(found) < len(folders):
        raise ConfigError("a folder of results was given twice")
    return found


def _named(conditions: str | None) -> list[str]:
    if conditions is None:
        return []
    names = [name.strip() for name in conditions.split(",") if name.strip()]
    if not names:
        raise ConfigError(f"--conditions {conditions!r}: names no condition")
    return names


def _say(text: str) -> None:
    click.echo(text, err=True)

"""The steps that a person asks for by name, each made of stages: plan them, or do them in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from avis_data.errors import AvisError, ConfigError
from avis_data.ledger import Ledger
from avis_data.paths import Workspace
from avis_data.pipelines.engine.executors import ExecutorFactory
from avis_data.pipelines.engine.lock import open_for_work
from avis_data.pipelines.engine.planner import Plan, Selection, plan_stage
from avis_data.pipelines.engine.runner import Policy, StageReport, run_stage
from avis_data.pipelines.engine.stage import Stage
from avis_data.pipelines.stages.catalog import (
    Candidates,
    embed_items,
    extract_items,
    fetch_items,
    pack_items,
    preview_items,
    write_manifests,
)
from avis_data.pipelines.stages.embed import EmbedParams, EmbedStage, PackStage
from avis_data.pipelines.stages.extract import ExtractStage
from avis_data.pipelines.stages.fetch import FetchStage
from avis_data.pipelines.stages.preview import PreviewStage
from avis_data.pipelines.workspace_list import ListOptions, adopt_list, read_wanted, tell_left_out
from avis_data.recipe import Recipe
from avis_data.weights import resolve_vggish

__all__ = ["EmbedChoices", "FetchChoices", "StepRequest", "check_steps", "do_steps", "plan_steps"]


@dataclass(frozen=True, kw_only=True)
class FetchChoices:
    """What a person may say of a download beyond the recipe; none of it changes what is downloaded."""

    list: ListOptions = field(default_factory=ListOptions)
    cookies: Path | None = None
    sleep_s: float | None = None


@dataclass(frozen=True, kw_only=True)
class EmbedChoices:
    """Which VGGish weights; neither: the registered ones."""

    weights: Path | None = None
    untrained: bool = False


@dataclass(frozen=True, kw_only=True)
class StepRequest:
    """Which steps to do, on which items, how."""

    steps: Sequence[str]
    """Of `fetch`, `extract`, `preview`, `embed`; done in the order given."""
    executors: ExecutorFactory
    selection: Selection = field(default_factory=Selection)
    policy: Policy = field(default_factory=Policy)
    fetch: FetchChoices = field(default_factory=FetchChoices)
    embed: EmbedChoices = field(default_factory=EmbedChoices)


@dataclass(frozen=True)
class _Work:
    """A stage, and how to find its items; these are looked for only when the stages before it have run."""

    stage: Stage
    candidates: Callable[[], Candidates]


def plan_steps(workspace: Workspace, recipe: Recipe, request: StepRequest) -> list[Plan]:
    """What the steps would do now; touches nothing. Later steps are planned on what is there already.

    Raises:
        AvisError: as `do_steps`.
    """
    with Ledger(workspace.ledger, read_only=True) as ledger:
        works = [
            work for step in request.steps for work in _works(step, workspace, ledger, recipe, request, adopt=False)
        ]
        return [_planned(workspace, ledger, work, request) for work in works]


def do_steps(workspace: Workspace, recipe: Recipe, request: StepRequest, *, command: str) -> Iterator[StageReport]:
    """Do the steps, giving each stage's report as it ends. A stage that was stopped early ends the sequence.

    Raises:
        BusyError: if another command is at work in this workspace.
        ProblemsError, ConfigError, DataError, ToolError: where the list, the recipe or the weights do not allow it;
            weights are looked for before anything is downloaded.
    """
    if "embed" in request.steps:
        _embed_params(request, recipe)
    with open_for_work(workspace, command) as ledger:
        if "fetch" not in request.steps:
            _check_there_are_clips(workspace, ledger)
        for step in request.steps:
            for work in _works(step, workspace, ledger, recipe, request, adopt=True):
                report = _done(workspace, ledger, work, request)
                yield report
                if report.stopped:
                    return


def check_steps(workspace: Workspace, recipe: Recipe, request: StepRequest) -> None:
    """Find out whether the steps can be begun at all, before a folder is made a workspace; touches nothing.

    Raises:
        AvisError: as `do_steps`, where the list, the cookies or the weights do not allow it.
    """
    if "embed" in request.steps:
        _embed_params(request, recipe)
    if "fetch" in request.steps:
        FetchStage(recipe.fetch, cookies=request.fetch.cookies)
        with Ledger(workspace.ledger, read_only=True) as ledger:
            read_wanted(workspace, ledger, recipe, request.fetch.list)


def _check_there_are_clips(workspace: Workspace, ledger: Ledger) -> None:
    if next(ledger.wanted("clip"), None) is None and next(ledger.adopted(), None) is None:
        hint = "avis-data fetch --list videos.csv, or avis-data import --media"
        raise ConfigError(f"{workspace.root}: no list of videos yet, so there are no clips", hint=hint)


def _works(
    step: str, workspace: Workspace, ledger: Ledger, recipe: Recipe, request: StepRequest, *, adopt: bool
) -> list[_Work]:
    match step:
        case "fetch":
            return [_fetch_work(workspace, ledger, recipe, request.fetch, adopt=adopt)]
        case "extract":
            return [_Work(ExtractStage(recipe.extract), lambda: extract_items(ledger))]
        case "preview":
            return [_Work(PreviewStage(recipe.preview), lambda: preview_items(ledger))]
        case "embed":
            params, weights = _embed_params(request, recipe)
            return [
                _Work(EmbedStage(params, weights), lambda: embed_items(ledger)),
                _Work(PackStage(params), lambda: pack_items(ledger, params)),
            ]
        case _:
            raise ValueError(f"no step {step!r}")


def _fetch_work(workspace: Workspace, ledger: Ledger, recipe: Recipe, choices: FetchChoices, *, adopt: bool) -> _Work:
    video_list = read_wanted(workspace, ledger, recipe, choices.list)
    tell_left_out(video_list)
    if adopt:
        adopt_list(workspace, ledger, video_list, choices.list)
    options = recipe.fetch if choices.sleep_s is None else recipe.fetch.model_copy(update={"sleep_s": choices.sleep_s})
    return _Work(FetchStage(options, cookies=choices.cookies), lambda: fetch_items(video_list, ledger))


def _embed_params(request: StepRequest, recipe: Recipe) -> tuple[EmbedParams, Path | None]:
    weights, sha256 = resolve_vggish(request.embed.weights, untrained=request.embed.untrained)
    return EmbedParams(front_end=recipe.embed.front_end, weights_sha256=sha256), weights


def _planned(workspace: Workspace, ledger: Ledger, work: _Work, request: StepRequest) -> Plan:
    candidates = work.candidates()
    return plan_stage(
        workspace, ledger, work.stage, candidates.items, request.selection, num_waiting=candidates.num_waiting
    )


def _done(workspace: Workspace, ledger: Ledger, work: _Work, request: StepRequest) -> StageReport:
    plan = _planned(workspace, ledger, work, request)
    try:
        report = run_stage(workspace, ledger, work.stage, plan, executors=request.executors, policy=request.policy)
    except BaseException:
        with suppress(OSError, AvisError):  # the first error is the one to be told
            write_manifests(workspace, ledger)  # what is done is there to be used
        raise
    write_manifests(workspace, ledger)
    return report

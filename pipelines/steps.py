"""The steps that a person asks for by name, each a stage and what always follows it: plan them, or do them in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from avis_data.errors import AvisError, ConfigError
from avis_data.ledger import Ledger
from avis_data.paths import Workspace
from avis_data.pipelines.engine.bucket import bucket_of
from avis_data.pipelines.engine.executors import ExecutorFactory
from avis_data.pipelines.engine.lock import open_for_work
from avis_data.pipelines.engine.planner import Plan, Selection, plan_stage
from avis_data.pipelines.engine.runner import Policy, StageReport, run_stage
from avis_data.pipelines.engine.spec import Candidates, Choices, Setting, StageSpec
from avis_data.pipelines.engine.stage import Stage
from avis_data.pipelines.manifests import write_manifests
from avis_data.pipelines.stages import STAGES
from avis_data.recipe import Recipe

__all__ = ["StepRequest", "check_steps", "do_steps", "plan_steps", "usual_steps"]


@dataclass(frozen=True, kw_only=True)
class StepRequest:
    """Which steps to do, on which items, how."""

    steps: Sequence[str]
    """Names of stages; done in the order given."""
    executors: Callable[[StageSpec], ExecutorFactory]
    """Where each of them is worked on."""
    selection: Selection = field(default_factory=Selection)
    policy: Policy = field(default_factory=Policy)
    choices: Choices = field(default_factory=Choices)


@dataclass(frozen=True)
class _Part:
    """A stage that is ready; its items are looked for only when the stages before it have run."""

    spec: StageSpec
    stage: Stage
    items: Callable[[Setting], Candidates]


def usual_steps(*, also: Sequence[str] = ()) -> list[str]:
    """The stages on the way from a list to a dataset, and others that are asked for, in the order in which they run."""
    return [spec.name for spec in STAGES if spec.usual or spec.name in also]


def plan_steps(workspace: Workspace, recipe: Recipe, request: StepRequest, *, only_count: bool = True) -> list[Plan]:
    """What the steps would do now; touches nothing. Later steps are planned on what is there already.

    Args:
        workspace: to look at.
        recipe: of the workspace.
        request: the steps, and which items of theirs.
        only_count: the plans hold numbers, and no item: memory does not grow with the clips.

    Raises:
        AvisError: as `do_steps`.
    """
    parts = _parts(recipe, request)
    with Ledger(workspace.ledger, read_only=True) as ledger:
        setting = Setting(workspace=workspace, ledger=ledger, recipe=recipe, choices=request.choices, dry_run=True)
        return [_planned(setting, part, request, only_count=only_count) for part in parts]


def do_steps(workspace: Workspace, recipe: Recipe, request: StepRequest, *, command: str) -> Iterator[StageReport]:
    """Do the steps, giving each stage's report as it ends. A stage that was stopped early ends the sequence.

    Raises:
        BusyError: if another command is at work in this workspace.
        ProblemsError, ConfigError, DataError, ToolError: where the list, the recipe or the weights do not allow it;
            weights are looked for before anything is downloaded.
    """
    parts = _parts(recipe, request)
    with open_for_work(workspace, command) as ledger:
        if all(STAGES[name].after for name in request.steps):
            _check_there_are_clips(workspace, ledger)
        setting = Setting(workspace=workspace, ledger=ledger, recipe=recipe, choices=request.choices)
        if (bucket := bucket_of(workspace)) is not None:
            bucket.begin(ledger)
        for part in parts:
            report = _done(setting, part, request)
            yield report
            if report.stopped:
                return


def check_steps(workspace: Workspace, recipe: Recipe, request: StepRequest) -> None:
    """Find out whether the steps can be begun at all, before a folder is made a workspace; touches nothing.

    Raises:
        AvisError: as `do_steps`, where the list, the cookies or the weights do not allow it.
    """
    parts = _parts(recipe, request)
    with Ledger(workspace.ledger, read_only=True) as ledger:
        setting = Setting(workspace=workspace, ledger=ledger, recipe=recipe, choices=request.choices, dry_run=True)
        for part in parts:
            if part.spec.check is not None:
                part.spec.check(setting)


def _check_there_are_clips(workspace: Workspace, ledger: Ledger) -> None:
    if next(ledger.wanted("clip"), None) is None and next(ledger.adopted(), None) is None:
        hint = "avis-data fetch --list videos.csv, or avis-data import --media"
        raise ConfigError(f"{workspace.root}: no list of videos yet, so there are no clips", hint=hint)


def _parts(recipe: Recipe, request: StepRequest) -> list[_Part]:
    """All stages of the steps, made at once: what one of them lacks is said before another begins."""
    found = []
    for spec in (part for name in request.steps for part in STAGES[name].parts):
        if spec.items is None:
            raise ConfigError(f"the stage {spec.name} is no step: another command does it", hint="avis-data --help")
        found.append(_Part(spec, spec.make(recipe, request.choices), spec.items))
    return found


def _planned(setting: Setting, part: _Part, request: StepRequest, *, only_count: bool = False) -> Plan:
    candidates = part.items(setting)
    plan = plan_stage(
        *(setting.workspace, setting.ledger, part.stage, candidates, request.selection), only_count=only_count
    )
    plan.workers = request.executors(part.spec).workers
    return plan


def _done(setting: Setting, part: _Part, request: StepRequest) -> StageReport:
    plan = _planned(setting, part, request)
    workspace, ledger, executors = setting.workspace, setting.ledger, request.executors(part.spec)
    try:
        report = run_stage(workspace, ledger, part.stage, plan, executors=executors, policy=request.policy)
    except BaseException:
        with suppress(OSError, AvisError):  # the first error is the one to be told
            write_manifests(workspace, ledger)  # what is done is there to be used
        raise
    write_manifests(workspace, ledger)
    return report

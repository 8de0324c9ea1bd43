"""The stages of a workspace: run one, see how far all are, publish what is there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from avis_data.errors import DataError
from avis_data.paths import Workspace

if TYPE_CHECKING:
    from avis_data.pipelines.engine.runner import StageReport
    from avis_data.pipelines.status import StageStatus

__all__ = ["run_stage", "stages", "status"]


def stages() -> list[str]:
    """The names of all stages that `run_stage` knows, in the order in which they come.

    Example:
        >>> avis.stages()
        ['fetch', 'extract', 'preview', 'embed', 'fingerprint', 'prelabel', 'propagate']
    """
    from avis_data.pipelines.stages import STAGES

    return [spec.name for spec in STAGES if spec.items is not None]


def run_stage(
    workspace: str | Path,
    stage: str,
    *,
    videos: str | Path | None = None,
    allow_local: bool = False,
    allow_private_hosts: bool = False,
    weights: str | Path | None = None,
    untrained: bool = False,
    workers: int = 1,
    limit: int | None = None,
    retry_failed: str | None = None,
    force: bool = False,
) -> list[StageReport]:
    """Run one stage on all clips of a workspace that are not done yet; run it again to go on.

    With one worker everything is done in this process. More workers are processes of their own: a script then needs
    `if __name__ == "__main__":` around its code, a notebook needs nothing.

    Args:
        workspace: its folder; for `fetch` it is made a workspace where it is none.
        stage: its name, see `stages`.
        videos: `fetch`: the list of videos; None: the one that the workspace has.
        allow_local: `fetch`: the list may name files of this machine.
        allow_private_hosts: `fetch`: links may lead to this machine and to private networks.
        weights: `embed`: VGGish weights; None: the registered ones.
        untrained: `embed`: a network with random weights, and say so.
        workers: how many items at once.
        limit: do at most so many items.
        retry_failed: try failed items again: `retryable`, `all`, or a reason as `network`.
        force: do finished items again.

    Returns:
        How each part of the stage went; failed items are in `avis.status`.

    Raises:
        ConfigError: if there is no such stage, the folder is no workspace, or there is no list of videos.
        ProblemsError: with every bad row of the list.
        ToolError: if a program or the weights are missing.
        BusyError: if a command is at work in the workspace.

    Example:
        >>> report = avis.run_stage("example", "preview", limit=2)[0]
        >>> report.stage, report.done, report.failed
        ('preview', 2, Counter())
    """
    from avis_data.pipelines.engine.executors.here import HereExecutors
    from avis_data.pipelines.engine.executors.local import LocalExecutors
    from avis_data.pipelines.engine.planner import Selection
    from avis_data.pipelines.engine.spec import Choices
    from avis_data.pipelines.kept_video_list import ListOptions
    from avis_data.pipelines.stages import STAGES
    from avis_data.pipelines.stages.embed import EmbedChoices
    from avis_data.pipelines.stages.fetch import FetchChoices
    from avis_data.pipelines.steps import StepRequest, do_steps
    from avis_data.recipe import DEFAULT_RECIPE, create_workspace, load_recipe

    place, spec = Workspace(Path(workspace)), STAGES[stage]
    recipe = create_workspace(place, DEFAULT_RECIPE) if not spec.after else load_recipe(place)
    wanted = ListOptions(path=None if videos is None else Path(videos), allow_local=allow_local)
    request = StepRequest(
        steps=[stage],
        executors=lambda _: HereExecutors() if workers == 1 else LocalExecutors(workers=workers),
        selection=Selection(retry_failed=retry_failed, force=force, limit=limit),
        choices=Choices(
            FetchChoices(list=wanted, allow_private_hosts=allow_private_hosts),
            EmbedChoices(weights=None if weights is None else Path(weights), untrained=untrained),
        ),
    )
    return list(do_steps(place, recipe, request, command=f"avis.run_stage({stage})"))


def status(workspace: str | Path) -> Sequence[StageStatus]:
    """How far each stage of a workspace is: wanted, done, failed and why.

    Raises:
        DataError: if there is no such folder.
        ConfigError: if it is no workspace.

    Example:
        >>> [(stage.stage, stage.done, stage.to_do) for stage in avis.status("example")][:2]
        [('fetch', 12, 0), ('extract', 12, 0)]
    """
    from avis_data.ledger import Ledger
    from avis_data.pipelines.status import workspace_status
    from avis_data.recipe import load_recipe

    place = Workspace(Path(workspace))
    if not place.root.exists():
        raise DataError(f"{place.root}: no such folder")
    recipe = load_recipe(place)
    with Ledger(place.ledger, read_only=True) as ledger:
        return workspace_status(ledger, recipe)

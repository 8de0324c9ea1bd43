"""`avis-data problems`: all that needs a look, over the whole round."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from avis_data.cli.options import (
    clips_option,
    current_workspace,
    data_option,
    html_option,
    json_option,
    listed_clips,
    on_option,
    pred_option,
)
from avis_data.errors import ConfigError, ToolError

if TYPE_CHECKING:
    from avis_data.annotation.labels.records import Answer
    from avis_data.paths import Workspace
    from avis_data.report.problems import ProblemItem

__all__ = ["command"]

_SHOWN = 20


@click.command("problems")
@clips_option
@html_option
@pred_option()
@data_option()
@on_option
@json_option
def command(
    clips: str | None, page: Path | None, predictions: Path | None, data: Path | None, split: str, as_json: bool
) -> None:
    """List all that needs a look, the worst first: problems, flags, disagreements, tracks that look like label errors.

    Label errors are the tenth of the tracks against which most speaks: jumps and looks, sound that disagrees, and with
    --pred what a trained model says otherwise (its results on the split --on of the export --data).

    \b
    Example:
      avis-data problems --html problems.html
      avis-data problems --pred results.json --data exports/ytvis --html problems.html
    """
    from avis_data.annotation.labels.workspace_labels import WorkspaceLabels
    from avis_data.annotation.problems.collect import collect_problems, read_predicted
    from avis_data.recipe import load_recipe
    from avis_data.report.problems import write_problems_page

    workspace = current_workspace()
    load_recipe(workspace)
    if (predictions is None) != (data is None):
        raise ConfigError("--pred and --data go together", hint="--pred results.json --data exports/ytvis")
    predicted = None
    if predictions is not None and data is not None:
        predicted = read_predicted(data / f"{split}.json", predictions)
    labels = WorkspaceLabels(workspace)
    found = collect_problems(labels, link=_links(workspace), predicted=predicted, clip_ids=listed_clips(clips))
    if page is not None:
        write_problems_page(found, page, title=workspace.root.resolve().name)
    if as_json:
        click.echo(json.dumps({"problems": [item.as_dict() for item in found]}, ensure_ascii=False))
        return
    _print(found)
    if page is not None:
        click.echo(f"page: {page}")


def _links(workspace: Workspace) -> Callable[[Answer], str | None]:
    """Addresses of tasks on the server that the workspace works with; none where there is no server."""
    from avis_data.annotation.labelstudio.settings import read_settings

    try:
        url = read_settings(workspace).url.rstrip("/")
    except ToolError:
        return lambda _: None

    def link(answer: Answer) -> str | None:
        known = answer.revision
        return f"{url}/projects/{known.project_id}/data?task={known.task_id}" if known is not None else None

    return link


def _print(found: list[ProblemItem]) -> None:
    click.echo(f"{len(found)} thing(s) to look at in {len({item.clip_id for item in found})} clip(s)")
    for item in found[:_SHOWN]:
        page = "" if item.still is None else f" page {item.still + 1}"
        click.echo(f"  {item.clip_id} {item.identity or ''}{page}: {item.source} ({item.kind}): {item.message}")
    if len(found) > _SHOWN:
        click.echo(f"  ... and {len(found) - _SHOWN} more: --html FILE shows them with their stills, --json all")

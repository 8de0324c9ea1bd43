"""`avis-data run`."""

from __future__ import annotations

from pathlib import Path

import click

from avis_data.cli.fetch_command import ListedVideos, list_options
from avis_data.cli.options import RunOptions, current_workspace, run_options, untrained_option, weights_option
from avis_data.errors import ExitCode

__all__ = ["command"]


@click.command("run")
@list_options
@weights_option
@untrained_option
@click.option("--preview", "with_preview", is_flag=True, help="Make the playable copies as well.")
@run_options(usual_workers="as many as suit each step")
def command(
    run: RunOptions,
    listed: ListedVideos,
    weights: Path | None,
    untrained: bool,
    with_preview: bool,
) -> ExitCode:
    """Do what is left of fetch, extract and embed, in this order. Run again to resume.

    \b
    Example:
      avis-data -C my-dataset run --list videos.csv --weights vggish-10086976.pth
    """
    from avis_data.cli.run_steps import run_steps
    from avis_data.pipelines.stages.embed import EmbedChoices
    from avis_data.pipelines.steps import usual_steps

    return run_steps(
        current_workspace(),
        usual_steps(also=["preview"] if with_preview else []),
        run,
        listed.choices(),
        EmbedChoices(weights=weights, untrained=untrained),
        make_workspace=listed.list_path is not None,
    )

"""`avis-data embed`."""

from __future__ import annotations

from pathlib import Path

import click

from avis_data.cli.options import RunOptions, current_workspace, run_options
from avis_data.errors import ExitCode

__all__ = ["command", "weights_options"]


def weights_options(function: click.decorators.FC) -> click.decorators.FC:
    """Give a command the options about VGGish weights."""
    for option in (
        click.option("--untrained", is_flag=True, help="Random weights, for tests and demos; the data says so."),
        click.option(
            "--weights",
            type=click.Path(path_type=Path),
            default=None,
            help="VGGish weight file; else the registered one (avis-data weights).",
        ),
    ):
        function = option(function)
    return function


@click.command("embed")
@weights_options
@run_options()
def command(run: RunOptions, weights: Path | None, untrained: bool) -> ExitCode:
    """Compute VGGish embeddings, one per second, into features/vggish/part-*.parquet. Run again to resume.

    \b
    Example:
      avis-data -C my-dataset embed --weights vggish-10086976.pth
    """
    from avis_data.cli.run_steps import run_steps
    from avis_data.pipelines.steps import EmbedChoices

    return run_steps(current_workspace(), ["embed"], run, embed=EmbedChoices(weights=weights, untrained=untrained))

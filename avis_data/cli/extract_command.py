"""`avis-data extract`."""

from __future__ import annotations

import click

from avis_data.cli.options import RunOptions, current_workspace, run_options
from avis_data.errors import ExitCode

__all__ = ["command"]


@click.command("extract")
@run_options()
def command(run: RunOptions) -> ExitCode:
    """Take stills and sound out of the source videos. Run again to resume.

    One decode per clip gives one still per second at its original size, 16 kHz mono sound, and times.json, which says
    where in the source each of them lies.

    \b
    Example:
      avis-data -C my-dataset extract --workers 4
    """
    from avis_data.cli.run_steps import run_steps

    return run_steps(current_workspace(), ["extract"], run)

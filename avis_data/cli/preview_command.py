"""`avis-data preview`."""

from __future__ import annotations

import click

from avis_data.cli.options import RunOptions, current_workspace, run_options
from avis_data.errors import ExitCode

__all__ = ["command"]


@click.command("preview")
@run_options()
def command(run: RunOptions) -> ExitCode:
    """Make small playable copies of the clips, for annotators and reports. Run again to resume.

    Each is an H.264 + AAC file of the very span that was extracted, on the same clock.

    \b
    Example:
      avis-data -C my-dataset preview --workers 4
    """
    from avis_data.cli.run_steps import run_steps

    return run_steps(current_workspace(), ["preview"], run)

"""`avis-data fetch`."""

from __future__ import annotations

from pathlib import Path

import click

from avis_data.cli.options import RunOptions, current_workspace, run_options
from avis_data.errors import ExitCode

__all__ = ["command", "list_options"]


def list_options(function: click.decorators.FC) -> click.decorators.FC:
    """Give a command the options about the list and the download."""
    for option in reversed(
        [
            click.option(
                "--list",
                "list_path",
                type=click.Path(path_type=Path),
                default=None,
                help="CSV of videos; kept as videos.csv.",
            ),
            click.option("--allow-local", is_flag=True, help="Let the list name files of this machine."),
            click.option(
                "--skip-bad-rows", is_flag=True, help="Go on without the rows that have problems, from now on."
            ),
            click.option(
                "--cookies", type=click.Path(path_type=Path), default=None, help="Netscape cookie file for the sites."
            ),
            click.option(
                "--sleep", "sleep_s", type=click.FloatRange(0), default=None, help="Seconds before each download."
            ),
        ]
    ):
        function = option(function)
    return function


@click.command("fetch")
@list_options
@run_options(default_workers=4)
def command(
    run: RunOptions,
    list_path: Path | None,
    allow_local: bool,
    skip_bad_rows: bool,
    cookies: Path | None,
    sleep_s: float | None,
) -> ExitCode:
    """Download the source videos of a list. Run again to resume; partial files go on where they broke off.

    The folder becomes a workspace with the recipe aviseg if it has none. The list has the columns url and, if you
    like, video_id, start, end, categories, license, split; the lists of AudioSet and VGGSound are recognised.

    \b
    Example:
      avis-data -C my-dataset fetch --list videos.csv --jobs 4
    """
    from avis_data.cli.run_steps import run_steps
    from avis_data.pipelines.steps import FetchChoices
    from avis_data.pipelines.wanted import ListOptions

    choices = FetchChoices(
        list=ListOptions(path=list_path, allow_local=allow_local, skip_bad_rows=skip_bad_rows),
        cookies=cookies,
        sleep_s=sleep_s,
    )
    return run_steps(current_workspace(), ["fetch"], run, fetch=choices, make_workspace=True)

"""`avis-data fetch`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from avis_data.cli.options import RunOptions, current_workspace, run_options
from avis_data.errors import ExitCode

if TYPE_CHECKING:
    from avis_data.pipelines.stages.fetch import FetchChoices

__all__ = [
    "ListedVideos",
    "allow_private_hosts_option",
    "command",
    "list_option",
    "list_options",
    "seen_from_both",
]


allow_private_hosts_option = click.option(
    "--allow-private-hosts",
    is_flag=True,
    envvar="AVIS_DATA_ALLOW_PRIVATE_HOSTS",
    help="Let links lead to this machine and to private networks.",
)


@dataclass(frozen=True, kw_only=True)
class ListedVideos:
    """The options about the list and the download."""

    list_path: Path | None
    allow_local: bool
    skip_bad_rows: bool
    cookies: Path | None
    sleep_s: float | None
    allow_private_hosts: bool

    def choices(self) -> FetchChoices:
        """What the step is told."""
        from avis_data.pipelines.kept_video_list import ListOptions
        from avis_data.pipelines.stages.fetch import FetchChoices

        path = None if self.list_path is None else seen_from_both(self.list_path)
        wanted = ListOptions(path=path, allow_local=self.allow_local, skip_bad_rows=self.skip_bad_rows)
        return FetchChoices(
            list=wanted,
            cookies=self.cookies,
            sleep_s=self.sleep_s,
            allow_private_hosts=self.allow_private_hosts,
        )


def seen_from_both(path: Path) -> Path:
    """A list as seen from the folder of -C; else from the folder that the command was typed in, which is said."""
    from avis_data.cli.commands import STARTED_IN

    typed_in = click.get_current_context().meta.get(STARTED_IN)
    if typed_in is None or path.is_absolute():
        return path
    other = Path(typed_in) / path
    if not other.is_file() or (path.is_file() and other.samefile(path)):
        return path
    if path.is_file():
        click.echo(f"--list {path}: taken as seen from -C, {path.resolve()}; there is {other} too", err=True)
        return path
    click.echo(f"--list {path}: taken from {other}, where the command was typed", err=True)
    return other


_PATH = click.Path(path_type=Path)
list_option = click.option(
    "--list",
    "list_path",
    type=_PATH,
    default=None,
    metavar="FILE",
    help="The list of videos, as CSV; it is kept as videos.csv.",
)
_LIST_OPTIONS = [
    list_option,
    click.option("--allow-local", is_flag=True, help="Let the list name files of this machine."),
    click.option("--skip-bad-rows", is_flag=True, help="Go on without the rows that have problems, from now on."),
    click.option("--cookies", type=_PATH, default=None, metavar="FILE", help="Cookies in Netscape's format."),
    click.option(
        "--sleep",
        "sleep_s",
        type=click.FloatRange(0),
        default=None,
        metavar="SECONDS",
        help="Pause before each download.",
    ),
    allow_private_hosts_option,
]


def list_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of `ListedVideos`, as its argument `listed`."""

    @functools.wraps(function)
    def command(**values: Any) -> Any:
        listed = ListedVideos(**{field.name: values.pop(field.name) for field in fields(ListedVideos)})
        return function(listed=listed, **values)

    for option in reversed(_LIST_OPTIONS):
        command = option(command)
    return command


@click.command("fetch")
@list_options
@run_options(usual_workers="4")
def command(run: RunOptions, listed: ListedVideos) -> ExitCode:
    """Download the source videos of a list. Run again to resume; partial files go on where they broke off.

    The folder becomes a workspace with the recipe aviseg if it has none. The list has the columns url and, if you
    like, video_id, start, end, categories, license, split, uploader, channel, upload_date, scenario; the lists of
    AudioSet and VGGSound are recognised. Afterwards it is said what the list no longer wants.

    \b
    Example:
      avis-data -C my-dataset fetch --list videos.csv --workers 4
    """
    from avis_data.cli.run_steps import run_steps

    return run_steps(current_workspace(), ["fetch"], run, listed.choices(), make_workspace=True)

"""Options that several commands share, and what they make of them."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from avis_data.errors import ConfigError

if TYPE_CHECKING:
    from avis_data.paths import Workspace
    from avis_data.pipelines.engine.executors import ExecutorFactory
    from avis_data.pipelines.engine.planner import Selection
    from avis_data.pipelines.engine.runner import Policy

__all__ = [
    "RunOptions",
    "available_cores",
    "clips_option",
    "current_workspace",
    "json_option",
    "listed_clips",
    "mode_option",
    "run_options",
]

clips_option = click.option("--clips", metavar="A,B|@FILE", help="Only these clips; @FILE: one id a line.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")

mode_option = click.option(
    "--mode",
    type=click.Choice(["aviseg_compat", "strict", "both", "ytvis", "all"]),
    default="both",
    show_default=True,
    help="Whose definition. both: the first two; all: and that of the YouTube-VIS API.",
)


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """The options of every command that runs stages."""

    workers: int
    retry_failed: str | None
    force: bool
    verify: bool
    limit: int | None
    dry_run: bool
    as_json: bool
    executor: str
    ray_address: str | None
    retries: int
    retry_wait: float

    def selection(self) -> Selection:
        """Which items."""
        from avis_data.pipelines.engine.planner import Selection

        return Selection(retry_failed=self.retry_failed, force=self.force, verify=self.verify, limit=self.limit)

    def policy(self) -> Policy:
        """How patiently."""
        from avis_data.pipelines.engine.runner import Policy

        return Policy(retries=self.retries, retry_wait_s=self.retry_wait, throttle_wait_s=15 * self.retry_wait)

    def executors(self) -> ExecutorFactory:
        """On which workers.

        Raises:
            ConfigError: if options contradict each other.
        """
        if self.executor == "ray":
            from avis_data.pipelines.engine.executors.ray import RayExecutors

            return RayExecutors(workers=self.workers, address=self.ray_address)
        if self.ray_address:
            raise ConfigError("--ray-address goes with --executor ray")
        from avis_data.pipelines.engine.executors.local import LocalExecutors

        return LocalExecutors(workers=self.workers)


_RUN_OPTIONS = [
    click.option(
        "--workers", "--jobs", "-j", "workers", type=click.IntRange(1), default=None, help="How many items at once."
    ),
    click.option(
        "--retry-failed",
        is_flag=False,
        flag_value="retryable",
        default=None,
        metavar="[REASON]",
        help="Try failed items again: those that may pass by themselves, or `=all`, or `=<reason>`.",
    ),
    click.option("--force", is_flag=True, help="Do finished items again."),
    click.option("--verify", is_flag=True, help="Hash finished files instead of trusting their size and time."),
    click.option("--limit", type=click.IntRange(1), default=None, help="Do at most so many items."),
    click.option("--dry-run", is_flag=True, help="Say what would be done; touch nothing."),
    json_option,
    click.option("--executor", type=click.Choice(["local", "ray"]), default="local", show_default=True),
    click.option(
        "--ray-address", default=None, help="Of a Ray cluster that shares this file system; else a local one."
    ),
    click.option(
        "--retries", type=click.IntRange(0), default=5, show_default=True, help="Of network failures, within the run."
    ),
    click.option(
        "--retry-wait",
        type=click.FloatRange(0),
        default=2.0,
        show_default=True,
        help="Seconds before the first retry; doubles. A pause after throttling is 15 times that.",
    ),
]


def run_options(default_workers: int | None = None) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command the options of `RunOptions`, as its argument `run`."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def command(**values: Any) -> Any:
            chosen = {name: values.pop(name) for name in RunOptions.__dataclass_fields__}
            chosen["workers"] = chosen["workers"] or default_workers or available_cores()
            return function(run=RunOptions(**chosen), **values)

        for option in reversed(_RUN_OPTIONS):
            command = option(command)
        return command

    return decorate


def current_workspace() -> Workspace:
    """The current folder as a workspace (which `-C DIR` has changed to)."""
    from avis_data.paths import Workspace

    return Workspace(Path.cwd())


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def listed_clips(text: str | None) -> list[str] | None:
    """What `--clips A,B|@FILE` names; None where it was not given.

    Raises:
        ConfigError: if there is no such file, or nothing in it.
    """
    if text is None:
        return None
    if text.startswith("@"):
        path = Path(text[1:])
        if not path.is_file():
            raise ConfigError(f"--clips {text}: no such file")
        names = path.read_text(encoding="utf-8").split()
    else:
        names = text.split(",")
    found = [name.strip() for name in names if name.strip()]
    if not found:
        raise ConfigError(f"--clips {text}: names no clip")
    return found

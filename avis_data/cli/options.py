"""The options that several commands share: each has one name, one meaning and one help text, which stand here."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from avis_data.cli.written_path import ReadPath, WrittenPath
from avis_data.errors import ConfigError

if TYPE_CHECKING:
    from avis_data.paths import Workspace
    from avis_data.pipelines.engine.executors import ExecutorFactory
    from avis_data.pipelines.engine.planner import Selection
    from avis_data.pipelines.engine.runner import Policy

__all__ = [
    "FormatName",
    "RunOptions",
    "available_cores",
    "bootstrap_option",
    "checkpoint_option",
    "clips_option",
    "config_option",
    "csv_option",
    "current_workspace",
    "data_option",
    "device_option",
    "dry_run_option",
    "engine_option",
    "engine_weights_option",
    "force_option",
    "format_option",
    "fps_option",
    "html_option",
    "json_option",
    "label_studio_url_option",
    "lenient_option",
    "listed_clips",
    "mode_option",
    "model_option",
    "num_clips_option",
    "objects_option",
    "of_option",
    "on_option",
    "out_option",
    "precision_option",
    "pred_option",
    "run_options",
    "seconds_option",
    "seed_option",
    "set_option",
    "size_option",
    "truth_option",
    "untrained_option",
    "verify_option",
    "video_fps_option",
    "weights_option",
    "workers_option",
]

_PATH = click.Path(path_type=Path)

of_option = click.option("--of", metavar="EMAIL", help="Whose labels; default: those of the clip that count.")
by_option = click.option("--by", metavar="NAME", help="Who does it; default: your login name.")
clips_option = click.option("--clips", metavar="A,B|@FILE", help="Only the clips of these ids; @FILE: one id a line.")
config_option = click.option(
    "--config", "config_name", default=None, metavar="NAME|FILE", help="A shipped config by its name, or a YAML file."
)
csv_option = click.option("--csv", "table", type=WrittenPath(), metavar="FILE", help="Also write a table, as CSV.")
device_option = click.option(
    "--device",
    "device_name",
    default="auto",
    show_default=True,
    metavar="DEVICE",
    help="Where the network runs: auto, cpu, cuda, cuda:1, mps.",
)
dry_run_option = click.option("--dry-run", is_flag=True, help="Say what would be done; change nothing.")
engine_weights_option = click.option(
    "--engine-weights", type=_PATH, default=None, metavar="PATH", help="Weights of the engine: a file, or a folder."
)
force_option = click.option("--force", is_flag=True, help="Do again what is done already.")
html_option = click.option("--html", "page", type=WrittenPath(), metavar="FILE", help="Also write a page to open.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
label_studio_url_option = click.option(
    "--label-studio-url", "url", default=None, metavar="URL", help="The Label Studio server at this address."
)
lenient_option = click.option(
    "--lenient", is_flag=True, help="Leave bad entries out and count them, instead of refusing the file."
)
limit_option = click.option("--limit", type=click.IntRange(1), metavar="N", help="Do at most so many items.")
mode_option = click.option(
    "--mode",
    type=click.Choice(["aviseg_compat", "strict", "both", "ytvis", "all"]),
    default="both",
    show_default=True,
    help="Whose definitions. both: the first two; all: those of the YouTube-VIS API too.",
)
model_option = click.option("--model", "model_name", default=None, metavar="NAME", help="The model, by its name.")
on_option = click.option(
    "--on", "split", default="test", show_default=True, metavar="SPLIT", help="The split of the dataset that is meant."
)
precision_option = click.option(
    "--precision",
    type=click.Choice(["bf16", "tf32", "fp32"]),
    default=None,
    help="Numbers that the network computes with; default: as the config says.",
)
set_option = click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change the config; may be repeated."
)
truth_option = click.option(
    "--truth",
    type=_PATH,
    required=True,
    metavar="FILE",
    help="The true masks: a JSON file; AVSBench: a folder or .npz.",
)
untrained_option = click.option(
    "--untrained", is_flag=True, help="Take random weights of VGGish, for tests and demos; the data says so."
)
verify_option = click.option(
    "--verify", is_flag=True, help="Read the files themselves instead of trusting what is noted of them."
)
weights_option = click.option(
    "--weights", type=_PATH, default=None, metavar="FILE", help="VGGish weights; default: the registered ones."
)


class _Size(click.ParamType):
    name = "size"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        match = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", str(value))
        if match is None:
            self.fail(f"{value!r:.40} is no size: write WIDTHxHEIGHT, as 320x180", param, ctx)
        return int(match[1]), int(match[2])


class FormatName(click.ParamType):
    """The name of a format of datasets, of those that a command knows."""

    name = "format"

    def __init__(self, names: Callable[[], list[str]]) -> None:
        """`names`: gives those that there are; asked only when a name is read."""
        self._names = names

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if value not in self._names():
            self.fail(f"{value!r} is not a format; there are: {', '.join(self._names())}", param, ctx)
        return value


# Options whose default, or whose need, differs from command to command: `@seed_option(default=1)`.
bootstrap_option = partial(
    click.option,
    "--bootstrap",
    type=click.IntRange(10, 100_000),
    show_default=True,
    metavar="N",
    help="Draw the videos anew N times, for the intervals.",
)
checkpoint_option = partial(
    click.option,
    "--checkpoint",
    type=_PATH,
    metavar="RUN|FILE",
    help="A trained model: the folder of a run (its best weights), or a weight file.",
)
data_option = partial(
    click.option,
    "--data",
    type=ReadPath(),
    metavar="DIR",
    help="A dataset (an export) in the layout of AVISeg or AVSBench, or shards; s3://bucket/… is fetched first.",
)
engine_option = partial(
    click.option,
    "--engine",
    show_default=True,
    metavar="NAME",
    help="What makes the masks; the text above names the engines.",
)
format_option = partial(click.option, "--format", "format_name", metavar="NAME", help="The format of the dataset.")
fps_option = partial(
    click.option,
    "--fps",
    type=click.FloatRange(0, 30, min_open=True),
    show_default=True,
    metavar="RATE",
    help="Labelled frames per second.",
)
num_clips_option = partial(click.option, "--num-clips", show_default=True, metavar="N", help="How many clips.")
objects_option = partial(
    click.option,
    "--objects",
    type=click.Choice(["sounding", "visible"]),
    show_default=True,
    help="What has masks: things while they sound, or all that is seen, with flags.",
)
out_option = partial(
    click.option, "--out", type=WrittenPath(), show_default=True, metavar="PATH", help="Where to write the result."
)
pred_option = partial(
    click.option,
    "--pred",
    "predictions",
    type=_PATH,
    metavar="PATH",
    help="The predictions: a result file; AVSBench: a folder of masks.",
)
seconds_option = partial(click.option, "--seconds", show_default=True, metavar="N", help="Length of each clip.")
seed_option = partial(
    click.option,
    "--seed",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    metavar="N",
    help="Seed of everything that is drawn at random.",
)
size_option = partial(
    click.option,
    "--size",
    type=_Size(),
    show_default=True,
    metavar="WIDTHxHEIGHT",
    help="Size of the pictures.",
)
video_fps_option = partial(
    click.option,
    "--video-fps",
    type=click.IntRange(1, 60),
    show_default=True,
    metavar="RATE",
    help="Pictures of the video per second.",
)
workers_option = partial(
    click.option,
    "--workers",
    "-j",
    type=click.IntRange(1),
    show_default="all cores",
    metavar="N",
    help="How many items are worked on at once.",
)


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """The options of every command that runs stages."""

    workers: int | None
    """None: as many as suit the stage."""
    retry_failed: str | None
    force: bool
    verify: bool
    limit: int | None
    dry_run: bool
    as_json: bool
    executor: str
    ray_address: str | None
    gpus_per_worker: float | None
    retries: int
    retry_wait: float

    def selection(self) -> Selection:
        """Which items are worked on."""
        from avis_data.pipelines.engine.planner import Selection

        return Selection(retry_failed=self.retry_failed, force=self.force, verify=self.verify, limit=self.limit)

    def policy(self) -> Policy:
        """How patient the run is with failures."""
        from avis_data.pipelines.engine.runner import Policy

        return Policy(retries=self.retries, retry_wait_s=self.retry_wait, throttle_wait_s=15 * self.retry_wait)

    def executors(self, *, usual: int | None = None) -> ExecutorFactory:
        """The workers that do the items.

        Args:
            usual: how many where nobody says; None: one for each core.

        Raises:
            ConfigError: if options contradict each other.
        """
        workers = self.workers or usual or available_cores()
        if self.executor == "ray":
            from avis_data.pipelines.engine.executors.ray import RayExecutors

            return RayExecutors(workers=workers, address=self.ray_address, gpus_per_worker=self.gpus_per_worker or 0.0)
        if self.ray_address or self.gpus_per_worker is not None:
            raise ConfigError("--ray-address and --gpus-per-worker go with --executor ray")
        from avis_data.pipelines.engine.executors.local import LocalExecutors

        return LocalExecutors(workers=workers)


_RUN_OPTIONS = [
    click.option(
        "--retry-failed",
        is_flag=False,
        flag_value="retryable",
        metavar="[REASON]",
        help="Try failed items again: those that may pass now, or `=all`, or `=<reason>`.",
    ),
    force_option,
    verify_option,
    limit_option,
    dry_run_option,
    json_option,
    click.option(
        "--executor",
        type=click.Choice(["local", "ray"]),
        default="local",
        show_default=True,
        help="Where the workers run: on this machine, or on a Ray cluster.",
    ),
    click.option(
        "--ray-address",
        metavar="ADDRESS",
        help="The Ray cluster, which shares this file system or the bucket; default: $RAY_ADDRESS, else a local one.",
    ),
    click.option("--gpus-per-worker", type=click.FloatRange(0), metavar="N", help="GPUs that Ray keeps for a worker."),
    click.option(
        "--retries",
        type=click.IntRange(0),
        default=5,
        show_default=True,
        metavar="N",
        help="How often the run tries again after a network failure.",
    ),
    click.option(
        "--retry-wait",
        type=click.FloatRange(0),
        default=2.0,
        show_default=True,
        metavar="SECONDS",
        help="Pause before the first retry; it doubles. A pause after throttling is 15 times that.",
    ),
]


def run_options(*, usual_workers: str = "all cores") -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command the options of `RunOptions`, as its argument `run`; `usual_workers` is told in its help."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def command(**values: Any) -> Any:
            chosen = {name: values.pop(name) for name in RunOptions.__dataclass_fields__}
            return function(run=RunOptions(**chosen), **values)

        for option in reversed([workers_option(show_default=usual_workers), *_RUN_OPTIONS]):
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
    names = text.split(",")
    if text.startswith("@"):
        path = Path(text[1:])
        if not path.is_file():
            raise ConfigError(f"--clips {text}: no such file")
        names = path.read_text(encoding="utf-8").split()
    found = [name.strip() for name in names if name.strip()]
    if not found:
        raise ConfigError(f"--clips {text}: names no clip")
    return found

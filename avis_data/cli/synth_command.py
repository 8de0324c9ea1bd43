"""`avis-data synth`: a synthetic dataset with exact truth."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from avis_data.cli.options import available_cores, json_option
from avis_data.errors import ConfigError

if TYPE_CHECKING:
    from avis_data.recipe import Truth

__all__ = ["command"]


def _size(_: click.Context, __: click.Parameter, text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text)
    if match is None:
        raise ConfigError(f"--size must be WIDTHxHEIGHT, as 320x180 (found {text!r:.40})")
    return int(match[1]), int(match[2])


@click.command("synth")
@click.option("--clips", type=int, required=True, help="How many clips.")
@click.option("--seconds", type=int, default=10, show_default=True, help="Length of each.")
@click.option("--seed", type=int, default=0, show_default=True, help="Clip i depends on this and on i only.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("world"), show_default=True, help="The folder.")
@click.option("--size", callback=_size, default="320x180", show_default=True, help="Of the picture, even numbers.")
@click.option("--fps", type=int, default=25, show_default=True, help="Pictures per second.")
@click.option("--label-fps", type=float, default=1.0, show_default=True, help="Labelled stills per second.")
@click.option(
    "--truth",
    type=click.Choice(["sounding", "visible"]),
    default="sounding",
    show_default=True,
    help="Masks of what sounds, or of all that is seen, with flags.",
)
@click.option("--base-url", default=None, help="The list links to BASE_URL/media/...; default: relative paths.")
@click.option("--workers", "-j", type=click.IntRange(1), default=None, help="Processes; default: all cores.")
@json_option
def command(
    clips: int,
    seconds: int,
    seed: int,
    out: Path,
    size: tuple[int, int],
    fps: int,
    label_fps: float,
    truth: Truth,
    base_url: str | None,
    workers: int | None,
    as_json: bool,
) -> None:
    """Make a synthetic dataset: videos with sound, their list, and the exact truth.

    Things of eight categories move and sound at known seconds on busy backgrounds, with silences, occlusion, sounds
    from off screen, and look-alikes of which only one sounds. Run it again to go on where it stopped.

    \b
    Example:
      avis-data synth --clips 8 --seconds 10 --seed 1 --out world
      avis-data -C dataset fetch --list ../world/videos.csv --allow-local
    """
    from dataclasses import asdict

    from avis_data.pipelines.engine.progress import Progress
    from avis_data.synth.scene import WorldOptions
    from avis_data.synth.world import make_world

    options = WorldOptions(seed=seed, num_seconds=seconds, width=size[0], height=size[1], fps=fps, label_fps=label_fps)
    with Progress("synth", total=clips) as progress:
        summary = make_world(
            options,
            out,
            num_clips=clips,
            base_url=base_url,
            truth=truth,
            workers=workers or available_cores(),
            on_clip=progress.step,
        )
    if as_json:
        click.echo(json.dumps({"out": str(out), **asdict(summary)}))
    else:
        made = f"{summary.num_made} made, {summary.num_clips - summary.num_made} there already"
        click.echo(f"{out}: {summary.num_clips} clips ({made}), {summary.num_tracks} tracks, {summary.num_masks} masks")

"""`avis-data synth`: a synthetic dataset with exact truth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from avis_data.cli.options import (
    available_cores,
    fps_option,
    json_option,
    num_clips_option,
    objects_option,
    out_option,
    seconds_option,
    seed_option,
    size_option,
    video_fps_option,
    workers_option,
)

if TYPE_CHECKING:
    from avis_data.recipe import Truth

__all__ = ["command"]


@click.command("synth")
@num_clips_option(required=True, type=click.IntRange(1))
@seconds_option(default=10, type=click.IntRange(1))
@seed_option()
@out_option(default=Path("world"))
@size_option(default="320x180")
@video_fps_option(default=25)
@fps_option(default=1.0)
@objects_option(default="sounding")
@click.option(
    "--base-url", default=None, metavar="URL", help="The list links to URL/media/...; default: relative paths."
)
@workers_option()
@json_option
def command(
    num_clips: int,
    seconds: int,
    seed: int,
    out: Path,
    size: tuple[int, int],
    video_fps: int,
    fps: float,
    objects: Truth,
    base_url: str | None,
    workers: int | None,
    as_json: bool,
) -> None:
    """Make a synthetic dataset: videos with sound, their list, and the exact truth.

    Things of eight categories move and sound at known seconds on busy backgrounds, with silences, occlusion, sounds
    from off screen, and look-alikes of which only one sounds. Clip i depends on the seed and on i only. Run it again to
    go on where it stopped.

    \b
    Example:
      avis-data synth --num-clips 8 --seconds 10 --seed 1 --out world
      avis-data -C dataset fetch --list ../world/videos.csv --allow-local
    """
    from dataclasses import asdict

    from avis_data.pipelines.engine.progress import Progress
    from avis_data.synth.scene import WorldOptions
    from avis_data.synth.world import make_world

    options = WorldOptions(seed=seed, num_seconds=seconds, width=size[0], height=size[1], fps=video_fps, label_fps=fps)
    with Progress("synth", total=num_clips) as progress:
        summary = make_world(
            options,
            out,
            num_clips=num_clips,
            base_url=base_url,
            truth=objects,
            workers=workers or available_cores(),
            on_clip=progress.step,
        )
    if as_json:
        click.echo(json.dumps({"out": str(out), **asdict(summary)}))
    else:
        made = f"{summary.num_made} made, {summary.num_clips - summary.num_made} there already"
        click.echo(f"{out}: {summary.num_clips} clips ({made}), {summary.num_tracks} tracks, {summary.num_masks} masks")

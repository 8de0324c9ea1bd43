"""`avis-data propagate`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from avis_data.cli.options import (
    clips_option,
    current_workspace,
    dry_run_option,
    engine_option,
    engine_weights_option,
    force_option,
    json_option,
    listed_clips,
    video_fps_option,
)
from avis_data.errors import ExitCode

if TYPE_CHECKING:
    from avis_data.annotation.propagation.carrier import Carrier
    from avis_data.annotation.propagation.propagate import ClipResult, PropagateReport, PropagateRequest
    from avis_data.paths import Workspace

__all__ = ["command"]


@click.command("propagate")
@clips_option
@click.option("--round", "round_name", metavar="ROUND", help="The round, by its name.")
@engine_option(default="optical-flow")
@engine_weights_option
@video_fps_option(default=6)
@force_option
@dry_run_option
@json_option
def command(
    clips: str | None,
    round_name: str | None,
    engine: str,
    engine_weights: Path | None,
    video_fps: int,
    force: bool,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Carry the masks drawn on some stills of a clip to all others, and flag those that need a look.

    It starts from the masks of --round, else from the clip's pre-labels, else from imported truth. What was drawn is
    never changed, and masks that were carried before are made anew. Scene cuts end it. The result is the clip's
    pre-labels, which `annotate push` fills the pages with. Run it again to go on where it stopped; with --force clips
    whose masks and pictures did not change are done too.

    The engine optical-flow needs no weights; sam2 takes the folder of SAM 2, by default the registered one. Between the
    stills it looks at the video, at most --video-fps pictures a second; 1 looks at stills only.

    \b
    Example:
      avis-data propagate --round draft
      avis-data propagate --engine sam2 --engine-weights sam2.1-hiera-small --clips dog_park_1
    """
    from avis_data.annotation.propagation.engines import load_carrier
    from avis_data.annotation.propagation.propagate import PropagateRequest
    from avis_data.recipe import load_recipe

    workspace = current_workspace()
    load_recipe(workspace)
    request = PropagateRequest(
        clip_ids=listed_clips(clips), round_name=round_name, fps=video_fps, force=force, dry_run=dry_run
    )
    report = _run(workspace, load_carrier(engine, engine_weights), request)
    if as_json:
        click.echo(json.dumps(report.as_dict(), ensure_ascii=False))
    else:
        _print(report)
    return ExitCode.PARTIAL if report.num_failed else ExitCode.OK


def _run(workspace: Workspace, carrier: Carrier, request: PropagateRequest) -> PropagateReport:
    from tqdm import tqdm

    from avis_data.annotation.propagation.propagate import propagate
    from avis_data.ledger import Ledger
    from avis_data.pipelines.engine.lock import open_for_work

    if request.dry_run:
        with Ledger(workspace.ledger, read_only=True) as ledger:
            return propagate(workspace, ledger, carrier, request)
    with (
        open_for_work(workspace, "avis-data propagate") as ledger,
        tqdm(desc="propagate", unit="clip", disable=None) as bar,
    ):

        def on_clip(result: ClipResult) -> None:
            bar.update()
            if result.state == "failed":
                tqdm.write(f"{result.clip_id}: {result.message}", file=sys.stderr)

        return propagate(workspace, ledger, carrier, request, on_clip=on_clip, on_total=bar.reset)


def _print(report: PropagateReport) -> None:
    for clip in report.clips:
        if clip.state in ("done", "to do"):
            pictures = f"{clip.fps} pictures a second" if clip.fps > 1 else "stills only"
            made = f", {clip.num_carried} carried, {clip.num_flags} flag(s)" if clip.state == "done" else ""
            click.echo(f"{clip.clip_id}: {clip.state}: {clip.num_drawn} drawn ({clip.source}, {pictures}){made}")
            if clip.note:
                click.echo(f"  {clip.note}")
    states = [clip.state for clip in report.clips]
    said = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    click.echo(f"{report.engine}: {said}")
    if states and set(states) == {"nothing drawn"}:
        click.echo("  hint: draw some stills first: avis-data annotate push --round draft, then pull", err=True)

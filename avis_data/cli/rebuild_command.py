"""`avis-data rebuild`: a set that was published without its media, with what can still be had of them."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import click

from avis_data.cli.fetch_command import allow_private_hosts_option, list_option, seen_from_both
from avis_data.cli.options import RunOptions, out_option, run_options, untrained_option, weights_option
from avis_data.errors import ExitCode

__all__ = ["command"]


@click.command("rebuild")
@click.argument("published", type=click.Path(exists=True, path_type=Path))
@out_option(required=True)
@list_option
@weights_option
@untrained_option
@allow_private_hosts_option
@run_options(usual_workers="as many as suit each step")
def command(
    run: RunOptions,
    published: Path,
    out: Path,
    list_path: Path | None,
    weights: Path | None,
    untrained: bool,
    allow_private_hosts: bool,
) -> ExitCode:
    """Fetch what still exists of a set that was exported with --without-media, and put it together again.

    --out becomes a workspace with the set's own recipe; the rebuilt set is its exports/rebuilt. Stills and sound are
    compared with the published hashes, or where a site gives another encoding with how they look and sound. What is
    gone is named with the reason, and subset.json says which videos are left: figures on them carry its stamp. With
    --weights or --untrained embeddings are computed too. Run again to resume.

    Where a link has moved or needs a token, give --list a CSV of your own with url and video_id: its links take the
    place of the published ones, and later calls go on with them.

    \b
    Example:
      avis-data rebuild published/aviseg-1-0-0 --out my-aviseg --weights vggish-10086976.pth
    """
    from avis_data.cli.report_run import say_report
    from avis_data.cli.run_steps import step_request
    from avis_data.paths import Workspace
    from avis_data.pipelines.engine.progress import Progress
    from avis_data.pipelines.kept_video_list import ListOptions
    from avis_data.pipelines.rebuild.assemble import assemble
    from avis_data.pipelines.rebuild.bundle import make_workspace_of, read_bundle, write_list_with_own_links
    from avis_data.pipelines.stages.embed import EmbedChoices
    from avis_data.pipelines.stages.fetch import FetchChoices
    from avis_data.pipelines.steps import do_steps

    bundle = read_bundle(published.resolve())
    workspace = Workspace(out.resolve())
    number = sum(len(dataset.videos) for dataset in bundle.splits.values())
    if run.dry_run:
        click.echo(f"would fetch what is there of {number} videos into {workspace.root}, and compare it")
        return ExitCode.OK
    with tempfile.TemporaryDirectory() as scratch:
        wanted = bundle.video_list
        if list_path is not None:
            wanted = Path(scratch) / "videos.csv"
            write_list_with_own_links(bundle, seen_from_both(list_path), wanted)
        recipe = make_workspace_of(bundle, workspace)
        goes_on = list_path is None and bundle.is_listed_in(workspace)
        features = weights is not None or untrained
        request = step_request(
            ["fetch", "extract", *(["embed"] if features else [])],
            run,
            FetchChoices(list=ListOptions(path=None if goes_on else wanted), allow_private_hosts=allow_private_hosts),
            EmbedChoices(weights=weights, untrained=untrained),
        )
        for report in do_steps(workspace, recipe, request, command="avis-data rebuild"):
            if not run.as_json:
                say_report(report, again="again: --retry-failed[=<reason>]")
            if report.stopped:
                return report.exit_code
    with Progress("rebuild: compare", total=number) as progress:
        folder, subset = assemble(workspace, bundle, "rebuilt", on_clip=progress.step)
    _say(folder, subset.model_dump(mode="json") if run.as_json else None)
    return ExitCode.PARTIAL if subset.missing else ExitCode.OK


def _say(folder: Path, as_json: dict[str, object] | None) -> None:
    from avis_data.versions.subset import read_subset, stamp_of

    if as_json is not None:
        click.echo(json.dumps({"path": str(folder), **as_json}))
        return
    subset = read_subset(folder)
    for entry in subset.missing:
        click.echo(f"missing: {entry.name} ({entry.split}): {entry.reason}: {entry.message}")
    for name, how_far in subset.near.items():
        click.echo(f"not the same file any more: {name}: {how_far}")
    for split, of_split in subset.splits.items():
        click.echo(f"{split}: {stamp_of(split, of_split)}")
    click.echo(f"{folder}: written; {subset.same} clips are the same to the bit, {len(subset.near)} look and sound so")

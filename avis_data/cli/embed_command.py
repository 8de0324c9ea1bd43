"""`avis-data embed`."""

from __future__ import annotations

from pathlib import Path

import click

from avis_data.cli.options import RunOptions, current_workspace, run_options, untrained_option, weights_option
from avis_data.cli.written_path import WrittenPath
from avis_data.errors import ExitCode

__all__ = ["command"]


@click.command("embed")
@weights_option
@untrained_option
@click.option(
    "--windows",
    type=WrittenPath(),
    default=None,
    metavar="DATASET",
    help="Instead, for RCF: write VGGish's last hidden layer for the sound before each frame of an export.",
)
@run_options()
def command(run: RunOptions, weights: Path | None, untrained: bool, windows: Path | None) -> ExitCode:
    """Compute VGGish embeddings, one for each still, into features/vggish/part-*.parquet. Run again to resume.

    \b
    Example:
      avis-data -C my-dataset embed --weights vggish-10086976.pth
      avis-data embed --windows exports/ytvis
    """
    if windows is not None:
        return _embed_windows(windows, weights, untrained=untrained)
    from avis_data.cli.run_steps import run_steps
    from avis_data.pipelines.stages.embed import EmbedChoices

    return run_steps(current_workspace(), ["embed"], run, EmbedChoices(weights=weights, untrained=untrained))


def _embed_windows(dataset: Path, weights: Path | None, *, untrained: bool) -> ExitCode:
    import sys

    from tqdm import tqdm

    from avis_data.training.data.audio_windows import write_windows
    from avis_data.weights import resolve_vggish

    found = resolve_vggish(weights, untrained=untrained)
    with tqdm(desc="embed", unit="clip", disable=not sys.stderr.isatty(), dynamic_ncols=True) as bar:

        def done(of: int) -> None:
            bar.total = of
            bar.update()

        written = write_windows(dataset, found, on_clip=done)
    click.echo(f"{dataset}: {written} file(s) of 4096 values per frame in FEATWindows, of VGGish {found[1][:12]}")
    return ExitCode.OK

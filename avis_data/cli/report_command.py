"""`avis-data report`: one page that shows a dataset."""

from __future__ import annotations

import json
from pathlib import Path

import click

from avis_data.cli.options import json_option, num_clips_option, on_option, out_option, pred_option

__all__ = ["command"]

_EXISTING = click.Path(exists=True, path_type=Path)


@click.command("report")
@click.argument("path", type=click.Path(exists=True, path_type=Path), default=Path("."))
@out_option(default=Path("report.html"))
@num_clips_option(default=24, type=click.IntRange(0))
@click.option("--run", type=_EXISTING, metavar="DIR", help="Show the curves of this training run.")
@pred_option()
@click.option("--shown", type=_EXISTING, metavar="DIR", help="Show the videos in this folder (avis-data visualize).")
@on_option
@json_option
def command(
    path: Path,
    out: Path,
    num_clips: int,
    run: Path | None,
    predictions: Path | None,
    shown: Path | None,
    split: str,
    as_json: bool,
) -> None:
    """Write one HTML page with the figures of a dataset and contact sheets: stills, masks, waveform, who sounds when.

    Each figure (those of `avis-data figures`) can be saved from the page as PNG, SVG, PDF and CSV.

    With `--run`, `--pred` and `--shown` it shows a model too: curves, figures in both modes, predictions (of the split
    --on) as videos. With `--num-clips 0` it has figures and no contact sheets.

    PATH is a dataset in the AVISeg layout (an export), one of its truth files, or a workspace; default: the current
    folder. The page is a single file that loads nothing from a network.

    \b
    Example:
      avis-data report exports/ytvis --out report.html
      avis-data report exports/ytvis --run runs/tiny --pred results.json --shown shown
    """
    import sys
    from dataclasses import asdict

    from tqdm import tqdm

    from avis_data.cli.pictured import clips_of, figures_of
    from avis_data.errors import ConfigError
    from avis_data.report.dataset import write_dataset_page
    from avis_data.report.model import ModelFiles

    if predictions is not None and not path.is_dir():
        raise ConfigError("--pred needs the folder of a dataset as PATH, to know the truth", hint=f"{path.parent}")
    truth = path / f"{split}.json" if predictions is not None else None
    model = ModelFiles(run=run, truth=truth, predictions=predictions, shown=shown)

    with tqdm(desc="report", unit="clip", disable=not sys.stderr.isatty(), dynamic_ncols=True) as bar:

        def drawn(of: int) -> None:
            bar.total = of
            bar.update()

        summary = write_dataset_page(
            clips_of(path), out, max_clips=num_clips, model=model, figures=figures_of(path), on_clip=drawn
        )
    if as_json:
        click.echo(json.dumps({**asdict(summary), "path": str(summary.path)}))
    else:
        drawn_clips = f"{summary.clips_shown} of {summary.clips_in_all} clips"
        click.echo(f"{summary.path}: {drawn_clips}, {summary.size_bytes / 1e6:.1f} MB")

"""`avis-data report`: one page that shows a dataset."""

from __future__ import annotations

import json
from pathlib import Path

import click

from avis_data.cli.options import json_option

__all__ = ["command"]


@click.command("report")
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("report.html"), show_default=True, help="The page."
)
@click.option(
    "--clips", type=click.IntRange(0), default=24, show_default=True, help="How many clips to show; 0: figures only."
)
@json_option
def command(path: Path, out: Path, clips: int, as_json: bool) -> None:
    """Write one HTML page with the figures of a dataset and contact sheets: stills, masks, waveform, who sounds when.

    PATH is a dataset in the AVISeg layout (an export), or one of its truth files. The page is a single file that loads
    nothing from a network.

    \b
    Example:
      avis-data report exports/ytvis --out report.html
    """
    import sys
    from dataclasses import asdict

    from tqdm import tqdm

    from avis_data.report.dataset_page import write_dataset_page

    with tqdm(desc="report", unit="clip", disable=not sys.stderr.isatty(), dynamic_ncols=True) as bar:

        def drawn(of: int) -> None:
            bar.total = of
            bar.update()

        summary = write_dataset_page(path, out, max_clips=clips, on_clip=drawn)
    if as_json:
        click.echo(json.dumps({**asdict(summary), "path": str(summary.path)}))
    else:
        shown = f"{summary.clips_shown} of {summary.clips_in_all} clips"
        click.echo(f"{summary.path}: {shown}, {summary.size_bytes / 1e6:.1f} MB")

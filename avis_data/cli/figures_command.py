"""`avis-data figures`: the figures of a dataset paper, with the table behind each."""

from __future__ import annotations

import json
from pathlib import Path

import click

from avis_data.cli.options import json_option, out_option

__all__ = ["command"]


@click.command("figures")
@click.argument("path", type=click.Path(exists=True, path_type=Path), default=Path("."))
@out_option(required=True)
@json_option
def command(path: Path, out: Path, as_json: bool) -> None:
    """Draw what a dataset paper prints: each figure as PNG, SVG and PDF, and its numbers as CSV.

    Sources at once, scenarios, lengths, categories, what sounds together, masks (how many, how large, where), how long
    objects sound, objects in a video, splits; of a workspace also work and agreement in each round. PATH is an export
    or a workspace; default: the current folder. The folder OUT is replaced whole.

    \b
    Example:
      avis-data figures exports/ytvis --out figures
      avis-data figures --out figures   (of the workspace)
    """
    import sys

    from tqdm import tqdm

    from avis_data.cli.pictured import figures_of
    from avis_data.report.figures.writing import write_figures

    figures = figures_of(path)
    with tqdm(desc="figures", total=len(figures), disable=not sys.stderr.isatty(), dynamic_ncols=True) as bar:

        def drawn() -> None:
            bar.update()

        files = write_figures(out, figures, on_figure=drawn)
    empty = [figure.name for figure in figures if figure.chart is None]
    if as_json:
        click.echo(json.dumps({"out": str(out), "files": files, "empty": empty}))
    else:
        click.echo(f"{out}: {len(figures)} figures, {len(files)} files")
        if empty:
            click.echo(f"  nothing to show in: {', '.join(empty)}")

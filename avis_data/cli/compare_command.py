"""`avis-data compare`: does one set of predictions beat another?"""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from avis_data.cli.options import (
    bootstrap_option,
    json_option,
    lenient_option,
    mode_option,
    seed_option,
    truth_option,
    workers_option,
)
from avis_data.cli.subset_option import common_to, stamp_on, subset_option

if TYPE_CHECKING:
    from collections.abc import Mapping

    from avis_data.metrics.comparison import Difference
    from avis_data.metrics.counting import Mode

__all__ = ["command"]

_FILE = click.Path(path_type=Path)


@click.command(name="compare")
@click.argument("a", type=_FILE)
@click.argument("b", type=_FILE)
@truth_option
@mode_option
@bootstrap_option(default=1000)
@seed_option()
@json_option
@lenient_option
@subset_option
@workers_option(default=1, show_default=True)
def command(
    a: Path,
    b: Path,
    truth: Path,
    mode: str,
    bootstrap: int,
    seed: int,
    as_json: bool,
    lenient: bool,
    subsets: tuple[Path, ...],
    workers: int,
) -> None:
    """Say whether the predictions B beat the predictions A, metric by metric.

    Videos are drawn again with replacement, the same for both, N times: that gives the interval of the difference and
    the p-value. A verdict is given at 5 %. Below it a t-test says whether the masks of found objects differ.

    \b
    Example:
      avis-data compare baseline.json ours.json --truth test.json
    """
    # The arrays are small: threads of the linear algebra library only burn time waiting for each other.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    import numpy as np

    from avis_data.metrics.comparison import compare_results
    from avis_data.metrics.counting import modes_named
    from avis_data.metrics.files import evaluate_files
    from avis_data.metrics.t_test import compare_samples
    from avis_data.metrics.text_tables import comparison_table

    only, stamp = common_to(subsets, truth), stamp_on(truth, subsets)
    sets = [
        evaluate_files(truth, path, modes=modes_named(mode), lenient=lenient, workers=workers, only=only)
        for path in (a, b)
    ]
    differences = compare_results(sets[0].result, sets[1].result, num_draws=bootstrap, rng=np.random.default_rng(seed))
    samples = compare_samples(sets[0].result.videos, sets[1].result.videos)
    dropped = [len({problem.where for problem in item.result.problems}) for item in sets]
    if as_json:
        meta: dict[str, Any] = {
            "a": a.name,
            "b": b.name,
            "truth": truth.name,
            "draws": bootstrap,
            "seed": seed,
            "num_dropped": dropped,
        }
        meta |= {"subset": stamp} if stamp else {}
        tests = [asdict(item) for item in samples]
        click.echo(json.dumps({**_figures(differences), "t_test": tests, "meta": meta}, allow_nan=False))
        return
    click.echo(comparison_table(differences, samples, (str(a), str(b))))
    if stamp:
        click.echo(stamp)
    if any(dropped):
        click.echo(
            f"left out: {dropped[0]} bad entries with A, {dropped[1]} with B (see `avis-data evaluate --lenient`)"
        )


def _figures(differences: Mapping[Mode, Mapping[str, Difference | None]]) -> dict[str, Any]:
    return {
        str(mode): {name: None if item is None else asdict(item) for name, item in by_metric.items()}
        for mode, by_metric in differences.items()
    }

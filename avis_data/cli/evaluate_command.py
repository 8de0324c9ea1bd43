"""`avis-data evaluate`: the metrics of predictions against truth."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from avis_data.cli.options import (
    bootstrap_option,
    json_option,
    lenient_option,
    mode_option,
    out_option,
    pred_option,
    seed_option,
    truth_option,
    workers_option,
)
from avis_data.cli.subset_option import common_to, stamp_on, subset_option
from avis_data.cli.written_path import WrittenPath
from avis_data.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from avis_data.metrics.files import FileEvaluation

__all__ = ["command"]

_FILE = click.Path(path_type=Path)
_VARIANTS = ["official_ids_from_one", "empty_as_null", "official_literal_constant", "official_input"]


@click.command(name="evaluate")
@click.option(
    "--task",
    type=click.Choice(["avis", "avs"]),
    default="avis",
    show_default=True,
    help="What the files hold: tracks (avis), or masks of AVSBench (avs).",
)
@truth_option
@pred_option(required=True)
@mode_option
@click.option(
    "--variant", "variants", multiple=True, type=click.Choice(_VARIANTS), help="Change a detail of aviseg_compat."
)
@json_option
@out_option()
@click.option("--per-video", type=WrittenPath(), metavar="FILE.parquet", help="Write here the figures of each video.")
@click.option(
    "--errors", type=WrittenPath(), metavar="DIR", help="Write here what is missing to 100, by kind of error."
)
@bootstrap_option()
@seed_option()
@lenient_option
@subset_option
@click.option(
    "--classes", type=click.IntRange(2), metavar="C", help="The masks are semantic, of C classes; AVSS has 71 (avs)."
)
@click.option(
    "--clips-per-group",
    type=click.IntRange(1),
    metavar="N",
    help="Give the reference's F too, in groups of N clips (avs).",
)
@click.option("--probabilities", is_flag=True, help="Arrays hold probabilities, not logits (avs).")
@workers_option(default=1, show_default=True)
def command(task: str, **options: Any) -> None:
    """Compute FSLA, HOTA and mAP of predicted tracks, or mIoU and F-score of AVSBench masks.

    aviseg_compat is what the public code computes, strict what the papers describe: see docs/metrics.md for which to
    publish. On screen percent, in JSON fractions; --out FILE writes the JSON beside the table.

    \b
    Example:
      avis-data evaluate --truth test.json --pred results.json --out scores.json
    """
    # The arrays are small: threads of the linear algebra library only burn time waiting for each other.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    names = ("classes", "clips_per_group", "probabilities")
    avs_options = {name: options.pop(name) for name in names}
    if task == "avs":
        _refuse_given(
            ["mode", "variants", "per_video", "errors", "bootstrap", "seed", "subsets", "workers"], "--task avis"
        )
        common = {name: options[name] for name in ("truth", "predictions", "as_json", "out", "lenient")}
        _evaluate_avs(**common, **avs_options)
    else:
        _refuse_given(names, "--task avs")
        _evaluate_avis(**options)


def _refuse_given(names: Sequence[str], task: str) -> None:
    """An option that would do nothing is an error."""
    context = click.get_current_context()
    for option in context.command.params:
        given = option.name and context.get_parameter_source(option.name) is click.core.ParameterSource.COMMANDLINE
        if given and option.name in names:
            raise ConfigError(f"{option.opts[0]} goes with {task}")


def _evaluate_avs(
    *,
    truth: Path,
    predictions: Path,
    as_json: bool,
    out: Path | None,
    lenient: bool,
    classes: int | None,
    clips_per_group: int | None,
    probabilities: bool,
) -> None:
    from avis_data.metrics.avs_evaluation import avs_json, avs_table, evaluate_avs_files

    if classes is not None and clips_per_group is not None:
        raise ConfigError("--clips-per-group is for binary masks: figures of semantic ones do not depend on it")
    found = evaluate_avs_files(
        truth,
        predictions,
        num_classes=classes,
        clips_per_group=clips_per_group,
        are_logits=not probabilities,
        lenient=lenient,
    )
    _report(avs_json(found), avs_table(found), as_json=as_json, out=out)


def _evaluate_avis(
    *,
    truth: Path,
    predictions: Path,
    mode: str,
    variants: Sequence[str],
    as_json: bool,
    out: Path | None,
    per_video: Path | None,
    errors: Path | None,
    bootstrap: int | None,
    seed: int,
    lenient: bool,
    subsets: Sequence[Path],
    workers: int,
) -> None:
    from avis_data.metrics.counting import Mode, Variant, modes_named
    from avis_data.metrics.files import evaluate_files, evaluation_json, write_per_video
    from avis_data.metrics.text_tables import evaluation_table

    modes = modes_named(mode)
    if errors is not None and Mode.STRICT not in modes:
        raise ConfigError("--errors splits the strict FSLA, which was not asked for", hint="add `--mode both`")
    if variants and Mode.COMPAT not in modes:
        raise ConfigError("--variant changes aviseg_compat, which was not asked for")
    found = evaluate_files(
        truth,
        predictions,
        modes=modes,
        variants=[Variant(variant) for variant in variants],
        lenient=lenient,
        workers=workers,
        only=common_to(subsets, truth),
    )
    intervals = None
    if bootstrap is not None:
        import numpy as np

        from avis_data.metrics.bootstrap import bootstrap_intervals

        intervals = bootstrap_intervals(found.result, num_draws=bootstrap, rng=np.random.default_rng(seed))
    if per_video is not None:
        with _writing(per_video):
            write_per_video(per_video, found.result)
    if errors is not None:
        with _writing(errors):
            _write_errors(errors, found)
    value, table = evaluation_json(found, intervals), evaluation_table(found, intervals)
    if stamp := stamp_on(truth, subsets):
        value["meta"]["subset"] = stamp
        table += f"\n{stamp}"
    _report(value, table, as_json=as_json, out=out)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written ({error.strerror})") from None


def _write_errors(folder: Path, found: FileEvaluation) -> None:
    from avis_data.metrics.attribution import attribute_errors
    from avis_data.report.errors import write_error_report

    result = found.result
    if result.strict is None or result.strict.figures["FSLA"] is None:
        raise ConfigError("--errors needs the strict mode and at least one frame")
    write_error_report(
        folder,
        [attribute_errors(video) for video in found.source.videos],
        result.categories,
        fsla=result.strict.figures["FSLA"],
        title=f"Errors of {found.predictions.name}",
    )


def _report(value: dict[str, Any], table: str, *, as_json: bool, out: Path | None) -> None:
    if out is not None:
        from avis_data.io import write_json

        with _writing(out):
            write_json(out, value)
    click.echo(json.dumps(value, allow_nan=False) if as_json else table)

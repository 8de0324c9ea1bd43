"""Evaluate AVSBench files: read clip by clip, measure, and say what was left out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from avis_data import __version__
from avis_data.errors import DataError, Problem, ProblemsError
from avis_data.metrics.avs import AvsResult, evaluate_avs
from avis_data.metrics.avs_files import AvsPair, load_avs_clip, load_avss_clip, pair_clips
from avis_data.metrics.avss import AvssResult, evaluate_avss
from avis_data.metrics.counting import Rank
from avis_data.metrics.table import MASK_FIGURES, mask_values
from avis_data.metrics.text_tables import percent, text_table

__all__ = ["AvsEvaluation", "avs_json", "avs_table", "evaluate_avs_files"]

_Clip = TypeVar("_Clip")


@dataclass(frozen=True, slots=True, kw_only=True)
class AvsEvaluation:
    """The result of a pair of folders, and where it comes from."""

    result: AvsResult | AvssResult
    problems: list[Problem]
    num_clips: int
    truth: Path
    predictions: Path


def evaluate_avs_files(
    truth: Path,
    predictions: Path,
    *,
    num_classes: int | None = None,
    clips_per_group: int | None = None,
    are_logits: bool = True,
    lenient: bool = False,
) -> AvsEvaluation:
    """Evaluate the files that `pair_clips` describes, as `evaluate_avs` does; with `num_classes` as `evaluate_avss`.

    Raises:
        DataError: if a path holds no clip.
        ProblemsError: if clips are missing on one side or bad, and not `lenient`.
    """
    pairs, problems = pair_clips(truth, predictions)
    result: AvsResult | AvssResult | None = None
    try:
        if num_classes is None:
            read = _reading(pairs, problems, lambda pair: load_avs_clip(pair, are_logits=are_logits))
            result = evaluate_avs(read, clips_per_group=clips_per_group)
        else:
            classes = num_classes
            read_semantic = _reading(pairs, problems, lambda pair: load_avss_clip(pair, num_classes=classes))
            result = evaluate_avss(read_semantic, num_classes=num_classes)
    except ValueError:
        if not problems:
            raise
    if result is None or (problems and not lenient):
        raise ProblemsError(
            f"{len(problems)} problem(s) in the input:",
            problems,
            hint="correct the files, or leave such clips out with `--lenient`",
        )
    return AvsEvaluation(
        result=result, problems=problems, num_clips=len(result.clips), truth=truth, predictions=predictions
    )


def avs_json(found: AvsEvaluation) -> dict[str, Any]:
    """One JSON object: `avs` (or `avss`) with the figures, and `meta`."""
    task = "avs" if isinstance(found.result, AvsResult) else "avss"
    meta = {
        "tool": f"avis-data {__version__}",
        "truth": found.truth.name,
        "predictions": found.predictions.name,
        "num_clips": found.num_clips,
        "num_dropped": len(found.problems),
        "problems": [str(problem) for problem in found.problems[:20]],
    }
    return {task: found.result.as_dict(), "meta": meta}


def avs_table(found: AvsEvaluation) -> str:
    """The table of `avis-data evaluate --task avs`."""
    result = found.result
    if isinstance(result, AvsResult):
        values = {name: value or 0 for name, value in result.as_dict().items()}
        rows = [
            [figure.title, percent(getattr(result, figure.field)), figure.note.format(**values)]
            for figure in MASK_FIGURES
            if hasattr(result, figure.field)
        ]
        if result.reference is not None:
            note = f"as the reference, groups of {result.reference.clips_per_group} clip(s)"
            found_there = mask_values(result.reference, Rank.FULL)
            rows += [[f"{name}_reference", percent(value), note] for name, value in found_there.items()]
        table = text_table(["metric, %", "value", "of"], rows)
    else:
        own, reference = result.as_dict(), result.as_dict()["reference"]
        shares = [name for name in reference if name != "classes_seen"]
        rows = [[name, percent(own[name]), percent(reference[name])] for name in shares]
        table = text_table(["metric, %", "value", "reference"], rows)
    lines = [table, "", f"{found.num_clips} clips"]
    if found.problems:
        lines += [f"left out: {len(found.problems)} bad entries, among them", *(f"  {p}" for p in found.problems[:20])]
    return "\n".join(lines)


def _reading(pairs: list[AvsPair], problems: list[Problem], load: Callable[[AvsPair], _Clip]) -> Iterator[_Clip]:
    for pair in pairs:
        try:
            yield load(pair)
        except DataError as error:
            problems.append(Problem("", "", str(error)))

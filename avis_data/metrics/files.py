"""Evaluate files: read, measure, and write down what was found together with what it was found in."""

from __future__ import annotations

import logging
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avis_data import __version__
from avis_data.cycles import no_cycle_search
from avis_data.errors import DataError, ProblemsError
from avis_data.io import atomic_path, sha256_file
from avis_data.metrics.bootstrap import Interval
from avis_data.metrics.counting import MEANINGS, Mode, Variant, VideoStats
from avis_data.metrics.doubts import doubts_about
from avis_data.metrics.evaluation import AvisResult, measure_all, refuse_problems, result_of
from avis_data.metrics.hota import ALPHAS, HOTA
from avis_data.metrics.reading import EvaluationInput, read_evaluation
from avis_data.metrics.table import FIGURES, most_telling_first
from avis_data.metrics.track_ap import AP, THRESHOLDS

__all__ = ["FileEvaluation", "evaluate_files", "evaluation_json", "write_per_video"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileEvaluation:
    """The result of a pair of files, and where it comes from."""

    result: AvisResult
    source: EvaluationInput
    truth: Path
    predictions: Path
    variants: Sequence[Variant]
    doubts: Sequence[str]
    """What the results look like whose ids seem to mean something else than the truth's, see `doubts_about`."""


def evaluate_files(
    truth: Path,
    predictions: Path,
    *,
    modes: Sequence[Mode],
    variants: Sequence[Variant] = (),
    lenient: bool = False,
    workers: int = 1,
    only: Container[str] | None = None,
) -> FileEvaluation:
    """Evaluate a result file against a YouTube-VIS style truth file, as `evaluate_avis` does.

    Args:
        truth: `{"categories": [...], "videos": [...], "annotations": [...]}`.
        predictions: a list of predicted tracks.
        modes: whose definitions.
        variants: deviations of `aviseg_compat`.
        lenient: leave out bad entries instead of refusing the file.
        workers: processes; the result is the same with any number.
        only: the names of the videos to measure, first parts of their file names; None: all.

    Results whose ids look shifted, permuted or of another split are told in the log, and the scores are what they are.

    Raises:
        DataError: if a file is missing, not JSON or of another form.
        ProblemsError: if entries are bad and not `lenient`: names file, entry and field of each.

    Example:
        >>> truth, results = Path("example/exports/ytvis/test.json"), Path("example/results.json")
        >>> found = evaluate_files(truth, results, modes=[Mode.STRICT])
        >>> found.result.as_dict()["strict"]["FSLA"]
        1.0
    """
    with no_cycle_search():  # the entries of both files are there until the end, and each search would look at them all
        return _evaluate(truth, predictions, modes, variants, lenient=lenient, workers=workers, only=only)


def _evaluate(
    truth: Path,
    predictions: Path,
    modes: Sequence[Mode],
    variants: Sequence[Variant],
    *,
    lenient: bool,
    workers: int,
    only: Container[str] | None,
) -> FileEvaluation:
    source = read_evaluation(truth, predictions, official_input=Variant.OFFICIAL_INPUT in variants)
    if not source.videos and not source.problems:
        raise DataError(f"{truth}: videos: the list is empty, there is nothing to evaluate")
    if only is not None:
        source.videos = [video for video in source.videos if video.name.split("/")[0] in only]
    result = measure_all(
        source.videos,
        categories=source.categories,
        modes=modes,
        variants=variants,
        lenient=True,
        workers=workers,
        problems=source.problems,
    )
    doubts = doubts_about(truth, predictions, source, result.videos) if only is None else []
    if not lenient:
        refuse_problems(result.problems, doubts)
    if not source.videos:
        raise ProblemsError(f"{truth}: no video can be evaluated:", source.problems)
    for doubt in doubts:
        logger.warning("%s: %s", predictions, doubt)
    return FileEvaluation(
        result=result, source=source, truth=truth, predictions=predictions, variants=variants, doubts=doubts
    )


def evaluation_json(
    found: FileEvaluation, intervals: Mapping[Mode, Mapping[str, Interval | None]] | None = None
) -> dict[str, Any]:
    """One JSON object: mode -> metrics (fractions), and `meta`: what was measured, how, and what was left out."""
    figures = found.result.as_dict()
    for mode, by_metric in (intervals or {}).items():
        figures[str(mode)]["intervals"] = {
            name: None if value is None else [value.low, value.high] for name, value in by_metric.items()
        }
    return {**figures, "meta": _meta(found)}


def write_per_video(path: Path, result: AvisResult) -> None:
    """Write one row per video and mode: FSLA and HOTA of that video alone, and how many tracks were found.

    Columns: video, video_id, mode, num_frames, num_truth, num_predicted, frames_silent, frames_single, frames_multi,
    FSLA, FSLAn, FSLAs, FSLAm, HOTA, DetA, AssA, LocA, hits_50, truth_50. `hits_50` of the `truth_50` truth tracks that
    count are matched at IoU 0.5. AP has no value for one video: it ranks the tracks of all of them.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [row for video in result.videos for row in _video_rows(video, result.categories)]
    with atomic_path(path) as part:
        pq.write_table(pa.Table.from_pylist(rows, schema=_per_video_schema()), part)


def _meta(found: FileEvaluation) -> dict[str, Any]:
    result = found.result
    return {
        "tool": f"avis-data {__version__}",
        "truth": {"file": found.truth.name, "sha256": sha256_file(found.truth)},
        "predictions": {"file": found.predictions.name, "sha256": sha256_file(found.predictions)},
        "modes": {mode: MEANINGS[Mode(mode)] for mode in result.as_dict()},
        "variants": [str(variant) for variant in found.variants],
        "alphas": ALPHAS.tolist(),
        "iou_thresholds": {mode: THRESHOLDS["ytvis" if mode == "ytvis" else "official"].tolist() for mode in Mode},
        "num_videos": len(result.videos),
        "num_frames": sum(video.num_frames for video in result.videos),
        "num_truth_tracks": sum(video.num_truth for video in result.videos),
        "num_predicted_tracks": sum(video.num_predicted for video in result.videos),
        "num_categories": len(result.categories),
        "num_dropped": len({problem.where for problem in result.problems}),
        "num_ignored_predictions": found.source.num_ignored,
        "problems": [str(problem) for problem in result.problems[:20]],
        "doubts": list(found.doubts),
    }


_FRAMES = ("frames_silent", "frames_single", "frames_multi")


def _video_rows(video: VideoStats, categories: Mapping[int, str]) -> list[dict[str, Any]]:
    rows = []
    for mode in video.counts:
        matches = AP.of(video, mode)
        row: dict[str, Any] = {
            "video": video.name,
            "video_id": video.video_id,
            "mode": str(mode),
            "num_frames": video.num_frames,
            "num_truth": video.num_truth,
            "num_predicted": video.num_predicted,
            "hits_50": sum(int((item.hit_AKD & ~item.ignored_AKD)[0, 0].sum()) for item in matches),
            "truth_50": sum(int(item.num_truth_A[0]) for item in matches),
        }
        if mode is not Mode.YTVIS:
            found = HOTA.of(video, mode)
            occurring = {category: name for category, name in categories.items() if category in found}
            alone = result_of([video], occurring, [mode], ()).modes[mode]
            row |= {name: alone.figures.get(name) for name in _figures_of_one_video()}
            row |= {name: alone.details["fsla"][name] for name in _FRAMES}
        rows.append(row)
    return rows


def _figures_of_one_video() -> list[str]:
    return [figure.name for figure in most_telling_first([figure for figure in FIGURES if figure.of_one_video])]


def _per_video_schema() -> Any:
    import pyarrow as pa

    return pa.schema(
        [("video", pa.string()), ("video_id", pa.int64()), ("mode", pa.string())]
        + [(name, pa.int64()) for name in ("num_frames", "num_truth", "num_predicted", *_FRAMES)]
        + [(name, pa.float64()) for name in _figures_of_one_video()]
        + [("hits_50", pa.int64()), ("truth_50", pa.int64())]
    )

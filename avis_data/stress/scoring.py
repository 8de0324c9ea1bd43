"""What results under other sounds say of a model: what it loses, and what it marks where nothing sounds.

Shapes: V videos, B draws of them (the first is all videos once), T frames.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from avis_data.errors import AvisError, DataError, Problem, ProblemsError
from avis_data.io import sha256_file
from avis_data.metrics.bootstrap import Interval, centred, draw_weights, replicate
from avis_data.metrics.comparison import Difference, difference_of_draws
from avis_data.metrics.counting import Mode, Rank, VideoStats
from avis_data.metrics.evaluation import measure_all, result_of
from avis_data.metrics.reading import read_evaluation
from avis_data.metrics.table import figures_of
from avis_data.metrics.tracks import load_video
from avis_data.stress.conditions import MADE_WITH, TRUE_SOUND
from avis_data.stress.plan import PlannedCondition, StressPlan

__all__ = ["RELIANCE", "ConditionScore", "Draws", "Measured", "ModelScore", "ranked", "score_model"]

RELIANCE = "FSLA"
"""The strict figure by which models are ranked."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A figure with its interval."""

    value: float
    interval: Interval | None


@dataclass(frozen=True, kw_only=True)
class ConditionScore:
    """A model under one condition, compared with itself under the true sound, on the clips that have it."""

    condition: PlannedCondition
    num_no_sound_frames: int
    """Frames in which nothing that is seen sounds; the two figures below are of them."""
    wrong_masks: Measured | None
    """Masks in such a frame, none of which should be; None where there is no such frame."""
    silent_right: Measured | None
    """Strict FSLAn with the changed sound: the share of such frames without a mask."""
    reliance: Mapping[str, Difference | None]
    """Strict headline figure -> true sound (b) minus changed sound (a), both measured by the truth of the true sound;
    None where there is nothing to measure."""


@dataclass(frozen=True, kw_only=True)
class ModelScore:
    """A model under all conditions that there are results of."""

    name: str
    conditions: Sequence[ConditionScore]
    reliance: Measured | None
    """What it loses of FSLA, as a mean over the conditions that count; None where there is none."""
    notes: Sequence[str]
    """What was left out or not looked at, in words."""
    missing: Sequence[str]
    """Conditions of the plan without results that can be used."""


@dataclass(frozen=True, kw_only=True)
class Draws:
    """Which videos are drawn how often: the same for all models and conditions, so that hard videos cancel."""

    weights_BV: np.ndarray
    """The first row is ones."""

    @classmethod
    def of(cls, num_videos: int, *, num_draws: int, seed: int) -> Draws:
        """All videos once, then so many draws."""
        drawn = draw_weights(num_videos, num_draws, np.random.default_rng(seed))
        return cls(weights_BV=np.vstack((np.ones((1, num_videos)), drawn)))


@dataclass(frozen=True, kw_only=True)
class _Results:
    """One result file, measured by the truth of the true sound."""

    videos: Sequence[VideoStats]
    """In the order of their names."""
    categories: Mapping[int, str]
    masks_VT: Sequence[np.ndarray]
    """For each video, int64 (T,): masks that are not empty in each frame."""

    @property
    def names(self) -> list[str]:
        """Of the videos, as the plan calls clips."""
        return [video.name.split("/")[0] for video in self.videos]


def score_model(
    plan: StressPlan,
    truth: Path,
    folder: Path,
    *,
    name: str,
    num_draws: int = 1000,
    seed: int = 0,
    workers: int = 1,
) -> ModelScore:
    """Measure the results of a model: `true.json`, and `<condition>.json` for each condition, made by any program.

    A file that is missing or cannot be used is told; the others are measured. Results may also be of clips that a
    condition does not apply to: they do not count there.

    Args:
        plan: which clip had which sound.
        truth: of the split, as the plan was made for it.
        folder: with the result files.
        name: of the model.
        num_draws: of the videos, for the intervals.
        seed: of the draws.
        workers: processes.

    Raises:
        DataError: if the truth is another one, the folder has no results of the true sound, or none of any condition.
        ProblemsError: with every bad entry of the results of the true sound.
    """
    if (found := sha256_file(truth) if truth.is_file() else "") != plan.truth_sha256:
        what = f"sha256 {found[:12]}, not {plan.truth_sha256[:12]}" if found else "no such file"
        raise DataError(f"{truth}: is not the truth that the plan was made for ({what})")
    true_file = folder / f"{TRUE_SOUND}.json"
    if not true_file.is_file():
        raise DataError(
            f"{folder}: holds no {true_file.name}, the results of the clips as they are",
            hint=f"a folder with {true_file.name}, and <condition>.json of: {', '.join(plan.by_name)}",
        )
    true = _measured(truth, true_file, workers)
    draws = Draws.of(len(true.videos), num_draws=num_draws, seed=seed)
    scores, overall, notes, missing = [], [], _strangers(plan, folder), []
    for condition in plan.conditions:
        path = folder / f"{condition.name}.json"
        if not condition.clips:
            notes.append(f"{condition.name}: applies to no clip")
            continue
        try:
            results = _measured(truth, path, workers)
        except AvisError as error:
            notes.append(f"{condition.name}: left out: {error.args[0]}")
            missing.append(condition.name)
            continue
        score, lost_B = _scored(condition, true, results, draws)
        scores.append(score)
        overall += [lost_B] if condition.counts and not np.isnan(lost_B[0]) else []
        if condition.left_out:
            notes.append(f"{condition.name}: does not apply to {len(condition.left_out)} of {len(plan.sounds)} clips")
    if not scores:
        raise DataError(f"{folder}: holds results of no condition of the plan", hint="\n".join(notes) or None)
    return ModelScore(
        name=name,
        conditions=scores,
        reliance=_of_draws(np.mean(overall, axis=0)) if overall else None,
        notes=notes,
        missing=missing,
    )


def ranked(models: Sequence[ModelScore]) -> list[ModelScore]:
    """The models by what they lose without the true sound, the one that listens most first."""
    return sorted(models, key=lambda model: (-model.reliance.value if model.reliance else np.inf, model.name))


def _strangers(plan: StressPlan, folder: Path) -> list[str]:
    known = {MADE_WITH, *(f"{name}.json" for name in (TRUE_SOUND, *plan.by_name))}
    others = sorted(path.name for path in folder.glob("*.json") if path.name not in known)
    return [f"{name}: not looked at: the plan has no such condition" for name in others]


def _measured(truth: Path, path: Path, workers: int) -> _Results:
    """Raises ProblemsError with every bad entry."""
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    source = read_evaluation(truth, path)
    found = measure_all(
        source.videos,
        categories=source.categories,
        modes=[Mode.STRICT],
        variants=(),
        lenient=False,
        workers=workers,
        problems=source.problems,
    )
    by_name = {video.name: video for video in source.videos}
    masks_VT = []
    for stats in found.videos:
        tracks, _ = load_video(replace(by_name[stats.name], truth=()))
        masks_VT.append((tracks.predicted.area_NL[:, : stats.num_frames] > 0).sum(axis=0))
    return _Results(videos=found.videos, categories=found.categories, masks_VT=masks_VT)


def _scored(
    condition: PlannedCondition, true: _Results, changed: _Results, draws: Draws
) -> tuple[ConditionScore, np.ndarray]:
    """The score, and what is lost of the figure of ranks in each draw, float64 (1 + B,)."""
    places = [place for place, name in enumerate(true.names) if name in condition.clips]
    if [true.names[place] for place in places] != sorted(condition.clips) or changed.names != true.names:
        lost = sorted(set(condition.clips) - set(true.names)) or sorted(condition.clips)
        raise ProblemsError(
            "clips of the plan are not in the truth", [Problem(f"clip {name}", "", "") for name in lost]
        )
    weights_BV = draws.weights_BV[:, places]
    frames_V2 = np.zeros((len(places), 2))
    right_V = np.zeros(len(places))
    for row, place in enumerate(places):
        frames = condition.clips[true.names[place]].no_sound_frames
        masks_T = changed.masks_VT[place][[frame for frame in frames if frame < len(changed.masks_VT[place])]]
        frames_V2[row] = len(masks_T), masks_T.sum()
        right_V[row] = (masks_T == 0).sum()
    with np.errstate(invalid="ignore", divide="ignore"):
        frames_B = weights_BV @ frames_V2[:, 0]
        wrong_B, silent_B = weights_BV @ frames_V2[:, 1] / frames_B, weights_BV @ right_V / frames_B
    a, b = (_figures(results, places, weights_BV) for results in (changed, true))
    figures = {figure.name: figure for figure in figures_of(Mode.STRICT, Rank.HEADLINE)}
    score = ConditionScore(
        condition=condition,
        num_no_sound_frames=int(frames_V2[:, 0].sum()),
        wrong_masks=_of_draws(wrong_B, within=(0, np.inf)),
        silent_right=_of_draws(silent_B, within=(0, 1)),
        reliance={
            name: difference_of_draws(a[name], b[name], higher_is_better=figure.higher_is_better)
            for name, figure in figures.items()
        },
    )
    return score, b[RELIANCE] - a[RELIANCE]


def _figures(results: _Results, places: Sequence[int], weights_BV: np.ndarray) -> dict[str, np.ndarray]:
    """Figure -> float64 (1 + B,) of some videos; NaN for a draw without any of them."""
    videos = [results.videos[place] for place in places]
    found = replicate(result_of(videos, results.categories, [Mode.STRICT], ()), Mode.STRICT, weights_BV)
    empty_B = weights_BV.sum(axis=1) == 0
    return {name: np.where(empty_B, np.nan, values) for name, values in found.items()}


def _of_draws(
    values_B: np.ndarray, level: float = 0.95, *, within: tuple[float, float] = (-np.inf, np.inf)
) -> Measured | None:
    """A figure and its interval, of its values in all draws, the first of all videos; `within` is where it can be."""
    if np.isnan(values_B[0]):
        return None
    draws = centred(values_B)
    ends = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2]).clip(*within).tolist() if len(draws) else None
    interval = None if ends is None else Interval(low=ends[0], high=ends[1], level=level)
    return Measured(value=float(values_B[0]), interval=interval)

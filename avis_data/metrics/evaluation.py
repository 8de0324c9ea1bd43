"""Evaluate predictions against truth: the Python API, without files."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from avis_data.errors import Problem, ProblemsError
from avis_data.metrics.counting import Counting, Drawn, Mode, Rules, Variant, VideoStats
from avis_data.metrics.doubts import fitting_classes
from avis_data.metrics.inputs import TrackInput, VideoInput
from avis_data.metrics.t_test import own_ious
from avis_data.metrics.table import countings_of, figures_of, pools_of
from avis_data.metrics.tracks import load_video
from avis_data.platforms import map_in_workers

__all__ = ["AvisResult", "ModeResult", "evaluate_avis", "measure_all", "refuse_problems", "result_of"]

ALL_MODES = (Mode.COMPAT, Mode.STRICT, Mode.YTVIS)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModeResult:
    """All that was measured under one mode."""

    mode: Mode
    figures: Mapping[str, float | None]
    """By their names in `table.FIGURES`: fractions. Where there is nothing to measure, None; in the modes that follow
    public code -1 for AP and AR."""
    details: Mapping[str, Any]
    """Curves over the thresholds, AP by track size, numbers of frames: what JSON says besides."""
    per_class: Mapping[str, Mapping[str, float | None]]
    """Class name -> AP, AR, HOTA, DetA, AssA, LocA."""

    def as_dict(self) -> dict[str, Any]:
        """Flat, with the names of the public evaluation; FSLA's counts are under `fsla`."""
        return {**self.figures, **self.details, "per_class": self.per_class}


@dataclass(frozen=True, slots=True, kw_only=True)
class AvisResult:
    """What was asked for; a mode that was not is None."""

    aviseg_compat: ModeResult | None
    strict: ModeResult | None
    ytvis: ModeResult | None
    videos: Sequence[VideoStats]
    """The videos in the order of their names; `bootstrap_intervals` and `compare_results` take them from here."""
    categories: Mapping[int, str]
    problems: Sequence[Problem]
    """Why entries were left out; empty unless `lenient`."""

    @property
    def modes(self) -> dict[Mode, ModeResult]:
        """The modes that were asked for."""
        found = {Mode.COMPAT: self.aviseg_compat, Mode.STRICT: self.strict, Mode.YTVIS: self.ytvis}
        return {mode: result for mode, result in found.items() if result is not None}

    def as_dict(self) -> dict[str, Any]:
        """Mode -> its figures, by the names of the public evaluation; fractions."""
        return {str(mode): result.as_dict() for mode, result in self.modes.items()}


def evaluate_avis(
    videos: Iterable[VideoInput],
    *,
    categories: Mapping[int, str],
    modes: Sequence[Mode | str] = ALL_MODES,
    variants: Sequence[Variant | str] = (),
    lenient: bool = False,
    workers: int = 1,
) -> AvisResult:
    """FSLA, HOTA and AP of predicted tracks, under each mode.

    Args:
        videos: all videos of the set, also those without a track; a generator will do, one is held at a time.
        categories: id -> name of all classes.
        modes: whose definitions, see `Mode`.
        variants: deviations of `aviseg_compat`, see `Variant`.
        lenient: leave out tracks with a bad mask instead of refusing them all; they are in `problems`.
        workers: processes; the result is the same with any number.

    Returns:
        Fractions in [0, 1]; None (in `aviseg_compat` and `ytvis`: -1 for AP and AR) where nothing is there to measure.

    Raises:
        ProblemsError: if a mask is bad and not `lenient`; names the track, the entry and what is wrong.
        ValueError: if two videos have one name, a video has no frames or a track another number of masks than the
            video has frames, a score is no finite number, or a class is not in `categories`.

    Source: specs/metrics.md §2 to 4. AP: Yang, Fan, Xu, "Video Instance Segmentation", ICCV 2019. HOTA: Luiten et al.,
        IJCV 2021. FSLA: Guo et al., "Audio-Visual Instance Segmentation", CVPR 2025.

    Example:
        >>> import numpy as np
        >>> still = np.zeros((2, 4, 6), bool)
        >>> still[:, 1:3, 1:4] = True
        >>> video = VideoInput(name="a", num_frames=2, height=4, width=6, truth=[TrackInput(category=1, masks=still)],
        ...                    predictions=[TrackInput(category=1, masks=still, score=0.9)])
        >>> evaluate_avis([video], categories={1: "dog"}).strict.figures["HOTA"]
        1.0
    """
    wanted, deviations = [Mode(mode) for mode in modes], [Variant(variant) for variant in variants]
    checked = _checked(videos, categories) if Variant.OFFICIAL_INPUT not in deviations else iter(videos)
    return measure_all(
        checked, categories=categories, modes=wanted, variants=deviations, lenient=lenient, workers=workers
    )


def measure_all(
    videos: Iterable[VideoInput],
    *,
    categories: Mapping[int, str],
    modes: Sequence[Mode],
    variants: Sequence[Variant],
    lenient: bool,
    workers: int,
    problems: Sequence[Problem] = (),
) -> AvisResult:
    """Evaluate videos that were checked before, as `evaluate_avis` does; `problems` are what that check found."""
    first = _FirstPredicted(videos)
    countings = {mode: countings_of(figures_of(mode)) for mode in modes}
    measure = partial(_measure_video, countings=countings, variants=variants)
    stats = sorted(_map(measure, first, workers), key=lambda video: _order(video.name))
    everything = [*problems, *(problem for video in stats for problem in video.problems)]
    if not lenient:
        refuse_problems(everything)
    return result_of(first.with_id_zero(stats, measure), categories, modes, everything)


def refuse_problems(problems: Sequence[Problem], doubts: Sequence[str] = ()) -> None:
    """Raise ProblemsError if there are problems; `doubts` say what the whole looks like."""
    if problems:
        hint = "correct the file, or leave such entries out with `--lenient`"
        looks = "".join(f"{doubt}\n" for doubt in doubts)
        raise ProblemsError(f"{looks}{len(problems)} problem(s) in the input:", problems, hint=hint)


class _FirstPredicted:
    """Passes videos on and keeps those that may hold the first predicted track of all: the one with the id 0.

    Which one it is shows only after the masks were read, as tracks with a bad one are left out.
    """

    def __init__(self, videos: Iterable[VideoInput]) -> None:
        self._videos = videos
        self._kept: dict[str, VideoInput] = {}

    def __iter__(self) -> Iterator[VideoInput]:
        first: list[str] | None = None
        for video in self._videos:
            if video.predictions and (first is None or _order(video.name) < first):
                first = _order(video.name)
                self._kept[video.name] = video
            yield video

    def with_id_zero(self, stats: list[VideoStats], measure: Callable[..., VideoStats]) -> list[VideoStats]:
        """The same, the first video that has a predicted track measured again with this in mind."""
        for index, video in enumerate(stats):
            if video.num_predicted:
                if video.name in self._kept and Mode.COMPAT in video.counts:
                    stats[index] = measure(self._kept[video.name], has_id_zero=True)
                break
        return stats


def _order(name: str) -> list[str]:
    """Folders are compared part by part, as the public code sorts by the first part only."""
    return name.split("/")


def _map(
    measure: Callable[[VideoInput], VideoStats], videos: Iterable[VideoInput], workers: int
) -> Iterator[VideoStats]:
    if workers <= 1:
        yield from map(measure, videos)
        return
    yield from map_in_workers(measure, videos, workers=workers, at_once=4)


def result_of(
    stats: Sequence[VideoStats], categories: Mapping[int, str], modes: Iterable[Mode], problems: Sequence[Problem]
) -> AvisResult:
    """The figures of videos that were measured; `stats` in the order of their names."""
    found = {mode: _mode_result(mode, stats, categories) for mode in modes}
    return AvisResult(
        aviseg_compat=found.get(Mode.COMPAT),
        strict=found.get(Mode.STRICT),
        ytvis=found.get(Mode.YTVIS),
        videos=stats,
        categories=categories,
        problems=problems,
    )


def _mode_result(mode: Mode, videos: Sequence[VideoStats], categories: Mapping[int, str]) -> ModeResult:
    drawn = Drawn(mode=mode, categories=categories, weights_BV=np.ones((1, len(videos))))
    figures = figures_of(mode)
    pools = pools_of(videos, drawn, figures)
    details: dict[str, object] = {}
    per_class: dict[str, dict[str, float | None]] = {}
    for counting in countings_of(figures):
        details |= counting.details(pools[counting.name], drawn)
        for category, found in counting.per_class(pools[counting.name], drawn).items():
            per_class.setdefault(categories[category], {}).update(found)
    return ModeResult(
        mode=mode,
        figures={figure.name: figure.number(figure.value(pools[figure.counting.name])[0], mode) for figure in figures},
        details=details,
        per_class=per_class,
    )


def _measure_video(
    video: VideoInput,
    *,
    countings: Mapping[Mode, Sequence[Counting[Any, Any]]],
    variants: Sequence[Variant],
    has_id_zero: bool = False,
) -> VideoStats:
    """All counts of one video; `has_id_zero` as in `Rules`."""
    tracks, problems = load_video(video)
    counts = {}
    for mode, of_mode in countings.items():
        rules = Rules(mode=mode, variants=variants, has_id_zero=has_id_zero)
        counts[mode] = {counting.name: counting.of_video(tracks, rules) for counting in of_mode}
    return VideoStats(
        name=video.name,
        video_id=video.video_id,
        num_frames=video.num_frames,
        num_truth=len(tracks.truth),
        num_predicted=len(tracks.predicted),
        counts=counts,
        problems=problems,
        fits=fitting_classes(tracks),
        own_ious=own_ious(tracks),
    )


def _checked(videos: Iterable[VideoInput], categories: Mapping[int, str]) -> Iterator[VideoInput]:
    names: set[str] = set()
    for video in videos:
        if video.name in names:
            raise ValueError(f"two videos are called {video.name!r}")
        names.add(video.name)
        if video.num_frames < 1:
            raise ValueError(f"video {video.name!r} has {video.num_frames} frames")
        for track in (*video.truth, *video.predictions):
            _check_track(track, video, categories)
        yield video


def _check_track(track: TrackInput, video: VideoInput, categories: Mapping[int, str]) -> None:
    if len(track.masks) != video.num_frames:
        raise ValueError(f"video {video.name!r}: {len(track.masks)} masks in a track, {video.num_frames} frames")
    if not math.isfinite(track.score):
        raise ValueError(f"video {video.name!r}: score {track.score!r} is not a finite number")
    if track.category not in categories:
        raise ValueError(f"video {video.name!r}: class {track.category!r} is not one of {sorted(categories)}")

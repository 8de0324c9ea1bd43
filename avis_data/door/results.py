"""Predicted tracks in the place of the true ones."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from avis_data.door.clip_sets import ClipSet
from avis_data.door.tracks import Track
from avis_data.errors import ConfigError, DataError, Problem, ProblemsError
from avis_data.masks.rle import Rle, area, rle_from_segmentation
from avis_data.metrics.inputs import TrackInput, VideoInput
from avis_data.metrics.reading import read_evaluation

__all__ = ["truth_file", "with_predictions"]


def truth_file(clips: ClipSet) -> Path:
    """The one truth file that all clips of a set stand in.

    Raises:
        ConfigError: if they stand in several, or in none, as those of a workspace.
    """
    files = {clip.truth_path for clip in clips}
    found = next(iter(files), None)
    if found is not None and len(files) == 1:
        return found
    if files == {None} and clips.kind == "dataset":
        raise ConfigError(
            f"{clips.root}: result files are for sets in the AVISeg layout", hint="avis-data evaluate --task avs"
        )
    if clips.kind == "workspace":
        raise ConfigError(f"{clips.root}: predictions belong to an export, not to a workspace", hint="avis-data export")
    raise ConfigError(
        f"{clips.root}: predictions are of one split, these clips are of {len(files)}",
        hint=f"choose one: .split({(clips.splits or ('test',))[-1]!r})",
    )


def with_predictions(clips: ClipSet, results: Path) -> ClipSet:
    """See `ClipSet.with_predictions`."""
    found = read_evaluation(truth_file(clips), results, needs_labels=False)
    problems = [problem for problem in found.problems if problem.where.startswith(results.name)]
    tracks = {
        video.name.split("/")[0]: _tracks(video, found.categories, problems)
        for video in found.videos
        if video.name.split("/")[0] in clips
    }
    if problems:
        raise ProblemsError(f"{results}: {len(problems)} entries cannot be used with {clips.root}", problems)
    return clips.of([clip.with_tracks(tracks.get(clip.clip_id, ())) for clip in clips])


def _tracks(video: VideoInput, categories: Mapping[int, str], problems: list[Problem]) -> tuple[Track, ...]:
    found = []
    for number, entry in enumerate(sorted(video.predictions, key=lambda entry: -entry.score), start=1):
        masks, fault = _masks(entry, video)
        if fault is not None:
            problems.append(fault)
            continue
        found.append(
            Track(
                track_id=str(number),
                category=categories[entry.category],
                category_id=entry.category,
                size_hw=(video.height, video.width),
                masks=masks,
                sounding=tuple(mask is not None for mask in masks),
                score=entry.score,
            )
        )
    return tuple(found)


def _masks(entry: TrackInput, video: VideoInput) -> tuple[tuple[Rle | None, ...], Problem | None]:
    """The masks of a track, and what is wrong with the first that is of no use. An empty one means silence, as none."""
    found: list[Rle | None] = []
    for frame, segmentation in enumerate(entry.masks):
        try:
            rle = rle_from_segmentation(segmentation, height=video.height, width=video.width)
        except DataError as error:
            return (), Problem(entry.where, f"segmentations[{frame}]", str(error))
        found.append(rle if rle is not None and area(rle) else None)
    return tuple(found), None

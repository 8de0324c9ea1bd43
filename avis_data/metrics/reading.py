"""Truth and predictions of JSON files as videos to evaluate; everything that is wrong in them is collected.

The truth is read by `formats.ytvis_entries`; here is what the evaluation demands besides.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from avis_data.cycles import no_cycle_search
from avis_data.errors import DataError, Problem
from avis_data.formats.ytvis_entries import (
    AnnotationEntry,
    EntryReader,
    VideoEntry,
)
from avis_data.formats.ytvis_parse import sounding_flags, video_files
from avis_data.formats.ytvis_records import withheld_error
from avis_data.formats.ytvis_values import areas_fault, is_finite, kind, masks_of, shown, taken, whole_fault
from avis_data.io import read_json
from avis_data.metrics.inputs import TrackInput, VideoInput

__all__ = ["EvaluationInput", "read_evaluation"]


@dataclass(slots=True, kw_only=True)
class EvaluationInput:
    """What a pair of files holds."""

    videos: list[VideoInput]
    """The videos in the order of their names; entries with a problem are left out."""
    categories: dict[int, str]
    problems: list[Problem]
    named_videos: set[int]
    """The whole numbers that predictions give as `video_id`, whether the truth has such a video or not."""
    named_categories: set[int]
    """The same of `category_id`."""
    num_predictions: int
    """Entries of the result file, sound or not."""
    num_ignored: int = 0
    """Predictions for unknown videos; with `official_input` only, else each is a problem."""

    @property
    def video_ids(self) -> set[int]:
        """Of the videos that are sound."""
        return {video.video_id for video in self.videos}


@dataclass(slots=True, kw_only=True)
class _Video:
    name: str
    entry: VideoEntry
    truth: list[TrackInput] = field(default_factory=list)
    predictions: list[TrackInput] = field(default_factory=list)


class _Refused(Exception):
    """One prediction cannot be used: which field, and why."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.field = name


def read_evaluation(
    truth_path: Path,
    predictions_path: Path,
    *,
    official_input: bool = False,
    video_id_step: int = 0,
    needs_labels: bool = True,
) -> EvaluationInput:
    """The videos of a YouTube-VIS style truth file with the predictions of a result file.

    Masks are not looked at here: that needs most of the time, and is done where they are measured.

    Args:
        truth_path: `{"categories": [...], "videos": [...], "annotations": [...]}`.
        predictions_path: a list of `{"video_id", "category_id", "score", "segmentations"}`.
        official_input: let pass what the official loader does (see `Variant.OFFICIAL_INPUT`).
        video_id_step: added to the `video_id` of each prediction, to see what results look like that count otherwise.
        needs_labels: whether truth whose labels are withheld is refused; else its videos have no true tracks.

    Raises:
        DataError: if a file is missing, not JSON or has another form altogether.
    """
    with no_cycle_search():
        truth = EntryReader(
            read_json(truth_path),
        )
        predictions = read_json(predictions_path)
    for problem in truth.problems:
        if not problem.where:  # of the file itself, not of an entry
            raise DataError(f"{truth_path}: {problem}")
    if needs_labels and not truth.has_annotations:
        raise withheld_error(truth_path)
    if not isinstance(predictions, list):
        raise DataError(
            f"{predictions_path}: must be a list of predicted tracks, is {kind(predictions)}",
            hint='one object per track: [{"video_id": 1, "category_id": 1, "score": 0.9, "segmentations": [...]}, ...]',
        )
    reader = _Reader(truth_path, predictions_path, official_input=official_input, video_id_step=video_id_step)
    reader.read_truth(truth)
    for index, entry in enumerate(predictions):
        reader.read_prediction(index, entry)
    return reader.result()


class _Reader:
    """Goes through the entries of both files and keeps what is sound."""

    def __init__(self, truth_path: Path, predictions_path: Path, *, official_input: bool, video_id_step: int) -> None:
        self._truth = truth_path.name
        self._predictions = predictions_path.name
        self._official_input = official_input
        self._video_id_step = video_id_step
        self._categories: dict[int, str] = {}
        self._videos: dict[int, _Video] = {}
        self._problems: list[Problem] = []
        self._named_videos: set[int] = set()
        self._named_categories: set[int] = set()
        self._num_predictions = 0
        self._num_ignored = 0

    def read_truth(self, truth: EntryReader) -> None:
        self._categories = {entry.number: entry.name for entry in truth.categories if entry.sound}
        folders: dict[str, str] = {}
        for video in truth.videos:
            self._add_video(truth, video, folders)
        for annotation in truth.annotations(or_longer=self._official_input):
            self._add_track(truth, annotation)
        for problem in truth.problems:
            self._problems.append(Problem(f"{self._truth}: {problem.where}", problem.field, problem.message))

    def read_prediction(self, index: int, entry: Any) -> None:
        where = f"{self._predictions}: [{index}]"
        self._num_predictions += 1
        with self._collecting(where):
            if not isinstance(entry, dict):
                raise _Refused("", f"must be an object, is {kind(entry)}")
            found: dict[str, Any] = entry
            video_id = _whole(found, "video_id") + self._video_id_step
            self._named_videos.add(video_id)
            if not whole_fault(found, "category_id"):
                self._named_categories.add(found["category_id"])
            if video_id not in self._videos and self._official_input:
                self._num_ignored += 1
                return
            if video_id not in self._videos:
                there = f"{min(self._videos)} to {max(self._videos)}" if self._videos else "none"
                raise _Refused("video_id", f"no sound video has the id {video_id}; ids of the truth: {there}")
            video = self._videos[video_id]
            category = _whole(found, "category_id")
            if not self._official_input and category not in self._categories:
                raise _Refused("category_id", f"no category has the id {category}")
            masks, fault = masks_of(found, num_frames=video.entry.num_frames, or_longer=self._official_input)
            if fault:
                raise _Refused("segmentations", fault)
            video.predictions.append(
                TrackInput(category=category, masks=masks, score=_score(found), where=f"{where} (video {video_id})")
            )

    def result(self) -> EvaluationInput:
        found = []
        for video in sorted(self._videos.values(), key=lambda item: item.name):
            entry = video.entry
            if entry.size is None:  # a sound video has one
                continue
            found.append(
                VideoInput(
                    name=video.name,
                    video_id=entry.number,
                    num_frames=entry.num_frames,
                    height=entry.size[0],
                    width=entry.size[1],
                    truth=video.truth,
                    predictions=video.predictions,
                )
            )
        return EvaluationInput(
            videos=found,
            categories=self._categories,
            problems=self._problems,
            named_videos=self._named_videos,
            named_categories=self._named_categories,
            num_predictions=self._num_predictions,
            num_ignored=self._num_ignored,
        )

    def _add_video(self, truth: EntryReader, video: VideoEntry, folders: dict[str, str]) -> None:
        video_files(truth, video)
        if not video.sound:
            return
        folder = video.file_names[0].rpartition("/")[0] or video.file_names[0]
        if other := taken(folders, folder, video.where):
            truth.refuse(video, "file_names", f"{folder!r:.60} is also the name of {other}")
            return
        self._videos[video.number] = _Video(name=folder, entry=video)

    def _add_track(self, truth: EntryReader, annotation: AnnotationEntry) -> None:
        areas = annotation.raw.get("areas")
        sounding_flags(truth, annotation)
        if fault := areas_fault(areas):
            truth.refuse(annotation, "areas", fault)
        if not annotation.sound:
            return
        self._videos[annotation.video.number].truth.append(
            TrackInput(
                category=annotation.category_id,
                masks=annotation.segmentations,
                track_id=annotation.number,
                crowd=annotation.crowd,
                mean_area_px=_mean_area(areas) if isinstance(areas, list) else None,
                where=f"{self._truth}: {annotation.where}",
            )
        )

    @contextmanager
    def _collecting(self, where: str) -> Iterator[None]:
        try:
            yield
        except _Refused as refused:
            self._problems.append(Problem(where, refused.field, str(refused)))


def _whole(entry: dict[str, Any], name: str) -> int:
    fault = whole_fault(entry, name)
    if fault:
        raise _Refused(name, fault)
    value: int = entry[name]
    return value


def _score(entry: dict[str, Any]) -> float:
    value = entry.get("score")
    if not is_finite(value):
        raise _Refused("score", f"must be a finite number ({shown(entry, 'score')})")
    return float(cast(float, value))


def _mean_area(areas: list[float | None]) -> float:
    """Mean of what is not null or 0, as the official loader takes it; 0 if nothing is left."""
    found = [area for area in areas if area]
    return math.fsum(found) / len(found) if found else 0.0

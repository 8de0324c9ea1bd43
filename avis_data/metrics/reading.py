"""Truth and predictions of JSON files as videos to evaluate; everything that is wrong in them is collected."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from avis_data.cycles import no_cycle_search
from avis_data.errors import DataError, Problem
from avis_data.io import read_json
from avis_data.masks.rle import check_size
from avis_data.metrics.inputs import TrackInput, VideoInput

__all__ = ["EvaluationInput", "read_evaluation"]


@dataclass(slots=True, kw_only=True)
class EvaluationInput:
    """What a pair of files holds."""

    videos: list[VideoInput]
    """The videos in the order of their names; entries with a problem are left out."""
    categories: dict[int, str]
    problems: list[Problem]
    num_ignored: int = 0
    """Predictions for unknown videos; with `official_input` only, else each is a problem."""


@dataclass(slots=True, kw_only=True)
class _Video:
    name: str
    video_id: int
    num_frames: int
    size: tuple[int, int] | None
    truth: list[TrackInput] = field(default_factory=list)
    predictions: list[TrackInput] = field(default_factory=list)
    truth_ids: set[int] = field(default_factory=set)


class _Refused(Exception):
    """One entry cannot be used: which field, and why."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.field = name


def read_evaluation(truth_path: Path, predictions_path: Path, *, official_input: bool = False) -> EvaluationInput:
    """The videos of a YouTube-VIS style truth file with the predictions of a result file.

    Masks are not looked at here: that needs most of the time, and is done where they are measured.

    Args:
        truth_path: `{"categories": [...], "videos": [...], "annotations": [...]}`.
        predictions_path: a list of `{"video_id", "category_id", "score", "segmentations"}`.
        official_input: let pass what the official loader does (see `Variant.OFFICIAL_INPUT`).

    Raises:
        DataError: if a file is missing, not JSON or has another form altogether.
    """
    with no_cycle_search():
        truth = _dict_of_lists(read_json(truth_path), truth_path)
        predictions = read_json(predictions_path)
    if not isinstance(predictions, list):
        raise DataError(
            f"{predictions_path}: must be a list of predicted tracks, is {_kind(predictions)}",
            hint='one object per track: [{"video_id": 1, "category_id": 1, "score": 0.9, "segmentations": [...]}, ...]',
        )
    reader = _Reader(truth_path, predictions_path, official_input=official_input)
    reader.read_truth(truth)
    for index, entry in enumerate(predictions):
        reader.read_prediction(index, entry)
    return reader.result()


class _Reader:
    """Goes through the entries of both files and keeps what is sound."""

    def __init__(self, truth_path: Path, predictions_path: Path, *, official_input: bool) -> None:
        self._truth = truth_path.name
        self._predictions = predictions_path.name
        self._official_input = official_input
        self._categories: dict[int, str] = {}
        self._videos: dict[int, _Video] = {}
        self._names: set[str] = set()
        self._problems: list[Problem] = []
        self._num_ignored = 0

    def read_truth(self, truth: dict[str, list[Any]]) -> None:
        for table, read in (
            ("categories", self._category),
            ("videos", self._video),
            ("annotations", self._annotation),
        ):
            for index, entry in enumerate(truth[table]):
                where = f"{self._truth}: {table}[{index}]"
                with self._collecting(where):
                    read(_dict(entry), where)

    def read_prediction(self, index: int, entry: Any) -> None:
        where = f"{self._predictions}: [{index}]"
        with self._collecting(where):
            found = _dict(entry)
            video_id = _whole(found, "video_id")
            if video_id not in self._videos and self._official_input:
                self._num_ignored += 1
                return
            video = self._known_video(video_id)
            category = _whole(found, "category_id")
            if not self._official_input:
                self._check_category(category)
            masks = _list(found, "segmentations")
            self._check_length(masks, video, at_least=self._official_input)
            video.predictions.append(
                TrackInput(category=category, masks=masks, score=_score(found), where=f"{where} (video {video_id})")
            )

    def result(self) -> EvaluationInput:
        found = []
        for video in sorted(self._videos.values(), key=lambda item: item.name):
            if video.size is None:
                message = "missing, and the video has no annotation to take them from"
                self._problems.append(Problem(f"{self._truth}: video {video.video_id}", "height, width", message))
                continue
            found.append(
                VideoInput(
                    name=video.name,
                    video_id=video.video_id,
                    num_frames=video.num_frames,
                    height=video.size[0],
                    width=video.size[1],
                    truth=video.truth,
                    predictions=video.predictions,
                )
            )
        return EvaluationInput(
            videos=found, categories=self._categories, problems=self._problems, num_ignored=self._num_ignored
        )

    def _category(self, entry: dict[str, Any], where: str) -> None:
        number, name = _whole(entry, "id"), entry.get("name")
        if not isinstance(name, str) or not name:
            raise _Refused("name", f"must be text, is {_kind(name)}")
        if number in self._categories:
            raise _Refused("id", f"{number} is used twice")
        if name in self._categories.values():
            raise _Refused("name", f"{name!r} is used twice, and results are reported by name")
        self._categories[number] = name

    def _video(self, entry: dict[str, Any], where: str) -> None:
        number = _whole(entry, "id")
        names = _list(entry, "file_names")
        if not names or not all(isinstance(name, str) for name in names):
            raise _Refused("file_names", "must be a list of one file name per frame")
        folder = names[0].rpartition("/")[0] or names[0]
        if number in self._videos:
            raise _Refused("id", f"{number} is used twice")
        if folder in self._names:
            raise _Refused("file_names", f"folder {folder!r} is another video's; the evaluation tells videos by it")
        self._names.add(folder)
        size = _size(entry) if "height" in entry or "width" in entry else None
        self._videos[number] = _Video(name=folder, video_id=number, num_frames=len(names), size=size)

    def _annotation(self, entry: dict[str, Any], where: str) -> None:
        number = _whole(entry, "id")
        video = self._known_video(_whole(entry, "video_id"))
        category = _whole(entry, "category_id")
        self._check_category(category)
        if entry.get("iscrowd") not in (0, 1):
            raise _Refused("iscrowd", f"must be 0 or 1, is {_shown(entry, 'iscrowd')}")
        size = _size(entry)
        if video.size is not None and size != video.size:
            raise _Refused("height, width", f"{size[0]} x {size[1]}, its video has {video.size[0]} x {video.size[1]}")
        masks = _list(entry, "segmentations")
        self._check_length(masks, video, at_least=self._official_input)
        if number in video.truth_ids:
            raise _Refused("id", f"{number} is used twice in video {video.video_id}")
        mean_area_px = _mean_area(_list(entry, "areas"))
        video.size = size
        video.truth_ids.add(number)
        video.truth.append(
            TrackInput(
                category=category,
                masks=masks,
                track_id=number,
                crowd=entry["iscrowd"] == 1,
                mean_area_px=mean_area_px,
                where=f"{where} (id {number})",
            )
        )

    def _known_video(self, number: int) -> _Video:
        if number not in self._videos:
            raise _Refused("video_id", f"{number} is not a video of {self._truth}")
        return self._videos[number]

    def _check_category(self, number: int) -> None:
        if number not in self._categories:
            raise _Refused("category_id", f"{number} is not a category of {self._truth}")

    def _check_length(self, masks: list[Any], video: _Video, *, at_least: bool) -> None:
        if len(masks) < video.num_frames or (len(masks) > video.num_frames and not at_least):
            message = f"{len(masks)} entries, video {video.video_id} has {video.num_frames} frames"
            raise _Refused("segmentations", message)

    @contextmanager
    def _collecting(self, where: str) -> Iterator[None]:
        try:
            yield
        except _Refused as refused:
            self._problems.append(Problem(where, refused.field, str(refused)))


def _dict_of_lists(value: Any, path: Path) -> dict[str, list[Any]]:
    if not isinstance(value, dict):
        raise DataError(f"{path}: must be an object with categories, videos and annotations, is {_kind(value)}")
    for table in ("categories", "videos", "annotations"):
        if not isinstance(value.get(table), list):
            raise DataError(f"{path}: {table}: must be a list, is {_kind(value.get(table))}")
    return value


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "text", bool: "true or false", type(None): "missing or null"}
    return names.get(type(value), "a number")


def _shown(entry: dict[str, Any], name: str) -> str:
    return f"{entry[name]!r:.40}" if name in entry else "missing"


def _dict(entry: Any) -> dict[str, Any]:
    if not isinstance(entry, dict):
        raise _Refused("", f"must be an object, is {_kind(entry)}")
    return entry


def _whole(entry: dict[str, Any], name: str) -> int:
    value = entry.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) >= 2**63:
        raise _Refused(name, f"must be a whole number, is {_shown(entry, name)}")
    return value


def _list(entry: dict[str, Any], name: str) -> list[Any]:
    value = entry.get(name)
    if not isinstance(value, list):
        raise _Refused(name, f"must be a list, is {_shown(entry, name)}")
    return value


def _score(entry: dict[str, Any]) -> float:
    value = entry.get("score")
    if value is None or isinstance(value, bool) or not _is_finite(value):
        raise _Refused("score", f"must be a finite number, is {_shown(entry, 'score')}")
    return float(value)


def _is_finite(value: Any) -> bool:
    try:
        return isinstance(value, (int, float)) and math.isfinite(value)
    except OverflowError:  # a whole number of more than 300 digits
        return False


def _size(entry: dict[str, Any]) -> tuple[int, int]:
    height, width = _whole(entry, "height"), _whole(entry, "width")
    try:
        check_size(height, width)
    except DataError as error:
        raise _Refused("height, width", str(error)) from None
    return height, width


def _mean_area(areas: list[Any]) -> float:
    """Mean of what is not null or 0, as the official loader takes it; 0 if nothing is left."""
    found = [area for area in areas if area]
    if not all(map(_is_finite, found)):
        raise _Refused("areas", "must be a list of finite numbers and null")
    return math.fsum(found) / len(found) if found else 0.0

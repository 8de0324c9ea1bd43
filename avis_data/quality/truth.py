"""Checks of one truth file: what cannot be read, and what the official loader and evaluation trip over.

Source: specs of AVISM, §1.3, and of the metrics, §1 to §4.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from avis_data.formats.ytvis_file import YtvisFile
from avis_data.formats.ytvis_records import WITHHELD, YtvisTrack, YtvisVideo
from avis_data.masks.rle import Rle, area, box
from avis_data.quality.findings import Findings, Severity

__all__ = ["check_truth"]

_ERROR, _WARNING, _NOTE = Severity.ERROR, Severity.WARNING, Severity.NOTE
_NO_VIDEO = -(2**63)
"""No id: those have 63 bits."""
_BOX_TOLERANCE_PX = 2.0
"""Boxes of foreign sets come from polygons before rasterising, so they may be off by a pixel on each side."""
_TIME_TOLERANCE = 1e-3
"""Share of a frame's period: times are written with six decimals."""


def check_truth(truth: YtvisFile, *, file: str, findings: Findings) -> int:
    """Add all that is wrong, or may go wrong, with one file, which is gone through entry by entry.

    Args:
        truth: the file, of which no tracks were read yet.
        file: how it is called in the findings.
        findings: are added to.

    Returns:
        How many tracks could be read.
    """
    of_entries, lacks = Findings(), Findings()
    check = _Check(file, of_entries)
    for entry, _, video in truth.video_entries():
        _check_video(video, entry.where, check)
    tracks = _TracksSeen()
    for track_entry, track in truth.tracks():
        _check_annotation(track_entry.raw, track, track_entry.where, check)
        _check_masks(track_entry.raw, track, track_entry.where, check)
        tracks.add(track_entry.place, track)
    if truth.is_object:
        _check_order(truth, tracks, _Check(file, lacks))
        _check_absences(truth, tracks, _Check(file, lacks))
    for problem in truth.problems:
        findings.add(_ERROR, "unreadable", file, problem.message, where=problem.where, name=problem.field)
    for problem in truth.remarks:
        text = f"{problem.message}; it is left out"
        findings.add(_WARNING, "polygon-dropped", file, text, where=problem.where, name=problem.field)
    findings.take(of_entries)
    findings.take(lacks)
    return len(tracks.places)


class _TracksSeen:
    """Of each track that is sound: its place in the file, and whether it has a mask with pixels."""

    def __init__(self) -> None:
        self.places, self.has_pixels = array("q"), bytearray()
        self.categories: set[int] = set()

    def add(self, place: int, track: YtvisTrack) -> None:
        """The next one."""
        self.places.append(place)
        self.has_pixels.append(any(_has_pixels(mask) for mask in track.masks))
        self.categories.add(track.category_id)


class _Check:
    """Where findings of one file go."""

    def __init__(self, file: str, findings: Findings) -> None:
        self._file = file
        self._findings = findings

    def __call__(self, severity: Severity, code: str, message: str, where: str = "", name: str = "") -> None:
        self._findings.add(severity, code, self._file, message, where=where, name=name)


def _check_video(video: YtvisVideo, where: str, check: _Check) -> None:
    stems = [PurePosixPath(name).stem for name in video.file_names]
    if not all(re.fullmatch(r"[0-9]{1,18}", stem) for stem in stems):
        check(
            _ERROR, "frame-name", "frames must be called <number>.jpg: the loader sorts by number", where, "file_names"
        )
    elif [int(stem) for stem in stems] != sorted({int(stem) for stem in stems}):
        text = "frames are not in ascending order of their numbers, as the loader reads them"
        check(_ERROR, "frame-order", text, where, "file_names")
    for number, time_s in enumerate(video.frame_times or ()):
        if not number - _TIME_TOLERANCE <= time_s * video.fps <= number + 1 + _TIME_TOLERANCE:
            text = f"is {time_s:g} s, which is not in the period of this frame at {video.fps:g} frames a second"
            check(_ERROR, "frame-time", text, where, f"frame_times[{number}]")


def _check_annotation(entry: Mapping[str, Any], track: YtvisTrack, where: str, check: _Check) -> None:
    if track.track_id < 1:
        check(_ERROR, "id-not-positive", f"is {track.track_id}; evaluators take 0 and -1 for none", where, "id")
    for key in ("height", "width"):
        if key not in entry:
            check(
                _ERROR,
                "size-missing",
                "is missing; the official evaluation reads it here (ours takes the video's)",
                where,
                key,
            )
    if "iscrowd" not in entry:
        check(_ERROR, "iscrowd-missing", "is missing; the official evaluators need it (ours takes 0)", where, "iscrowd")
    if track.areas is None:
        text = "must be a list with one entry for each frame; evaluate takes those of the masks"
        check(_WARNING, "areas-missing", text, where, "areas")
    kinds = {_form(segmentation) for segmentation in entry["segmentations"]}
    if "rle" in kinds:
        text = "RLE dicts: the official evaluation does not read them (the loader does); polygons suit both"
        check(_WARNING, "form-rle", text, where, "segmentations")
    if "rle list" in kinds:
        text = "lists of RLE dicts: the official loader drops these masks (the evaluation reads them)"
        check(_WARNING, "form-rle-list", text, where, "segmentations")


def _form(segmentation: Any) -> str:
    if isinstance(segmentation, dict):
        return "rle"
    return "rle list" if isinstance(segmentation, list) and segmentation and isinstance(segmentation[0], dict) else ""


def _check_masks(entry: Mapping[str, Any], track: YtvisTrack, where: str, check: _Check) -> None:
    boxes = entry.get("bboxes")
    if not isinstance(boxes, list) or len(boxes) != len(track.masks):
        text = "must be a list with one entry for each frame; the loader drops every mask without one"
        check(_ERROR, "bboxes-missing", text, where, "bboxes")
        boxes = None
    for frame, mask in enumerate(track.masks):
        if mask is None:
            _check_silent(entry["segmentations"][frame], boxes and boxes[frame], frame, where, check)
            continue
        pixels, around = area(mask), box(mask)
        if not pixels:
            text = "the mask is empty; evaluators count it as an object, silence is null"
            check(_ERROR, "mask-empty", text, where, f"segmentations[{frame}]")
            continue
        if boxes is not None:
            _check_box(boxes[frame], around, frame, where, check)
        if track.areas is not None:
            _check_area(track.areas[frame], pixels, around, frame, where, check)


def _check_silent(segmentation: Any, bbox: Any, frame: int, where: str, check: _Check) -> None:
    if segmentation == []:
        text = "is [], which the official FSLA takes for a sounding object; silence is null"
        check(_ERROR, "silence-as-list", text, where, f"segmentations[{frame}]")
    elif segmentation is not None:
        text = "has no usable polygon, so no mask"
        check(_ERROR, "mask-lost", text, where, f"segmentations[{frame}]")
    if bbox:
        check(_WARNING, "box-without-mask", "there is a box, but no mask", where, f"bboxes[{frame}]")


def _check_box(bbox: Any, around: tuple[int, int, int, int], frame: int, where: str, check: _Check) -> None:
    name = f"bboxes[{frame}]"
    if not bbox:
        check(_ERROR, "bbox-missing", f"is {bbox!r}; the loader drops the mask of this frame", where, name)
    elif not isinstance(bbox, list) or len(bbox) != 4 or not all(isinstance(value, (int, float)) for value in bbox):
        check(_ERROR, "bbox-shape", f"must be [x, y, width, height] (found {bbox!r:.60})", where, name)
    else:
        corners = (bbox[0], bbox[1], bbox[0] + bbox[2], bbox[1] + bbox[3])
        right = (around[0], around[1], around[0] + around[2], around[1] + around[3])
        if not all(abs(found - wanted) <= _BOX_TOLERANCE_PX for found, wanted in zip(corners, right, strict=True)):
            text = f"is {bbox}, the mask's box is {list(around)} (x, y, width, height)"
            check(_WARNING, "bbox-differs", text, where, name)


def _check_area(
    found: float | None, pixels: int, around: tuple[int, int, int, int], frame: int, where: str, check: _Check
) -> None:
    tolerance_px = around[2] + around[3]  # half the outline: a polygon's area before rasterising differs by so much
    if found is None or abs(found - pixels) > tolerance_px:
        check(_WARNING, "area-differs", f"is {found}, the mask has {pixels} pixels", where, f"areas[{frame}]")


def _check_order(truth: YtvisFile, tracks: _TracksSeen, check: _Check) -> None:
    """Videos in the order of their first tracks."""
    all_ids, all_owners = truth.annotation_ids()
    places = np.array(tracks.places, dtype=np.int64)
    ids, owners = all_ids[places], all_owners[places]
    order = np.argsort(owners, kind="stable")
    begins = np.diff(owners[order], prepend=_NO_VIDEO) != 0
    falls = (np.diff(ids[order], prepend=_NO_VIDEO) <= 0) & ~begins
    group_of = np.cumsum(begins) - 1
    starts = np.append(np.flatnonzero(begins), len(order))
    faulty = np.unique(group_of[falls | (np.frombuffer(tracks.has_pixels, dtype=np.uint8)[order] == 0)])
    groups = [order[starts[number] : starts[number + 1]] for number in faulty]
    for group in sorted(groups, key=lambda group: int(group[0])):
        video_id, of_video = owners[group[0]], ids[group]
        if (np.diff(of_video) <= 0).any():
            first = [int(number) for number in of_video[:8]]
            text = f"ids of video {video_id} do not ascend: {first}; the official FSLA then compares the wrong tracks"
            check(_ERROR, "annotation-order", text, "", "annotations")
        for number, place in zip(of_video, group, strict=True):
            if not tracks.has_pixels[place]:
                text = f"never sounds; in video {video_id} the official FSLA then compares the wrong tracks"
                check(_WARNING, "track-without-mask", text, f"annotation (id {number})", "segmentations")


def _has_pixels(mask: Rle | None) -> bool:
    return mask is not None and area(mask) > 0


def _check_absences(truth: YtvisFile, tracks: _TracksSeen, check: _Check) -> None:
    if not truth.has_annotations:
        check(_NOTE, "labels-withheld", WITHHELD, "", "annotations")
        return
    _, owners = truth.annotation_ids()
    with_tracks = np.unique(owners[np.array(tracks.places, dtype=np.int64)])
    videos = np.array([entry.number for entry in truth.sound_videos()], dtype=np.int64)
    for entry, has_track in zip(truth.sound_videos(), np.isin(videos, with_tracks), strict=True):
        if not has_track:
            check(_NOTE, "video-without-track", "has no annotation; the official training leaves it out", entry.where)
    unused = [category.name for category in truth.categories if category.id not in tracks.categories]
    if unused:
        text = f"{len(unused)} have no track ({', '.join(unused[:5])} ...); the official HOTA counts them as 0"
        check(_NOTE, "category-unused", text, "", "categories")
    ids = [category.id for category in truth.categories]
    if ids != list(range(1, len(ids) + 1)):
        text = "ids are not 1, 2, ... in order; the official model takes id - 1 as its label"
        check(_WARNING, "category-ids", text, "", "categories")

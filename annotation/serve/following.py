"""An object on other stills than the one it was pointed at, followed through the source video between them.

Stills lie a second apart, in which much moves farther than it is large; the video knows the way. Clips without one go
from still to still, which is a guess that a person looks at.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from avis_data.annotation.propagation.carrier import Carried
from avis_data.annotation.propagation.carry import SPECK_SHARE, Look, is_cut, look_of
from avis_data.annotation.propagation.footage import Footage
from avis_data.annotation.propagation.optical_flow import OpticalFlow
from avis_data.annotation.segmenters.segmenter import Found, Prompt
from avis_data.annotation.serve.workspace_stills import Still, Stills
from avis_data.errors import AvisError, ItemError
from avis_data.manifest import read_manifest
from avis_data.paths import Workspace
from avis_data.records import Clip, Video

__all__ = ["Box", "Follower", "Footages", "box_around", "moved_box"]

logger = logging.getLogger(__name__)

Box = tuple[float, float, float, float]

_FPS = 4
"""Pictures per second that are looked at."""
_IDENTITY = "object"
_MANIFESTS = ("clips.jsonl", "videos.jsonl")
_FRESH_S = 20
"""After so many seconds it is followed on from the mask that was found last: what is carried farther has drifted."""

_REACH = 0.75
"""How far an object may move in a second, as a part of its longer side."""
_LEAST_REACH_PX = 24
_LEAST_MATCH = 0.35
"""Correlation below which it is lost."""
_LONG_PX = 480


class Footages:
    """The source videos of a workspace's clips. The manifests are read again when they change."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._read = lru_cache(maxsize=1)(self._records)

    def of(self, clip_id: str) -> Footage | None:
        """The video of a clip; None where there are the stills only."""
        try:
            clips, videos = self._read(*(_stamp(self._workspace.manifest / name) for name in _MANIFESTS))
        except AvisError as error:
            logger.warning("manifests cannot be read, so boxes go from still to still error=%s", error)
            return None
        clip = clips.get(clip_id)
        found = Footage.of_clip(self._workspace, clip, videos.get(clip.video_id), fps=_FPS) if clip else None
        return found if found is not None and found.fps > 1 else None

    def _records(self, *_stamps: int) -> tuple[dict[str, Clip], dict[str, Video]]:
        clips, videos = (self._workspace.manifest / name for name in _MANIFESTS)
        return (
            {clip.clip_id: clip for clip in read_manifest(clips, Clip)},
            {video.video_id: video for video in read_manifest(videos, Video)},
        )


def _stamp(path: Path) -> int:
    return path.stat().st_mtime_ns if path.exists() else 0


class Follower:
    """Finds an object on other stills; asks an engine for its mask on each."""

    def __init__(self, stills: Stills, footages: Footages, segment: Callable[[Still, Prompt], Found]) -> None:
        self._stills, self._footages, self._segment = stills, footages, segment

    def follow(
        self, clip_id: str, frame: int, first: Found, wanted: Collection[int]
    ) -> Iterator[tuple[int, Found | None]]:
        """The object on other stills, forwards and backwards in turn, so that near ones come first.

        Args:
            clip_id: of the clip.
            frame: still on which the object was pointed at.
            first: the object there, not empty.
            wanted: stills that are asked for.

        Yields:
            Each still that was looked at, with what was found; None where it was lost, or not asked for. Nothing is
            followed through a scene cut.

        Raises:
            DataError: if a still is missing.
        """
        ends = (max([frame, *wanted]), min([frame, *wanted]))
        ways = [self._way(clip_id, frame, first, end, wanted) for end in ends if end != frame]
        while ways:
            for way in list(ways):
                step = next(way, None)
                if step is None:
                    ways.remove(way)
                else:
                    yield step

    def _way(
        self, clip_id: str, frame: int, found: Found, end: int, wanted: Collection[int]
    ) -> Iterator[tuple[int, Found | None]]:
        footage = self._footages.of(clip_id)
        try:
            if footage is not None:
                for at, here in self._through_video(footage, clip_id, frame, found, end, wanted):
                    yield at, here
                    if here is not None:
                        frame, found = at, here
                return
        except ItemError as error:
            logger.warning("the source video cannot be read, so a box goes from still to still error=%s", error)
        yield from self._from_still_to_still(clip_id, frame, found, end, wanted)

    def _through_video(
        self, footage: Footage, clip_id: str, frame: int, found: Found, end: int, wanted: Collection[int]
    ) -> Iterator[tuple[int, Found | None]]:
        run, seed = OpticalFlow().start(), frame
        before: Look | None = None
        for shot in footage.shots(min(frame, end), max(frame, end), backward=end < frame):
            now = look_of(shot.picture_HW3)
            if before is not None and is_cut(before, now):
                return
            before = now
            carried = run.step(shot.picture_HW3, is_still=shot.frame is not None).get(_IDENTITY)
            if shot.frame is None:
                continue
            if shot.frame == frame:
                run.put({_IDENTITY: found.mask_HW})
                continue
            here = self._carried_to(clip_id, shot.frame, carried) if shot.frame in wanted else None
            if here is not None and abs(shot.frame - seed) >= _FRESH_S:
                run.put({_IDENTITY: here.mask_HW})
                seed = shot.frame
            yield shot.frame, here

    def _carried_to(self, clip_id: str, frame: int, carried: Carried | None) -> Found | None:
        """The object where it was carried to; None if it is not to be seen there."""
        if carried is None or carried.mask_HW.sum() < max(1.0, SPECK_SHARE * carried.mask_HW.size):
            return None
        return self._on_still(clip_id, frame, box_around(carried.mask_HW), float(np.clip(carried.confidence, 0, 1)))

    def _from_still_to_still(
        self, clip_id: str, frame: int, found: Found, end: int, wanted: Collection[int]
    ) -> Iterator[tuple[int, Found | None]]:
        """Each from the one before; ends where it is lost."""
        step = 1 if end > frame else -1
        at, still = frame, self._stills.read(clip_id, frame)
        for asked in range(frame + step, end + step, step):
            if asked not in wanted:
                continue
            after = self._stills.read(clip_id, asked)
            moved = moved_box(still.picture_HW3, found.mask_HW, after.picture_HW3, seconds=abs(asked - at))
            here = None if moved is None else self._on_still(clip_id, asked, *moved)
            if here is None:
                return
            found, still, at = here, after, asked
            yield asked, here

    def _on_still(self, clip_id: str, frame: int, box: Box | None, confidence: float) -> Found | None:
        found = self._segment(self._stills.read(clip_id, frame), Prompt(box=box))
        return replace(found, confidence=min(found.confidence, confidence)) if found.mask_HW.any() else None


def box_around(mask_HW: NDArray[np.bool_]) -> Box | None:
    """The smallest box around a mask, (x0, y0, x1, y1); None for an empty one."""
    rows, columns = np.nonzero(mask_HW.any(axis=1))[0], np.nonzero(mask_HW.any(axis=0))[0]
    if not len(rows):
        return None
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)


def moved_box(
    before_HW3: NDArray[np.uint8], mask_HW: NDArray[np.bool_], after_HW3: NDArray[np.uint8], *, seconds: int = 1
) -> tuple[Box, float] | None:
    """Where the object of a mask is on a later still, and how alike it looks there; None if it is lost.

    Args:
        before_HW3: still with the mask, RGB.
        mask_HW: the object on it.
        after_HW3: a later or earlier still.
        seconds: how many lie between the two; the search reaches as much farther.
    """
    box = box_around(mask_HW)
    if box is None:
        return None
    height, width = mask_HW.shape
    scale = min(1.0, _LONG_PX / max(height, width))
    x0, y0, x1, y1 = (round(side * scale) for side in box)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    before, after = (_small(picture, size) for picture in (before_HW3, after_HW3))
    x1, y1 = max(x1, x0 + 2), max(y1, y0 + 2)
    patch = before[y0:y1, x0:x1]
    inside = cv2.resize(mask_HW.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)[y0:y1, x0:x1]
    reach = int(max(_LEAST_REACH_PX * scale, _REACH * max(x1 - x0, y1 - y0)) * seconds)
    left, top = max(0, x0 - reach), max(0, y0 - reach)
    window = after[top : min(size[1], y1 + reach), left : min(size[0], x1 + reach)]
    if not inside.any() or window.shape[0] < patch.shape[0] or window.shape[1] < patch.shape[1]:
        return None
    weights = np.repeat(inside[..., None], 3, axis=2).astype(np.float32)
    scores = cv2.matchTemplate(window, patch, cv2.TM_CCOEFF_NORMED, mask=weights)
    scores = np.where(np.isfinite(scores), scores, -1.0)
    row, column = np.unravel_index(int(scores.argmax()), scores.shape)
    match = float(scores[row, column])
    if match < _LEAST_MATCH:
        return None
    right, down = (left + int(column) - x0) / scale, (top + int(row) - y0) / scale
    return (box[0] + right, box[1] + down, box[2] + right, box[3] + down), match


def _small(picture_HW3: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.float32]:
    return cv2.resize(picture_HW3, size, interpolation=cv2.INTER_AREA).astype(np.float32)

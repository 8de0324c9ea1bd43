"""Where an object is on other stills, followed through the source video between them.

Stills lie a second apart, in which much moves farther than it is large; the video knows the way.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avis_data.annotation.propagation.carry import carry
from avis_data.annotation.propagation.footage import Footage, Shot
from avis_data.annotation.propagation.optical_flow import OpticalFlow
from avis_data.annotation.serve.box_tracking import Box, box_around
from avis_data.errors import AvisError, ItemError
from avis_data.manifest import read_manifest
from avis_data.masks.rle import decode, encode
from avis_data.paths import Workspace
from avis_data.records import Clip, Video

__all__ = ["Footages", "boxes_through_video"]

logger = logging.getLogger(__name__)

_FPS = 4
"""Pictures per second that are looked at: somebody waits for the answer."""
_IDENTITY = "object"
_MANIFESTS = ("clips.jsonl", "videos.jsonl")


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


@dataclass(frozen=True)
class _Part:
    """The pictures of some seconds of a clip."""

    footage: Footage
    first: int
    last: int

    def shots(self, first: int, last: int, *, backward: bool = False) -> Iterator[Shot]:
        return self.footage.shots(max(first, self.first), min(last, self.last), backward=backward)


def boxes_through_video(
    footage: Footage, frame: int, mask_HW: NDArray[np.bool_], *, first: int, last: int
) -> dict[int, tuple[Box, float]] | None:
    """Box (x0, y0, x1, y1) and confidence of an object in the other seconds in which it is seen.

    Args:
        footage: of the clip.
        frame: number of the still with the mask.
        mask_HW: the object on it, not empty.
        first: still from which on it is followed, at most `frame`.
        last: still up to which it is followed, at least `frame`.

    Returns:
        None if the video cannot be read. Nothing is followed through a scene cut.
    """
    drawn = {_IDENTITY: {frame: encode(mask_HW)}}
    try:
        carried = carry(OpticalFlow(), _Part(footage, first, last), drawn, num_frames=last + 1)
    except ItemError as error:
        logger.warning("the source video cannot be read, so a box goes from still to still error=%s", error)
        return None
    boxes = {}
    for at, arrival in carried.arrivals[_IDENTITY].items():
        around = box_around(decode(arrival.rle).astype(np.bool_)) if arrival.rle is not None else None
        if around is not None and at != frame:
            boxes[at] = around, arrival.confidence
    return boxes

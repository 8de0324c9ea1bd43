"""The pictures that masks are carried through: the stills, and between them the source video at up to some rate."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from avis_data.errors import ItemError, Reason
from avis_data.media.stills import UNREADABLE_PICTURE
from avis_data.paths import Workspace
from avis_data.pipelines.engine.bucket import bring_clip
from avis_data.records import Clip, FrameAt, Video, VideoStream

__all__ = ["Footage", "OnClock", "Shot", "pictures_per_second"]

_WINDOW_BYTES = 192 << 20
"""Bytes of decoded pictures held at once on the way backwards; 72 s of 6 pictures a second at 640 x 360."""


@dataclass(frozen=True, kw_only=True)
class Shot:
    """One picture."""

    frame: int | None
    """Number of the still that it is; None: between two stills."""
    picture_HW3: NDArray[np.uint8]


class OnClock(Protocol):
    """How the stills of a clip lie in its source; a `Clip` is one."""

    @property
    def start_s(self) -> float:
        """Where it begins in the source."""

    @property
    def frame_at(self) -> FrameAt | None:
        """Which instant of its period a still shows."""

    @property
    def width(self) -> int:
        """Width of the stills, in pixels."""

    @property
    def height(self) -> int:
        """Height of the stills, in pixels."""


class Footage:
    """A clip's pictures, read as they are asked for; what is held does not grow with the length of the clip."""

    def __init__(
        self, frames: Path, clip: OnClock, source: Path | None, media: VideoStream | None, *, fps: int
    ) -> None:
        """Know where the pictures are; nothing is read yet.

        Args:
            frames: the folder of the stills.
            clip: how they lie in the source.
            source: the video; None: there are the stills only.
            media: what it holds.
            fps: pictures per second to look at, at most.
        """
        self._frames, self._clip, self._source, self._media = frames, clip, source, media
        self._between = 1 if source is None else pictures_per_second(media, fps)

    @classmethod
    def of_clip(cls, workspace: Workspace, clip: Clip, video: Video | None, *, fps: int) -> Footage:
        """The footage of a clip of the manifest; without its source, or if the file has gone, only the stills."""
        bring_clip(workspace, clip.clip_id)
        if video is not None:
            bring_clip(workspace, video.video_id, "fetch")
        there = video is not None and video.media is not None and (workspace.root / video.path).is_file()
        source, media = (workspace.root / video.path, video.media) if video is not None and there else (None, None)
        return cls(workspace.clip_dir(clip.clip_id) / "frames", clip, source, media, fps=fps)

    @property
    def fps(self) -> int:
        """Pictures per second; 1: the stills only."""
        return self._between

    def shots(self, first: int, last: int, *, backward: bool = False) -> Iterator[Shot]:
        """The pictures from one still to another, both included, in the order of time or against it.

        Raises:
            ItemError: if the source cannot be decoded, or a still cannot be read.
        """
        if self._between == 1:
            frames = range(first, last + 1)
            for frame in reversed(frames) if backward else frames:
                yield self._still(frame)
        elif backward:
            yield from self._backward(first, last)
        else:
            yield from self._forward(first, last)

    def _forward(self, first: int, last: int) -> Iterator[Shot]:
        if first == last:
            yield self._still(first)
            return
        from avis_data.media.pictures import stream_pictures

        clip = self._clip
        assert self._source is not None and self._media is not None and clip.frame_at is not None
        pictures = stream_pictures(
            self._source,
            self._media,
            size_wh=(clip.width, clip.height),
            start_s=clip.start_s,
            first=first,
            last=last,
            fps=self._between,
            frame_at=clip.frame_at,
        )
        for number, picture in enumerate(pictures):
            frame, between = divmod(number, self._between)
            yield Shot(frame=None, picture_HW3=picture) if between else self._still(first + frame)

    def _backward(self, first: int, last: int) -> Iterator[Shot]:
        """Windows against the order of time, each decoded forwards."""
        per_second = self._between * self._clip.width * self._clip.height * 3
        window = max(1, _WINDOW_BYTES // per_second)
        end = last
        while True:
            begin = max(first, end - window)
            held = list(self._forward(begin, end))
            if begin > first:
                held.pop(0)  # the last one of the next window
            while held:
                yield held.pop()
            if begin == first:
                return
            end = begin

    def _still(self, frame: int) -> Shot:
        path = self._frames / f"{frame:05d}.jpg"
        try:
            with Image.open(path) as picture:
                return Shot(frame=frame, picture_HW3=np.asarray(picture.convert("RGB")))
        except UNREADABLE_PICTURE as error:
            message = f"{'/'.join(path.parts[-4:])} cannot be read ({error}); avis-data extract makes it again"
            raise ItemError(message, reason=Reason.TORN_INPUT) from None


def pictures_per_second(media: VideoStream | None, fps: int) -> int:
    """How many of a video are looked at, if it is asked for `fps`: not more than it has; 1: the stills only."""
    return max(1, min(fps, round(media.fps))) if media is not None else 1

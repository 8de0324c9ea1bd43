"""The pictures that masks are carried through: the stills, and between them the source video at up to some rate."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from avis_data.errors import ItemError, Reason
from avis_data.media.pictures import stream_pictures
from avis_data.paths import Workspace
from avis_data.records import Clip, Video

__all__ = ["Footage", "Shot"]

_WINDOW_BYTES = 192 << 20
"""Of decoded pictures held at once on the way backwards; 72 s of 6 pictures a second at 640 x 360."""


@dataclass(frozen=True, kw_only=True)
class Shot:
    """One picture."""

    frame: int | None
    """Number of the still that it is; None: between two stills."""
    picture_HW3: NDArray[np.uint8]


class Footage:
    """A clip's pictures, read as they are asked for; what is held does not grow with the length of the clip."""

    def __init__(self, workspace: Workspace, clip: Clip, video: Video | None, *, fps: int) -> None:
        """`video` is its source; without it, or if the file has gone, there are the stills only."""
        self._workspace, self._clip = workspace, clip
        self._video = video if video is not None and _is_there(workspace, video) else None
        self._between = min(fps, round(self._video.media.fps)) if self._video and self._video.media else 1
        self._between = max(1, self._between)

    @property
    def fps(self) -> int:
        """Pictures per second; 1: the stills only."""
        return self._between

    def shots(self, first: int, last: int, *, backward: bool = False) -> Iterator[Shot]:
        """From one still to another, both included, in the order of time or against it.

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
        video, clip = self._video, self._clip
        assert video is not None and video.media is not None and clip.frame_at is not None
        pictures = stream_pictures(
            self._workspace.root / video.path,
            video.media,
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
        path = self._workspace.frame(self._clip.clip_id, frame)
        try:
            with Image.open(path) as picture:
                return Shot(frame=frame, picture_HW3=np.asarray(picture.convert("RGB")))
        except OSError as error:
            message = f"{self._workspace.relative(path)} cannot be read ({error}); avis-data extract makes it again"
            raise ItemError(message, reason=Reason.TORN_INPUT) from None


def _is_there(workspace: Workspace, video: Video) -> bool:
    return video.media is not None and (workspace.root / video.path).is_file()

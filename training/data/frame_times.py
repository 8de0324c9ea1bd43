"""When the frames of a clip are, on the clock of its sound."""

from __future__ import annotations

from dataclasses import dataclass

from avis_data.formats.ytvis import YtvisVideo
from avis_data.media.clock import frame_instants

__all__ = ["FrameTimes", "frame_times"]


@dataclass(frozen=True, kw_only=True)
class FrameTimes:
    """Frame i stands for the period [i / fps, (i + 1) / fps) and shows one instant of it."""

    fps: float
    """Frames in a second."""
    instants_s: tuple[float, ...]
    """What each frame shows, seconds after the start of the sound."""

    def __len__(self) -> int:
        return len(self.instants_s)

    @property
    def duration_s(self) -> float:
        """How long all periods are together, in seconds."""
        return len(self) / self.fps


def frame_times(video: YtvisVideo) -> FrameTimes:
    """The times of a video of a truth file; where it does not say them, each frame shows the middle of its period."""
    instants = video.frame_times
    if instants is None:
        instants = tuple(map(float, frame_instants(video.length, fps=video.fps, frame_at=None)))
    return FrameTimes(fps=video.fps, instants_s=instants)

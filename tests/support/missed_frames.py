"""A figure of somebody else's, as CONTRIBUTING.md says how to add one: what is counted in a video, and an entry.

Tests add it to `avis_data.metrics.FIGURES` and see it everywhere. Those that ship stand in `metrics/table.py`.
"""

from __future__ import annotations

import numpy as np

from avis_data.metrics import Counting, Figure, Mode, Rank, Rules, VideoTracks, added_up

__all__ = ["MISSED"]


def count_frames(video: VideoTracks, _rules: Rules) -> np.ndarray:
    """(2,): frames with something that sounds, and those of them in which nothing is predicted."""
    sounds_T = (video.truth.area_NL[:, : video.num_frames] > 0).any(axis=0)
    marked_T = (video.predicted.area_NL[:, : video.num_frames] > 0).any(axis=0)
    return np.array([sounds_T.sum(), (sounds_T & ~marked_T).sum()])


FRAMES = Counting(name="frames", of_video=count_frames, pooled=added_up)


def share_missed(frames_B2: np.ndarray) -> np.ndarray:
    """Missed frames of those with a sound; NaN without any."""
    return np.divide(frames_B2[:, 1], frames_B2[:, 0], out=np.full(len(frames_B2), np.nan), where=frames_B2[:, 0] > 0)


MISSED = Figure(
    name="Missed",
    counting=FRAMES,
    value=share_missed,
    modes=(Mode.STRICT,),
    rank=Rank.HEADLINE,
    of_one_video=True,
    higher_is_better=False,
)

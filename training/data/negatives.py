"""Training samples with another sound, and the truth that goes with it: a model that looks only is wrong on them.

Shapes: T frames of a clip, n of them drawn for a sample.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from avis_data.training.data.split import DatasetClip, DatasetTrack, SplitData

__all__ = ["Negatives", "OtherSound"]

_SHIFTS_S = (1, 2, 5)

IsHeard = Callable[[DatasetTrack, int], bool]
"""Whether a track is heard in a frame."""


@dataclass(frozen=True, kw_only=True)
class OtherSound:
    """What a sample hears in place of its clip's own sound."""

    audio: NDArray[np.float32]
    """float32 (n, ...), as `SplitData.vectors` gives it."""
    is_heard: IsHeard
    """A track has no mask in a frame in which it is not."""


class Negatives:
    """Which samples get another sound, and which: always the same for one seed and number."""

    def __init__(self, split: SplitData, share: float, seed: int) -> None:
        """`share`: of the samples, 0 to 1."""
        self._split = split
        self._share = share
        self._seed = seed
        self._donors: dict[frozenset[int], list[DatasetClip]] = {}

    def drawn(self, number: int, clip: DatasetClip, frames: Sequence[int]) -> OtherSound | None:
        """The other sound of sample `number`; None for its own: it was not drawn, or no truth of another is known.

        Silence, the sound of a clip without the clip's classes, and the clip's own sound 1, 2 or 5 s later are drawn
        equally often; where the one that was drawn cannot be had, the next one is taken.

        Raises:
            DataError: if a file cannot be read.
        """
        if not self._share or clip.audio is None:
            return None
        rng = np.random.default_rng([self._seed, 2, number])
        if rng.random() >= self._share:
            return None
        kinds = (self._silence, self._other_clip, self._later)
        found = (kinds[place](clip, frames, rng) for place in rng.permutation(len(kinds)))
        return next((sound for sound in found if sound is not None), None)

    def _silence(self, clip: DatasetClip, frames: Sequence[int], rng: np.random.Generator) -> OtherSound | None:
        silence = self._silent_rows(len(frames))
        return None if silence is None else OtherSound(audio=silence, is_heard=_nothing)

    def _other_clip(self, clip: DatasetClip, frames: Sequence[int], rng: np.random.Generator) -> OtherSound | None:
        donors = self._without(frozenset(track.label for track in clip.tracks))
        if not donors:
            return None
        donor = donors[int(rng.integers(len(donors)))]
        audio = self._split.vectors(donor, [frame % donor.num_frames for frame in frames])
        return None if audio is None else OtherSound(audio=audio, is_heard=_nothing)

    def _later(self, clip: DatasetClip, frames: Sequence[int], rng: np.random.Generator) -> OtherSound | None:
        shifts = [_SHIFTS_S[place] for place in rng.permutation(len(_SHIFTS_S))]
        for late in self._whole_frames(clip, shifts):
            if _is_known(clip, frames, late):
                audio = self._late_rows(clip, frames, late)
                if audio is not None:
                    return OtherSound(audio=audio, is_heard=partial(_sounds, late=late))
        return None

    def _late_rows(self, clip: DatasetClip, frames: Sequence[int], late: int) -> NDArray[np.float32] | None:
        """What is heard so many frames earlier; silence before the clip's beginning."""
        rows = self._split.vectors(clip, [max(0, frame - late) for frame in frames])
        before = np.array([frame < late for frame in frames])
        if rows is None or not before.any():
            return rows
        silence = self._silent_rows(len(frames))
        if silence is None:
            return None
        rows[before] = silence[before]
        return rows

    def _silent_rows(self, count: int) -> NDArray[np.float32] | None:
        silence = None if self._split.audio is None else self._split.audio.reader.silence
        return None if silence is None else np.repeat(silence[None], count, axis=0)

    def _without(self, labels: frozenset[int]) -> list[DatasetClip]:
        """Clips in which something sounds, and nothing of these classes."""
        if labels not in self._donors:
            self._donors[labels] = [
                other
                for other in self._split.clips
                if other.audio is not None and other.tracks and not labels & {track.label for track in other.tracks}
            ]
        return self._donors[labels]

    @staticmethod
    def _whole_frames(clip: DatasetClip, shifts_s: Sequence[int]) -> Iterator[int]:
        """The shifts that are a whole number of frames: another has no frame whose sound it brings."""
        for late in (seconds * clip.times.fps for seconds in shifts_s):
            if late == round(late) and round(late) < clip.num_frames:
                yield round(late)


def _nothing(track: DatasetTrack, frame: int) -> bool:
    return False


def _sounds(track: DatasetTrack, frame: int, *, late: int) -> bool:
    return frame >= late and track.masks[frame - late] is not None


def _is_known(clip: DatasetClip, frames: Sequence[int], late: int) -> bool:
    """Whether every track has a mask where it is heard then: one without may be hidden there, or seen and silent."""
    return not any(_sounds(track, t, late=late) and track.masks[t] is None for track in clip.tracks for t in frames)

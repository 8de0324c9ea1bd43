"""Which clip and which frames the n-th training sample is: a function of a seed and n, so any run can be resumed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "AroundAFrame",
    "ClipOrder",
    "FramePairs",
    "FramesBefore",
    "SampleNumbers",
    "SampledClip",
    "Sampling",
    "sample_frames",
]


class SampledClip(Protocol):
    """What drawing frames needs to know of a clip."""

    @property
    def num_frames(self) -> int:
        """T."""

    @property
    def seen_frames(self) -> Sequence[int]:
        """Frames with at least one mask, ascending."""


class Sampling(Protocol):
    """Which frames of a clip a model trains on together."""

    def anchors(self, clip: SampledClip) -> Sequence[int]:
        """One number for each sample that the clip gives per round; none if it gives none."""

    def frames(self, clip: SampledClip, anchor: int, rng: np.random.Generator) -> list[int]:
        """The frames of the sample of an anchor, in the order in which the model gets them."""


@dataclass(frozen=True, kw_only=True)
class AroundAFrame:
    """Every clip with a mask is one sample per round: a random frame and others around it, sorted."""

    count: int
    reach: int
    """They lie at most that far from it."""

    def anchors(self, clip: SampledClip) -> Sequence[int]:
        """A single one, of no meaning."""
        return (0,) if clip.seen_frames else ()

    def frames(self, clip: SampledClip, anchor: int, rng: np.random.Generator) -> list[int]:
        """`count` frames."""
        return sample_frames(clip.num_frames, self.count, reach=self.reach, rng=rng)


@dataclass(frozen=True, kw_only=True)
class FramePairs:
    """Every frame with a mask is one sample per round, with a partner: another of them, near it.

    Source: CrossVIS (2021).
    """

    reach: int
    """The partner is among so many frames with a mask before the frame, or after it."""
    empty_frames: bool
    """Whether frames without any mask take part like the others."""

    def anchors(self, clip: SampledClip) -> Sequence[int]:
        """The frames."""
        if self.empty_frames and clip.seen_frames:
            return range(clip.num_frames)
        return clip.seen_frames

    def frames(self, clip: SampledClip, anchor: int, rng: np.random.Generator) -> list[int]:
        """The frame and its partner; the frame twice where the clip has no other."""
        known = list(self.anchors(clip))
        place = known.index(anchor)
        around = [*known[max(0, place - self.reach) : place], *known[place + 1 : place + 1 + self.reach]]
        return [anchor, int(rng.choice(around)) if around else anchor]


@dataclass(frozen=True, kw_only=True)
class FramesBefore:
    """Every frame of a clip with a mask is one sample per round, with the frames right before it, oldest first.

    Source: specification of RCF, sections 8 and 9: before its first frame a clip stands still.
    """

    count: int
    """Frames before."""

    def anchors(self, clip: SampledClip) -> Sequence[int]:
        """The frames, those in which nothing is to be found too."""
        return range(clip.num_frames) if clip.seen_frames else ()

    def frames(self, clip: SampledClip, anchor: int, rng: np.random.Generator) -> list[int]:
        """`count + 1` frames, the last one the anchor."""
        return [max(0, anchor - back) for back in range(self.count, -1, -1)]


class ClipOrder:
    """Every clip (or frame) once per round, in a new order each round."""

    def __init__(self, num_clips: int, seed: int) -> None:
        self._num_clips = num_clips
        self._seed = seed
        self._round = -1
        self._order: NDArray[np.int64] = np.empty(0, dtype=np.int64)

    def clip_of(self, number: int) -> int:
        """The clip of sample `number`."""
        turn, place = divmod(number, self._num_clips)
        if turn != self._round:
            self._order = np.random.default_rng([self._seed, 0, turn]).permutation(self._num_clips)
            self._round = turn
        return int(self._order[place])


@dataclass(frozen=True, kw_only=True)
class SampleNumbers:
    """The samples of one process: a list for each forward pass, `accumulate` of them per iteration.

    Together the processes see the same samples in an iteration as one process with the whole batch.
    """

    first_iteration: int
    iterations: int
    """Where training ends."""
    accumulate: int
    per_process: int
    """Clips of one forward pass of one process."""
    rank: int
    world_size: int

    def __len__(self) -> int:
        return (self.iterations - self.first_iteration) * self.accumulate

    def __iter__(self) -> Iterator[list[int]]:
        whole = self.per_process * self.world_size
        for pass_number in range(self.first_iteration * self.accumulate, self.iterations * self.accumulate):
            first = pass_number * whole + self.rank * self.per_process
            yield list(range(first, first + self.per_process))


def sample_frames(num_frames: int, count: int, *, reach: int, rng: np.random.Generator) -> list[int]:
    """A random reference frame and frames around it, sorted.

    Args:
        num_frames: T of the clip.
        count: how many frames.
        reach: the others lie at most that far from the reference; drawn with replacement, the reference itself not
            among them (unless the clip has no other frame).

    Source: specification of AVISM, section 5.
    """
    reference = int(rng.integers(num_frames))
    around = [frame for frame in range(reference - reach, reference + reach + 1) if 0 <= frame < num_frames]
    others = [frame for frame in around if frame != reference] or [reference]
    return sorted([reference, *(int(frame) for frame in rng.choice(others, size=count - 1))])

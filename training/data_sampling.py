"""Which clip and which frames the n-th training sample is: a function of a seed and n, so any run can be resumed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

__all__ = ["ClipOrder", "SampleNumbers", "sample_frames"]


class ClipOrder:
    """Every clip once per round, in a new order each round."""

    def __init__(self, num_clips: int, seed: int) -> None:
        self._num_clips = num_clips
        self._seed = seed
        self._round = -1
        self._order = np.empty(0, dtype=np.int64)

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

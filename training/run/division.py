"""How a run's batch is divided among processes: with the recipe as it is, or scaled to more of them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from avis_data.training.config import ProcessesRecord, RunConfig, ScaledFrom, changed_config

__all__ = ["Division", "divided", "recorded", "scaled"]

_WARMUP_SHARE = 5 / 90
"""Of a scaled run whose recipe has no warm-up: 5 of 90 epochs. Source: Goyal et al., "Accurate, Large Minibatch SGD:
Training ImageNet in 1 Hour" (arXiv 1706.02677), as is the rate in proportion to the batch."""


@dataclass(frozen=True, kw_only=True)
class Division:
    """Who computes which part of a batch."""

    batch: int
    """Clips of an iteration; more than the recipe's where that is scaled."""
    processes: int
    """That take part, the first ones; others have nothing to do."""
    passes: int
    """Of one process in an iteration."""

    @property
    def clips(self) -> int:
        """Clips of one pass of one process."""
        return self.batch // (self.processes * self.passes)


def divided(config: RunConfig, started: int, *, scale: bool) -> Division:
    """How a batch is divided among so many processes.

    No process has more clips in memory than one process would have by `loop.accumulate`: with more processes there are
    fewer passes. If not even the clips suffice, `scale` makes the batch as much larger as is needed; else processes
    are left out.
    """
    batch, most = config.data.batch, config.data.batch // config.loop.accumulate
    if scale:
        batch = math.ceil(batch / started) * started
    processes = next(count for count in range(started, 0, -1) if batch % count == 0)
    return Division(batch=batch, processes=processes, passes=_passes(batch // processes, most))


def scaled(config: RunConfig, division: Division) -> RunConfig:
    """The config of a larger batch: the rate in proportion, everything that is counted in iterations shortened.

    Raises:
        ProblemsError: if a scaled value is out of its range.
    """
    factor = division.batch / config.data.batch
    if factor == 1:
        return config
    schedule, loop, validation = config.schedule, config.loop, config.validation

    def shorter(iterations: int) -> int:
        return max(1, round(iterations / factor)) if iterations else 0

    iterations = shorter(loop.iterations)
    warmup, start = shorter(schedule.warmup), schedule.warmup_start
    if not warmup:
        warmup, start = round(_WARMUP_SHARE * iterations), 1 / factor
    values: dict[str, object] = {
        "data.batch": division.batch,
        "loop.accumulate": _passes(division.batch, config.data.batch // loop.accumulate),
        "loop.iterations": iterations,
        "loop.checkpoint_every": shorter(loop.checkpoint_every),
        "optimiser.rate": f"{config.optimiser.rate * factor:.12f}",
        "schedule.warmup": warmup,
        "schedule.warmup_start": f"{start:.12f}",
        "schedule.milestones": [shorter(milestone) for milestone in schedule.milestones],
        "validation.every": shorter(validation.every),
        "validation.draw_every": shorter(validation.draw_every),
    }
    return changed_config(config, [f"{key}={value}" for key, value in values.items()], where="the scaled recipe")


def recorded(config: RunConfig, division: Division, recipe: RunConfig) -> RunConfig:
    """The config with what was done for these processes.

    Args:
        recipe: before it was scaled; the same config where it was not.
    """
    before = recipe.loop.divided.scaled_from if recipe.loop.divided is not None else None
    if config.data.batch != recipe.data.batch:
        before = ScaledFrom(
            batch=recipe.data.batch,
            rate=recipe.optimiser.rate,
            warmup=recipe.schedule.warmup,
            iterations=recipe.loop.iterations,
        )
    record = ProcessesRecord(
        processes=division.processes, passes=division.passes, clips=division.clips, scaled_from=before
    )
    return replace(config, loop=replace(config.loop, divided=record))


def _passes(clips: int, most: int) -> int:
    """The smallest number of equal passes of at most so many clips."""
    return next(passes for passes in range(1, clips + 1) if clips % passes == 0 and clips // passes <= most)

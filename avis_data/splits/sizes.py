"""How many groups of which size go to which split, so that the numbers of clips come out exactly.

Groups (clips of one source) are never divided, so not every number can be reached: this is the partition problem.
Real sets hold many small groups and a proportional plan is exact at once; the rest is found by dynamic programming
over a small pool of groups that is enlarged until it suffices.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["SizePlan", "largest_remainder", "plan_sizes"]

_FIRST_POOL = 32
_MOST_CELLS = 200_000_000
"""Groups times table cells of one search: seconds of work. Only sets of huge groups alone come near it."""


@dataclass(frozen=True)
class SizePlan:
    """The numbers of groups by size for each split, in the order of the targets."""

    groups: tuple[Mapping[int, int], ...]
    """Per split: group size -> number of groups of that size."""

    @property
    def totals(self) -> tuple[int, ...]:
        """Clips per split."""
        return tuple(sum(size * count for size, count in split.items()) for split in self.groups)


def largest_remainder(shares: Sequence[float], total: int) -> list[int]:
    """Whole numbers as near as can be to `shares`, with the sum `total`; of equal remainders the first is rounded up.

    Source: Hamilton's method of apportionment.
    """
    scale = total / sum(shares)
    exact = [round(share * scale, 9) for share in shares]
    floors = [int(value) for value in exact]
    order = sorted(range(len(exact)), key=lambda k: (floors[k] - exact[k], k))
    for k in order[: total - sum(floors)]:
        floors[k] += 1
    return floors


def plan_sizes(sizes: Mapping[int, int], targets: Sequence[int]) -> SizePlan:
    """Divide groups among splits so that each split holds its target of clips, or the nearest possible numbers.

    Args:
        sizes: group size (clips) -> number of groups of that size.
        targets: clips per split, two or three numbers that sum to all clips.

    Returns:
        A plan whose `totals` equal `targets` where that is possible.
    """
    plan = _proportional(sizes, targets)
    best = plan
    for exact in (True, False):  # nearest numbers are looked for only where exact ones are not found: a larger table
        for pool_size in _pool_sizes(sum(sizes.values())):
            if not _error(best, targets):
                return SizePlan(tuple(dict(split) for split in best))
            repaired = _repair(plan, targets, pool_size, exact=exact)
            if repaired is None:
                break
            best = min(best, repaired, key=lambda found: _error(found, targets))
    return SizePlan(tuple(dict(split) for split in best))


def _pool_sizes(num_groups: int) -> Iterator[int]:
    size = _FIRST_POOL
    while size < num_groups:
        yield size
        size *= 2
    yield num_groups


def _error(plan: Sequence[Counter[int]], targets: Sequence[int]) -> int:
    return sum(
        abs(sum(size * count for size, count in split.items()) - target)
        for split, target in zip(plan, targets, strict=True)
    )


def _proportional(sizes: Mapping[int, int], targets: Sequence[int]) -> list[Counter[int]]:
    """Large groups first, each size in proportion to what the splits still need; single clips fill up exactly."""
    plan: list[Counter[int]] = [Counter() for _ in targets]
    need = list(targets)
    for size in sorted(sizes, reverse=True):
        wanted = largest_remainder([max(value, 0) for value in need], sizes[size])
        fits = [min(count, max(value, 0) // size) for count, value in zip(wanted, need, strict=True)]
        for split, count in enumerate(fits):
            plan[split][size] += count
            need[split] -= count * size
        for _ in range(sizes[size] - sum(fits)):
            split = max(range(len(need)), key=lambda k: (need[k], -k))
            plan[split][size] += 1
            need[split] -= size
    return plan


def _repair(
    plan: Sequence[Counter[int]], targets: Sequence[int], pool_size: int, *, exact: bool
) -> list[Counter[int]] | None:
    """Take `pool_size` groups out of the plan and put them back as near to the targets as possible.

    With `exact` sums above the targets are not looked at. None where the search would be too long.
    """
    rest = [Counter(split) for split in plan]
    pool = _take_pool(rest, pool_size)
    need = [
        target - sum(size * count for size, count in split.items()) for split, target in zip(rest, targets, strict=True)
    ]
    free = [k for k in range(len(need)) if targets[k] > 0]
    main = max(free, key=lambda k: (targets[k], -k))  # the largest split takes what the table does not name
    others = [k for k in free if k != main]
    slack = 0 if exact else max(pool)
    caps = [min(sum(pool), max(need[k], 0) + slack) for k in others]
    if len(pool) * int(np.prod([cap + 1 for cap in caps], dtype=np.int64)) > _MOST_CELLS:
        return None
    for size, place in zip(pool, _search(pool, [need[k] for k in others], caps, need[main]), strict=True):
        rest[main if place is None else others[place]][size] += 1
    return rest


def _take_pool(plan: list[Counter[int]], count: int) -> list[int]:
    """Remove `count` groups from the plan, of every size and from every split in turn: only variety fills gaps."""
    pool: list[int] = []
    sizes = sorted({size for split in plan for size, number in split.items() if number})
    while len(pool) < count:
        for size, split in itertools.product(sizes, plan):
            if split[size] and len(pool) < count:
                split[size] -= 1
                pool.append(size)
    return sorted(pool, reverse=True)


def _search(pool: Sequence[int], need: Sequence[int], caps: Sequence[int], main_need: int) -> list[int | None]:
    """The index in `need` of the split of each group of the pool; None for the main split.

    `first[a, b]` is the number of the group with which the sums a and b became reachable (subset sum in two
    dimensions), which is all that is needed to walk back.
    """
    need_two = [*need, 0, 0][:2]
    cap_a, cap_b = [*caps, 0, 0][:2]
    first = np.full((cap_a + 1, cap_b + 1), -1, dtype=np.int32)
    first[0, 0] = 0
    for number, size in enumerate(pool, start=1):
        reached = first >= 0
        new = np.zeros_like(reached)
        new[size:] |= reached[: max(cap_a + 1 - size, 0)]
        new[:, size:] |= reached[:, : max(cap_b + 1 - size, 0)]
        first[new & ~reached] = number
    sum_a, sum_b = _nearest(first >= 0, need_two, sum(pool), main_need)
    places: list[int | None] = [None] * len(pool)
    while sum_a or sum_b:
        number = int(first[sum_a, sum_b])
        size = pool[number - 1]
        from_a = sum_a >= size and 0 <= first[sum_a - size, sum_b] < number
        places[number - 1] = 0 if from_a else 1
        sum_a, sum_b = (sum_a - size, sum_b) if from_a else (sum_a, sum_b - size)
    return places


def _nearest(reached: np.ndarray, need: Sequence[int], total: int, main_need: int) -> tuple[int, int]:
    sums_a, sums_b = np.nonzero(reached)
    error = np.abs(sums_a - need[0]) + np.abs(sums_b - need[1]) + np.abs(total - sums_a - sums_b - main_need)
    best = int(np.argmin(error))
    return int(sums_a[best]), int(sums_b[best])

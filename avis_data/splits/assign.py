"""Which clips train, which validate, which test: exact numbers, no source on two sides, balanced, seeded."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from avis_data.errors import ConfigError, DataError
from avis_data.splits.balance import improve, stratify
from avis_data.splits.sizes import largest_remainder, plan_sizes

__all__ = [
    "SPLIT_NAMES",
    "Assignment",
    "BalanceReport",
    "BalanceRow",
    "SplitClip",
    "SplitRequest",
    "assign_splits",
    "balance_report",
    "parse_split",
]

SPLIT_NAMES = {2: ("train", "val"), 3: ("train", "val", "test")}
"""What the numbers of a request mean. Two are train and val: the 75/25 of the RCF paper (AVIS, 1070 and 357 videos)."""

_PROFILES = ("silent", "single", "multi")


@dataclass(frozen=True, kw_only=True, slots=True)
class SplitClip:
    """What the division needs to know of a clip."""

    clip_id: str
    video_id: str
    group: str
    """Clips of one group (same source video, same file, near-duplicates) are never divided."""
    categories: tuple[str, ...] = ()
    """The categories that sound in it."""
    num_tracks: int = 0
    """Its sources: tracks that sound in it."""
    seconds: tuple[int, int, int] = (0, 0, 0)
    """Seconds in which none, one, or several tracks sound."""


@dataclass(frozen=True)
class SplitRequest:
    """Two or three numbers, not yet applied to a set of clips."""

    text: str
    numbers: tuple[int, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """`train, val` or `train, val, test`."""
        return SPLIT_NAMES[len(self.numbers)]

    def counts(self, num_clips: int) -> tuple[int, ...]:
        """Clips per split: the numbers themselves if they sum to `num_clips`, else as percentages if they sum to 100.

        Raises:
            ConfigError: if they sum to neither; says the sum, the number of clips, and an example that works.
        """
        total = sum(self.numbers)
        if total == num_clips:
            return self.numbers
        if total == 100:
            return tuple(largest_remainder(self.numbers, num_clips))
        example = "/".join(map(str, largest_remainder(self.numbers, num_clips)))
        raise ConfigError(
            f"split {self.text} sums to {total}, but there are {num_clips} clips (and percentages sum to 100)",
            hint=f"--split {example}, or percentages: --split {'75/25' if len(self.numbers) == 2 else '70/10/20'}",
        )


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """Every clip with its split."""

    request: str
    """The split that was asked for: `616/105/205`, or where the division was read from."""
    seed: int | None
    """None where nothing was drawn by chance."""
    names: tuple[str, ...]
    clips: tuple[SplitClip, ...]
    """Sorted by clip id."""
    split_of: Mapping[str, str] = field(repr=False)
    """Clip id -> split."""

    def clip_ids(self, split: str) -> list[str]:
        """The clips of one split, sorted."""
        return [clip.clip_id for clip in self.clips if self.split_of[clip.clip_id] == split]

    def counts(self) -> dict[str, int]:
        """Clips per split."""
        found = Counter(self.split_of[clip.clip_id] for clip in self.clips)
        return {name: found[name] for name in self.names}

    def groups(self) -> dict[str, int]:
        """Groups per split."""
        found = Counter(split for _, split in {(clip.group, self.split_of[clip.clip_id]) for clip in self.clips})
        return {name: found[name] for name in self.names}

    def divided_groups(self) -> list[str]:
        """Groups with clips in more than one split; empty, or the division is worth nothing."""
        sides: dict[str, set[str]] = {}
        for clip in self.clips:
            sides.setdefault(clip.group, set()).add(self.split_of[clip.clip_id])
        return sorted(group for group, splits in sides.items() if len(splits) > 1)


@dataclass(frozen=True, kw_only=True)
class BalanceRow:
    """How one label is spread over the splits."""

    kind: str
    """`category` and `sources` count clips; `seconds` counts seconds."""
    name: str
    total: int
    counts: Mapping[str, int]
    max_deviation: float
    """The largest difference between a split's share of this label and its share of all clips."""
    max_deviation_count: float
    """The same in clips (or seconds): below 1 nothing better is possible without dividing a clip."""


@dataclass(frozen=True, kw_only=True)
class BalanceReport:
    """How evenly categories and numbers of sources are spread."""

    rows: tuple[BalanceRow, ...]

    @property
    def max_deviation(self) -> float:
        """The largest deviation of any label, a share in [0, 1]; large where a label is held by very few clips."""
        return max((row.max_deviation for row in self.rows), default=0.0)

    @property
    def max_deviation_clips(self) -> float:
        """The most clips that any category or number of sources is off its exact share; seconds are left out."""
        return max((row.max_deviation_count for row in self.rows if row.kind != "seconds"), default=0.0)

    @property
    def mean_deviation(self) -> float:
        """The mean over the labels of their largest deviation."""
        return float(np.mean([row.max_deviation for row in self.rows])) if self.rows else 0.0

    def as_dict(self) -> dict[str, Any]:
        """JSON values, shares rounded to 6 digits."""
        return {
            "max_deviation": round(self.max_deviation, 6),
            "max_deviation_clips": round(self.max_deviation_clips, 6),
            "mean_deviation": round(self.mean_deviation, 6),
            "labels": [
                {
                    "kind": row.kind,
                    "name": row.name,
                    "total": row.total,
                    "counts": dict(row.counts),
                    "max_deviation": round(row.max_deviation, 6),
                }
                for row in self.rows
            ],
        }


def parse_split(text: str) -> SplitRequest:
    """Read `616/105/205` (train, val, test) or `75/25` (train, val).

    Raises:
        ConfigError: if it is not two or three whole numbers with a sum above 0.
    """
    parts = [part.strip() for part in text.split("/")]
    if len(parts) not in SPLIT_NAMES or not all(re.fullmatch(r"[0-9]{1,9}", part) for part in parts):
        raise ConfigError(
            f"split {text!r}: must be train/val/test or train/val, in clips or in percent",
            hint="--split 616/105/205, or --split 75/25",
        )
    numbers = tuple(int(part) for part in parts)
    if sum(numbers) == 0:
        raise ConfigError(f"split {text!r}: every number is 0", hint="--split 75/25")
    return SplitRequest("/".join(map(str, numbers)), numbers)


def assign_splits(clips: Sequence[SplitClip], request: SplitRequest, seed: int) -> Assignment:
    """Divide clips as asked, groups whole, categories and numbers of sources spread evenly.

    The same clips (in any order) with the same seed give the same division. Numbers of clips are met exactly;
    percentages as nearly as the groups allow.

    Raises:
        ConfigError: if the numbers do not sum to the clips or to 100.
        DataError: if numbers of clips cannot be met with whole groups; names the largest and the nearest numbers.

    Source: the order of placing (rarest label first) after Sechidis, Tsoumakas, Vlahavas, "On the Stratification of
        Multi-Label Data", ECML PKDD 2011.
    """
    ordered = tuple(sorted(clips, key=lambda clip: clip.clip_id))
    counts = request.counts(len(ordered))
    members: dict[str, list[SplitClip]] = {}
    for clip in ordered:
        members.setdefault(clip.group, []).append(clip)
    groups = list(members.values())
    plan = plan_sizes(Counter(len(group) for group in groups), counts)
    if plan.totals != counts and sum(request.numbers) == len(ordered):
        raise _impossible(request, members, plan.totals)

    rng = np.random.default_rng(seed)
    sizes_G = np.array([len(group) for group in groups], dtype=np.int64)
    labels_GD = _labels(groups)
    place_G = stratify(labels_GD, sizes_G, plan.groups, rng)
    improve(place_G, labels_GD, sizes_G, len(counts), rng)
    split_of = {
        clip.clip_id: request.names[place]
        for group, place in zip(groups, place_G.tolist(), strict=True)
        for clip in group
    }
    return Assignment(request=request.text, seed=seed, names=request.names, clips=ordered, split_of=split_of)


def balance_report(assignment: Assignment) -> BalanceReport:
    """How each category, each number of sources and the silent/single/multi seconds are spread over the splits."""
    table: dict[tuple[str, str], Counter[str]] = {}
    for clip in assignment.clips:
        split = assignment.split_of[clip.clip_id]
        for category in set(clip.categories):
            table.setdefault(("category", category), Counter())[split] += 1
        table.setdefault(("sources", str(clip.num_tracks)), Counter())[split] += 1
        for profile, seconds in zip(_PROFILES, clip.seconds, strict=True):
            if seconds:
                table.setdefault(("seconds", profile), Counter())[split] += seconds
    of_all = {name: count / max(len(assignment.clips), 1) for name, count in assignment.counts().items()}
    return BalanceReport(rows=tuple(_row(kind, name, table[kind, name], of_all) for kind, name in sorted(table)))


def _row(kind: str, name: str, found: Counter[str], of_all: Mapping[str, float]) -> BalanceRow:
    total = found.total()
    deviation = max(abs(found[split] / total - share) for split, share in of_all.items())
    return BalanceRow(
        kind=kind,
        name=name,
        total=total,
        counts={split: found[split] for split in of_all},
        max_deviation=deviation,
        max_deviation_count=deviation * total,
    )


def _labels(groups: Sequence[Sequence[SplitClip]]) -> np.ndarray:
    """float64 (G, D): clips of each group by category, by number of tracks, and by share of silent/single/multi."""
    names = sorted({category for group in groups for clip in group for category in clip.categories})
    tracks = sorted({clip.num_tracks for group in groups for clip in group})
    column: dict[str | int, int] = {name: index for index, name in enumerate(names)}
    column |= {number: len(names) + index for index, number in enumerate(tracks)}
    labels_GD = np.zeros((len(groups), len(column) + len(_PROFILES)))
    for row, group in zip(labels_GD, groups, strict=True):
        for clip in group:
            for category in set(clip.categories):
                row[column[category]] += 1
            row[column[clip.num_tracks]] += 1
            if total := sum(clip.seconds):
                row[-len(_PROFILES) :] += np.array(clip.seconds) / total
    return labels_GD


def _impossible(request: SplitRequest, members: Mapping[str, Sequence[SplitClip]], nearest: Sequence[int]) -> DataError:
    largest = sorted(members, key=lambda group: (-len(members[group]), group))[:3]
    named = ", ".join(f"{group!r} ({len(members[group])} clips)" for group in largest)
    return DataError(
        f"split {request.text} cannot be met: clips of one source stay together, and the largest sources are {named}",
        hint=f"the nearest that can be met: --split {'/'.join(map(str, nearest))}",
    )

"""One repair of a clip's labels, as a function of the labels alone: swap, merge, split, delete, copy.

A still is a second here: the page's timeline counts whole seconds, so what is heard moves with the stills.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

import numpy as np

from avis_data.annotation.labels.records import (
    ClipProblem,
    Interval,
    LabelledClip,
    LabelledMask,
    LabelledTrack,
    MaskOrigin,
    Repair,
    RepairKind,
)
from avis_data.annotation.labels.states import merged, states
from avis_data.annotation.labels.track_problems import TRACK_PROBLEMS, split_identity, track_problems
from avis_data.errors import ConfigError, DataError
from avis_data.masks.rle import area, decode, encode

__all__ = ["check_masks", "repaired"]


@dataclass
class _Object:
    """One object while it is taken apart and put together."""

    masks: dict[int, LabelledMask] = field(default_factory=dict)
    heard: tuple[Interval, ...] = ()

    @property
    def is_empty(self) -> bool:
        return not self.masks and not self.heard

    def cut(self, first: int, end: int) -> _Object:
        """Take out what is in the stills [first, end)."""
        inside = {frame: mask for frame, mask in self.masks.items() if first <= frame < end}
        taken = _Object(inside, _within(self.heard, first, end))
        self.masks = {frame: mask for frame, mask in self.masks.items() if frame not in inside}
        self.heard = merged([*_within(self.heard, 0, first), *_within(self.heard, end, None)])
        return taken

    def add(self, other: _Object, labels: LabelledClip, by: str) -> None:
        """Take what another one has; two masks of a still become one."""
        self.heard = merged([*self.heard, *other.heard])
        for frame, mask in other.masks.items():
            own = self.masks.get(frame)
            self.masks[frame] = mask if own is None else _union(own, mask, labels, by)


def repaired(labels: LabelledClip, repair: Repair, categories: Collection[str]) -> LabelledClip:
    """The labels after a repair; makers of masks stay, but for masks that were put together or copied.

    Args:
        labels: of one person.
        repair: what to do.
        categories: the names of the category set.

    Raises:
        ConfigError: if it names an object or a still that is not there, or nothing is there to do.
        DataError: if a mask is damaged.
    """
    check_masks(labels)
    found = {
        track.identity: _Object({mask.frame: mask for mask in track.masks}, track.intervals) for track in labels.tracks
    }
    end = labels.num_frames if repair.last is None else repair.last + 1
    _check(labels, repair, found, end, categories)
    _STEPS[repair.kind](found, repair, labels, end)
    tracks = tuple(_track(identity, item, labels) for identity, item in sorted(found.items()) if not item.is_empty)
    moved = [_moved(problem, repair, end) for problem in labels.problems if problem.kind not in TRACK_PROBLEMS]
    problems = [
        *(problem for problem in moved if problem is not None),
        *track_problems(tracks, categories, labels.num_frames),
    ]
    return labels.model_copy(update={"tracks": tracks, "problems": tuple(problems)})


def check_masks(labels: LabelledClip) -> None:
    """Raise DataError if a mask is damaged, empty, of another size than the stills, or on a still that is not there."""
    for track in labels.tracks:
        for mask in track.masks:
            where = f"{labels.clip_id}: the mask of {track.identity} on still {mask.frame} (page {mask.frame + 1})"
            hint = "avis-data annotate pull --force makes the labels anew from what was received"
            if (mask.height, mask.width) != (labels.height, labels.width) or mask.frame >= labels.num_frames:
                size = f"{mask.width} x {mask.height}, the stills have {labels.width} x {labels.height}"
                raise DataError(f"{where} does not belong to the clip: {size}", hint=hint)
            try:
                pixels = area(mask.rle)
            except DataError as error:
                raise DataError(f"{where} is damaged: {error}", hint=hint) from None
            if not pixels:
                raise DataError(f"{where} is empty", hint=hint)


def _check(
    labels: LabelledClip, repair: Repair, found: dict[str, _Object], end: int, categories: Collection[str]
) -> None:
    stills = [repair.first, *repair.onto, *([] if repair.last is None else [repair.last])]
    outside = [still for still in stills if still >= labels.num_frames]
    if outside:
        message = (
            f"{labels.clip_id}: no still {outside[0]}: it has {labels.num_frames}, from 0 to {labels.num_frames - 1}"
        )
        raise ConfigError(message, hint="as in frames/00007.jpg, or p8 for page 8")
    if end <= repair.first:
        raise ConfigError(f"{labels.clip_id}: --until {repair.last} lies before --from {repair.first}")
    if len(set(repair.identities)) < len(repair.identities):
        raise ConfigError(f"{labels.clip_id}: {repair.identities[0]} twice: name two objects")
    known = repair.identities[:1] if repair.kind is RepairKind.SPLIT else repair.identities
    missing = [identity for identity in known if identity not in found]
    if missing:
        there = ", ".join(sorted(found)) or "none"
        hint = f"avis-data labels split {labels.clip_id} OLD {missing[0]} gives an object another name"
        raise ConfigError(f"{labels.clip_id}: no object {missing[0]!r}; there are: {there}", hint=hint)
    if repair.kind is RepairKind.SPLIT:
        _check_new_name(labels, repair.identities[1], found, categories)


def _check_new_name(labels: LabelledClip, name: str, found: dict[str, _Object], categories: Collection[str]) -> None:
    if name in found:
        raise ConfigError(
            f"{labels.clip_id}: there is a {name} already", hint="avis-data labels merge, or another number"
        )
    category, number = split_identity(name)
    if number is None or category not in categories:
        known = ", ".join(sorted(categories))
        raise ConfigError(f"{name!r} is no label: a category and a number, as person_2", hint=f"categories: {known}")


def _swap(found: dict[str, _Object], repair: Repair, labels: LabelledClip, end: int) -> None:
    one, other = (found[identity] for identity in repair.identities)
    of_one, of_other = one.cut(repair.first, end), other.cut(repair.first, end)
    if of_one.is_empty and of_other.is_empty:
        raise _nothing(labels, repair)
    one.add(of_other, labels, repair.by)
    other.add(of_one, labels, repair.by)


def _merge(found: dict[str, _Object], repair: Repair, labels: LabelledClip, end: int) -> None:
    one, other = (found[identity] for identity in repair.identities)
    taken = other.cut(repair.first, end)
    if taken.is_empty:
        raise _nothing(labels, repair)
    one.add(taken, labels, repair.by)


def _split(found: dict[str, _Object], repair: Repair, labels: LabelledClip, end: int) -> None:
    old, new = repair.identities
    taken = found[old].cut(repair.first, end)
    if taken.is_empty:
        raise _nothing(labels, repair)
    found[new] = taken


def _delete(found: dict[str, _Object], repair: Repair, labels: LabelledClip, end: int) -> None:
    if found[repair.identities[0]].cut(repair.first, end).is_empty:
        raise _nothing(labels, repair)


def _copy(found: dict[str, _Object], repair: Repair, labels: LabelledClip, end: int) -> None:
    (identity,) = repair.identities
    masks = found[identity].masks
    source = masks.get(repair.first)
    if source is None:
        there = ", ".join(str(frame) for frame in sorted(masks)) or "none"
        message = f"{labels.clip_id}: {identity} has no mask on still {repair.first} (page {repair.first + 1})"
        raise ConfigError(message, hint=f"stills on which it has one: {there}")
    if repair.first in repair.onto:
        raise ConfigError(f"{labels.clip_id}: still {repair.first} onto itself")
    for still in repair.onto:
        masks[still] = _by_hand(source, labels, repair.by, frame=still)


_STEPS: dict[RepairKind, Callable[[dict[str, _Object], Repair, LabelledClip, int], None]] = {
    RepairKind.SWAP: _swap,
    RepairKind.MERGE: _merge,
    RepairKind.SPLIT: _split,
    RepairKind.DELETE: _delete,
    RepairKind.COPY: _copy,
}


def _nothing(labels: LabelledClip, repair: Repair) -> ConfigError:
    return ConfigError(
        f"{labels.clip_id}: nothing to do: {repair.text()}: no mask and no sound is there",
        hint=f"avis-data labels list {labels.clip_id} says what was done before",
    )


def _within(heard: Iterable[Interval], first: float, end: float | None) -> tuple[Interval, ...]:
    cut = ((max(span.start_s, first), span.end_s if end is None else min(span.end_s, end)) for span in heard)
    return tuple(Interval(start_s=start_s, end_s=end_s) for start_s, end_s in cut if start_s < end_s)


def _union(a: LabelledMask, b: LabelledMask, labels: LabelledClip, by: str) -> LabelledMask:
    whole = np.logical_or(decode(a.rle), decode(b.rle))
    return _by_hand(a, labels, by, counts=encode(whole).counts)


def _by_hand(mask: LabelledMask, labels: LabelledClip, by: str, **changed: object) -> LabelledMask:
    of_hand = {"origin": MaskOrigin.EDITED, "engine": None, "weights_sha256": None, "confidence": None, "seconds": None}
    return mask.model_copy(update={**of_hand, "annotator": by, "round": labels.round, **changed})


def _track(identity: str, item: _Object, labels: LabelledClip) -> LabelledTrack:
    return LabelledTrack(
        identity=identity,
        category=next(
            (track.category for track in labels.tracks if track.identity == identity), split_identity(identity)[0]
        ),
        intervals=item.heard,
        states=states(item.heard, item.masks, labels.num_frames),
        masks=tuple(mask for _, mask in sorted(item.masks.items())),
    )


def _moved(problem: ClipProblem, repair: Repair, end: int) -> ClipProblem | None:
    """A problem of a mask under the name that the mask has now; None: the mask is gone."""
    if problem.frame is None or not repair.first <= problem.frame < end or problem.identity not in repair.identities:
        return problem
    one, other = repair.identities[0], repair.identities[-1]
    match repair.kind:
        case RepairKind.DELETE:
            return None
        case RepairKind.SWAP:
            return problem.model_copy(update={"identity": other if problem.identity == one else one})
        case RepairKind.MERGE:
            return problem.model_copy(update={"identity": one})
        case RepairKind.SPLIT:
            return problem.model_copy(update={"identity": other})
        case RepairKind.COPY:
            return problem

"""What speaks against a track of a clip: jumps, looks, sound, and what a trained model says; numbers, no ranking yet.

Shapes: T stills, H x W pixels; B bins of colour. Pictures and masks are taken at about `_WIDTH_PX`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from avis_data.annotation.labels.records import LabelledClip, LabelledTrack
from avis_data.annotation.labels.states import heard_seconds
from avis_data.masks.rle import Rle, decode
from avis_data.metrics.assignment import pair_tracks

__all__ = ["Evidence", "PredictedTrack", "clip_evidence"]

_WIDTH_PX = 192
_BINS = 6
_SURE = 0.5
"""Predictions with a lower score say nothing of what is missing."""
_SAME_IOU = 0.1
"""From this on a predicted track and a labelled one may be the same thing."""

_COLOUR = 2.0
"""How many times its own size a thing would have to jump to be as unlikely as one that changes all its colours."""
_MORE, _TRACE = 1.5, 0.01
"""A colour is foreign beyond so many times its usual share, and this much."""

Mask = NDArray[np.bool_]
_Masks = Mapping[int, Mask]
_Looks = Mapping[int, NDArray[np.float64]]


@dataclass(frozen=True, kw_only=True)
class PredictedTrack:
    """What a trained model says of one thing in a clip."""

    category: str
    score: float
    masks: Mapping[int, Rle]
    """By still; only where it sounds."""


@dataclass(kw_only=True)
class Evidence:
    """What speaks against one track, or for one that is missing."""

    clip_id: str
    identity: str | None
    """None: something that the model sees and nobody labelled."""
    category: str
    found: dict[str, tuple[float, int | None]] = field(default_factory=dict)
    """Kind to how much, and the still where most."""

    def add(self, kind: str, amount: float, still: int | None = None) -> None:
        """Keep the larger of two."""
        if kind not in self.found or amount > self.found[kind][0]:
            self.found[kind] = amount, still


def clip_evidence(
    labels: LabelledClip,
    *,
    pictures: Mapping[int, NDArray[np.uint8]] | None = None,
    active: Sequence[bool] | None = None,
    predicted: Sequence[PredictedTrack] | None = None,
) -> list[Evidence]:
    """Evidence against every track of a clip, then what the model misses.

    Args:
        labels: of one person.
        pictures: still to uint8 (H, W, 3), of any size; None: nothing is said of looks.
        active: for each second whether anything is heard in it; None: nothing is said of sound.
        predicted: by a model; None: there is none.

    Raises:
        DataError: if a mask is damaged.
    """
    step = max(1, labels.width // _WIDTH_PX)
    masks = [{mask.frame: decode(mask.rle)[::step, ::step] for mask in track.masks} for track in labels.tracks]
    found = [
        Evidence(clip_id=labels.clip_id, identity=track.identity, category=track.category) for track in labels.tracks
    ]
    looks = [_histograms(own, pictures or {}, labels, step) for own in masks]
    for evidence, own, histograms in zip(found, masks, looks, strict=True):
        _motion(evidence, own)
        _gaps(evidence, own)
        _colours(evidence, histograms)
    for a in range(len(found)):
        for b in range(len(found)):
            if a != b:
                _exchange(found[a], (masks[a], looks[a]), (masks[b], looks[b]))
                _overlap(found[a], masks[a], masks[b])
    if active is not None:
        _sound(found, labels, active)
    if predicted is not None:
        found += _model(found, labels, masks, predicted, step)
    return found


def _motion(evidence: Evidence, masks: Mapping[int, Mask]) -> None:
    """Steps, bends and changes of size that are large for this track; a smooth fast thing has none."""
    stills = sorted(still for still, mask_HW in masks.items() if mask_HW.any())
    centres = {still: _centre(masks[still]) for still in stills}
    roots = {still: math.sqrt(masks[still].sum()) for still in stills}
    steps, sizes = {}, {}
    for a, b in pairwise(stills):
        if b == a + 1:
            steps[b] = math.dist(centres[a], centres[b]) / max(roots[a], roots[b])
            sizes[b] = abs(math.log(roots[b] / roots[a]))
    usual = float(np.median(list(steps.values()))) if steps else 0.0
    for still, step in steps.items():
        evidence.add("step", step - usual, still)
        evidence.add("size", sizes[still], still)
    for still in stills:
        if still - 1 in centres and still + 1 in centres:
            middle = [(p + q) / 2 for p, q in zip(centres[still - 1], centres[still + 1], strict=True)]
            evidence.add("bend", math.dist(centres[still], middle) / roots[still], still)
    frozen = [b for b in steps if np.array_equal(masks[b - 1], masks[b])]
    evidence.add("frozen", float(len(frozen)), frozen[0] if frozen else None)


def _gaps(evidence: Evidence, masks: Mapping[int, Mask]) -> None:
    inside = range(min(masks), max(masks)) if masks else range(0)
    gaps = [still for still in inside if still not in masks]
    evidence.add("gap", float(len(gaps)), gaps[0] if gaps else None)


def _exchange(evidence: Evidence, own: tuple[_Masks, _Looks], other: tuple[_Masks, _Looks]) -> None:
    """How much shorter the ways of two things would be, and how much more alike, if they changed places at a still."""
    (masks_a, looks_a), (masks_b, looks_b) = own, other
    for still in sorted(masks_a):
        pieces = (masks_a[still], masks_b.get(still), masks_a.get(still + 1), masks_b.get(still + 1))
        if any(mask_HW is None or not mask_HW.any() for mask_HW in pieces):
            continue
        a0, b0, a1, b1 = (mask_HW for mask_HW in pieces if mask_HW is not None)
        (pa0, pb0, pa1, pb1) = (_centre(mask_HW) for mask_HW in (a0, b0, a1, b1))
        size = math.sqrt(max(a0.sum(), b0.sum()))
        straight = (math.dist(pa0, pa1) + math.dist(pb0, pb1)) / size
        crossed = (math.dist(pa0, pb1) + math.dist(pb0, pa1)) / size
        if all(key in looks for looks in (looks_a, looks_b) for key in (still, still + 1)):
            straight += _COLOUR * _distance(looks_a[still], looks_a[still + 1])
            straight += _COLOUR * _distance(looks_b[still], looks_b[still + 1])
            crossed += _COLOUR * _distance(looks_a[still], looks_b[still + 1])
            crossed += _COLOUR * _distance(looks_b[still], looks_a[still + 1])
        evidence.add("exchange", max(straight - crossed, 0.0), still + 1)


def _overlap(evidence: Evidence, own: Mapping[int, Mask], other: Mapping[int, Mask]) -> None:
    """One thing labelled twice, or a mask over another thing."""
    for still in own.keys() & other.keys():
        both = int((own[still] & other[still]).sum())
        evidence.add("overlap", both / max(1, min(int(own[still].sum()), int(other[still].sum()))), still)


def _histograms(
    masks: _Masks, pictures: Mapping[int, NDArray[np.uint8]], labels: LabelledClip, step: int
) -> dict[int, NDArray[np.float64]]:
    found = {}
    for still in sorted(masks.keys() & pictures.keys()):
        if masks[still].any():
            found[still] = _histogram(_small(pictures[still], labels, step)[masks[still]])
    return found


def _colours(evidence: Evidence, histograms: _Looks) -> None:
    """The share of a mask that has colours which the track's other masks do not have.

    A thing that is half hidden has fewer colours than usual, and none that are foreign to it.
    """
    for still, histogram in histograms.items():
        others = [found for key, found in histograms.items() if key != still]
        if len(others) >= 2:
            usual = np.median(others, axis=0)
            evidence.add("foreign", float(np.maximum(histogram - _MORE * usual - _TRACE, 0).sum()), still)


def _sound(found: Sequence[Evidence], labels: LabelledClip, active: Sequence[bool]) -> None:
    """Seconds in which it is heard and nothing is to be heard; seconds that sound and that nobody claims."""
    num_seconds = min(labels.num_frames, len(active))
    heard = [heard_seconds(track.intervals, labels.num_frames) for track in labels.tracks]
    claimed = heard_seconds(labels.off_screen, labels.num_frames)
    unclaimed = [
        t for t in range(num_seconds) if active[t] and not claimed[t] and not any(seconds[t] for seconds in heard)
    ]
    for evidence, track, seconds in zip(found, labels.tracks, heard, strict=True):
        silent = [t for t in range(num_seconds) if seconds[t] and not active[t]]
        evidence.add("heard in silence", float(len(silent)), silent[0] if silent else None)
        seen = {mask.frame for mask in track.masks}
        own = [t for t in unclaimed if t in seen]
        share = len(own) / max(1, sum(bool(mask) for mask in (item.masks for item in labels.tracks)))
        evidence.add("unclaimed sound", share, own[0] if own else None)


def _model(
    found: Sequence[Evidence],
    labels: LabelledClip,
    masks: Sequence[Mapping[int, Mask]],
    predicted: Sequence[PredictedTrack],
    step: int,
) -> list[Evidence]:
    said = [{still: decode(rle)[::step, ::step] for still, rle in item.masks.items()} for item in predicted]
    likeness_GP = np.array([[_likeness(own, other) for other in said] for own in masks]).reshape(len(masks), len(said))
    weight_GP = likeness_GP * np.array([item.score for item in predicted])
    rows, columns = pair_tracks(weight_GP)
    pairs = {int(g): int(p) for g, p in zip(rows, columns, strict=True) if likeness_GP[g, p] >= _SAME_IOU}
    for g, (evidence, track) in enumerate(zip(found, labels.tracks, strict=True)):
        sounding = _sounding(track, labels.num_frames)
        evidence.add("model misses it", 0.0)
        evidence.add("model: category", 0.0)
        if g in pairs:
            _against_model(evidence, masks[g], sounding, said[pairs[g]], predicted[pairs[g]])
        elif sounding:
            evidence.add("model misses it", 1.0, min(sounding))
    missing = []
    for p, (item, own) in enumerate(zip(predicted, said, strict=True)):
        if p in pairs.values() or item.score < _SURE or not own:
            continue
        seen = max((likeness_GP[g, p] for g in range(len(masks))), default=0.0)
        evidence = Evidence(clip_id=labels.clip_id, identity=None, category=item.category)
        evidence.add("model sees more", item.score**2 * (1 - seen), min(own))
        missing.append(evidence)
    return missing


def _against_model(
    evidence: Evidence, own: Mapping[int, Mask], sounding: set[int], said: Mapping[int, Mask], item: PredictedTrack
) -> None:
    if item.category != evidence.category:
        evidence.add("model: category", item.score**2, min(said))
    differing = sorted(sounding ^ (said.keys() & own.keys()))
    evidence.add("model: sound", len(differing) / max(1, len(own)), differing[0] if differing else None)
    for still in sorted(own.keys() & said.keys()):
        both, whole = own[still] & said[still], own[still] | said[still]
        evidence.add("model: outline", item.score * (1 - float(both.sum()) / max(1, int(whole.sum()))), still)


def _sounding(track: LabelledTrack, num_seconds: int) -> set[int]:
    heard = heard_seconds(track.intervals, num_seconds)
    return {mask.frame for mask in track.masks if heard[mask.frame]}


def _likeness(own: Mapping[int, Mask], said: Mapping[int, Mask]) -> float:
    """IoU over the stills for which the model says anything."""
    both = whole = 0
    for still, mask_HW in said.items():
        there = own.get(still)
        both += 0 if there is None else int((there & mask_HW).sum())
        whole += int((mask_HW if there is None else there | mask_HW).sum())
    return both / whole if whole else 0.0


def _centre(mask_HW: Mask) -> tuple[float, float]:
    rows, columns = np.nonzero(mask_HW)
    return float(rows.mean()), float(columns.mean())


def _small(picture: NDArray[np.uint8], labels: LabelledClip, step: int) -> NDArray[np.intp]:
    """The colour bin of each pixel, at the size of the small masks."""
    rows = np.arange(0, labels.height, step) * picture.shape[0] // labels.height
    columns = np.arange(0, labels.width, step) * picture.shape[1] // labels.width
    parts = picture[rows][:, columns].astype(np.intp) * _BINS // 256
    bins: NDArray[np.intp] = (parts[..., 0] * _BINS + parts[..., 1]) * _BINS + parts[..., 2]
    return bins


def _histogram(bins_N: NDArray[np.intp]) -> NDArray[np.float64]:
    counts = np.bincount(bins_N, minlength=_BINS**3).astype(np.float64)
    shares: NDArray[np.float64] = counts / counts.sum()
    return shares


def _distance(a_B: NDArray[np.float64], b_B: NDArray[np.float64]) -> float:
    """Hellinger's, in [0, 1]."""
    return math.sqrt(max(0.0, 1 - float(np.sqrt(a_B * b_B).sum() / math.sqrt(max(a_B.sum() * b_B.sum(), 1e-12)))))

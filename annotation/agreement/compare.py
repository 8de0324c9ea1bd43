"""How far two people say the same of one clip: what it adds to every figure of agreement.

Shapes: A tracks of the first person, B of the second, T seconds of the clip.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from avis_data.annotation.labels.matching import Matching, match_tracks
from avis_data.annotation.labels.records import Interval, LabelledClip, Verdict
from avis_data.masks.rle import decode
from avis_data.metrics.assignment import pair_tracks
from avis_data.metrics.boundary import boundary_f
from avis_data.metrics.hota import HotaCounts, count_hota

__all__ = ["ClipAgreement", "SpanErrors", "Swap", "compare_clips"]

SAME_IOU = 0.5
"""Two masks count as the same object on a still from this IoU on, in the measure of disagreement."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanErrors:
    """Sounding intervals of the tracks of both, paired where they overlap."""

    onset_s: tuple[float, ...] = ()
    """Start of the second person's interval minus start of the first person's, of every pair."""
    offset_s: tuple[float, ...] = ()
    """The same of the ends."""
    only_a: int = 0
    """Intervals without a partner."""
    only_b: int = 0

    def __add__(self, other: SpanErrors) -> SpanErrors:
        return SpanErrors(
            onset_s=self.onset_s + other.onset_s,
            offset_s=self.offset_s + other.offset_s,
            only_a=self.only_a + other.only_a,
            only_b=self.only_b + other.only_b,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Swap:
    """An object of the first person that is another one of the second person's for some seconds."""

    a: str
    """Its name; the next one: that of the other's object, which is not the one it is paired with."""
    b: str
    seconds: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class ClipAgreement:
    """Two people's labels of one clip compared; sums, so that clips can be added up."""

    clip_id: str
    round: str
    a: str
    """E-mail; the next one likewise."""
    b: str
    num_matched: int
    num_only_a: int
    num_only_b: int
    iou_sum: float
    """IoU of the two masks over the seconds in which both tracks of a pair have one."""
    boundary_sum: float
    """Boundary F over the same seconds."""
    num_masks: int
    """How many seconds these are."""
    heard: Mapping[str, np.ndarray]
    """Category -> int64 (2, 2): track-seconds by (first hears it, second hears it)."""
    hota: Mapping[str, HotaCounts]
    """Category -> counts over the sounding masks, of every category in which somebody has one."""
    spans: SpanErrors
    seconds_differing: int
    """Track-seconds that at least one says sound, and that the other does not say sound there, of this shape."""
    seconds_sounding: int
    """Track-seconds that at least one says sound."""
    verdicts: tuple[Verdict | None, Verdict | None]
    confused: tuple[tuple[str, str], ...]
    """Objects of one place to which they give other categories: the names that the two give them."""
    swaps: tuple[Swap, ...]
    """Where identities are exchanged."""
    categories: Mapping[tuple[str, str], int]
    """(first's category, second's) -> objects that both marked, the same category or not."""

    @property
    def disagreement(self) -> float:
        """Share of the sounding track-seconds on which they differ, in [0, 1]; 1 where one would drop the clip."""
        if (self.verdicts[0] is Verdict.DROP) != (self.verdicts[1] is Verdict.DROP):
            return 1.0
        return self.seconds_differing / self.seconds_sounding if self.seconds_sounding else 0.0


def compare_clips(a: LabelledClip, b: LabelledClip) -> ClipAgreement:
    """Compare what two people said of one clip.

    Raises:
        DataError: if the labels are of clips of other lengths or sizes, or a mask is corrupt.

    Source: docs/review.md, "How agreement is measured".
    """
    found = match_tracks(a, b)
    iou, boundary, num_masks = _outlines(a, b, found)
    sounding_AT, sounding_BT = found.masked_AT & found.heard_AT, found.masked_BT & found.heard_BT
    differing, sounding = _differing(found, sounding_AT, sounding_BT)
    confused = _confused(a, b, found)
    same = [(i, j) for i, j in found.pairs if all(i != other_i and j != other_j for other_i, other_j in confused)]
    return ClipAgreement(
        clip_id=a.clip_id,
        round=a.round,
        a=a.annotator,
        b=b.annotator,
        num_matched=len(found.pairs),
        num_only_a=len(found.only_a),
        num_only_b=len(found.only_b),
        iou_sum=iou,
        boundary_sum=boundary,
        num_masks=num_masks,
        heard=_heard_tables(a, b, found),
        hota=_hota(a, b, found, sounding_AT, sounding_BT),
        spans=_span_errors(a, b, found),
        seconds_differing=differing,
        seconds_sounding=sounding,
        verdicts=(a.verdict, b.verdict),
        confused=tuple((a.tracks[i].identity, b.tracks[j].identity) for i, j in confused),
        swaps=tuple(_swaps(a, b, found)),
        categories=Counter((a.tracks[i].category, b.tracks[j].category) for i, j in [*same, *confused]),
    )


def _confused(a: LabelledClip, b: LabelledClip, found: Matching) -> list[tuple[int, int]]:
    """Pairs of objects of other categories whose masks are the same: mean IoU >= 0.5.

    The mean is over the seconds in which one of the two has a mask. They are looked for among objects that only one of
    them has, and those that are paired by their sound alone.
    """
    by_sound = [(i, j) for i, j in found.pairs if not found.iou_TAB[:, i, j].any()]
    weight_AB = np.zeros((len(a.tracks), len(b.tracks)))
    for i in (*found.only_a, *(i for i, _ in by_sound)):
        for j in (*found.only_b, *(j for _, j in by_sound)):
            if a.tracks[i].category == b.tracks[j].category:
                continue
            seconds = int((found.masked_AT[i] | found.masked_BT[j]).sum())
            weight_AB[i, j] = found.iou_TAB[:, i, j].sum() / seconds if seconds else 0.0
    weight_AB[weight_AB < SAME_IOU] = 0
    return [(int(i), int(j)) for i, j in zip(*pair_tracks(weight_AB), strict=True) if weight_AB[i, j] > 0]


def _swaps(a: LabelledClip, b: LabelledClip, found: Matching) -> Iterator[Swap]:
    """Seconds in which an object is not the one that it is paired with, and another of that category."""
    partner = dict(found.pairs)
    for i, own in partner.items():
        for j in range(len(b.tracks)):
            if j == own or a.tracks[i].category != b.tracks[j].category:
                continue
            there_T = (found.iou_TAB[:, i, j] >= SAME_IOU) & (found.iou_TAB[:, i, own] < SAME_IOU)
            if there_T.any():
                seconds = tuple(int(second) for second in np.flatnonzero(there_T))
                yield Swap(a=a.tracks[i].identity, b=b.tracks[j].identity, seconds=seconds)


def _outlines(a: LabelledClip, b: LabelledClip, found: Matching) -> tuple[float, float, int]:
    iou, boundary, number = 0.0, 0.0, 0
    for i, j in found.pairs:
        masks_a, masks_b = a.tracks[i].rle_by_frame(), b.tracks[j].rle_by_frame()
        for frame in sorted(masks_a.keys() & masks_b.keys()):
            iou += float(found.iou_TAB[frame, i, j])
            same = masks_a[frame] == masks_b[frame]
            boundary += 1.0 if same else boundary_f(decode(masks_a[frame]), decode(masks_b[frame]))
            number += 1
    return iou, boundary, number


def _heard_tables(a: LabelledClip, b: LabelledClip, found: Matching) -> dict[str, np.ndarray]:
    """A track that only one of them has is heard by the other in no second."""
    nothing_T = np.zeros(a.num_frames, dtype=bool)
    tables: dict[str, np.ndarray] = defaultdict(lambda: np.zeros((2, 2), dtype=np.int64))
    for i, j in found.pairs:
        np.add.at(tables[a.tracks[i].category], (found.heard_AT[i].astype(int), found.heard_BT[j].astype(int)), 1)
    for i in found.only_a:
        np.add.at(tables[a.tracks[i].category], (found.heard_AT[i].astype(int), nothing_T.astype(int)), 1)
    for j in found.only_b:
        np.add.at(tables[b.tracks[j].category], (nothing_T.astype(int), found.heard_BT[j].astype(int)), 1)
    return dict(sorted(tables.items()))


def _hota(
    a: LabelledClip, b: LabelledClip, found: Matching, sounding_AT: np.ndarray, sounding_BT: np.ndarray
) -> dict[str, HotaCounts]:
    counts = {}
    for category in sorted({track.category for clip in (a, b) for track in clip.tracks}):
        rows = [i for i, track in enumerate(a.tracks) if track.category == category and sounding_AT[i].any()]
        columns = [j for j, track in enumerate(b.tracks) if track.category == category and sounding_BT[j].any()]
        if not rows and not columns:
            continue
        present_AT, present_BT = sounding_AT[rows], sounding_BT[columns]
        both_TAB = present_AT.T[:, :, None] & present_BT.T[:, None, :]
        iou_TAB = found.iou_TAB[:, rows][:, :, columns] * both_TAB
        counts[category] = count_hota(iou_TAB, present_AT, present_BT)
    return counts


def _span_errors(a: LabelledClip, b: LabelledClip, found: Matching) -> SpanErrors:
    total = SpanErrors(
        only_a=sum(len(a.tracks[i].intervals) for i in found.only_a),
        only_b=sum(len(b.tracks[j].intervals) for j in found.only_b),
    )
    for i, j in found.pairs:
        total += _paired_spans(a.tracks[i].intervals, b.tracks[j].intervals)
    return total


def _paired_spans(a: Sequence[Interval], b: Sequence[Interval]) -> SpanErrors:
    """One to one, so that they overlap for the longest time."""
    overlap = np.array([[max(0.0, min(x.end_s, y.end_s) - max(x.start_s, y.start_s)) for y in b] for x in a])
    overlap = overlap.reshape(len(a), len(b))
    pairs = [(int(i), int(j)) for i, j in zip(*pair_tracks(overlap), strict=True) if overlap[i, j] > 0]
    return SpanErrors(
        onset_s=tuple(b[j].start_s - a[i].start_s for i, j in pairs),
        offset_s=tuple(b[j].end_s - a[i].end_s for i, j in pairs),
        only_a=len(a) - len(pairs),
        only_b=len(b) - len(pairs),
    )


def _differing(found: Matching, sounding_AT: np.ndarray, sounding_BT: np.ndarray) -> tuple[int, int]:
    same = either = 0
    for i, j in found.pairs:
        either += int((sounding_AT[i] | sounding_BT[j]).sum())
        same += int((sounding_AT[i] & sounding_BT[j] & (found.iou_TAB[:, i, j] >= SAME_IOU)).sum())
    either += sum(int(sounding_AT[i].sum()) for i in found.only_a)
    either += sum(int(sounding_BT[j].sum()) for j in found.only_b)
    return either - same, either

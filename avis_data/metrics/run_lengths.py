"""Many masks at once as run ends, and exact pixel counts of their intersections, without decoding a pixel.

Shapes: N masks, R rows (one inside run each), L entries of a track, G truth tracks, P predicted tracks.

A mask is a row of inside runs `[start, end)` down the columns. The masks of one track follow each other on one number
line (entry t begins at t x pixels), so the pixels that a track shares with another one are differences of a piecewise
linear function at its run ends: `np.interp` gives them for all entries in one call. All numbers are whole and below
2**53, so nothing is rounded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["RunMasks", "decode_runs", "empty_counts", "intersections_GPL"]

_FIRST_CODE = 48  # COCO writes 6 bits a character, beginning with "0"
_MAX_GROUPS = 7  # as avis_data.masks.rle: 7 x 5 bits hold every run of the largest picture and its sign


@dataclass(frozen=True, slots=True)
class RunMasks:
    """The inside runs of N masks of one size, one after the other on one number line."""

    edges_R2: np.ndarray
    """float64: start and end of each run; mask n lies in [n x pixels, (n + 1) x pixels)."""
    first_row_N: np.ndarray
    """int64: the first row of each mask; every mask has one at least (of length 0 if it is empty)."""
    area_N: np.ndarray
    """int64: pixels inside."""
    span_N2: np.ndarray
    """float64: where the first run of each mask begins and the last one ends, counted from its own first pixel."""
    pixels: int
    """Height x width."""

    @property
    def corner_N(self) -> np.ndarray:
        """int64: place of the first pixel down the columns; -1 for an empty mask. Tells equal areas apart."""
        filled = np.flatnonzero(self.edges_R2[:, 1] > self.edges_R2[:, 0])
        if not len(filled):
            return np.full(len(self.area_N), -1, dtype=np.int64)
        row = filled[np.minimum(np.searchsorted(filled, self.first_row_N), len(filled) - 1)]
        place = self.edges_R2[row, 0] - np.arange(len(self.area_N)) * self.pixels
        return np.where(self.area_N > 0, place, -1).astype(np.int64)


def empty_counts(pixels: int) -> str:
    """COCO's compressed counts of a mask of `pixels` pixels with none inside."""
    text, left = "", pixels
    while True:
        group, left = left & 31, left >> 5
        more = left > 0 or bool(group & 16)
        text += chr((group | 32 if more else group) + _FIRST_CODE)
        if not more:
            return text


def decode_runs(counts: Sequence[str], pixels: int) -> RunMasks | None:
    """The runs of many compressed masks of one size.

    Args:
        counts: COCO compressed counts.
        pixels: height x width, the same for all.

    Returns:
        None if at least one of them is corrupt (`avis_data.masks.rle.runs_from_rle` says which and why).

    Source: COCO API, maskApi.c (rleFrString): 5 bits and a "more follows" bit in each character, lowest first, the last
        one carrying the sign; from the fourth run on the difference to the run two before.
    """
    if not counts:
        return RunMasks(np.zeros((0, 2)), np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 2)), pixels)
    numbers = _numbers(counts)
    if numbers is None:
        return None
    value, stop_N = numbers
    count_N = np.diff(stop_N, prepend=0)
    odd = np.flatnonzero(count_N & 1)
    if len(odd):  # a run of length 0 is appended, so that background and inside runs pair up
        value = np.insert(value, stop_N[odd], 0)
    rows_N = (count_N + 1) // 2
    last_row_N = np.cumsum(rows_N) - 1
    first_row_N = last_row_N + 1 - rows_N
    run_R2 = value.reshape(-1, 2)
    first_gap_N = run_R2[first_row_N, 0]
    run_R2[first_row_N, 0] = 0  # the third number is no difference to the first
    _sum_within(run_R2[:, 0], first_row_N)
    run_R2[first_row_N, 0] = first_gap_N
    _sum_within(run_R2[:, 1], first_row_N)
    run_R2[last_row_N[odd], 1] = 0
    edges_R2 = np.cumsum(value, dtype=np.float64).reshape(-1, 2)
    before_N = np.arange(len(counts)) * pixels
    if value.min() < 0 or (edges_R2[last_row_N, 1] != before_N + pixels).any():
        return None
    end_row_N = last_row_N - ((count_N & 1) & (rows_N > 1))  # what was appended holds no pixel
    span_N2 = np.stack((edges_R2[first_row_N, 0], edges_R2[end_row_N, 1]), axis=1) - before_N[:, None]
    return RunMasks(edges_R2, first_row_N, np.add.reduceat(run_R2[:, 1], first_row_N), span_N2, pixels)


def intersections_GPL(truth: RunMasks, predicted: RunMasks, *, num_entries: int) -> np.ndarray:
    """Pixels that each truth track shares with each predicted track, entry by entry.

    Args:
        truth: G x L masks, the entries of a track side by side.
        predicted: P x L masks of the same size.
        num_entries: L.

    Returns:
        int64 (G, P, L).
    """
    num_truth, num_predicted = len(truth.area_N) // num_entries, len(predicted.area_N) // num_entries
    shared_GPL = np.zeros((num_truth, num_predicted, num_entries), dtype=np.int64)
    meets_GPL = _meet(truth, predicted, num_entries)
    length = num_entries * truth.pixels
    covers = [_cover(_track_rows(truth, g, num_entries)[0] - g * length) for g in range(num_truth)]
    for p in range(num_predicted):
        edges_R2, first_row_L = _track_rows(predicted, p, num_entries)
        stop_L = np.append(first_row_L[1:], len(edges_R2))
        for g, cover in enumerate(covers):
            meeting = np.flatnonzero(meets_GPL[g, p])
            if not len(meeting):
                continue
            part = slice(meeting[0], meeting[-1] + 1)  # looking up costs less than picking out each entry that meets
            rows = slice(first_row_L[meeting[0]], stop_L[meeting[-1]])
            inside = np.interp(edges_R2[rows].ravel() - p * length, *cover)
            shared_GPL[g, p, part] = np.add.reduceat(inside[1::2] - inside[0::2], first_row_L[part] - rows.start)
    return shared_GPL


def _meet(truth: RunMasks, predicted: RunMasks, num_entries: int) -> np.ndarray:
    """bool (G, P, L): whether the spans of the two masks overlap; where they do not, the masks share no pixel."""
    first_GL, end_GL = truth.span_N2.reshape(-1, num_entries, 2).transpose(2, 0, 1)
    first_PL, end_PL = predicted.span_N2.reshape(-1, num_entries, 2).transpose(2, 0, 1)
    meets_GPL: np.ndarray = (first_GL[:, None] < end_PL) & (first_PL < end_GL[:, None])
    return meets_GPL


def _numbers(counts: Sequence[str]) -> tuple[np.ndarray, np.ndarray] | None:
    """All coded numbers in a row (int64) and, for each mask, how many there are up to its end; None if corrupt."""
    text = "".join(counts)
    length_N = np.fromiter(map(len, counts), dtype=np.int64, count=len(counts))
    if not text.isascii() or not length_N.all():
        return None
    code = np.frombuffer(text.encode("ascii"), dtype=np.uint8) - np.uint8(_FIRST_CODE)
    is_last = code < 32
    end_N = np.cumsum(length_N) - 1
    if code.max() > 63 or not is_last[end_N].all():
        return None
    signed = ((code & 31) ^ 16).view(np.int8) - np.int8(16)
    value = signed[is_last].astype(np.int64)
    more = np.flatnonzero(~is_last)
    if len(more) and not _add_low_groups(value, code[more], more - np.arange(len(more))):
        return None
    return value, end_N + 1 - np.searchsorted(more, end_N)


def _add_low_groups(value: np.ndarray, code: np.ndarray, number: np.ndarray) -> bool:
    """Put the characters that come before a number's last one below it, in place; False if a number is too long."""
    first = np.flatnonzero(np.diff(number, prepend=-1))
    groups = np.diff(first, append=len(number))
    if groups.max() >= _MAX_GROUPS:
        return False
    place = np.arange(len(number)) - np.repeat(first, groups)
    low = np.add.reduceat((code.astype(np.int64) & 31) << (5 * place), first)
    value[number[first]] = low + (value[number[first]] << (5 * groups))
    return True


def _sum_within(step: np.ndarray, first_row_N: np.ndarray) -> None:
    """Running sums that begin anew with each mask, in place."""
    total_N = np.add.reduceat(step, first_row_N)
    step[first_row_N[1:]] -= total_N[:-1]
    np.cumsum(step, out=step)


def _track_rows(masks: RunMasks, track: int, num_entries: int) -> tuple[np.ndarray, np.ndarray]:
    """The runs of one track and the first of them of each entry."""
    first_row_L = masks.first_row_N[track * num_entries : (track + 1) * num_entries]
    is_last = (track + 1) * num_entries == len(masks.first_row_N)
    stop = len(masks.edges_R2) if is_last else masks.first_row_N[(track + 1) * num_entries]
    return masks.edges_R2[first_row_L[0] : stop], first_row_L - first_row_L[0]


def _cover(edges_R2: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The function "pixels inside before this place": its corners and its values there."""
    inside = edges_R2[:, 1] - edges_R2[:, 0]
    pixels_before_R2 = np.empty_like(edges_R2)
    np.cumsum(inside, out=pixels_before_R2[:, 1])
    np.subtract(pixels_before_R2[:, 1], inside, out=pixels_before_R2[:, 0])
    return edges_R2.ravel(), pixels_before_R2.ravel()

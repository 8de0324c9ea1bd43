"""Where two clips may be the same: short hashes of each still and of each two seconds of sound, and who shares them.

Each hash is 48 signs of low frequencies (a discrete cosine transform). A picture that was cropped has the hash that a
part of the whole has, so the hashes of sixteen parts of each still are kept; a mirrored one has another sign where the
frequency across is odd. Hashes are cut into bands; equal bands make a candidate, however the rest differs a little.
Sorting is all that the search does, and what too many clips share is evidence of nothing: the cost grows with the
number of clips.

Legend: R rows (stills and their parts, or spans of sound), Q rows that are asked, D = 48 values, P pixels.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct

from avis_data.fingerprints.making import NUM_BANDS, SIDE, STEPS_PER_S, Fingerprint

__all__ = ["PARTS", "Hashes", "Shared", "part_weights", "picture_hashes", "shared_hashes", "sound_hashes"]

PARTS: tuple[tuple[float, float, float, float], ...] = (
    (0.0, 0.0, 1.0, 1.0),
    *(
        (x * (1 - s), y * (1 - s), x * (1 - s) + s, y * (1 - s) + s)
        for s in (0.9, 0.8, 0.7)
        for x, y in ((0.5, 0.5), (0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0))
    ),
)
"""Left, top, right, bottom of the parts of a still that have hashes, in [0, 1]; the first is all of it."""

_SPAN_STEPS = 20
"""Steps of sound, two seconds, behind one hash."""
_ASKED_HOP = 2
_PICTURE_ORDERS = 7
_SOUND_ORDERS = (6, 8)
"""In time, where the first (what is constant) is left out, and over the bands."""
_NUM_BITS = 48

_LEAST_STILL_STD = 6.0
"""Grey levels; a still that varies less is black, white or fog."""
_LEAST_SPAN_STD = 2.0
"""Levels of half a dB; sound that varies less in its bands is silence or a constant tone."""
_RANGE_LEVELS = 70.0
"""More than 35 dB below the loudest, coding decides what is there, not the sound."""

_MOST_SHARED = 64
"""A band of a hash that more clips have is passed over."""
_MOST_DIFFERENT = 10
"""Signs, of 48, in which two hashes with an equal band may differ."""
_NUM_TABLES = 6
_NUM_WEAK = 4
_CHUNK = 100_000


@dataclass(frozen=True, kw_only=True)
class Hashes:
    """Hashes of many clips, row by row."""

    clip_R: NDArray[np.int32]
    time_R: NDArray[np.float32]
    """Seconds on the clip's clock."""
    kind_R: NDArray[np.int8]
    """The part of the still, an index of `PARTS`; in hashes that are asked, 1 for mirrored stills."""
    value_RD: NDArray[np.float16]
    """The 48 values of which the signs count; of an index they are not kept: (R, 0)."""
    sign_R: NDArray[np.uint64]


@dataclass(frozen=True, kw_only=True)
class Shared:
    """Pairs of rows of different clips that are nearly equal."""

    asked_R: NDArray[np.int64]
    found_R: NDArray[np.int64]
    different_R: NDArray[np.uint8]
    """Signs in which they differ."""


def picture_hashes(prints: Sequence[Fingerprint]) -> tuple[Hashes, Hashes]:
    """Hashes of stills: of all parts, to be looked in, and of the whole and mirrored stills, to be asked."""
    weights_PD, parts = _picture_weights(), len(PARTS)
    across = np.arange(_PICTURE_ORDERS**2)[1:] % _PICTURE_ORDERS
    mirror_D = np.where(across % 2 == 1, -1, 1).astype(np.float16)
    index, asked = [], []
    for number, one in enumerate(prints):
        stills_TP = one.stills_THW.reshape(len(one.stills_THW), SIDE * SIDE).astype(np.float32)
        (kept,) = np.nonzero(stills_TP.std(axis=1) >= _LEAST_STILL_STD)
        if len(kept) == 0:
            continue
        values_TCD = (stills_TP[kept] @ weights_PD).reshape(len(kept), parts, _NUM_BITS).astype(np.float16)
        times_T = (kept * one.period_s).astype(np.float32)
        index.append(
            _hashes(
                number,
                np.repeat(times_T, parts),
                np.tile(np.arange(parts), len(kept)),
                values_TCD.reshape(-1, _NUM_BITS),
                keep=False,
            )
        )
        for is_mirrored in (0, 1):
            values_TD = values_TCD[:, 0] * mirror_D if is_mirrored else values_TCD[:, 0]
            asked.append(_hashes(number, times_T, np.full(len(kept), is_mirrored), values_TD, keep=True))
    return _joined(index, 0), _joined(asked, _NUM_BITS)


def sound_hashes(prints: Sequence[Fingerprint]) -> tuple[Hashes, Hashes]:
    """Hashes of two seconds of sound: ten each second, to be looked in, and every other of them, to be asked."""
    time_SK = dct(np.eye(_SPAN_STEPS), axis=0, norm="ortho")[1 : 1 + _SOUND_ORDERS[0]].T
    band_BK = dct(np.eye(NUM_BANDS), axis=0, norm="ortho")[: _SOUND_ORDERS[1]].T
    weights_PD = np.kron(time_SK, band_BK).astype(np.float32)
    index, asked = [], []
    for number, one in enumerate(prints):
        if len(one.sound_NB) < _SPAN_STEPS:
            continue
        spans = np.lib.stride_tricks.sliding_window_view(one.sound_NB, _SPAN_STEPS, axis=0)
        spans_RSB = np.swapaxes(spans, 1, 2).astype(np.float32)
        spans_RSB = np.maximum(spans_RSB, spans_RSB.max(axis=(1, 2), keepdims=True) - _RANGE_LEVELS)
        spans_RSB -= spans_RSB.mean(axis=1, keepdims=True)
        (kept,) = np.nonzero(spans_RSB.std(axis=(1, 2)) >= _LEAST_SPAN_STD)
        if len(kept):
            values_RD = (spans_RSB[kept].reshape(len(kept), -1) @ weights_PD).astype(np.float16)
            times_R, kinds_R = kept / STEPS_PER_S, np.zeros(len(kept))
            index.append(_hashes(number, times_R, kinds_R, values_RD, keep=False))
            even_R = kept % _ASKED_HOP == 0
            asked.append(_hashes(number, times_R[even_R], kinds_R[even_R], values_RD[even_R], keep=True))
    return _joined(index, 0), _joined(asked, _NUM_BITS)


def shared_hashes(index: Hashes, asked: Hashes) -> Shared:
    """All pairs of a row that is asked and a row of the index, of another clip, that are nearly equal.

    Of the rows of one clip with the same band of a hash only the first is found, and bands that more than 64 clips have
    are passed over.
    """
    num_bits = int(np.clip(np.ceil(np.log2(max(len(index.sign_R), 1))) + 5, 14, 30))
    rng = np.random.default_rng(0)
    found: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.uint8]]] = []
    for _ in range(_NUM_TABLES):
        bits = rng.permutation(_NUM_BITS)[:num_bits]
        table = _table(index, bits)
        for first in range(0, len(asked.sign_R), _CHUNK):
            found += _looked_up(index, asked, table, slice(first, first + _CHUNK))
    if not found:
        none = np.zeros(0, dtype=np.int64)
        return Shared(asked_R=none, found_R=none, different_R=none.astype(np.uint8))
    asked_R, found_R, different_R = (np.concatenate(column) for column in zip(*found, strict=True))
    _, once = np.unique(asked_R << 32 | found_R, return_index=True)
    return Shared(asked_R=asked_R[once], found_R=found_R[once], different_R=different_R[once])


@dataclass(frozen=True)
class _Table:
    """The rows of an index by some of their signs."""

    bits: NDArray[np.int64]
    rows_U: NDArray[np.int64]
    """One row for each clip and key, keys ascending."""
    key_V: NDArray[np.uint64]
    """Different keys, ascending."""
    first_V: NDArray[np.int64]
    """Where the rows of each key begin; one more at the end."""
    present: NDArray[np.uint8]
    """One bit for each key that can be: most that are asked are not there, and this says so without a search."""


def _table(index: Hashes, bits: NDArray[np.int64]) -> _Table:
    both_U, rows_U = np.unique(
        _keys(index.sign_R, bits) << np.uint64(32) | index.clip_R.astype(np.uint64), return_index=True
    )
    key_V, first_V = np.unique(both_U >> np.uint64(32), return_index=True)
    present = np.zeros(2 ** max(len(bits) - 3, 0), dtype=np.uint8)
    if len(key_V):
        byte_B, begin_B = np.unique(key_V >> np.uint64(3), return_index=True)
        present[byte_B] = np.bitwise_or.reduceat(np.uint8(1) << (key_V & np.uint64(7)).astype(np.uint8), begin_B)
    return _Table(bits, rows_U, key_V, np.append(first_V, len(rows_U)), present)


def _looked_up(
    index: Hashes, asked: Hashes, table: _Table, rows: slice
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.uint8]]]:
    keys_Q = _keys(asked.sign_R[rows], table.bits)
    weakest_QF = np.argpartition(np.abs(asked.value_RD[rows][:, table.bits].astype(np.float32)), _NUM_WEAK, axis=1)
    flips_QF = np.uint64(1) << weakest_QF[:, :_NUM_WEAK].astype(np.uint64)
    for tried in itertools.product((0, 1), repeat=_NUM_WEAK):
        asked_keys_Q = keys_Q ^ (flips_QF * np.array(tried, dtype=np.uint64)).sum(axis=1, dtype=np.uint64)
        is_there_Q = table.present[asked_keys_Q >> np.uint64(3)] >> (asked_keys_Q & np.uint64(7)).astype(np.uint8) & 1
        (there_K,) = np.nonzero(is_there_Q)
        at_K = np.searchsorted(table.key_V, asked_keys_Q[there_K])
        first_K = table.first_V[at_K]
        count_K = table.first_V[at_K + 1] - first_K
        count_K[count_K > _MOST_SHARED] = 0
        asked_R = np.repeat(there_K, count_K)
        within_R = np.arange(len(asked_R)) - np.repeat(np.cumsum(count_K) - count_K, count_K)
        found_R = table.rows_U[np.repeat(first_K, count_K) + within_R]
        asked_R += rows.start
        different_R = np.bitwise_count(asked.sign_R[asked_R] ^ index.sign_R[found_R])
        good_R = (different_R <= _MOST_DIFFERENT) & (asked.clip_R[asked_R] != index.clip_R[found_R])
        yield asked_R[good_R], found_R[good_R], different_R[good_R]


def part_weights(
    part: tuple[float, float, float, float], size: int = SIDE
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Down and across, float32 (size, 32) each: `down @ still @ across.T` is the part, in size x size pixels."""
    left, top, right, bottom = part
    return _resampling(top, bottom, size), _resampling(left, right, size)


def _resampling(first: float, last: float, size: int) -> NDArray[np.float32]:
    place_S = (first + (last - first) * (np.arange(size) + 0.5) / size) * SIDE - 0.5
    width = max(1.0, (last - first) * SIDE / size)
    weight_SP = np.maximum(0, 1 - np.abs(place_S[:, None] - np.arange(SIDE)) / width)
    scaled_SP: NDArray[np.float32] = (weight_SP / weight_SP.sum(axis=1, keepdims=True)).astype(np.float32)
    return scaled_SP


def _picture_weights() -> NDArray[np.float32]:
    size = SIDE // 2
    orders_KS = dct(np.eye(size), axis=0, norm="ortho")[:_PICTURE_ORDERS]
    of_parts = []
    for part in PARTS:
        down_SP, across_SP = part_weights(part, size)
        both = np.kron(orders_KS @ down_SP, orders_KS @ across_SP)
        of_parts.append(both[1:].T)
    return np.concatenate(of_parts, axis=1).astype(np.float32)


def _hashes(
    clip: int, times_R: NDArray[np.floating], kind_R: NDArray[np.number], values_RD: NDArray[np.float16], *, keep: bool
) -> Hashes:
    place_D = np.uint64(1) << np.arange(_NUM_BITS, dtype=np.uint64)
    return Hashes(
        clip_R=np.full(len(values_RD), clip, dtype=np.int32),
        time_R=times_R.astype(np.float32),
        kind_R=kind_R.astype(np.int8),
        value_RD=values_RD if keep else values_RD[:, :0],
        sign_R=((values_RD > 0) * place_D).sum(axis=1, dtype=np.uint64),
    )


def _joined(some: Sequence[Hashes], num_values: int) -> Hashes:
    nothing = _hashes(0, np.zeros(0), np.zeros(0), np.zeros((0, _NUM_BITS), dtype=np.float16), keep=num_values > 0)
    return Hashes(
        **{
            name: np.concatenate([getattr(one, name) for one in [nothing, *some]])
            for name in Hashes.__dataclass_fields__
        }
    )


def _keys(sign_R: NDArray[np.uint64], bits: NDArray[np.int64]) -> NDArray[np.uint64]:
    keys_R = np.zeros(len(sign_R), dtype=np.uint64)
    for place, bit in enumerate(bits.tolist()):
        keys_R |= (sign_R >> np.uint64(bit) & np.uint64(1)) << np.uint64(place)
    return keys_R

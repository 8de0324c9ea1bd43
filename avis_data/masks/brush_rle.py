"""Label Studio's brush coding of a mask: a bit stream of runs over RGBA values, given as a list of byte values.

Header: 32 bits N = 4 x height x width, 5 bits word size - 1 (8), four times 4 bits: the sizes of counts - 1. Then
blocks, most significant bit first: 1 bit "run", 2 bits which size, that many bits of count - 1; a run is followed by
one word, a block that is none by `count` of them. Only alpha, every fourth value, matters.

Source: specs of Label Studio, §6.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numba import njit
from numpy.typing import NDArray

from avis_data.errors import DataError

__all__ = ["decode_brush", "encode_brush"]

_SIZES = (3, 4, 8, 16)
"""Bits of a count, in the four forms that Label Studio writes."""
_MOST_VALUES = 1 << 16
"""The most values of one run; longer runs are divided."""
_HEADER_BITS = 32 + 5 + 4 * 4
_MOST_BITS_PER_PIXEL = 14
"""A run of one pixel, so of four values: 1 + 2 + 3 + 8 bits."""
_WORD = 8
_FAULTS = {
    1: "it ends too early",
    2: "it holds more values than it says",
    3: "its words have another size than 8 bits",
}


def encode_brush(mask_HW: NDArray[np.bool_]) -> list[int]:
    """A mask as Label Studio writes it: 255 in all four channels inside, 0 outside.

    Args:
        mask_HW: bool, at least one pixel.

    Returns:
        Byte values, 0 to 255.

    Example:
        >>> mask = np.zeros((2, 3), bool)
        >>> mask[1, 2] = True
        >>> np.array_equal(decode_brush(encode_brush(mask), height=2, width=3), mask)
        True
    """
    flat = np.ascontiguousarray(mask_HW, dtype=np.bool_).reshape(-1).view(np.uint8)
    padded = flat if flat.size % 8 == 0 else np.concatenate((flat, np.zeros(-flat.size % 8, dtype=np.uint8)))
    out = np.zeros((_HEADER_BITS + _MOST_BITS_PER_PIXEL * flat.size) // 8 + 9, dtype=np.uint8)
    length = _encode(padded, padded.view(np.uint64), flat.size, out)
    encoded: list[int] = out[:length].tolist()
    return encoded


def decode_brush(rle: Sequence[int], *, height: int, width: int, least_alpha: int = 128) -> NDArray[np.bool_]:
    """The mask of a coded brush region: pixels whose alpha is high enough.

    Args:
        rle: byte values, from anyone.
        height: of the mask that is expected.
        width: likewise.
        least_alpha: of a pixel inside. Edges that the page drew are soft, so that half of them counts; what a program
            coded of a mask of 0 and 1 has an alpha of 1.

    Returns:
        bool (height, width).

    Raises:
        DataError: if it is no such list, is for another size, or is damaged. Nothing is allocated before its header is
            found to be right.

    Example:
        >>> decode_brush(encode_brush(np.eye(2, dtype=bool)), height=2, width=2).astype(int)
        array([[1, 0],
               [0, 1]])
    """
    try:
        data = bytes(rle)
    except (TypeError, ValueError):
        raise DataError("a brush mask is no list of byte values") from None
    if len(data) * 8 < _HEADER_BITS:
        raise DataError("a brush mask ends within its header")
    said, wanted = int.from_bytes(data[:4], "big"), 4 * height * width
    if said != wanted:
        raise DataError(f"a brush mask has {said} values, {wanted} belong to {width} x {height} pixels")
    out = np.zeros(height * width, dtype=np.bool_)
    padded = np.frombuffer(data + bytes(8), dtype=np.uint8)
    fault = _decode(padded, len(data) * 8, wanted, least_alpha, out)
    if fault:
        raise DataError(f"a brush mask is damaged: {_FAULTS[fault]}")
    return out.reshape(height, width)


@njit(cache=True)
def _put(out, place, value, bits):  # type: ignore[no-untyped-def]  # numba has no types
    """Append bits to a stream; gives the next place. `out` is zero from there on."""
    while bits > 0:
        free = 8 - (place & 7)
        taken = min(free, bits)
        part = (value >> (bits - taken)) & ((1 << taken) - 1)
        out[place >> 3] |= part << (free - taken)
        place += taken
        bits -= taken
    return place


@njit(cache=True)
def _encode(flat, words, pixels, out):  # type: ignore[no-untyped-def]  # numba has no types
    """Write the stream of `pixels` values 0 or 1; gives the number of bytes. `words`: the same, eight at a time."""
    place = _put(out, 0, 4 * pixels, 32)
    place = _put(out, place, _WORD - 1, 5)
    for size in _SIZES:
        place = _put(out, place, size - 1, 4)
    ones = np.uint64(0x0101010101010101)
    start = 0
    while start < pixels:
        value = flat[start]
        alike = ones if value else np.uint64(0)
        end = start + 1
        while end < pixels:
            if end & 7 == 0 and words[end >> 3] == alike:
                end += 8
            elif flat[end] == value:
                end += 1
            else:
                break
        values = 4 * (min(end, pixels) - start)
        while values > 0:
            count = min(values, _MOST_VALUES)
            form = 0 if count <= 8 else 1 if count <= 16 else 2 if count <= 256 else 3
            place = _put(out, place, 4 + form, 3)
            place = _put(out, place, count - 1, _SIZES[form])
            place = _put(out, place, 255 if value else 0, _WORD)
            values -= count
        start = end
    return (place + 7) >> 3


@njit(cache=True)
def _bits(data, place, count):  # type: ignore[no-untyped-def]  # numba has no types
    """Up to 16 bits of a stream that has spare bytes behind its end."""
    byte = place >> 3
    window = (np.int64(data[byte]) << 16) | (np.int64(data[byte + 1]) << 8) | np.int64(data[byte + 2])
    return (window >> (24 - (place & 7) - count)) & ((1 << count) - 1)


@njit(cache=True)
def _decode(data, num_bits, num_values, least_alpha, out):  # type: ignore[no-untyped-def]  # numba has no types
    """Set the pixels of a stream; gives 0, or a number of `_FAULTS`."""
    if _bits(data, 32, 5) != _WORD - 1:
        return 3
    sizes = np.empty(4, dtype=np.int64)
    for form in range(4):
        sizes[form] = _bits(data, 37 + 4 * form, 4) + 1
    place, index = _HEADER_BITS, 0
    while index < num_values:
        if place + 3 > num_bits:
            return 1
        is_run = _bits(data, place, 1)
        size = sizes[_bits(data, place + 1, 2)]
        place += 3
        if place + size > num_bits:
            return 1
        count = _bits(data, place, size) + 1
        place += size
        if index + count > num_values:
            return 2
        words = 1 if is_run else count
        if place + _WORD * words > num_bits:
            return 1
        if is_run:
            if _bits(data, place, _WORD) >= least_alpha:
                out[index // 4 : (index + count) // 4] = True  # alpha of pixel p is value 4 p + 3
        else:
            for offset in range(count):
                at = index + offset
                if at & 3 == 3 and _bits(data, place + _WORD * offset, _WORD) >= least_alpha:
                    out[at >> 2] = True
        place += _WORD * words
        index += count
    return 0

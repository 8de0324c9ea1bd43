"""Run-length masks in COCO's form: the only code that knows COCO's column order and its text coding.

Foreign counts never reach the C code of pycocotools unchecked: it reads past its buffers when runs do not fill the
picture. So text is turned into runs here, with NumPy, and every mask that leaves this module is sound.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from pycocotools import mask as coco_mask

from avis_data.errors import DataError
from avis_data.masks.polygons import check_polygon, is_polygon_kept

if TYPE_CHECKING:
    from pycocotools import _EncodedRLE  # of its type stubs

__all__ = [
    "MAX_PIXELS",
    "Rle",
    "area",
    "box",
    "check_size",
    "coco_dict",
    "decode",
    "encode",
    "rle_from_runs",
    "rle_from_segmentation",
    "runs_from_rle",
]

MAX_PIXELS = 1 << 28
"""Pictures with more pixels are refused (16,384 squared): a wrong size must not end in a lack of memory."""

_FIRST_CODE = 48  # COCO writes 6 bits a character, beginning with "0"
_MAX_GROUPS = 7  # 7 x 5 bits hold every run of MAX_PIXELS and its sign


@dataclass(frozen=True, slots=True)
class Rle:
    """One binary mask of `height` x `width` pixels.

    Two masks may be equal and their `counts` not (encoders differ): compare `decode(...)` or areas, never the text.
    The functions of this module return only sound masks; one made by hand from foreign text is checked when it is read
    (`runs_from_rle`, `decode`, `area`, `box` raise DataError), but must not be given to pycocotools before that.

    Example:
        >>> area(Rle(height=4, width=6, counts="9220003"))
        6
    """

    height: int
    width: int
    counts: str
    """COCO's compressed text: run lengths down the columns, background first, each but the first three as the
    difference to the run two before."""


def encode(mask_HW: np.ndarray) -> Rle:
    """The mask of an array: not 0 is inside.

    Args:
        mask_HW: bool or number, shape (H, W), at least one pixel.

    Raises:
        ValueError: if it has another shape.

    Example:
        >>> mask = np.zeros((4, 6), dtype=bool)
        >>> mask[1:3, 2:5] = True
        >>> encode(mask)
        Rle(height=4, width=6, counts='9220003')
    """
    if mask_HW.ndim != 2 or mask_HW.size == 0:
        raise ValueError(f"a mask has the shape (H, W), this array has {mask_HW.shape}")
    coded = coco_mask.encode(np.asfortranarray(mask_HW != 0, dtype=np.uint8))
    height, width = mask_HW.shape
    return _made(coded, height, width)


def decode(rle: Rle) -> np.ndarray:
    """The mask as a new bool array of shape (H, W), in column order (Fortran) in memory.

    Raises:
        DataError: if the counts are corrupt.

    Example:
        >>> mask = np.zeros((2, 3), dtype=bool)
        >>> mask[1, 2] = True
        >>> decode(encode(mask)).astype(int)
        array([[0, 0, 0],
               [0, 0, 1]])
    """
    runs = runs_from_rle(rle)
    inside = np.arange(len(runs)) % 2 == 1
    return np.repeat(inside, runs).reshape((rle.height, rle.width), order="F")


def area(rle: Rle) -> int:
    """Pixels inside. Raises DataError if the counts are corrupt.

    Example:
        >>> area(encode(np.ones((4, 6), dtype=bool)))
        24
    """
    return int(runs_from_rle(rle)[1::2].sum())


def box(rle: Rle) -> tuple[int, int, int, int]:
    """The smallest box around the mask: x, y, width, height in whole pixels; four zeros for an empty mask.

    Raises:
        DataError: if the counts are corrupt.

    Example:
        >>> mask = np.zeros((4, 6), dtype=bool)
        >>> mask[1:3, 2:5] = True
        >>> box(encode(mask))
        (2, 1, 3, 2)
    """
    ends = np.cumsum(runs_from_rle(rle))
    firsts, lasts = ends[: len(ends) - 1 : 2], ends[1::2] - 1
    filled = lasts >= firsts
    if not filled.any():
        return (0, 0, 0, 0)
    (first_x, first_y), (last_x, last_y) = (np.divmod(ends[filled], rle.height) for ends in (firsts, lasts))
    wraps = bool((first_x != last_x).any())  # a run over a column's end touches the top and the bottom row
    left, right = int(first_x.min()), int(last_x.max())
    top, bottom = (0, rle.height - 1) if wraps else (int(first_y.min()), int(last_y.max()))
    return (left, top, right - left + 1, bottom - top + 1)


def runs_from_rle(rle: Rle) -> np.ndarray:
    """Run lengths down the columns, background and inside in turn, background first.

    Returns:
        int64, at least one run, none negative, sum = height x width.

    Raises:
        DataError: if the size is not possible or the counts are corrupt.

    Source: COCO API, maskApi.c (rleFrString): 5 bits and a "more follows" bit in each character, lowest first, the last
        one carrying the sign; from the fourth run on the difference to the run two before.

    Example:
        >>> mask = np.zeros((4, 6), dtype=bool)
        >>> mask[1:3, 2:5] = True
        >>> runs_from_rle(encode(mask)).tolist()
        [9, 2, 2, 2, 2, 2, 5]
    """
    check_size(rle.height, rle.width)
    codes = np.frombuffer(rle.counts.encode("utf-8", "replace"), np.uint8).astype(np.int64) - _FIRST_CODE
    if not len(codes):
        raise DataError("RLE counts are empty")
    if codes.min() < 0 or codes.max() > 63:
        raise DataError(f"RLE counts hold a character that the coding does not have: {rle.counts[:40]!r}")
    lasts = np.flatnonzero(codes < 32)
    if not len(lasts) or lasts[-1] != len(codes) - 1:
        raise DataError(f"RLE counts break off in the middle of a number: ...{rle.counts[-20:]!r}")
    firsts = np.concatenate(([0], lasts[:-1] + 1))
    lengths = lasts - firsts + 1
    if lengths.max() > _MAX_GROUPS:
        raise DataError(f"RLE counts hold a number of {int(lengths.max())} characters; the largest has {_MAX_GROUPS}")
    place = np.arange(len(codes)) - np.repeat(firsts, lengths)
    runs = np.add.reduceat((codes & 31) << (5 * place), firsts)
    runs -= (codes[lasts] >> 4 & 1) << (5 * lengths)
    runs[1::2] = np.cumsum(runs[1::2])
    runs[2::2] = np.cumsum(runs[2::2])
    _check_runs(runs, rle.height, rle.width)
    return runs


def rle_from_runs(runs: Sequence[int] | np.ndarray, *, height: int, width: int) -> Rle:
    """The mask of run lengths down the columns (COCO's uncompressed counts), background first.

    Raises:
        DataError: if a run is no whole number, is negative, or the runs do not add up to height x width.

    Example:
        >>> rle = rle_from_runs([9, 2, 2, 2, 2, 2, 5], height=4, width=6)
        >>> area(rle), box(rle)
        (6, (2, 1, 3, 2))
    """
    check_size(height, width)
    array = _whole_numbers(runs)
    _check_runs(array, height, width)
    array = _without_empty_runs(array)
    coded = coco_mask.frPyObjects({"size": [height, width], "counts": array.tolist()}, height, width)
    return _made(coded, height, width)


def rle_from_segmentation(
    segmentation: Any, *, height: int, width: int, dropped: list[str] | None = None
) -> Rle | None:
    """The mask of one entry of `segmentations`, in any of the forms that COCO and YouTube-VIS files use.

    Args:
        segmentation: null, `[]`, a list of polygons `[x, y, ...]`, an RLE dict `{"size": [h, w], "counts": ...}` with
            compressed (text) or uncompressed (list) counts, or a list of RLE dicts (their union).
        height: of the picture, in pixels.
        width: of the picture, in pixels.
        dropped: takes one line for each polygon that is left out.

    Returns:
        None where there is no mask: null, `[]`, or nothing but polygons that the official loader drops (fewer than
        3 points, or an odd number of values). An RLE of an empty mask is a mask: in predictions the two differ.

    Raises:
        DataError: for anything else, an RLE of another size, corrupt counts, coordinates that are no numbers, not
            finite, or far outside the picture.

    Example:
        >>> rle = rle_from_segmentation([[2, 1, 5, 1, 5, 3, 2, 3]], height=4, width=6)
        >>> area(rle), box(rle)
        (6, (2, 1, 3, 2))
        >>> rle_from_segmentation([], height=4, width=6) is None
        True
    """
    check_size(height, width)
    if segmentation is None or segmentation == []:
        return None
    if isinstance(segmentation, dict):
        return _rle_from_dict(segmentation, height, width)
    if isinstance(segmentation, list):
        if all(isinstance(part, dict) for part in segmentation):
            return _union([_rle_from_dict(part, height, width) for part in segmentation])
        if all(isinstance(part, list) for part in segmentation):
            return _rle_from_polygons(segmentation, height, width, dropped)
    raise DataError(
        f"neither null, polygons [[x, y, ...], ...], an RLE dict, nor a list of RLE dicts: {segmentation!r:.60}"
    )


def coco_dict(rle: Rle) -> _EncodedRLE:
    """The mask as pycocotools takes it: `{"size": [h, w], "counts": bytes}`.

    Example:
        >>> coco_dict(encode(np.ones((4, 6), dtype=bool)))
        {'size': [4, 6], 'counts': b'0h0'}
    """
    return {"size": [rle.height, rle.width], "counts": rle.counts.encode("ascii")}


def check_size(height: int, width: int) -> None:
    """Raise DataError unless both are positive whole numbers and there are at most MAX_PIXELS pixels.

    Example:
        >>> check_size(4, 0)
        Traceback (most recent call last):
        avis_data.errors.DataError: a picture of 4 x 0 (height x width) is not possible
    """
    for value in (height, width):
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise DataError(f"a picture of {height!r} x {width!r} (height x width) is not possible")
    if height * width > MAX_PIXELS:
        raise DataError(f"a picture of {height} x {width} (height x width) has more than {MAX_PIXELS} pixels")


def _rle_from_dict(segmentation: dict[str, Any], height: int, width: int) -> Rle:
    size, counts = segmentation.get("size"), segmentation.get("counts")
    if size != [height, width]:
        raise DataError(f"RLE size is {size!r:.40}, the picture has [{height}, {width}] (height, width)")
    if isinstance(counts, list):
        return rle_from_runs(counts, height=height, width=width)
    if not isinstance(counts, str):
        raise DataError(f"RLE counts are {type(counts).__name__}, must be text (compressed) or a list (uncompressed)")
    rle = Rle(height, width, counts)
    runs = runs_from_rle(rle)
    return rle if runs[1:].all() else rle_from_runs(runs, height=height, width=width)


def _rle_from_polygons(polygons: list[list[Any]], height: int, width: int, dropped: list[str] | None) -> Rle | None:
    kept: list[list[Any]] = []  # floats are taken too, whatever the stubs of pycocotools say
    for index, polygon in enumerate(polygons):
        if is_polygon_kept(polygon):
            kept.append(check_polygon(polygon, height=height, width=width))
        elif dropped is not None:
            dropped.append(f"polygon {index} has {len(polygon)} value(s); it takes an even number, 6 or more")
    if not kept:
        return None
    coded = coco_mask.merge(coco_mask.frPyObjects(kept, height, width))
    return _made(coded, height, width)


def _union(parts: Sequence[Rle]) -> Rle:
    if len(parts) == 1:
        return parts[0]
    merged = coco_mask.merge([coco_dict(part) for part in parts])
    return _made(merged, parts[0].height, parts[0].width)


def _made(coded: _EncodedRLE, height: int, width: int) -> Rle:
    """The mask that pycocotools gave; it writes counts as bytes and takes text as well."""
    counts = coded["counts"]
    return Rle(height, width, counts.decode("ascii") if isinstance(counts, bytes) else counts)


def _whole_numbers(runs: Sequence[int] | np.ndarray) -> np.ndarray:
    if isinstance(runs, np.ndarray) and runs.ndim == 1 and runs.dtype.kind in "iu":
        return runs.astype(np.int64)
    values: Iterable[Any] = runs
    whole = []
    for value in values:
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not number or not 0 <= value <= MAX_PIXELS or value != int(value):
            raise DataError(f"RLE counts hold {value!r:.40}, which is no possible run length")
        whole.append(int(value))
    return np.array(whole, dtype=np.int64)


def _check_runs(runs: np.ndarray, height: int, width: int) -> None:
    if len(runs) and runs.min() < 0:
        raise DataError(f"RLE counts are corrupt: a run of {int(runs.min())} pixels")
    total = int(runs.sum())
    if total != height * width:
        raise DataError(f"RLE counts are corrupt: {total} pixels in all, {height} x {width} are {height * width}")


def _without_empty_runs(runs: np.ndarray) -> np.ndarray:
    """Runs of no pixels taken out, but for the first, and their neighbours joined: one spelling for each mask."""
    if runs[1:].all():
        return runs
    ends = np.cumsum(runs)
    inside = np.arange(len(runs)) % 2
    filled = np.flatnonzero(runs)
    changes = np.flatnonzero(np.diff(inside[filled]))
    borders = np.append(ends[filled[changes]], ends[-1])
    joined = np.diff(borders, prepend=0)
    return np.concatenate(([0], joined)) if inside[filled[0]] else joined

"""Outlines and numbers out of JSON files of labelling tools, checked."""

from __future__ import annotations

import base64
import io
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from avis_data.errors import DataError
from avis_data.formats.tools.choices import Crossing
from avis_data.masks.outlines import crosses_itself, mask_from_borders, mask_from_centres
from avis_data.masks.rle import MAX_PIXELS, Rle
from avis_data.media.stills import UNREADABLE_PICTURE

__all__ = ["Outlines", "filled", "group_of", "picture_of_base64", "points_of"]

Outlines = Literal["auto", "border", "centre"]
_CLAMPED = 0.1
"""ISAT keeps the points of traced outlines so far inside the picture."""


def points_of(value: object, *, least: int = 1) -> NDArray[np.float64]:
    """Points `[[x, y], ...]` as float (N, 2).

    Raises:
        DataError: if it is no such list, has fewer points, or a value is no finite number.
    """
    if not isinstance(value, list):
        raise DataError(f"must be a list of [x, y] (found {value!r:.40})")
    for point in value:
        if not isinstance(point, (list, tuple)) or len(point) != 2 or not all(_is_number(number) for number in point):
            raise DataError(f"must be a list of [x, y] (found {point!r:.40})")
    if len(value) < least:
        raise DataError(f"has {len(value)} point(s), must have {least} or more")
    return np.array(value, np.float64).reshape(-1, 2)


def filled(
    points_N2: NDArray[np.float64],
    outlines: Outlines,
    crossing: Crossing,
    *,
    height: int,
    width: int,
    is_hole: bool = False,
) -> Rle:
    """The mask of an outline.

    Args:
        points_N2: 3 points or more.
        outlines: where its points lie; auto: on pixel centres where it is a contour that OpenCV traced.
        crossing: what is done where its sides cross.
        height: of the still, in pixels.
        width: likewise.
        is_hole: what lies inside is cut out; a traced outline of a hole runs through the pixels around it.

    Raises:
        DataError: if it cannot be drawn, or its sides cross.
    """
    whole_N2 = np.where(points_N2 == _CLAMPED, 0.0, points_N2)
    is_centre = outlines == "centre" or (outlines == "auto" and _is_traced(whole_N2, is_hole=is_hole))
    if is_centre:
        mask = mask_from_centres(whole_N2, height=height, width=width, with_outline=not is_hole)
    else:
        mask = mask_from_borders(points_N2, height=height, width=width)
    if crossing == "refuse" and crosses_itself(whole_N2 if is_centre else points_N2):
        raise DataError("the outline crosses itself: mend it, or --crossing-outlines even-odd")
    return mask


def picture_of_base64(coded: str) -> Image.Image:
    """The picture that a text in base64 is, loaded.

    Raises:
        DataError: if it is none, is cut off, or has too many pixels.
    """
    try:
        picture = Image.open(io.BytesIO(base64.b64decode(coded, validate=True)))
        if picture.width * picture.height > MAX_PIXELS:
            raise DataError(f"its picture has {picture.width} x {picture.height} pixels: too many")
        picture.load()
        return picture
    except UNREADABLE_PICTURE as error:
        raise DataError(f"is no PNG in base64 ({error!s:.80})") from None


def group_of(value: object, *, zero_is_none: bool = False) -> str | None:
    """The group of a shape; None: it has none.

    Raises:
        DataError: if it is neither null, a whole number nor a word.
    """
    if value is None or value == "" or (zero_is_none and value in (0, "0")):
        return None
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise DataError(f"must be a whole number or null (found {value!r:.40})")
    return str(value)[:100]


def _is_traced(points_N2: NDArray[np.float64], *, is_hole: bool) -> bool:
    """Whether an outline is as OpenCV's contours are: whole numbers, one way round a shape, the other round a hole."""
    if not (points_N2 == np.rint(points_N2)).all():
        return False
    x, y = points_N2[:, 0], points_N2[:, 1]
    turn = float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum())
    return turn >= 0 if is_hole else turn <= 0


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return abs(value) < 1e9  # NaN is not, and no float is made of a number that has none

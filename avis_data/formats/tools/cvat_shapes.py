"""The shapes of CVAT's XML: what an element says, and which pixels it covers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from avis_data.errors import DataError
from avis_data.formats.tools.choices import Choices
from avis_data.formats.tools.objects import heard
from avis_data.masks.outlines import crosses_itself, mask_from_borders, mask_of_ellipse, rotated_box
from avis_data.masks.rle import Rle, encode

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

__all__ = ["AREAS", "NO_AREA", "CvatShape", "between", "cvat_mask", "pixels_of", "whole"]

AREAS = ("box", "polygon", "ellipse", "mask")
NO_AREA = ("polyline", "points")
"""Taken note of and left out."""
_MAX_RUN = 1 << 28


@dataclass(frozen=True, kw_only=True)
class CvatShape:
    """One shape at one frame."""

    kind: str
    where: str
    frame: int = 0
    """In the source's counting; of an image, 0."""
    is_outside: bool = False
    is_key: bool = True
    numbers: tuple[float, ...] = ()
    """box: left, top, right, bottom, rotation; ellipse: centre, radii, rotation; mask: left, top, width, height."""
    points: str = ""
    """Of a polygon: `x,y;x,y`; of a mask its runs: `0, 5, 2`."""
    depth: int = 0
    group: int = 0
    attributes: Mapping[str, str]

    @classmethod
    def of(cls, element: Element, where: str, attributes: Mapping[str, str]) -> CvatShape:
        """What an element says.

        Raises:
            DataError: if a value is missing or cannot be; everything that is wrong with this shape, in one sentence.
        """
        kind, faults = element.tag, []
        names = {
            "box": ("xtl", "ytl", "xbr", "ybr"),
            "ellipse": ("cx", "cy", "rx", "ry"),
            "mask": ("left", "top", "width", "height"),
        }.get(kind, ())
        numbers = []
        for name in names:
            try:
                numbers.append(_number(element.get(name)))
            except ValueError as error:
                faults.append(f"{name} {error}")
        for name in ("frame", "z_order", "group_id", "keyframe", "outside"):
            try:
                whole(element.get(name, "0"))
            except ValueError as error:
                faults.append(f"{name} {error}")
        try:
            rotation = _number(element.get("rotation", "0"))
        except ValueError as error:
            faults.append(f"rotation {error}")
        points = element.get("rle" if kind == "mask" else "points", "")
        if kind in ("mask", "polygon") and not points.strip():
            faults.append(f"{'rle' if kind == 'mask' else 'points'} is missing")
        if faults:
            raise DataError("; ".join(faults))
        return cls(
            kind=kind,
            where=where,
            frame=whole(element.get("frame", "0")),
            is_outside=whole(element.get("outside", "0")) != 0,
            is_key=whole(element.get("keyframe", "1")) != 0,
            numbers=(*numbers, rotation) if kind != "mask" else tuple(numbers),
            points=points,
            depth=whole(element.get("z_order", "0")),
            group=whole(element.get("group_id", "0")),
            attributes={**attributes, **attributes_of(element)},
        )

    def sounding(self, choices: Choices) -> bool | None:
        """Whether it sounds, as its attribute says; None: that is not said.

        Raises:
            DataError: if the attribute says neither yes nor no.
        """
        try:
            return heard(self.attributes.get(choices.sounding_attribute))
        except ValueError as error:
            raise DataError(f"attribute {choices.sounding_attribute}: {error}") from None


def attributes_of(element: Element) -> dict[str, str]:
    """What the `<attribute>`s directly in an element say."""
    return {child.get("name", ""): (child.text or "").strip() for child in element.findall("attribute")}


def pixels_of(shape: CvatShape, choices: Choices, *, height: int, width: int) -> Rle:
    """The mask of a shape.

    Raises:
        DataError: if it cannot be drawn.
    """
    if shape.kind == "mask":
        return cvat_mask(shape.points, shape.numbers, height=height, width=width)
    if shape.kind == "ellipse":
        x, y, x_radius, y_radius, rotation = shape.numbers
        return mask_of_ellipse((x, y), (x_radius, y_radius), rotation, height=height, width=width)
    if shape.kind == "box":
        left, top, right, bottom, rotation = shape.numbers
        if right <= left or bottom <= top:
            raise DataError(f"a box from {left:g},{top:g} to {right:g},{bottom:g} has no area")
        return mask_from_borders(rotated_box(left, top, right, bottom, rotation), height=height, width=width)
    points_N2 = _points(shape.points)
    mask = mask_from_borders(points_N2, height=height, width=width)
    if choices.crossing_outlines == "refuse" and crosses_itself(points_N2):
        raise DataError("its outline crosses itself: mend it in CVAT, or --crossing-outlines even-odd")
    return mask


def between(before: CvatShape, after: CvatShape, frame: int) -> CvatShape:
    """The box at a frame between two key frames, as CVAT draws it."""
    part = (frame - before.frame) / (after.frame - before.frame)
    corners = [a + (b - a) * part for a, b in zip(before.numbers[:4], after.numbers[:4], strict=True)]
    turned = (after.numbers[4] - before.numbers[4] + 180) % 360 - 180
    return replace(before, frame=frame, is_key=False, numbers=(*corners, before.numbers[4] + turned * part))


def cvat_mask(runs_text: str, place: tuple[float, ...], *, height: int, width: int) -> Rle:
    """A mask as CVAT codes it: run lengths row by row inside a box, background first.

    Args:
        runs_text: `0, 126, 6`.
        place: left, top, width and height of the box, in pixels.
        height: of the picture, in pixels.
        width: likewise.

    Raises:
        DataError: if the box is not inside the picture, or the runs do not fill it.

    Example:
        >>> from avis_data.masks.rle import decode
        >>> decode(cvat_mask("1, 3", (1, 0, 2, 2), height=2, width=4)).astype(int)
        array([[0, 0, 1, 0],
               [0, 1, 1, 0]])
    """
    if any(value != int(value) for value in place):
        raise DataError("left, top, width and height of a mask must be whole numbers")
    left, top, wide, tall = map(int, place)
    if left < 0 or top < 0 or wide < 1 or tall < 1 or left + wide > width or top + tall > height:
        raise DataError(f"a mask of {wide} x {tall} at {left},{top} is not inside a picture of {width} x {height}")
    try:
        runs = np.array([whole(part) for part in runs_text.split(",")], np.int64)
    except ValueError as error:
        raise DataError(f"rle {error}") from None
    if runs.min() < 0 or runs.max() > _MAX_RUN or int(runs.sum()) != wide * tall:
        raise DataError(f"rle has {int(runs.sum())} pixels, its box {wide} x {tall} = {wide * tall}")
    picture_HW = np.zeros((height, width), bool)
    inside = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    picture_HW[top : top + tall, left : left + wide] = inside.reshape(tall, wide)
    return encode(picture_HW)


def whole(text: str | None) -> int:
    """A whole number of an attribute; also `1.0`, `True` and `False`.

    Raises:
        ValueError: if it is none, in words.
    """
    words = {"true": 1, "false": 0}
    if text is not None and text.strip().lower() in words:
        return words[text.strip().lower()]
    value = _number(text)
    if value != int(value) or abs(value) > _MAX_RUN:
        raise ValueError(f"must be a whole number (found {text!r:.40})")
    return int(value)


def _number(text: str | None) -> float:
    if text is None:
        raise ValueError("is missing")
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"must be a number (found {text!r:.40})") from None
    if not math.isfinite(value):
        raise ValueError(f"must be a number (found {text!r:.40})")
    return value


def _points(text: str) -> NDArray[np.float64]:
    """Raises DataError unless it is `x,y;x,y;x,y`, three points or more."""
    pairs = [pair.split(",") for pair in text.strip().strip(";").split(";")]
    try:
        if any(len(pair) != 2 for pair in pairs):
            raise ValueError(f"must be x,y;x,y (found {text!r:.40})")
        points_N2 = np.array([[_number(value) for value in pair] for pair in pairs], np.float64)
    except ValueError as error:
        raise DataError(f"points: {error}") from None
    return points_N2

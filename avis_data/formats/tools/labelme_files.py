"""The label files of labelme and of X-AnyLabeling, which grew out of it: shapes of many kinds, and what differs.

labelme has masks, flags, and the label `_background_` that cuts holes; what is drawn later covers what was drawn
before. X-AnyLabeling has attributes; it has neither masks nor holes, and shapes may share pixels.
"""

from __future__ import annotations

import base64
import binascii
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from avis_data.errors import DataError
from avis_data.formats.sets.clips import LabelledClip, Media, UnreadClip
from avis_data.formats.tools.choices import Choices
from avis_data.formats.tools.json_shapes import Outlines, filled, group_of, picture_of_base64, points_of
from avis_data.formats.tools.objects import Drawn, Objects, heard, named_identity
from avis_data.formats.tools.still_files import Entry, LabelTool, read_stills
from avis_data.io import read_json
from avis_data.masks.outlines import mask_of_ellipse, rotated_box
from avis_data.masks.rle import Rle, encode

__all__ = ["ShapeTool", "read_labelme"]

_CORNERS = ("polygon", "oriented_rectangle", "rotation", "quadrilateral")
_NO_AREA = ("point", "points", "line", "linestrip")
_OURS = {"shapes", "imagePath", "imageHeight", "imageWidth", "imageData"}


@dataclass(frozen=True, kw_only=True)
class ShapeTool:
    """What differs between the two, and what people said."""

    name: str
    choices: Choices
    outlines: Outlines
    holes: tuple[str, ...] = ()
    """Labels that cut what was drawn before."""
    left_out: tuple[str, ...] = ()
    """Labels of what is no object."""
    covers: bool = False
    missing_is_empty: bool = False
    groups_in_stills: bool = False
    """Whether groups were made to join the parts of an object in a still; that they go through stills is a habit."""


def read_labelme(path: Path, tool: ShapeTool) -> Iterator[LabelledClip | UnreadClip]:
    """The clips of a folder or archive of such files, in the order of their names.

    Raises:
        DataError: if there is no such file.
    """
    if path.is_file() and path.suffix.lower() == ".txt":
        raise DataError(f"{path}: what {tool.name} calls MOTS has polygons where run lengths belong", hint=_JSON)

    def draw(objects: Objects, still: int, raw: Entry, where: str, size_wh: tuple[int, int]) -> None:
        _Drawing(tool=tool, objects=objects, still=still, size_wh=size_wh).take_all(raw, where)

    def remark(clip: LabelledClip) -> str | None:
        is_through = tool.groups_in_stills and tool.choices.identity == "auto" and clip.has_identity
        return _GROUPS if is_through and any(len(track.frames) > 1 for track in clip.tracks) else None

    yield from read_stills(
        path,
        LabelTool(
            name=tool.name,
            is_ours=lambda raw: len(_OURS & raw.keys()) >= 2,
            said=lambda raw: (raw.get("imageWidth"), raw.get("imageHeight"), raw.get("imagePath")),
            draw=draw,
            picture_inside=_picture_inside,
            covers=tool.covers,
            missing_is_empty=tool.missing_is_empty,
            remark=remark,
        ),
    )


_GROUPS = (
    "groups were taken as objects through all stills; where a group only joins the parts in a still, so that they count"
    " up in each: --identity none"
)
_JSON = "give the JSON files beside the stills"


def _picture_inside(file: Path, raw: dict[str, object]) -> Media | None:
    """The picture that a label file holds as base64, which is read again when it is needed."""
    coded = raw.pop("imageData", None)
    if not isinstance(coded, str) or not coded:
        return None
    path = raw.get("imagePath")
    name = PurePosixPath(path.replace("\\", "/")).name if isinstance(path, str) else ""

    def load() -> bytes:
        try:
            return base64.b64decode(read_json(file)["imageData"], validate=True)
        except (binascii.Error, ValueError) as error:
            raise DataError(f"{file}: imageData: no base64 ({error})") from None

    return Media(name=name or f"{file.stem}.png", load=load)


@dataclass(kw_only=True)
class _Drawing:
    """The shapes of one still while they are read."""

    tool: ShapeTool
    objects: Objects
    still: int
    size_wh: tuple[int, int]

    def take_all(self, raw: Entry, where: str) -> None:
        shapes = raw.get("shapes")
        if not isinstance(shapes, list):
            self.objects.problem(where, "shapes", f"must be a list (found {shapes!r:.40})")
            return
        left: Counter[str] = Counter()
        for number, shape in enumerate(shapes):
            place = f"{where}: shapes[{number}]"
            if isinstance(shape, dict):
                self._take(shape, place, number, left)
            else:
                self.objects.problem(place, "", f"must be an object (found {shape!r:.40})")
        for kind, count in sorted(left.items()):
            self.objects.remarks.append(f"{where}: {count} of {kind} left out: no area of an object")

    def _take(self, shape: Entry, place: str, number: int, left: Counter[str]) -> None:
        kind, label = shape.get("shape_type", "polygon"), shape.get("label")
        if kind in _NO_AREA or label in self.tool.left_out:
            left[str(kind if kind in _NO_AREA else label)] += 1
            return
        faults = len(self.objects.problems)
        group, sounding, mask = None, None, None
        if not isinstance(label, str) or not label:
            self.objects.problem(place, "label", f"must be a name (found {label!r:.40})")
        try:
            group = group_of(shape.get("group_id"))
        except DataError as error:
            self.objects.problem(place, "group_id", str(error))
        said = {**_fields(shape.get("flags")), **_fields(shape.get("attributes"))}
        try:
            sounding = heard(said.get(self.tool.choices.sounding_attribute))
        except ValueError as error:
            self.objects.problem(place, self.tool.choices.sounding_attribute, str(error))
        try:
            mask = self._mask(kind, shape)
        except DataError as error:
            self.objects.problem(place, str(kind)[:40], str(error))
        if mask is None or len(self.objects.problems) > faults:
            return
        is_hole = label in self.tool.holes
        words = {"label": label, "description": shape.get("description"), **said}
        self.objects.add(
            Drawn(
                still=self.still,
                mask=mask,
                category=str(label),
                where=place,
                identity=None if is_hole else self._identity(words, group),
                joined=None if group is None else f"group {group}",
                depth=number,
                sounding=sounding,
                is_hole=is_hole,
            )
        )

    def _identity(self, words: Mapping[str, object], group: str | None) -> str | None:
        choices = self.tool.choices
        if choices.attribute is not None:
            return named_identity(words, choices.attribute)
        if choices.identity == "none":
            return None
        return group if group is not None or choices.identity == "group" else named_identity(words, None)

    def _mask(self, kind: object, shape: Entry) -> Rle:
        """Raises DataError if the shape cannot be drawn."""
        width, height = self.size_wh
        if kind == "mask":
            return _pasted(points_of(shape.get("points"), least=2), shape.get("mask"), height=height, width=width)
        if kind == "circle":
            points = points_of(shape.get("points"), least=2)
            (x, y), rim = points[0].tolist(), points[1].tolist()
            radius = math.dist((x, y), rim)
            return mask_of_ellipse((x, y), (radius, radius), 0, height=height, width=width)
        if kind == "rectangle":
            points = points_of(shape.get("points"), least=2)
            (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
            if left == right or top == bottom:
                raise DataError("has no area")
            points = rotated_box(left, top, right, bottom)
            return filled(points, "border", "refuse", height=height, width=width)
        if kind in _CORNERS:
            points = points_of(shape.get("points"), least=3)
            crossing = self.tool.choices.crossing_outlines
            return filled(points, self.tool.outlines, crossing, height=height, width=width)
        if kind == "cuboid":
            raise DataError("a cuboid has no mask; delete it, or draw a polygon")
        raise DataError(f"{kind!r:.40} is no known shape_type: was it written by a newer {self.tool.name}?")


def _pasted(points: NDArray[np.float64], coded: object, *, height: int, width: int) -> Rle:
    """A mask from its two corner pixels, both inside, and the base64 PNG of what lies between."""
    (left, top), (right, bottom) = points[:2].astype(int).tolist()  # as labelme cuts them
    if len(points) != 2 or left < 0 or top < 0 or right < left or bottom < top or right >= width or bottom >= height:
        raise DataError(f"corners {left},{top} and {right},{bottom} are not inside a picture of {width} x {height}")
    if not isinstance(coded, str) or not coded:
        raise DataError(f"mask must be a PNG in base64 (found {coded!r:.40})")
    picture = picture_of_base64(coded)
    if picture.size != (right - left + 1, bottom - top + 1):
        said = f"{right - left + 1} x {bottom - top + 1}"
        raise DataError(f"its PNG has {picture.width} x {picture.height} pixels, its corners say {said}")
    inside_HW = np.asarray(picture) > 0
    if inside_HW.ndim != 2:
        raise DataError("its PNG has colours, must be grey")
    picture_HW = np.zeros((height, width), bool)
    picture_HW[top : bottom + 1, left : right + 1] = inside_HW
    return encode(picture_HW)


def _fields(value: object) -> Entry:
    return value if isinstance(value, dict) else {}

"""Label Studio's results (regions, as JSON): which of them are one object in one still, and which pixels it has.

A region is several results with one id: what was drawn, its label, choices and text that go with it. A mask may be
drawn in pieces. Rectangles, polygons and ellipses are in percent of the still.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from avis_data.errors import DataError, Problem
from avis_data.formats.tools.choices import Choices
from avis_data.formats.tools.json_shapes import filled, picture_of_base64, points_of
from avis_data.masks.brush_rle import decode_brush
from avis_data.masks.outlines import mask_of_ellipse, rotated_box
from avis_data.masks.rle import Rle, check_size, decode, encode

__all__ = ["FoundRegion", "Span", "regions_of"]

Entry = Mapping[str, object]
_KINDS = ("brush", "bitmask", "rectangle", "polygon", "ellipse")
_LIKE_A_BRUSH = "magicwand"
_PROMPTS = ("keypoint", "vector")
_SAYS_NOTHING = ("relation", "rating", "taxonomy", "datetime", "pairwise", "ranker", "paragraphs", "hypertextlabels")
_SOFT, _ANY = 128, 1
"""The least alpha of a pixel inside: of what our own page drew, and of what any program coded."""


@dataclass(frozen=True, kw_only=True)
class Span:
    """A span of a timeline under one label; pages from 0, the last one inclusive."""

    label: str
    first: int
    last: int


@dataclass(kw_only=True)
class FoundRegion:
    """One region in one still."""

    where: str
    page: int
    """Of a task with several stills; else 0."""
    size_wh: tuple[int, int] | None = None
    drawn: list[tuple[str, Entry]] = field(default_factory=list)
    """Kind and value of each piece."""
    labels: list[str] = field(default_factory=list)
    said: dict[str, object] = field(default_factory=dict)
    """What choices and texts say, by their names in the labelling configuration."""
    rotation: object = 0

    def mask(self, choices: Choices, *, is_own: bool) -> Rle:
        """What was drawn, all pieces together.

        Raises:
            DataError: if a piece cannot be drawn.
        """
        if self.size_wh is None:
            raise DataError("original_width and original_height are missing")
        if self.rotation not in (0, None):
            raise DataError(f"image_rotation is {self.rotation!r:.20}: labels of turned pictures are not taken")
        pieces = [_piece(kind, value, choices, self.size_wh, is_own=is_own) for kind, value in self.drawn]
        return pieces[0] if len(pieces) == 1 else encode(np.logical_or.reduce([decode(piece) for piece in pieces]))

    def identity_words(self) -> dict[str, object]:
        """What may say which object it is."""
        return {"label": self.labels[0] if self.labels else None, **self.said}


def regions_of(
    result: object, where: str, *, problems: list[Problem], left_out: Counter[str]
) -> tuple[list[FoundRegion], list[Span]]:
    """The regions of one annotation, in the order of the file, and the spans of its timeline.

    Args:
        result: the list as it stands in the file.
        where: for messages.
        problems: takes what is wrong.
        left_out: counts what has no area.
    """
    if not isinstance(result, list):
        problems.append(Problem(where, "result", f"must be a list (found {result!r:.40})"))
        return [], []
    regions: dict[tuple[str, int], FoundRegion] = {}
    spans: list[Span] = []
    for number, entry in enumerate(result):
        place = f"{where}.result[{number}]"
        try:
            _take(entry, place, regions, spans, left_out)
        except DataError as error:
            problems.append(Problem(place, "", str(error)))
    return [region for region in regions.values() if region.drawn], spans


def _take(
    entry: object, place: str, regions: dict[tuple[str, int], FoundRegion], spans: list[Span], left_out: Counter[str]
) -> None:
    """Raises DataError if a result cannot be understood."""
    if not isinstance(entry, dict):
        raise DataError(f"must be an object (found {entry!r:.40})")
    kind, value = entry.get("type"), entry.get("value")
    if kind in _SAYS_NOTHING or (kind is None and value is None):
        return
    if not isinstance(kind, str) or not isinstance(value, dict):
        raise DataError(f"must have a type and a value (found {kind!r:.40} and {value!r:.40})")
    if kind == "timelinelabels":
        spans += _spans(value)
        return
    page = entry.get("item_index", 0)
    if type(page) is not int or not 0 <= page < 1_000_000:
        raise DataError(f"item_index must be the number of a page (found {page!r:.40})")
    drawn = kind.removesuffix("labels")
    drawn = "brush" if drawn == _LIKE_A_BRUSH else drawn
    if drawn in _PROMPTS:
        left_out[kind] += 1
        return
    key = str(entry.get("id")), page
    region = regions.setdefault(key, FoundRegion(where=place, page=page))
    if kind in ("choices", "textarea", "number"):
        _say(region, entry.get("from_name"), kind, value)
        return
    if drawn == "videorectangle":
        raise DataError("a box through a video has no mask: label its stills, or import the masks of another tool")
    if drawn not in (*_KINDS, ""):
        raise DataError(f"a {kind!r:.40} has no mask that is known here: was it made by a newer Label Studio?")
    labels = value.get(kind) if kind.endswith("labels") else None
    if labels is not None:
        if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
            raise DataError(f"{kind} must be a list of names (found {labels!r:.40})")
        region.labels += [label for label in labels if label not in region.labels]
    _draw(region, drawn, value, entry, left_out)


_SAID_BY = {
    "rle": "brush",
    "imageDataURL": "bitmask",
    "radiusX": "ellipse",
    "points": "polygon",
    "width": "rectangle",
}
"""What a region is, by a key that only regions of its kind have."""


def _draw(region: FoundRegion, drawn: str, value: Entry, entry: Entry, left_out: Counter[str]) -> None:
    if drawn == "":  # `labels` of something that another result draws, or of a prompt
        drawn = next((kind for key, kind in _SAID_BY.items() if key in value), "")
    if (drawn == "brush" and "rle" not in value) or (drawn == "bitmask" and not value.get("imageDataURL")):
        left_out["region without a mask"] += 1
        return
    if not drawn:
        return
    width, height = entry.get("original_width"), entry.get("original_height")
    if type(width) is not int or type(height) is not int:
        raise DataError(
            f"original_width and original_height must be whole numbers (found {width!r:.20}, {height!r:.20})"
        )
    check_size(height, width)
    if region.size_wh not in (None, (width, height)):
        raise DataError(f"is of {width} x {height} pixels, another piece of it of {region.size_wh}")
    region.size_wh, region.rotation = (width, height), entry.get("image_rotation", 0)
    shape = {key: value[key] for key in value if not key.endswith("labels") and key not in ("choices", "text")}
    if (drawn, shape) not in region.drawn:  # a submitted mask comes twice: as it was drawn and with its label
        region.drawn.append((drawn, shape))


def _say(region: FoundRegion, name: object, kind: str, value: Entry) -> None:
    found = value.get({"choices": "choices", "textarea": "text", "number": "number"}[kind])
    if isinstance(found, list):
        found = found[0] if len(found) == 1 else "; ".join(map(str, found)) if found else None
    region.said[str(name)] = found


def _spans(value: Entry) -> list[Span]:
    """Label Studio counts pages of a timeline from 1, both ends inclusive."""
    labels, ranges = value.get("timelinelabels"), value.get("ranges")
    if not isinstance(labels, list) or len(labels) != 1 or not isinstance(labels[0], str):
        raise DataError(f"a span of sound must have one label (found {labels!r:.40})")
    if not isinstance(ranges, list) or not all(isinstance(span, dict) for span in ranges):
        raise DataError(f"a span of sound must have ranges (found {ranges!r:.40})")
    spans = []
    for span in ranges:
        first, last = span.get("start"), span.get("end")
        if type(first) is not int or type(last) is not int or not 1 <= first <= last:
            raise DataError(f"a span of sound goes from {first!r:.20} to {last!r:.20}")
        spans.append(Span(label=labels[0], first=first - 1, last=last - 1))
    return spans


def _piece(kind: str, value: Entry, choices: Choices, size_wh: tuple[int, int], *, is_own: bool) -> Rle:
    width, height = size_wh
    if kind == "brush":
        if value.get("format", "rle") != "rle" or not isinstance(value.get("rle"), list):
            raise DataError(f"must have format rle and a list of bytes (found {value.get('format')!r:.20})")
        coded = value["rle"]
        assert isinstance(coded, list)  # as was found
        return encode(decode_brush(coded, height=height, width=width, least_alpha=_SOFT if is_own else _ANY))
    if kind == "bitmask":
        return _bitmask(value.get("imageDataURL"), size_wh)
    if kind == "polygon":
        points_N2 = points_of(value.get("points"), least=3) * np.array([width, height]) / 100
        return filled(points_N2, "border", choices.crossing_outlines, height=height, width=width)
    turned = _number(value, "rotation", usual=0.0)
    x, y = _number(value, "x") * width / 100, _number(value, "y") * height / 100
    if kind == "ellipse":
        radii = _number(value, "radiusX") * width / 100, _number(value, "radiusY") * height / 100
        return mask_of_ellipse((x, y), radii, turned, height=height, width=width)
    wide, tall = _number(value, "width") * width / 100, _number(value, "height") * height / 100
    if wide <= 0 or tall <= 0:
        raise DataError("a rectangle has no area")
    corners = rotated_box(x, y, x + wide, y + tall, turned)
    corners += np.array([x, y]) - corners[0]  # Label Studio turns a rectangle about its first corner
    return filled(corners, "border", "even-odd", height=height, width=width)


def _bitmask(url: object, size_wh: tuple[int, int]) -> Rle:
    """A picture of the size of the still, inside where it is not transparent, as the page itself decides."""
    head, _, coded = url.partition(",") if isinstance(url, str) else ("", "", "")
    if not head.startswith("data:image/") or not head.endswith(";base64"):
        raise DataError(f"imageDataURL must be data:image/png;base64,... (found {url!r:.40})")
    picture = picture_of_base64(coded)
    if picture.size != size_wh:
        found = f"{picture.width} x {picture.height}"
        raise DataError(f"its picture has {found} pixels, the still {size_wh[0]} x {size_wh[1]}")
    if not picture.has_transparency_data:
        raise DataError("its picture has no transparency, which says what is inside")
    return encode(np.asarray(picture.convert("RGBA"))[..., 3] >= _ANY)


def _number(value: Entry, name: str, usual: float | None = None) -> float:
    found = value.get(name, usual)
    if isinstance(found, bool) or not isinstance(found, (int, float)) or not abs(found) < 1e9:
        raise DataError(f"{name} must be a number (found {found!r:.40})")
    return float(found)


def choose(annotations: Sequence[object]) -> Entry | None:
    """The newest annotation that was submitted and not cancelled; None: there is none."""
    fit = [entry for entry in annotations if isinstance(entry, dict) and entry.get("was_cancelled") is not True]
    return max(fit, key=_age) if fit else None


def _age(annotation: Entry) -> tuple[str, int]:
    number = annotation.get("id")
    said = annotation.get("updated_at") or annotation.get("created_at")
    return (said if isinstance(said, str) else "", number if type(number) is int else -1)

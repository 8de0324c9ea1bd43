"""ISAT's label files: polygons in layers, holes of the category `__background__`.

What ISAT traces (SAM's masks) are OpenCV's contours: whole-numbered points on pixel centres. A hole's contour runs
through the pixels around the hole, so that only what lies inside it is cut. What people draw are borders.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from avis_data.errors import DataError
from avis_data.formats.sets.clips import LabelledClip, UnreadClip
from avis_data.formats.tools.choices import Choices
from avis_data.formats.tools.json_shapes import Outlines, filled, group_of, points_of
from avis_data.formats.tools.objects import Drawn, Objects, heard, named_identity
from avis_data.formats.tools.still_files import Entry, LabelTool, read_stills

__all__ = ["read_isat"]

_HOLE = "__background__"
_GROUPS = (
    "groups were taken as objects through all stills; where ISAT's group mode was auto they count up in each still:"
    " --identity none"
)


def read_isat(
    path: Path, choices: Choices, outlines: Outlines, *, keep_covered: bool, missing_is_empty: bool
) -> Iterator[LabelledClip | UnreadClip]:
    """The clips of a folder or archive of ISAT's files, in the order of their names.

    Raises:
        DataError: if there is no such file.
    """

    def draw(objects: Objects, still: int, raw: Entry, where: str, size_wh: tuple[int, int]) -> None:
        _draw(objects, still, raw, where, size_wh, choices, outlines)

    def remark(clip: LabelledClip) -> str | None:
        is_through = choices.identity == "auto" and clip.has_identity
        return _GROUPS if is_through and any(len(track.frames) > 1 for track in clip.tracks) else None

    yield from read_stills(
        path,
        LabelTool(
            name="ISAT",
            is_ours=lambda raw: ("objects" in raw and "info" in raw) or _info(raw).get("description") == "ISAT",
            said=lambda raw: (_info(raw).get("width"), _info(raw).get("height"), _info(raw).get("name")),
            draw=draw,
            covers=not keep_covered,
            missing_is_empty=missing_is_empty,
            remark=remark,
        ),
    )


def _info(raw: Entry) -> Entry:
    info = raw.get("info")
    return info if isinstance(info, dict) else {}


def _draw(
    objects: Objects,
    still: int,
    raw: Entry,
    where: str,
    size_wh: tuple[int, int],
    choices: Choices,
    outlines: Outlines,
) -> None:
    if _info(raw).get("description") != "ISAT":
        objects.problem(where, "info.description", f"must be ISAT (found {_info(raw).get('description')!r:.40})")
    entries = raw.get("objects")
    if not isinstance(entries, list):
        objects.problem(where, "objects", f"must be a list (found {entries!r:.40})")
        return
    for number, entry in enumerate(entries):
        place = f"{where}: objects[{number}]"
        if not isinstance(entry, dict):
            objects.problem(place, "", f"must be an object (found {entry!r:.40})")
            continue
        faults = len(objects.problems)
        category, group, layer = entry.get("category"), None, entry.get("layer", 2.0)
        if not isinstance(category, str) or not category:
            objects.problem(place, "category", f"must be a name (found {category!r:.40})")
        if layer is None or isinstance(layer, bool) or not isinstance(layer, (int, float)) or not abs(layer) < 1e9:
            objects.problem(place, "layer", f"must be a number (found {layer!r:.40})")
        try:
            group = group_of(entry.get("group"), zero_is_none=True)
        except DataError as error:
            objects.problem(place, "group", str(error))
        is_hole = category == _HOLE
        try:
            points_N2 = points_of(entry.get("segmentation"), least=3)
            mask = filled(
                points_N2,
                outlines,
                choices.crossing_outlines,
                height=size_wh[1],
                width=size_wh[0],
                is_hole=is_hole,
            )
        except DataError as error:
            objects.problem(place, "segmentation", str(error))
        if len(objects.problems) > faults:
            continue
        objects.add(
            Drawn(
                still=still,
                mask=mask,
                category=category,
                where=place,
                identity=None if is_hole else _identity(entry, group, choices),
                joined=None if group is None else f"group {group}",
                depth=float(layer),
                sounding=_noted(entry.get("note")),
                is_hole=is_hole,
            )
        )


def _identity(entry: Entry, group: str | None, choices: Choices) -> str | None:
    if choices.attribute is not None:
        return named_identity({**entry, "label": entry.get("category")}, choices.attribute)
    return None if choices.identity == "none" else group


def _noted(note: object) -> bool | None:
    """`sounding` or `silent` in the note of an object; other notes say nothing of it."""
    try:
        return heard(note) if isinstance(note, str) else None
    except ValueError:
        return None

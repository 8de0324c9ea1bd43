"""What is wrong with single values of the JSON files of others, and what messages call them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeVar

__all__ = ["areas_fault", "entry_name", "is_finite", "kind", "masks_of", "shown", "taken", "whole_fault"]

_Key = TypeVar("_Key", int, str)
_MAX_BITS = 63
"""Bits of a whole number, besides the sign: what NumPy and the official programs can hold."""


def masks_of(raw: Mapping[str, object], *, num_frames: int, or_longer: bool = False) -> tuple[list[Any], str]:
    """The field `segmentations` of a track, true or predicted, and what is wrong with it ("" if nothing is).

    Example:
        >>> masks_of({"segmentations": [None, None]}, num_frames=3)
        ([], 'has 2 entries, the video has 3 frames')
    """
    masks = raw.get("segmentations")
    if not isinstance(masks, list):
        return [], f"must be a list, is {kind(masks)}"
    if len(masks) < num_frames or (len(masks) > num_frames and not or_longer):
        return [], f"has {len(masks)} entries, the video has {num_frames} frames"
    return masks, ""


def areas_fault(areas: object) -> str:
    """What is wrong with the field `areas`; "" if nothing is, or there is none (evaluation takes those of the masks).

    Example:
        >>> areas_fault([12, None, 3.5]), areas_fault("12")
        ('', 'must be a list of finite numbers and null, is text')
    """
    if areas is None:
        return ""
    if not isinstance(areas, list):
        return f"must be a list of finite numbers and null, is {kind(areas)}"
    return "" if all(area is None or is_finite(area) for area in areas) else "must be a list of finite numbers and null"


def is_finite(value: object) -> bool:
    """Whether a value of a JSON file is a finite number.

    Example:
        >>> is_finite(2.5), is_finite(True), is_finite(float("nan")), is_finite(10**400)
        (True, False, False, False)
    """
    try:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # a whole number of more than 300 digits
        return False


def whole_fault(raw: Mapping[str, object], key: str, *, least: int | None = None) -> str:
    """What is wrong with a field that holds a whole number; "" if nothing is.

    Example:
        >>> whole_fault({"id": 7}, "id"), whole_fault({}, "id"), whole_fault({"id": 0}, "id", least=1)
        ('', 'must be a whole number (found nothing)', 'must be a whole number of 1 or more (found 0)')
    """
    value = raw.get(key)
    if isinstance(value, int) and not isinstance(value, bool) and (least is None or value >= least):
        bits = value.bit_length()
        return "" if bits <= _MAX_BITS else f"must fit {_MAX_BITS} bits, has {bits}"
    return f"must be a whole number{'' if least is None else f' of {least} or more'} ({shown(raw, key)})"


def kind(value: object) -> str:
    """What a value of a JSON file is called.

    Example:
        >>> kind([]), kind(None), kind(2.5)
        ('a list', 'missing or null', 'a number')
    """
    names = {dict: "an object", list: "a list", str: "text", bool: "true or false", type(None): "missing or null"}
    return names.get(type(value), "a number")


def shown(raw: Mapping[str, object], key: str) -> str:
    """What a field holds, for the end of a message.

    Example:
        >>> shown({"id": "x"}, "id"), shown({}, "id")
        ("found 'x'", 'found nothing')
    """
    return f"found {raw[key]!r:.40}" if key in raw else "found nothing"


def taken(seen: dict[_Key, str], key: _Key, where: str) -> str | None:
    """The entry that had an id or a name before this one, which is noted in `seen`; None: it is the first.

    Example:
        >>> seen = {}
        >>> taken(seen, 7, "videos[0]"), taken(seen, 7, "videos[3]")
        (None, 'videos[0]')
    """
    first = seen.setdefault(key, where)
    return None if first == where else first


def entry_name(table: str, index: int, entry: object) -> str:
    """How messages call an entry.

    Example:
        >>> entry_name("annotations", 12, {"id": 13}), entry_name("annotations", 3, None)
        ('annotations[12] (id 13)', 'annotations[3]')
    """
    number = entry.get("id") if isinstance(entry, dict) else None
    return f"{table}[{index}]" if number is None else f"{table}[{index}] (id {number!r:.20})"

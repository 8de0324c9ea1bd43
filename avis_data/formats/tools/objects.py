"""Shapes that people drew in the stills of a clip, put together to objects: for all labelling tools.

Tools draw an object as several shapes, cut holes with shapes of their own, and lay one object over another. What joins
shapes, and what says that objects of two stills are one, differs from tool to tool; `--identity` lets people say it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from avis_data.errors import Problem
from avis_data.formats.sets.clips import LabelledTrack, too_many
from avis_data.masks.rle import Rle, area, decode, encode

__all__ = ["Drawn", "Objects", "heard", "named_identity"]

_NAMED = ("identity", "track_id", "instance_id", "object_id")
"""Attributes that say which object it is, where people asked for no other."""
_HEARD = {
    **dict.fromkeys(("true", "yes", "1", "on", "sounding", "audible"), True),
    **dict.fromkeys(("false", "no", "0", "off", "silent", "inaudible"), False),
    **dict.fromkeys(("", "none", "null", "unknown", "__undefined__"), None),
}


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """One shape in one still."""

    still: int
    """Counted from 0."""
    mask: Rle
    category: str | None
    where: str
    """For messages: the file, and the place in it."""
    identity: str | None = None
    """Which object it is, through all stills of the clip; None: not said."""
    joined: str | None = None
    """Shapes of a still with the same value are one object, also where nothing says which."""
    depth: float = 0.0
    """What is higher lies in front; of equal ones what is taken later."""
    sounding: bool | None = None
    is_hole: bool = False
    """It only cuts what lies behind it."""


@dataclass(kw_only=True)
class _Object:
    category: str | None
    said_in: str
    still: int
    masks: list[Rle | None]
    sounding: list[bool | None]


@dataclass(kw_only=True)
class Objects:
    """What is known of one clip so far, with everything that is wrong in it."""

    num_stills: int
    covers: bool = False
    """Whether what lies in front takes its pixels from what lies behind; else objects may share pixels."""
    problems: list[Problem] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    _stills: dict[int, list[Drawn]] = field(default_factory=lambda: defaultdict(list))
    _num_unnamed: int = 0
    _num_named: int = 0
    _covered: int = 0
    _is_full: bool = False

    def problem(self, where: str, name: str, message: str) -> None:
        """Note something wrong: where, which field, and what."""
        self.problems.append(Problem(where, name, message))

    def add(self, drawn: Drawn) -> None:
        """Take in one shape."""
        self._stills[drawn.still].append(drawn)

    def tracks(self) -> tuple[LabelledTrack, ...]:
        """All objects, sorted by their names; problems and remarks are complete after this."""
        objects: dict[str, _Object] = {}
        for still in sorted(self._stills):
            for name, shapes, mask in self._of_still(still):
                self._take(objects, name, shapes, still, mask)
        if self._covered:
            self.remarks.append(f"{self._covered} pixels belong to what was drawn in front of others")
        if self._num_named and self._num_unnamed:
            self.remarks.append(f"{self._num_unnamed} masks without identity are objects of one still each")
        return tuple(
            LabelledTrack(
                track_id=name, category=known.category, masks=tuple(known.masks), sounding=tuple(known.sounding)
            )
            for name, known in sorted(objects.items())
        )

    @property
    def has_identity(self) -> bool:
        """False: nothing says which masks are one object."""
        return self._num_named > 0 or not self._num_unnamed

    def _of_still(self, still: int) -> list[tuple[str, list[Drawn], Rle | None]]:
        """The objects of a still: name, shapes, and what is to be seen of them."""
        owners: dict[tuple[str, str], list[Drawn]] = defaultdict(list)
        owner_of: list[tuple[Drawn, tuple[str, str] | None]] = []
        for number, drawn in enumerate(sorted(self._stills[still], key=lambda shape: shape.depth)):
            owner = None if drawn.is_hole else _owner(drawn, number)
            owner_of.append((drawn, owner))
            if owner is not None:
                owners[owner].append(drawn)
        masks = self._seen(owner_of)
        found = []
        for number, (owner, shapes) in enumerate(owners.items()):
            is_named = owner[0] == "identity"
            self._num_named += is_named
            self._num_unnamed += not is_named
            name = owner[1] if is_named else f"still{still:05d}_{number:04d}"
            found.append((name, shapes, masks[owner]))
        return found

    def _seen(self, shapes: Sequence[tuple[Drawn, tuple[str, str] | None]]) -> dict[tuple[str, str], Rle | None]:
        """The mask of each owner, from the shape that lies at the back to the one in front."""
        owners = [owner for _, owner in shapes if owner is not None]
        if len(set(owners)) == len(shapes) and (not self.covers or len(shapes) < 2):
            return {owner: drawn.mask if area(drawn.mask) else None for drawn, owner in shapes if owner is not None}
        return self._painted(shapes) if self.covers else _cut(shapes)

    def _painted(self, shapes: Sequence[tuple[Drawn, tuple[str, str] | None]]) -> dict[tuple[str, str], Rle | None]:
        """As one lies over another: each pixel is of one owner."""
        numbers = {owner: number for number, owner in enumerate({owner: None for _, owner in shapes if owner}, start=1)}
        owner_HW = np.zeros((shapes[0][0].mask.height, shapes[0][0].mask.width), np.int32)
        for drawn, owner in shapes:
            inside_HW, number = decode(drawn.mask), numbers[owner] if owner is not None else 0
            if not drawn.is_hole:
                under = owner_HW[inside_HW]
                self._covered += int(((under != 0) & (under != number)).sum())
            owner_HW[inside_HW] = number
        left = set(np.unique(owner_HW).tolist())
        return {owner: encode(owner_HW == number) if number in left else None for owner, number in numbers.items()}

    def _take(
        self, objects: dict[str, _Object], name: str, shapes: Sequence[Drawn], still: int, mask: Rle | None
    ) -> None:
        first = shapes[0]
        if name not in objects and (fault := too_many(len(objects) + 1, self.num_stills)) is not None:
            if not self._is_full:
                self.problem(first.where, "", fault)
            self._is_full = True
            return
        if name not in objects:
            nothing: list[None] = [None] * self.num_stills
            objects[name] = _Object(
                category=first.category, said_in=first.where, still=still, masks=[*nothing], sounding=[*nothing]
            )
        known = objects[name]
        other = next((shape for shape in shapes if shape.category != known.category), None)
        if other is not None:
            message = f"has the category {other.category!r:.60} here and {known.category!r:.60} in {known.said_in}"
            if first.still != known.still:
                message += "; if these are two objects, what joins stills counts up in each: --identity none"
            self.problem(other.where, f"object {name}", message)
        flags = {shape.sounding for shape in shapes} - {None}
        if len(flags) > 1:
            self.problem(first.where, f"object {name}", "is both sounding and silent in one still")
        if mask is None:
            self.remarks.append(f"{first.where}: nothing is left of object {name}")
            return
        known.masks[still] = mask
        known.sounding[still] = next(iter(flags), None)


def _cut(shapes: Sequence[tuple[Drawn, tuple[str, str] | None]]) -> dict[tuple[str, str], Rle | None]:
    """The parts of each owner together, less the holes that lie in front of them; owners may share pixels."""
    seen: dict[tuple[str, str], NDArray[np.bool_]] = {}
    for drawn, owner in shapes:
        inside_HW = decode(drawn.mask)
        if owner is not None:
            seen[owner] = seen[owner] | inside_HW if owner in seen else inside_HW
        for mask_HW in seen.values() if drawn.is_hole else ():
            mask_HW &= ~inside_HW
    return {owner: encode(mask_HW) if mask_HW.any() else None for owner, mask_HW in seen.items()}


def heard(value: object) -> bool | None:
    """Whether a value that somebody gave says that something sounds; None: it says that nobody knows.

    Raises:
        ValueError: if it says neither.

    Example:
        >>> heard("Yes"), heard(False), heard("silent"), heard(None)
        (True, False, False, None)
    """
    text = "" if value is None else str(value).strip().lower()
    if isinstance(value, (bool, int, str, type(None))) and text in _HEARD:
        return _HEARD[text]
    raise ValueError(f"must be true or false, yes or no (found {value!r:.40})")


def named_identity(attributes: Mapping[str, object], asked: str | None) -> str | None:
    """Which object a shape is, as its attributes say.

    Args:
        attributes: name to value.
        asked: the only attribute to look at; None: those that usually say it.
    """
    for name in _NAMED if asked is None else (asked,):
        value = attributes.get(name)
        if isinstance(value, (str, int)) and not isinstance(value, bool) and str(value).strip():
            return str(value).strip()[:100]
    return None


def _owner(drawn: Drawn, number: int) -> tuple[str, str]:
    if drawn.identity is not None:
        return "identity", drawn.identity
    return ("joined", drawn.joined) if drawn.joined is not None else ("shape", str(number))

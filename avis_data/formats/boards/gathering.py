"""The masks of a clip as a reader finds them, mask by mask, with everything that is wrong with them."""

from __future__ import annotations

from dataclasses import dataclass, field

from avis_data.errors import DataError, Problem
from avis_data.formats.sets.clips import LabelledTrack, too_many
from avis_data.masks.rle import Rle, area

__all__ = ["Gathered", "flag_of"]


@dataclass(kw_only=True)
class _Object:
    category: str | None
    masks: list[Rle | None]
    sounding: list[bool | None]
    said_in: str
    """Where its category was first said."""


@dataclass(kw_only=True)
class Gathered:
    """What is known of one clip so far.

    Example:
        >>> gathered = Gathered(num_stills=2)
        >>> gathered.add("1", 0, Rle(2, 3, "06"), category="dog", where="a.json")
        >>> gathered.add("1", 0, Rle(2, 3, "06"), category="cat", where="a.json")
        >>> [str(problem) for problem in gathered.problems]  # doctest: +NORMALIZE_WHITESPACE
        ["a.json: track 1: has the category 'cat' here and 'dog' in a.json",
         'a.json: track 1: has a second mask in one still']
        >>> [(track.track_id, track.frames) for track in gathered.tracks()]
        [('1', (0,))]
    """

    num_stills: int
    problems: list[Problem] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    _objects: dict[str, _Object] = field(default_factory=dict)
    _is_full: bool = False

    def problem(self, where: str, name: str, message: str) -> None:
        """Note something wrong: where (file, line or path inside), which field, and what."""
        self.problems.append(Problem(where, name, message))

    def track(self, track_id: str, category: str | None, where: str) -> None:
        """Note that there is a track, even if it has no mask; one that has two categories is wrong."""
        known = self._objects.get(track_id)
        if known is None and (fault := too_many(len(self._objects) + 1, self.num_stills)) is not None:
            if not self._is_full:
                self.problem(where, "", fault)
            self._is_full = True
        elif known is None:
            nothing: list[None] = [None] * self.num_stills
            self._objects[track_id] = _Object(
                category=category, masks=list(nothing), sounding=list(nothing), said_in=where
            )
        elif known.category != category:
            message = f"has the category {category!r:.60} here and {known.category!r:.60} in {known.said_in}"
            self.problem(where, f"track {track_id}", message)

    def add(
        self, track_id: str, still: int, mask: Rle, *, category: str | None, where: str, sounding: bool | None = None
    ) -> None:
        """Take in the mask of a track in a still, counted from 0. A mask of no pixels says that it is not there."""
        self.track(track_id, category, where)
        known = self._objects.get(track_id)
        if known is None:
            return
        if known.masks[still] is not None:
            self.problem(where, f"track {track_id}", "has a second mask in one still")
        try:
            if area(mask):
                known.masks[still], known.sounding[still] = mask, sounding
        except DataError as error:
            self.problem(where, f"track {track_id}", str(error))

    def tracks(self) -> tuple[LabelledTrack, ...]:
        """All tracks, sorted by their ids."""
        return tuple(
            LabelledTrack(
                track_id=track_id,
                category=known.category,
                masks=tuple(known.masks),
                sounding=tuple(known.sounding),
            )
            for track_id, known in sorted(self._objects.items())
        )


def flag_of(value: object) -> bool | None:
    """Whether a value of a file says that something sounds; null and `unknown` say that nobody knows.

    Raises:
        DataError: if it says neither.

    Example:
        >>> flag_of(True), flag_of("false"), flag_of(None)
        (True, False, None)
    """
    known = {"true": True, "false": False, "1": True, "0": False, "none": None, "unknown": None, "": None}
    text = str(value).lower()
    if isinstance(value, (bool, int, str, type(None))) and text in known:
        return known[text]
    raise DataError(f"must be true, false or null (found {value!r:.40})")

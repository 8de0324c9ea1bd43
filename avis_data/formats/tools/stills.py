"""Which stills are of one clip, and their pictures, for the files of labelling tools."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from avis_data.errors import DataError, Problem
from avis_data.formats.sets.clips import Media
from avis_data.formats.sets.files import picture_size
from avis_data.formats.sets.layout import PICTURES

__all__ = ["Pictures", "clips_by_folder", "one_size", "size_problem"]

_GENERIC = {"images", "image", "imgs", "img", "frames", "frame", "stills", "labels", "annotations", "json", "data"}
"""Folders that say nothing of a clip."""


def clips_by_folder(paths: Sequence[PurePosixPath], usual: str) -> dict[str, list[int]]:
    """Names of clips to the places of their stills in `paths`: a clip is a folder.

    Args:
        paths: of stills, relative.
        usual: the name of a clip whose stills lie in no folder that says one.

    Example:
        >>> clips_by_folder([PurePosixPath(name) for name in ("a/frames/0.jpg", "b/0.jpg", "1.jpg")], "set")
        {'a': [0], 'b': [1], 'set': [2]}
    """
    parts = [[part for part in path.parent.parts if part.lower() not in _GENERIC] for path in paths]
    folders = {tuple(found) for found in parts}
    times = Counter(folder[-1] for folder in folders if folder)
    groups: dict[str, list[int]] = defaultdict(list)
    for place, folder in enumerate(parts):
        groups[(folder[-1] if times[folder[-1]] == 1 else "_".join(folder)) if folder else usual].append(place)
    return dict(groups)


class Pictures:
    """The pictures of a set, found by their names; each folder is listed once, whatever number of stills it has."""

    def __init__(self) -> None:
        self._listed: dict[Path, frozenset[str]] = {}

    def named(self, folders: Sequence[Path], name: PurePosixPath) -> Media | None:
        """The picture of that name; else of the same name with another ending, in upper or lower case.

        Args:
            folders: where it may be, the likeliest first.
            name: relative to each of them.

        Returns:
            None where there is none.
        """
        stem = name.name.removesuffix(name.suffix) if name.suffix else name.name
        places = [(place, self._names_in(place)) for place in (folder / name.parent for folder in folders)]
        for ending in (name.suffix, *_ENDINGS):
            for place, names in places:
                if stem + ending in names:
                    return Media(name=stem + ending, path=place / (stem + ending))
        return None

    def _names_in(self, place: Path) -> frozenset[str]:
        if place not in self._listed:
            try:
                with os.scandir(place) as entries:
                    self._listed[place] = frozenset(entry.name for entry in entries if entry.is_file())
            except (OSError, ValueError):  # no folder, or a name that the file system does not take
                self._listed[place] = frozenset()
        return self._listed[place]


_ENDINGS = (*PICTURES, *(ending.upper() for ending in PICTURES))


def size_problem(picture: Media | None, size_wh: tuple[int, int], where: str) -> Problem | None:
    """What is wrong where a picture has not the size that its labels say."""
    if picture is None:
        return None
    try:
        found = picture_size(picture)
    except DataError as error:
        return Problem(where, "", str(error))
    if found == size_wh:
        return None
    said = f"{size_wh[0]} x {size_wh[1]}"
    return Problem(where, "", f"the picture {picture.name} has {found[0]} x {found[1]} pixels, its labels say {said}")


def one_size(sizes: Iterable[tuple[str, tuple[int, int]]]) -> tuple[tuple[int, int] | None, list[Problem]]:
    """The one width and height of all stills; None with what is wrong where they have several.

    Args:
        sizes: where it is said, and width and height.
    """
    first: dict[tuple[int, int], str] = {}
    for where, size_wh in sizes:
        first.setdefault(size_wh, where)
    if len(first) == 1:
        return next(iter(first)), []
    said = " and ".join(f"{wide} x {tall} ({where})" for (wide, tall), where in list(first.items())[:3])
    message = f"the stills of a clip must have one size, these have {said}" if first else "the size is not said"
    return None, [Problem("", "size", message)]

"""Which stills are of one clip, and their pictures, for the files of labelling tools."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from avis_data.errors import DataError, Problem
from avis_data.formats.sets.clips import Media
from avis_data.formats.sets.files import picture_size
from avis_data.formats.sets.layout import PICTURES, picture_file

__all__ = ["clips_by_folder", "named_picture", "one_size", "size_problem"]

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


def named_picture(folders: Sequence[Path], name: PurePosixPath) -> Media | None:
    """The picture of that name; else of the same name with another ending, upper or lower case; None: there is none."""
    endings = [name.suffix, *PICTURES, *(ending.upper() for ending in PICTURES)]
    stem = name.name.removesuffix(name.suffix) if name.suffix else name.name
    for ending in endings:
        found = picture_file(folders, name.with_name(stem + ending))
        if found is not None:
            return found
    return None


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

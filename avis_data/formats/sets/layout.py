"""Files and names in folders of strangers: which picture a name means, which split a folder is, whose a still is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from avis_data.errors import DataError
from avis_data.formats.sets.clips import Media, Still
from avis_data.formats.sets.files import natural
from avis_data.records import SplitName

__all__ = [
    "PICTURES",
    "UNKNOWN",
    "clip_called",
    "clip_of_name",
    "foreign_path",
    "picture_file",
    "pictures_in",
    "put_still",
    "roboflow_name",
    "set_name",
    "split_of",
    "still_name",
    "unique_names",
]

PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
"""Endings of pictures, in lower case."""
UNKNOWN = "unknown"
"""What a category is called, in formats that must have one, of which nobody said what it is; read back as None."""
_SPLITS: dict[str, SplitName] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
_GENERIC = {"", "frame", "frames", "image", "images", "img", "still", "im"}
"""What stands before the number of a still without being the name of its clip."""


def foreign_path(text: str) -> PurePosixPath:
    r"""A path that a file of others names, relative and with `/`; of absolute ones and of Windows drives the last part.

    Raises:
        DataError: if it is empty or leads out of its folder.

    Example:
        >>> foreign_path("clip_a\\00001.jpg").as_posix(), foreign_path("C:\\data\\a.png").as_posix()
        ('clip_a/00001.jpg', 'a.png')
    """
    path = PurePosixPath(text.replace("\\", "/"))
    if "\0" in text or not path.name or ".." in path.parts:
        raise DataError(f"is no path inside the set (found {text!r:.80})")
    return PurePosixPath(path.name) if path.is_absolute() or ":" in path.parts[0] else path


def clip_called(text: str) -> str:
    r"""The clip that a video or task of that name is: `dog.mp4` is the clip `dog`, wherever the video lies.

    Example:
        >>> clip_called("C:\\videos\\dog.MP4"), clip_called("dog 1.2")
        ('dog', 'dog 1.2')
    """
    path = PurePosixPath(text.replace("\\", "/"))
    return path.stem if path.suffix.lower() in _VIDEOS else text


_VIDEOS = {".mp4", ".mkv", ".webm", ".avi", ".mov", ".m4v", ".mpg", ".mpeg"}


def roboflow_name(path: PurePosixPath) -> PurePosixPath:
    """The path of a picture as it was called before Roboflow gave it a name; others as they are.

    Example:
        >>> roboflow_name(PurePosixPath("dog_mp4-0012_jpg.rf.0a1b2c3d9.jpg")).as_posix()
        'dog-0012.jpg'
    """
    found = _ROBOFLOW.fullmatch(path.name)
    return path if found is None else path.with_name(f"{found['clip']}{found['rest'] or ''}.{found['kind']}")


_ROBOFLOW = re.compile(
    r"(?P<clip>.+?)(?:_(?:mp4|mov|avi|mkv|webm)(?=-\d))?(?P<rest>-\d+)?"
    r"_(?P<kind>jpe?g|png|webp|bmp|tiff?)\.rf\.[0-9A-Za-z]{4,64}\.\w+",
    re.IGNORECASE,
)


def picture_file(folders: Iterable[Path], name: PurePosixPath) -> Media | None:
    """The picture of that name in the first of some folders that has it; None: none has."""
    for folder in folders:
        path = folder / name
        try:
            if path.is_file():
                return Media(name=name.name, path=path)
        except OSError:  # a name that the file system does not take
            return None
    return None


def pictures_in(folder: Path, endings: Sequence[str] = PICTURES) -> list[Path]:
    """The pictures directly in a folder, in the order of the numbers in their names; none where there is no folder."""
    if not folder.is_dir():
        return []
    found = [path for path in folder.iterdir() if path.suffix.lower() in endings and not path.name.startswith(".")]
    return sorted(found, key=lambda path: natural(path.stem))


def split_of(text: str) -> SplitName | None:
    """The split that the name of a file or folder speaks of; None: none.

    Example:
        >>> split_of("instances_val2017"), split_of("valid"), split_of("clips")
        ('val', 'val', None)
    """
    for word in re.split(r"[^a-z]+", text.lower()):
        if word in _SPLITS:
            return _SPLITS[word]
    return None


def set_name(path: Path) -> str:
    """What a set is called, for a clip that has no other name: the file or folder that people named.

    Example:
        >>> set_name(Path("exports/my set.zip"))
        'my_set'
    """
    stem = path.resolve().stem if path.suffix.lower() in (".zip", ".json", ".txt") else path.resolve().name
    return still_name(stem) or "set"


def still_name(text: str) -> str:
    """A name that can be that of a file: letters, digits, `_` and `-`; all else becomes `_`.

    Example:
        >>> still_name("frame 12.rf")
        'frame_12_rf'
    """
    return re.sub(r"[^\w-]+", "_", text, flags=re.UNICODE)


def clip_of_name(name: PurePosixPath) -> str:
    """The clip that a picture belongs to, by its name: its folder, or what stands before the number; "": not said.

    Example:
        >>> [clip_of_name(PurePosixPath(name)) for name in ("clip_a/00001.jpg", "clip_b-12.jpg", "frame_3.jpg")]
        ['clip_a', 'clip_b', '']
    """
    if name.parent.name:
        return name.parent.as_posix()
    before = re.sub(r"\d+$", "", name.stem).rstrip("_-. ")
    return "" if before.lower() in _GENERIC else before


def unique_names(paths: Sequence[PurePosixPath | None]) -> list[str | None]:
    """The last part of each path, with the folders above it only where two different ones end in the same.

    Example:
        >>> unique_names([PurePosixPath("train/1"), PurePosixPath("val/1"), PurePosixPath("val/2"), None])
        ['train_1', 'val_1', '2', None]
    """
    full: dict[str, set[str]] = {}
    for path in paths:
        if path is not None:
            full.setdefault(path.name, set()).add(path.as_posix())
    named = (path and (path.name if len(full[path.name]) == 1 else path.as_posix().replace("/", "_")) for path in paths)
    return [name or None for name in named]


def put_still(still: Still, folder: Path, place: str) -> list[str]:
    """Write the picture of a still, with the ending that it has.

    Args:
        still: the still.
        folder: of the set that is written.
        place: the path of the picture in it, without an ending.

    Returns:
        The path in the folder; nothing where the still has no picture.

    Raises:
        DataError: if the picture cannot be read.
    """
    if still.picture is None:
        return []
    name = f"{place}{PurePosixPath(still.picture.name).suffix.lower() or '.jpg'}"
    still.picture.put(folder / name)
    return [name]

"""The files of strangers, opened so that they cannot reach further than they should: archives, XML, JSON, pictures."""

from __future__ import annotations

import io
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from avis_data.errors import DataError
from avis_data.formats.sets.clips import Media
from avis_data.masks.rle import MAX_PIXELS

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

__all__ = [
    "is_zip",
    "member_names",
    "natural",
    "numbered",
    "opened_set",
    "picture_pixels",
    "picture_size",
    "xml_events",
]

_MAX_GROWTH = 300
"""An archive that unpacks to so many times its size is a bomb; PNG masks and JSON reach 50."""
_SMALL_BYTES = 100 << 20
"""Below this, growth is not looked at: 1 MB of RLE text may well be 1 kB packed."""
_MAX_MEMBERS = 2_000_000
_ORIENTATION = 0x0112
"""The EXIF tag."""


def is_zip(path: Path) -> bool:
    """Whether a file is a ZIP archive, by its first bytes."""
    try:
        with path.open("rb") as file:
            return file.read(4) in (b"PK\x03\x04", b"PK\x05\x06")
    except OSError:
        return False


def member_names(path: Path) -> list[str]:
    """The names of the files in a ZIP archive; none where it is no archive, or a damaged one."""
    try:
        if path.is_file() and is_zip(path):
            with zipfile.ZipFile(path) as archive:
                return archive.namelist()
    except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile):
        pass
    return []


@contextmanager
def opened_set(path: Path) -> Iterator[Path]:
    """A folder or file as it is; a ZIP archive unpacked into a temporary folder for as long as the block runs.

    Raises:
        DataError: if the archive is damaged, holds a path that leads out of it or a link, or unpacks to much more
            than it should.
    """
    if path.is_dir() or not is_zip(path):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="avis-data-set-") as folder:
        _unpack(path, Path(folder))
        yield Path(folder)


def _unpack(path: Path, folder: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            _check_members(path, members)
            for member in members:
                if member.is_dir():
                    continue
                target = folder / member.filename
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(member) as source, target.open("wb") as out:
                    shutil.copyfileobj(source, out)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise DataError(f"{path}: the archive cannot be read ({error})", hint="get it again") from None


def _check_members(path: Path, members: list[zipfile.ZipInfo]) -> None:
    size = sum(member.file_size for member in members)
    if len(members) > _MAX_MEMBERS or (size > _SMALL_BYTES and size > _MAX_GROWTH * path.stat().st_size):
        raise DataError(
            f"{path}: {len(members)} files of {size / 1e6:.0f} MB in {path.stat().st_size / 1e6:.1f} MB: no set"
        )
    for member in members:
        parts = PurePosixPath(member.filename.replace("\\", "/")).parts
        kind = member.external_attr >> 28
        if not parts or ".." in parts or parts[0].startswith("/") or ":" in parts[0] or kind == 0xA:
            raise DataError(
                f"{path}: holds {member.filename!r:.80}, which leads out of the archive; nothing was unpacked"
            )


def xml_events(path: Path, *tags: str) -> Iterator[Element]:
    """The elements of an XML file that have one of these tags, as they end; each is emptied when the next is asked for.

    Raises:
        DataError: if the file is not XML, is cut off (with the line), or declares entities or a document type.
    """
    from defusedxml.common import DefusedXmlException
    from defusedxml.ElementTree import ParseError, iterparse

    try:
        with path.open("rb") as file:
            for _, element in iterparse(file, events=("end",), forbid_dtd=True):
                if element.tag in tags:
                    yield element
                    element.clear()
    except DefusedXmlException:
        raise DataError(f"{path}: declares a document type or entities; no labelling tool writes these") from None
    except ParseError as error:
        line, column = error.position
        raise DataError(f"{path}: not XML, or cut off (line {line}, column {column})", hint="export it again") from None
    except (OSError, ValueError, LookupError) as error:
        raise DataError(f"{path}: cannot be read as XML ({error})") from None


def natural(name: str) -> list[tuple[int, int, str]]:
    """A key that sorts names as people number them: `frame_2` before `frame_10`.

    Example:
        >>> sorted(["frame_10", "frame_2"], key=natural)
        ['frame_2', 'frame_10']
    """
    parts = re.split(r"(\d+)", name)
    return [(0, int(part[:18]), part) if part.isdigit() else (1, 0, part) for part in parts]


def numbered(name: str) -> int | None:
    """The number at the end of a file's name without its ending: 12 of `frame_000012`; None: there is none.

    Example:
        >>> numbered("frame_000012"), numbered("clip_7_3"), numbered("a")
        (12, 3, None)
    """
    found = re.search(r"(\d{1,12})$", name)
    return int(found.group()) if found else None


def picture_pixels(path: Path, *, modes: tuple[str, ...] = ()) -> NDArray[np.generic]:
    """The stored values of a picture, not its colours: the indices of an indexed PNG, 16 bits where there are.

    Args:
        path: of the file.
        modes: Pillow's names of the forms that are right (`P`, `L`, `I;16`, `RGB`); empty: any.

    Returns:
        (H, W), or (H, W, channels).

    Raises:
        DataError: if it is no picture, is cut off, too large, or of another form.
    """
    try:
        with Image.open(path) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise DataError(f"{path}: {picture.width} x {picture.height} pixels are too many")
            if modes and picture.mode not in modes:
                raise DataError(f"{path}: is of the form {picture.mode}, must be {' or '.join(modes)}")
            return np.asarray(picture)
    except (OSError, UnidentifiedImageError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: no picture, or cut off ({error})") from None


def picture_size(media: Media) -> tuple[int, int]:
    """Width and height of a still in pixels, as it is shown (turned where its EXIF data asks for that).

    Raises:
        DataError: if it is no picture.
    """
    try:
        with Image.open(io.BytesIO(media.read())) as picture:
            turned = picture.getexif().get(_ORIENTATION, 1) in (5, 6, 7, 8)
            return (picture.height, picture.width) if turned else (picture.width, picture.height)
    except (OSError, UnidentifiedImageError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{media.path or media.name}: no picture ({error})") from None

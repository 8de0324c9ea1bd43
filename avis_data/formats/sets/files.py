"""The files of strangers, opened so that they cannot reach further than they should: archives, XML, JSON, pictures."""

from __future__ import annotations

import errno
import io
import re
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from avis_data.errors import DataError, Problem, ProblemsError
from avis_data.formats.sets.clips import LabelledClip, Media, UnreadClip
from avis_data.masks.rle import MAX_PIXELS
from avis_data.media.stills import UNREADABLE_PICTURE

try:
    from lzma import LZMAError
except ImportError:  # a Python that was built without it says so of each such archive
    LZMAError = zlib.error  # type: ignore[misc, assignment]  # another kind of the same

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_Read = TypeVar("_Read")

__all__ = [
    "inner_folder",
    "is_zip",
    "member_ends",
    "member_names",
    "named_as_given",
    "natural",
    "numbered",
    "opened_dataset",
    "opened_set",
    "picture_pixels",
    "picture_size",
    "read_each",
    "xml_events",
]

_MAX_GROWTH = 300
"""An archive that unpacks to so many times its size is a bomb; PNG masks and JSON reach 50."""
_SMALL_BYTES = 100 << 20
"""Below this, growth is not looked at: 1 MB of RLE text may well be 1 kB packed."""
_MAX_MEMBERS = 2_000_000
_MAX_DEPTH = 100
"""Of elements of XML in one another; tools have 7."""
_LEFT_BY_SYSTEMS = re.compile(r"(^|/)(__MACOSX/|\._|\.DS_Store$)")
"""What macOS adds to archives; it looks like labels by its name."""
_UNREADABLE_ARCHIVE = (zipfile.BadZipFile, zlib.error, LZMAError, EOFError, RuntimeError, ValueError)
_UNPACKED = "avis-data-set-"
_NAMES = {errno.ENAMETOOLONG, errno.EEXIST, errno.EISDIR, errno.ENOTDIR, errno.EINVAL, errno.EILSEQ, None}
"""Of what is wrong with names of files, or (None) inside an archive; the rest is wrong with the machine."""
_ORIENTATION = 0x0112
"""The EXIF tag."""


def read_each(files: Sequence[Path], read: Callable[[Path], _Read]) -> tuple[list[_Read], list[UnreadClip]]:
    """What is read of the files of one set; those that cannot be read, each under its name. The others go on.

    Raises:
        DataError: if none can be read: then it is no set of this format.
    """
    found: list[_Read] = []
    broken: list[UnreadClip] = []
    first: DataError | None = None
    for file in files:
        try:
            found.append(read(file))
        except DataError as error:
            first = first or error
            faults = error.problems if isinstance(error, ProblemsError) else []
            told = Problem(str(file), "", str(error.args[0]).removeprefix(f"{file}: "))
            broken.append(UnreadClip(name=file.name, problems=tuple(faults) or (told,)))
    if first is not None and not found:
        raise first
    return found, broken


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


def member_ends(path: Path, name: str, num_bytes: int) -> bytes:
    """So many bytes of the beginning and of the end of a file in a ZIP archive; none where it cannot be read."""
    try:
        with zipfile.ZipFile(path) as archive, archive.open(name) as file:
            first, last = file.read(num_bytes), b""
            while block := file.read(num_bytes):
                last = last[-num_bytes:] + block
            return first + last[-num_bytes:]
    except (*_UNREADABLE_ARCHIVE, KeyError, NotImplementedError, OSError):
        return b""


def inner_folder(root: Path) -> Path:
    """Where the files of an unpacked archive begin: below the folders that hold nothing but one folder.

    Example:
        >>> from tempfile import mkdtemp
        >>> folder = Path(mkdtemp())
        >>> (folder / "AVISeg" / "train").mkdir(parents=True)
        >>> (folder / "AVISeg" / "train.json").touch()
        >>> inner_folder(folder).name
        'AVISeg'
    """
    inside = list(root.iterdir()) if root.is_dir() else []
    return inner_folder(inside[0]) if len(inside) == 1 and inside[0].is_dir() else root


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
    with tempfile.TemporaryDirectory(prefix=_UNPACKED) as folder:
        _unpack(path, Path(folder))
        yield Path(folder)


@contextmanager
def opened_dataset(path: Path) -> Iterator[Path]:
    """A dataset's folder or truth file as it is; of an archive NAME.zip the folder in it, while the block runs.

    What is a ZIP archive under another name is none: whoever reads it says what it is.

    Raises:
        DataError: as `opened_set` does.
    """
    if path.suffix.lower() != ".zip":
        yield path
        return
    with opened_set(path) as unpacked:
        yield path if unpacked == path else inner_folder(unpacked)


def named_as_given(clips: Iterator[LabelledClip | UnreadClip], path: Path) -> Iterator[LabelledClip | UnreadClip]:
    """The clips of a set; what is wrong in an archive is told as `labels.zip/a.json`, not where it was unpacked.

    Raises:
        DataError: as the reader does.
    """
    folder = re.escape(str(Path(tempfile.gettempdir()) / _UNPACKED)) + r"[^/\\:]+[/\\]"
    given = str(path).replace("\\", r"\\")

    def told(text: str) -> str:
        return re.sub(folder, f"{given}/", text)

    try:
        for clip in clips:
            if isinstance(clip, UnreadClip):
                faults = (Problem(told(fault.where), fault.field, told(fault.message)) for fault in clip.problems)
                yield replace(clip, problems=tuple(faults))
            else:
                yield replace(clip, remarks=tuple(map(told, clip.remarks)))
    except DataError as error:
        error.args = (told(str(error.args[0])), *error.args[1:])
        raise


def _unpack(path: Path, folder: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            _check_members(path, members)
            for member in members:
                name = member.filename.replace("\\", "/")  # as programs of Windows write it
                if name.endswith("/") or _LEFT_BY_SYSTEMS.search(name):
                    continue
                target = folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(member) as source, target.open("wb") as out:
                    shutil.copyfileobj(source, out)
    except _UNREADABLE_ARCHIVE as error:
        raise DataError(f"{path}: the archive cannot be read ({error})", hint="get it again") from None
    except OSError as error:
        if error.errno not in _NAMES:
            raise
        told = f"{name!r:.80}: {error.strerror}" if error.errno else str(error)
        raise DataError(f"{path}: the archive cannot be read ({told})", hint="get it again") from None


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
            depth = 0
            for event, element in iterparse(file, events=("start", "end"), forbid_dtd=True):
                depth += 1 if event == "start" else -1
                if depth > _MAX_DEPTH:
                    raise DataError(f"{path}: more than {_MAX_DEPTH} elements lie in one another; no tool writes that")
                if event == "end" and element.tag in tags:
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
    return [(0, int(part[:18]), part) if part.isdecimal() else (1, 0, part) for part in parts]


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
    except UNREADABLE_PICTURE as error:
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
    except UNREADABLE_PICTURE as error:
        raise DataError(f"{media.path or media.name}: no picture ({error})") from None

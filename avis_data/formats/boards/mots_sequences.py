"""Where the sequences of a MOTS set are, in the layouts of KITTI, MOTSChallenge and datumaro, and how long they are."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from PIL import Image

from avis_data.formats.boards.mots_writing import TRACK_COLUMNS, TRACKS
from avis_data.formats.sets.layout import pictures_in, set_name, split_of, unique_names
from avis_data.media.stills import UNREADABLE_PICTURE
from avis_data.records import SplitName

__all__ = ["LINE", "SIXTEEN_BITS", "MotsSequence", "SetFiles", "find_sequences", "known_files", "text_of"]

LINE = re.compile(r"^(\d{1,9}) (\d{1,9}) (\d{1,9}) (\d{1,9}) (\d{1,9}) (\S+)$")
"""frame, id, class, height, width, run lengths."""
_POLYGONS = re.compile(r"^\d+ \d+ \d+ \d+ \d+ \[\[")
"""What X-AnyLabeling calls MOTS; told line by line."""
_NO_SEQUENCE = re.compile(r"labels|classes|seqmap|readme|requirements", re.IGNORECASE)
_FOLDERS_OF_TEXT = ("instances_txt", "gt", "label_02")
_FOLDERS_OF_PICTURES = ("instances", "gt")
SIXTEEN_BITS = ("I;16", "I;16B", "I;16L", "I")


@dataclass(kw_only=True)
class MotsSequence:
    """The files of one sequence."""

    place: PurePosixPath
    """Its name, after the folders above it that say something."""
    files: list[Path]
    """One text, or a picture for each frame; none: it has only stills."""
    stills: list[Path]
    name: str = ""
    split: SplitName | None = None

    @property
    def is_text(self) -> bool:
        """Whether its masks are lines."""
        return any(file.suffix == ".txt" for file in self.files)


@dataclass(kw_only=True)
class SetFiles:
    """What the files beside the masks say of a whole set."""

    lengths: dict[str, tuple[int, int]] = field(default_factory=dict)
    """First and last frame of a sequence."""
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Height and width."""
    names: dict[tuple[str, str], str] = field(default_factory=dict)
    """What an object is called outside of MOTS, by sequence and id."""
    first_frame: int = 0
    """Where counting begins: 1 in MOTSChallenge."""


def find_sequences(root: Path, given: Path) -> list[MotsSequence]:
    """The sequences in a folder, sorted by their names.

    Args:
        root: the folder, or one text file.
        given: what people named; a sequence that has no name of its own is called like it.
    """
    texts = list(_texts(root))
    found = texts or list(_pictures(root))
    if root.is_dir():
        found += list(_only_stills(root, found))
    for sequence in found:
        name = sequence.place.as_posix()
        if not sequence.place.name or (split_of(name) and name.isalpha()):  # only the folder of a split
            sequence.place /= set_name(given)
        sequence.split = split_of(sequence.place.parent.as_posix())
    for sequence, unique in zip(found, unique_names([sequence.place for sequence in found]), strict=True):
        sequence.name = unique or "set"
    return sorted(found, key=lambda sequence: sequence.name)


def _texts(root: Path) -> Iterator[MotsSequence]:
    files = [root] if root.is_file() and root.suffix == ".txt" else sorted(root.rglob("*.txt"))
    right = {file.parent for file in files if _is_text(file)}
    for file in files:
        if file.parent in right and file.is_file() and not _NO_SEQUENCE.search(file.stem):
            place = file.parent if file.stem == "gt" and file.parent.name == "gt" else file.with_suffix("")
            relative = place.relative_to(root if root.is_dir() else root.parent)
            path = PurePosixPath(*(part for part in relative.parts if part not in _FOLDERS_OF_TEXT))
            yield MotsSequence(place=path, files=[file], stills=_stills_of(root, file.parent, path.name))


def _is_text(file: Path) -> bool:
    """Whether a file has such a line, or stands where only such files are."""
    if _NO_SEQUENCE.search(file.stem) or not file.is_file():
        return False
    if file.parent.name == "instances_txt":
        return True
    try:
        with file.open(encoding="utf-8", errors="replace") as lines:
            starts = [line.rstrip("\r\n") for line, _ in zip(lines, range(20), strict=False)]
            return any(LINE.match(line) or _POLYGONS.match(line) for line in starts)
    except OSError:
        return False


def _pictures(root: Path) -> Iterator[MotsSequence]:
    folders = sorted({file.parent for file in root.rglob("*.png")}) if root.is_dir() else []
    for folder in folders:
        pictures = pictures_in(folder, (".png",))
        above = folder.relative_to(root).parts
        if not (any(part in ("instances",) for part in (*above, root.name)) or _has_16_bits(pictures)):
            continue
        path = PurePosixPath(*(part for part in above if part not in _FOLDERS_OF_PICTURES))
        yield MotsSequence(place=path, files=pictures, stills=_stills_of(root, folder, folder.name))


def _has_16_bits(pictures: list[Path]) -> bool:
    for file in pictures[:1]:
        try:
            with Image.open(file) as picture:
                return picture.mode in SIXTEEN_BITS
        except UNREADABLE_PICTURE:
            return False
    return False


def _stills_of(root: Path, folder: Path, name: str) -> list[Path]:
    """The stills of a sequence, in one of the places where the layouts have them."""
    flat = ("images",) if folder.name == "instances" else ()
    for base in (folder, *folder.parents):
        for place in (f"images/{name}", f"image_02/{name}", f"{name}/img1", "img1", *flat):
            if stills := pictures_in(base / place):
                return stills
        if base == root:
            break
    return []


def _only_stills(root: Path, found: list[MotsSequence]) -> Iterator[MotsSequence]:
    """Clips of a hidden test set: stills, and no masks."""
    taken = {sequence.stills[0].parent for sequence in found if sequence.stills}
    for name in ("images", "image_02"):
        for images in sorted(root.rglob(name)) if found else []:
            for folder in sorted(images.iterdir() if images.is_dir() else []):
                if folder not in taken and (stills := pictures_in(folder)):
                    above = images.relative_to(root).parent
                    yield MotsSequence(place=PurePosixPath(above.as_posix()) / folder.name, files=[], stills=stills)


def known_files(root: Path, sequences: list[MotsSequence]) -> SetFiles:
    """What seqmaps and `seqinfo.ini` say, and where frames are counted from."""
    known = SetFiles()
    for file in sorted(root.rglob("*seqmap*")) if root.is_dir() else []:
        for line in text_of(file).splitlines():
            parts = line.split()
            if len(parts) == 4 and parts[2].isdecimal() and parts[3].isdecimal():
                known.lengths[parts[0]] = (int(parts[2][:9]), int(parts[3][:9]))
    firsts = [_first_frame(sequence.files[0]) for sequence in sequences if sequence.is_text]
    known.first_frame = 1 if firsts and min(firsts) >= 1 else 0
    for file in sorted(root.rglob("seqinfo.ini")) if root.is_dir() else []:
        said = dict(re.findall(r"^(\w+)=(\d{1,9})\s*$", text_of(file), flags=re.MULTILINE))
        if "seqLength" in said:
            first = known.first_frame
            known.lengths[file.parent.name] = (first, first + int(said["seqLength"]) - 1)
        if "imHeight" in said and "imWidth" in said:
            known.sizes[file.parent.name] = (int(said["imHeight"]), int(said["imWidth"]))
    for file in sorted(root.rglob(TRACKS)) if root.is_dir() else []:
        try:
            rows = list(csv.DictReader(text_of(file).splitlines()))
        except csv.Error:  # then objects are called by their numbers
            rows = []
        for row in rows:
            sequence, number, name = (row.get(column) or "" for column in TRACK_COLUMNS)
            if name:
                known.names[sequence, number] = name
    return known


def text_of(file: Path) -> str:
    """The text of a file, with `�` for what is no text; "" where it cannot be read."""
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _first_frame(file: Path) -> int:
    """The lowest frame that a text names; 1 where it names none, which says nothing."""
    frames = [int(found[1]) for line in text_of(file).splitlines() if (found := LINE.match(line))]
    return min(frames, default=1)

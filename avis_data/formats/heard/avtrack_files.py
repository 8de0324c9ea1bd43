"""The files of AVTrack read: a list of videos, and pictures of masks that are matched by the numbers in their names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avis_data.errors import DataError, Problem
from avis_data.formats.heard.avtrack import META
from avis_data.formats.sets.clips import LabelledClip, LabelledTrack, Media, Still, UnreadClip
from avis_data.formats.sets.files import natural, numbered, picture_pixels
from avis_data.formats.ytvis_values import shown
from avis_data.io import read_json
from avis_data.masks.rle import Rle, check_size, encode

__all__ = ["read_avtrack"]

_PERSON = "person"
_ONE_BY_ONE, _MERGED = "Instance_Masks", "Instance_Masks_merged"


def read_avtrack(path: Path) -> Iterator[LabelledClip | UnreadClip]:
    """The videos of a folder, in the order of their names.

    Raises:
        DataError: if there is no list of videos, or it is none.
    """
    raw = read_json(path / META)
    videos = raw.get("videos") if isinstance(raw, dict) else None
    if not isinstance(videos, list):
        raise DataError(f"{path / META}: must have a list of videos")
    annotated = "annotations" in raw and (path / _ONE_BY_ONE).is_dir() | (path / _MERGED).is_dir()
    readings = [_Reading(root=path, where=f"{path / META}: videos[{n}]", raw=entry) for n, entry in enumerate(videos)]
    times = Counter(reading.name for reading in readings)
    for reading in sorted(readings, key=lambda reading: reading.name):
        if times[reading.name] > 1:
            reading.problem("file_names", f"{reading.name!r:.60} is the folder of several videos")
        yield reading.result(has_truth=annotated)


@dataclass(kw_only=True)
class _Reading:
    """One video while it is read."""

    root: Path
    where: str
    raw: object
    name: str = ""
    stills: list[str] = field(default_factory=list)
    height: int = 0
    width: int = 0
    problems: list[Problem] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.name = self.where.rpartition(" ")[2]
        if not isinstance(self.raw, dict):
            self.problem("", f"must be an object (found {self.raw!r:.40})")
            return
        names = self.raw.get("file_names")
        if not isinstance(names, list) or not names or not all(_is_inside(name) for name in names):
            told = shown(self.raw, "file_names")
            self.problem("file_names", f"must be a list of names <video>/<frame> inside the set ({told})")
        else:
            self.stills = names
            self.name = names[0].split("/")[0]
        height, width = self.raw.get("height"), self.raw.get("width")
        if type(height) is not int or type(width) is not int:
            self.problem("height and width", f"must be whole numbers ({height!r:.40} and {width!r:.40})")
            return
        try:
            check_size(height, width)
            self.height, self.width = height, width
        except DataError as error:
            self.problem("height and width", str(error.args[0]))

    def problem(self, name: str, message: str) -> None:
        """Note something that is wrong."""
        self.problems.append(Problem(self.where, name, message))

    def result(self, *, has_truth: bool) -> LabelledClip | UnreadClip:
        """The clip, or all that is wrong with it."""
        tracks = [] if self.problems else [*self._one_by_one(), *self._merged()]
        if self.problems:
            return UnreadClip(name=self.name, problems=tuple(self.problems))
        return LabelledClip(
            name=self.name,
            width=self.width,
            height=self.height,
            stills=tuple(self._still(place, name) for place, name in enumerate(self.stills)),
            tracks=tuple(sorted(tracks, key=lambda track: track.track_id)),
            has_truth=has_truth,
            sound=self._sound(),
            label_files=(self.root / META, *self.files),
            split="test",
        )

    def _still(self, place: int, name: str) -> Still:
        path = self.root / "Images" / name
        picture = Media(name=path.name, path=path) if path.is_file() else None
        return Still(name=path.stem, number=place, picture=picture)

    def _sound(self) -> Media | None:
        path = self.root / "Audios" / f"{self.name}.wav"
        return Media(name=path.name, path=path) if path.is_file() else None

    def _one_by_one(self) -> Iterator[LabelledTrack]:
        """A folder for each person."""
        folder = self.root / _ONE_BY_ONE / self.name
        people = sorted((path for path in folder.glob("*") if path.is_dir()), key=lambda path: natural(path.name))
        for person in people:
            found = {place: pixels for place, pixels in self._pictures(person)}
            if any((pixels > 0).any() for pixels in found.values()):
                yield self._track(person.name, {place: _mask(pixels > 0) for place, pixels in found.items()})

    def _merged(self) -> Iterator[LabelledTrack]:
        """One grey value for each person, where there are no folders of people."""
        if (self.root / _ONE_BY_ONE / self.name).is_dir():
            return
        found = {place: pixels for place, pixels in self._pictures(self.root / _MERGED / self.name)}
        values = sorted({int(value) for pixels in found.values() for value in np.unique(pixels)} - {0})
        for number, value in enumerate(values):
            masks = {place: _mask(pixels == value) for place, pixels in found.items()}
            yield self._track(f"person_{number}", masks)

    def _track(self, name: str, masks: dict[int, Rle | None]) -> LabelledTrack:
        found = tuple(masks.get(place) for place in range(len(self.stills)))
        sounding = tuple(None if mask is None else True for mask in found)
        return LabelledTrack(track_id=name, category=_PERSON, masks=found, sounding=sounding)

    def _pictures(self, folder: Path) -> Iterator[tuple[int, NDArray[np.integer]]]:
        """The masks of a folder with the place of their still, by the number in their names."""
        taken: dict[int, Path] = {}
        for file in sorted(folder.glob("*.png")):
            place = numbered(file.stem)
            if place is None or place >= len(self.stills):
                self._fault(file, f"is of no still: the video has {len(self.stills)}, counted from 0")
            elif place in taken:
                self._fault(file, f"is of the same still as {taken[place].name}")
            elif (pixels := self._pixels(file)) is not None:
                taken[place] = file
                self.files.append(file)
                yield place, pixels

    def _pixels(self, file: Path) -> NDArray[np.integer] | None:
        try:
            pixels = picture_pixels(file)
        except DataError as error:
            self._fault(file, str(error.args[0]).removeprefix(f"{file}: "))
            return None
        if pixels.shape[:2] != (self.height, self.width):
            found = f"{pixels.shape[1]} x {pixels.shape[0]}"
            self._fault(file, f"has {found} pixels, the video {self.width} x {self.height}")
            return None
        grey = pixels if pixels.ndim == 2 else pixels[..., :3].max(axis=2)
        return grey.astype(np.int64)

    def _fault(self, file: Path, message: str) -> None:
        self.problems.append(Problem(str(file), "", message))


def _mask(inside_HW: NDArray[np.bool_]) -> Rle | None:
    return encode(inside_HW) if inside_HW.any() else None


def _is_inside(name: object) -> bool:
    """Whether a name is `<video>/<frame>` and leads nowhere else."""
    if not isinstance(name, str) or "\0" in name or "\\" in name:
        return False
    parts = name.split("/")
    return len(parts) >= 2 and all(part not in ("", ".", "..") for part in parts)

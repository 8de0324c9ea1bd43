"""MOTS read: each sequence is a clip, its objects are lines of text or values of 16-bit pictures.

Text wins where a set has text and pictures: they say the same. A frame without objects has no line, so how long a
sequence is comes from its stills, a seqmap or `seqinfo.ini`; where none of these is there, from its last line.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from avis_data.errors import DataError
from avis_data.formats.boards.gathering import Gathered
from avis_data.formats.boards.mots_sequences import (
    LINE,
    SIXTEEN_BITS,
    MotsSequence,
    SetFiles,
    find_sequences,
    known_files,
    text_of,
)
from avis_data.formats.boards.mots_writing import IGNORED
from avis_data.formats.sets.clips import LabelledClip, Media, Still, UnreadClip
from avis_data.formats.sets.files import numbered, opened_set, picture_pixels, picture_size
from avis_data.formats.sets.layout import UNKNOWN
from avis_data.masks.rle import Rle, check_size, encode

__all__ = ["read_mots"]

_MOST_FRAMES = 200_000
_KITTI = {1: "car", 2: "pedestrian", IGNORED: "ignore"}


def read_mots(path: Path) -> Iterator[LabelledClip | UnreadClip]:
    """The clips of a folder, a text file or an archive, in the order of their names.

    Raises:
        DataError: if there is nothing of this format.
    """
    with opened_set(path) as root:
        if not root.exists():
            raise DataError(f"{path}: no such file or folder")
        sequences = find_sequences(root, path)
        if not any(sequence.files for sequence in sequences):
            raise DataError(
                f"{path}: holds no MOTS: neither lines `frame id class height width rle` nor 16-bit pictures"
            )
        known = known_files(root, sequences)
        for sequence in sequences:
            yield _Reading(sequence=sequence, known=known, root=root).result()


@dataclass(kw_only=True)
class _Reading:
    """One sequence while it is read."""

    sequence: MotsSequence
    known: SetFiles
    root: Path

    def result(self) -> LabelledClip | UnreadClip:
        """The clip, or all that is wrong with it."""
        sequence = self.sequence
        self.size: tuple[int, int] | None = None
        self.num_ignored = 0
        self.problems = Gathered(num_stills=0)
        self.classes = self._classes()
        lines = self._lines() if sequence.is_text else []
        self._check_pictures()
        frames = self._frames([frame for _, frame, *_ in lines])
        place_of = {frame: place for place, frame in enumerate(frames)}
        self.gathered = Gathered(num_stills=len(frames), problems=self.problems.problems)
        for where, frame, number, class_id, mask in lines:
            if frame in place_of:
                self._add(where, place_of[frame], number, class_id, mask)
            else:
                self.gathered.problem(
                    where, "frame", f"{frame} is beyond the end of the sequence, which has {frames[-1:]}"
                )
        if not sequence.is_text:
            self._read_pictures(place_of)
        if self.size is None and not self.gathered.problems:
            self.gathered.problem(str(sequence.place), "", "neither a line nor a picture says its size")
        if self.gathered.problems or self.size is None:
            return UnreadClip(name=sequence.name, problems=tuple(self.gathered.problems))
        return self._clip(frames)

    def _clip(self, frames: list[int]) -> LabelledClip:
        assert self.size is not None
        remarks = [f"{self.num_ignored} regions to ignore left out"] if self.num_ignored else []
        labelled = {numbered(file.stem) for file in self.sequence.files}
        return LabelledClip(
            name=self.sequence.name,
            height=self.size[0],
            width=self.size[1],
            stills=tuple(self._still(frame, self.sequence.is_text or frame in labelled) for frame in frames),
            tracks=self.gathered.tracks(),
            has_truth=bool(self.sequence.files),
            split=self.sequence.split,
            label_files=tuple(self.sequence.files),
            remarks=tuple(remarks),
        )

    def _still(self, frame: int, is_labelled: bool) -> Still:
        file = self.of_number.get(frame)
        picture = None if file is None else Media(name=file.name, path=file)
        name = f"{frame:06d}" if file is None else file.stem
        return Still(name=name, number=frame, picture=picture, is_labelled=is_labelled)

    def _lines(self) -> list[tuple[str, int, int, int, Rle]]:
        """Place, frame, id, class and mask of each line that can be read."""
        found = []
        file = self.sequence.files[0]
        try:
            lines = file.read_text(encoding="utf-8").splitlines()
        except (OSError, ValueError) as error:
            self.problems.problem(str(file), "", f"cannot be read as text ({error})")
            return []
        for number, line in enumerate(lines, start=1):
            where, match = f"{file}:{number}", LINE.match(line.rstrip())
            if not line.strip():
                continue
            if match is None:
                hint = "; a polygon is no MOTS, import X-AnyLabeling's own JSON" if "[[" in line else ""
                message = f"must be `frame id class height width rle` (found {line!r:.60}){hint}"
                self.problems.problem(where, "", message)
                continue
            frame, object_id, class_id, height, width = map(int, match.groups()[:5])
            if frame > _MOST_FRAMES:
                self.problems.problem(where, "frame", f"{frame} is too high a number")
            elif self._has_size(where, height, width):
                found.append((where, frame, object_id, class_id, Rle(height, width, match[6])))
        return found

    def _has_size(self, where: str, height: int, width: int) -> bool:
        """Note the size of a mask; False, with what is wrong, where it is not that of the others."""
        try:
            check_size(height, width)
        except DataError as error:
            self.problems.problem(where, "", str(error))
            return False
        self.size = self.size or (height, width)
        if self.size != (height, width):
            told = f"{width} x {height} pixels, what came before has {self.size[1]} x {self.size[0]}"
            self.problems.problem(where, "", told)
        return self.size == (height, width)

    def _check_pictures(self) -> None:
        self.of_number = {number: file for file in self.sequence.stills if (number := numbered(file.stem)) is not None}
        for file in self.sequence.stills:
            try:
                width, height = picture_size(Media(name=file.name, path=file))
                self._has_size(str(file), height, width)
            except DataError as error:
                self.problems.problem(str(file), "", str(error))
        if self.size is None and self.sequence.name in self.known.sizes:
            self._has_size("seqinfo.ini", *self.known.sizes[self.sequence.name])

    def _frames(self, used: list[int]) -> list[int]:
        """The numbers of all frames."""
        name = self.sequence.place.name
        if not self.sequence.is_text:
            masks = {numbered(file.stem) for file in self.sequence.files} - {None}
            return sorted({number for number in masks if number is not None} | set(self.of_number))
        if self.of_number:
            return sorted(self.of_number)
        first, last = self.known.lengths.get(name, (self.known.first_frame, max(used, default=0)))
        return list(range(first, min(max(last, max(used, default=0)), _MOST_FRAMES) + 1))

    def _read_pictures(self, place_of: dict[int, int]) -> None:
        for file in self.sequence.files:
            number = numbered(file.stem)
            if number is None:
                self.gathered.problem(str(file), "", "its name does not end in the number of a frame")
                continue
            try:
                values_HW = picture_pixels(file, modes=SIXTEEN_BITS)
            except DataError as error:
                self.gathered.problem(str(file), "", str(error).removeprefix(f"{file}: "))
                continue
            if not self._has_size(str(file), *values_HW.shape):
                continue
            for value in np.unique(values_HW).tolist():
                if 0 < value < 1000:
                    told = f"{value} is no class * 1000 + instance"
                    self.gathered.problem(str(file), "value", told)
                elif value:
                    self._add(str(file), place_of[number], value, value // 1000, encode(values_HW == value))

    def _add(self, where: str, place: int, number: int, class_id: int, mask: Rle) -> None:
        if number == IGNORED * 1000 or self.classes.get(class_id) == "ignore":
            self.num_ignored += 1
            return
        category = self.classes.get(class_id, f"class_{class_id}")
        if self.is_listed and class_id not in self.classes:
            self.gathered.problem(where, "class", f"{class_id} is none of the {len(self.classes)} in labels.txt")
        name = self.known.names.get((self.sequence.place.name, str(number)), str(number))
        self.gathered.add(name, place, mask, category=None if category == UNKNOWN else category, where=where)

    def _classes(self) -> dict[int, str]:
        """The name of each class: as `labels.txt` lists them from 1, where there is one, else KITTI's."""
        first = (self.sequence.files or self.sequence.stills)[0]
        for folder in first.parents:
            file = folder / "labels.txt"
            if file.is_file():
                self.is_listed = True
                names = [line.strip() for line in text_of(file).splitlines()]
                return {number: name for number, name in enumerate(names, start=1) if name}
            if folder == self.root:
                break
        self.is_listed = False
        return _KITTI

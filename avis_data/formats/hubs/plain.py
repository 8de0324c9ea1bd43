"""A clip as plain values, which Parquet and JSON hold alike, and back, with everything that is wrong in them."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from avis_data.errors import DataError, Problem
from avis_data.formats.boards.gathering import Gathered
from avis_data.formats.sets.clips import LabelledClip, Media, Still, UnreadClip
from avis_data.formats.sets.files import numbered, picture_size
from avis_data.masks.rle import check_size, rle_from_segmentation
from avis_data.records import SplitName

__all__ = ["FoundClip", "Plain", "facts_of", "npy_array", "picture_name", "stills_of", "tracks_of"]

Plain = dict[str, object]
"""Values of JSON."""


def facts_of(clip: LabelledClip) -> Plain:
    """What is said of a clip besides its stills and tracks."""
    return {
        "width": clip.width,
        "height": clip.height,
        "fps": clip.fps,
        "has_truth": clip.has_truth,
        "has_identity": clip.has_identity,
        "license": clip.license,
        "source": clip.source,
        "url": clip.url,
        "start_s": clip.start_s,
    }


def stills_of(clip: LabelledClip) -> list[Plain]:
    """What is said of each still besides its picture."""
    return [
        {"name": still.name, "number": still.number, "time_s": still.time_s, "is_labelled": still.is_labelled}
        for still in clip.stills
    ]


def tracks_of(clip: LabelledClip) -> list[Plain]:
    """The tracks, in the form that Parquet files on hubs and tracks.json in shards have."""
    return [
        {
            "track_id": track.track_id,
            "category": track.category,
            "segmentations": [
                mask and {"size": [mask.height, mask.width], "counts": mask.counts} for mask in track.masks
            ],
            "sounding": list(track.sounding),
        }
        for track in clip.tracks
    ]


def picture_name(still: Still) -> str:
    """The bare file name of the picture of a still."""
    assert still.picture is not None
    return PurePosixPath(still.name).name + (PurePosixPath(still.picture.name).suffix.lower() or ".jpg")


def npy_array(data: bytes) -> NDArray[np.generic]:
    """The array of numbers in the bytes of a `.npy` file.

    Raises:
        DataError: if they are none, or are cut off.
    """
    file = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(file)  # type: ignore[no-untyped-call]  # NumPy has no types for these
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, is_fortran, dtype = read(file)  # type: ignore[no-untyped-call]  # likewise
        count = math.prod(shape)
        if dtype.kind not in "buif" or count * dtype.itemsize != len(data) - file.tell():
            raise ValueError(f"{dtype} {shape} in {len(data)} bytes")
        flat = np.frombuffer(data, dtype, count, file.tell())
        return flat.reshape(shape, order="F" if is_fortran else "C")
    except (ValueError, TypeError, KeyError, SyntaxError, EOFError, OverflowError, RecursionError) as error:
        raise DataError(f"is no table of numbers ({error!s:.100})") from None


@dataclass(kw_only=True)
class FoundClip:
    """A clip as a file holds it, not yet looked at."""

    name: str
    where: str
    """The file and the place in it, for people."""
    facts: Mapping[str, object]
    stills: object
    """What is said of the stills, or None."""
    pictures: Sequence[Media | None]
    """One for each still."""
    tracks: object
    split: SplitName | None
    sound: Media | None = None
    embeddings_TD: Callable[[], NDArray[np.float32]] | None = None
    problems: list[Problem] = field(default_factory=list)

    def result(self) -> LabelledClip | UnreadClip:
        """The clip, or all that is wrong with it."""
        gathered = Gathered(num_stills=len(self.pictures), problems=self.problems)
        tracks = self._listed(self.tracks, "tracks")
        size = self._size(tracks)
        stills = self._stills()
        if size is not None:
            self._check_pictures(size)
            for place, entry in enumerate(tracks):
                self._track(gathered, f"tracks[{place}]", entry, size)
        if self.problems or size is None:
            return UnreadClip(name=self.name, problems=tuple(self.problems))
        return LabelledClip(
            name=self.name,
            height=size[0],
            width=size[1],
            stills=stills,
            tracks=gathered.tracks(),
            has_truth=self.facts.get("has_truth") is not False,
            has_identity=self.facts.get("has_identity") is not False,
            fps=self._number("fps"),
            split=self.split,
            sound=self.sound,
            embeddings_TD=self.embeddings_TD,
            license=self._text("license"),
            source=self._text("source"),
            url=self._text("url"),
            start_s=self._number("start_s"),
        )

    def problem(self, name: str, message: str) -> None:
        """Note something wrong in a field."""
        self.problems.append(Problem(self.where, name, message))

    def _listed(self, value: object, name: str) -> list[object]:
        if isinstance(value, list):
            return value
        if value is not None or name == "tracks":
            self.problem(name, f"must be a list (found {value!r:.60})")
        return []

    def _size(self, tracks: list[object]) -> tuple[int, int] | None:
        """Height and width: as the clip says, else of its first mask, else of its first picture."""
        height, width = self.facts.get("height"), self.facts.get("width")
        if height is None and width is None:
            height, width = next(_sizes(tracks), (None, None))
        if height is None and width is None:
            try:
                for picture in self.pictures:
                    if picture is not None:
                        width, height = picture_size(picture)
                        break
            except DataError:  # said again for each picture, with its name
                pass
        try:
            if type(height) is not int or type(width) is not int:
                raise DataError(f"must be whole numbers (found {height!r:.40} and {width!r:.40})")
            check_size(height, width)
        except DataError as error:
            self.problem("height and width", str(error))
            return None
        return height, width

    def _check_pictures(self, size: tuple[int, int]) -> None:
        for place, picture in enumerate(self.pictures):
            if picture is None:
                continue
            try:
                found = picture_size(picture)
                if found != (size[1], size[0]):
                    told = f"the picture has {found[0]} x {found[1]} pixels, the clip {size[1]} x {size[0]}"
                    self.problem(f"still {place}", told)
            except DataError as error:
                self.problem(f"still {place}", str(error))

    def _stills(self) -> tuple[Still, ...]:
        said = self._listed(self.stills, "stills")
        if said and len(said) != len(self.pictures):
            self.problem("stills", f"{len(said)} are described, there are {len(self.pictures)}")
        stills = []
        for place, picture in enumerate(self.pictures):
            entry = said[place] if place < len(said) else None
            told: Mapping[str, object] = entry if isinstance(entry, dict) else {}
            name, number, time_s = told.get("name"), told.get("number"), told.get("time_s")
            if not isinstance(name, str) or not name:
                name = PurePosixPath(picture.name).stem if picture is not None else f"{place:05d}"
            still = Still(
                name=name,
                number=number if type(number) is int else (numbered(name) if not told else None),
                time_s=float(time_s) if isinstance(time_s, (int, float)) and _is_finite(time_s) else None,
                picture=picture,
                is_labelled=told.get("is_labelled") is not False,
            )
            stills.append(still)
        return tuple(stills)

    def _track(self, gathered: Gathered, place: str, entry: object, size: tuple[int, int]) -> None:
        if not isinstance(entry, dict):
            self.problem(place, f"must be a struct (found {entry!r:.60})")
            return
        track_id, category = entry.get("track_id"), entry.get("category")
        if type(track_id) is int:
            track_id = str(track_id)
        if not isinstance(track_id, str) or not track_id:
            self.problem(f"{place}.track_id", f"must be text (found {track_id!r:.60})")
            return
        if category is not None and not isinstance(category, str):
            self.problem(f"{place}.category", f"must be text or null (found {category!r:.60})")
            return
        gathered.track(track_id, category, self.where)
        lists: dict[str, list[object]] = {}
        for name, usual in (("segmentations", None), ("sounding", [None] * len(self.pictures))):
            value = usual if entry.get(name) is None else entry[name]
            if not isinstance(value, list) or len(value) != len(self.pictures):
                found = f"a list of {len(value)}" if isinstance(value, list) else f"{value!r:.60}"
                self.problem(f"{place}.{name}", f"must be a list of {len(self.pictures)}, one a still (found {found})")
                return
            lists[name] = [*value]
        masks, flags = lists["segmentations"], lists["sounding"]
        for number, (mask, flag) in enumerate(zip(masks, flags, strict=True)):
            where = f"{place}.segmentations[{number}]"
            if flag is not None and not isinstance(flag, bool):
                self.problem(f"{place}.sounding[{number}]", f"must be true, false or null (found {flag!r:.60})")
                continue
            try:
                if mask is not None and not isinstance(mask, dict):
                    raise DataError(f"must be an RLE or null (found {mask!r:.60})")
                rle = rle_from_segmentation(mask, height=size[0], width=size[1])
            except DataError as error:
                self.problem(where, str(error))
                continue
            if rle is not None:
                told = f"{self.where}: {where}"
                gathered.add(track_id, number, rle, category=category, where=told, sounding=flag)

    def _number(self, name: str) -> float | None:
        value = self.facts.get(name)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not _is_finite(value):
            return None
        return float(value)

    def _text(self, name: str) -> str | None:
        value = self.facts.get(name)
        return value if isinstance(value, str) else None


def _sizes(tracks: list[object]) -> Iterator[tuple[object, object]]:
    for track in tracks:
        masks = track.get("segmentations") if isinstance(track, dict) else None
        for mask in masks if isinstance(masks, list) else []:
            size = mask.get("size") if isinstance(mask, dict) else None
            if isinstance(size, list) and len(size) == 2:
                yield size[0], size[1]


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number that no float holds
        return False

"""One version of a dataset: its truth files, open, and the videos in them by their names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from avis_data.formats.ytvis_file import YtvisFile, open_ytvis
from avis_data.formats.ytvis_records import YtvisTrack, YtvisVideo
from avis_data.quality.dataset import truth_files

__all__ = ["Place", "Side", "Version", "read_version", "split_files"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Version:
    """One side: the truth of every split, by its name."""

    path: Path
    files: Mapping[str, Path]
    splits: Mapping[str, YtvisFile]

    @property
    def categories(self) -> dict[str, int]:
        """Name -> id, over all splits."""
        return {entry.name: entry.id for split in self.splits.values() for entry in split.categories}


def read_version(path: Path) -> Version:
    """The truth of a dataset: a folder with train.json, val.json, test.json, or one truth file.

    Its files are open as long as somebody holds it, and read video by video: what is wrong in a video or a track is
    said where it is compared.

    Raises:
        DataError: if there is none, or a file is no JSON.
        ProblemsError: if entries of a file are bad.
    """
    files = split_files(path)
    splits = {}
    for name, file in files.items():
        splits[name] = open_ytvis(file)
        splits[name].check()
    return Version(path=path, files=files, splits=splits)


def split_files(path: Path) -> dict[str, Path]:
    """The truth file of every split of a dataset, by the split's name.

    Raises:
        DataError: if there is none.
    """
    return {file.name.removesuffix(".gz").removesuffix(".json"): file for file in truth_files(path)}


@dataclass(frozen=True, slots=True)
class Place:
    """A video with all that a version says of it."""

    split: str
    video: YtvisVideo
    tracks: Sequence[YtvisTrack]
    names: Mapping[int, str]

    def category(self, track: YtvisTrack) -> str:
        """The name of a track's category."""
        return self.names[track.category_id]


class Side:
    """The videos of a version by their names; where two splits have one of a name, that of the later one."""

    def __init__(self, version: Version) -> None:
        """Of an open version."""
        self._splits = list(version.splits.items())
        self._categories = [{entry.id: entry.name for entry in split.categories} for _, split in self._splits]
        self._places: dict[str, int] = {}
        for number, (_, split) in enumerate(self._splits):
            for place, name in enumerate(split.names):
                if name in self._places:
                    self.get(name)  # nothing is compared with it, but it has to be sound
                self._places[name] = place * len(self._splits) + number

    @property
    def names(self) -> Set[str]:
        """Of all videos."""
        return self._places.keys()

    def get(self, name: str) -> Place | None:
        """The video of that name, or None. Raises ProblemsError if it cannot be read."""
        if name not in self._places:
            return None
        place, number = divmod(self._places[name], len(self._splits))
        split, truth = self._splits[number]
        return Place(split, *truth.clip(place), self._categories[number])

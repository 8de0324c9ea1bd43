"""A YouTube-VIS truth file that is read video by video: of a set of any size one video is in memory.

What it holds and what is wrong in it is what `read_ytvis` says of the same file. In memory are ids, names and places of
the entries, a few hundred bytes a video.
"""

from __future__ import annotations

import logging
import weakref
from array import array
from collections.abc import Iterator, Mapping, Set
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from avis_data.errors import Problem
from avis_data.formats.sets.json_tables import JsonTables, json_tables
from avis_data.formats.ytvis_entries import AnnotationEntry, EntryReader, EntryTable, KnownEntries, VideoEntry
from avis_data.formats.ytvis_parse import categories_of, check_names, read_track, read_video
from avis_data.formats.ytvis_records import YtvisTrack, YtvisVideo, problems_error
from avis_data.formats.ytvis_values import entry_name

__all__ = ["YtvisFile", "open_ytvis"]

logger = logging.getLogger(__name__)

_TABLES = ("videos", "annotations", "images")
_NO_ID = -(2**63)
"""Stands for an id that is no whole number of 63 bits; no such number is this one."""


def open_ytvis(path: Path) -> YtvisFile:
    """A truth file, open until nobody holds it or it is closed.

    Raises:
        DataError: if the file is missing or no JSON.

    Example:
        >>> file = open_ytvis(Path("example/exports/ytvis/val.json"))
        >>> [(video.name, len(tracks)) for video, tracks in file.by_video()]
        [('synth1-0001', 2), ('synth1-0005', 2)]
    """
    with ExitStack() as stack:
        tables = stack.enter_context(json_tables(path))
        return YtvisFile(tables, stack.pop_all())


@dataclass(kw_only=True)
class _Places:
    """Where the entries of `annotations` are, by their ids and their videos'."""

    ids: array[int]
    videos: array[int]
    others: list[tuple[int, object]]
    """Entries that are no objects, which have neither."""

    def note(self, place: int, entry: object) -> None:
        """Take an entry in."""
        self.ids.append(_id(entry, "id"))
        self.videos.append(_id(entry, "video_id"))
        if not isinstance(entry, dict):
            self.others.append((place, entry))


class YtvisFile:
    """The content of one truth file; see `open_ytvis`."""

    def __init__(self, tables: JsonTables, closing: ExitStack) -> None:
        """Read all but what videos and annotations hold."""
        self.path = tables.file
        self._tables = tables
        self.close = weakref.finalize(self, closing.close)
        """Closes the file."""
        self._annotations = _Places(ids=array("q"), videos=array("q"), others=[])
        others: list[tuple[int, object]] = []
        raw = tables.scan(
            {
                "videos": lambda n, entry: None if isinstance(entry, dict) else others.append((n, entry)),
                "annotations": self._annotations.note,
                "images": lambda *_: None,
            }
        )
        if isinstance(raw, dict):
            odd = {"videos": others, "annotations": self._annotations.others}
            raw |= {n: EntryTable(_Listed(tables, n), odd.get(n, ())) for n in _TABLES if tables.has(n)}
        self.is_object = isinstance(raw, dict)
        self._reader = EntryReader(raw, keep_videos=False)
        self.problems = self._reader.problems
        """All that is wrong in what was read so far."""
        self.remarks: list[Problem] = []
        """Polygons that were left out."""
        self.has_annotations = self._reader.has_annotations
        self.categories = categories_of(self._reader)
        self._places, self._indexes = array("q"), array("q")
        self.names: list[str] = []
        """Of the videos that are sound, in the order of the file."""
        self._check_videos({place for place, _ in others})
        self._known = self._reader.known()
        self._num_dropped, self._first_dropped, self._told = 0, (0, ""), False

    def __enter__(self) -> YtvisFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def num_videos(self) -> int:
        """Those that are sound."""
        return len(self._places)

    @property
    def videos(self) -> Iterator[YtvisVideo]:
        """The videos that are sound, in the order of the file."""
        return (video for _, _, video in self.video_entries())

    def video_entries(self) -> Iterator[tuple[VideoEntry, Mapping[str, Any], YtvisVideo]]:
        """The same, each with where it stands and what the file says of it."""
        for number in range(len(self._places)):
            light, raw = self._light(number)
            yield light, raw, self.video(number)

    def video(self, number: int) -> YtvisVideo:
        """One of the videos that are sound, by its number from 0."""
        light, raw = self._light(number)
        found = read_video(_nobody(), replace(light, raw=raw, file_names=raw["file_names"]))
        assert found is not None  # it was read before, and was sound
        return found

    def tracks(self) -> Iterator[tuple[AnnotationEntry, YtvisTrack]]:
        """The tracks that are sound, in the order of the file, each with its entry; once, as it notes what is wrong."""
        for entry in self._reader.annotations():
            track = read_track(self._reader, entry, self.remarks)
            if track is not None:
                yield entry, track

    def by_video(self) -> Iterator[tuple[YtvisVideo, tuple[YtvisTrack, ...]]]:
        """Every video with its tracks, in the order of the file.

        Raises:
            ProblemsError: with all that is wrong in the file, if anything is.
        """
        self.check()
        self._num_dropped = 0
        for number in range(self.num_videos):
            yield self.clip(number)
        self.warn()

    def clip(self, number: int) -> tuple[YtvisVideo, tuple[YtvisTrack, ...]]:
        """A video, by its number from 0, with its tracks.

        Raises:
            ProblemsError: with all that is wrong in the file, if anything is wrong with one of these.
        """
        video, nobody, remarks = self.video(number), _nobody(), list[Problem]()
        known = KnownEntries(videos=self._known.videos, categories=self._known.categories)
        found = []
        for place in self.places_of(video.video_id):
            raw = self._tables.entry("annotations", place)
            assert isinstance(raw, dict)  # it has a video
            entry = nobody.annotation(place, entry_name("annotations", place, raw), raw, known)
            track = None if entry is None else read_track(nobody, entry, remarks)
            if track is None or nobody.problems:
                self._refuse()
            found.append(track)
            if remarks and (not self._num_dropped or place < self._first_dropped[0]):
                self._first_dropped = place, str(remarks[0])
            self._num_dropped += len(remarks)
            remarks.clear()
        return video, tuple(track for track in found if track is not None)

    def sound_videos(self) -> Iterator[VideoEntry]:
        """Where the videos that are sound stand, and what is kept of them."""
        return (self._reader.videos[index] for index in self._indexes)

    def annotation_ids(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """int64 (N,), (N,): by place, the ids of annotations and of their videos; a number that none has for no id."""
        return np.array(self._annotations.ids, dtype=np.int64), np.array(self._annotations.videos, dtype=np.int64)

    def check(self) -> None:
        """Look for all that can be seen without reading masks.

        Raises:
            ProblemsError: with all that is wrong in the file, if anything is.
        """
        ids, owners = self.annotation_ids()
        known = np.fromiter(self._known.videos, dtype=np.int64, count=len(self._known.videos))
        if self.problems or len(np.unique(ids)) < len(ids) or not np.isin(owners, known).all():
            self._refuse()

    def warn(self) -> None:
        """Say once how many polygons were left out."""
        if self._num_dropped and not self._told:
            self._told = True
            text = "path=%s dropped_polygons=%d first=%s"
            logger.warning(text, self.path, self._num_dropped, self._first_dropped[1])

    def places_of(self, video_id: int) -> list[int]:
        """Where the annotations of a video are in their list."""
        order, owners = self._order
        first, last = np.searchsorted(owners, [video_id, video_id + 1])
        return [int(place) for place in order[first:last]]

    @cached_property
    def _order(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Places of annotations sorted by the ids of their videos, and these ids."""
        _, owners = self.annotation_ids()
        order = np.argsort(owners, kind="stable")
        return order, owners[order]

    def _light(self, number: int) -> tuple[VideoEntry, dict[str, Any]]:
        """What is kept of a video, and what the file says of it."""
        raw = self._tables.entry("videos", self._places[number])
        assert isinstance(raw, dict)  # others are not among the places
        return self._reader.videos[self._indexes[number]], raw

    def _check_videos(self, others: Set[int]) -> None:
        """Note what is wrong with what videos say of their files, and find those that are sound."""
        all_places = self._tables.places("videos")[0] if self._tables.has("videos") else ()
        places = (place for place in range(len(all_places)) if place not in others)
        for index, (light, place) in enumerate(zip(self._reader.videos, places, strict=False)):
            raw = self._tables.entry("videos", place)
            assert isinstance(raw, dict)
            entry = replace(light, raw=raw, file_names=raw["file_names"] if light.num_frames else [])
            video = read_video(self._reader, entry)
            light.sound = entry.sound
            if video is not None:
                self._places.append(place)
                self._indexes.append(index)
                self.names.append(video.name)
        check_names(self._reader, zip(self.sound_videos(), self.names, strict=True))

    def _refuse(self) -> NoReturn:
        for _ in self.tracks():
            pass
        raise problems_error(self.path, self.problems)


class _Listed:
    """A list of the file, entry by entry."""

    def __init__(self, tables: JsonTables, table: str) -> None:
        self._tables, self._table = tables, table

    def __iter__(self) -> Iterator[object]:
        for place in range(len(self._tables.places(self._table)[0])):
            yield self._tables.entry(self._table, place)


def _nobody() -> EntryReader:
    """A reader whose problems nobody reads."""
    return EntryReader({"categories": [], "videos": [], "annotations": []})


def _id(entry: object, key: str) -> int:
    value = entry.get(key) if isinstance(entry, dict) else None
    return value if type(value) is int and value.bit_length() < 64 else _NO_ID

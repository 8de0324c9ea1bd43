"""The tables of a COCO file, put together by clips, in whatever keys the tool that wrote it says what is one clip."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from avis_data.errors import DataError, Problem
from avis_data.formats.aviseg_folders import STILLS
from avis_data.formats.sets.json_tables import JsonTables
from avis_data.formats.sets.layout import (
    clip_called,
    clip_of_name,
    foreign_path,
    roboflow_name,
    set_name,
    split_of,
    still_name,
    unique_names,
)
from avis_data.formats.ytvis_values import kind, shown
from avis_data.records import SplitName

__all__ = ["CocoClip", "CocoTable", "Entry", "Id", "annotation_files", "id_of", "picture_folders"]

Entry = Mapping[str, object]
Id = int | str
_GENERIC = {
    "default",
    "annotations",
    "labels",
    "result",
    "instances",
    "_annotations",
    "_annotations_coco",
    "coco",
    "all",
}
"""Names of files that say nothing of a clip."""


def annotation_files(root: Path) -> list[Path]:
    """The JSON files of a set that may be COCO: itself, those in `annotations`, or those of Roboflow's folders."""
    if root.is_file():
        return [root]
    patterns = ("annotations/*.json", "*/annotations/*.json", "*.json", "*/_annotations.coco.json")
    for pattern in patterns:
        found = sorted(path for path in root.glob(pattern) if path.is_file() and not path.name.startswith("."))
        if found:
            return found
    return []


@dataclass(kw_only=True)
class CocoClip:
    """The entries of a clip."""

    images: list[tuple[str, Entry]]
    """Where each stands, as `images[3]`, and what it says."""
    annotations: dict[Id, list[tuple[str, Entry]]]
    """Of each image, by its id."""
    video: Entry
    problems: list[Problem]


@dataclass(kw_only=True)
class _Places:
    """Where the entries of a clip stand in their tables."""

    images: array[int] = field(default_factory=lambda: array("Q"))
    annotations: array[int] = field(default_factory=lambda: array("Q"))
    video: Entry = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


@dataclass(kw_only=True)
class CocoTable:
    """One COCO file, put together by clips. Images and annotations stay in the file until their clip is asked for."""

    file: Path
    split: SplitName | None
    folders: list[Path]
    """Where its pictures may be."""
    tables: JsonTables
    categories: dict[Id, str | None] = field(default_factory=dict)
    tracks: dict[Id, Entry] = field(default_factory=dict)
    of_video: dict[Id | None, list[Entry]] = field(default_factory=dict)
    """The tracks of each video."""
    licenses: dict[Id, str] = field(default_factory=dict)
    orphans: list[Problem] = field(default_factory=list)
    """What is wrong with entries that are of no clip."""
    has_truth: bool = True
    _clips: dict[str, _Places] = field(default_factory=dict)

    @classmethod
    def of(cls, tables: JsonTables, given: Path, *, alone: bool) -> CocoTable:
        """The tables of a file.

        Raises:
            DataError: if it is not COCO.
        """
        file, images, annotations = tables.file, _Images(), _Annotations()
        raw = tables.scan({"images": images.add, "annotations": annotations.add})
        if not isinstance(raw, dict) or not tables.has("images"):
            hint = (
                "it has videos with file_names: --format ytvis" if isinstance(raw, dict) and "videos" in raw else None
            )
            found = kind(raw.get("images")) if isinstance(raw, dict) else kind(raw)
            raise DataError(f"{file}: is no COCO file: images must be a list, is {found}", hint=hint)
        word = file.stem.removeprefix("instances_")
        folders = picture_folders(file)
        table = cls(file=file, split=split_of(word) or split_of(file.parent.name), folders=folders, tables=tables)
        table._read_lists(raw)
        clip_of = table._group_images(
            images,
            {number: video for _, video in table._entries(raw, "videos") if (number := id_of(video, "id")) is not None},
            _only_name(given, word, alone=alone),
        )
        table._group_annotations(raw, annotations, clip_of)
        return table

    @property
    def names(self) -> list[str]:
        """Of all clips."""
        return list(self._clips)

    def clip(self, name: str) -> CocoClip:
        """The entries of a clip, read from the file."""
        places = self._clips[name]
        by_image: dict[Id, list[tuple[str, Entry]]] = {}
        for where, entry in self._read("annotations", places.annotations):
            image_id = id_of(entry, "image_id")
            if image_id is not None:
                by_image.setdefault(image_id, []).append((where, entry))
        return CocoClip(
            images=list(self._read("images", places.images)),
            annotations=by_image,
            video=places.video,
            problems=list(places.problems),
        )

    def problem(self, where: str, name: str, message: str) -> Problem:
        """Something wrong in this file."""
        return Problem(f"{self.file}: {where}", name, message)

    def _read(self, table: str, places: array[int]) -> Iterator[tuple[str, Entry]]:
        for place in places:
            entry = self.tables.entry(table, place)
            if isinstance(entry, dict):
                yield f"{table}[{place}]", entry

    def _read_lists(self, raw: Entry) -> None:
        for where, entry in self._entries(raw, "categories"):
            number, name = id_of(entry, "id"), entry.get("name")
            if number is None or not isinstance(name, str) or not name:
                self.orphans.append(self.problem(where, "", "must have an id and a name"))
            elif number in self.categories and self.categories[number] != name:
                self.orphans.append(self.problem(where, "id", f"{number!r} is also the id of another category"))
            else:
                self.categories[number] = name
        for where, entry in self._entries(raw, "tracks"):
            number = id_of(entry, "id")
            if number is None or number in self.tracks:
                self.orphans.append(self.problem(where, "id", f"must be an id of its own ({shown(entry, 'id')})"))
            else:
                self.tracks[number] = entry
                self.of_video.setdefault(id_of(entry, "video_id"), []).append(entry)
        for _, entry in self._entries(raw, "licenses"):
            number, name = id_of(entry, "id"), entry.get("name")
            if number is not None and isinstance(name, str) and name:
                self.licenses[number] = name

    def _group_images(self, images: _Images, videos: Mapping[Id, Entry], only: str) -> dict[Id, str]:
        """Put images together into clips; gives the clip of each, by its id."""
        named = unique_names([_clip_path(key, videos, only) for key in images.keys])
        clip_of: dict[Id, str] = {}
        for index, (key, number) in enumerate(zip(images.key_of, images.ids, strict=True)):
            name, where = (None if key < 0 else named[key]), f"images[{index}]"
            if name is None:
                self.orphans.append(self.problem(where, "file_name", "must be an object with the name of a picture"))
                continue
            clip = self._clips.setdefault(name, _Places())
            if number is None:
                clip.problems.append(self.problem(where, "id", f"must be a number or text ({images.faults[index]})"))
            elif number in clip_of:
                clip.problems.append(self.problem(where, "id", f"{number!r} is also the id of another image"))
            else:
                clip_of[number] = name
            video_id = images.keys[key][0]
            if video_id is not None:
                clip.video = videos.get(video_id, {})
            clip.images.append(index)
        return clip_of

    def _group_annotations(self, raw: Entry, annotations: _Annotations, clip_of: Mapping[Id, str]) -> None:
        self.has_truth = self.tables.has("annotations")
        self._listed(raw, "annotations")
        for index, told in annotations.faults.items():
            self.orphans.append(self.problem(f"annotations[{index}]", "", told))
        first: dict[Id, int] = {}
        for index, (image_id, number) in enumerate(zip(annotations.image_ids, annotations.ids, strict=True)):
            if index in annotations.faults:
                continue
            where = f"annotations[{index}]"
            if image_id is None or image_id not in clip_of:
                told = f"no image has this id ({shown({'image_id': image_id}, 'image_id')})"
                self.orphans.append(self.problem(where, "image_id", told))
                continue
            clip = self._clips[clip_of[image_id]]
            if number is not None and number in first:
                told = f"{number!r} is also the id of annotations[{first[number]}]"
                clip.problems.append(self.problem(where, "id", told))
            elif number is not None:
                first[number] = index
            clip.annotations.append(index)

    def _entries(self, raw: Entry, table: str) -> Iterator[tuple[str, Entry]]:
        for index, entry in enumerate(self._listed(raw, table)):
            if isinstance(entry, dict):
                yield f"{table}[{index}]", entry
            else:
                message = f"must be an object, is {kind(entry)}"
                self.orphans.append(self.problem(f"{table}[{index}]", "", message))

    def _listed(self, raw: Entry, table: str) -> list[object]:
        entries = raw.get(table)
        if entries is not None and not isinstance(entries, list):
            raise DataError(f"{self.file}: {table} must be a list, is {kind(entries)}")
        return entries or []


class _Ids:
    """Many ids: whole numbers take eight bytes each."""

    def __init__(self) -> None:
        self._numbers = array("q")
        self._others: dict[int, str | None] = {}

    def add(self, value: Id | None) -> None:
        """One more."""
        if not isinstance(value, int):
            self._others[len(self._numbers)] = value
        self._numbers.append(value if isinstance(value, int) else 0)

    def __iter__(self) -> Iterator[Id | None]:
        for index, number in enumerate(self._numbers):
            yield self._others[index] if index in self._others else number


@dataclass(kw_only=True)
class _Images:
    """What groups images, of all of them."""

    ids: _Ids = field(default_factory=_Ids)
    faults: dict[int, str] = field(default_factory=dict)
    """What stands where an id should."""
    keys: list[_Key] = field(default_factory=list)
    key_of: array[int] = field(default_factory=lambda: array("q"))
    """The place in `keys` of each image; -1: it says no name."""
    _known: dict[_Key, int] = field(default_factory=dict)

    def add(self, index: int, entry: object) -> None:
        """One more."""
        said: Entry = entry if isinstance(entry, dict) else {}
        number, key = id_of(said, "id"), _key_of(said) if isinstance(entry, dict) else None
        self.ids.add(number)
        if number is None:
            self.faults[index] = shown(said, "id")
        if key is None:
            self.key_of.append(-1)
            return
        if key not in self._known:
            self._known[key] = len(self.keys)
            self.keys.append(key)
        self.key_of.append(self._known[key])


@dataclass(kw_only=True)
class _Annotations:
    """What groups annotations, of all of them."""

    image_ids: _Ids = field(default_factory=_Ids)
    ids: _Ids = field(default_factory=_Ids)
    faults: dict[int, str] = field(default_factory=dict)

    def add(self, index: int, entry: object) -> None:
        """One more."""
        said: Entry = entry if isinstance(entry, dict) else {}
        if not isinstance(entry, dict):
            self.faults[index] = f"must be an object, is {kind(entry)}"
        self.image_ids.add(id_of(said, "image_id"))
        self.ids.add(id_of(said, "id"))


_Key = tuple[Id | None, str]
"""What says the clip of an image: the id of its video, else a path whose last part is the clip's name ("": none)."""


def _key_of(entry: Entry) -> _Key | None:
    number = id_of(entry, "video_id")
    if number is not None:
        return number, ""
    try:
        return None, clip_of_name(roboflow_name(foreign_path(str(entry.get("file_name") or ""))))
    except DataError:
        return None


def id_of(entry: Entry, key: str) -> Id | None:
    """An id that an entry has under a key: a whole number or text; None: there is none of use.

    Example:
        >>> id_of({"id": 7}, "id"), id_of({"id": 7.0}, "id"), id_of({"id": True}, "id"), id_of({}, "id")
        (7, 7, None, None)
    """
    value = entry.get(key)
    if isinstance(value, float) and value.is_integer() and abs(value) < 1 << 53:
        return int(value)
    if isinstance(value, (int, str)) and not isinstance(value, bool) and value != "":
        return value if isinstance(value, str) or value.bit_length() < 64 else None
    return None


def picture_folders(file: Path) -> list[Path]:
    """Where the pictures of a file may be, by the habits of many tools."""
    word = file.stem.removeprefix("instances_")
    base = file.parent.parent if file.parent.name == "annotations" else file.parent
    names = (f"images/{word}", "images", word, "data", STILLS, "")
    return [folder for folder in (*(base / name for name in names), file.parent) if folder.is_dir()]


def _only_name(given: Path, word: str, *, alone: bool) -> str:
    """What the clip is called whose pictures are only numbered."""
    name = still_name(word)
    if name.lower() in _GENERIC or split_of(name) == name.lower():
        folder = given.resolve().parent if given.suffix == ".json" else given
        base = set_name(folder.parent if folder.name == "annotations" else folder)
        return base if alone else f"{base}-{name}"
    return name


def _clip_path(key: _Key, videos: Mapping[Id, Entry], only: str) -> PurePosixPath | None:
    """A path that ends in the name of a clip; None where the name is none."""
    number, path = key
    if number is None:
        return PurePosixPath(path or only)
    name = videos.get(number, {}).get("name")
    try:
        return foreign_path(clip_called(name) if isinstance(name, str) and name else str(number))
    except DataError:
        return None

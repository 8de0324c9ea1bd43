"""The tables of a COCO file, put together by clips, in whatever keys the tool that wrote it says what is one clip."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from avis_data.errors import DataError, Problem
from avis_data.formats.aviseg_folders import STILLS
from avis_data.formats.sets.layout import clip_of_name, foreign_path, set_name, split_of, still_name, unique_names
from avis_data.formats.ytvis_entries import kind, shown
from avis_data.io import read_json
from avis_data.records import SplitName

__all__ = ["CocoClip", "CocoTable", "Entry", "Id", "annotation_files", "id_of"]

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

    images: list[tuple[str, Entry]] = field(default_factory=list)
    """Where each stands, as `images[3]`, and what it says."""
    annotations: dict[Id, list[tuple[str, Entry]]] = field(default_factory=dict)
    """Of each image, by its id."""
    video: Entry = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


@dataclass(kw_only=True)
class CocoTable:
    """One COCO file, its entries put together by clips."""

    file: Path
    split: SplitName | None
    folders: list[Path]
    """Where its pictures may be."""
    categories: dict[Id, str | None] = field(default_factory=dict)
    tracks: dict[Id, Entry] = field(default_factory=dict)
    of_video: dict[Id | None, list[Entry]] = field(default_factory=dict)
    """The tracks of each video."""
    licenses: dict[Id, str] = field(default_factory=dict)
    clips: dict[str, CocoClip] = field(default_factory=dict)
    clip_of: dict[Id, str] = field(default_factory=dict)
    """The clip of each image, by its id."""
    orphans: list[Problem] = field(default_factory=list)
    """What is wrong with entries that are of no clip."""
    has_truth: bool = True

    @classmethod
    def of(cls, file: Path, given: Path, *, alone: bool) -> CocoTable:
        """The tables of a file.

        Raises:
            DataError: if it is not COCO.
        """
        raw = read_json(file)
        if not isinstance(raw, dict) or not isinstance(raw.get("images"), list):
            hint = (
                "it has videos with file_names: --format ytvis" if isinstance(raw, dict) and "videos" in raw else None
            )
            found = kind(raw.get("images")) if isinstance(raw, dict) else kind(raw)
            raise DataError(f"{file}: is no COCO file: images must be a list, is {found}", hint=hint)
        word = file.stem.removeprefix("instances_")
        table = cls(file=file, split=split_of(word) or split_of(file.parent.name), folders=_folders(file, word))
        table._read_lists(raw)
        table._group_images(
            raw["images"],
            {number: video for _, video in table._entries(raw, "videos") if (number := id_of(video, "id")) is not None},
            _only_name(given, word, alone=alone),
        )
        table._group_annotations(raw)
        return table

    def problem(self, where: str, name: str, message: str) -> Problem:
        """Something wrong in this file."""
        return Problem(f"{self.file}: {where}", name, message)

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

    def _group_images(self, images: list[object], videos: Mapping[Id, Entry], only: str) -> None:
        names = _clip_names(images, videos, only)
        for index, entry in enumerate(images):
            name, where = names[index], f"images[{index}]"
            if not isinstance(entry, dict) or name is None:
                self.orphans.append(self.problem(where, "file_name", "must be an object with the name of a picture"))
                continue
            clip = self.clips.setdefault(name, CocoClip())
            number, video_id = id_of(entry, "id"), id_of(entry, "video_id")
            if number is None:
                clip.problems.append(self.problem(where, "id", f"must be a number or text ({shown(entry, 'id')})"))
            elif number in self.clip_of:
                clip.problems.append(self.problem(where, "id", f"{number!r} is also the id of another image"))
            else:
                self.clip_of[number] = name
            if video_id is not None:
                clip.video = videos.get(video_id, {})
            clip.images.append((where, entry))

    def _group_annotations(self, raw: Entry) -> None:
        self.has_truth = isinstance(raw.get("annotations"), list)
        seen: dict[Id, str] = {}
        for where, entry in self._entries(raw, "annotations"):
            image_id, number = id_of(entry, "image_id"), id_of(entry, "id")
            if image_id is None or image_id not in self.clip_of:
                message = f"no image has this id ({shown(entry, 'image_id')})"
                self.orphans.append(self.problem(where, "image_id", message))
                continue
            clip = self.clips[self.clip_of[image_id]]
            if number is not None and number in seen:
                clip.problems.append(self.problem(where, "id", f"{number!r} is also the id of {seen[number]}"))
            elif number is not None:
                seen[number] = where
            clip.annotations.setdefault(image_id, []).append((where, entry))

    def _entries(self, raw: Entry, table: str) -> Iterator[tuple[str, Entry]]:
        entries = raw.get(table)
        if entries is None:
            return
        if not isinstance(entries, list):
            raise DataError(f"{self.file}: {table} must be a list, is {kind(entries)}")
        for index, entry in enumerate(entries):
            if isinstance(entry, dict):
                yield f"{table}[{index}]", entry
            else:
                message = f"must be an object, is {kind(entry)}"
                self.orphans.append(self.problem(f"{table}[{index}]", "", message))


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


def _folders(file: Path, word: str) -> list[Path]:
    """Where the pictures of a file may be, by the habits of many tools."""
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


def _clip_names(images: Sequence[object], videos: Mapping[Id, Entry], only: str) -> list[str | None]:
    """The clip of each image; None where the entry says no name. Folders above are named only where they must be."""
    paths: list[PurePosixPath | None] = []
    for entry in images:
        paths.append(_clip_path(entry, videos, only) if isinstance(entry, dict) else None)
    return unique_names(paths)


def _clip_path(entry: Entry, videos: Mapping[Id, Entry], only: str) -> PurePosixPath | None:
    number = id_of(entry, "video_id")
    try:
        if number is not None:
            name = videos.get(number, {}).get("name")
            return foreign_path(name if isinstance(name, str) and name else str(number))
        path = foreign_path(str(entry.get("file_name") or ""))
    except DataError:
        return None
    return PurePosixPath(clip_of_name(path) or only)

"""Where the videos of an SA-V set are: JSON files, folders of PNG, and the stills that belong to them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from avis_data.formats.aviseg_folders import STILLS
from avis_data.formats.sets.layout import pictures_in, split_of, unique_names
from avis_data.records import SplitName

__all__ = ["SaVVideo", "find_videos", "is_label_file", "objects_of", "seems_sa_v"]

_LABELS = re.compile(r"^(?P<name>.+)_(?P<kind>manual|auto)\.json$")
_RATED = re.compile(r"^Annotations_(\d{1,3})fps$")
_OBJECT = re.compile(r"^\d{3}$")
_START_BYTES = 1 << 16


@dataclass(kw_only=True)
class SaVVideo:
    """The files of one video."""

    place: PurePosixPath
    """Its name, after the folders above it that say something."""
    files: dict[str, Path] = field(default_factory=dict)
    """`manual`, `auto`: its JSON files."""
    objects: Path | None = None
    """The folder with a folder of PNG for each object."""
    stills: Path | None = None
    name: str = ""

    @property
    def split(self) -> SplitName | None:
        """The split that a folder above it speaks of."""
        return split_of(self.place.parent.as_posix())

    @property
    def label_fps(self) -> float | None:
        """Labelled stills in one second, where the folder of PNG says so."""
        found = None if self.objects is None else _RATED.match(self.objects.parent.name)
        return float(found[1]) if found else None


def is_label_file(path: Path) -> bool:
    """Whether a file is called as those of SA-V are.

    Example:
        >>> is_label_file(Path("sav_000001_manual.json")), is_label_file(Path("manual.json"))
        (True, False)
    """
    return _LABELS.match(path.name) is not None


def seems_sa_v(path: Path) -> bool:
    """Whether a file, or something in a folder, seems to be SA-V, by names and the first bytes."""
    if path.is_file():
        with path.open("rb") as file:
            return path.suffix == ".json" and b'"masklet"' in file.read(_START_BYTES)
    return path.is_dir() and (next(_label_files(path), None) or next(_object_folders(path), None)) is not None


def find_videos(root: Path) -> list[SaVVideo]:
    """The videos of a folder or file, sorted by names; where some have labels, also those that have stills only."""
    if root.is_file():
        found = _LABELS.match(root.name)
        name, kind = (found["name"], found["kind"]) if found else (root.stem, "manual")
        base = root.parent.parent if root.parent.name.startswith("Annotations") else root.parent
        stills = _Stills(base).of(root.parent, name)
        video = SaVVideo(place=PurePosixPath(base.name) / name, files={kind: root}, stills=stills)
        video.name = name
        return [video]
    videos: dict[PurePosixPath, SaVVideo] = {}
    stills_of = _Stills(root).of
    for file in _label_files(root):
        found = _LABELS.match(file.name)
        assert found is not None  # as `_label_files` chooses them
        place = _place(root, file.parent / found["name"])
        video = videos.setdefault(place, SaVVideo(place=place, stills=stills_of(file.parent, found["name"])))
        video.files[found["kind"]] = file
    for folder in _object_folders(root):
        place = _place(root, folder)
        video = videos.setdefault(place, SaVVideo(place=place, stills=stills_of(folder.parent, folder.name)))
        video.objects = folder
    taken = {video.stills for video in videos.values()}
    for folder in _still_folders(root) if videos else []:
        if folder not in taken and pictures_in(folder):
            place = _place(root, folder)
            videos.setdefault(place, SaVVideo(place=place, stills=folder))
    for video, name in zip(videos.values(), unique_names([*videos]), strict=True):
        video.name = name or "video"
    return sorted(videos.values(), key=lambda video: video.name)


def objects_of(folder: Path | None) -> list[Path]:
    """The folders of the objects of a video, in the order of their numbers; none where there is no folder."""
    inner = sorted(folder.iterdir()) if folder is not None else []
    return [place for place in inner if _OBJECT.match(place.name) and place.is_dir()]


def _label_files(root: Path) -> Iterator[Path]:
    files = (path for ending in ("manual", "auto") for path in sorted(root.rglob(f"*_{ending}.json")))
    return (path for path in files if is_label_file(path) and path.is_file() and not path.name.startswith("."))


def _object_folders(root: Path) -> Iterator[Path]:
    """The folders of videos whose objects are folders of PNG."""
    tops = [root] if _RATED.match(root.name) else sorted(root.rglob("Annotations_*fps"))
    for top in tops:
        for folder in sorted(top.iterdir()) if _RATED.match(top.name) and top.is_dir() else []:
            if folder.is_dir() and objects_of(folder):
                yield folder


def _still_folders(root: Path) -> Iterator[Path]:
    tops = (top for top in sorted(root.rglob(f"{STILLS}*")) if top.is_dir() and _is_still_top(top.name))
    return (folder for top in tops for folder in sorted(top.iterdir()) if folder.is_dir())


def _is_still_top(name: str) -> bool:
    return re.fullmatch(rf"{STILLS}(_\d{{1,3}}fps)?", name) is not None


class _Stills:
    """The folders of stills in a set; each folder above them is looked through once."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._tops: dict[Path, list[Path]] = {}

    def of(self, folder: Path, name: str) -> Path | None:
        """The folder with the stills of a video, in the folder of its labels or in one above it."""
        for base in (folder, *folder.parents):
            if base not in self._tops:
                self._tops[base] = sorted(top for top in base.glob(f"{STILLS}*") if _is_still_top(top.name))
            for place in (*self._tops[base], base):
                if pictures_in(place / name):
                    return place / name
            if base == self._root:
                break
        return None


def _place(root: Path, path: Path) -> PurePosixPath:
    parts = path.relative_to(root).parts
    return PurePosixPath(*(part for part in parts[:-1] if not _says_nothing(part)), parts[-1])


def _says_nothing(part: str) -> bool:
    return part == "Annotations" or _RATED.match(part) is not None or _is_still_top(part)

"""A COCO set as training reads it: which pictures have objects of known classes, and where in the file their masks are.

`instances_train2017.json` has 450 MB. It is gone through once, entry by entry; of each picture and each mask only the
place in the file is kept (about 20 bytes a mask), and the outlines are read again when the picture is asked for.
"""

from __future__ import annotations

import json
import logging
import os
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Annotated

from PIL import Image
from pydantic import ConfigDict, Field

from avis_data.errors import ConfigError, DataError
from avis_data.formats.boards.coco_tables import Entry, Id, id_of, picture_folders
from avis_data.formats.sets.json_tables import json_tables
from avis_data.formats.sets.layout import foreign_path
from avis_data.io import GZIP
from avis_data.masks.rle import Rle, area, check_size, rle_from_segmentation
from avis_data.media.stills import open_still
from avis_data.training.ranges import Share

__all__ = ["CocoStills", "StillsConfig", "shared_classes"]

logger = logging.getLogger(__name__)

_SHOWN = 5
_NEVER_BY_NAME = frozenset({"mouse"})
"""COCO's mouse is a device, that of video sets an animal."""


@dataclass(frozen=True, kw_only=True)
class StillsConfig:
    """Pictures of a COCO set that are trained on as clips of one picture."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    file: str
    """Its annotations: `coco/annotations/instances_train2017.json`."""
    pictures: str | None = None
    """The folder of its pictures; null: where tools put them (`train2017`, `images/train2017` ... beside the file)."""
    measured: str | None = None
    """Annotations of COCO pictures that validation measures instead of the dataset's clips; null: it measures these."""
    measured_pictures: str | None = None
    """The folder of their pictures; null: as for `pictures`."""
    share: Share = 1.0
    """Share of training samples that are stills; the others are clips of the dataset. 1: nothing but stills."""
    names: dict[str, str] = field(default_factory=dict)
    """COCO's name of a class -> the dataset's, where they differ: `{car: sedan}`. Classes of one name are one class."""
    rotation_deg: Annotated[float, Field(ge=0, le=180)] = 15.0
    """Each view is turned by up to that many degrees, either way."""
    crop: Share = 0.6
    """Least share of height and width that a view shows."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Still:
    """Where a picture and its objects are."""

    name: str
    path: str
    size_hw: tuple[int, int]
    masks: tuple[int, ...]
    """Places in `annotations`."""


class CocoStills:
    """The pictures of a set with at least one object of a shared class, in the order of the file."""

    def __init__(self, config: StillsConfig, categories: Mapping[int, str]) -> None:
        """Go through the file.

        Args:
            categories: of the dataset, id -> name.

        Raises:
            ConfigError: if `names` names a class that one of the two does not have.
            DataError: if the file cannot be read, is no COCO, or shares no class or no picture with the dataset.
        """
        self.file = Path(config.file)
        scan = _Scan(self.file)
        self._label_of = shared_classes(scan.categories, categories, config.names, where=str(self.file))
        self._starts, self._lengths = scan.starts, scan.lengths
        self._category = scan.category
        folders = picture_folders(self.file) if config.pictures is None else [Path(config.pictures)]
        self._stills, missing = _kept(scan, self._label_of, folders)
        if missing:
            shown = ", ".join(missing[:_SHOWN]) + (", ..." if len(missing) > _SHOWN else "")
            logger.warning("stills=%s pictures_missing=%d, left out: %s", self.file, len(missing), shown)
        if not self._stills:
            looked = ", ".join(map(str, folders)) or "no folder"
            raise DataError(
                f"{self.file}: no picture is there that has an object of a shared class: {len(missing)} are missing "
                f"(looked into {looked}), {scan.num_crowds} masks are crowds, which are left out",
                hint="--set data.stills.pictures=FOLDER",
            )
        shared = {scan.categories[number]: categories[label + 1] for number, label in self._label_of.items()}
        told = [name if name == ours else f"{name} -> {ours}" for name, ours in sorted(shared.items())]
        logger.info(
            "stills=%s pictures=%d classes=%d of %d: %s",
            *(self.file, len(self._stills), len(shared), len(scan.categories), ", ".join(told)),
        )

    def __len__(self) -> int:
        return len(self._stills)

    def name(self, place: int) -> str:
        """The file name of a picture."""
        return self._stills[place].name

    def path(self, place: int) -> str:
        """Where a picture is."""
        return self._stills[place].path

    def read(self, place: int) -> tuple[Image.Image, list[tuple[int, Rle]]]:
        """A picture, RGB whatever its file is, and its objects: 0-based label of the dataset, and mask.

        Raises:
            DataError: if the picture or an outline is bad, or the file has changed.
        """
        still = self._stills[place]
        picture = open_still(Path(still.path))
        height, width = still.size_hw
        if (picture.height, picture.width) != still.size_hw:
            raise DataError(
                f"{still.path}: has {picture.width} x {picture.height} pixels, {self.file} says {width} x {height}"
            )
        objects = []
        with self.file.open("rb") as file:  # opened each time: worker processes share no place in a file
            for number in still.masks:
                file.seek(self._starts[number])
                mask = self._mask(file.read(self._lengths[number]), number, still.size_hw)
                category = self._category[number]
                if mask is not None and area(mask) and category is not None:
                    objects.append((self._label_of[category], mask))
        return picture, objects

    def _mask(self, text: bytes, number: int, size_hw: tuple[int, int]) -> Rle | None:
        where = f"{self.file}: annotations[{number}]"
        try:
            entry = json.loads(text)
            return rle_from_segmentation(entry["segmentation"], height=size_hw[0], width=size_hw[1])
        except DataError as error:
            raise DataError(f"{where}: segmentation: {error.args[0]}") from None
        except (ValueError, KeyError, TypeError):
            raise DataError(f"{where}: is not what it was", hint="the file was changed: start again") from None


def shared_classes(
    theirs: Mapping[Id, str], ours: Mapping[int, str], names: Mapping[str, str], *, where: str
) -> dict[Id, int]:
    """COCO's category id -> 0-based label of the dataset, of the classes that both have.

    Args:
        theirs: COCO's, id -> name.
        ours: the dataset's, id -> name.
        names: COCO's name -> the dataset's, where they differ.
        where: the file, for errors.

    Raises:
        ConfigError: if `names` names a class that one of the two does not have.
        DataError: if they share no class.

    Example:
        >>> shared_classes({1: "person", 3: "car", 74: "mouse"}, {1: "person", 2: "sedan"}, {"car": "sedan"}, where="x")
        {1: 0, 3: 1}
    """
    label_of = {_plain(name): number - 1 for number, name in ours.items()}
    their_names = {_plain(name) for name in theirs.values()}
    given = {_plain(theirs_): _plain(ours_) for theirs_, ours_ in names.items()}
    unknown = [f"{name} (not of {where})" for name in given if name not in their_names]
    unknown += [f"{name} (not of the dataset)" for name in given.values() if name not in label_of]
    if unknown:
        raise ConfigError(f"data.stills.names: no such class: {', '.join(unknown)}")
    found = {}
    for number, name in theirs.items():
        plain = _plain(name)
        wanted = given.get(plain, None if plain in _NEVER_BY_NAME else plain)
        if wanted in label_of:
            found[number] = label_of[wanted]
    if not found:
        raise DataError(
            f"{where}: shares no class with the dataset, which has {', '.join(ours.values())}",
            hint="--set 'data.stills.names={car: sedan}' says which are the same",
        )
    return found


def _plain(name: str) -> str:
    return name.strip().lower().replace(" ", "_").replace("-", "_")


class _Scan:
    """What one pass over the file keeps."""

    def __init__(self, file: Path) -> None:
        self.images: list[tuple[Id, str, int, int]] = []
        self.category: list[Id | None] = []
        self.num_crowds = 0
        self._image: list[Id | None] = []
        self._interned: dict[Id, Id] = {}
        with json_tables(file) as tables:
            with file.open("rb") as opened:
                if opened.read(len(GZIP)) == GZIP:
                    raise DataError(f"{file}: is packed", hint=f"gunzip -k {file}")
            raw = tables.scan({"images": self._see_image, "annotations": self._see_mask})
            if not isinstance(raw, dict) or not (tables.has("images") and tables.has("annotations")):
                raise DataError(f"{file}: is no COCO file: it has not the lists images and annotations")
            self.starts, self.lengths = tables.places("annotations")
        listed = raw.get("categories")
        self.categories: dict[Id, str] = {}
        for entry in listed if isinstance(listed, list) else []:
            if isinstance(entry, dict) and (number := id_of(entry, "id")) is not None:
                self.categories[number] = str(entry.get("name"))

    def masks_of(self, label_of: Mapping[Id, int]) -> dict[Id, array[int]]:
        """Image id -> the places of its masks of known classes."""
        found: dict[Id, array[int]] = {}
        for place, (image, category) in enumerate(zip(self._image, self.category, strict=True)):
            if image is not None and category in label_of:
                found.setdefault(image, array("Q")).append(place)
        return found

    def _see_image(self, place: int, entry: object) -> None:
        said: Entry = entry if isinstance(entry, dict) else {}
        number, height, width = id_of(said, "id"), said.get("height"), said.get("width")
        if number is None or not isinstance(height, int) or not isinstance(width, int):
            return
        try:
            check_size(height, width)
            self.images.append((number, foreign_path(str(said.get("file_name"))).as_posix(), height, width))
        except DataError:
            return

    def _see_mask(self, place: int, entry: object) -> None:
        said: Entry = entry if isinstance(entry, dict) else {}
        is_crowd = said.get("iscrowd") not in (0, None, False)
        self.num_crowds += is_crowd
        usable = not is_crowd and bool(said.get("segmentation"))
        image, category = (id_of(said, key) if usable else None for key in ("image_id", "category_id"))
        # One object for each id, not one for each mask.
        self._image.append(None if image is None else self._interned.setdefault(image, image))
        self.category.append(None if category is None else self._interned.setdefault(category, category))


def _kept(scan: _Scan, label_of: Mapping[Id, int], folders: Sequence[Path]) -> tuple[list[_Still], list[str]]:
    """The pictures that have objects and are there; the names of those that are missing."""
    masks, names = scan.masks_of(label_of), _Listing(folders)
    found, missing = [], []
    for number, name, height, width in scan.images:
        if number not in masks:
            continue
        path = names.path_of(name)
        if path is None:
            missing.append(name)
        else:
            found.append(_Still(name=name, path=path, size_hw=(height, width), masks=tuple(masks.pop(number))))
    return found, missing


class _Listing:
    """Which files are in some folders: each is listed once, as asking for each file is slow on network disks."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = folders
        self._known: dict[str, set[str]] = {}

    def path_of(self, name: str) -> str | None:
        """The file of that name in the first folder that has it."""
        relative = PurePosixPath(name)
        for folder in self._folders:
            parent = os.path.join(folder, relative.parent)
            if parent not in self._known:
                self._known[parent] = set(os.listdir(parent)) if os.path.isdir(parent) else set()
            if relative.name in self._known[parent]:
                return os.path.join(parent, relative.name)
        return None

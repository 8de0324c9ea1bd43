"""COCO files read: pictures put together into clips, annotations into tracks, whatever keys say which is which.

A clip is what `video_id` of an image says (named by `videos`, where there is such a table), else the folder of its
`file_name`, else what stands before the number in it; pictures that only have numbers are one clip, named as the set.
Its stills are in the order of `frame_id` (`frame_index`, `mot_frame_id`), else of the numbers in their names. A track
is what `track_id` or `instance_id` says, in the annotation or in its `attributes`. Crowds are objects like others:
datumaro and CVAT mark every mask as one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from avis_data.errors import DataError, Problem
from avis_data.formats.boards.coco_tables import CocoClip, CocoTable, Entry, annotation_files, id_of
from avis_data.formats.boards.gathering import Gathered, flag_of
from avis_data.formats.sets.clips import LabelledClip, Still, UnreadClip
from avis_data.formats.sets.files import natural, numbered, opened_set, picture_size, read_each
from avis_data.formats.sets.json_tables import json_tables
from avis_data.formats.sets.layout import UNKNOWN, foreign_path, picture_file, roboflow_name
from avis_data.formats.ytvis_values import is_finite, shown
from avis_data.masks.rle import check_size, rle_from_segmentation

__all__ = ["read_coco"]

_IDENTITY = ("track_id", "instance_id")
_ORDER = ("frame_id", "frame_index", "mot_frame_id")


def read_coco(path: Path) -> Iterator[LabelledClip | UnreadClip]:
    """The clips of a COCO file, folder or archive, in the order of their names.

    Raises:
        DataError: if there is no such file, or none is of the format; also ProblemsError.
    """
    with opened_set(path) as root:
        files = annotation_files(root)
        if not files:
            raise DataError(f"{path}: holds no COCO file", hint="a folder with annotations/instances_<split>.json")
        with ExitStack() as stack:
            tables, broken = read_each(
                files, lambda file: CocoTable.of(stack.enter_context(json_tables(file)), path, alone=len(files) == 1)
            )
            yield from broken
            yield from _clips(tables)


def _clips(tables: Sequence[CocoTable]) -> Iterator[LabelledClip | UnreadClip]:
    for table in tables:
        if table.orphans:
            yield UnreadClip(name=table.file.name, problems=tuple(table.orphans))
    places = sorted((name, number) for number, table in enumerate(tables) for name in table.names)
    names = Counter(name for name, _ in places)
    for name, number in places:
        table = tables[number]
        if names[name] > 1:
            message = f"the clip is in {names[name]} files of the set"
            yield UnreadClip(name=name, problems=(Problem(str(table.file), "", message),))
        else:
            yield _Reading(table=table, name=name, clip=table.clip(name)).result()


@dataclass(kw_only=True)
class _Reading:
    """One clip of a file while it is read."""

    table: CocoTable
    name: str
    clip: CocoClip

    def __post_init__(self) -> None:
        self.gathered = Gathered(num_stills=len(self.clip.images), problems=list(self.clip.problems))
        self.num_unnamed = 0

    def result(self) -> LabelledClip | UnreadClip:
        """The clip, or all that is wrong with it."""
        size = self._size()
        stills = [self._still(where, entry, size) for where, entry in self._ordered()]
        for place, (_, image) in enumerate(self.clip.images):
            image_id, own = id_of(image, "id"), self._size_of(image)
            for where, entry in self.clip.annotations.get(image_id, []) if image_id is not None else []:
                self._annotation(where, entry, place, own)
        self._tracks_without_mask()
        if self.gathered.problems or size is None:
            return UnreadClip(name=self.name, problems=tuple(self.gathered.problems))
        num_masks = sum(len(of_image) for of_image in self.clip.annotations.values())
        if 0 < self.num_unnamed < num_masks:
            self.gathered.remarks.append(f"{self.num_unnamed} masks without a track id are objects of one still each")
        video = self.clip.video
        fps, source, url = (video.get(key) for key in ("fps", "source", "url"))
        start_s = video.get("start_s")
        return LabelledClip(
            name=self.name,
            height=size[0],
            width=size[1],
            stills=tuple(stills),
            tracks=self.gathered.tracks(),
            has_truth=self.table.has_truth and video.get("has_truth") is not False,
            has_identity=self.num_unnamed < num_masks or (not num_masks and video.get("has_identity") is not False),
            fps=float(fps) if isinstance(fps, (int, float)) and is_finite(fps) and 0 < fps < 1000 else None,
            split=self.table.split,
            license=self._license(),
            source=source if isinstance(source, str) else None,
            url=url if isinstance(url, str) else None,
            start_s=float(start_s) if isinstance(start_s, (int, float)) and is_finite(start_s) else None,
            label_files=(self.table.file,),
            remarks=tuple(self.gathered.remarks),
        )

    def _problem(self, where: str, name: str, message: str) -> None:
        self.gathered.problems.append(self.table.problem(where, name, message))

    def _size(self) -> tuple[int, int] | None:
        """Height and width of all stills; None, with what is wrong, where they are not one size."""
        sizes: dict[tuple[int, int], str] = {}
        entries = self.clip.images or [("videos", self.clip.video)]
        for where, entry in entries:
            if (size := self._size_of(entry, where)) is not None:
                sizes.setdefault(size, where)
        if len(sizes) > 1:
            said = " and ".join(f"{width} x {height} ({where})" for (height, width), where in sizes.items())
            self._problem("", self.name, f"the stills of a clip must have one size, these have {said}")
        return next(iter(sizes)) if len(sizes) == 1 else None

    def _size_of(self, entry: Entry, where: str | None = None) -> tuple[int, int] | None:
        """Height and width of an image; None, told where `where` is given, if they cannot be."""
        height, width = entry.get("height"), entry.get("width")
        try:
            if type(height) is not int or type(width) is not int:
                raise DataError(f"must be whole numbers ({height!r:.40} and {width!r:.40})")
            check_size(height, width)
            return height, width
        except DataError as error:
            if where is not None:
                self._problem(where, "height and width", str(error))
            return None

    def _ordered(self) -> list[tuple[str, Entry]]:
        """The images in the order of time, which those of the clip are brought into."""
        images = self.clip.images
        key = next((key for key in _ORDER if all(type(entry.get(key)) is int for _, entry in images)), None)
        self.order = key
        if key is None:
            images.sort(key=lambda image: natural(_path_of(image[1])))
        else:
            images.sort(key=lambda image: int(str(image[1][key])))
        numbers = [entry[key] if key else entry.get("file_name") for _, entry in images]
        times = Counter(map(str, numbers))
        for (where, _), number in zip(images, numbers, strict=True):
            if times[str(number)] > 1:
                self._problem(where, key or "file_name", f"{number!r:.60} is said of {times[str(number)]} images")
        return images

    def _still(self, where: str, entry: Entry, size: tuple[int, int] | None) -> Still:
        path = PurePosixPath("still")
        try:
            path = foreign_path(str(entry.get("file_name")))
        except DataError as error:
            self._problem(where, "file_name", str(error))
        picture = picture_file(self.table.folders, path)
        if picture is not None and size is not None:
            try:
                found = picture_size(picture)
                if found != (size[1], size[0]):
                    told = f"the picture has {found[0]} x {found[1]} pixels, the entry says {size[1]} x {size[0]}"
                    self._problem(where, "width and height", told)
            except DataError as error:
                self._problem(where, "file_name", str(error))
        name = roboflow_name(path).stem
        number = int(str(entry[self.order])) if self.order else numbered(name)
        is_labelled = entry.get("is_labelled") is not False
        return Still(name=name, number=number, picture=picture, is_labelled=is_labelled)

    def _annotation(self, where: str, entry: Entry, place: int, size: tuple[int, int] | None) -> None:
        if entry.get("iscrowd", 0) not in (0, 1):
            self._problem(where, "iscrowd", f"must be 0 or 1 ({shown(entry, 'iscrowd')})")
        category = self._category(where, entry)
        attributes = entry.get("attributes")
        said: Entry = attributes if isinstance(attributes, dict) else {}
        sounding = None
        try:
            sounding = flag_of(said.get("sounding", entry.get("sounding")))
        except DataError as error:
            self._problem(where, "attributes.sounding", str(error))
        dropped: list[str] = []
        if size is None:
            return
        try:
            mask = rle_from_segmentation(entry.get("segmentation"), height=size[0], width=size[1], dropped=dropped)
        except DataError as error:
            self._problem(where, "segmentation", str(error))
            return
        for line in dropped:
            self._problem(where, "segmentation", line)
        if mask is None:
            if not dropped:
                self._problem(where, "segmentation", "there is no mask, only a box; a box is no mask")
            return
        track_id = self._track_id(where, entry, said)
        if track_id is None:
            track_id = f"still{place:05d}_{self.num_unnamed:04d}"
            self.num_unnamed += 1
        told = f"{self.table.file}: {where}"
        self.gathered.add(track_id, place, mask, category=category, where=told, sounding=sounding)

    def _category(self, where: str, entry: Entry) -> str | None:
        if entry.get("category_id") is None:
            return None
        number = id_of(entry, "category_id")
        if number is None or number not in self.table.categories:
            self._problem(where, "category_id", f"no category has this id ({shown(entry, 'category_id')})")
            return None
        name = self.table.categories[number]
        return None if name == UNKNOWN else name

    def _track_id(self, where: str, entry: Entry, attributes: Entry) -> str | None:
        for place in (entry, attributes):
            for key in _IDENTITY:
                if place.get(key) is None:
                    continue
                number = id_of(place, key)
                if number is None:
                    self._problem(where, key, f"must be a whole number or text ({shown(place, key)})")
                    return None
                name = self.table.tracks.get(number, {}).get("name")
                return name if isinstance(name, str) and name else str(number)
        return None

    def _tracks_without_mask(self) -> None:
        """Tracks that only the table of tracks names."""
        video_id = id_of(self.clip.video, "id")
        for entry in self.table.of_video.get(video_id, []) if video_id is not None else []:
            name, category_id = entry.get("name"), id_of(entry, "category_id")
            if not isinstance(name, str) or not name:
                continue
            category = self.table.categories.get(category_id) if category_id is not None else None
            self.gathered.track(name, None if category == UNKNOWN else category, f"{self.table.file}: tracks")

    def _license(self) -> str | None:
        numbers = [id_of(entry, "license") for entry in (self.clip.video, *(entry for _, entry in self.clip.images))]
        return next((self.table.licenses[number] for number in numbers if number in self.table.licenses), None)


def _path_of(image: Entry) -> str:
    """The path of an image, in the order of which stills without numbers are."""
    try:
        return roboflow_name(foreign_path(str(image.get("file_name")))).as_posix()
    except DataError:
        return str(image.get("file_name"))

"""The entries of a YouTube-VIS truth file, with all that every reader of it demands; masks stay as the file has them.

Two readers stand on this one: `ytvis_parse` (import, export, training, checks), which decodes masks at once, and
`metrics.reading` (evaluation), which leaves that to where they are measured. Each demands more and says so through
`EntryReader.refuse`: what one of them refused is then unknown to the entries that refer to it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from avis_data.errors import DataError, Problem
from avis_data.masks.rle import check_size

__all__ = [
    "AnnotationEntry",
    "CategoryEntry",
    "EntryReader",
    "VideoEntry",
    "areas_fault",
    "is_finite",
    "kind",
    "masks_of",
    "shown",
    "taken",
    "whole_fault",
]

_Key = TypeVar("_Key", int, str)
_MAX_BITS = 63
"""Bits of a whole number, besides the sign: what NumPy and the official programs can hold."""


@dataclass(kw_only=True, slots=True)
class CategoryEntry:
    """One entry of `categories`."""

    where: str
    """How messages call it, as `categories[12] (id 13)`."""
    raw: Mapping[str, object]
    sound: bool
    """False: something in it was refused. It cannot be used; what else is wrong in it can still be looked for."""
    number: int
    """Its id; 0 where the file has no whole number there (then it is not sound)."""
    name: str


@dataclass(kw_only=True, slots=True)
class VideoEntry:
    """One entry of `videos`."""

    where: str
    raw: Mapping[str, object]
    sound: bool
    number: int
    file_names: list[str]
    """One for each frame; none where the file's are of no use (then it is not sound)."""
    size: tuple[int, int] | None
    """Height and width in pixels, of its first annotation where it says neither; None where it is not sound."""

    @property
    def num_frames(self) -> int:
        """T."""
        return len(self.file_names)


@dataclass(kw_only=True, slots=True)
class AnnotationEntry:
    """One entry of `annotations` whose video is known."""

    where: str
    raw: Mapping[str, object]
    sound: bool
    number: int
    video: VideoEntry
    category_id: int
    segmentations: list[Any]
    """One for each frame, as the file has it; none where the list is of no use (then it is not sound)."""
    crowd: bool
    """`iscrowd`; False where the entry does not say."""


@dataclass(kw_only=True, slots=True)
class _Known:
    """What annotations refer to, and where the ids before this one stand."""

    videos: dict[int, VideoEntry]
    categories: set[int]
    ids: dict[int, str] = field(default_factory=dict)


class EntryReader:
    """Reads the three lists of a truth file: categories and videos at once, annotations when they are asked for."""

    def __init__(self, raw: object) -> None:
        """Read categories and videos of what `json.load` gave; anything at all."""
        self.problems: list[Problem] = []
        """All that is wrong so far: `where` is the entry ("" for the file itself), `field` the key in it."""
        self.incomplete: set[int] = set()
        """Ids of videos of which an annotation could not be used, or that two entries claim."""
        self.raw: Mapping[str, object] = raw if isinstance(raw, dict) else {}
        self.categories: list[CategoryEntry] = []
        self.videos: list[VideoEntry] = []
        self.has_annotations = isinstance(self.raw.get("annotations"), list)
        self._annotations: list[tuple[str, Mapping[str, object]]] = []
        if not isinstance(raw, dict):
            self.note("", "", f"must be an object with categories, videos and annotations, is {kind(raw)}")
            return
        if other := _other_form(raw):
            self.note("", "", f"this is {other}, not YouTube-VIS JSON; avis-data convert SOURCE --to ytvis makes that")
            return
        category_ids: dict[int, str] = {}
        names: dict[str, str] = {}
        self.categories = [self._category(*entry, category_ids, names) for entry in self._table("categories")]
        video_ids: dict[int, str] = {}
        self.videos = [self._video(*entry, video_ids) for entry in self._table("videos")]
        if self.raw.get("annotations") is not None:  # else the labels are withheld
            self._annotations = self._table("annotations")
        self._take_sizes()

    def annotations(self, *, or_longer: bool = False) -> Iterator[AnnotationEntry]:
        """The annotations of videos that are sound by now, each when it is reached.

        Args:
            or_longer: let pass lists of segmentations that go on beyond the end of the video.
        """
        known = _Known(
            videos={video.number: video for video in self.videos if video.sound},
            categories={category.number for category in self.categories if category.sound},
        )
        for where, raw in self._annotations:
            entry = self._annotation(where, raw, known, or_longer=or_longer)
            if entry is not None:
                yield entry

    def note(self, where: str, name: str, message: str) -> None:
        """Add a problem that leaves its entry sound."""
        self.problems.append(Problem(where, name, message))

    def refuse(self, entry: CategoryEntry | VideoEntry | AnnotationEntry, name: str, message: str) -> None:
        """Add a problem of the field `name` for which an entry cannot be used."""
        self.note(entry.where, name, message)
        entry.sound = False
        if isinstance(entry, AnnotationEntry):
            self.incomplete.add(entry.video.number)

    def size(self, where: str, raw: Mapping[str, object]) -> tuple[int, int] | None:
        """Height and width of an entry in pixels; None, with a problem for each, where they are of no use."""
        height, width = (self._whole(where, raw, key, least=1) for key in ("height", "width"))
        if height is None or width is None:
            return None
        try:
            check_size(height, width)
        except DataError as error:
            self.note(where, "width", str(error))
            return None
        return height, width

    def _take_sizes(self) -> None:
        """Give each video that says neither height nor width those of its first annotation that says both."""
        bare = {v.number: v for v in self.videos if v.size is None and v.sound and not {"height", "width"} & set(v.raw)}
        for where, raw in self._annotations if bare else ():
            video_id = raw.get("video_id")
            if isinstance(video_id, int) and video_id in bare and {"height", "width"} <= set(raw):
                size = self.size(where, raw)
                if size is not None:
                    bare.pop(video_id).size = size
        for video in bare.values():
            self.refuse(video, "height, width", "missing, and the video has no annotation to take them from")

    def _table(self, table: str) -> list[tuple[str, Mapping[str, object]]]:
        """The name and the content of each entry that is an object."""
        entries = self.raw.get(table)
        if not isinstance(entries, list):
            self.note("", table, f"must be a list, is {kind(entries)}")
            return []
        found: list[tuple[str, Mapping[str, object]]] = []
        for index, entry in enumerate(entries):
            where = _entry_name(table, index, entry)
            if isinstance(entry, dict):
                found.append((where, entry))
            else:
                self.note(where, "", f"must be an object, is {kind(entry)}")
        return found

    def _category(
        self, where: str, raw: Mapping[str, object], ids: dict[int, str], names: dict[str, str]
    ) -> CategoryEntry:
        before = len(self.problems)
        number, name = self._id(where, raw, ids, least=1), raw.get("name")
        if not isinstance(name, str) or not name:
            self.note(where, "name", f"must be text ({shown(raw, 'name')})")
            name = ""
        elif other := taken(names, name, where):
            self.note(where, "name", f"{name!r:.60} is also the name of {other}")
        sound = len(self.problems) == before
        return CategoryEntry(where=where, raw=raw, sound=sound, number=number or 0, name=name)

    def _video(self, where: str, raw: Mapping[str, object], ids: dict[int, str]) -> VideoEntry:
        before = len(self.problems)
        number = self._id(where, raw, ids)
        if len(self.problems) > before and number is not None:
            self.incomplete.add(number)
        size = self.size(where, raw) if "height" in raw or "width" in raw else None
        names = self._file_names(where, raw)
        if names and "length" in raw and raw["length"] != len(names):
            self.note(where, "length", f"is {raw['length']!r:.40}, but there are {len(names)} file_names")
        sound = len(self.problems) == before
        return VideoEntry(where=where, raw=raw, sound=sound, number=number or 0, file_names=names, size=size)

    def _file_names(self, where: str, raw: Mapping[str, object]) -> list[str]:
        names = raw.get("file_names")
        if not isinstance(names, list) or not names:
            self.note(where, "file_names", "must be a list of one name or more")
            return []
        for index, name in enumerate(names):
            if not isinstance(name, str):
                self.note(where, f"file_names[{index}]", f"must be text (found {name!r:.40})")
                return []
        return names

    def _annotation(
        self, where: str, raw: Mapping[str, object], known: _Known, *, or_longer: bool
    ) -> AnnotationEntry | None:
        before = len(self.problems)
        number = self._id(where, raw, known.ids)
        video_id, category_id = (self._whole(where, raw, key) for key in ("video_id", "category_id"))
        crowd = raw.get("iscrowd", 0)
        if crowd not in (0, 1):
            self.note(where, "iscrowd", f"must be 0 or 1 ({shown(raw, 'iscrowd')})")
        if category_id is not None and category_id not in known.categories:
            self.note(where, "category_id", f"no category has the id {category_id}")
        video = None if video_id is None else known.videos.get(video_id)
        if video is None and video_id is not None:
            self.note(where, "video_id", f"no sound video has the id {video_id}")
        masks = [] if video is None else self._segmentations(where, raw, video, or_longer=or_longer)
        sound = len(self.problems) == before
        if video_id is not None and not sound:
            self.incomplete.add(video_id)
        if video is None:
            return None
        return AnnotationEntry(
            where=where,
            raw=raw,
            sound=sound,
            number=number or 0,
            video=video,
            category_id=category_id or 0,
            segmentations=masks,
            crowd=crowd == 1,
        )

    def _segmentations(self, where: str, raw: Mapping[str, object], video: VideoEntry, *, or_longer: bool) -> list[Any]:
        for key, right in zip(("height", "width"), video.size or (), strict=False):
            if key in raw and raw[key] != right:
                self.note(where, key, f"is {raw[key]!r:.40}, the video has {right}")
        masks, fault = masks_of(raw, num_frames=video.num_frames, or_longer=or_longer)
        if fault:
            self.note(where, "segmentations", fault)
        return masks

    def _id(
        self, where: str, raw: Mapping[str, object], ids: dict[int, str], *, least: int | None = None
    ) -> int | None:
        number = self._whole(where, raw, "id", least=least)
        if number is not None and (other := taken(ids, number, where)):
            self.note(where, "id", f"{number} is also the id of {other}")
        return number

    def _whole(self, where: str, raw: Mapping[str, object], key: str, *, least: int | None = None) -> int | None:
        value, fault = raw.get(key), whole_fault(raw, key, least=least)
        if fault:
            self.note(where, key, fault)
        return value if isinstance(value, int) and not fault else None


def masks_of(raw: Mapping[str, object], *, num_frames: int, or_longer: bool = False) -> tuple[list[Any], str]:
    """The field `segmentations` of a track, true or predicted, and what is wrong with it ("" if nothing is).

    Example:
        >>> masks_of({"segmentations": [None, None]}, num_frames=3)
        ([], 'has 2 entries, the video has 3 frames')
    """
    masks = raw.get("segmentations")
    if not isinstance(masks, list):
        return [], f"must be a list, is {kind(masks)}"
    if len(masks) < num_frames or (len(masks) > num_frames and not or_longer):
        return [], f"has {len(masks)} entries, the video has {num_frames} frames"
    return masks, ""


def areas_fault(areas: object) -> str:
    """What is wrong with the field `areas`; "" if nothing is, or there is none (evaluation takes those of the masks).

    Example:
        >>> areas_fault([12, None, 3.5]), areas_fault("12")
        ('', 'must be a list of finite numbers and null, is text')
    """
    if areas is None:
        return ""
    if not isinstance(areas, list):
        return f"must be a list of finite numbers and null, is {kind(areas)}"
    return "" if all(area is None or is_finite(area) for area in areas) else "must be a list of finite numbers and null"


def is_finite(value: object) -> bool:
    """Whether a value of a JSON file is a finite number.

    Example:
        >>> is_finite(2.5), is_finite(True), is_finite(float("nan")), is_finite(10**400)
        (True, False, False, False)
    """
    try:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # a whole number of more than 300 digits
        return False


def whole_fault(raw: Mapping[str, object], key: str, *, least: int | None = None) -> str:
    """What is wrong with a field that holds a whole number; "" if nothing is.

    Example:
        >>> whole_fault({"id": 7}, "id"), whole_fault({}, "id"), whole_fault({"id": 0}, "id", least=1)
        ('', 'must be a whole number (found nothing)', 'must be a whole number of 1 or more (found 0)')
    """
    value = raw.get(key)
    if isinstance(value, int) and not isinstance(value, bool) and (least is None or value >= least):
        bits = value.bit_length()
        return "" if bits <= _MAX_BITS else f"must fit {_MAX_BITS} bits, has {bits}"
    return f"must be a whole number{'' if least is None else f' of {least} or more'} ({shown(raw, key)})"


def kind(value: object) -> str:
    """What a value of a JSON file is called.

    Example:
        >>> kind([]), kind(None), kind(2.5)
        ('a list', 'missing or null', 'a number')
    """
    names = {dict: "an object", list: "a list", str: "text", bool: "true or false", type(None): "missing or null"}
    return names.get(type(value), "a number")


def shown(raw: Mapping[str, object], key: str) -> str:
    """What a field holds, for the end of a message.

    Example:
        >>> shown({"id": "x"}, "id"), shown({}, "id")
        ("found 'x'", 'found nothing')
    """
    return f"found {raw[key]!r:.40}" if key in raw else "found nothing"


def taken(seen: dict[_Key, str], key: _Key, where: str) -> str | None:
    """The entry that had an id or a name before this one, which is noted in `seen`; None: it is the first.

    Example:
        >>> seen = {}
        >>> taken(seen, 7, "videos[0]"), taken(seen, 7, "videos[3]")
        (None, 'videos[0]')
    """
    first = seen.setdefault(key, where)
    return None if first == where else first


def _other_form(raw: Mapping[str, object]) -> str:
    """What a file is that has its pictures singly; "" for any other."""
    if not isinstance(raw.get("images"), list):
        return ""
    videos = raw.get("videos")
    if not isinstance(videos, list):
        return "COCO JSON (a list of images, no videos)"
    has_stills = any(isinstance(video, dict) and "file_names" in video for video in videos)
    return "" if has_stills else "CocoVID JSON (images that name their video)"


def _entry_name(table: str, index: int, entry: object) -> str:
    """As `annotations[12] (id 13)`."""
    number = entry.get("id") if isinstance(entry, dict) else None
    return f"{table}[{index}]" if number is None else f"{table}[{index}] (id {number!r:.20})"

"""The entries of a YouTube-VIS truth file, with all that every reader of it demands; masks stay as the file has them.

Two readers stand on this one: `ytvis_parse` (import, export, training, checks), which decodes masks at once, and
`metrics.reading` (evaluation), which leaves that to where they are measured. Each demands more and says so through
`EntryReader.refuse`: what one of them refused is then unknown to the entries that refer to it.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from avis_data.errors import DataError, Problem
from avis_data.formats.ytvis_values import entry_name, kind, masks_of, shown, taken, whole_fault
from avis_data.masks.rle import check_size

__all__ = [
    "AnnotationEntry",
    "CategoryEntry",
    "Entries",
    "EntryReader",
    "EntryTable",
    "KnownEntries",
    "VideoEntry",
]


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
    """One for each frame; none where the file's are of no use (then it is not sound), and where they are not kept."""
    num_frames: int
    """T, also where the names are not kept."""
    size: tuple[int, int] | None
    """Height and width in pixels, of its first annotation where it says neither; None where it is not sound."""


@dataclass(kw_only=True, slots=True)
class AnnotationEntry:
    """One entry of `annotations` whose video is known."""

    place: int
    """In its list."""
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


class EntryTable:
    """A long list of a file, gone through as often as one likes, from the file itself where that is large."""

    def __init__(self, entries: Iterable[object], others: Iterable[tuple[int, object]]) -> None:
        """The entries, and which of them are no objects, by their places: these have to be known before."""
        self.entries = entries
        self.others = others


@dataclass(kw_only=True, slots=True)
class KnownEntries:
    """What annotations refer to, and where the ids before this one stand."""

    videos: dict[int, VideoEntry]
    categories: set[int]
    ids: SeenIds = field(default_factory=lambda: SeenIds())


class SeenIds:
    """The ids of a table so far, and their places in it: 16 bytes each, as long as they ascend.

    Example:
        >>> seen = SeenIds()
        >>> [seen.first(number, place) for place, number in enumerate([3, 7, 5, 7, 5])]
        [None, None, None, 1, 2]
    """

    def __init__(self) -> None:
        self._ascending, self._places = array("q"), array("q")
        self._others: dict[int, int] = {}

    def first(self, number: int, place: int) -> int | None:
        """The place of the entry that had this id before; None, and it is noted, where there is none."""
        if not self._ascending or number > self._ascending[-1]:
            self._ascending.append(number)
            self._places.append(place)
            return None
        at = bisect_left(self._ascending, number)
        if self._ascending[at] == number:
            return self._places[at]
        found = self._others.setdefault(number, place)
        return None if found == place else found


class Entries:
    """The entries of a list that are objects: place, what messages call it, content."""

    def __init__(self, table: str, entries: Iterable[object]) -> None:
        self._table, self._entries = table, entries

    def __iter__(self) -> Iterator[tuple[int, str, Mapping[str, object]]]:
        for place, entry in enumerate(self._entries):
            if isinstance(entry, dict):
                yield place, entry_name(self._table, place, entry), entry


_NOT_KEPT: Mapping[str, object] = {}


class EntryReader:
    """Reads the three lists of a truth file: categories and videos at once, annotations when they are asked for."""

    def __init__(self, raw: object, *, keep_videos: bool = True) -> None:
        """Read categories and videos.

        Args:
            raw: what `json.load` gave, anything at all; long lists may be tables (`EntryTable`).
            keep_videos: keep what videos say with them; else only what annotations are compared with.
        """
        self.problems: list[Problem] = []
        """All that is wrong so far: `where` is the entry ("" for the file itself), `field` the key in it."""
        self.incomplete: set[int] = set()
        """Ids of videos of which an annotation could not be used, or that two entries claim."""
        self.raw: Mapping[str, object] = raw if isinstance(raw, dict) else {}
        self.categories: list[CategoryEntry] = []
        self.videos: list[VideoEntry] = []
        self.has_annotations = isinstance(self.raw.get("annotations"), list | EntryTable)
        self._annotations: Entries | None = None
        if not isinstance(raw, dict):
            self.note("", "", f"must be an object with categories, videos and annotations, is {kind(raw)}")
            return
        if other := _other_form(raw):
            self.note("", "", f"this is {other}, not YouTube-VIS JSON; avis-data convert SOURCE --to ytvis makes that")
            return
        category_ids: dict[int, str] = {}
        names: dict[str, str] = {}
        self.categories = [
            self._category(where, entry, category_ids, names) for _, where, entry in self._table("categories")
        ]
        video_ids: dict[int, str] = {}
        for _, where, of_video in self._table("videos"):
            video = self._video(where, of_video, video_ids)
            self.videos.append(video if keep_videos else replace(video, raw=_NOT_KEPT, file_names=[]))
        if self.raw.get("annotations") is not None:  # else the labels are withheld
            self._annotations = self._table("annotations")
        self._take_sizes()

    def known(self) -> KnownEntries:
        """What annotations may refer to: what is sound by now."""
        return KnownEntries(
            videos={video.number: video for video in self.videos if video.sound},
            categories={category.number for category in self.categories if category.sound},
        )

    def annotations(self, *, or_longer: bool = False) -> Iterator[AnnotationEntry]:
        """The annotations of videos that are sound by now, each when it is reached.

        Args:
            or_longer: let pass lists of segmentations that go on beyond the end of the video.
        """
        known = self.known()
        for place, where, raw in self._annotations or ():
            entry = self.annotation(place, where, raw, known, or_longer=or_longer)
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
        for _, where, raw in (self._annotations or ()) if bare else ():
            video_id = raw.get("video_id")
            if isinstance(video_id, int) and video_id in bare and {"height", "width"} <= set(raw):
                size = self.size(where, raw)
                if size is not None:
                    bare.pop(video_id).size = size
        for video in bare.values():
            self.refuse(video, "height, width", "missing, and the video has no annotation to take them from")

    def _table(self, table: str) -> Entries:
        """The entries of a list that are objects; those that are not are noted."""
        found = self.raw.get(table)
        if isinstance(found, list):
            found = EntryTable(found, [(n, entry) for n, entry in enumerate(found) if not isinstance(entry, dict)])
        if not isinstance(found, EntryTable):
            self.note("", table, f"must be a list, is {kind(found)}")
            found = EntryTable((), ())
        for place, entry in found.others:
            self.note(entry_name(table, place, entry), "", f"must be an object, is {kind(entry)}")
        return Entries(table, found.entries)

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
        return VideoEntry(
            where=where, raw=raw, sound=sound, number=number or 0, file_names=names, num_frames=len(names), size=size
        )

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

    def annotation(
        self, place: int, where: str, raw: Mapping[str, object], known: KnownEntries, *, or_longer: bool = False
    ) -> AnnotationEntry | None:
        """One entry of `annotations`; None where its video is not known. What is wrong with it is noted."""
        before = len(self.problems)
        number = self._whole(where, raw, "id")
        if number is not None and (other := known.ids.first(number, place)) is not None:
            text = f"{number} is also the id of {entry_name('annotations', other, {'id': number})}"
            self.note(where, "id", text)
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
            place=place,
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


def _other_form(raw: Mapping[str, object]) -> str:
    """What a file is that has its pictures singly; "" for any other."""
    if not isinstance(raw.get("images"), list | EntryTable):
        return ""
    videos = raw.get("videos")
    if not isinstance(videos, list | EntryTable):
        return "COCO JSON (a list of images, no videos)"
    entries = videos.entries if isinstance(videos, EntryTable) else videos
    has_stills = any(isinstance(video, dict) and "file_names" in video for video in entries)
    return "" if has_stills else "CocoVID JSON (images that name their video)"

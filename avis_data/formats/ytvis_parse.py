"""YouTube-VIS JSON in, checked records out; everything wrong is collected, nothing is raised."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from avis_data.errors import DataError, Problem
from avis_data.formats.ytvis_entries import (
    AnnotationEntry,
    EntryReader,
    VideoEntry,
)
from avis_data.formats.ytvis_records import YtvisDataset, YtvisTrack, YtvisVideo
from avis_data.formats.ytvis_values import areas_fault, shown
from avis_data.masks.rle import Rle, rle_from_segmentation

if TYPE_CHECKING:
    from avis_data.records import Category

__all__ = [
    "ParsedYtvis",
    "VideoFiles",
    "categories_of",
    "check_names",
    "parse_ytvis",
    "read_track",
    "read_video",
    "sounding_flags",
    "video_files",
]


@dataclass(kw_only=True, slots=True)
class ParsedYtvis:
    """What could be read of a file, and what could not."""

    dataset: YtvisDataset = field(default_factory=lambda: YtvisDataset(videos=(), tracks=(), categories=()))
    """The sound entries only."""
    problems: list[Problem] = field(default_factory=list)
    """What makes an entry unreadable: `where` is the entry, as `annotations[12] (id 13)`, `field` the key in it."""
    remarks: list[Problem] = field(default_factory=list)
    """Polygons that were left out, as the official loader does."""
    bad_video_ids: set[int] = field(default_factory=set)
    """Videos of which a track could not be read, so whose truth here is not complete."""
    places: dict[tuple[str, int], str] = field(default_factory=dict)
    """Where an entry stands, by its table and id: `("annotations", 13)` gives `annotations[12] (id 13)`."""

    def problem(self, where: str, name: str, message: str) -> None:
        """Note something unreadable."""
        self.problems.append(Problem(where, name, message))


def parse_ytvis(raw: object) -> ParsedYtvis:
    """The records of a parsed JSON file, and all that is wrong with it.

    Args:
        raw: what `json.load` gave; anything at all.

    Source: specs of AVISM, §1.3.

    Example:
        >>> parsed = parse_ytvis({"categories": [], "videos": [{"id": 1, "width": 8}], "annotations": []})
        >>> print(parsed.problems[0])
        videos[0] (id 1): height: must be a whole number of 1 or more (found nothing)
    """
    reader = EntryReader(raw)
    parsed = ParsedYtvis(problems=reader.problems, bad_video_ids=reader.incomplete)
    videos = [(entry, video) for entry in reader.videos if (video := read_video(reader, entry))]
    check_names(reader, ((entry, video.name) for entry, video in videos))
    tracks = []
    for entry in reader.annotations():
        if track := read_track(reader, entry, parsed.remarks):
            parsed.places["annotations", entry.number] = entry.where
            tracks.append(track)
    parsed.places |= {("videos", entry.number): entry.where for entry, _ in videos}
    info, licenses = reader.raw.get("info"), reader.raw.get("licenses")
    parsed.dataset = YtvisDataset(
        videos=tuple(video for _, video in videos),
        tracks=tuple(tracks),
        categories=categories_of(reader),
        info=info if isinstance(info, dict) else {},
        licenses=tuple(licenses) if isinstance(licenses, list) else (),
        has_annotations=reader.has_annotations,
    )
    return parsed


def categories_of(reader: EntryReader) -> tuple[Category, ...]:
    """The categories that are sound.

    Example:
        >>> reader = EntryReader({"categories": [{"id": 1, "name": "dog"}, {"id": 2}], "videos": [], "annotations": []})
        >>> [category.name for category in categories_of(reader)]
        ['dog']
    """
    from avis_data.records import Category  # inside: `evaluate` only wants the checks of this module

    found = []
    for entry in reader.categories:
        if entry.sound:
            parent = entry.raw.get("supercategory")
            parent = parent if isinstance(parent, str) else None
            found.append(Category(id=entry.number, name=entry.name, supercategory=parent))
    return tuple(found)


def read_video(reader: EntryReader, entry: VideoEntry) -> YtvisVideo | None:
    """A video; None where it is not sound.

    Example:
        >>> video = {"id": 1, "height": 4, "width": 6, "file_names": ["a/0.jpg", "a/1.jpg"]}
        >>> reader = EntryReader({"categories": [], "videos": [video], "annotations": []})
        >>> found = read_video(reader, reader.videos[0])
        >>> found.name, found.length
        ('a', 2)
    """
    files = video_files(reader, entry)
    if not entry.sound or entry.size is None:
        return None
    license_id, source = entry.raw.get("license"), entry.raw.get("source")
    return YtvisVideo(
        video_id=entry.number,
        name=entry.file_names[0].split("/")[0],
        width=entry.size[1],
        height=entry.size[0],
        length=entry.num_frames,
        file_names=tuple(entry.file_names),
        license_id=license_id if isinstance(license_id, int) and not isinstance(license_id, bool) else None,
        fps=files.fps,
        frame_times=files.frame_times,
        audio_file=files.audio_file,
        source=source if isinstance(source, str) else None,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class VideoFiles:
    """When the frames of a video are, and where its sound is; see `YtvisVideo`."""

    fps: float
    frame_times: tuple[float, ...] | None
    audio_file: str | None


def video_files(reader: EntryReader, entry: VideoEntry) -> VideoFiles:
    """What a video says of its files; a name that could lead out of its folder makes it unusable.

    Example:
        >>> video = {"id": 1, "height": 4, "width": 6, "file_names": ["a/0.jpg", "a/1.jpg"], "fps": 2}
        >>> reader = EntryReader({"categories": [], "videos": [video]})
        >>> video_files(reader, reader.videos[0])
        VideoFiles(fps=2.0, frame_times=None, audio_file=None)
    """
    _check_file_names(reader, entry)
    return VideoFiles(
        fps=_fps(reader, entry), frame_times=_frame_times(reader, entry), audio_file=_audio_file(reader, entry)
    )


def _fps(reader: EntryReader, entry: VideoEntry) -> float:
    fps = _number(entry.raw.get("fps", 1.0))
    if fps is None or fps <= 0:
        reader.note(entry.where, "fps", f"must be a number above 0 ({shown(entry.raw, 'fps')})")
        return 1.0
    return float(fps)


def _frame_times(reader: EntryReader, entry: VideoEntry) -> tuple[float, ...] | None:
    given, num_frames = entry.raw.get("frame_times"), entry.num_frames
    if given is None:
        return None
    times = [_number(time) for time in given] if isinstance(given, list) else []
    known = [float(time) for time in times if time is not None]
    if len(known) != num_frames or len(times) != num_frames or known != sorted(set(known)) or known[0] < 0:
        text = f"must be {num_frames} ascending numbers of 0 or more, one for each frame"
        reader.note(entry.where, "frame_times", text)
        return None
    return tuple(known)


def _audio_file(reader: EntryReader, entry: VideoEntry) -> str | None:
    name = entry.raw.get("audio_file")
    if name is None:
        return None
    fault = _path_fault(name) if isinstance(name, str) else f"must be text (found {name!r:.40})"
    if fault:
        reader.note(entry.where, "audio_file", fault)
        return None
    return str(name)


def _check_file_names(reader: EntryReader, entry: VideoEntry) -> None:
    """Refuse a video at the first of its stills that is not `<video>/<frame>.jpg`, all in one folder."""
    names = entry.file_names
    for index, name in enumerate(names):
        fault = _name_fault(name)
        if not fault and name.split("/")[0] != names[0].split("/")[0]:
            fault = f"{name!r:.60} is not in the folder of the first, {names[0].split('/')[0]!r:.60}"
        if fault:
            reader.refuse(entry, f"file_names[{index}]", fault)
            return


def _name_fault(name: str) -> str | None:
    if "/" not in name:
        return f"must be <video>/<frame>.jpg (found {name!r:.60})"
    return _path_fault(name)


def _path_fault(name: str) -> str | None:
    parts = name.split("/")
    if "\\" in name or "\0" in name or any(part in ("", ".", "..") for part in parts):
        return f"is unsafe, it could lead out of its folder (found {name!r:.60})"
    if len(parts[0]) == 2 and parts[0][1] == ":":
        return f"must be relative (found {name!r:.60})"
    return None


def check_names(reader: EntryReader, named: Iterable[tuple[VideoEntry, str]]) -> None:
    """Note videos of one name; nobody knows which of them the files of that name belong to.

    Example:
        >>> videos = [{"id": n, "height": 4, "width": 6, "file_names": ["a/0.jpg"]} for n in (1, 2)]
        >>> reader = EntryReader({"categories": [], "videos": videos, "annotations": []})
        >>> check_names(reader, [(entry, "a") for entry in reader.videos])
        >>> print(reader.problems[0])
        videos[1] (id 2): file_names: 'a' is also the name of videos[0] (id 1)
    """
    first: dict[str, VideoEntry] = {}
    for entry, name in named:
        other = first.setdefault(name, entry)
        if other is not entry:
            reader.note(entry.where, "file_names", f"{name!r:.60} is also the name of {other.where}")
            reader.incomplete.update((entry.number, other.number))


def read_track(reader: EntryReader, entry: AnnotationEntry, remarks: list[Problem]) -> YtvisTrack | None:
    """A track with its masks; None where it is not sound. Polygons that are left out are added to `remarks`.

    Example:
        >>> video = {"id": 1, "height": 4, "width": 6, "file_names": ["a/0.jpg", "a/1.jpg"]}
        >>> track = {"id": 1, "video_id": 1, "category_id": 1, "segmentations": [[[1, 1, 3, 1, 3, 3]], None]}
        >>> tables = {"categories": [{"id": 1, "name": "dog"}], "videos": [video], "annotations": [track]}
        >>> reader = EntryReader(tables)
        >>> found = read_track(reader, next(reader.annotations()), [])
        >>> [mask is not None for mask in found.masks]
        [True, False]
    """
    masks = _masks(reader, entry, remarks)
    sounding = sounding_flags(reader, entry)
    if fault := areas_fault(entry.raw.get("areas")):
        reader.refuse(entry, "areas", fault)
    if not entry.sound:
        return None
    return YtvisTrack(
        track_id=entry.number,
        video_id=entry.video.number,
        category_id=entry.category_id,
        masks=tuple(masks),
        iscrowd=int(entry.crowd),
        areas=_areas(entry),
        sounding=sounding,
    )


def _masks(reader: EntryReader, entry: AnnotationEntry, remarks: list[Problem]) -> list[Rle | None]:
    if entry.video.size is None:  # then the video was refused, and none of its annotations come here
        return []
    height, width = entry.video.size
    masks: list[Rle | None] = []
    for frame, segmentation in enumerate(entry.segmentations):
        dropped: list[str] = []
        try:
            masks.append(rle_from_segmentation(segmentation, height=height, width=width, dropped=dropped))
        except DataError as error:
            reader.refuse(entry, f"segmentations[{frame}]", str(error))
        for line in dropped:
            remarks.append(Problem(entry.where, f"segmentations[{frame}]", line))
    return masks


def sounding_flags(reader: EntryReader, entry: AnnotationEntry) -> tuple[bool | None, ...] | None:
    """The field `sounding` of a track; None where there is none. Of another form, it makes the track unusable.

    Example:
        >>> video = {"id": 1, "height": 4, "width": 6, "file_names": ["a/0.jpg", "a/1.jpg"]}
        >>> track = {"id": 1, "video_id": 1, "category_id": 1, "segmentations": [None, None], "sounding": [True]}
        >>> tables = {"categories": [{"id": 1, "name": "dog"}], "videos": [video], "annotations": [track]}
        >>> reader = EntryReader(tables)
        >>> sounding_flags(reader, next(reader.annotations()))
        >>> print(reader.problems[0])
        annotations[0] (id 1): sounding: must be 2 of true, false or null, one for each frame
    """
    flags = entry.raw.get("sounding")
    if flags is None or not entry.segmentations:
        return None
    known = [flag for flag in flags if flag is None or isinstance(flag, bool)] if isinstance(flags, list) else []
    if not isinstance(flags, list) or not len(flags) == len(known) == len(entry.segmentations):
        text = f"must be {len(entry.segmentations)} of true, false or null, one for each frame"
        reader.refuse(entry, "sounding", text)
        return None
    return tuple(known)


def _areas(entry: AnnotationEntry) -> tuple[float | None, ...] | None:
    areas = entry.raw.get("areas")
    if not isinstance(areas, list) or len(areas) != entry.video.num_frames:
        return None
    return tuple(_number(value) for value in areas)


def _number(value: object) -> float | None:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return None
    return value if abs(value) <= 1e300 else None  # no NaN either

"""CVAT's XML files read into tracks and images, and these put together into clips.

A clip of a video is a task: its name is that of the task, its stills are the frames from `start_frame` to `stop_frame`
in steps of `frame_filter`. A clip of an images file is a folder of its images, or the task where there are no folders.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from avis_data.errors import DataError, Problem
from avis_data.formats.sets.clips import LabelledClip, UnreadClip
from avis_data.formats.sets.files import natural, opened_set, xml_events
from avis_data.formats.sets.layout import clip_called, foreign_path, set_name
from avis_data.formats.tools.choices import Choices
from avis_data.formats.tools.cvat_clips import FoundImage, FoundTrack, image_clip, video_clip
from avis_data.formats.tools.cvat_meta import CvatTask, check_version, tasks_of
from avis_data.formats.tools.cvat_shapes import AREAS, NO_AREA, CvatShape, attributes_of, whole
from avis_data.formats.tools.stills import clips_by_folder

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

__all__ = ["read_cvat"]

_Made = Callable[[], LabelledClip | UnreadClip]


def read_cvat(path: Path, choices: Choices) -> Iterator[LabelledClip | UnreadClip]:
    """The clips of a CVAT file, folder or archive, in the order of their names.

    Raises:
        DataError: if there is no such file, or one is of another format or version, or cut off.
    """
    with opened_set(path) as root:
        found = [root] if root.is_file() else sorted(root.rglob("*.xml"), key=lambda file: natural(str(file)))
        files = [file for file in found if file.is_file() and not file.name.startswith(".")]
        if not files:
            raise DataError(f"{path}: holds no annotations.xml", hint="export the task as CVAT 1.1")
        usual = {file: _usual_name(file, path, alone=len(files) == 1) for file in files}
        if len(files) == 1:
            yield from (made() for _, made in _CvatFile(files[0], usual[files[0]], choices).clips())
            return
        broken: dict[Path, DataError] = {}
        names = {file: _names(file, usual[file], choices, broken) for file in files}
        if len(broken) == len(files):
            raise broken[files[0]]
        times = Counter(name for of_file in names.values() for name in of_file)
        for file in sorted(files, key=lambda file: names[file]):
            if file in broken:
                fault = Problem(str(file), "", str(broken[file].args[0]).removeprefix(f"{file}: "))
                yield UnreadClip(name=usual[file], problems=(fault,))
                continue
            for name, made in _CvatFile(file, usual[file], choices).clips():
                yield made() if times[name] == 1 else _twice(name, file, f"the clip is in the set {times[name]} times")


def _names(file: Path, usual: str, choices: Choices, broken: dict[Path, DataError]) -> list[str]:
    """The clips of a file; of one that cannot be read, which is noted, its own name."""
    try:
        return [name for name, _ in _CvatFile(file, usual, choices).clips()]
    except DataError as error:
        broken[file] = error
        return [usual]


def _usual_name(file: Path, given: Path, *, alone: bool) -> str:
    """What a clip is called that has no name."""
    if alone and file != given:
        return set_name(given)
    return set_name(file.parent if file.stem == "annotations" else file.with_suffix(""))


def _twice(name: str, file: Path, message: str) -> UnreadClip:
    return UnreadClip(name=name, problems=(Problem(str(file), "", message),))


class _CvatFile:
    """One file, read whole; its pixels are drawn clip by clip."""

    def __init__(self, file: Path, usual_name: str, choices: Choices) -> None:
        self._file, self._usual, self._choices = file, usual_name, choices
        self._tasks: list[CvatTask] = []
        self._tracks: dict[str, list[FoundTrack]] = defaultdict(list)
        self._images: dict[str, list[FoundImage]] = defaultdict(list)
        counts: Counter[str] = Counter()
        for element in xml_events(file, "version", "meta", "track", "image", "annotations"):
            place = f"{file}: {element.tag}[{counts[element.tag]}]"
            counts[element.tag] += 1
            match element.tag:
                case "version":
                    check_version(element, str(file))
                case "meta":
                    self._tasks = tasks_of(element, str(file))
                case "track":
                    self._tracks[element.get("task_id", "")].append(_track(element, place))
                case "image":
                    self._images[element.get("task_id", "")].append(_image(element, place))
        if not counts["annotations"] or not (counts["meta"] or counts["track"] or counts["image"]):
            raise DataError(f"{file}: is no CVAT XML: <annotations> with <meta>, <track> or <image> is not there")

    def clips(self) -> list[tuple[str, _Made]]:
        """The name of each clip, and how it is made, in the order of the names."""
        tasks = self._tasks or [CvatTask()]
        found: list[tuple[str, _Made]] = []
        known = {task.task_id for task in tasks}
        for task in tasks:
            ids = {task.task_id} | ({"", *self._tracks, *self._images} if len(tasks) == 1 else set())
            images = [image for task_id in sorted(ids) for image in self._images.get(task_id, [])]
            tracks = [track for task_id in sorted(ids) for track in self._tracks.get(task_id, [])]
            name = clip_called(task.name) or self._usual
            if images:
                found += self._of_images(name, task, images)
            if tracks or not images:
                found.append((name, partial(video_clip, name, task, tracks, self._file, self._choices)))
        if len(tasks) > 1:
            found += [
                (
                    self._usual,
                    partial(_twice, self._usual, self._file, f"task_id {task_id!r:.20} is no task of the file"),
                )
                for task_id in sorted({*self._tracks, *self._images} - known)
            ]
        times = Counter(name for name, _ in found)
        single = [(name, made) for name, made in found if times[name] == 1]
        double = [
            (name, partial(_twice, name, self._file, f"{number} tasks or folders have this name"))
            for name, number in times.items()
            if number > 1
        ]
        return sorted([*single, *double], key=lambda entry: entry[0])

    def _of_images(self, name: str, task: CvatTask, images: Sequence[FoundImage]) -> Iterator[tuple[str, _Made]]:
        groups = clips_by_folder([image.path for image in images], name)
        for clip, places in groups.items():
            of_clip = [images[place] for place in places]
            yield clip, partial(image_clip, clip, of_clip, self._file, self._choices, problems=task.problems)


def _track(element: Element, place: str) -> FoundTrack:
    """A `<track>` with its shapes."""
    track_id = element.get("id", "")
    where = f"{place} (id {track_id})"
    track = FoundTrack(where=where, track_id=track_id, label=element.get("label", ""))
    if not track_id:
        track.problems.append(Problem(where, "id", "is missing"))
    if not track.label:
        track.problems.append(Problem(where, "label", "is missing"))
    try:
        track.group = whole(element.get("group_id", "0"))
    except ValueError as error:
        track.problems.append(Problem(where, "group_id", str(error)))
    of_track = attributes_of(element)
    for number, child in enumerate(element):
        shape_place = f"{where}: {child.tag}[{number}] at frame {child.get('frame')}"
        if child.tag == "attribute":
            continue
        shape = _shape(child, shape_place, of_track, track.problems, track.left_out)
        if shape is not None:
            track.shapes.append(shape)
    return track


def _image(element: Element, place: str) -> FoundImage:
    """An `<image>` with its shapes."""
    text = element.get("name", "")
    where = f"{place} ({text})"
    image = FoundImage(where=where)
    try:
        image.path = foreign_path(text)
    except DataError as error:
        image.problems.append(Problem(where, "name", str(error)))
    values = {}
    for name in ("id", "width", "height"):
        try:
            values[name] = whole(element.get(name))
        except ValueError as error:
            image.problems.append(Problem(where, name, str(error)))
    image.frame = values.get("id")
    image.size_wh = values.get("width", 0), values.get("height", 0)
    for number, child in enumerate(element):
        shape_place = f"{where}: {child.tag}[{number}]"
        if child.tag == "tag":
            image.left_out.append("tag")
            continue
        shape = _shape(child, shape_place, {}, image.problems, image.left_out)
        label = child.get("label", "")
        if shape is not None and not label:
            image.problems.append(Problem(shape_place, "label", "is missing"))
        elif shape is not None:
            image.shapes.append((label, shape))
    return image


def _shape(
    child: Element, place: str, attributes: dict[str, str], problems: list[Problem], left_out: list[str]
) -> CvatShape | None:
    if child.tag in NO_AREA:
        left_out.append(child.tag)
    elif child.tag in ("skeleton", "cuboid"):
        problems.append(Problem(place, "", f"a {child.tag} has no mask; delete it in CVAT, or draw a polygon"))
    elif child.tag not in AREAS:
        problems.append(Problem(place, "", f"<{child.tag!s:.40}> is not known: was it written by a newer CVAT?"))
    else:
        try:
            return CvatShape.of(child, place, attributes)
        except DataError as error:
            problems.append(Problem(place, "", str(error)))
    return None

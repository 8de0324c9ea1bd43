"""Clips made of what a CVAT file says: tracks at the frames of a video, or shapes in images.

Frames between two key frames that are not written are interpolated for boxes, as CVAT does, and for nothing else. A
shape that nothing closes lasts to the end of the task; a mask covers only the frame that it names.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path, PurePosixPath

from avis_data.errors import DataError, Problem
from avis_data.formats.sets.clips import LabelledClip, Still, UnreadClip
from avis_data.formats.sets.files import numbered, picture_size
from avis_data.formats.tools.choices import Choices
from avis_data.formats.tools.cvat_meta import CvatTask
from avis_data.formats.tools.cvat_shapes import CvatShape, between, pixels_of
from avis_data.formats.tools.objects import Drawn, Objects, named_identity
from avis_data.formats.tools.stills import Pictures, one_size, size_problem
from avis_data.masks.rle import check_size

__all__ = ["FoundImage", "FoundTrack", "image_clip", "video_clip"]


@dataclass(kw_only=True)
class FoundTrack:
    """A `<track>` as it stands in the file."""

    where: str
    track_id: str
    label: str
    group: int = 0
    shapes: list[CvatShape] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    """Kinds of shapes that have no area."""


@dataclass(kw_only=True)
class FoundImage:
    """An `<image>` as it stands in the file."""

    where: str
    path: PurePosixPath = field(default_factory=lambda: PurePosixPath("still"))
    frame: int | None = None
    """None: what is said is no number."""
    size_wh: tuple[int, int] = (0, 0)
    shapes: list[tuple[str, CvatShape]] = field(default_factory=list)
    """Label and shape."""
    problems: list[Problem] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def video_clip(
    name: str, task: CvatTask, tracks: Sequence[FoundTrack], file: Path, choices: Choices
) -> LabelledClip | UnreadClip:
    """The clip of a task with its tracks, or all that is wrong with it."""
    objects = Objects(num_stills=0, problems=[*task.problems, *(fault for track in tracks for fault in track.problems)])
    for track_id, times in Counter(track.track_id for track in tracks).items():
        if times > 1:
            objects.problem(str(file), f"track {track_id}", f"{times} tracks have this id")
    frames = _frames(task, tracks, file, objects)
    folders = [file.parent / "images", file.parent / "images" / name, file.parent]
    found = Pictures()
    stills = tuple(_video_still(number, frame, folders, found) for number, frame in enumerate(frames))
    size_wh = _video_size(task, stills, file, objects)
    objects.num_stills = len(stills)
    if size_wh is not None:
        of_tracks = {track.track_id for track in tracks if any(shape.kind != "mask" for shape in track.shapes)}
        for track in tracks:
            for shape in _covered(track, frames, objects):
                who = _of_track(track, shape, choices, of_tracks)
                _draw(objects, frames.index(shape.frame), track.label, shape, who, size_wh, choices)
    _tell_left_out(objects, [kind for track in tracks for kind in track.left_out])
    return _finished(name, size_wh, stills, objects, file)


def image_clip(
    name: str, images: Sequence[FoundImage], file: Path, choices: Choices, *, problems: Sequence[Problem]
) -> LabelledClip | UnreadClip:
    """The clip of some images, in the order of their ids, or all that is wrong with it."""
    images = sorted(images, key=lambda image: -1 if image.frame is None else image.frame)
    objects = Objects(
        num_stills=len(images), problems=[*problems, *(fault for image in images for fault in image.problems)]
    )
    for said in ("frame", "path"):
        values = Counter(getattr(image, said) for image in images)
        for image in images:
            if getattr(image, said) is not None and values[getattr(image, said)] > 1:
                told = "id" if said == "frame" else "name"
                objects.problem(image.where, told, f"{values[getattr(image, said)]} images have the same")
    size_wh, faults = one_size((image.where, image.size_wh) for image in images)
    objects.problems += [Problem(str(file), fault.field, fault.message) for fault in faults]
    size_wh = _possible(size_wh, file, objects)
    numbers = [numbered(image.path.stem) for image in images]
    by_name = len({*numbers} - {None}) == len(images)
    stills, pictures = [], Pictures()
    for image, number in zip(images, numbers, strict=True):
        picture = pictures.named([file.parent / "images", file.parent], image.path)
        stills.append(Still(name=image.path.stem, number=number if by_name else image.frame, picture=picture))
        if size_wh is not None and (fault := size_problem(picture, size_wh, image.where)) is not None:
            objects.problems.append(fault)
    for place, image in enumerate(images):
        for label, shape in image.shapes if _is_possible(image.size_wh) else ():
            _draw(objects, place, label, shape, _of_shape(shape, choices), image.size_wh, choices)
    _tell_left_out(objects, [kind for image in images for kind in image.left_out])
    return _finished(name, size_wh, tuple(stills), objects, file)


def _finished(
    name: str, size_wh: tuple[int, int] | None, stills: tuple[Still, ...], objects: Objects, file: Path
) -> LabelledClip | UnreadClip:
    tracks = objects.tracks()
    if not stills and not objects.problems:
        objects.problem(str(file), "", "has no still: neither <image>, nor start_frame and stop_frame")
    if objects.problems or size_wh is None:
        return UnreadClip(name=name, problems=tuple(objects.problems))
    return LabelledClip(
        name=name,
        width=size_wh[0],
        height=size_wh[1],
        stills=stills,
        tracks=tracks,
        has_identity=objects.has_identity,
        label_files=(file,),
        remarks=tuple(objects.remarks),
    )


def _frames(task: CvatTask, tracks: Sequence[FoundTrack], file: Path, objects: Objects) -> range:
    """The frames of the source that are stills; what the file does not say is taken from the shapes."""
    used = [shape.frame for track in tracks for shape in track.shapes if not shape.is_outside]
    if task.stop < task.start:
        objects.remarks.append("the file does not say how long the task is: it ends with the last shape")
        return range(max(used, default=-1) + 1)
    try:
        return task.frames(used)
    except DataError as error:
        objects.problem(str(file), "job", str(error))
        return range(0)


def _video_still(number: int, frame: int, folders: Sequence[Path], found: Pictures) -> Still:
    name = f"frame_{frame:06d}"
    return Still(name=name, number=number, picture=found.named(folders, PurePosixPath(f"{name}.PNG")))


def _video_size(task: CvatTask, stills: Sequence[Still], file: Path, objects: Objects) -> tuple[int, int] | None:
    pictures = [still.picture for still in stills if still.picture is not None]
    size_wh = task.size_wh
    if size_wh is None and pictures:
        try:
            size_wh = picture_size(pictures[0])
        except DataError as error:
            objects.problem(str(file), "", str(error))
            return None
    if size_wh is None:
        message = "is not there, and no images are saved with the labels: export the task with its images"
        objects.problem(str(file), "original_size", message)
        return None
    size_wh = _possible(size_wh, file, objects)
    faults = [size_problem(picture, size_wh, str(file)) for picture in pictures] if size_wh is not None else []
    objects.problems += [fault for fault in faults if fault is not None]
    return size_wh


def _is_possible(size_wh: tuple[int, int]) -> bool:
    try:
        check_size(size_wh[1], size_wh[0])
    except DataError:
        return False
    return True


def _possible(size_wh: tuple[int, int] | None, file: Path, objects: Objects) -> tuple[int, int] | None:
    try:
        if size_wh is not None:
            check_size(size_wh[1], size_wh[0])
        return size_wh
    except DataError as error:
        objects.problem(str(file), "size", str(error))
        return None


def _covered(track: FoundTrack, frames: range, objects: Objects) -> Iterator[CvatShape]:
    """The shapes of a track, one for each still in which it is to be seen."""
    shapes = sorted(track.shapes, key=lambda shape: shape.frame)
    for before, after in pairwise(shapes):
        if before.frame == after.frame:
            objects.problem(after.where, "frame", "a second shape of the track at this frame")
    for place, shape in enumerate(shapes):
        if shape.is_outside:
            continue
        if shape.frame in frames:
            yield shape
        elif shape.kind == "mask" or not frames or not frames[0] <= shape.frame <= frames[-1]:
            message = (
                f"is none of the stills, {frames.start} to {frames[-1] if frames else -1} in steps of {frames.step}"
            )
            objects.problem(shape.where, "frame", message)
            continue
        if shape.kind != "mask":
            yield from _held(shape, shapes[place + 1] if place + 1 < len(shapes) else None, frames, objects)


def _held(shape: CvatShape, after: CvatShape | None, frames: range, objects: Objects) -> Iterator[CvatShape]:
    """The shape at stills for which nothing is written, up to the next shape or the end of the task."""
    end = frames.stop if after is None else after.frame
    first = shape.frame + 1 + (frames.start - shape.frame - 1) % frames.step
    missing = range(max(first, frames.start), min(end, frames.stop), frames.step)
    if after is None and missing:
        objects.remarks.append(f"{shape.where}: nothing closes the track, it lasts to the end")
    if after is None or after.is_outside:
        yield from (replace(shape, frame=frame) for frame in missing)
    elif shape.kind == after.kind == "box":
        yield from (between(shape, after, frame) for frame in missing)
    elif missing:
        message = (
            f"stills {missing[0]} to {missing[-1]} before the next shape are not in the file, and only boxes are"
            " interpolated; export the task again with all frames"
        )
        objects.problem(shape.where, "", message)


def _of_track(track: FoundTrack, shape: CvatShape, choices: Choices, of_tracks: set[str]) -> str | None:
    """Which object a shape of a track is; None: that is not said."""
    group = f"group_{track.group}" if str(track.group) in of_tracks else str(track.group)
    is_track = shape.kind != "mask" or choices.identity == "track"
    if choices.attribute is not None:
        return named_identity(shape.attributes, choices.attribute)
    if choices.identity == "none":
        return None
    if track.group and (choices.identity == "group" or not is_track):
        return group
    return track.track_id if is_track else named_identity(shape.attributes, None)


def _of_shape(shape: CvatShape, choices: Choices) -> str | None:
    """Which object a shape of an image is; None: that is not said."""
    if choices.attribute is not None:
        return named_identity(shape.attributes, choices.attribute)
    if choices.identity == "none":
        return None
    return str(shape.group) if shape.group else named_identity(shape.attributes, None)


def _draw(
    objects: Objects,
    still: int,
    label: str,
    shape: CvatShape,
    identity: str | None,
    size_wh: tuple[int, int],
    choices: Choices,
) -> None:
    try:
        mask = pixels_of(shape, choices, height=size_wh[1], width=size_wh[0])
        sounding = shape.sounding(choices)
    except DataError as error:
        objects.problem(shape.where, "", str(error))
        return
    joined = f"group {shape.group}" if shape.group else None
    objects.add(
        Drawn(
            still=still,
            mask=mask,
            category=label,
            where=shape.where,
            identity=identity,
            joined=joined,
            depth=shape.depth,
            sounding=sounding,
        )
    )


def _tell_left_out(objects: Objects, kinds: Sequence[str]) -> None:
    for kind, number in sorted(Counter(kinds).items()):
        objects.remarks.append(f"{number} <{kind}> left out: no area")

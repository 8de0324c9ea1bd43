"""SA-V read: each video is a clip, its objects are places in a list or folders of PNG.

The stills of a clip are those that were labelled: in the published set every fourth frame of the video, so that still
`n` of its JSON is frame `4 * n`. A null in place of a mask says that it is not there, a null in place of all masks that
nobody looked at the frame.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from avis_data.errors import DataError, Problem
from avis_data.formats.boards.gathering import Gathered, flag_of
from avis_data.formats.boards.sa_v_places import SaVVideo, find_videos, objects_of
from avis_data.formats.boards.sa_v_writing import OURS
from avis_data.formats.sets.clips import LabelledClip, Media, Still, UnreadClip
from avis_data.formats.sets.files import numbered, opened_set, picture_pixels, picture_size
from avis_data.formats.sets.layout import pictures_in, split_of
from avis_data.formats.ytvis_values import kind, shown
from avis_data.io import read_json
from avis_data.masks.rle import check_size, encode, rle_from_segmentation

__all__ = ["read_sa_v"]

_VIDEO_FPS = 24
"""Of SA-V's videos: what `fps` of a file is counted against."""
_PUBLISHED_STEP = 4
Frames = Sequence[Sequence[object] | None]
"""For each labelled still its masks, one for each object; None: nobody looked at it."""


def read_sa_v(path: Path, masklets: Literal["manual", "auto", "both"]) -> Iterator[LabelledClip | UnreadClip]:
    """The clips of a folder, a file or an archive, in the order of their names.

    Raises:
        DataError: if there is no video of SA-V.
    """
    with opened_set(path) as root:
        videos = find_videos(root) if root.exists() else []
        if not videos:
            raise DataError(f"{path}: holds no SA-V: no <video>_manual.json, no Annotations_6fps/<video>/000")
        wanted = ("manual", "auto") if masklets == "both" else (masklets,)
        for video in videos:
            yield _Reading(video=video, wanted=wanted).result()


@dataclass(kw_only=True)
class _Reading:
    """One video while it is read."""

    video: SaVVideo
    wanted: tuple[str, ...]

    def result(self) -> LabelledClip | UnreadClip:
        """The clip, or all that is wrong with it."""
        video = self.video
        self.problems: list[Problem] = []
        self.size: tuple[int, int] | None = None
        labels = self._labels()
        pictures = pictures_in(video.stills) if video.stills is not None else []
        self.pictures = {number: file for file in pictures if (number := numbered(file.stem)) is not None}
        stills = self._stills(labels)
        self.gathered = Gathered(num_stills=len(stills), problems=self.problems)
        for file in (self.pictures[number] for number, _ in stills if number in self.pictures):
            self._check_picture(file)
        for found in labels:
            self._add_labels(found, "auto_" if found is not labels[0] else "")
        if video.objects is not None and not labels:
            self._add_objects(video.objects, {number: place for place, (number, _) in enumerate(stills)})
        if self.size is None and not self.problems:
            self._problem(str(video.stills or video.name), "", "neither a mask nor a still says its size")
        if self.problems or self.size is None:
            return UnreadClip(name=video.name, problems=tuple(self.problems))
        return self._clip(labels, stills, self.size)

    def _clip(self, labels: list[_Labels], stills: list[tuple[int, bool]], size_hw: tuple[int, int]) -> LabelledClip:
        said = labels[0].facts() if labels else _Facts(fps=self.video.label_fps)
        return LabelledClip(
            name=self.video.name,
            height=size_hw[0],
            width=size_hw[1],
            stills=tuple(self._still(number, is_labelled) for number, is_labelled in stills),
            tracks=self.gathered.tracks(),
            has_truth=bool(labels) or self.video.objects is not None,
            has_identity=said.has_identity,
            fps=said.fps,
            split=(split_of(said.split) if said.split else None) or self.video.split,
            license=said.license,
            source=said.source,
            url=said.url,
            start_s=said.start_s,
            label_files=tuple(found.file for found in labels),
        )

    def _problem(self, where: str, name: str, message: str) -> None:
        self.problems.append(Problem(where, name, message))

    def _labels(self) -> list[_Labels]:
        """The files that are asked for."""
        files = self.video.files
        if files and not any(kind_ in files for kind_ in self.wanted):
            there = next(iter(files))
            self._problem(str(files[there]), "", f"the only masks are of the kind {there}: --masklets {there}")
        found: list[_Labels] = []
        for kind_ in self.wanted:
            labels = _Labels.of(files[kind_], self.problems) if kind_ in files else None
            if labels is None:
                continue
            if labels.size_hw is not None:
                self._has_size(str(labels.file), labels.size_hw)
            if found and (len(labels.frames), labels.step) != (len(found[0].frames), found[0].step):
                told = f"has {len(labels.frames)} frames, {found[0].file.name} has {len(found[0].frames)}"
                self._problem(str(labels.file), "masklet", told)
            else:
                found.append(labels)
        return found

    def _stills(self, labels: list[_Labels]) -> list[tuple[int, bool]]:
        """The number of each still in the video, and whether somebody looked at it."""
        if labels:
            frames, step = labels[0].frames, labels[0].step
            beyond = sum(number >= len(frames) * step for number in self.pictures)
            if beyond:
                self._problem(
                    str(labels[0].file), "masklet", f"has {len(frames)} frames, and {beyond} stills are later"
                )
            return [(place * step, frame is not None) for place, frame in enumerate(frames)]
        files = [file for folder in objects_of(self.video.objects) for file in pictures_in(folder, (".png",))]
        numbers = {number for file in files if (number := numbered(file.stem)) is not None}
        return [(number, True) for number in sorted(numbers or self.pictures)]

    def _check_picture(self, file: Path) -> None:
        try:
            width, height = picture_size(Media(name=file.name, path=file))
            self._has_size(str(file), (height, width))
        except DataError as error:
            self._problem(str(file), "", str(error).removeprefix(f"{file}: "))

    def _has_size(self, where: str, size_hw: tuple[int, ...]) -> bool:
        """Note the size of something; False, with what is wrong, where it is not that of the others."""
        self.size = self.size or (size_hw[0], size_hw[1])
        if self.size != size_hw:
            told = f"{size_hw[1]} x {size_hw[0]} pixels, what came before has {self.size[1]} x {self.size[0]}"
            self._problem(where, "", told)
        return self.size == size_hw

    def _still(self, number: int, is_labelled: bool) -> Still:
        file = self.pictures.get(number)
        picture = None if file is None else Media(name=file.name, path=file)
        return Still(name=f"{number:05d}", number=number, picture=picture, is_labelled=is_labelled)

    def _add_labels(self, labels: _Labels, prefix: str) -> None:
        for number, (name, category, flags) in enumerate(labels.objects):
            self.gathered.track(prefix + name, category, f"{labels.file}: masklet_id[{number}]")
            for place, frame in enumerate(labels.frames):
                if frame is None or number >= len(frame) or frame[number] is None or self.size is None:
                    continue
                where = f"{labels.file}: masklet[{place}][{number}]"
                try:
                    if not isinstance(frame[number], dict):
                        raise DataError(f"must be run lengths, is {kind(frame[number])}")
                    mask = rle_from_segmentation(frame[number], height=self.size[0], width=self.size[1])
                except DataError as error:
                    self._problem(where, "", str(error))
                    continue
                if mask is not None:
                    flag = flags[place] if place < len(flags) else None
                    self.gathered.add(prefix + name, place, mask, category=category, where=where, sounding=flag)

    def _add_objects(self, folder: Path, place_of: Mapping[int, int]) -> None:
        """The masks of objects that are folders of PNG: whatever is not 0 is inside."""
        for place in objects_of(folder):
            self.gathered.track(place.name, None, str(place))
            for file in pictures_in(place, (".png",)):
                number = numbered(file.stem)
                if number is None:
                    self._problem(str(file), "", "its name does not end in the number of a frame")
                    continue
                try:
                    values_HW = picture_pixels(file, modes=("1", "L", "P"))
                except DataError as error:
                    self._problem(str(file), "", str(error).removeprefix(f"{file}: "))
                    continue
                if self._has_size(str(file), values_HW.shape):
                    mask = encode(values_HW)
                    self.gathered.add(place.name, place_of[number], mask, category=None, where=str(file))


@dataclass(frozen=True, kw_only=True)
class _Facts:
    """What a file says of the whole video."""

    fps: float | None = None
    """Labelled stills in one second."""
    split: str | None = None
    has_identity: bool = True
    license: str | None = None
    source: str | None = None
    url: str | None = None
    start_s: float | None = None


@dataclass(kw_only=True)
class _Labels:
    """What one JSON file says."""

    file: Path
    raw: Mapping[str, object]
    frames: Frames
    objects: list[tuple[str, str | None, list[bool | None]]]
    """Id, category, and whether it is heard in each still; an empty list: not said."""
    size_hw: tuple[int, int] | None
    step: int
    """Frames of the video from one labelled still to the next."""
    fps: float | None

    @classmethod
    def of(cls, file: Path, problems: list[Problem]) -> _Labels | None:
        """What a file says; None where it says nothing of use. What is wrong is added to the problems."""
        told = len(problems)

        def problem(where: str, name: str, message: str) -> None:
            problems.append(Problem(f"{file}: {where}" if where else str(file), name, message))

        try:
            raw = read_json(file)
        except DataError as error:
            problem("", "", str(error).removeprefix(f"{file}: "))
            return None
        said: Mapping[str, object] = raw if isinstance(raw, dict) else {"masklet": raw}
        key = "masklet" if "masklet" in said else "masks"
        frames = said.get(key)
        if not isinstance(frames, list) or not frames:
            problem("", key, f"must be a list of frames ({shown(said, key)})")
            return None
        length = next((len(frame) for frame in frames if isinstance(frame, list)), 0)
        for place, frame in enumerate(frames):
            if frame is not None and (not isinstance(frame, list) or len(frame) != length):
                found = f"{len(frame)}" if isinstance(frame, list) else kind(frame)
                problem(f"{key}[{place}]", "", f"must be null or a list of {length} masks (found {found})")
        if len(problems) > told:
            return None
        try:
            size_hw = _size_of(said, frames)
        except DataError as error:
            problem("", "video_height, video_width", str(error))
            return None
        step, fps = 1, None
        try:
            step, fps = _rate_of(said, len(frames))
        except DataError as error:
            problem("", "fps", str(error))
        objects = list(_objects_of(said, length, len(frames), problem))
        return cls(file=file, raw=said, frames=frames, objects=objects, size_hw=size_hw, step=step, fps=fps)

    def facts(self) -> _Facts:
        """What it says of the whole video; what is of the wrong type is left out, as others may use our key."""
        ours = _ours_of(self.raw)
        texts = {name: ours.get(name) for name in ("license", "source", "url")}
        license_, source, url = (value if isinstance(value, str) and value else None for value in texts.values())
        split = self.raw.get("video_split")
        return _Facts(
            fps=_number(ours.get("fps")) or self.fps,
            split=split if isinstance(split, str) else None,
            has_identity=ours.get("has_identity") is not False,
            license=license_,
            source=source,
            url=url,
            start_s=_number(ours.get("start_s"), least=0.0),
        )


_Told = Callable[[str, str, str], None]
"""Takes something wrong: where in the file, which field, what."""


def _ours_of(raw: Mapping[str, object]) -> Mapping[str, object]:
    """What only our own files say."""
    ours = raw.get(OURS)
    return ours if isinstance(ours, dict) else {}


def _whole(value: object) -> int | None:
    """A whole number, also written as 48.0; None: it is none."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1 << 53:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _number(value: object, *, least: float = 1e-6) -> float | None:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and least <= value < 1e9:
        return float(value)
    return None


def _size_of(raw: Mapping[str, object], frames: Frames) -> tuple[int, int] | None:
    """Height and width that the fields say, else those of the first mask; None: it has none.

    Raises:
        DataError: if they are no size of a picture.
    """
    said: object = [raw[key] for key in ("video_height", "video_width") if raw.get(key) is not None]
    if said == []:
        masks = (entry for frame in frames for entry in frame or () if isinstance(entry, dict))
        said = next((entry.get("size") for entry in masks), None)
        if said is None:
            return None
    found = [_whole(value) for value in said] if isinstance(said, list) else []
    if len(found) != 2 or found[0] is None or found[1] is None:
        raise DataError(f"must be two whole numbers (found {said!r:.60})")
    check_size(found[0], found[1])
    return found[0], found[1]


def _rate_of(raw: Mapping[str, object], length: int) -> tuple[int, float | None]:
    """Frames of the video from one labelled still to the next, and labelled stills in one second.

    `fps` is what SAM 2's loader goes by; else the frames of the video say it, as the published set has no `fps`.

    Raises:
        DataError: if `fps` is none that the loader takes.
    """
    if "fps" in raw:
        said = raw["fps"][0] if isinstance(raw["fps"], list) and raw["fps"] else raw["fps"]
        fps = _whole(said)
        if fps is None or fps < 1 or _VIDEO_FPS % fps:
            raise DataError(f"must be a whole number that divides {_VIDEO_FPS} (found {said!r:.40})")
        return _VIDEO_FPS // fps, float(fps)
    count, duration_s = _whole(raw.get("video_frame_count")), _number(raw.get("video_duration"))
    if count is None or not 0 < count < 1 << 32:
        return 1, None
    steps = [step for step in (1, _PUBLISHED_STEP, -(-count // length)) if -(-count // step) == length]
    step = next(iter(steps), 1)
    return step, None if duration_s is None else count / duration_s / step


def _objects_of(
    raw: Mapping[str, object], length: int, num_frames: int, told: _Told
) -> Iterator[tuple[str, str | None, list[bool | None]]]:
    """Id, category and flags of each object; nothing, with what is wrong, where ids are none."""
    ids, tracks = raw.get("masklet_id"), _ours_of(raw).get("tracks")
    names = [str(place) for place in range(length)]
    if tracks is not None and (not isinstance(tracks, list) or not all(isinstance(track, dict) for track in tracks)):
        told(OURS, "tracks", f"must be a list of objects ({shown(_ours_of(raw), 'tracks')})")
        return
    if tracks:
        names = [str(track.get("track_id")) for track in tracks]
    elif ids is not None:
        numbers = [_whole(number) for number in ids] if isinstance(ids, list) else [None]
        if None in numbers:
            told("", "masklet_id", f"must be a list of whole numbers ({shown(raw, 'masklet_id')})")
            return
        names = [str(number) for number in numbers]
    if len(names) != length or len(set(names)) != length:
        told("", "masklet_id", f"must be {length} different ids, as many as there are masks in a frame")
        return
    for place, name in enumerate(names):
        track: Mapping[str, object] = tracks[place] if tracks else {}
        category, flags = track.get("category"), track.get("sounding", [])
        try:
            if not isinstance(flags, list) or len(flags) not in (0, num_frames):
                raise DataError(f"must be a list of {num_frames} flags ({shown(track, 'sounding')})")
            heard = [flag_of(flag) for flag in flags]
        except DataError as error:
            told(f"{OURS}.tracks[{place}]", "sounding", str(error))
        else:
            yield name, category if isinstance(category, str) and category else None, heard

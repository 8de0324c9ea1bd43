"""A split in the AVISeg layout, ours or foreign, as training and prediction read it. Everything wrong is told at once.

The layout is that of `avis_data.formats.aviseg_folders` (see docs/export.md).
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from avis_data.errors import DataError, Problem, ProblemsError
from avis_data.format_numbers import check_export, what_is
from avis_data.formats.aviseg_folders import STILLS, truth_path
from avis_data.formats.ytvis import YtvisDataset, YtvisTrack, YtvisVideo, read_ytvis
from avis_data.masks.rle import Rle, area
from avis_data.media.stills import open_still
from avis_data.storage.fetched import LaterStills, later_stills
from avis_data.training.data.audio_features import AudioFeatures
from avis_data.training.data.frame_times import FrameTimes, frame_times

__all__ = ["DatasetClip", "DatasetTrack", "SplitData", "open_split"]

_LAYOUT = "an export has train.json, val.json, test.json and the folders train, val, test (avis-data export)"


@dataclass(frozen=True, kw_only=True, slots=True)
class DatasetTrack:
    """One labelled object of a clip."""

    label: int
    """0-based class: category id - 1."""
    identity: int
    """Which track of the split it is, counted from 0 in the order of clips."""
    masks: tuple[Rle | None, ...]
    """One per frame; None where it does not sound."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DatasetClip:
    """One clip: where its files are, and its truth."""

    clip_id: str
    video_id: int
    """Its id in the truth file and in result files."""
    folder: Path
    """JPEGImages of the split."""
    file_names: tuple[str, ...]
    """One still per frame, relative to `folder`."""
    size_hw: tuple[int, int]
    """Size of the stills and of the masks."""
    times: FrameTimes
    """When the frames are."""
    audio: Path | None
    """The file that the audio is read from; None where no audio was asked for, or there need not be any and is none."""
    tracks: tuple[DatasetTrack, ...]
    """The tracks with a mask in at least one frame; crowds are left out."""
    later: LaterStills | None = None
    """From where stills come that are not here yet."""

    @property
    def num_frames(self) -> int:
        """T."""
        return len(self.file_names)

    @property
    def seen_frames(self) -> tuple[int, ...]:
        """Frames in which at least one track has a mask."""
        return tuple(frame for frame in range(self.num_frames) if any(track.masks[frame] for track in self.tracks))

    def bring(self, frames: Iterable[int]) -> None:
        """Have some stills be here, together, where they come from a bucket. Raises as `LaterStills.bring`."""
        if self.later is not None:
            self.later.bring(self.folder / self.file_names[frame] for frame in frames)

    def picture(self, frame: int) -> Image.Image:
        """One still, decoded, RGB.

        Raises:
            DataError: if it cannot be decoded or has another size than the truth file says.
        """
        self.bring([frame])
        path = self.folder / self.file_names[frame]
        picture = open_still(path)
        if (picture.height, picture.width) != self.size_hw:
            said = f"{self.size_hw[1]} x {self.size_hw[0]}"
            raise DataError(f"{path}: has {picture.width} x {picture.height} pixels, the truth file says {said}")
        return picture


@dataclass(frozen=True, kw_only=True)
class SplitData:
    """One split of a dataset."""

    name: str
    truth: Path
    """The JSON file."""
    clips: tuple[DatasetClip, ...]
    categories: dict[int, str]
    """Category id -> name."""
    has_labels: bool
    """False: they are withheld, as of hidden test sets; then no clip has a track."""
    audio: AudioFeatures | None
    """How `DatasetClip.audio` is read; None for a model without audio."""

    @property
    def num_identities(self) -> int:
        """Tracks of all clips together."""
        return sum(len(clip.tracks) for clip in self.clips)

    def vectors(self, clip: DatasetClip, frames: list[int]) -> NDArray[np.float32] | None:
        """What is heard in some frames, float32 (n, ...); None for a model without audio, or a clip without sound."""
        if self.audio is None or clip.audio is None:
            return None
        return self.audio.read(clip.audio, frames, clip.times)


def open_split(root: Path, split: str, *, num_classes: int | None, audio: AudioFeatures | None) -> SplitData:
    """Read the truth of a split and check that all its files are there.

    Args:
        root: the folder of the dataset.
        split: `train`, `val` or `test`.
        num_classes: of the model; category ids must be 1 to that. None: any.
        audio: which audio files are needed; None for a model without audio.

    Raises:
        DataError: if the folder has not the layout, or is an export of another format.
        ProblemsError: with every missing still, every audio file that cannot be used, every category id outside.
    """
    truth, folder = truth_path(root, split), root / split
    if not truth.is_file():
        raise DataError(f"{root}: there is no {split}.json; {what_is(root)}", hint=_LAYOUT)
    check_export(root)
    later = later_stills(root)
    if later is None and not (folder / STILLS).is_dir():
        raise DataError(f"{folder}: there is no folder {STILLS}", hint=_LAYOUT)
    dataset = read_ytvis(truth)
    if not dataset.videos:
        raise DataError(f"{truth}: has no videos", hint=_LAYOUT)
    if num_classes is not None:
        _check_categories(truth, dataset, num_classes)
    _check_stills(truth, folder / STILLS, dataset, later)
    if audio is not None:
        _check_audio(folder, dataset, audio)
    tracks: dict[int, list[YtvisTrack]] = defaultdict(list)
    for track in dataset.tracks:
        tracks[track.video_id].append(track)
    clips: list[DatasetClip] = []
    known = 0
    for video in dataset.videos:
        clips.append(_clip(video, tracks[video.video_id], folder, audio, first_identity=known, later=later))
        known += len(clips[-1].tracks)
    return SplitData(
        name=split,
        truth=truth,
        clips=tuple(clips),
        categories={category.id: category.name for category in dataset.categories},
        has_labels=dataset.has_annotations,
        audio=audio,
    )


def _clip(
    video: YtvisVideo,
    tracks: list[YtvisTrack],
    folder: Path,
    audio: AudioFeatures | None,
    *,
    first_identity: int,
    later: LaterStills | None,
) -> DatasetClip:
    kept: list[DatasetTrack] = []
    for track in sorted(tracks, key=lambda track: track.track_id):
        masks = tuple(mask if mask is not None and area(mask) else None for mask in track.masks)
        if not track.iscrowd and any(masks):
            identity = first_identity + len(kept)
            kept.append(DatasetTrack(label=track.category_id - 1, identity=identity, masks=masks))
    return DatasetClip(
        clip_id=video.name,
        video_id=video.video_id,
        folder=folder / STILLS,
        file_names=video.file_names,
        size_hw=(video.height, video.width),
        times=frame_times(video),
        audio=None if audio is None else audio.existing(folder, video.name),
        tracks=tuple(kept),
        later=later,
    )


def _check_categories(truth: Path, dataset: YtvisDataset, num_classes: int) -> None:
    ids = {category.id for category in dataset.categories} | {track.category_id for track in dataset.tracks}
    outside = sorted(number for number in ids if not 1 <= number <= num_classes)
    if outside:
        shown = ", ".join(map(str, outside[:10])) + (", ..." if len(outside) > 10 else "")
        raise DataError(
            f"{truth}: category ids {shown} are outside of the config's classes, 1 to {num_classes}",
            hint=f"--set model.num_classes={max(ids)}, if the model is to learn them" if min(ids) >= 1 else None,
        )


def _check_stills(truth: Path, folder: Path, dataset: YtvisDataset, later: LaterStills | None) -> None:
    problems = []
    listed: dict[str, set[str]] = {}  # one listing per folder: asking for each file is slow on network disks
    if later is not None:
        below = folder.relative_to(truth.parent).as_posix()
        listed = {path.removeprefix(f"{below}/"): names for path, names in later.names().items()}
    for video in dataset.videos:
        for name in video.file_names:
            parent, _, file = name.rpartition("/")
            if parent not in listed:
                place = folder / parent
                listed[parent] = {entry.name for entry in os.scandir(place)} if place.is_dir() else set()
            if file not in listed[parent]:
                problems.append(Problem(f"clip {video.name}", "", f"no still {folder.name}/{name}"))
    if problems:
        raise ProblemsError(
            f"{truth}: {len(problems)} still(s) are missing", problems, hint=f"avis-data validate {truth.parent}"
        )


def _check_audio(folder: Path, dataset: YtvisDataset, audio: AudioFeatures) -> None:
    problems = []
    for video in dataset.videos:
        path = audio.existing(folder, video.name)
        problem = None if path is None else audio.problem(path, frame_times(video))
        if path is not None and problem:
            problems.append(Problem(f"clip {video.name}", path.relative_to(folder.parent).as_posix(), problem))
    if problems:
        raise ProblemsError(f"{folder}: the audio of {len(problems)} clip(s) cannot be used", problems, hint=audio.hint)

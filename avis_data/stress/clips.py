"""What a split of a dataset says of its clips: what may be heard and seen in each frame, and where the sound is.

Shapes: T frames of a clip.
"""

from __future__ import annotations

import math
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import soxr

from avis_data.config import validated
from avis_data.errors import DataError, Problem, ProblemsError
from avis_data.format_numbers import check_export, what_is
from avis_data.formats.aviseg_folders import sound_path, truth_path
from avis_data.formats.ytvis import YtvisDataset, YtvisTrack, YtvisVideo, read_ytvis
from avis_data.formats.ytvis_records import withheld_error
from avis_data.io import read_json
from avis_data.masks.rle import area
from avis_data.records import Record, State
from avis_data.stress.waves import Wave, read_wave
from avis_data.synth.labels import SceneLabels, read_scenes
from avis_data.synth.plan import plan_scene
from avis_data.synth.scene import WorldOptions
from avis_data.synth.sound import mix_without, stems
from avis_data.synth.timbres import RATE_HZ
from avis_data.synth.world import check_options

__all__ = ["HeardClip", "HeardTrack", "World", "open_world"]

_KEPT_WAVES = 8
"""Sounds that are kept after they were read: those of donors come again."""


@dataclass(frozen=True, kw_only=True)
class HeardTrack:
    """One object of a clip. Where nobody said it, it may be heard, and may be seen."""

    track_id: str
    category: str
    heard_T: tuple[bool, ...]
    """Whether it may be heard in each frame."""
    seen_T: tuple[bool, ...]
    """Whether it may be seen in each frame."""


@dataclass(frozen=True, kw_only=True)
class HeardClip:
    """One clip."""

    name: str
    video: YtvisVideo
    sound: Path
    tracks: tuple[HeardTrack, ...]

    @property
    def fps(self) -> Fraction:
        """Frames a second."""
        return Fraction(self.video.fps).limit_denominator(1000)

    @property
    def num_frames(self) -> int:
        """T."""
        return self.video.length

    @property
    def heard_categories(self) -> frozenset[str]:
        """Of what is heard somewhere in it."""
        return frozenset(track.category for track in self.tracks if any(track.heard_T))

    @property
    def categories(self) -> frozenset[str]:
        """Of all that is known to be in it, heard or not."""
        return frozenset(track.category for track in self.tracks)

    def sounding_T(self, *, without: str | None = None) -> list[bool]:
        """In which frames something that is seen is heard, but for one track."""
        others = [track for track in self.tracks if track.track_id != without]
        return [any(track.heard_T[t] and track.seen_T[t] for track in others) for t in range(self.num_frames)]

    def heard_later_T(self, seconds: int) -> list[bool]:
        """In which frames something that may be seen is heard, if the sound comes that much later."""
        found = []
        for t in range(self.num_frames):
            begin, end = Fraction(t) / self.fps - seconds, Fraction(t + 1) / self.fps - seconds
            found.append(any(track.seen_T[t] and self._heard_in(track.heard_T, begin, end) for track in self.tracks))
        return found

    def any_heard(self, begin_s: Fraction, end_s: Fraction, *, of: frozenset[str]) -> bool:
        """Whether anything of some categories is heard in a span of the clip."""
        return any(self._heard_in(track.heard_T, begin_s, end_s) for track in self.tracks if track.category in of)

    def _heard_in(self, heard_T: Sequence[bool], begin_s: Fraction, end_s: Fraction) -> bool:
        first, last = math.floor(begin_s * self.fps), math.ceil(end_s * self.fps)
        return any(heard_T[max(0, first) : max(0, last)])


class _WorldFacts(Record):
    """`world` of a `scenes.json`: what the world was made with."""

    seed: int
    num_seconds: int
    width: int
    height: int
    fps: int
    label_fps: float
    num_clips: int
    version: int


@dataclass(frozen=True, kw_only=True)
class _Scenes:
    """The synthetic world that clips are of."""

    options: WorldOptions
    labels: Mapping[str, tuple[int, SceneLabels]]
    """By clip: its number in the world, and all that is true of it."""


class World:
    """The clips of a split, with their sounds."""

    def __init__(self, clips: Sequence[HeardClip], truth: Path, scenes: _Scenes | None) -> None:
        self.clips: Mapping[str, HeardClip] = {clip.name: clip for clip in sorted(clips, key=lambda clip: clip.name)}
        """By name, in the order of names."""
        self.truth = truth
        self._scenes = scenes
        self._waves: OrderedDict[str, Wave] = OrderedDict()

    def wave(self, name: str) -> Wave:
        """The sound of a clip. Raises DataError if it cannot be read."""
        if name not in self._waves:
            self._waves[name] = read_wave(self.clips[name].sound)
            if len(self._waves) > _KEPT_WAVES:
                self._waves.popitem(last=False)
        self._waves.move_to_end(name)
        return self._waves[name]

    def knows_sources(self, name: str) -> bool:
        """Whether it is known what each object of a clip sounds like on its own."""
        return self._scenes is not None and name in self._scenes.labels

    def wave_without(self, name: str, track_id: str) -> Wave:
        """The sound of a clip of the synthetic world, mixed anew without one of its tracks, in the form of its file."""
        assert self._scenes is not None
        index, labels = self._scenes.labels[name]
        scene = plan_scene(self._scenes.options, index)
        first = round(scene.lead_s * RATE_HZ)
        samples_NC = mix_without(scene, stems(scene), track_id)[first : first + labels.num_seconds * RATE_HZ].astype(
            np.float64
        )
        like = self.wave(name)
        channels = like.samples_NC.shape[1]
        if like.is_mono or channels != samples_NC.shape[1]:
            samples_NC = np.repeat(samples_NC.mean(axis=1, keepdims=True), channels, axis=1)
        resampled_NC = soxr.resample(samples_NC, RATE_HZ, like.rate_hz)
        whole_NC = np.zeros_like(like.samples_NC)
        count = min(len(whole_NC), len(resampled_NC))
        whole_NC[:count] = resampled_NC[:count]
        return Wave(samples_NC=whole_NC, rate_hz=like.rate_hz)


def open_world(root: Path, split: str, *, scenes: Path | None = None) -> World:
    """The clips of a split of a dataset in the AVISeg layout.

    A truth file says what sounds where it is seen. `scenes.json` of the synthetic world says more: what is seen and
    silent, what is heard and not seen, and what each thing sounds like on its own.

    Raises:
        DataError: if there is no such dataset, its labels are withheld, or the scenes are of another world.
        ProblemsError: with every clip that has no sound, or is not in the scenes.
    """
    truth = truth_path(root, split)
    if not truth.is_file():
        raise DataError(f"{root}: there is no {split}.json; {what_is(root)}", hint="avis-data export")
    check_export(root)
    dataset = read_ytvis(truth)
    if not dataset.has_annotations:
        raise withheld_error(truth)
    sounds = {video.name: sound_path(root, split, video.name) for video in dataset.videos}
    problems = [Problem(f"clip {name}", "", f"no sound {path}") for name, path in sounds.items() if not path.is_file()]
    if problems or not sounds:
        what = f"{len(problems)} clip(s) have no sound" if problems else "has no clips"
        raise ProblemsError(f"{truth}: {what}", problems, hint=f"avis-data validate {root}")
    known = None if scenes is None else _read_world(scenes, dataset, truth)
    tracks_of = _of_truth(dataset) if known is None else _of_scenes(known)
    clips = [
        HeardClip(name=video.name, video=video, sound=sounds[video.name], tracks=tracks_of(video))
        for video in dataset.videos
    ]
    return World(clips, truth, known)


def _of_truth(dataset: YtvisDataset) -> Callable[[YtvisVideo], tuple[HeardTrack, ...]]:
    names = {category.id: category.name for category in dataset.categories}
    by_video: dict[int, list[YtvisTrack]] = defaultdict(list)
    for track in dataset.tracks:
        by_video[track.video_id].append(track)

    def tracks_of(video: YtvisVideo) -> tuple[HeardTrack, ...]:
        found = []
        for track in sorted(by_video[video.video_id], key=lambda track: track.track_id):
            has_mask_T = [mask is not None and area(mask) > 0 for mask in track.masks]
            flags_T = track.sounding or [None] * video.length
            heard_T = [has_mask and flag is not False for has_mask, flag in zip(has_mask_T, flags_T, strict=True)]
            found.append(
                HeardTrack(
                    track_id=str(track.track_id),
                    category=names.get(track.category_id, str(track.category_id)),
                    heard_T=tuple(heard_T),
                    # A file of what sounds has no mask where a thing is silent, though it may be in view.
                    seen_T=tuple(has_mask_T) if track.sounding else (True,) * video.length,
                )
            )
        return tuple(found)

    return tracks_of


def _of_scenes(scenes: _Scenes) -> Callable[[YtvisVideo], tuple[HeardTrack, ...]]:
    def tracks_of(video: YtvisVideo) -> tuple[HeardTrack, ...]:
        return tuple(
            HeardTrack(
                track_id=track.track_id,
                category=track.category,
                heard_T=tuple(track.heard),
                seen_T=tuple(state is not State.HIDDEN for state in track.states),
            )
            for track in scenes.labels[video.name][1].tracks
        )

    return tracks_of


def _read_world(path: Path, dataset: YtvisDataset, truth: Path) -> _Scenes:
    labels = {scene.clip_id: (index, scene) for index, scene in enumerate(read_scenes(path))}
    facts = validated(_WorldFacts, read_json(path).get("world"), where=f"{path}: world")
    if len(labels) != facts.num_clips:
        raise DataError(f"{path}: has {len(labels)} scenes, the world {facts.num_clips}")
    problems = []
    for video in dataset.videos:
        if video.name not in labels:
            problems.append(Problem(f"clip {video.name}", "", "is no scene of this world"))
        elif len(labels[video.name][1].tracks) and len(labels[video.name][1].tracks[0].heard) != video.length:
            problems.append(Problem(f"clip {video.name}", "", f"has {video.length} frames, its scene has others"))
    if problems:
        raise ProblemsError(f"{path}: {len(problems)} clip(s) of {truth} are not of it", problems)
    options = WorldOptions(**facts.model_dump(exclude={"num_clips", "version"}))
    check_options(options, num_clips=facts.num_clips, base_url=None)
    for video in dataset.videos:
        index, said = labels[video.name]
        planned = plan_scene(options, index)
        tracks = [track.track_id for track in said.tracks]
        if planned.video_id != said.video_id or [thing.thing_id for thing in planned.tracks] != tracks:
            raise DataError(f"{path}: scenes[{index}]: is not what this version makes of its seed and options")
    return _Scenes(options=options, labels=labels)

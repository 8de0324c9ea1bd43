"""Models that watch a clip frame by frame, and their tracks.

Shapes: H, W pixels at network size.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from torch import Tensor

from avis_data.masks.rle import Rle, encode
from avis_data.masks.spool import GrowingMasks, MaskSpool
from avis_data.training.data.clips import ClipSource, PredictedTrack
from avis_data.training.models.spec import PredictOptions

__all__ = ["ClipStream", "OnlineModel", "SeenObject", "tracks_of_stream", "watch"]

_DEFAULT_OPTIONS = PredictOptions()


@dataclass(frozen=True, kw_only=True)
class SeenObject:
    """One object in one frame, as it is known by then."""

    identity: int
    """The number of its track in this clip, counted from 0."""
    label: int
    """0-based class of the track so far."""
    score: float
    """Score of the track so far, in [0, 1]."""
    mask: Rle
    """Its mask in this frame, at the size of the original frames."""


class ClipStream(Protocol):
    """One clip that is being watched. What it remembers does not grow with the frames."""

    def step(self, frame_3HW: Tensor, audio: Tensor | None) -> list[SeenObject]:
        """The objects of the next frame, each identity once.

        Args:
            frame_3HW: RGB, uint8, at network size, the same size every time.
            audio: what the model hears of that frame; None for a model without audio, or a frame without sound.
        """


@runtime_checkable
class OnlineModel(Protocol):
    """A model whose prediction of a frame needs no later one."""

    def start(self, size_hw: tuple[int, int], options: PredictOptions = ...) -> ClipStream:
        """A new clip, whose masks are wanted at that height and width."""


def watch(
    model: OnlineModel, clip: ClipSource, options: PredictOptions = _DEFAULT_OPTIONS
) -> Iterator[list[SeenObject]]:
    """The objects of every frame of a clip, as they come; only one frame is asked for at a time."""
    stream = model.start(clip.size_hw, options)
    audio = clip.audio_TA
    for frame in range(clip.num_frames):
        yield stream.step(clip.frames(frame, frame + 1)[0], None if audio is None else audio[frame])


def tracks_of_stream(
    model: OnlineModel, clip: ClipSource, options: PredictOptions = _DEFAULT_OPTIONS
) -> list[PredictedTrack]:
    """The tracks of a whole clip, highest score first: class and score are those known at their last appearance."""
    last: dict[int, SeenObject] = {}
    masks: dict[int, GrowingMasks] = {}
    spool, hidden = MaskSpool(), encode(np.zeros(clip.size_hw, dtype=bool))
    for frame, seen in enumerate(watch(model, clip, options)):
        for thing in seen:
            last[thing.identity] = thing
            row = masks.setdefault(thing.identity, GrowingMasks(spool))
            _fill(row, frame, hidden)
            row.append(thing.mask)
    for row in masks.values():
        _fill(row, clip.num_frames, hidden)
    tracks = [
        PredictedTrack(label=thing.label, score=thing.score, query=identity, masks=masks[identity])
        for identity, thing in last.items()
    ]
    return sorted(tracks, key=lambda track: (-track.score, track.query))


def _fill(masks: GrowingMasks, frames: int, hidden: Rle) -> None:
    while len(masks) < frames:
        masks.append(hidden)

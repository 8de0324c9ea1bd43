"""What goes into a model and what comes out: training clips of either task, clips to predict, tracks.

Shapes: T frames, N tracks as labelled, H, W pixels of a frame at network size, A audio channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Generic, Protocol, Self, TypeVar

import torch
from torch import Tensor

from avis_data.masks.rle import Rle

__all__ = [
    "NO_IDENTITY",
    "AvsTrainingClip",
    "ClipSource",
    "PredictedTrack",
    "Sample",
    "TensorClip",
    "TrainingBatch",
    "TrainingClip",
]


NO_IDENTITY = -1
"""In `track_ids_N`: an object of a still, which is no track of the training set, so nothing learns to know it again."""


@dataclass(frozen=True, kw_only=True)
class TrainingClip:
    """A few frames of one clip with their sound and truth, augmented and at network size."""

    clip_id: str
    """Which clip this was drawn from; named in errors."""
    frames_T3HW: Tensor
    """RGB, uint8, not padded."""
    audio_TA: Tensor | None
    """float32, one vector per frame; None for a model without audio."""
    labels_N: Tensor
    """int64, 0-based class of every labelled track."""
    masks_NTHW: Tensor
    """bool; empty where a track is not sounding."""
    track_ids_N: Tensor
    """int64, which track of the whole training set each one is, counted from 0; `NO_IDENTITY`: none of them."""
    seed: int
    """From which this clip's points for matching and mask losses are drawn: the losses then depend neither on the other
    clips of the batch nor on the process that computes them."""

    def to(self, device: torch.device | str) -> TrainingClip:
        """The same clip with frames and audio on a device; truth stays on the host, where targets are made of it."""
        return replace(
            self,
            frames_T3HW=self.frames_T3HW.to(device, non_blocking=True),
            audio_TA=None if self.audio_TA is None else self.audio_TA.to(device, non_blocking=True),
        )


class Sample(Protocol):
    """What training asks of the clips of any task."""

    @property
    def clip_id(self) -> str:
        """Named in errors."""

    def to(self, device: torch.device | str) -> Self:
        """The same clip with its tensors on a device."""


SampleT = TypeVar("SampleT", bound=Sample)


@dataclass(frozen=True, kw_only=True)
class TrainingBatch(Generic[SampleT]):
    """One or more clips; they may differ in size and in number of frames."""

    clips: tuple[SampleT, ...]

    def to(self, device: torch.device | str) -> TrainingBatch[SampleT]:
        """The same batch with its tensors on a device."""
        return TrainingBatch(clips=tuple(clip.to(device) for clip in self.clips))

    def pin_memory(self) -> TrainingBatch[SampleT]:
        """The same batch in memory that a GPU copies from by itself; PyTorch's loader asks for it."""
        return TrainingBatch(clips=tuple(_pinned(clip) for clip in self.clips))


def _pinned(clip: SampleT) -> SampleT:
    """A clip, whose tensors lie in pinned memory; of any task, where it is a dataclass."""
    if not is_dataclass(clip):
        return clip
    tensors = {field.name: getattr(clip, field.name) for field in fields(clip)}
    return replace(clip, **{name: x.pin_memory() for name, x in tensors.items() if isinstance(x, Tensor)})


class ClipSource(Protocol):
    """A whole clip that a model predicts; frames are asked for in pieces, some of them twice."""

    @property
    def clip_id(self) -> str:
        """Named in errors."""

    @property
    def num_frames(self) -> int:
        """T, at least 1."""

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width of the masks that are wanted: the size of the original frames."""

    @property
    def audio_TA(self) -> Tensor | None:
        """float32, one vector per frame; None for a model without audio."""

    def frames(self, start: int, stop: int) -> Tensor:
        """Frames [start, stop) at network size, RGB, uint8, (n, 3, H, W); the same size every time."""


@dataclass(frozen=True, kw_only=True)
class TensorClip:
    """A clip whose frames are all in memory."""

    clip_id: str
    frames_T3HW: Tensor
    audio_TA: Tensor | None
    size_hw: tuple[int, int]

    @property
    def num_frames(self) -> int:
        return len(self.frames_T3HW)

    def frames(self, start: int, stop: int) -> Tensor:
        return self.frames_T3HW[start:stop]


@dataclass(frozen=True, kw_only=True)
class PredictedTrack:
    """One predicted object of a clip."""

    label: int
    """0-based class."""
    score: float
    """Class probability times mask score, in [0, 1]."""
    query: int
    """The video query it comes from; a query may give several tracks of different classes."""
    masks: Sequence[Rle]
    """One per frame, at the original size; empty where the object does not sound."""


@dataclass(frozen=True, kw_only=True)
class AvsTrainingClip:
    """A whole clip with its sound and truth, at network size."""

    clip_id: str
    """Named in errors."""
    frames_T3HW: Tensor
    """RGB, uint8; zeros where no frame exists."""
    audio_TA: Tensor | None
    """float32, one vector per frame; None for a model without audio."""
    labels_THW: Tensor
    """int64: 1 where something sounds, or the class (0: background); zeros in frames without a label."""
    labelled_T: Tensor
    """bool, which frames have a label."""
    exists_T: Tensor
    """bool, which frames exist: those after them only fill the clip up to a fixed length."""

    def to(self, device: torch.device | str) -> AvsTrainingClip:
        """The same clip with frames, audio and labels on a device; which frames count is asked on the host."""
        return replace(
            self,
            frames_T3HW=self.frames_T3HW.to(device, non_blocking=True),
            audio_TA=None if self.audio_TA is None else self.audio_TA.to(device, non_blocking=True),
            labels_THW=self.labels_THW.to(device, non_blocking=True),
        )

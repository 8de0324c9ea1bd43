"""Training samples, decoded and augmented in worker processes."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated

import numpy as np
import torch
from pydantic import Field
from torch.utils.data import DataLoader, Dataset

from avis_data.errors import AvisError, DataError, ToolError
from avis_data.masks.rle import decode
from avis_data.training.audio_features import AudioKind
from avis_data.training.clips import TrainingBatch, TrainingClip
from avis_data.training.data import DatasetClip, SplitData
from avis_data.training.data_augment import AugmentConfig, FrameChange, change_mask, change_picture, draw_changes
from avis_data.training.data_sampling import ClipOrder, SampleNumbers, sample_frames

__all__ = ["DataConfig", "TrainingSamples", "batches"]

_Count = Annotated[int, Field(ge=1)]


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """What the model sees."""

    audio: AudioKind = "vggish"
    """`vggish`: the features of the export. `logmel`: a plain summary of its sound, which needs no weights."""
    frames: _Count = 5
    """Frames of a training clip."""
    reach: _Count = 20
    """They lie at most that far from a reference frame."""
    batch: _Count = 2
    """Clips of an iteration, over all processes and accumulated passes."""
    workers: Annotated[int, Field(ge=0)] = 4
    """Processes that decode frames, for each training process; 0: none, the training waits."""
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    """Changes of training frames."""
    test_short: _Count = 360
    """Short side of frames at validation and prediction."""
    test_long: _Count = 1333
    """No side is longer then."""


class TrainingSamples(Dataset[TrainingClip | AvisError]):
    """Training sample n of a split, for any n >= 0: always the same for one seed."""

    def __init__(self, split: SplitData, config: DataConfig, seed: int) -> None:
        """Clips without any track are left out.

        Raises:
            DataError: if no clip is left.
        """
        self._split = split
        self._config = config
        self._seed = seed
        self._clips = [clip for clip in split.clips if clip.tracks]
        if not self._clips:
            raise DataError(f"{split.truth}: no clip has a mask, there is nothing to learn from")
        self._order = ClipOrder(len(self._clips), seed)

    def __getitem__(self, number: int) -> TrainingClip | AvisError:
        """An error of the data is given, not raised: on its way out of a worker it would lose its form."""
        try:
            return self.sample(number)
        except AvisError as error:
            return error

    def sample(self, number: int) -> TrainingClip:
        """Sample n. Raises DataError if a file of it is bad."""
        clip = self._clips[self._order.clip_of(number)]
        rng = np.random.default_rng([self._seed, 1, number])
        frames = sample_frames(clip.num_frames, self._config.frames, reach=self._config.reach, rng=rng)
        changes = draw_changes(clip.size_hw, len(frames), self._config.augment, rng)
        pictures = np.stack([change_picture(clip.picture(f), c) for f, c in zip(frames, changes, strict=True)])
        audio = self._split.vectors(clip, frames)
        labels, masks = _truth(clip, frames, changes)
        return TrainingClip(
            clip_id=clip.clip_id,
            frames_T3HW=torch.from_numpy(np.ascontiguousarray(pictures.transpose(0, 3, 1, 2))),
            audio_TA=None if audio is None else torch.from_numpy(audio),
            labels_N=torch.tensor(labels, dtype=torch.int64),
            masks_NTHW=torch.from_numpy(masks),
            seed=int(rng.integers(2**31)),
        )


def batches(samples: TrainingSamples, numbers: SampleNumbers, *, workers: int) -> Iterator[TrainingBatch]:
    """The batches of one process in order; each is one forward pass.

    Raises:
        DataError: if a file is bad.
        ToolError: if a worker dies.
    """
    loader = DataLoader(
        samples,
        batch_sampler=numbers,
        num_workers=workers,
        collate_fn=_collated,
        prefetch_factor=4 if workers else None,
        worker_init_fn=_leave_interrupts,
        timeout=600 if workers else 0,
    )
    ready = iter(loader)
    while True:
        try:
            batch = next(ready)
        except StopIteration:
            return
        except RuntimeError as error:
            if "DataLoader" not in str(error):
                raise
            hint = "--set data.workers=0 shows why, and needs no shared memory"
            raise ToolError(f"a process that decodes frames died: {str(error).splitlines()[0]}", hint=hint) from None
        if isinstance(batch, AvisError):
            raise batch
        yield batch


def _truth(
    clip: DatasetClip, frames: Sequence[int], changes: Sequence[FrameChange]
) -> tuple[list[int], np.ndarray[tuple[int, ...], np.dtype[np.bool_]]]:
    """Labels and masks (N, T, H, W) of the tracks that are seen in at least one of the frames."""
    height, width = changes[0].after
    labels, rows = [], []
    for track in clip.tracks:
        masks = np.zeros((len(frames), height, width), dtype=bool)
        for place, (frame, change) in enumerate(zip(frames, changes, strict=True)):
            rle = track.masks[frame]
            if rle is not None:
                masks[place] = change_mask(decode(rle), change)
        if masks.any():
            labels.append(track.label)
            rows.append(masks)
    return labels, np.stack(rows) if rows else np.zeros((0, len(frames), height, width), dtype=bool)


def _collated(items: list[TrainingClip | AvisError]) -> TrainingBatch | AvisError:
    clips = []
    for item in items:
        if isinstance(item, AvisError):
            return item
        clips.append(item)
    return TrainingBatch(clips=tuple(clips))


def _leave_interrupts(_: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the training process's to handle

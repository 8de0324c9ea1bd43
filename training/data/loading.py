"""Training samples, decoded and augmented in worker processes."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from avis_data.errors import AvisError, DataError, ToolError
from avis_data.masks.rle import decode
from avis_data.platforms import become_worker
from avis_data.training.data.audio_features import AudioKind, AudioReader
from avis_data.training.data.augment import AugmentConfig, FrameChange, change_mask, change_picture, draw_changes
from avis_data.training.data.clips import Sample, TrainingBatch, TrainingClip
from avis_data.training.data.negatives import Negatives, OtherSound
from avis_data.training.data.sampling import ClipOrder, SampleNumbers, Sampling
from avis_data.training.data.split import DatasetClip, DatasetTrack, SplitData
from avis_data.training.data.stills.coco import StillsConfig
from avis_data.training.ranges import Count, CountOrZero, Share

__all__ = ["DataConfig", "DataOptions", "Samples", "TrainingSamples", "batches"]


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """What the model sees."""

    audio: AudioKind = "vggish"
    """`vggish`: the features of the export. `logmel`: a plain summary of its sound, which needs no weights. Both are of
    the second that begins with a frame's period; `vggish-window` and `logmel-window` are of the 0.975 s before what the
    frame shows. `slices`: even parts of the log-mel spectrogram. `stereo`, `stereo-parts` and `panorama` say from where
    it is heard too."""
    audio_optional: bool = False
    """Whether clips may have no sound; for models that can do without."""
    negatives: Share = 0.0
    """Share of training samples that get another sound, and the truth that goes with it: silence, or another clip's
    sound, with which nothing sounds; or the clip's own sound 1, 2 or 5 s later."""
    mono: Share = 0.0
    """Share of training samples whose two channels are mixed into one: for kinds of audio that say from where a sound
    comes, so that the model is good for clips of one channel too."""
    directions: Share = 0.0
    """Share of training samples whose sound says from where it comes and not what it is, for the same kinds: so that
    the model looks there, which else it has to only where two things look alike."""
    frames: Count | None = 5
    """Frames of a training clip; null: as many as the model says, for those that take one number only."""
    reach: Count = 20
    """They lie at most that far from each other, or from a reference frame."""
    batch: Count = 2
    """Clips of an iteration, over all processes and accumulated passes."""
    workers: CountOrZero = 4
    """Processes that decode frames, for each training process; 0: none, the training waits."""
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    """Changes of training frames."""
    stills: StillsConfig | None = None
    """COCO pictures that are trained on too, or alone; null: none."""
    test_short: Count = 360
    """Short side of frames at validation and prediction."""
    test_long: Count = 1333
    """No side is longer then."""


class DataOptions(Protocol):
    """What training asks of the options of the data of any task."""

    @property
    def batch(self) -> int:
        """Clips of an iteration, over all processes and accumulated passes."""

    @property
    def workers(self) -> int:
        """Processes that decode frames, for each training process."""


class Samples(Protocol):
    """Training samples: always the same for one number."""

    @property
    def per_round(self) -> int:
        """The number of samples after which all clips were seen once."""

    def __getitem__(self, number: int) -> Sample | AvisError:
        """A training clip, or what is wrong with it: an error raised in a worker would lose its form on the way."""


class TrainingSamples(Dataset[TrainingClip | AvisError]):
    """Training sample n of a split, for any n >= 0: always the same for one seed."""

    def __init__(self, split: SplitData, config: DataConfig, seed: int, sampling: Sampling) -> None:
        """Clips without any track are left out.

        Args:
            sampling: which frames make a sample.

        Raises:
            DataError: if no clip is left.
        """
        self._split = split
        self._config = config
        self._seed = seed
        self._sampling = sampling
        self._anchors = [(clip, anchor) for clip in split.clips for anchor in self._sampling.anchors(clip)]
        if not self._anchors:
            raise DataError(f"{split.truth}: no clip has a mask, there is nothing to learn from")
        self._order = ClipOrder(len(self._anchors), seed)
        self._negatives = Negatives(split, config.negatives, seed)

    @property
    def per_round(self) -> int:
        """The number of samples after which all clips were seen once."""
        return len(self._anchors)

    def __getitem__(self, number: int) -> TrainingClip | AvisError:
        """An error of the data is given, not raised: on its way out of a worker it would lose its form."""
        try:
            return self.sample(number)
        except AvisError as error:
            return error

    def sample(self, number: int) -> TrainingClip:
        """Sample n. Raises DataError if a file of it is bad."""
        clip, anchor = self._anchors[self._order.clip_of(number)]
        rng = np.random.default_rng([self._seed, 1, number])
        frames = self._sampling.frames(clip, anchor, rng)
        changes = draw_changes(clip.size_hw, len(frames), self._config.augment, rng)
        clip.bring(frames)
        pictures = np.stack([change_picture(clip.picture(f), c) for f, c in zip(frames, changes, strict=True)])
        other = self._negatives.drawn(number, clip, frames)
        audio = self._split.vectors(clip, frames) if other is None else other.audio
        if audio is not None and self._split.audio is not None:
            audio = self._as_heard(self._split.audio.reader, audio, number, flip=changes[0].flip)
        tracks, masks = _truth(clip, frames, changes, other)
        return TrainingClip(
            clip_id=clip.clip_id,
            frames_T3HW=torch.from_numpy(np.ascontiguousarray(pictures.transpose(0, 3, 1, 2))),
            audio_TA=None if audio is None else torch.from_numpy(audio),
            labels_N=torch.tensor([track.label for track in tracks], dtype=torch.int64),
            masks_NTHW=torch.from_numpy(masks),
            track_ids_N=torch.tensor([track.identity for track in tracks], dtype=torch.int64),
            seed=int(rng.integers(2**31)),
        )

    def _as_heard(
        self, reader: AudioReader, audio: NDArray[np.float32], number: int, *, flip: bool
    ) -> NDArray[np.float32]:
        """With the picture mirrored, mixed into one channel, or with its directions only."""
        audio = reader.mirrored(audio) if flip else audio
        mono, directions = self._config.mono, self._config.directions
        drawn = np.random.default_rng([self._seed, 3, number]).random() if mono or directions else 1.0
        if drawn < mono:
            return reader.mixed(audio)
        return reader.placed(audio) if drawn < mono + directions else audio


def batches(
    samples: Samples, numbers: SampleNumbers, *, workers: int, pinned: bool = False
) -> Iterator[TrainingBatch[Sample]]:
    """The batches of one process in order; each is one forward pass.

    Args:
        pinned: whether they lie in memory that a GPU copies from while the host goes on.

    Raises:
        DataError: if a file is bad.
        ToolError: if a worker dies.
    """
    loader: DataLoader[Sample | AvisError] = DataLoader(
        cast("Dataset[Sample | AvisError]", samples),  # PyTorch needs no more of it than this
        batch_sampler=numbers,
        num_workers=workers,
        collate_fn=_collated,
        pin_memory=pinned,
        prefetch_factor=4 if workers else None,
        worker_init_fn=partial(_start_worker, parent=os.getpid()),
        timeout=600 if workers else 0,
    )
    ready = iter(loader)
    try:
        while True:
            try:
                batch = next(ready)
            except StopIteration:
                return
            except RuntimeError as error:
                if "DataLoader" not in str(error):
                    raise
                hint = "--set data.workers=0 shows why, and needs no shared memory"
                raise ToolError(
                    f"a process that decodes frames died: {str(error).splitlines()[0]}", hint=hint
                ) from None
            if isinstance(batch, AvisError):
                raise batch
            yield batch
    finally:
        del ready  # ends the workers: whoever keeps the error keeps this frame, and Python waits for them at its end


def _truth(
    clip: DatasetClip, frames: Sequence[int], changes: Sequence[FrameChange], other: OtherSound | None
) -> tuple[list[DatasetTrack], np.ndarray[tuple[int, ...], np.dtype[np.bool_]]]:
    """The tracks that are seen in at least one of the frames, and their masks (N, T, H, W)."""
    height, width = changes[0].after
    seen, rows = [], []
    for track in clip.tracks:
        masks = np.zeros((len(frames), height, width), dtype=bool)
        for place, (frame, change) in enumerate(zip(frames, changes, strict=True)):
            rle = track.masks[frame]
            if rle is not None and (other is None or other.is_heard(track, frame)):
                masks[place] = change_mask(decode(rle), change)
        if masks.any():
            seen.append(track)
            rows.append(masks)
    return seen, np.stack(rows) if rows else np.zeros((0, len(frames), height, width), dtype=bool)


def _collated(items: list[Sample | AvisError]) -> TrainingBatch[Sample] | AvisError:
    clips = []
    for item in items:
        if isinstance(item, AvisError):
            return item
        clips.append(item)
    return TrainingBatch(clips=tuple(clips))


def _start_worker(_: int, *, parent: int) -> None:
    become_worker(parent)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # sent to the whole group it is the training process's to handle

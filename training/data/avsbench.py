"""A split of an AVSBench dataset (S4, MS3, AVSS), as training and prediction read it. Everything wrong is told at once.

Shapes: T frames, H, W pixels at network size, h, w pixels of the files, A = 128 audio channels.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field
from torch import Tensor

from avis_data.errors import DataError, Problem, ProblemsError
from avis_data.formats.avsbench import LayoutName
from avis_data.formats.avsbench_clips import AvsFiles, open_layout
from avis_data.media.stills import open_still
from avis_data.training.data.avsbench_sound import AvsAudioKind, AvsHearing

__all__ = ["AvsClipSource", "AvsDataConfig", "AvsSplit", "open_avs_split", "read_frame", "square_label"]


@dataclass(frozen=True, kw_only=True)
class AvsDataConfig:
    """What the model sees and hears: whole clips, not augmented, as published."""

    audio: AvsAudioKind = "vggish"
    """`vggish`: features of the log-mel examples, by the registered weights. `logmel`: a plain summary of each example,
    which needs no weights."""
    pickles: bool = False
    """Whether the log-mel pickles of the published sets may be read, with an allow-list; else their WAV files are."""
    side: Annotated[int, Field(ge=32, multiple_of=32)] = 224
    """Frames are made squares of so many pixels."""
    batch: Annotated[int, Field(ge=1)] = 8
    """Clips of an iteration, over all processes and accumulated passes."""
    workers: Annotated[int, Field(ge=0)] = 4
    """Processes that decode frames, for each training process; 0: none, the training waits."""


@dataclass(frozen=True, kw_only=True)
class AvsSplit:
    """One split."""

    name: str
    layout: LayoutName
    truth: Path
    """The table of the dataset's clips."""
    clips: tuple[AvsFiles, ...]
    categories: dict[int, str]
    """Value in a mask -> what is there."""
    heard: dict[str, NDArray[np.float32]]
    """Clip id -> what is heard in each frame, (T, 128); empty for a model without audio."""

    def audio(self, clip: AvsFiles) -> Tensor | None:
        """The audio vectors of a clip; None for a model without audio."""
        return torch.from_numpy(self.heard[clip.clip_id]) if self.heard else None


def open_avs_split(root: Path, split: str, data: AvsDataConfig, *, num_classes: int, needs_audio: bool) -> AvsSplit:
    """Find the files of a split, check that they are there, and hear its sounds.

    Args:
        root: the folder of the dataset.
        split: `train`, `val` or `test`.
        num_classes: maps of the model: 1 for binary masks; else AVSS's classes, the background included.

    Raises:
        DataError: if the folder is no such dataset, has no such split, or is not of the model's kind.
        ProblemsError: with every missing frame, mask and sound, and every sound that cannot be used.
        ToolError: if there are no VGGish weights.
    """
    layout = open_layout(root)
    _check_classes(layout.table, layout.name, layout.categories, num_classes)
    clips = tuple(layout.clips(split))
    if not clips:
        raise DataError(f"{layout.table}: has no clip of the split {split!r}")
    _check_files(layout.table, clips)
    return AvsSplit(
        name=split,
        layout=layout.name,
        truth=layout.table,
        clips=clips,
        categories=layout.categories,
        heard=_heard(layout.table, layout.name, clips, data) if needs_audio else {},
    )


def read_frame(path: Path, side: int, *, crop: bool) -> NDArray[np.uint8]:
    """A frame as a square of that side, uint8 (H, W, 3). Raises DataError if the file is no picture.

    Args:
        crop: keep its aspect and cut out the middle; else it is squeezed.
    """
    return np.asarray(_square(open_still(path), side, crop=crop, resample=Image.Resampling.BILINEAR))


def square_label(label_hw: NDArray[np.uint8], side: int, *, crop: bool) -> NDArray[np.uint8]:
    """A mask changed as `read_frame` changes its frame, nearest pixels; uint8 (H, W)."""
    picture = Image.fromarray(label_hw)
    return np.asarray(_square(picture, side, crop=crop, resample=Image.Resampling.NEAREST))


class AvsClipSource:
    """A `ClipSource` over the files of a clip."""

    def __init__(self, split: AvsSplit, clip: AvsFiles, side: int) -> None:
        self._clip, self._side = clip, side
        self._audio_TA = split.audio(clip)

    @property
    def clip_id(self) -> str:
        """Named in errors."""
        return self._clip.clip_id

    @property
    def num_frames(self) -> int:
        """T."""
        return len(self._clip.frames)

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width of the original frames, told by the first."""
        picture = open_still(self._clip.frames[0])
        return picture.height, picture.width

    @property
    def audio_TA(self) -> Tensor | None:
        """float32, one vector per frame; None for a model without audio."""
        return self._audio_TA

    def frames(self, start: int, stop: int) -> Tensor:
        """Frames [start, stop), RGB, uint8, (n, 3, H, W), squeezed to a square. Raises DataError for a bad picture."""
        pixels = [read_frame(path, self._side, crop=False) for path in self._clip.frames[start:stop]]
        return torch.from_numpy(np.stack(pixels).transpose(0, 3, 1, 2).copy())


def _square(picture: Image.Image, side: int, *, crop: bool, resample: Image.Resampling) -> Image.Image:
    if not crop:
        return picture if picture.size == (side, side) else picture.resize((side, side), resample)
    scale = side / min(picture.size)
    width, height = (max(side, round(length * scale)) for length in picture.size)
    if (width, height) != picture.size:
        picture = picture.resize((width, height), resample)
    left, top = (width - side) // 2, (height - side) // 2
    return picture.crop((left, top, left + side, top + side))


def _check_classes(table: Path, layout: LayoutName, categories: dict[int, str], num_classes: int) -> None:
    wanted = 1 if layout != "avss" else max(categories) + 1
    if num_classes != wanted:
        raise DataError(
            f"{table}: masks of {wanted} class(es), the model makes {num_classes}",
            hint=f"--set model.num_classes={wanted}" if wanted > 1 else "--config avs_bg_pvt_s4, or another for it",
        )


def _check_files(table: Path, clips: Iterable[AvsFiles]) -> None:
    problems = []
    listed: dict[Path, set[str]] = {}  # one listing per folder: asking for each file is slow on network disks
    for clip in clips:
        for what, path in (*(("frame", path) for path in clip.frames), *(("mask", path) for path in clip.masks)):
            if path is None:
                continue
            folder = path.parent
            if folder not in listed:
                listed[folder] = {entry.name for entry in os.scandir(folder)} if folder.is_dir() else set()
            if path.name not in listed[folder]:
                problems.append(Problem(f"clip {clip.clip_id}", "", f"no {what} {path.relative_to(table.parent)}"))
    if problems:
        raise ProblemsError(f"{table}: {len(problems)} file(s) are missing", problems)


def _heard(
    table: Path, layout: LayoutName, clips: tuple[AvsFiles, ...], data: AvsDataConfig
) -> dict[str, NDArray[np.float32]]:
    hearing = AvsHearing(data.audio, pickles=data.pickles)
    found, problems = {}, []
    for clip in clips:
        frames = len(clip.frames)
        try:
            found[clip.clip_id] = hearing.vectors(clip.sounds, frames, repeat_last=layout != "avss")
        except DataError as error:
            problems.append(Problem(f"clip {clip.clip_id}", "sound", str(error).replace("\n  hint: ", "; ")))
    if problems:
        raise ProblemsError(
            f"{table}: the sound of {len(problems)} clip(s) cannot be used",
            problems,
            hint="a model without sound: --set model.fusion=none --set model.generation=false",
        )
    return found

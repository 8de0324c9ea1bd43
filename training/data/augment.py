"""Augmentation of a few frames of one clip: the same change for all of them, but for a crop window that drifts.

Source: specification of AVISM, section 5.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from avis_data.training.ranges import Count, Share

__all__ = ["AugmentConfig", "FrameChange", "change_mask", "change_picture", "draw_changes", "resized"]


@dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """How training frames are changed. Colours stay."""

    crop_probability: Share = 0.5
    """Probability of resizing to a short side of `crop_short` and cutting a window out."""
    crop_short: tuple[Count, ...] = (400, 500, 600)
    """Short sides before a crop, one of them."""
    crop_long: Count = 1333
    """No side is longer before a crop."""
    crop_size: tuple[Count, Count] = (384, 600)
    """Least and largest height and width of the window, each drawn by itself."""
    short: tuple[Count, ...] = (288, 320, 352, 384, 416, 448, 480, 512)
    """Short sides at the end, one of them."""
    long: Count = 768
    """No side is longer at the end."""
    flip_probability: Share = 0.5
    """Probability of mirroring left and right."""


@dataclass(frozen=True, kw_only=True)
class FrameChange:
    """What is done to one frame, in this order. Sizes are (height, width)."""

    before: tuple[int, int]
    """Resized to, before the crop."""
    window: tuple[int, int, int, int]
    """Top, left, height, width that are kept."""
    after: tuple[int, int]
    """Resized to."""
    flip: bool


def draw_changes(
    size_hw: tuple[int, int], count: int, config: AugmentConfig, rng: np.random.Generator
) -> list[FrameChange]:
    """One change for each of `count` frames of a size; all end with the same size."""
    before = size_hw
    windows = [(0, 0, *size_hw)] * count
    if rng.random() < config.crop_probability:
        before = resized(size_hw, short=int(rng.choice(config.crop_short)), long=config.crop_long)
        windows = _drifting_windows(before, count, config.crop_size, rng)
    after = resized((windows[0][2], windows[0][3]), short=int(rng.choice(config.short)), long=config.long)
    flip = bool(rng.random() < config.flip_probability)
    return [FrameChange(before=before, window=window, after=after, flip=flip) for window in windows]


def resized(size_hw: tuple[int, int], *, short: int, long: int) -> tuple[int, int]:
    """The size with that short side, or with that long side where it would be longer; rounded half up."""
    scale = short / min(size_hw)
    height, width = size_hw[0] * scale, size_hw[1] * scale
    if max(height, width) > long:
        again = long / max(height, width)
        height, width = height * again, width * again
    return max(1, int(height + 0.5)), max(1, int(width + 0.5))


def change_picture(picture: Image.Image, change: FrameChange) -> NDArray[np.uint8]:
    """The changed frame, uint8 (H, W, 3)."""
    if (picture.height, picture.width) != change.before:
        picture = picture.resize(change.before[::-1], Image.Resampling.BILINEAR)
    top, left, height, width = change.window
    if (height, width) != change.before:
        picture = picture.crop((left, top, left + width, top + height))
    if (height, width) != change.after:
        picture = picture.resize(change.after[::-1], Image.Resampling.BILINEAR)
    pixels: NDArray[np.uint8] = np.asarray(picture)
    return pixels[:, ::-1] if change.flip else pixels


def change_mask(mask_HW: NDArray[np.bool_], change: FrameChange) -> NDArray[np.bool_]:
    """The mask of a changed frame: every pixel takes the nearest one at each step, so all steps are one look-up."""
    top, left, height, width = change.window
    rows = _nearest(mask_HW.shape[0], change.before[0])[top : top + height]
    columns = _nearest(mask_HW.shape[1], change.before[1])[left : left + width]
    rows, columns = rows[_nearest(height, change.after[0])], columns[_nearest(width, change.after[1])]
    return mask_HW[np.ix_(rows, columns[::-1] if change.flip else columns)]


def _nearest(length: int, wanted: int) -> NDArray[np.int64]:
    """Which of `length` pixels each of `wanted` ones takes."""
    return np.floor((np.arange(wanted) + 0.5) * length / wanted).astype(np.int64)


def _drifting_windows(
    size_hw: tuple[int, int], count: int, limits: tuple[int, int], rng: np.random.Generator
) -> list[tuple[int, int, int, int]]:
    """Windows of one size on a straight way between two places, at random times in between."""
    sizes = [int(rng.integers(min(side, limits[0]), min(side, limits[1]) + 1)) for side in size_hw]
    starts, ends = (
        [int(rng.integers(side - size + 1)) for side, size in zip(size_hw, sizes, strict=True)] for _ in range(2)
    )
    return [
        (_between(starts[0], ends[0], share), _between(starts[1], ends[1], share), sizes[0], sizes[1])
        for share in np.sort(rng.random(count))
    ]


def _between(a: int, b: int, share: float) -> int:
    return int(a * share + b * (1 - share))

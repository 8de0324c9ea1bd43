"""A still seen several times: the frames of a training clip are views of one picture, turned and cut each in its way.

Source: specification of RCF, section 8: "the same image under independent small rotations and crops", as other video
models make clips of COCO; CrossVIS' pairs are made in the same way.

Shapes: T views, N objects, H, W pixels.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from avis_data.errors import AvisError, DataError
from avis_data.masks.rle import Rle, decode
from avis_data.training.data.augment import AugmentConfig, FrameChange, change_mask, change_picture, resized
from avis_data.training.data.clips import NO_IDENTITY, Sample, TrainingClip
from avis_data.training.data.loading import Samples
from avis_data.training.data.sampling import ClipOrder
from avis_data.training.data.stills.coco import CocoStills, StillsConfig

__all__ = ["MixedSamples", "StillSamples", "StillView", "draw_views"]

logger = logging.getLogger(__name__)

_TRIES = 100
"""So many bad stills one after the other are no accident."""
_FILL = (124, 116, 104)
"""ImageNet's mean, which normalises to about zero, where a turned picture ends."""


@dataclass(frozen=True, kw_only=True)
class StillView:
    """One view of a picture."""

    angle: float
    """Degrees by which it is turned about its middle, counter-clockwise."""
    change: FrameChange
    """Which part of it is seen, at which size."""

    def picture(self, picture: Image.Image) -> NDArray[np.uint8]:
        """The view, uint8 (H, W, 3)."""
        turned = picture.rotate(self.angle, Image.Resampling.BILINEAR, fillcolor=_FILL) if self.angle else picture
        return change_picture(turned, self.change)

    def mask(self, rle: Rle) -> NDArray[np.bool_]:
        """The mask of an object in the view, bool (H, W)."""
        inside_HW = decode(rle)
        if self.angle:
            grey = Image.fromarray(np.ascontiguousarray(inside_HW).astype(np.uint8) * 255)
            inside_HW = np.asarray(grey.rotate(self.angle, Image.Resampling.NEAREST)) > 0
        return change_mask(inside_HW, self.change)


def draw_views(
    size_hw: tuple[int, int], count: int, config: StillsConfig, augment: AugmentConfig, rng: np.random.Generator
) -> list[StillView]:
    """Views of a picture of a size: all end with one size, and are mirrored or not together."""
    height, width = (max(1, int(side * rng.uniform(config.crop, 1.0) + 0.5)) for side in size_hw)
    after = resized((height, width), short=int(rng.choice(augment.short)), long=augment.long)
    flip = bool(rng.random() < augment.flip_probability)
    whole = FrameChange(before=size_hw, window=(0, 0, height, width), after=after, flip=flip)
    views = []
    for _ in range(count):
        top, left = (int(rng.integers(side - part + 1)) for side, part in zip(size_hw, (height, width), strict=True))
        change = replace(whole, window=(top, left, height, width))
        views.append(StillView(angle=float(rng.uniform(-config.rotation_deg, config.rotation_deg)), change=change))
    return views


class StillSamples:
    """Sample n of the stills, for any n >= 0: always the same for one seed."""

    def __init__(
        self, stills: CocoStills, config: StillsConfig, augment: AugmentConfig, *, frames: int, seed: int
    ) -> None:
        """`frames`: views of a still that make a sample."""
        self._stills = stills
        self._config, self._augment = config, augment
        self._frames, self._seed = frames, seed
        self._order = ClipOrder(len(stills), seed)
        self._told: set[int] = set()

    @property
    def per_round(self) -> int:
        """The number of samples after which all stills were seen once."""
        return len(self._stills)

    def __getitem__(self, number: int) -> TrainingClip | AvisError:
        """A sample; where its still is bad that is told once, and the next one of the order takes its place."""
        for later in range(_TRIES):
            place = self._order.clip_of(number + later)
            try:
                picture, objects = self._stills.read(place)
            except DataError as error:
                last = error
                if place not in self._told:
                    self._told.add(place)
                    logger.warning("still=%s left out: %s", self._stills.name(place), error)
                continue
            return self._sample(self._stills.name(place), picture, objects, number)
        return DataError(f"{_TRIES} stills one after the other cannot be read; the last: {last.args[0]}")

    def _sample(self, name: str, picture: Image.Image, objects: Sequence[tuple[int, Rle]], number: int) -> TrainingClip:
        rng = np.random.default_rng([self._seed, 2, number])
        size_hw = (picture.height, picture.width)
        views = draw_views(size_hw, self._frames, self._config, self._augment, rng)
        frames_THW3 = np.stack([view.picture(picture) for view in views])
        height, width = views[0].change.after
        labels, rows = [], []
        for label, rle in objects:
            row_THW = np.stack([view.mask(rle) for view in views])
            if row_THW.any():
                labels.append(label)
                rows.append(row_THW)
        masks = np.stack(rows) if rows else np.zeros((0, self._frames, height, width), dtype=bool)
        return TrainingClip(
            clip_id=f"still {name}",
            frames_T3HW=torch.from_numpy(np.ascontiguousarray(frames_THW3.transpose(0, 3, 1, 2))),
            audio_TA=None,
            labels_N=torch.tensor(labels, dtype=torch.int64),
            masks_NTHW=torch.from_numpy(masks),
            track_ids_N=torch.full((len(labels),), NO_IDENTITY, dtype=torch.int64),
            seed=int(rng.integers(2**31)),
        )


class MixedSamples:
    """Stills among clips: of any samples one after the other a share is stills, as evenly as can be."""

    def __init__(self, clips: Samples, stills: Samples, share: float) -> None:
        """`share`: of stills, below 1."""
        self._clips, self._stills, self._share = clips, stills, share

    @property
    def per_round(self) -> int:
        """The number of samples after which all clips were seen once; stills are more, or fewer."""
        return round(self._clips.per_round / (1 - self._share))

    def __getitem__(self, number: int) -> Sample | AvisError:
        """Sample n of the mixture, which is a function of n alone."""
        before, after = (int(count * self._share) for count in (number, number + 1))
        return self._stills[before] if after > before else self._clips[number - before]

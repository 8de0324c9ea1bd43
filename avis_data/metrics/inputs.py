"""What the metrics take: the tracks of one video, truth and predictions, as masks in any of the usual forms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from avis_data.masks.rle import Rle

__all__ = ["MaskLike", "TrackInput", "VideoInput"]

MaskLike = NDArray[Any] | Rle | Mapping[str, Any] | Sequence[Any] | None
"""One mask: an array (H, W), an `Rle`, COCO's RLE dict, polygons, or None (or `[]`) where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackInput:
    """One track of the truth or of the predictions."""

    category: int
    """Id of its class."""
    masks: Sequence[MaskLike] | NDArray[Any]
    """One entry per frame; an array (T, H, W) will do. None means absent, an empty mask means "present, no pixel":
    `aviseg_compat` tells the two apart, `strict` does not."""
    score: float = 1.0
    """Confidence; predictions only."""
    track_id: int = 0
    """Truth only: `aviseg_compat` pairs tracks in ascending order of it."""
    crowd: bool = False
    """Truth only: stands for a crowd of things; mAP ignores what it matches."""
    mean_area_px: float | None = None
    """Truth only: what the area ranges of mAP go by; None: mean over the masks that are not empty."""
    where: str = ""
    """How messages call it, as `pred.json[12]`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoInput:
    """One video: how long and large it is, what is true of it and what was predicted."""

    name: str
    """Unique; videos are evaluated in the order of their names (AVISeg: the folder of the frames)."""
    num_frames: int
    """T, at least 1. Every track has T masks."""
    height: int
    width: int
    truth: Sequence[TrackInput] = ()
    predictions: Sequence[TrackInput] = ()
    """The predicted tracks in the order of the file, on which `aviseg_compat` depends."""
    video_id: int = 0
    """YouTube-VIS orders videos by it where scores tie."""

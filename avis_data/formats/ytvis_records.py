"""What a YouTube-VIS / AVISeg file holds, after reading: masks as RLE, ids and sizes checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from avis_data.masks.rle import Rle
from avis_data.records import Category

__all__ = ["YtvisDataset", "YtvisTrack", "YtvisVideo"]


@dataclass(frozen=True, kw_only=True, slots=True)
class YtvisVideo:
    """One entry of `videos`."""

    video_id: int
    name: str
    """First part of `file_names[0]`: the key that links frames, sound and evaluation sequence; unique in a file."""
    width: int
    """Pixels."""
    height: int
    """Pixels."""
    length: int
    """T, labelled frames; equal to `len(file_names)`."""
    file_names: tuple[str, ...]
    """`<name>/<n>.jpg`, relative to the folder JPEGImages of the split."""
    license_id: int | None = None
    """Of an entry of `licenses`, where the file says so."""


@dataclass(frozen=True, kw_only=True, slots=True)
class YtvisTrack:
    """One entry of `annotations`: one object over the frames of one video."""

    track_id: int
    """Unique in the file."""
    video_id: int
    category_id: int
    masks: tuple[Rle | None, ...]
    """One for each frame; None where the object does not sound. An RLE of an empty mask is kept as it is."""
    iscrowd: int = 0
    areas: tuple[float | None, ...] | None = None
    """As the file says, one for each frame (the official mAP takes them as they are); None where it says nothing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class YtvisDataset:
    """One file: the truth of one split."""

    videos: tuple[YtvisVideo, ...]
    tracks: tuple[YtvisTrack, ...]
    categories: tuple[Category, ...]
    info: Mapping[str, Any] = field(default_factory=dict)
    licenses: tuple[Any, ...] = ()

"""Objects that overlap, in formats where a pixel belongs to one: who keeps it, decided in one place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from avis_data.formats.sets.clips import LabelledClip, LabelledTrack
from avis_data.masks.rle import Rle, area, decode, encode

__all__ = ["OVERLAP_RULE", "num_contested", "painted", "painted_tracks"]

OVERLAP_RULE = "a pixel of two objects belongs to the smaller one; of two equal ones to the first by track id"


def painted(masks: Sequence[Rle | None], *, height: int, width: int) -> tuple[NDArray[np.uint16], int]:
    """One picture of all objects of a still, in which each pixel belongs to one of them.

    The smaller object lies in front, so that a violin held before a body does not vanish in it.

    Args:
        masks: of the tracks, in the order of their ids; None where one is not there.
        height: of the still, in pixels.
        width: of the still, in pixels.

    Returns:
        uint16 (H, W): the place in `masks` from 1, 0 where nothing is; and in how many pixels two or more met.

    Example:
        >>> from avis_data.masks.rle import encode
        >>> small, large = np.zeros((2, 3), bool), np.ones((2, 3), bool)
        >>> small[0, 0] = True
        >>> picture, contested = painted([encode(large), None, encode(small)], height=2, width=3)
        >>> picture, contested
        (array([[3, 1, 1],
               [1, 1, 1]], dtype=uint16), 1)
    """
    picture_HW = np.zeros((height, width), np.uint16)
    count_HW = np.zeros((height, width), np.uint16)
    there = [(number, mask) for number, mask in enumerate(masks) if mask is not None]
    for number, mask in sorted(there, key=lambda entry: (-area(entry[1]), -entry[0])):
        inside_HW = decode(mask)
        picture_HW[inside_HW] = number + 1
        count_HW += inside_HW
    return picture_HW, int((count_HW > 1).sum())


def painted_tracks(clip: LabelledClip, tracks: Sequence[LabelledTrack]) -> list[LabelledTrack]:
    """The tracks of a clip as a painted picture keeps them: without the pixels that others in front of them have."""
    columns: list[list[Rle | None]] = [[] for _ in tracks]
    for number in range(len(clip.stills)):
        picture_HW, _ = painted([track.masks[number] for track in tracks], height=clip.height, width=clip.width)
        for place, column in enumerate(columns):
            inside_HW = picture_HW == place + 1
            column.append(encode(inside_HW) if inside_HW.any() else None)
    return [_with_masks(track, column) for track, column in zip(tracks, columns, strict=True)]


def _with_masks(track: LabelledTrack, masks: Sequence[Rle | None]) -> LabelledTrack:
    """Flags go with masks: where no mask is left, nothing is said."""
    flags = tuple(None if mask is None else flag for mask, flag in zip(masks, track.sounding, strict=True))
    return replace(track, masks=tuple(masks), sounding=flags)


def num_contested(clip: LabelledClip) -> int:
    """Pixels of a clip in which two or more of its objects meet, over all its stills."""
    size = {"height": clip.height, "width": clip.width}
    return sum(painted(stack, **size)[1] for stack in zip(*(track.masks for track in clip.tracks), strict=True))

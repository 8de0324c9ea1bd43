"""From the heads of a video model to scored tracks, frame by frame; of a long clip the run lengths lie on the disk.

Shapes: P video queries, K classes, C channels, T frames, n frames of a piece, S queries that can give a track, h, w
    cells at stride 4.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from avis_data.masks.rle import Rle, area, encode
from avis_data.masks.spool import GrowingMasks, MaskSpool
from avis_data.training.data.clips import PredictedTrack
from avis_data.training.models.points import at_least_float32
from avis_data.training.models.spec import PredictOptions

__all__ = [
    "Candidates",
    "MaskCollector",
    "MaskSizes",
    "gated_tracks",
    "original_masks",
    "top_candidates",
    "tracks_of",
]

_QUERIES_AT_ONCE = 16
_POSITIVE = 0.5


@dataclass(frozen=True, kw_only=True)
class MaskSizes:
    """The sizes, as (height, width), that a mask goes through."""

    padded: tuple[int, int]
    """Network input with its padding."""
    network: tuple[int, int]
    """Network input without."""
    original: tuple[int, int]
    """The frames as they are stored: the size of the result."""


@dataclass(frozen=True, kw_only=True)
class Candidates:
    """The most probable (query, class) pairs; equal probabilities in order of their index."""

    index: tuple[int, ...]
    """query * K + class."""
    query: tuple[int, ...]
    label: tuple[int, ...]
    probability: tuple[float, ...]
    """Of the class, "no object" included in the softmax."""


def top_candidates(logits_PK: Tensor, top_k: int) -> Candidates:
    """The `top_k` pairs by class probability, highest first.

    Args:
        logits_PK: class logits, "no object" last (so there are K + 1).
    """
    probability_PK = at_least_float32(logits_PK).softmax(-1)[:, :-1]
    ordered = probability_PK.flatten().sort(descending=True, stable=True)
    index, probability = ordered.indices[:top_k].tolist(), ordered.values[:top_k].tolist()
    classes = probability_PK.shape[1]
    return Candidates(
        index=tuple(index),
        query=tuple(place // classes for place in index),
        label=tuple(place % classes for place in index),
        probability=tuple(probability),
    )


class MaskCollector:
    """Takes per-pixel embeddings piece by piece, keeps each query's masks as run lengths and its mask score.

    Source: AVISM's specification, section 6. Logits are enlarged twice (from stride 4 to the padded size, cut, then to
    the original size); the mask score is taken in between, over all frames.
    """

    def __init__(self, embed_SC: Tensor, sizes: MaskSizes) -> None:
        self._embed_SC = embed_SC
        self._sizes = sizes
        spool = MaskSpool()
        self._masks = [GrowingMasks(spool) for _ in embed_SC]
        self._sums_S2 = torch.zeros(len(embed_SC), 2, dtype=torch.float64)

    def add(self, pixels_nChw: Tensor) -> None:
        """The next n frames of M'."""
        for frame_Chw in pixels_nChw:
            for start in range(0, len(self._embed_SC), _QUERIES_AT_ONCE):
                self._add(slice(start, start + _QUERIES_AT_ONCE), frame_Chw)

    def masks(self, place: int) -> Sequence[Rle]:
        """The masks of the query at that place of `embed_SC`, one per frame so far, at the original size."""
        return self._masks[place]

    def score(self, place: int) -> float:
        """Mean probability of all pixels above one half, over all frames so far; 0 without any."""
        total, count = self._sums_S2[place].tolist()
        return float(total / (count + 1e-6))

    def _add(self, part: slice, frame_Chw: Tensor) -> None:
        small = torch.einsum("sc,chw->shw", at_least_float32(self._embed_SC[part]), at_least_float32(frame_Chw))
        logits = _network_logits(small, self._sizes)
        probability = logits.sigmoid()
        positive = probability > _POSITIVE
        sums = torch.stack(((probability * positive).sum((1, 2, 3)), positive.sum((1, 2, 3))), dim=1)
        self._sums_S2[part] += sums.double().cpu()
        masks = (_enlarged(logits, self._sizes.original)[:, 0] > 0).cpu().numpy()
        for rles, mask in zip(self._masks[part], masks, strict=True):
            rles.append(encode(mask))


def tracks_of(
    logits_PK: Tensor, embed_PC: Tensor, pixels: Iterable[Tensor], sizes: MaskSizes, options: PredictOptions
) -> list[PredictedTrack]:
    """The tracks of one clip, highest score first, then by index. No suppression: masks may overlap.

    A mask score is below 1, so queries whose class probability is not above the threshold are never looked at, and
    `pixels` is not read at all where none is.

    Args:
        logits_PK: class logits of the video queries.
        embed_PC: their mask embeddings.
        pixels: M' of all frames in order, in pieces (n, C, h, w).
    """
    found = top_candidates(logits_PK, options.top_k)
    hopeful = [place for place, probability in enumerate(found.probability) if probability > options.score_threshold]
    queries = sorted({found.query[place] for place in hopeful})
    if not queries:
        return []
    collector = MaskCollector(embed_PC[queries], sizes)
    for piece in pixels:
        collector.add(piece)
    scores = {place: found.probability[place] * collector.score(queries.index(found.query[place])) for place in hopeful}
    kept = [place for place in hopeful if scores[place] > options.score_threshold]
    kept.sort(key=lambda place: (-scores[place], found.index[place]))
    return [
        PredictedTrack(
            label=found.label[place],
            score=scores[place],
            query=found.query[place],
            masks=collector.masks(queries.index(found.query[place])),
        )
        for place in kept
    ]


def gated_tracks(tracks: Sequence[PredictedTrack], sounds: Sequence[Tensor], threshold: float) -> list[PredictedTrack]:
    """The tracks without their masks in frames in which they do not sound; those that lose all are left out.

    Args:
        sounds: for each track how probable it is that it sounds in each frame, (T,).
        threshold: it does where that is higher.
    """
    kept, spool = [], MaskSpool()
    for track, sounds_T in zip(tracks, sounds, strict=True):
        masks = GrowingMasks(spool)
        for mask, is_heard in zip(track.masks, (sounds_T > threshold).tolist(), strict=True):
            masks.append(mask if is_heard else encode(np.zeros((mask.height, mask.width), dtype=bool)))
        if any(area(mask) for mask in masks):
            kept.append(replace(track, masks=masks))
    return kept


def original_masks(logits_Shw: Tensor, sizes: MaskSizes) -> Tensor:
    """The masks of one frame from their logits at stride 4: bool, at the original size."""
    if not len(logits_Shw):
        return torch.zeros(0, *sizes.original, dtype=torch.bool, device=logits_Shw.device)
    return _enlarged(_network_logits(at_least_float32(logits_Shw), sizes), sizes.original)[:, 0] > 0


def _network_logits(logits_Shw: Tensor, sizes: MaskSizes) -> Tensor:
    """The logits at network size, (S, 1, h, w): enlarged to the padded size and cut."""
    height, width = sizes.network
    return _enlarged(logits_Shw[:, None], sizes.padded)[..., :height, :width]


def _enlarged(maps: Tensor, size: tuple[int, int]) -> Tensor:
    return functional.interpolate(maps, size=size, mode="bilinear", align_corners=False)

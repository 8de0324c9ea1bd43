"""Which cells learn which object: the targets of FCOS, and whom each positive cell meets in the other frame.

A clip is a pair of frames. Frames of B pairs are counted pair by pair: frame 0 and 1 of the first, then of the second.

Shapes: N = 2 B frames, L cells of all levels, G objects in view of a frame, R positive cells of all frames, I masks of
    all frames, H, W pixels of the padded input.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from avis_data.training.data.clips import TrainingClip
from avis_data.training.models.afcv.fcos_head import CellGrid
from avis_data.training.models.afcv.mask_head import MASK_STRIDE
from avis_data.training.models.host import sent
from avis_data.training.models.shared import lowest, world_size

__all__ = [
    "BACKGROUND",
    "CellTargets",
    "FrameObjects",
    "PairTargets",
    "cell_targets",
    "frame_objects",
    "limited",
    "pair_targets",
]

BACKGROUND = -1
_LIMITS = (0.0, 64.0, 128.0, 256.0, 512.0, float("inf"))
"""A level takes the cells whose largest distance to a side of the box lies between its limits, both included."""
_RADIUS = 1.5
"""Cells round an object's centre that are positive."""


@dataclass(frozen=True, kw_only=True)
class FrameObjects:
    """The objects that have a mask in one frame."""

    place_G: Tensor
    """int64, their places among the tracks of the clip."""
    box_G4: Tensor
    """float32, left, top, right, bottom: the edges of the outermost pixels."""
    centre_G2: Tensor
    """float32, (x, y) of the masks' centroids; that of a pixel is its middle."""


@dataclass(frozen=True, kw_only=True)
class CellTargets:
    """What the cells of one frame should say."""

    object_L: Tensor
    """int64, the object of the frame (0 to G - 1); `BACKGROUND` where there is none."""
    ltrb_L4: Tensor
    """Distances to the sides of its box, in cells; of no meaning on background."""


@dataclass(frozen=True, kw_only=True)
class PairTargets:
    """The targets of B pairs, and what was drawn for their positive cells. They are made on the host."""

    label_NL: Tensor
    """int64, class of every cell, or `BACKGROUND`."""
    frame_R: Tensor
    """int64, the frame of a positive cell, 0 to N - 1; ascending."""
    cell_R: Tensor
    """int64, which cell it is."""
    ltrb_R4: Tensor
    """Distances to the sides of its box, in cells."""
    identity_R: Tensor
    """int64, its track over the whole training set."""
    truth_R: Tensor
    """int64, its mask among those of all frames."""
    partner_R: Tensor
    """int64, the positive cell of the same object in the other frame that it meets; -1 where there is none."""
    order_R: Tensor
    """float32 in [0, 1): where there are more positive cells than can be afforded, the lowest go first."""
    mask_R: Tensor
    """bool, whether the mask losses look at it."""
    masks_Ihw: Tensor
    """float32 (0 or 1), truth at stride 4: of every 4 pixels the third."""

    def sent_to(self, device: torch.device) -> PairTargets:
        """The same on a device."""
        return replace(self, **{field.name: sent(getattr(self, field.name), device) for field in fields(self)})


def frame_objects(masks_NHW: Tensor) -> FrameObjects:
    """Boxes and centres of the tracks that have a mask in a frame.

    Args:
        masks_NHW: bool, the tracks' masks in this frame, at network size.
    """
    place = torch.from_numpy(np.flatnonzero(masks_NHW.flatten(1).any(1).numpy()))
    masks = masks_NHW[place]
    left, right = _edges(masks.any(1))
    top, bottom = _edges(masks.any(2))
    return FrameObjects(
        place_G=place,
        box_G4=torch.stack((left, top, right, bottom), dim=1),
        centre_G2=torch.stack((_centroid(masks.sum(1)), _centroid(masks.sum(2))), dim=1),
    )


def cell_targets(objects: FrameObjects, grid: CellGrid) -> CellTargets:
    """Which cells of a frame are positive, and for which object.

    A cell is positive if it lies strictly inside the box and the square of 1.5 cells round the centre of an object, and
    its level takes objects of that size; of several objects the one with the smallest box has it.

    Source: FCOS (2019) with centre sampling; the centre is the mask's, as in CondInst (2020).
    """
    box_G4, cells = objects.box_G4, len(grid.stride_L)
    if not len(box_G4):
        return CellTargets(
            object_L=torch.full((cells,), BACKGROUND, device=box_G4.device),
            ltrb_L4=torch.zeros(cells, 4, device=box_G4.device),
        )
    xy_L12, stride_L11 = grid.xy_L2[:, None], grid.stride_L[:, None, None]
    ltrb_LG4 = torch.cat((xy_L12 - box_G4[:, :2], box_G4[:, 2:] - xy_L12), dim=2)
    off_LG = (xy_L12 - objects.centre_G2).abs().amax(2)
    limits = torch.tensor(_LIMITS, device=box_G4.device)
    largest_LG = ltrb_LG4.amax(2)
    fits_LG = (largest_LG >= limits[grid.level_L][:, None]) & (largest_LG <= limits[grid.level_L + 1][:, None])
    inside_LG = (ltrb_LG4.amin(2) > 0) & (off_LG < _RADIUS * stride_L11[..., 0])
    area_G = (box_G4[:, 2] - box_G4[:, 0]) * (box_G4[:, 3] - box_G4[:, 1])
    area_LG = torch.where(fits_LG & inside_LG, area_G, torch.inf)
    smallest = area_LG.min(1)
    found_L = torch.where(smallest.values.isfinite(), smallest.indices, BACKGROUND)
    ltrb_L4 = ltrb_LG4[torch.arange(cells, device=box_G4.device), smallest.indices]
    return CellTargets(object_L=found_L, ltrb_L4=ltrb_L4 / grid.stride_L[:, None])


def pair_targets(pairs: Sequence[TrainingClip], grid: CellGrid, padded_size: tuple[int, int]) -> PairTargets:
    """The targets of pairs of frames that run together.

    Args:
        pairs: of two frames each, with identities; none, where only other processes have such.
        padded_size: height and width of the network input; frames lie at its top left.
    """
    parts: list[PairTargets] = []
    cells, truths = 0, 0
    for number, pair in enumerate(pairs):
        part = _one_pair(pair, grid, padded_size)
        partner_R = torch.where(part.partner_R >= 0, part.partner_R + cells, -1)
        parts.append(
            replace(part, frame_R=part.frame_R + 2 * number, truth_R=part.truth_R + truths, partner_R=partner_R)
        )
        cells, truths = cells + len(part.cell_R), truths + len(part.masks_Ihw)
    if not pairs:
        return _no_targets(grid, padded_size)
    names = [field.name for field in fields(PairTargets)]
    return PairTargets(**{name: torch.cat([getattr(part, name) for part in parts]) for name in names})


def limited(groups: Sequence[PairTargets], limit: int, device: torch.device | str = "cpu") -> list[PairTargets]:
    """The same targets, at most `limit` positive cells of which (of all processes) are looked at by the mask losses in
    either frame.

    Both mask losses share the choice: filters that were left out can not be crossed over either.

    Args:
        device: by which processes talk to each other.
    """
    kept = [torch.ones_like(group.mask_R) for group in groups]
    for frame in range(2):
        mine = [group.frame_R % 2 == frame for group in groups]
        order = torch.cat([group.order_R[rows] for group, rows in zip(groups, mine, strict=True)])
        first = lowest(order if world_size() == 1 else order.to(device), limit).cpu()
        if len(first) == limit:
            highest = first[-1]
            kept = [
                keep & (~rows | (group.order_R <= highest))
                for group, keep, rows in zip(groups, kept, mine, strict=True)
            ]
    return [replace(group, mask_R=keep) for group, keep in zip(groups, kept, strict=True)]


def _no_targets(grid: CellGrid, padded_size: tuple[int, int]) -> PairTargets:
    device = grid.stride_L.device
    none, no_value = torch.zeros(0, dtype=torch.int64, device=device), torch.zeros(0, device=device)
    return PairTargets(
        label_NL=none.new_zeros(0, len(grid.stride_L)),
        frame_R=none,
        cell_R=none,
        ltrb_R4=no_value.new_zeros(0, 4),
        identity_R=none,
        truth_R=none,
        partner_R=none,
        order_R=no_value,
        mask_R=torch.zeros(0, dtype=torch.bool, device=device),
        masks_Ihw=no_value.new_zeros(0, padded_size[0] // MASK_STRIDE, padded_size[1] // MASK_STRIDE),
    )


def _one_pair(pair: TrainingClip, grid: CellGrid, padded_size: tuple[int, int]) -> PairTargets:
    both = [frame_objects(pair.masks_NTHW[:, frame]) for frame in range(2)]
    found = [cell_targets(objects, grid) for objects in both]
    cells = [torch.from_numpy(np.flatnonzero(targets.object_L.numpy() >= 0)) for targets in found]
    owners = [targets.object_L[cell] for targets, cell in zip(found, cells, strict=True)]
    place_R = torch.cat([objects.place_G[owner] for objects, owner in zip(both, owners, strict=True)])
    frame_R = torch.cat([torch.full_like(cell, frame) for frame, cell in enumerate(cells)])
    drawn = torch.rand(2, len(place_R), generator=torch.Generator().manual_seed(pair.seed))
    labels = [_labels(targets.object_L, pair.labels_N[o.place_G]) for targets, o in zip(found, both, strict=True)]
    masks = [pair.masks_NTHW[objects.place_G, frame] for frame, objects in enumerate(both)]
    return PairTargets(
        label_NL=torch.stack(labels),
        frame_R=frame_R,
        cell_R=torch.cat(cells),
        ltrb_R4=torch.cat([targets.ltrb_L4[cell] for targets, cell in zip(found, cells, strict=True)]),
        identity_R=pair.track_ids_N[place_R],
        truth_R=torch.cat((owners[0], owners[1] + len(both[0].place_G))),
        partner_R=_partners(frame_R, place_R, drawn[0]),
        order_R=drawn[1],
        mask_R=torch.ones_like(frame_R, dtype=torch.bool),
        masks_Ihw=torch.cat([_small(mask, padded_size) for mask in masks]),
    )


def _partners(frame_R: Tensor, place_R: Tensor, chance_R: Tensor) -> Tensor:
    """A cell of the same object in the other frame for each positive cell, all equally likely; -1: none."""
    meets_RR = (place_R[:, None] == place_R[None]) & (frame_R[:, None] != frame_R[None])
    count_R = meets_RR.sum(1)
    if not len(place_R):
        return count_R
    chosen_R = torch.minimum((chance_R * count_R).long(), count_R - 1) + 1
    partner_R = (meets_RR.cumsum(1) == chosen_R[:, None]).float().argmax(1)  # the first cell at which it was counted
    return torch.where(count_R > 0, partner_R, -1)


def _labels(object_L: Tensor, labels_G: Tensor) -> Tensor:
    if not len(labels_G):
        return object_L
    return torch.where(object_L >= 0, labels_G[object_L.clamp(min=0)], BACKGROUND)


def _small(masks_GHW: Tensor, padded_size: tuple[int, int]) -> Tensor:
    height, width = masks_GHW.shape[1:]
    padded = functional.pad(masks_GHW, (0, padded_size[1] - width, 0, padded_size[0] - height))
    middle = MASK_STRIDE // 2
    return padded[:, middle::MASK_STRIDE, middle::MASK_STRIDE].float()


def _edges(line_GX: Tensor) -> tuple[Tensor, Tensor]:
    """First column (or row) with a mask, and the one after the last."""
    length = line_GX.shape[1]
    first = line_GX.float().argmax(1)
    return first.float(), (length - line_GX.flip(1).float().argmax(1)).float()


def _centroid(weight_GX: Tensor) -> Tensor:
    middles = torch.arange(weight_GX.shape[1], device=weight_GX.device, dtype=torch.float32) + 0.5
    return (weight_GX * middles).sum(1) / weight_GX.sum(1)

"""From what the heads say of one frame to its detections, and to their masks.

Shapes: L cells of all levels, K classes, D detections, C channels, h, w cells at stride 8, H, W pixels of the result.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from avis_data.masks.rle import Rle, encode
from avis_data.training.models.afcv.boxes import best_boxes
from avis_data.training.models.afcv.config import DetectionOptions
from avis_data.training.models.afcv.fcos_head import FcosOutput
from avis_data.training.models.afcv.mask_head import MASK_STRIDE, aligned_bilinear, dynamic_masks
from avis_data.training.models.afcv.tracker import Detections
from avis_data.training.models.inference import MaskSizes
from avis_data.training.models.points import at_least_float32

__all__ = ["FoundObjects", "found_masks", "found_objects"]

_MASKS_AT_ONCE = 16
_POSITIVE = 0.5


@dataclass(frozen=True, kw_only=True)
class FoundObjects:
    """The detections of one frame, best first, and where they were made."""

    detections: Detections
    """The detections, on the CPU; boxes in pixels of the original frame."""
    cell_D: Tensor
    """int64, their cells."""


def found_objects(heads: FcosOutput, sizes: MaskSizes, options: DetectionOptions) -> FoundObjects:
    """The detections of one frame.

    A cell may be several classes at once. Scores are square roots of class probability times centre-ness.

    Args:
        heads: of a single frame.

    Source: FCOS (2019), CrossVIS (2021).
    """
    centre_L = at_least_float32(heads.centre_NL[0]).sigmoid()
    score_LK = at_least_float32(heads.logits_NLK[0]).sigmoid() * centre_L[:, None]
    kept = [_level_candidates(score_LK, heads.grid.level_L == level, options) for level in range(5)]
    cell, label = torch.cat([cells for cells, _ in kept]), torch.cat([labels for _, labels in kept])
    score = score_LK[cell, label].sqrt().cpu()
    xy, stride = heads.grid.xy_L2[cell], heads.grid.stride_L[cell, None]
    ltrb = at_least_float32(heads.ltrb_NL4[0, cell]) * stride
    box = torch.cat((xy - ltrb[:, :2], xy + ltrb[:, 2:]), dim=1).cpu()
    best = best_boxes(box, score, label.cpu(), overlap=options.overlap, limit=options.per_frame)
    box = _at_original_size(box[best], sizes)
    best = best[(shown := (box[:, 2:] > box[:, :2]).all(1))]
    cell = cell[best.to(cell.device)]
    return FoundObjects(
        detections=Detections(
            label_D=label.cpu()[best],
            score_D=score[best],
            box_D4=box[shown],
            embed_DC=at_least_float32(heads.embed_NLC[0, cell]).cpu(),
        ),
        cell_D=cell,
    )


def found_masks(heads: FcosOutput, features_18hw: Tensor, cells_D: Tensor, sizes: MaskSizes) -> list[Rle]:
    """The masks of detections of one frame, at the size of the original frame.

    Probabilities are enlarged to network size, cut out of the padding, then enlarged to the size of the result.
    """
    masks: list[Rle] = []
    features = at_least_float32(features_18hw)
    for cells in torch.split(cells_D, _MASKS_AT_ONCE):
        logits = dynamic_masks(
            at_least_float32(heads.filters_NLF[0, cells]),
            features,
            torch.zeros_like(cells),
            heads.grid.xy_L2[cells],
            heads.grid.level_L[cells],
        )
        height, width = sizes.network
        probability = aligned_bilinear(logits.sigmoid()[:, None], MASK_STRIDE)[..., :height, :width]
        found = functional.interpolate(probability, size=sizes.original, mode="bilinear")[:, 0] > _POSITIVE
        masks.extend(encode(mask) for mask in found.cpu().numpy())
    return masks


def _level_candidates(score_LK: Tensor, mine_L: Tensor, options: DetectionOptions) -> tuple[Tensor, Tensor]:
    """Cells and classes of the best pairs of one level."""
    cell, label = (mine_L[:, None] & (score_LK > options.least_score)).nonzero().unbind(1)
    best = score_LK[cell, label].sort(descending=True, stable=True).indices[: options.per_level]
    return cell[best], label[best]


def _at_original_size(box_D4: Tensor, sizes: MaskSizes) -> Tensor:
    height, width = sizes.original
    scale = box_D4.new_tensor([width / sizes.network[1], height / sizes.network[0]]).repeat(2)
    limits = box_D4.new_tensor([width, height]).repeat(2)
    return torch.minimum((box_D4 * scale).clamp(min=0), limits)

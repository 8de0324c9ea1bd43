"""AFCV's training objective, which is that of CrossVIS: six losses, all of weight 1.

Shapes: N = 2 B frames of B pairs, L cells of all levels, R positive cells, K classes, I identities, S cells whose masks
    are compared, h, w cells at stride 4.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from avis_data.training.data.clips import NO_IDENTITY
from avis_data.training.models.afcv.fcos_head import FcosOutput
from avis_data.training.models.afcv.mask_head import dynamic_masks
from avis_data.training.models.afcv.targets import PairTargets
from avis_data.training.models.host import sent_together
from avis_data.training.models.losses import Ratio, dice_losses, means
from avis_data.training.models.points import at_least_float32

__all__ = ["AfcvOutputs", "afcv_ratios", "box_loss", "centreness", "focal_loss", "mean_losses"]

_ALPHA = 0.25
_SMALL = 1e-6


@dataclass(frozen=True, kw_only=True)
class AfcvOutputs:
    """What an AFCV says of B pairs of frames in training."""

    heads: FcosOutput
    """What the heads say of all cells; N = 2 B."""
    features_N8hw: Tensor
    """Features of the mask branch, at stride 8."""
    identify: Callable[[Tensor], Tensor]
    """Embeddings (R, C) to logits (R, I) of all tracks of the training set."""


def afcv_ratios(outputs: AfcvOutputs, targets: PairTargets, *, crossover: bool) -> dict[str, Ratio]:
    """Every loss before its division: `0.class`, `0.box`, `0.centre`, `0.mask`, `0.crossover` for the first frames of
    the pairs, `1....` for the second ones, and `embedding` for both.

    Args:
        crossover: whether filters of one frame must also cut out their object in the other.

    Raises:
        ValueError: if an identity is none of the classifier's.

    Source: Yang et al., "Crossover Learning for Fast Online Video Instance Segmentation" (2021).
    """
    device = outputs.features_N8hw.device
    frame_R, mask_R, partner_R = (x.numpy() for x in (targets.frame_R, targets.mask_R, targets.partner_R))
    identity_R = targets.identity_R.numpy()
    targets = targets.sent_to(device)
    with torch.autocast(device.type, enabled=False):
        masks = _Masks(outputs, targets)
        losses: dict[str, Ratio] = {}
        for frame in range(2):
            rows = np.flatnonzero(frame_R % 2 == frame)
            shown = rows[mask_R[rows]]
            crossed = shown[partner_R[shown] >= 0]
            rows_R, shown_S, crossed_S, partner_S = sent_together([rows, shown, crossed, partner_R[crossed]], device)
            cells = _cell_losses(outputs, targets, frame, rows_R)
            losses |= {f"{frame}.{name}": ratio for name, ratio in cells.items()}
            losses[f"{frame}.mask"] = masks.loss(shown_S, shown_S)
            if crossover:
                losses[f"{frame}.crossover"] = masks.loss(crossed_S, partner_S)
        losses["embedding"] = _embedding_loss(outputs, targets, identity_R)
        return losses


def mean_losses(ratios: Mapping[str, Ratio]) -> dict[str, Tensor]:
    """The losses: each divided by its own denominator, then the mean of both frames."""
    divided = means(ratios)
    kinds = [name.removeprefix("0.") for name in divided if name.startswith("0.")]
    paired = {kind: 0.5 * (divided[f"0.{kind}"] + divided[f"1.{kind}"]) for kind in kinds}
    return paired | {"embedding": divided["embedding"]}


def focal_loss(logits: Tensor, truth: Tensor) -> Tensor:
    """Sum of the sigmoid focal losses (alpha 0.25, gamma 2) of all values.

    Args:
        truth: 0 or 1, of the same shape.

    Source: Lin et al., "Focal Loss for Dense Object Detection" (2017).
    """
    probability = logits.sigmoid()
    entropy = functional.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    missed = truth * (1 - probability) + (1 - truth) * probability
    weight = truth * _ALPHA + (1 - truth) * (1 - _ALPHA)
    return (weight * missed.square() * entropy).sum()


def box_loss(predicted_R4: Tensor, truth_R4: Tensor) -> Tensor:
    """1 - GIoU of boxes given by the distances of one point to their sides, (R,); areas are in cells.

    The IoU is (intersection + 1) / (union + 1), as FCOS has it.

    Source: Rezatofighi et al., "Generalized Intersection over Union" (2019).
    """

    def area(ltrb_R4: Tensor) -> Tensor:
        return (ltrb_R4[:, 0] + ltrb_R4[:, 2]) * (ltrb_R4[:, 1] + ltrb_R4[:, 3])

    intersection = area(torch.minimum(predicted_R4, truth_R4))
    union = area(predicted_R4) + area(truth_R4) - intersection
    hull = area(torch.maximum(predicted_R4, truth_R4))
    return 1 - ((intersection + 1) / (union + 1) - (hull - union) / hull)


def centreness(ltrb_R4: Tensor) -> Tensor:
    """How central a point is in its box, (R,): 1 in the middle, 0 on its sides. Source: FCOS (2019), equation 3."""
    sides_R22 = ltrb_R4.view(-1, 2, 2)  # left and top, then right and bottom
    return (sides_R22.amin(1) / sides_R22.amax(1)).prod(1).sqrt()


def _cell_losses(outputs: AfcvOutputs, targets: PairTargets, frame: int, rows: Tensor) -> dict[str, Ratio]:
    heads = outputs.heads
    at = targets.frame_R[rows], targets.cell_R[rows]
    logits = at_least_float32(heads.logits_NLK[frame::2])
    ltrb = targets.ltrb_R4[rows].to(logits.dtype)
    centre = centreness(ltrb)
    classes = torch.arange(logits.shape[2], device=logits.device)
    truth = (targets.label_NL[frame::2, :, None] == classes).to(logits.dtype)  # a background cell has no class
    count = torch.full((), float(len(ltrb)), device=ltrb.device)
    boxes = box_loss(at_least_float32(heads.ltrb_NL4[at]), ltrb)
    entropy = functional.binary_cross_entropy_with_logits(
        at_least_float32(heads.centre_NL[at]), centre, reduction="sum"
    )
    return {
        "class": Ratio(numerator=focal_loss(logits, truth), denominator=count),
        "box": Ratio(numerator=(centre * boxes).sum(), denominator=centre.sum(), floor=_SMALL),
        "centre": Ratio(numerator=entropy, denominator=count),
    }


class _Masks:
    """Dice losses of filters made at some cells, applied where others are."""

    def __init__(self, outputs: AfcvOutputs, targets: PairTargets) -> None:
        self._heads = outputs.heads
        self._features = at_least_float32(outputs.features_N8hw)
        self._targets = targets
        self._nothing = 0.0 * (self._features.sum() + at_least_float32(outputs.heads.filters_NLF).sum())
        """Keeps batches without any object in the graph of every parameter."""

    def loss(self, made_S: Tensor, shown_S: Tensor) -> Ratio:
        """Filters of the cells `made_S` cut out the objects of the cells `shown_S`, in their frames, at their places.

        Both are places among the R positive cells.
        """
        targets, grid = self._targets, self._heads.grid
        filters = at_least_float32(self._heads.filters_NLF[targets.frame_R[made_S], targets.cell_R[made_S]])
        cells = targets.cell_R[shown_S]
        logits_Shw = dynamic_masks(
            filters, self._features, targets.frame_R[shown_S], grid.xy_L2[cells], grid.level_L[cells]
        )
        truth_Shw = targets.masks_Ihw[targets.truth_R[shown_S]]
        dice_S = dice_losses(
            logits_Shw.sigmoid().flatten(1), truth_Shw.flatten(1), squared=True, smooth_top=0.0, smooth_bottom=1e-5
        )
        count = torch.full((), float(len(made_S)), device=filters.device)
        return Ratio(numerator=dice_S.sum() + self._nothing, denominator=count)


def _embedding_loss(outputs: AfcvOutputs, targets: PairTargets, on_host_R: NDArray[np.int64]) -> Ratio:
    """Every track of the training set is a class of its own; objects of stills (-1) are no tracks, and are left out.

    Source: CrossVIS (2021), global balanced embedding.
    """
    frame_R, cell_R, identity_R = targets.frame_R, targets.cell_R, targets.identity_R
    if (on_host_R == NO_IDENTITY).any():
        tracked_R = sent_together([np.flatnonzero(on_host_R != NO_IDENTITY)], frame_R.device)[0]
        frame_R, cell_R, identity_R = frame_R[tracked_R], cell_R[tracked_R], identity_R[tracked_R]
        on_host_R = on_host_R[on_host_R != NO_IDENTITY]
    logits_RI = outputs.identify(at_least_float32(outputs.heads.embed_NLC[frame_R, cell_R]))
    identities = logits_RI.shape[1]
    if len(on_host_R) and not 0 <= on_host_R.min() <= on_host_R.max() < identities:
        found = f"{on_host_R.min()} to {on_host_R.max()}"
        raise ValueError(f"identities {found}, the classifier has 0 to {identities - 1}")
    truth_RI = (identity_R[:, None] == torch.arange(identities, device=logits_RI.device)).to(logits_RI.dtype)
    count = torch.full((), float(len(truth_RI)), device=logits_RI.device)
    return Ratio(numerator=focal_loss(logits_RI, truth_RI), denominator=count)

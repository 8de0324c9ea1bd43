"""Bipartite matching of predictions with targets, for frames (T = 1) and for clips alike.

Shapes: N entries (frames or clips), Q queries, G targets, T frames, P points, R matched pairs, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from pydantic import ConfigDict
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn import functional

from avis_data.training.models.points import at_least_float32, sample_points
from avis_data.training.models.targets import ClipTarget
from avis_data.training.ranges import NotNegative

__all__ = ["CostWeights", "Matches", "dice_costs", "match_cost", "matched"]

_HOPELESS = 1e6
"""The cost of a pair whose cost is not a number: the loss then says so, and not the assignment."""


@dataclass(frozen=True, kw_only=True)
class CostWeights:
    """How much each part of the matching cost counts."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    class_weight: NotNegative = 2.0
    """Minus the probability of the target's class."""
    mask_weight: NotNegative = 5.0
    """Binary cross-entropy, mean over the points."""
    dice_weight: NotNegative = 5.0
    """Dice loss over the points."""


@dataclass(frozen=True, kw_only=True)
class Matches:
    """Matched pairs of all entries, entry after entry, queries ascending."""

    entry_R: Tensor
    """int64, the entry."""
    query_R: Tensor
    """int64, its query."""
    target_R: Tensor
    """int64, its target."""


@torch.no_grad()
def match_cost(
    logits_QK: Tensor, masks_QTHW: Tensor, target: ClipTarget, points_P2: Tensor, weights: CostWeights
) -> Tensor:
    """Cost of every pair of one entry, float32, (Q, G).

    Args:
        logits_QK: class logits, "no object" last.
        masks_QTHW: mask logits at any resolution.
        points_P2: the same for all queries, targets and frames of the entry.

    Source: Mask2Former (2022); AVISM's specification, section 4.2.
    """
    frames = masks_QTHW.shape[1]
    predicted = _at_points(at_least_float32(masks_QTHW), points_P2)
    truth = _at_points(target.masks_GTHW.to(predicted.dtype), points_P2)
    class_cost = -at_least_float32(logits_QK).softmax(-1)[:, target.labels_G]
    mask_cost = (functional.softplus(-predicted) @ truth.T + functional.softplus(predicted) @ (1 - truth).T) / (
        len(points_P2) * frames
    )
    probability = predicted.sigmoid()
    dice_cost = dice_costs(probability, truth, squared=False, smooth_top=1.0, smooth_bottom=1.0)
    return weights.class_weight * class_cost + weights.mask_weight * mask_cost + weights.dice_weight * dice_cost


def dice_costs(
    probability_QX: Tensor, truth_GX: Tensor, *, squared: bool, smooth_top: float, smooth_bottom: float
) -> Tensor:
    """One minus the dice coefficient of every pair, (Q, G); the arguments are those of `losses.dice_losses`."""
    power = 2 if squared else 1
    top = 2 * probability_QX @ truth_GX.T + smooth_top
    below = probability_QX.pow(power).sum(1)[:, None] + truth_GX.pow(power).sum(1)[None]
    return 1 - top / (below + smooth_bottom)


def matched(costs: Sequence[Tensor]) -> Matches:
    """The cheapest assignment of each entry's targets to its queries (Hungarian algorithm), on the costs' device.

    Args:
        costs: one matrix (Q, G) per entry; G may be 0. At least one entry.
    """
    device = costs[0].device
    pairs = [
        linear_sum_assignment(torch.nan_to_num(cost, nan=_HOPELESS, posinf=_HOPELESS).cpu().numpy()) for cost in costs
    ]
    entries = [torch.full((len(queries),), entry) for entry, (queries, _) in enumerate(pairs)]
    return Matches(
        entry_R=torch.cat(entries).to(device),
        query_R=torch.cat([torch.as_tensor(queries, dtype=torch.int64) for queries, _ in pairs]).to(device),
        target_R=torch.cat([torch.as_tensor(targets, dtype=torch.int64) for _, targets in pairs]).to(device),
    )


def _at_points(maps_XTHW: Tensor, points_P2: Tensor) -> Tensor:
    """The maps at the points of every frame, joined, (X, T * P)."""
    values = sample_points(maps_XTHW.flatten(0, 1)[None], points_P2[None])[0]
    return values.view(maps_XTHW.shape[0], maps_XTHW.shape[1] * len(points_P2))

"""Bipartite matching of predictions with targets, for frames (T = 1) and for clips alike.

Shapes: N entries (frames or clips), Q queries, G targets, T frames, P points, X = T * P, R matched pairs,
    K classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ConfigDict
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn import functional

from avis_data.training.models.host import fetched, sent_together
from avis_data.training.models.points import at_least_float32, sample_points
from avis_data.training.models.targets import TargetRows
from avis_data.training.ranges import NotNegative

__all__ = ["CostWeights", "Matches", "assigned", "dice_costs", "match_costs", "matched"]

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
    pairs_R3: NDArray[np.int64]
    """The three on the host."""


@torch.no_grad()
def match_costs(
    logits_NQK: Tensor, masks_NQTHW: Tensor, targets: TargetRows, points_NP2: Tensor, weights: CostWeights
) -> Tensor:
    """Cost of every pair of all entries, float32, (N, Q, G), G the most targets of one; of no meaning beyond its own.

    Args:
        logits_NQK: class logits, "no object" last.
        masks_NQTHW: mask logits at any resolution.
        points_NP2: the same for all queries, targets and frames of an entry.

    Source: Mask2Former (2022); AVISM's specification, section 4.2.
    """
    entries, queries, frames = masks_NQTHW.shape[:3]
    maps = at_least_float32(masks_NQTHW.transpose(1, 2).flatten(0, 1))
    values_NTPQ = sample_points(maps, points_NP2.repeat_interleave(frames, dim=0)).transpose(1, 2)
    predicted_NQX = values_NTPQ.reshape(entries, -1, queries).transpose(1, 2)
    truth_RX = sample_points(targets.masks_RTHW.to(predicted_NQX.dtype), points_NP2[targets.entry_R]).flatten(1)
    truth_NGX = torch.cat((truth_RX, truth_RX.new_zeros(1, truth_RX.shape[1])))[targets.row_NG]
    labels_NQG = targets.label_NG[:, None].expand(-1, queries, -1)
    class_cost = -at_least_float32(logits_NQK).softmax(-1).gather(2, labels_NQG)
    # softplus(-x) t + softplus(x) (1 - t) = softplus(x) - x t
    entropy_NQ1 = functional.softplus(predicted_NQX).sum(2, keepdim=True)
    mask_cost = (entropy_NQ1 - predicted_NQX @ truth_NGX.transpose(1, 2)) / predicted_NQX.shape[2]
    dice_cost = dice_costs(predicted_NQX.sigmoid(), truth_NGX, squared=False, smooth_top=1.0, smooth_bottom=1.0)
    return weights.class_weight * class_cost + weights.mask_weight * mask_cost + weights.dice_weight * dice_cost


def dice_costs(
    probability_QX: Tensor, truth_GX: Tensor, *, squared: bool, smooth_top: float, smooth_bottom: float
) -> Tensor:
    """One minus the dice coefficient of every pair, (Q, G), of one entry or of each of several, (N, Q, G).

    The arguments are those of `losses.dice_losses`.
    """
    top = 2 * (probability_QX @ truth_GX.transpose(-1, -2)) + smooth_top
    if squared:
        below = probability_QX.square().sum(-1)[..., None] + truth_GX.square().sum(-1)[..., None, :]
    else:
        below = probability_QX.sum(-1)[..., None] + truth_GX.sum(-1)[..., None, :]
    return 1 - top / (below + smooth_bottom)


def matched(costs: Sequence[Tensor]) -> Matches:
    """The cheapest assignment of each entry's targets to its queries, on the costs' device; read with one copy.

    Args:
        costs: one matrix (Q, G) per entry; G may be 0. At least one entry.
    """
    return assigned([fetched(costs)], costs[0].device)[0]


def assigned(heads: Sequence[Sequence[NDArray[np.float32]]], device: torch.device) -> list[Matches]:
    """The cheapest assignments (Hungarian algorithm) of several heads.

    Args:
        heads: of each its costs, one matrix (Q, G) per entry; G may be 0.
        device: where the matches are wanted.
    """
    found = [_assigned(costs) for costs in heads]
    sent = iter(sent_together([column for pairs_R3 in found for column in pairs_R3.T.copy()], device))
    return [
        Matches(entry_R=next(sent), query_R=next(sent), target_R=next(sent), pairs_R3=pairs_R3) for pairs_R3 in found
    ]


def _assigned(costs: Sequence[NDArray[np.float32]]) -> NDArray[np.int64]:
    rows: list[NDArray[np.int64]] = [np.zeros((0, 3), dtype=np.int64)]
    for entry, cost_QG in enumerate(costs):
        queries, places = linear_sum_assignment(np.nan_to_num(cost_QG, nan=_HOPELESS, posinf=_HOPELESS))
        rows.append(np.stack((np.full(len(queries), entry), queries, places), axis=1).astype(np.int64))
    return np.concatenate(rows)

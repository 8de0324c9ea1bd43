"""The losses that set predictors share. Each is a numerator and a denominator, so that clips of different sizes, and
those of other processes, can be joined into one mean.

Shapes: N entries (frames or clips), Q queries, K classes, R matched pairs, T frames, P points, E embeddings,
    C channels, H, W cells of a map.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from avis_data.training.models.host import sent
from avis_data.training.models.matcher import Matches
from avis_data.training.models.points import at_least_float32, sample_points
from avis_data.training.models.shared import summed, world_size
from avis_data.training.models.targets import ClipTarget

__all__ = ["Ratio", "class_loss", "dice_losses", "joined", "mask_losses", "means", "similarity_loss"]


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """A loss before its division."""

    numerator: Tensor
    """Scalar with a gradient."""
    denominator: Tensor
    """Scalar without: what the numerator is the sum over (pairs, class weights)."""
    floor: float = 1.0
    """The denominator is never taken smaller than this."""


def class_loss(
    logits_NQK: Tensor, targets: Sequence[ClipTarget], matches: Matches, *, no_object_weight: float
) -> Ratio:
    """Cross-entropy of every query, weighted: queries without a target count `no_object_weight`.

    The mean is weighted too: its denominator is the sum of the weights.
    """
    no_object = logits_NQK.shape[-1] - 1
    classes_NQ = torch.full(logits_NQK.shape[:2], no_object, dtype=torch.int64, device=logits_NQK.device)
    classes_NQ[matches.entry_R, matches.query_R] = _matched_labels(targets, matches, logits_NQK.device)
    weights_NQ = torch.where(classes_NQ == no_object, no_object_weight, 1.0)
    entropy_NQ = functional.cross_entropy(
        at_least_float32(logits_NQK).flatten(0, 1), classes_NQ.flatten(), reduction="none"
    )
    return Ratio(
        numerator=(entropy_NQ * weights_NQ.flatten()).sum(),
        denominator=weights_NQ.sum(),
        floor=torch.finfo(torch.float32).tiny,
    )


def mask_losses(logits_RTHW: Tensor, truth_RTHW: Tensor, points_RTP2: Tensor, *, pairs: int) -> tuple[Ratio, Ratio]:
    """Binary cross-entropy and dice loss of matched pairs, over the points of all their frames.

    Args:
        logits_RTHW: mask logits at any resolution.
        truth_RTHW: masks, 0 or 1, at any resolution.
        points_RTP2: the points of each pair and frame.
        pairs: what the sums are divided by.
    """
    rows, frames = logits_RTHW.shape[:2]
    points = points_RTP2.flatten(0, 1)

    def at_points(maps: Tensor) -> Tensor:
        return sample_points(at_least_float32(maps.flatten(0, 1)[:, None]), points).reshape(
            rows, frames * points.shape[1]
        )

    predicted, truth = at_points(logits_RTHW), at_points(truth_RTHW)
    entropy_R = functional.binary_cross_entropy_with_logits(predicted, truth, reduction="none").mean(1)
    dice_R = dice_losses(predicted.sigmoid(), truth, squared=False, smooth_top=1.0, smooth_bottom=1.0)
    count = torch.full((), float(pairs), device=logits_RTHW.device)
    return Ratio(numerator=entropy_R.sum(), denominator=count), Ratio(numerator=dice_R.sum(), denominator=count)


def dice_losses(
    probability_RX: Tensor, truth_RX: Tensor, *, squared: bool, smooth_top: float, smooth_bottom: float
) -> Tensor:
    """One minus the dice coefficient of each row's X values, (R,).

    Args:
        probability_RX: in [0, 1].
        truth_RX: 0 or 1.
        squared: of the sums below the line, as in V-Net (2016), RCF, CondInst; Mask2Former and AVISM do not.
        smooth_top: added above the line (twice the sum of products).
        smooth_bottom: added below it.
    """
    top = 2 * (probability_RX * truth_RX).sum(1) + smooth_top
    if squared:
        probability_RX, truth_RX = probability_RX.square(), truth_RX.square()
    return 1 - top / (probability_RX.sum(1) + truth_RX.sum(1) + smooth_bottom)


def similarity_loss(embeddings_EC: Tensor, ids_E: Tensor, groups_E: Tensor | None = None) -> Ratio:
    """Binary cross-entropy of all pairs' dot products: 1 where the ids are equal, a pair with itself included.

    Args:
        groups_E: only pairs of one group count; None: all do.

    Source: AVISM (CVPR 2025), similarity loss; VITA (2022), equation 5.
    """
    embeddings_EC = at_least_float32(embeddings_EC)
    logits_EE = embeddings_EC @ embeddings_EC.T
    same_EE = (ids_E[:, None] == ids_E[None]).to(logits_EE.dtype)
    groups_E = torch.zeros_like(ids_E) if groups_E is None else groups_E
    counts_EE = (groups_E[:, None] == groups_E[None]).to(logits_EE.dtype)
    entropy_EE = functional.binary_cross_entropy_with_logits(logits_EE, same_EE, reduction="none")
    return Ratio(numerator=(entropy_EE * counts_EE).sum(), denominator=counts_EE.sum())


def joined(parts: Sequence[Mapping[str, Ratio]]) -> dict[str, Ratio]:
    """The ratios of several groups of clips as one: numerators and denominators added by name."""
    first, *others = parts
    total = dict(first)
    for part in others:
        for name, ratio in part.items():
            total[name] = Ratio(
                numerator=total[name].numerator + ratio.numerator,
                denominator=total[name].denominator + ratio.denominator,
                floor=ratio.floor,
            )
    return total


def means(ratios: Mapping[str, Ratio]) -> dict[str, Tensor]:
    """The losses: numerator / denominator, the denominators averaged over all processes.

    Averaged gradients of several processes are then those of one process with all the clips.
    """
    denominators = summed(torch.stack([ratio.denominator for ratio in ratios.values()]))
    return {
        name: ratio.numerator / (denominator.clamp(min=ratio.floor) / world_size())
        for (name, ratio), denominator in zip(ratios.items(), denominators, strict=True)
    }


def _matched_labels(targets: Sequence[ClipTarget], matches: Matches, device: torch.device) -> Tensor:
    labels = [target.labels_G.numpy() for target in targets]
    chosen = [labels[entry][place] for entry, _, place in matches.pairs_R3.tolist()]
    return sent(torch.tensor(chosen, dtype=torch.int64), device)

"""The losses of AVS-BG and AVSBench.

Shapes: N frames, L of them with a label, H, W pixels, K classes, C channels, h, w cells of a stage's map.

Source: specs/avs_bg.md, sections 6.3 and 7: Hao et al. (2023) and Zhou et al. (2022), as their code does it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from avis_data.training.models.points import at_least_float32

__all__ = [
    "class_mask_loss",
    "generation_loss",
    "heard_distance",
    "mask_entropy",
    "mask_entropy_and_iou",
    "seen_vectors",
]

_EDGE_WINDOW = 31
_EDGE_WEIGHT = 5.0
_SMOOTHING = 1e-3


def mask_entropy(logits_LHW: Tensor, truth_LHW: Tensor) -> Tensor:
    """Mean binary cross-entropy of masks (AVSBench). Truth is 0 or 1."""
    return functional.binary_cross_entropy_with_logits(at_least_float32(logits_LHW), truth_LHW)


def mask_entropy_and_iou(logits_LHW: Tensor, truth_LHW: Tensor) -> Tensor:
    """Cross-entropy against a smoothed truth, plus one minus an IoU in which pixels near an edge count up to six times.

    The published code means to weigh the cross-entropy too, but multiplies its mean, where the weights cancel.
    """
    logits_LHW = at_least_float32(logits_LHW)
    smoothed = truth_LHW * (1 - _SMOOTHING) + _SMOOTHING / 2
    entropy = functional.binary_cross_entropy_with_logits(logits_LHW, smoothed)
    around = functional.avg_pool2d(truth_LHW[:, None], _EDGE_WINDOW, stride=1, padding=_EDGE_WINDOW // 2)[:, 0]
    weight = 1 + _EDGE_WEIGHT * (around - truth_LHW).abs()
    probability = logits_LHW.sigmoid()
    shared = (probability * truth_LHW * weight).sum((1, 2))
    total = ((probability + truth_LHW) * weight).sum((1, 2))
    return entropy + (1 - (shared + 1) / (total - shared + 1)).mean()


def class_mask_loss(logits_LKHW: Tensor, classes_LHW: Tensor) -> Tensor:
    """Mean cross-entropy of semantic masks (AVSS); int64 classes, -1 where a pixel does not count.

    The mean of each frame counts the same, however many of its pixels count.
    """
    entropy = functional.cross_entropy(at_least_float32(logits_LKHW), classes_LHW, reduction="none", ignore_index=-1)
    counted = (classes_LHW >= 0).sum((1, 2))
    return (entropy.sum((1, 2)) / counted.clamp(min=1)).mean()


def seen_vectors(maps: Sequence[Tensor], logits_NKHW: Tensor) -> list[Tensor]:
    """What is seen inside the predicted mask, a mean over cells for each stage, (N, C).

    Args:
        maps: fused maps of each stage, (N, C, h, w).
        logits_NKHW: one map: its logits are averaged over cells, then made probabilities. Several: the mask is what
            is not background, without a gradient.
    """
    found = []
    for map_NChw in maps:
        size = (map_NChw.shape[2], map_NChw.shape[3])
        if logits_NKHW.shape[1] == 1:
            share = functional.adaptive_avg_pool2d(at_least_float32(logits_NKHW), size).sigmoid()
        else:
            foreground = (logits_NKHW.argmax(1, keepdim=True) != 0).to(torch.float32)
            share = functional.adaptive_avg_pool2d(foreground, size)
        found.append((at_least_float32(map_NChw) * share).mean((2, 3)))
    return found


def heard_distance(seen: Sequence[Tensor], heard: Sequence[Tensor], *, scale_to_unit: bool) -> Tensor:
    """Kullback-Leibler divergence of what is seen from what is heard, both after a softmax over channels.

    Returns:
        float32 (N,): of each frame, the mean over the stages. The published losses are its sum over frames (AVS-BG,
        AVSBench) or its mean (AVSS).
    """
    stages = []
    for seen_NC, heard_NC in zip(seen, heard, strict=True):
        vectors = [at_least_float32(x) for x in (seen_NC, heard_NC)]
        if scale_to_unit:
            vectors = [functional.normalize(x, dim=1) for x in vectors]
        predicted, target = vectors[0].log_softmax(1), vectors[1].log_softmax(1)
        stages.append(functional.kl_div(predicted, target, reduction="none", log_target=True).sum(1))
    return torch.stack(stages).mean(0)


def generation_loss(generated_NA: Tensor, true_NA: Tensor) -> Tensor:
    """Mean distance of the generated from the true sound, both of unit length."""
    true_NA, generated_NA = (functional.normalize(at_least_float32(x), dim=1) for x in (true_NA, generated_NA))
    return functional.pairwise_distance(true_NA, generated_NA, eps=1e-6).mean()

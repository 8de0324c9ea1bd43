"""Boxes of detections: how much they overlap, and which of them say the same.

Shapes: A, B boxes (left, top, right, bottom), D detections.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["best_boxes", "box_iou"]


def box_iou(boxes_A4: Tensor, boxes_B4: Tensor) -> Tensor:
    """Intersection over union of every box with every other, (A, B); 0 for boxes without area."""
    first, second = boxes_A4[:, None], boxes_B4[None]
    top_left = torch.maximum(first[..., :2], second[..., :2])
    sides = (torch.minimum(first[..., 2:], second[..., 2:]) - top_left).clamp(min=0)
    intersection = sides.prod(-1)
    union = (first[..., 2:] - first[..., :2]).prod(-1) + (second[..., 2:] - second[..., :2]).prod(-1) - intersection
    return torch.where(union > 0, intersection / union, 0.0)


def best_boxes(boxes_D4: Tensor, score_D: Tensor, label_D: Tensor, *, overlap: float, limit: int) -> Tensor:
    """Places of the detections that stay, best first: greedy suppression of lesser boxes of the same class.

    Args:
        overlap: a box goes if its IoU with a better one that stays is higher.
        limit: so many stay at most; no more rounds are needed than that.
    """
    order = score_D.sort(descending=True, stable=True).indices
    boxes, labels = boxes_D4[order], label_D[order]
    alive = torch.ones(len(order), dtype=torch.bool, device=order.device)
    kept: list[int] = []
    while len(kept) < limit and alive.any():
        best = int(alive.to(torch.uint8).argmax())
        kept.append(best)
        same = (labels == labels[best]) & (box_iou(boxes[best][None], boxes)[0] > overlap)
        alive &= ~same
        alive[best] = False
    return order[kept]

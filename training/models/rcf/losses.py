"""RCF's training objective: set losses of single frames after every decoder layer.

Source: Li et al., "Online Video Instance Segmentation via Robust Context Fusion" (arXiv 2207.05580), section 3.4; what
it leaves open is settled in its specification, section 7.

Shapes: L decoder layers, E supervised frames of a batch, Q slots, G objects of a frame, K classes, R matched pairs,
    H, W cells at stride 4.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from avis_data.training.models.host import fetched, sent, sent_together
from avis_data.training.models.losses import Ratio, class_loss, dice_losses
from avis_data.training.models.matcher import Matches, assigned, dice_costs
from avis_data.training.models.points import at_least_float32
from avis_data.training.models.rcf.config import RcfLossConfig
from avis_data.training.models.rcf.network import SlotOutput
from avis_data.training.models.targets import ClipTarget

__all__ = ["match_slots", "rcf_losses", "slot_costs", "stride4_masks"]

_SMOOTH = 1e-5
_FIXED = 1e4
"""Far beyond any cost: pairs that must be, and those that must not."""


def rcf_losses(
    output: SlotOutput, targets: Sequence[ClipTarget], config: RcfLossConfig, *, supervised: int
) -> dict[str, Ratio]:
    """`I.class` and `I.dice` for decoder layer I.

    Args:
        targets: of the E frames (T = 1), at padded input size.
        supervised: frames of one clip that lie next to each other among the E; with 2 of them what is in both keeps
            its slot.
    """
    losses: dict[str, Ratio] = {}
    with torch.autocast(output.masks_LBQHW.device.type, enabled=False):
        found = _match_layers(output, targets, supervised=supervised)
        layers = zip(output.logits_LBQK, output.masks_LBQHW, found, strict=True)
        device = output.masks_LBQHW.device
        truth = sent(torch.cat([stride4_masks(target) for target in targets]), device)
        for layer, (logits, masks, matches) in enumerate(layers):
            losses[f"{layer}.class"] = class_loss(logits, targets, matches, no_object_weight=config.no_object_weight)
            losses[f"{layer}.dice"] = _dice_loss(masks, truth, _rows(targets, matches, device), matches)
    return losses


def stride4_masks(target: ClipTarget) -> Tensor:
    """The masks of one frame at pixels 2, 6, 10, ..., float32 of 0 and 1, (G, H, W)."""
    return target.masks_GTHW[:, 0, 2::4, 2::4].float()


@torch.no_grad()
def match_slots(logits_EQK: Tensor, masks_EQHW: Tensor, targets: Sequence[ClipTarget], *, supervised: int) -> Matches:
    """The assignment of the objects of every frame to slots; where there are more objects, as many as there are slots.

    Args:
        supervised: as in `rcf_losses`.
    """
    output = SlotOutput(logits_LBQK=logits_EQK[None], masks_LBQHW=masks_EQHW[None])
    return _match_layers(output, targets, supervised=supervised)[0]


@torch.no_grad()
def _match_layers(output: SlotOutput, targets: Sequence[ClipTarget], *, supervised: int) -> list[Matches]:
    """The assignments of all layers, with one copy to the host."""
    layers = [
        list(zip(*layer, targets, strict=True)) for layer in zip(output.logits_LBQK, output.masks_LBQHW, strict=True)
    ]
    read = iter(fetched([slot_costs(*entry) for entries in layers for entry in entries]))
    costs = [[next(read) for _ in entries] for entries in layers]
    if supervised > 1:
        for own in costs:
            _keep_slots(own, targets)
    return assigned(costs, output.masks_LBQHW.device)


def _keep_slots(costs: list[NDArray[np.float32]], targets: Sequence[ClipTarget]) -> None:
    """Change the costs of every second frame, so that objects get the slot that they have in the frame before."""
    (first,) = assigned([costs[0::2]], torch.device("cpu"))
    for clip in range(len(costs) // 2):
        tracks = targets[2 * clip].ids_GT[:, 0].tolist()
        slot_of = {tracks[place]: slot for entry, slot, place in first.pairs_R3.tolist() if entry == clip}
        costs[2 * clip + 1] = _kept(costs[2 * clip + 1], targets[2 * clip + 1], slot_of)


def slot_costs(logits_QK: Tensor, masks_QHW: Tensor, target: ClipTarget) -> Tensor:
    """Minus the similarity of every slot and object, (Q, G): dice coefficient plus probability of the class."""
    probability = at_least_float32(masks_QHW).sigmoid().flatten(1)
    truth = sent(stride4_masks(target), masks_QHW.device).flatten(1).to(probability.dtype)
    dice = dice_costs(probability, truth, squared=True, smooth_top=0.0, smooth_bottom=_SMOOTH)
    return dice - 1 - at_least_float32(logits_QK).softmax(-1).index_select(1, sent(target.labels_G, masks_QHW.device))


def _kept(cost_QG: NDArray[np.float32], target: ClipTarget, slot_of: dict[int, int]) -> NDArray[np.float32]:
    """The costs, changed so that objects that had a slot in the frame before get it again."""
    cost_QG = cost_QG.copy()
    again = [(slot_of[track], place) for place, track in enumerate(target.ids_GT[:, 0].tolist()) if track in slot_of]
    for slot, place in again:
        cost_QG[slot], cost_QG[:, place] = _FIXED, _FIXED
    for slot, place in again:
        cost_QG[slot, place] = -_FIXED
    return cost_QG


def _rows(targets: Sequence[ClipTarget], matches: Matches, device: torch.device) -> Tensor:
    """Which of the objects of all frames each matched one is."""
    first = np.cumsum([0, *(len(target.labels_G) for target in targets)])
    (rows,) = sent_together([first[matches.pairs_R3[:, 0]] + matches.pairs_R3[:, 2]], device)
    return rows


def _dice_loss(masks_EQHW: Tensor, truth_GHW: Tensor, rows_R: Tensor, matches: Matches) -> Ratio:
    """Mean over the matched masks; frames without objects keep the masks in the graph."""
    predicted = at_least_float32(masks_EQHW[matches.entry_R, matches.query_R]).sigmoid()
    true = truth_GHW[rows_R]
    dice_R = dice_losses(predicted.flatten(1), true.flatten(1), squared=True, smooth_top=0.0, smooth_bottom=_SMOOTH)
    count = torch.full((), float(len(rows_R)), device=masks_EQHW.device)
    return Ratio(numerator=dice_R.sum(), denominator=count)

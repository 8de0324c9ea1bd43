"""RCF's training objective: set losses of single frames after every decoder layer.

Source: Li et al., "Online Video Instance Segmentation via Robust Context Fusion" (arXiv 2207.05580), section 3.4; what
it leaves open is settled in its specification, section 7.

Shapes: L decoder layers, E supervised frames of a batch, Q slots, G objects of a frame, K classes, R matched pairs,
    H, W cells at stride 4.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from avis_data.training.models.losses import Ratio, class_loss, dice_losses
from avis_data.training.models.matcher import Matches, dice_costs, matched
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
        truth = [stride4_masks(target) for target in targets]
        for layer, (logits, masks) in enumerate(zip(output.logits_LBQK, output.masks_LBQHW, strict=True)):
            matches = match_slots(logits, masks, targets, supervised=supervised)
            losses[f"{layer}.class"] = class_loss(logits, targets, matches, no_object_weight=config.no_object_weight)
            losses[f"{layer}.dice"] = _dice_loss(masks, truth, matches)
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
    entries = list(zip(logits_EQK, masks_EQHW, targets, strict=True))
    costs = [slot_costs(logits, masks, target) for logits, masks, target in entries]
    if supervised == 1:
        return matched(costs)
    first = matched(costs[0::2])
    for clip in range(len(costs) // 2):
        chosen = first.entry_R == clip
        pairs = zip(first.query_R[chosen].tolist(), first.target_R[chosen].tolist(), strict=True)
        slot_of = {int(targets[2 * clip].ids_GT[place, 0]): slot for slot, place in pairs}
        costs[2 * clip + 1] = _kept(costs[2 * clip + 1], targets[2 * clip + 1], slot_of)
    return matched(costs)


def slot_costs(logits_QK: Tensor, masks_QHW: Tensor, target: ClipTarget) -> Tensor:
    """Minus the similarity of every slot and object, (Q, G): dice coefficient plus probability of the class."""
    probability = at_least_float32(masks_QHW).sigmoid().flatten(1)
    truth = stride4_masks(target).flatten(1)
    dice = dice_costs(probability, truth, squared=True, smooth_top=0.0, smooth_bottom=_SMOOTH)
    return dice - 1 - at_least_float32(logits_QK).softmax(-1)[:, target.labels_G]


def _kept(cost_QG: Tensor, target: ClipTarget, slot_of: dict[int, int]) -> Tensor:
    """The costs, changed so that objects that had a slot in the frame before get it again."""
    cost_QG = cost_QG.clone()
    again = [(slot_of[track], place) for place, track in enumerate(target.ids_GT[:, 0].tolist()) if track in slot_of]
    for slot, place in again:
        cost_QG[slot], cost_QG[:, place] = _FIXED, _FIXED
    for slot, place in again:
        cost_QG[slot, place] = -_FIXED
    return cost_QG


def _dice_loss(masks_EQHW: Tensor, truth: Sequence[Tensor], matches: Matches) -> Ratio:
    """Mean over the matched masks; frames without objects keep the masks in the graph."""
    predicted = at_least_float32(masks_EQHW[matches.entry_R, matches.query_R]).sigmoid()
    pairs = zip(matches.entry_R.tolist(), matches.target_R.tolist(), strict=True)
    wanted = [truth[entry][place] for entry, place in pairs]
    true = torch.stack(wanted) if wanted else torch.zeros_like(predicted)
    dice_R = dice_losses(predicted.flatten(1), true.flatten(1), squared=True, smooth_top=0.0, smooth_bottom=_SMOOTH)
    return Ratio(numerator=dice_R.sum(), denominator=torch.tensor(float(len(wanted)), device=masks_EQHW.device))

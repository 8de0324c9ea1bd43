"""How the AVISM loss cases are run: stored predictions, targets and points; our matching and losses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from avis_data.training.models.avism.config import AvismLossConfig
from avis_data.training.models.avism.frame_decoder import FrameHead
from avis_data.training.models.avism.losses import (
    AvismPredictions,
    HeadMatch,
    SetHead,
    avism_losses,
    loss_points,
    match_heads,
    set_heads,
    weighted,
)
from avis_data.training.models.avism.tracker import TrackerOutput, VideoHead
from avis_data.training.models.losses import means
from avis_data.training.models.matcher import CostWeights
from avis_data.training.models.targets import ClipTarget
from support.parity_cases import Case


class StoredPoints:
    """The points that the official run drew."""

    def __init__(self, tensors: dict[str, Tensor], prefix: str = "points.") -> None:
        self._tensors, self._prefix = tensors, prefix

    def draw(self, name: str, clips_R: Sequence[int], points: int) -> Tensor:
        drawn = self._tensors[self._prefix + name]
        assert drawn.shape == (len(clips_R), points, 2), name
        return drawn


def run_losses(case: Case) -> None:
    settings = case.settings
    weights, cost = settings["weights"], settings["cost"]
    config = AvismLossConfig(
        cost=CostWeights(class_weight=cost["class"], mask_weight=cost["mask"], dice_weight=cost["dice"]),
        class_weight=weights["class"],
        mask_weight=weights["mask"],
        dice_weight=weights["dice"],
        no_object_weight=settings["no_object_class_weight"],
        points=settings["points"],
        oversampling=settings["oversample"],
        uncertain_share=settings["uncertain_share"],
    )
    predictions = stored_predictions(case)
    targets = [
        ClipTarget(
            labels_G=case.inputs[f"target.{clip}.labels"],
            ids_GT=case.inputs[f"target.{clip}.ids"],
            masks_GTHW=case.inputs[f"target.{clip}.masks"].bool(),
        )
        for clip in range(settings["clips"])
    ]
    points = StoredPoints(case.inputs)
    clips = range(settings["clips"])
    heads = set_heads(predictions, targets, clips)
    for head, match in zip(heads, match_heads(heads, points, config).values(), strict=True):
        _check_match(case, head, match)
        _check_used_points(case, head, match, points, config)
    losses = means(avism_losses(predictions, targets, clips, points, config))
    for name, loss in losses.items():
        case.check(f"loss.{name}", loss)
    case.check("total.paper_weights", torch.stack(list(weighted(losses, config).values())).sum())
    official = replace(config, sim_weight=1.0)
    case.check("total.official_weights", torch.stack(list(weighted(losses, official).values())).sum())


def stored_predictions(case: Case) -> AvismPredictions:
    """The stored heads. Masks are stored as such: an embedding that picks one of them per query gives them."""
    settings, inputs = case.settings, case.inputs
    masks_HNQhw = torch.stack([inputs[f"frame_head.{i}.pred_masks"] for i in range(settings["frame_heads"])])
    shown = masks_HNQhw.shape[0] * masks_HNQhw.shape[2]
    one_frame_HQC = torch.eye(shown).view(len(masks_HNQhw), -1, shown)
    frame_heads = tuple(
        FrameHead(
            logits_NQK=inputs[f"frame_head.{i}.pred_logits"],
            embed_NQC=one_frame_HQC[i].expand(len(masks_NQhw), -1, -1),
            masks_NQhw=masks_NQhw,
        )
        for i, masks_NQhw in enumerate(masks_HNQhw)
    )
    count = settings["video_heads"]
    masks_HLBPThw = torch.stack([inputs[f"video_head.{i}.pred_masks"] for i in range(count)])
    heads, layers, clips, queries = masks_HLBPThw.shape[:4]
    pixels_BTChw = masks_HLBPThw.permute(2, 4, 0, 1, 3, 5, 6).flatten(2, 4)
    picks = torch.eye(heads * layers * queries).view(heads, layers, 1, queries, -1).expand(-1, -1, clips, -1, -1)
    video_heads = tuple(
        VideoHead(
            logits_LBPK=inputs[f"video_head.{i}.pred_logits"],
            mask_embed_LBPC=picks[i],
            similarity_LBPC=inputs[f"video_head.{i}.pred_cq_embed"],
        )
        for i in range(count)
    )
    return AvismPredictions(
        frame_heads=frame_heads,
        mask_NChw=masks_HNQhw.transpose(0, 1).flatten(1, 2),
        tracker=TrackerOutput(heads=video_heads, similarity_LBTQC=inputs["pred_fq_embed"]),
        pixels_BTChw=pixels_BTChw,
    )


def check_assignment(case: Case, head: SetHead, match: HeadMatch, prefix: str = "") -> None:
    level, index = head.name.split(".")
    entry = "image" if level == "frame" else "entry"
    case.check(f"{prefix}{level}_match.{index}.{entry}", match.matches.entry_R)
    case.check(f"{prefix}{level}_match.{index}.query", match.matches.query_R)
    case.check(f"{prefix}{level}_match.{index}.target", match.matches.target_R)


def _check_match(case: Case, head: SetHead, match: HeadMatch) -> None:
    level, index = head.name.split(".")
    for entry, cost in enumerate(match.costs):
        case.check(f"{level}_cost.{index}.{entry}", cost)
    check_assignment(case, head, match)


def _check_used_points(
    case: Case, head: SetHead, match: HeadMatch, points: StoredPoints, config: AvismLossConfig
) -> None:
    """The same set of points; their order does not matter, so both are sorted."""
    chosen = head.masks_NQThw[match.matches.entry_R, match.matches.query_R]
    used = loss_points(head, match.matches, chosen, points, config).flatten(0, 1)
    name = f"points.{head.name}.used"
    stored = case.outputs[name]
    assert torch.equal(_sorted(used), _sorted(stored)), name
    case.check(name, stored)


def _sorted(points_RP2: Tensor) -> Tensor:
    if not points_RP2.numel():
        return points_RP2
    return torch.stack([row[sorted(range(len(row)), key=lambda i, row=row: row[i].tolist())] for row in points_RP2])

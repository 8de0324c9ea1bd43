"""AVISM's training objective: set losses of every frame head and every video head, and the similarity loss.

Shapes: L layers of frame queries, B clips, T frames, Q frame queries, P video queries, K classes, C channels,
    h, w cells at stride 4, N entries of a head: B * T frames (clip-major) or L * B clips (layer-major).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from avis_data.training.models.avism.config import AvismLossConfig
from avis_data.training.models.avism.frame_decoder import FrameHead
from avis_data.training.models.avism.tracker import TrackerOutput, video_masks
from avis_data.training.models.losses import Ratio, class_loss, mask_losses, similarity_loss
from avis_data.training.models.matcher import Matches, match_cost, matched
from avis_data.training.models.points import PointSource, at_least_float32, uncertain_points
from avis_data.training.models.targets import ClipTarget, frame_targets

__all__ = [
    "AvismPredictions",
    "HeadMatch",
    "SetHead",
    "avism_losses",
    "loss_points",
    "match_heads",
    "set_heads",
    "weighted",
]


@dataclass(frozen=True, kw_only=True)
class AvismPredictions:
    """All that AVISM predicts in training for B clips of one size and length."""

    frame_heads: tuple[FrameHead, ...]
    """Head 0 to the last, each for B * T frames."""
    tracker: TrackerOutput
    """One head per layer of the object decoder."""
    pixels_BTChw: Tensor
    """M', the video-level per-pixel embedding."""


@dataclass(frozen=True, kw_only=True)
class SetHead:
    """One head of either level as the set losses see it: N entries with a set of predictions and one of targets."""

    name: str
    """`frame.I` or `video.I`."""
    logits_NQK: Tensor
    """Class logits."""
    masks_NQThw: Tensor
    """Mask logits; T = 1 for frames."""
    targets: list[ClipTarget]
    """The targets of every entry."""
    clips_N: list[int]
    """The clip of the batch that every entry belongs to."""


@dataclass(frozen=True, kw_only=True)
class HeadMatch:
    """How one head's predictions were assigned."""

    costs: list[Tensor]
    """(queries, targets) of every entry."""
    matches: Matches
    """The cheapest assignment."""


def avism_losses(
    predictions: AvismPredictions,
    targets: Sequence[ClipTarget],
    clips: Sequence[int],
    points: PointSource,
    config: AvismLossConfig,
) -> dict[str, Ratio]:
    """Every loss, not weighted: `frame.I.class`, `.mask`, `.dice`, `video.I....` for head I, and `similarity`.

    Args:
        targets: of the B clips.
        clips: which clips of the batch they are, for `points`.
    """
    with torch.autocast(predictions.pixels_BTChw.device.type, enabled=False):
        heads = set_heads(predictions, targets, clips)
        matches = {name: match.matches for name, match in match_heads(heads, points, config).items()}
        losses: dict[str, Ratio] = {}
        for head in heads:
            losses |= _set_losses(head, matches[head.name], points, config)
        losses["similarity"] = _similarity(predictions, targets, matches)
        return losses


def match_heads(heads: Sequence[SetHead], points: PointSource, config: AvismLossConfig) -> dict[str, HeadMatch]:
    """The assignment of every head, by its name. No gradient."""
    result = {}
    for head in heads:
        drawn = points.draw(f"{head.name}.match", head.clips_N, config.points)
        entries = zip(head.logits_NQK, head.masks_NQThw, head.targets, drawn, strict=True)
        costs = [match_cost(logits, masks, target, at, config.cost) for logits, masks, target, at in entries]
        result[head.name] = HeadMatch(costs=costs, matches=matched(costs))
    return result


def weighted(losses: dict[str, Tensor], config: AvismLossConfig) -> dict[str, Tensor]:
    """The losses times their weights; their sum is what is minimised."""
    weights = {
        "class": config.class_weight,
        "mask": config.mask_weight,
        "dice": config.dice_weight,
        "similarity": config.sim_weight,
    }
    return {name: loss * weights[name.rsplit(".", 1)[-1]] for name, loss in losses.items()}


def set_heads(predictions: AvismPredictions, targets: Sequence[ClipTarget], clips: Sequence[int]) -> list[SetHead]:
    """All heads of both levels, frame heads first."""
    by_frame = [frame for target in targets for frame in frame_targets(target)]
    frame_clips = [clip for clip, target in zip(clips, targets, strict=True) for _ in range(target.ids_GT.shape[1])]
    heads = [
        SetHead(
            name=f"frame.{index}",
            logits_NQK=head.logits_NQK,
            masks_NQThw=head.masks_NQhw[:, :, None],
            targets=by_frame,
            clips_N=frame_clips,
        )
        for index, head in enumerate(predictions.frame_heads)
    ]
    for index, head in enumerate(predictions.tracker.heads):
        layers = len(head.logits_LBPK)
        heads.append(
            SetHead(
                name=f"video.{index}",
                logits_NQK=head.logits_LBPK.flatten(0, 1),
                masks_NQThw=video_masks(head.mask_embed_LBPC, predictions.pixels_BTChw).flatten(0, 1),
                targets=[*targets] * layers,
                clips_N=[*clips] * layers,
            )
        )
    return heads


def _set_losses(head: SetHead, matches: Matches, points: PointSource, config: AvismLossConfig) -> dict[str, Ratio]:
    logits_RThw = head.masks_NQThw[matches.entry_R, matches.query_R]
    truth = [head.targets[entry].masks_GTHW[target] for entry, target in _pairs(matches)]
    truth_RTHW = torch.stack(truth) if truth else logits_RThw
    chosen = loss_points(head, matches, logits_RThw.detach(), points, config)
    mask, dice = mask_losses(
        logits_RThw, truth_RTHW, chosen, pairs=sum(len(target.labels_G) for target in head.targets)
    )
    return {
        f"{head.name}.class": class_loss(
            head.logits_NQK, head.targets, matches, no_object_weight=config.no_object_weight
        ),
        f"{head.name}.mask": mask,
        f"{head.name}.dice": dice,
    }


def loss_points(
    head: SetHead, matches: Matches, logits_RThw: Tensor, points: PointSource, config: AvismLossConfig
) -> Tensor:
    """The points of every pair and frame: most of them where the prediction is uncertain; (R, T, points, 2)."""
    frames = logits_RThw.shape[1]
    keep = int(config.uncertain_share * config.points)
    clips = [head.clips_N[entry] for entry in matches.entry_R.tolist() for _ in range(frames)]
    candidates = points.draw(f"{head.name}.candidates", clips, int(config.points * config.oversampling))
    extra = points.draw(f"{head.name}.extra", clips, config.points - keep)
    maps = at_least_float32(logits_RThw.flatten(0, 1)[:, None])
    chosen: Tensor = uncertain_points(maps, candidates, extra, keep=keep)
    return torch.unflatten(chosen, 0, (-1, frames))


def _similarity(predictions: AvismPredictions, targets: Sequence[ClipTarget], matches: dict[str, Matches]) -> Ratio:
    """Matched frame queries of the last L frame heads and matched video queries of the last head, entry by entry."""
    tokens_LBTQC, last = predictions.tracker.similarity_LBTQC, len(predictions.tracker.heads) - 1
    queries_LBPC = predictions.tracker.heads[last].similarity_LBPC
    layers, clips, frames = tokens_LBTQC.shape[:3]
    by_frame = [frame for target in targets for frame in frame_targets(target)]
    found: dict[tuple[int, int], list[tuple[Tensor, Tensor]]] = {}
    for layer in range(layers):
        matching = matches[f"frame.{len(predictions.frame_heads) - layers + layer}"]
        for (entry, target), query in zip(_pairs(matching), matching.query_R.tolist(), strict=True):
            clip, frame = divmod(entry, frames)
            embedding = tokens_LBTQC[layer, clip, frame, query]
            found.setdefault((layer, clip), []).append((embedding, by_frame[entry].ids_GT[target, 0]))
    matching = matches[f"video.{last}"]
    for (entry, target), query in zip(_pairs(matching), matching.query_R.tolist(), strict=True):
        layer, clip = divmod(entry, clips)
        embedding = queries_LBPC[layer, clip, query]
        found.setdefault((layer, clip), []).append((embedding, targets[clip].ids_GT[target].amax()))
    nothing = 0.0 * (tokens_LBTQC.sum() + queries_LBPC.sum())  # keeps silent clips in the graph of every parameter
    ratios = [
        similarity_loss(torch.stack([row[0] for row in rows]), torch.stack([row[1] for row in rows]))
        for rows in found.values()
    ]
    return Ratio(
        numerator=sum((ratio.numerator for ratio in ratios), start=nothing),
        denominator=sum((ratio.denominator for ratio in ratios), start=torch.zeros_like(nothing).detach()),
    )


def _pairs(matches: Matches) -> list[tuple[int, int]]:
    return list(zip(matches.entry_R.tolist(), matches.target_R.tolist(), strict=True))

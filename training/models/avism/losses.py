"""AVISM's training objective: set losses of every frame head and every video head, and the similarity loss.

Shapes: L layers of frame queries, B clips, T frames, Q frame queries, P video queries, K classes, C channels,
    h, w cells at stride 4, N entries of a head: B * T frames (clip-major) or L * B clips (layer-major).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from avis_data.training.models.avism.config import AvismLossConfig
from avis_data.training.models.avism.frame_decoder import FrameHead
from avis_data.training.models.avism.sounding import counting_loss, map_loss, masks_while_sounding, sounding_loss
from avis_data.training.models.avism.tracker import TrackerOutput, video_masks
from avis_data.training.models.host import fetched, sent, sent_together
from avis_data.training.models.losses import Ratio, class_loss, mask_losses, similarity_loss
from avis_data.training.models.matcher import Matches, assigned, match_costs
from avis_data.training.models.points import PointSource, at_least_float32, uncertain_points
from avis_data.training.models.targets import ClipTarget, TargetRows, frame_targets, target_rows

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
    mask_NChw: Tensor
    """M, the frame-level per-pixel embedding of the B * T frames."""
    tracker: TrackerOutput
    """One head per layer of the object decoder."""
    pixels_BTChw: Tensor
    """M', the video-level per-pixel embedding."""
    sounding_maps: tuple[Tensor, ...] = ()
    """Logits of the sounding map at each scale, and of the pixels, each for B * T frames; of those that there are."""


@dataclass(frozen=True, kw_only=True)
class SetHead:
    """One head of either level as the set losses see it: N entries with a set of predictions and one of targets."""

    name: str
    """`frame.I` or `video.I`."""
    logits_NQK: Tensor
    """Class logits."""
    masks_NQThw: Tensor
    """Mask logits; T = 1 for frames. Without gradients."""
    targets: list[ClipTarget]
    """The targets of every entry."""
    rows: TargetRows
    """The same on the device."""
    clips_N: list[int]
    """The clip of the batch that every entry belongs to."""
    embed_NQC: Tensor
    """What the masks are made of, with the pixels of an entry."""
    pixels_UTChw: Tensor
    """Of U frames or clips; all heads of a level have the same. Entry n is of the one at place n modulo U."""
    sounding_NQT: Tensor | None = None
    """Logits of the sounding head, where the model has one."""


@dataclass(frozen=True, kw_only=True)
class HeadMatch:
    """How one head's predictions were assigned."""

    costs: list[Tensor]
    """(queries, targets) of every entry, on the host."""
    matches: Matches
    """The cheapest assignment."""


def avism_losses(
    predictions: AvismPredictions,
    targets: Sequence[ClipTarget],
    clips: Sequence[int],
    points: PointSource,
    config: AvismLossConfig,
) -> dict[str, Ratio]:
    """Every loss, not weighted: `frame.I.class`, `.mask`, `.dice`, `video.I....` for head I, and `similarity`; where
    the model counts, `counting`; `map.I.map` for the I-th map that is told where it sounds: scales, then pixels.

    Args:
        targets: of the B clips.
        clips: which clips of the batch they are, for `points`.
    """
    with torch.autocast(predictions.pixels_BTChw.device.type, enabled=False):
        heads, frames = set_heads(predictions, targets, clips), len(predictions.frame_heads)
        matches = {name: match.matches for name, match in match_heads(heads, points, config).items()}
        masks = _masks_of_level(heads[:frames], matches) | _masks_of_level(heads[frames:], matches)
        losses: dict[str, Ratio] = {}
        for head in heads:
            losses |= _set_losses(head, matches[head.name], masks[head.name], points, config)
        losses["similarity"] = _similarity(predictions, targets, matches)
        if predictions.tracker.counts_LBT3 is not None:
            losses["counting"] = _counting(predictions.tracker.counts_LBT3, targets)
        losses |= _map_losses(predictions.sounding_maps, targets)
        return losses


def match_heads(heads: Sequence[SetHead], points: PointSource, config: AvismLossConfig) -> dict[str, HeadMatch]:
    """The assignment of every head, by its name, with one copy to the host. No gradient."""
    costs = []
    for head in heads:
        drawn = points.draw(f"{head.name}.match", head.clips_N, config.points)
        costs.append(match_costs(head.logits_NQK, head.masks_NQThw, head.rows, drawn, config.cost))
    on_host = [
        [cost_QG[:, :count] for cost_QG, count in zip(costs_NQG, head.rows.count_N, strict=True)]
        for costs_NQG, head in zip(fetched(costs), heads, strict=True)
    ]
    found = assigned(on_host, heads[0].logits_NQK.device)
    return {
        head.name: HeadMatch(costs=[torch.from_numpy(cost) for cost in own], matches=matches)
        for head, own, matches in zip(heads, on_host, found, strict=True)
    }


def weighted(losses: dict[str, Tensor], config: AvismLossConfig) -> dict[str, Tensor]:
    """The losses times their weights; their sum is what is minimised.

    Source: the paper's equation 1, λ_frame L_frame + λ_video L_video + λ_sim L_sim.
    """
    levels = {"frame": config.frame_weight, "video": config.video_weight}
    weights = {
        "class": config.class_weight,
        "mask": config.mask_weight,
        "dice": config.dice_weight,
        "sounding": config.sounding_weight,
        "similarity": config.sim_weight,
        "counting": config.counting_weight,
        "map": config.map_weight,
    }
    return {
        name: loss * (weights[name.rsplit(".", 1)[-1]] * levels.get(name.split(".", 1)[0], 1.0))
        for name, loss in losses.items()
    }


def set_heads(predictions: AvismPredictions, targets: Sequence[ClipTarget], clips: Sequence[int]) -> list[SetHead]:
    """All heads of both levels, frame heads first."""
    device = predictions.pixels_BTChw.device
    by_frame = [frame for target in targets for frame in frame_targets(target)]
    frame_clips = [clip for clip, target in zip(clips, targets, strict=True) for _ in range(target.ids_GT.shape[1])]
    frame_rows = target_rows(by_frame, device)
    heads = [
        SetHead(
            name=f"frame.{index}",
            logits_NQK=head.logits_NQK,
            masks_NQThw=head.masks_NQhw[:, :, None],
            targets=by_frame,
            rows=frame_rows,
            clips_N=frame_clips,
            embed_NQC=head.embed_NQC,
            pixels_UTChw=predictions.mask_NChw[:, None],
        )
        for index, head in enumerate(predictions.frame_heads)
    ]
    layers = len(predictions.tracker.heads[0].logits_LBPK)
    video_rows = target_rows([*targets] * layers, device)
    for index, head in enumerate(predictions.tracker.heads):
        with torch.no_grad():
            masks = video_masks(head.mask_embed_LBPC, predictions.pixels_BTChw).flatten(0, 1)
            if head.sounding_LBPT is not None:  # a mask counts where its track is said to sound
                masks = torch.minimum(masks, head.sounding_LBPT.flatten(0, 1)[..., None, None])
        heads.append(
            SetHead(
                name=f"video.{index}",
                logits_NQK=head.logits_LBPK.flatten(0, 1),
                masks_NQThw=masks,
                targets=[*targets] * layers,
                rows=video_rows,
                clips_N=[*clips] * layers,
                embed_NQC=head.mask_embed_LBPC.flatten(0, 1),
                pixels_UTChw=predictions.pixels_BTChw,
                sounding_NQT=None if head.sounding_LBPT is None else head.sounding_LBPT.flatten(0, 1),
            )
        )
    return heads


def _masks_of_level(heads: Sequence[SetHead], matches: Mapping[str, Matches]) -> dict[str, Tensor]:
    """The masks of the matched queries of each head of a level, with gradients, (R, T, h, w).

    They are made together, so that what all heads see has one gradient, not one from each.
    """
    pixels_UTChw, found = heads[0].pixels_UTChw, [matches[head.name] for head in heads]
    embeds = [head.embed_NQC[match.entry_R, match.query_R] for head, match in zip(heads, found, strict=True)]
    seen = np.concatenate([match.pairs_R3[:, 0] for match in found]) % len(pixels_UTChw)
    order = np.argsort(seen, kind="stable")
    by_seen, back = sent_together([order, np.argsort(order)], pixels_UTChw.device)
    parts = torch.split(torch.cat(embeds)[by_seen], np.bincount(seen, minlength=len(pixels_UTChw)).tolist())
    masks = [
        torch.einsum("rc,tchw->rthw", part, pixels) for part, pixels in zip(parts, pixels_UTChw.unbind(), strict=True)
    ]
    own = torch.split(torch.cat(masks)[back], [len(embed) for embed in embeds])
    return {head.name: masks_RThw for head, masks_RThw in zip(heads, own, strict=True)}


def _set_losses(
    head: SetHead, matches: Matches, logits_RThw: Tensor, points: PointSource, config: AvismLossConfig
) -> dict[str, Ratio]:
    first = np.array(head.rows.first_N, dtype=np.int64)
    (row_R,) = sent_together([first[matches.pairs_R3[:, 0]] + matches.pairs_R3[:, 2]], logits_RThw.device)
    sounding: dict[str, Ratio] = {}
    if head.sounding_NQT is not None:
        sounds_RT = head.rows.masks_RTHW.flatten(2).any(2)[row_R]
        said_RT = head.sounding_NQT[matches.entry_R, matches.query_R]
        sounding[f"{head.name}.sounding"] = sounding_loss(said_RT, sounds_RT)
        logits_RThw = masks_while_sounding(logits_RThw, sounds_RT)
    chosen = loss_points(head, matches, logits_RThw.detach(), points, config)
    mask, dice = mask_losses(logits_RThw, head.rows.masks_RTHW[row_R], chosen, pairs=sum(head.rows.count_N))
    return {
        f"{head.name}.class": class_loss(
            head.logits_NQK, head.targets, matches, no_object_weight=config.no_object_weight
        ),
        f"{head.name}.mask": mask,
        f"{head.name}.dice": dice,
        **sounding,
    }


def loss_points(
    head: SetHead, matches: Matches, logits_RThw: Tensor, points: PointSource, config: AvismLossConfig
) -> Tensor:
    """The points of every pair and frame: most of them where the prediction is uncertain; (R, T, points, 2)."""
    frames = logits_RThw.shape[1]
    keep = int(config.uncertain_share * config.points)
    clips = [head.clips_N[entry] for entry in matches.pairs_R3[:, 0].tolist() for _ in range(frames)]
    candidates = points.draw(f"{head.name}.candidates", clips, int(config.points * config.oversampling))
    extra = points.draw(f"{head.name}.extra", clips, config.points - keep)
    maps = at_least_float32(logits_RThw.flatten(0, 1)[:, None])
    chosen: Tensor = uncertain_points(maps, candidates, extra, keep=keep)
    return torch.unflatten(chosen, 0, (-1, frames))


def _counting(counts_LBT3: Tensor, targets: Sequence[ClipTarget]) -> Ratio:
    """The counting loss of all layers, frames and clips."""
    sounding_BT = np.stack([(target.ids_GT.numpy() >= 0).sum(0) for target in targets])
    layers = len(counts_LBT3)
    (wanted,) = sent_together([np.tile(sounding_BT.reshape(-1), layers).astype(np.int64)], counts_LBT3.device)
    return counting_loss(counts_LBT3.flatten(0, 2), wanted)


def _map_losses(maps: Sequence[Tensor], targets: Sequence[ClipTarget]) -> dict[str, Ratio]:
    """The losses of all maps that are told where it sounds."""
    if not maps:
        return {}
    sounding_NHW = sent(torch.cat([target.masks_GTHW.any(0) for target in targets]), maps[0].device).float()
    return {f"map.{scale}.map": map_loss(logits_Nhw, sounding_NHW) for scale, logits_Nhw in enumerate(maps)}


def _similarity(predictions: AvismPredictions, targets: Sequence[ClipTarget], matches: dict[str, Matches]) -> Ratio:
    """Matched frame queries of the last L frame heads and matched video queries of the last head, entry by entry."""
    tokens_LBTQC, last = predictions.tracker.similarity_LBTQC, len(predictions.tracker.heads) - 1
    queries_LBPC = predictions.tracker.heads[last].similarity_LBPC
    layers, clips, frames = tokens_LBTQC.shape[:3]
    ids = [target.ids_GT.numpy() for target in targets]
    places: list[tuple[int, int, int]] = []  # of a token among all, of its track and group
    for layer in range(layers):
        first = len(predictions.frame_heads) - layers
        present = [np.flatnonzero(ids_GT[:, frame] >= 0) for ids_GT in ids for frame in range(frames)]
        for entry, query, place in matches[f"frame.{first + layer}"].pairs_R3.tolist():
            clip, frame = divmod(entry, frames)
            token = (layer * clips * frames + entry) * tokens_LBTQC.shape[3] + query
            places.append((token, ids[clip][present[entry][place], frame], layer * clips + clip))
    tokens = len(places)
    for entry, query, place in matches[f"video.{last}"].pairs_R3.tolist():
        track = ids[entry % clips][place].max()
        places.append((entry * queries_LBPC.shape[2] + query, track, entry))
    columns = np.array(places, dtype=np.int64).reshape(-1, 3)
    token_E, query_E, id_E, group_E = sent_together(
        [columns[:tokens, 0], columns[tokens:, 0], columns[:, 1], columns[:, 2]], tokens_LBTQC.device
    )
    found = (tokens_LBTQC.flatten(0, 3)[token_E], queries_LBPC.flatten(0, 2)[query_E])
    ratio = similarity_loss(torch.cat(found), id_E, group_E)
    nothing = 0.0 * (tokens_LBTQC.sum() + queries_LBPC.sum())  # keeps silent clips in the graph of every parameter
    return Ratio(numerator=ratio.numerator + nothing, denominator=ratio.denominator)

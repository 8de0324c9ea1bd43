"""How each kind of AVISM case is run with our modules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from avis_data.masks.rle import decode
from avis_data.training.models.avism.config import AvismConfig
from avis_data.training.models.avism.model import build_frame_decoder, build_pixel_decoder, build_tracker
from avis_data.training.models.avism.official_names import from_official_avism
from avis_data.training.models.avism.official_shapes import avism_config_of
from avis_data.training.models.avism.pixel_decoder import resized
from avis_data.training.models.avism.tracker import video_masks
from avis_data.training.models.avism.windows import padded_frames
from avis_data.training.models.backbones import build_backbone
from avis_data.training.models.inference import MaskCollector, MaskSizes, top_candidates, tracks_of
from avis_data.training.models.spec import PredictOptions
from avis_data.training.models.targets import clip_target, frame_targets
from support.parity_cases import Case, recorded


def loaded(case: Case, part: str, build: Callable[[AvismConfig], nn.Module]) -> nn.Module:
    """One of our modules with the official weights of a case, every one of them used."""
    renamed = from_official_avism(case.weights)
    assert not renamed.unknown and not renamed.odd_class_weights
    settings = case.settings
    base = AvismConfig(heads=settings.get("attention_heads", 4), window=settings.get("window", 6))
    module = build(avism_config_of(renamed.tensors, base))
    module.load_state_dict({name.removeprefix(part): tensor for name, tensor in renamed.tensors.items()}, strict=True)
    return module.train(case.in_training)


def run_backbone(case: Case) -> None:
    backbone = loaded(case, "backbone.", lambda config: build_backbone(config.backbone)).eval()
    for name, map_ in zip(("res2", "res3", "res4", "res5"), backbone(case.inputs["image"]), strict=True):
        case.check(name, map_)


def run_pixel_decoder(case: Case) -> None:
    maps = [case.inputs[name] for name in ("res2", "res3", "res4", "res5")]
    widths = [map_.shape[1] for map_ in maps]
    decoder: Any = loaded(case, "pixel_decoder.", lambda config: build_pixel_decoder(config, widths))
    projections = {f"intermediate.input_proj.{i}": module for i, module in enumerate(decoder.input_proj)}
    layers = {f"intermediate.encoder_layer.{i}": module for i, module in enumerate(decoder.layers)}
    seen = recorded(projections | layers)
    out = decoder(maps)
    for name in projections | layers:
        case.check_if_stored(name, seen[name])
    _, position, reference, _ = seen["intermediate.encoder_layer.0.args"]
    frames = len(maps[0])
    case.check_if_stored("intermediate.encoder_position", position.expand(frames, -1, -1))
    case.check_if_stored("intermediate.reference_points", reference[None, :, None].expand(frames, -1, 3, -1))
    case.check("mask_features", decoder.mask_embedding(out.fpn_NChw))
    case.check("fpn_features", out.fpn_NChw)
    for index, scale in enumerate(out.scales):
        case.check(f"multi_scale.{index}", scale)


def run_frame_decoder(case: Case) -> None:
    decoder: Any = loaded(case, "frame_decoder.", build_frame_decoder)
    layers = {f"intermediate.layer_out.{i}": module for i, module in enumerate(decoder.layers)}
    fusion = {} if decoder.fusion is None else {"intermediate.fusion_out": decoder.fusion}
    levels = {f"intermediate.fusion_level.{i}": m for i, m in enumerate(decoder.fusion.scales if fusion else ())}
    seen = recorded(layers | levels | fusion)
    scales = [case.inputs[f"multi_scale.{index}"] for index in range(case.numbered("multi_scale"))]
    mask, audio = case.inputs["mask_features"], case.inputs.get("audio")
    in_training = case.outputs.get("frame_queries.train")
    out = decoder(scales, mask, audio, keep_layers=1 if in_training is None else len(in_training))
    for name in layers | levels | fusion:
        case.check_if_stored(name, seen[name])
    case.check_if_stored("intermediate.initial_query", seen["intermediate.layer_out.0.args"][0])
    for index, head in enumerate(out.heads):
        case.check(f"head.{index}.pred_logits", head.logits_NQK)
        case.check(f"head.{index}.pred_masks", head.masks_NQhw)
    for index in range(len(layers)):
        case.check_if_stored(f"attention_mask.{index}", ~seen[f"intermediate.layer_out.{index}.args"][4])
    case.check_if_stored("frame_queries.train", out.queries_LNQC)
    at_test = decoder(scales, [resized(mask, scale.shape[2:]) for scale in scales], audio, keep_layers=1)
    case.check_if_stored("frame_queries.eval", at_test.queries_LNQC)


def run_tracker(case: Case) -> None:
    tracker: Any = loaded(case, "tracker.", build_tracker)
    clips = case.settings.get("clips", 1)
    queries = case.inputs["frame_queries"].unflatten(1, (clips, -1))
    audio = case.inputs["audio"].reshape(clips, -1, case.inputs["audio"].shape[-1]) if "audio" in case.inputs else None
    _check_streams(case, tracker, queries, audio)
    out = tracker(queries, audio)
    for index, head in enumerate(out.heads):
        prefix = "" if index == len(out.heads) - 1 else f"aux.{index}."
        case.check(f"{prefix}pred_logits", head.logits_LBPK)
        case.check(f"{prefix}pred_mask_embed", head.mask_embed_LBPC)
        case.check(f"{prefix}pred_cq_embed", head.similarity_LBPC)
    case.check("pred_fq_embed", out.similarity_LBTQC)
    if "fpn_features" in case.inputs:
        pixels = tracker.pixel_embedding(case.inputs["fpn_features"]).unflatten(0, (clips, -1))
        case.check("mask_features", pixels)
        case.check("pred_masks", video_masks(out.heads[-1].mask_embed_LBPC, pixels))


def _check_streams(case: Case, tracker: Any, queries: Tensor, audio: Tensor | None) -> None:
    """Tokens after each encoder layer, audio after each fusion layer (ours is one token for all of a frame)."""
    frames = queries.shape[2]
    tokens = tracker.encoder_input(queries)
    assert tokens.shape[1] == padded_frames(frames, tracker.window)
    for index in range(len(tracker.encoder.attention)):
        tokens = tracker.encoder.layer(index, tokens, frames)
        case.check_if_stored(f"intermediate.encoder_layer.{index}", tokens[:, :frames])
    case.check_if_stored("intermediate.encoder_out", tokens[:, :frames])
    if audio is None:
        return
    stream = tracker.fusion.start(audio.repeat(len(queries), 1, 1), tokens.shape[1])
    repeated = (-1, -1, queries.shape[3], -1)
    for index in range(len(tracker.fusion.attention)):
        stream = tracker.fusion.layer(index, stream, tokens, frames)
        case.check_if_stored(f"intermediate.fusion_layer.{index}", stream[:, :frames, None].expand(repeated))
    case.check_if_stored("intermediate.fusion_out", stream[:, :frames, None].expand(repeated))


def run_targets(case: Case) -> None:
    classes, ids, masks = (case.inputs[name] for name in ("gt_classes", "gt_ids", "gt_masks"))
    padded = tuple(case.settings["padded_size"])
    labels = true_labels(classes, ids)
    arguments = (labels, masks.bool().transpose(0, 1))
    options = {"padded_size": padded, "num_classes": case.settings["classes"]}
    target = clip_target(*arguments, late_onset_label="no_object", **options)
    assert torch.equal(clip_target(*arguments, **options).labels_G, case.inputs["true_labels"])
    numbered = official_ids(ids)
    case.check("video.labels", target.labels_G)
    case.check("video.ids", numbered(target.ids_GT))
    case.check("video.masks", target.masks_GTHW)
    for index, frame in enumerate(frame_targets(target)):
        case.check(f"frame.{index}.labels", frame.labels_G)
        case.check(f"frame.{index}.ids", numbered(frame.ids_GT)[:, 0])
        case.check(f"frame.{index}.masks", frame.masks_GTHW[:, 0])


def true_labels(classes_TN: Tensor, ids_TN: Tensor) -> Tensor:
    """The class of each track, from the frames where it sounds (-1 if there are none)."""
    return torch.where(ids_TN >= 0, classes_TN, -1).amax(0)


def official_ids(ids_TN: Tensor) -> Callable[[Tensor], Tensor]:
    """Ours are indices of tracks, theirs annotation ids shifted to start with 0."""
    annotation_N = ids_TN.amax(0)
    first = annotation_N[annotation_N >= 0].min() if (annotation_N >= 0).any() else 0

    def numbered(ids: Tensor) -> Tensor:
        return torch.where(ids >= 0, annotation_N[ids.clamp(min=0)] - first, -1)

    return numbered


def run_inference(case: Case) -> None:
    settings, inputs = case.settings, case.inputs
    sizes = MaskSizes(
        padded=tuple(settings["padded_size"]),
        network=tuple(settings["size_before_padding"]),
        original=tuple(settings["output_size"]),
    )
    options = PredictOptions(top_k=settings["top_k"], score_threshold=settings["score_threshold"])
    _check_candidates(case, sizes)
    pixels = inputs["mask_features"].split(settings["frames_per_upsampling_step"])
    tracks = tracks_of(inputs["pred_logits"], inputs["pred_mask_embed"], pixels, sizes, options)
    case.check("result.score", torch.tensor([track.score for track in tracks]))
    case.check("result.label", torch.tensor([track.label for track in tracks]))
    case.check("result.query", torch.tensor([track.query for track in tracks]))
    masks = masks_of(tracks) if tracks else torch.zeros(case.outputs["result.mask"].shape)
    case.check_masks(
        "result.mask", masks, may_differ=case.about["measured"]["kept_pixels_with_logit_within_1e-4_of_zero"]
    )


def masks_of(tracks: list[Any]) -> Tensor:
    return torch.stack([torch.stack([torch.from_numpy(decode(rle)) for rle in track.masks]) for track in tracks])


def _check_candidates(case: Case, sizes: MaskSizes) -> None:
    """All candidates with their scores, in the order of the stored ones, which is not promised."""
    found = top_candidates(case.inputs["pred_logits"], case.settings["top_k"])
    collector = MaskCollector(case.inputs["pred_mask_embed"], sizes)
    collector.add(case.inputs["mask_features"])
    order = [found.index.index(index) for index in case.outputs["candidate.index"].tolist()]
    probability = torch.tensor([found.probability[place] for place in order])
    mask_score = torch.tensor([collector.score(found.query[place]) for place in order])
    case.check("candidate.index", torch.tensor([found.index[place] for place in order]))
    classes = torch.tensor([found.label[place] for place in order])
    assert torch.equal(classes, case.outputs["candidate.index"] % case.settings["classes"])
    case.check("candidate.class_probability", probability)
    case.check("candidate.mask_score", mask_score)
    case.check("candidate.score", probability * mask_score)

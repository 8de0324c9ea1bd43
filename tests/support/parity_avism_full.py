"""How the whole-model AVISM cases are run: from pixels to tracks, and one training step with its gradients."""

from __future__ import annotations

import re

import torch
from torch import Tensor

from avis_data.training.data.clips import TensorClip, TrainingBatch, TrainingClip
from avis_data.training.models.avism.config import AvismConfig, AvismLossConfig
from avis_data.training.models.avism.losses import match_heads, set_heads
from avis_data.training.models.avism.model import Avism
from avis_data.training.models.avism.official_names import from_official_avism
from avis_data.training.models.avism.official_shapes import avism_config_of
from avis_data.training.models.frames import padded_size
from avis_data.training.models.spec import PredictOptions
from avis_data.training.models.targets import clip_target
from support.parity_avism import masks_of, true_labels
from support.parity_avism_losses import StoredPoints, check_assignment
from support.parity_cases import Case

_LOSS_NAME = re.compile(r"loss_((?:avism|vita)_)?(ce|mask|dice)(?:_(\d+))?")


def run_full(case: Case) -> None:
    renamed = from_official_avism(case.weights)
    assert not renamed.unknown and not renamed.odd_class_weights
    settings = case.settings
    training = settings["training"]
    base = AvismConfig(window=settings["tracker"]["window"], tracked_layers=training["layers_of_frame_queries"])
    config = avism_config_of(renamed.tensors, base)
    loss = AvismLossConfig(
        points=training["points"],
        sim_weight=training["similarity_weight_in_effect"],
        late_onset_label="no_object",
        **_shares_of_points(case),
    )
    model = Avism(config, loss)
    model.load_state_dict(renamed.tensors, strict=True)
    with torch.no_grad():
        _check_stages(case, model.eval())
    _check_tracks(case, model)
    # The training pass of these cases has mask decisions a few float32 roundings away from zero; double precision takes
    # the side that the official run took in both precisions.
    _check_training(case, model.double().train())


def _shares_of_points(case: Case) -> dict[str, float]:
    """How many candidates there are for a point, and the share that is chosen for its uncertainty."""
    drawn = {
        what: {t.shape[1] for name, t in case.inputs.items() if re.fullmatch(rf"train\.points\..*\.{what}", name)}
        for what in ("match", "candidates", "extra")
    }
    (points,), (candidates,), (extra,) = drawn.values()
    return {"oversampling": candidates / points, "uncertain_share": 1 - extra / points}


def _check_stages(case: Case, model: Avism) -> None:
    frames, audio = case.inputs["inference.frames"], case.inputs.get("inference.audio")
    features = model.backbone(model.normalise(frames))
    for name, map_ in zip(("res2", "res3", "res4", "res5"), features, strict=True):
        case.check(f"inference.features.{name}", map_)
    maps = model.maps(frames)
    case.check("inference.fpn_features", maps.fpn_NChw)
    for index, scale in enumerate(maps.scales):
        case.check(f"inference.multi_scale.{index}", scale)
    mask = model.pixel_decoder.mask_embedding(maps.fpn_NChw)
    frame = model.frame_decoder(maps.scales, mask, audio, keep_layers=1)
    case.check("inference.frame.pred_logits", frame.heads[-1].logits_NQK)
    case.check("inference.frame.pred_masks", frame.heads[-1].masks_NQhw)
    case.check("inference.frame_queries", frame.queries_LNQC)
    out = model.tracker(frame.queries_LNQC[:, None], None if audio is None else audio[None])
    _check_video(case, "inference", out)


def _check_video(case: Case, mode: str, out: object) -> None:
    head = out.heads[-1]  # type: ignore[attr-defined]
    case.check(f"{mode}.video.pred_logits", head.logits_LBPK)
    case.check(f"{mode}.video.pred_mask_embed", head.mask_embed_LBPC)
    case.check(f"{mode}.video.pred_cq_embed", head.similarity_LBPC)
    case.check(f"{mode}.video.pred_fq_embed", out.similarity_LBTQC)  # type: ignore[attr-defined]


def _check_tracks(case: Case, model: Avism) -> None:
    settings = case.settings["inference"]
    clip = TensorClip(
        clip_id="case",
        frames_T3HW=case.inputs["inference.frames"],
        audio_TA=case.inputs.get("inference.audio"),
        size_hw=tuple(settings["output_size"]),
    )
    for kept, per_pass in ((36, settings["frames_per_pass"]), (0, 2)):  # in memory, and in a second streaming pass
        options = PredictOptions(
            top_k=settings["top_k"],
            score_threshold=settings["score_threshold"],
            frames_per_pass=per_pass,
            kept_frames=kept,
        )
        tracks = model.predict(clip, options)
        case.check("inference.result.score", torch.tensor([track.score for track in tracks]))
        case.check("inference.result.label", torch.tensor([track.label for track in tracks]))
        masks = masks_of(tracks) if tracks else torch.zeros(case.outputs["inference.result.mask"].shape)
        case.check_masks("inference.result.mask", masks, may_differ=masks.numel() / 10_000)


def _check_training(case: Case, model: Avism) -> None:
    classes, ids = case.inputs["train.gt_classes"], case.inputs["train.gt_ids"]
    audio = case.inputs.get("train.audio")
    clip = TrainingClip(
        clip_id="case",
        frames_T3HW=case.inputs["train.frames"],
        audio_TA=None if audio is None else audio.double(),
        labels_N=true_labels(classes, ids),
        masks_NTHW=case.inputs["train.gt_masks"].bool().transpose(0, 1),
        track_ids_N=torch.arange(case.inputs["train.gt_masks"].shape[1]),
        seed=0,
    )
    points = StoredPoints(case.inputs, "train.points.")
    with torch.no_grad():
        _check_predictions(case, model, clip, points)
    losses = model(TrainingBatch(clips=(clip,)), points)
    for name in case.outputs:
        if name.startswith("train.weighted_loss."):
            case.check(name, losses[_our_loss(name.rsplit(".", 1)[1], model.config)])
    total = torch.stack(list(losses.values())).sum()
    case.check("train.total", total)
    total.backward()
    _check_gradients(case, model)


def _check_predictions(case: Case, model: Avism, clip: TrainingClip, points: StoredPoints) -> None:
    audio = None if clip.audio_TA is None else clip.audio_TA[None]
    predictions = model.predictions(clip.frames_T3HW[None], audio)
    case.check("train.frame.pred_logits", predictions.frame_heads[-1].logits_NQK)
    case.check("train.frame.pred_masks", predictions.frame_heads[-1].masks_NQhw)
    _check_video(case, "train", predictions.tracker)
    target = clip_target(
        clip.labels_N,
        clip.masks_NTHW,
        padded_size=padded_size((clip.frames_T3HW.shape[2], clip.frames_T3HW.shape[3])),
        num_classes=model.config.num_classes,
        late_onset_label="no_object",
    )
    heads = set_heads(predictions, [target], [0])
    for head, match in zip(heads, match_heads(heads, points, model.loss_config).values(), strict=True):
        check_assignment(case, head, match, "train.")


def _our_loss(official: str, config: AvismConfig) -> str:
    if official == "loss_clip_sim":
        return "similarity"
    match = _LOSS_NAME.fullmatch(official)
    assert match, official
    level = "video" if match[1] else "frame"
    last = config.decoder_layers - 1 if match[1] else config.frame_layers
    return f"{level}.{match[3] or last}.{'class' if match[2] == 'ce' else match[2]}"


def _check_gradients(case: Case, model: Avism) -> None:
    """The norm of every parameter's gradient; those below 1e-4 of the largest are rounding noise."""
    stored: dict[str, float] = case.about["gradient_norms"]
    parameters = dict(model.named_parameters())
    floor = 1e-4 * max(stored.values())
    ours_seen = set()
    for name, norm in stored.items():
        names = from_official_avism({name: case.weights[name]}).tensors
        ours_seen |= set(names)
        gradients: list[Tensor] = []
        for ours in names:
            gradient = parameters[ours].grad
            assert gradient is not None, f"{ours} has no gradient"
            gradients.append(gradient.flatten())
        if norm > floor:
            found = float(torch.cat(gradients).norm())
            assert abs(found - norm) <= 1e-3 * norm, f"gradient of {name}: norm {found:.6g}, stored {norm:.6g}"
    assert ours_seen == set(parameters), "the official model has other trainable parameters"

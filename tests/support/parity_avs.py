"""How each kind of AVS-BG and AVSBench case is run with our modules."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from avis_data.training.models.avs_bg.config import AvsBgConfig
from avis_data.training.models.avs_bg.decoder import MaskDecoder
from avis_data.training.models.avs_bg.frames import ClipFrames
from avis_data.training.models.avs_bg.fusion import AudioVisualGate, Tpavi
from avis_data.training.models.avs_bg.head import AvsHead, AvsMaps, MotionGate, SoundGenerator
from avis_data.training.models.avs_bg.losses import (
    class_mask_loss,
    generation_loss,
    heard_distance,
    mask_entropy,
    mask_entropy_and_iou,
    seen_vectors,
)
from avis_data.training.models.avs_bg.official_names import from_official_avs
from avis_data.training.models.backbone_weights import backbone_of
from avis_data.training.models.backbones import PvtSpec, ResNetSpec, build_backbone
from support.parity_cases import Case, recorded

STAGES = range(4)


def load(module: nn.Module, case: Case, *, official: str = "", ours: str = "") -> None:
    """Give a module the official weights of a case, every one of them used.

    Args:
        official: what a whole checkpoint has before their names.
        ours: what a whole model of ours has before them.
    """
    renamed = from_official_avs({official + name: tensor for name, tensor in case.local_weights.items()})
    assert not renamed.unknown
    module.load_state_dict({name.removeprefix(ours): tensor for name, tensor in renamed.tensors.items()}, strict=True)
    module.eval()


def by_time(x_NCX: Tensor, frames: int) -> Tensor:
    """Frames of all clips as (clips, C, frames, ...)."""
    return x_NCX.unflatten(0, (-1, frames)).transpose(1, 2)


def frames_of(case: Case) -> int:
    """Frames of a clip."""
    frames: int = case.settings.get("frames_per_clip") or case.settings["frames"]
    return frames


def clips_of(case: Case) -> ClipFrames:
    return ClipFrames((frames_of(case),) * case.settings["clips"])


def labelled(case: Case, masks: Tensor) -> slice:
    """The frames that have a mask: all (MS3), or the first one of each clip (S4)."""
    return slice(None, None, 1 if len(masks) == frames_of(case) * case.settings["clips"] else frames_of(case))


def run_encoder(case: Case) -> None:
    """A PVT, whose heads no tensor tells, or a ResNet that learns its batch norms."""
    renamed = from_official_avs({f"encoder.{name}": tensor for name, tensor in case.local_weights.items()})
    assert not renamed.unknown
    spec = backbone_of(
        {f"backbone.{name.removeprefix('backbone.')}": t for name, t in renamed.tensors.items()}, PvtSpec()
    )
    if isinstance(spec, ResNetSpec):
        spec = replace(spec, frozen_norms=False)
    elif isinstance(spec, PvtSpec):
        heads, reductions = case.settings["heads"], case.settings["spatial_reduction"]
        spec = replace(spec, heads=tuple(heads), reductions=tuple(reductions))
    backbone = build_backbone(spec).eval()
    own = {name.removeprefix("backbone."): tensor for name, tensor in renamed.tensors.items()}
    backbone.load_state_dict(own, strict=True)
    for number, map_ in enumerate(backbone(case.inputs["image"]), start=1):
        case.check(f"stage.{number}", map_)


def run_fusion(case: Case) -> None:
    gates = nn.ModuleList(AudioVisualGate(case.settings["channels"]) for _ in range(case.numbered("visual")))
    load(gates, case, official="fusion_modules.", ours="head.fusion.")
    for number, gate in enumerate(gates):
        seen = recorded({"conv3": gate.conv3})
        fused, sound = gate(case.inputs[f"visual.{number}"], case.inputs["audio"], clips_of(case))
        case.check(f"gate_logit.{number}", seen["conv3"])
        case.check(f"fused.{number}", fused)
        case.check(f"audio.{number}", by_time(sound, frames_of(case)))


def run_motion(case: Case) -> None:
    gates = nn.ModuleList(MotionGate() for _ in range(case.numbered("fused")))
    load(gates, case, official="corr_atten.", ours="head.motion.")
    for number, gate in enumerate(gates):
        case.check(f"moved.{number}", gate(case.inputs[f"fused.{number}"], clips_of(case)))


def run_projection(case: Case) -> None:
    generator = SoundGenerator(case.settings["channels"], case.inputs["audio"].shape[1])
    load(generator, case, ours="head.generator.")
    seen = recorded({"encoder": generator.encoder})
    mask = case.inputs["logits"] if "logits" in case.inputs else case.inputs["masks"].float()
    (moved,) = (tensor for name, tensor in case.inputs.items() if name.startswith("moved."))
    generated = generator(moved, mask)
    case.check("masked_features", seen["encoder.args"][0])
    case.check("encoded", seen["encoder"])
    case.check("generated_audio", generated)
    case.check("consistency_loss", generation_loss(generated, case.inputs["audio"]))


def run_decoder(case: Case) -> None:
    maps = len(case.local_weights["head_up_2.output_conv.4.bias"])
    decoder = MaskDecoder("bn_nearest", case.settings["channels"], tuple(case.settings["head_widths"]), maps)
    load(decoder, case, official="decoder.", ours="head.decoder.")
    seen = recorded({f"block.{number}": block for number, block in enumerate(decoder.blocks)})
    logits = decoder([case.inputs[f"moved.{number}"] for number in STAGES])
    for number in STAGES:
        case.check(f"block.{number}", seen[f"block.{number}"])
    case.check("logits", logits)


def run_losses(case: Case) -> None:
    truth, logits = case.inputs["masks"][:, 0].float(), case.inputs["logits"]
    firsts = slice(None, None, frames_of(case))
    entropy = {"ms3": mask_entropy_and_iou(logits[:, 0], truth)}
    entropy["s4"] = mask_entropy_and_iou(logits[firsts, 0], truth[firsts])
    for number in range(len(truth)):
        one = slice(number, number + 1)
        case.check(f"mask_loss_of_frame.{number}", mask_entropy_and_iou(logits[one, 0], truth[one]))
    stages = range(case.numbered("fused"))
    seen = seen_vectors([case.inputs[f"fused.{number}"] for number in stages], logits)
    heard = [case.inputs["audio"].transpose(1, 2).flatten(0, 1)] * len(seen)
    for number in stages:
        stage = heard_distance(seen[number : number + 1], heard[:1], scale_to_unit=True)
        case.check(f"kl_stage.{number}", stage.sum())
    distance = heard_distance(seen, heard, scale_to_unit=True).sum()
    case.check("kl", distance)
    for task, loss in entropy.items():
        case.check(f"{task}.mask_loss", loss)
        weighted = case.settings["kl_weight"][task.upper()] * distance
        case.check(f"{task}.total", loss + weighted + case.inputs["consistency"])


def run_tpavi(case: Case) -> None:
    s = case.settings
    width = case.inputs["audio"].shape[-1]
    bias = case.has_weight(r"align_channel\.bias")
    module = Tpavi(s["channels"], width, audio_bias=bias, frames=None, pairwise=False)
    load(module, case, official="tpavi_b1.", ours="head.fusion.0.")
    seen = recorded({"out": module.out, "out_norm": module.out_norm})
    picture = case.inputs["visual"].transpose(1, 2).flatten(0, 1)
    fused, sound = module(picture, case.inputs["audio"].flatten(0, 1), clips_of(case))
    case.check("mixed", by_time(seen["out.args"][0], s["frames"]))
    case.check("update", by_time(seen["out_norm"], s["frames"]))
    case.check("fused", by_time(fused, s["frames"]))
    case.check("audio", sound.unflatten(0, (-1, s["frames"])))


def run_tpavi_unit(case: Case) -> None:
    module = Tpavi(case.settings["channels"], None, audio_bias=True, frames=None, pairwise=False)
    load(module, case, official="fusion_modules.0.", ours="head.fusion.0.")
    fused, sound = module(case.inputs["visual"], case.inputs["audio"], clips_of(case))
    case.check("fused", fused)
    case.check("audio", by_time(sound, frames_of(case)))


def run_baseline(case: Case) -> None:
    s = case.settings
    config = AvsBgConfig(
        num_classes=s["outputs"],
        neck="dilated",
        channels=s["channels"],
        fusion="tpavi",
        audio_bias=case.has_weight(r"tpavi_b1\.align_channel\.bias"),
        fusion_frames=s["fusion_group"],
        motion=False,
        generation=False,
        decoder="preact_bilinear",
        head_channels=tuple(s["head_widths"]),
    )
    head = AvsHead(config, s["encoder_channels"])
    load(head, case, ours="head.")
    parts = {"block": head.decoder.blocks, "fusion": head.fusion}
    seen = recorded({f"{part}.{number}": module for part, row in parts.items() for number, module in enumerate(row)})
    exists = case.inputs.get("frame_exists")
    maps = head([case.inputs[f"features.{number}"] for number in STAGES], case.inputs["audio"], clips_of(case), exists)
    for number in STAGES:
        case.check(f"block.{number}", seen[f"block.{number}"])
        case.check(f"fused.{number}", seen[f"fusion.{number}"][0])
        case.check(f"audio.{number}", maps.heard[number].unflatten(0, (-1, s["fusion_group"])))
        assert head.compared(maps)[number].min() == 0
    case.check("logits", maps.logits_NKHW)


def run_baseline_losses(case: Case) -> None:
    stages = range(case.numbered("fused"))
    maps = [case.inputs[f"fused.{number}"] for number in stages]
    heard = [case.inputs[f"audio.{number}"].flatten(0, 1) for number in stages]
    logits, truth = case.inputs["logits"], case.inputs["masks"][:, 0].float()
    firsts = slice(None, None, frames_of(case))
    entropy = mask_entropy(logits[:, 0], truth)
    seen = seen_vectors(maps, logits)
    distance = heard_distance(seen, heard, scale_to_unit=False).sum()
    case.check("s4.bce", mask_entropy(logits[firsts, 0], truth[firsts]))
    case.check("ms3.bce", entropy)
    case.check("ms3.kl_as_in_the_training_script", distance)
    case.check("ms3.kl_unit_length", heard_distance(seen, heard, scale_to_unit=True).sum())
    case.check("ms3.total", entropy + case.settings["kl_weight"] * distance)
    if "class_logits" in case.inputs:
        _check_class_losses(case, maps, heard)


def _check_class_losses(case: Case, maps: list[Tensor], heard: list[Tensor]) -> None:
    counts = case.inputs["label_counts"] > 0
    classes = class_mask_loss(case.inputs["class_logits"][counts], case.inputs["class_labels"][counts])
    seen = seen_vectors(maps, case.inputs["class_logits"])
    distance = heard_distance(seen, heard, scale_to_unit=False)[counts].mean()
    case.check("avss.ce", classes)
    case.check("avss.kl", distance)
    case.check("avss.total", classes + case.settings["kl_weight"] * distance)


def run_avs_bg(case: Case) -> None:
    s, truth = case.settings, case.inputs["masks"].float()
    config = AvsBgConfig(
        channels=s["channels"],
        fusion="tpavi_unit" if case.has_weight(r"fusion_modules\.0\.theta") else "av_corr",
        motion=case.has_weight(r"corr_atten\."),
        generation=case.has_weight(r"maksed_visual_to_audio\."),
    )
    head = AvsHead(config, s["encoder_channels"])
    load(head, case, ours="head.")
    features = [case.inputs[f"features.{number}"] for number in STAGES]
    with torch.no_grad():
        maps = head(features, case.inputs["audio"], clips_of(case))
    _check_evaluation(case, maps)
    head.train()
    maps = head(features, case.inputs["audio"], clips_of(case))
    mask = mask_entropy_and_iou(maps.logits_NKHW[labelled(case, truth), 0], truth[:, 0])
    heard = heard_distance(seen_vectors(maps.fused, maps.logits_NKHW), maps.heard, scale_to_unit=True).sum()
    total = mask + s["kl_weight"] * heard
    if head.generator is not None:
        generated = head.generator(maps.moved[3], truth if s["task"] == "MS3" else maps.logits_NKHW)
        consistency = generation_loss(generated, case.inputs["audio"])
        case.check("train.consistency", consistency)
        total = total + s["consistency_weight"] * consistency
    case.check("train.mask_loss", mask)
    case.check("train.kl", heard)
    case.check("train.total", total)
    case.check("train.logits", every_nth(case, maps.logits_NKHW))
    total.backward()
    _check_gradients(case, head)


def every_nth(case: Case, logits_NKHW: Tensor) -> Tensor:
    """The cells of which a case keeps the logits."""
    kept = slice(None, None, case.settings["logits_stored_every_nth_position"])
    return logits_NKHW[..., kept, kept]


def _check_evaluation(case: Case, maps: AvsMaps) -> None:
    for number, step in enumerate(case.settings["stored_every_nth_position"]):
        kept = slice(None, None, step)
        case.check(f"eval.neck.{number}", maps.neck[number][..., kept, kept])
        case.check(f"eval.fused.{number}", maps.fused[number][..., kept, kept])
        case.check_if_stored(f"eval.moved.{number}", maps.moved[number][..., kept, kept])
    case.check("eval.audio", by_time(maps.heard[0], frames_of(case)))
    case.check("eval.logits", every_nth(case, maps.logits_NKHW))


def _check_gradients(case: Case, head: nn.Module) -> None:
    parameters = dict(head.named_parameters())
    largest = max(case.about["gradient_norms"].values())
    for official, norm in case.about["gradient_norms"].items():
        (ours,) = from_official_avs({official: torch.zeros(1)}).tensors
        found: Any = parameters.pop(ours.removeprefix("head."))
        if norm > 1e-4 * largest:
            assert abs(float(found.grad.norm()) - norm) <= 1e-3 * norm, official
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in parameters.values())

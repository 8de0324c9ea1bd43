"""How each kind of AVS-BG and AVSBench case is run with our modules."""

from __future__ import annotations

from collections.abc import Callable
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
from avis_data.training.models.backbone_weights import official_pvt_tensors
from avis_data.training.models.backbones import PvtSpec, build_backbone
from support.parity_cases import Case, recorded

STAGES = range(4)


def avs_kind_of(case: Case) -> Callable[[Case], None] | None:
    """The runner of a case; None if it is of another model."""
    return {
        "avs_bg_fusion": run_fusion,
        "avs_bg_motion": run_motion,
        "avs_bg_projection_s4": run_projection,
        "avs_bg_projection_ms3": run_projection,
        "avs_bg_decoder": run_decoder,
        "avs_bg_losses": run_losses,
        "avs_bg_full": run_avs_bg,
        "avs_bg_backbone_pvt": run_pvt,
        "tpavi": run_tpavi,
        "tpavi_avss": run_tpavi,
        "tpavi_bg_variant": run_tpavi_unit,
        "tpavi_full": run_baseline,
        "tpavi_avss_full": run_baseline,
        "tpavi_losses": run_baseline_losses,
    }.get(case.about["name"])


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


def clips_of(case: Case) -> ClipFrames:
    frames = case.settings.get("frames_per_clip") or case.settings["frames"]
    return ClipFrames((frames,) * case.settings["clips"])


def run_pvt(case: Case) -> None:
    s = case.settings
    spec = PvtSpec(
        channels=tuple(s["embed_dims"]),
        depths=tuple(s["depths"]),
        heads=tuple(s["heads"]),
        reductions=tuple(s["spatial_reduction"]),
    )
    backbone = build_backbone(spec).eval()
    ours: dict[str, Tensor] = {}
    for name, tensor in case.local_weights.items():
        ours |= official_pvt_tensors(name, tensor)
    backbone.body.load_state_dict(ours, strict=True)
    for number, map_ in enumerate(backbone(case.inputs["image"]), start=1):
        case.check(f"stage.{number}", map_)


def run_fusion(case: Case) -> None:
    gates = nn.ModuleList(AudioVisualGate(case.settings["channels"]) for _ in range(2))
    load(gates, case, official="fusion_modules.", ours="head.fusion.")
    frames = case.settings["frames_per_clip"]
    for number, gate in enumerate(gates):
        seen = recorded({"conv3": gate.conv3})
        fused, sound = gate(case.inputs[f"visual.{number}"], case.inputs["audio"], clips_of(case))
        case.check(f"gate_logit.{number}", seen["conv3"])
        case.check(f"fused.{number}", fused)
        case.check(f"audio.{number}", by_time(sound, frames))


def run_motion(case: Case) -> None:
    gates = nn.ModuleList(MotionGate() for _ in STAGES)
    load(gates, case, official="corr_atten.", ours="head.motion.")
    for number, gate in enumerate(gates):
        case.check(f"moved.{number}", gate(case.inputs[f"fused.{number}"], clips_of(case)))


def run_projection(case: Case) -> None:
    generator = SoundGenerator(case.settings["channels"], 128)
    load(generator, case, ours="head.generator.")
    seen = recorded({"encoder": generator.encoder})
    mask = case.inputs["logits"] if "logits" in case.inputs else case.inputs["masks"].float()
    generated = generator(case.inputs["moved.3"], mask)
    case.check("masked_features", seen["encoder.args"][0])
    case.check("encoded", seen["encoder"])
    case.check("generated_audio", generated)
    case.check("consistency_loss", generation_loss(generated, case.inputs["audio"]))


def run_decoder(case: Case) -> None:
    decoder = MaskDecoder("bn_nearest", case.settings["channels"], tuple(case.settings["head_widths"]), 1)
    load(decoder, case, official="decoder.", ours="head.decoder.")
    seen = recorded({f"block.{number}": block for number, block in enumerate(decoder.blocks)})
    logits = decoder([case.inputs[f"moved.{number}"] for number in STAGES])
    for number in STAGES:
        case.check(f"block.{number}", seen[f"block.{number}"])
    case.check("logits", logits)


def run_losses(case: Case) -> None:
    truth, logits = case.inputs["masks"][:, 0].float(), case.inputs["logits"]
    case.check("ms3.mask_loss", mask_entropy_and_iou(logits[:, 0], truth))
    firsts = slice(None, None, case.settings["frames_per_clip"])
    case.check("s4.mask_loss", mask_entropy_and_iou(logits[firsts, 0], truth[firsts]))
    for number in range(len(truth)):
        one = slice(number, number + 1)
        case.check(f"mask_loss_of_frame.{number}", mask_entropy_and_iou(logits[one, 0], truth[one]))
    seen = seen_vectors([case.inputs[f"fused.{number}"] for number in STAGES], logits)
    heard = [case.inputs["audio"].transpose(1, 2).flatten(0, 1)] * len(STAGES)
    for number in STAGES:
        stage = heard_distance(seen[number : number + 1], heard[:1], scale_to_unit=True)
        case.check(f"kl_stage.{number}", stage.sum())
    distance = heard_distance(seen, heard, scale_to_unit=True).sum()
    case.check("kl", distance)
    given = case.inputs["consistency"]
    case.check("ms3.total", mask_entropy_and_iou(logits[:, 0], truth) + 0.5 * distance + given)
    case.check("s4.total", mask_entropy_and_iou(logits[firsts, 0], truth[firsts]) + given)


def run_tpavi(case: Case) -> None:
    s = case.settings
    module = Tpavi(s["channels"], s["audio_dim"], audio_bias=s["audio_bias"], frames=5, pairwise=False)
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
    case.check("audio", by_time(sound, case.settings["frames_per_clip"]))


def run_baseline(case: Case) -> None:
    s = case.settings
    config = AvsBgConfig(
        num_classes=s["outputs"],
        neck="dilated",
        channels=s["channels"],
        fusion="tpavi",
        audio_bias=s["outputs"] == 1,
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
    maps = [case.inputs[f"fused.{number}"] for number in STAGES]
    heard = [case.inputs[f"audio.{number}"].flatten(0, 1) for number in STAGES]
    logits, truth = case.inputs["logits"], case.inputs["masks"][:, 0].float()
    entropy = mask_entropy(logits[:, 0], truth)
    seen = seen_vectors(maps, logits)
    distance = heard_distance(seen, heard, scale_to_unit=False).sum()
    case.check("s4.bce", mask_entropy(logits[:1, 0], truth[:1]))
    case.check("ms3.bce", entropy)
    case.check("ms3.kl_as_in_the_training_script", distance)
    case.check("ms3.kl_unit_length", heard_distance(seen, heard, scale_to_unit=True).sum())
    case.check("ms3.total", entropy + case.settings["kl_weight"] * distance)
    counts = case.inputs["label_counts"] > 0
    classes = class_mask_loss(case.inputs["class_logits"][counts], case.inputs["class_labels"][counts])
    seen = seen_vectors(maps, case.inputs["class_logits"])
    distance = heard_distance(seen, heard, scale_to_unit=False)[counts].mean()
    case.check("avss.ce", classes)
    case.check("avss.kl", distance)
    case.check("avss.total", classes + case.settings["kl_weight"] * distance)


def run_avs_bg(case: Case) -> None:
    head = AvsHead(AvsBgConfig(), case.settings["encoder_channels"])
    load(head, case, ours="head.")
    features = [case.inputs[f"features.{number}"] for number in STAGES]
    with torch.no_grad():
        maps = head(features, case.inputs["audio"], clips_of(case))
    _check_evaluation(case, maps)
    head.train()
    maps = head(features, case.inputs["audio"], clips_of(case))
    assert head.generator is not None
    generated = head.generator(maps.moved[3], maps.logits_NKHW)
    mask = mask_entropy_and_iou(maps.logits_NKHW[:1, 0], case.inputs["masks"][:, 0].float())
    consistency = generation_loss(generated, case.inputs["audio"])
    heard = heard_distance(seen_vectors(maps.fused, maps.logits_NKHW), maps.heard, scale_to_unit=True).sum()
    case.check("train.mask_loss", mask)
    case.check("train.kl", heard)
    case.check("train.consistency", consistency)
    case.check("train.total", mask + consistency)
    case.check("train.logits", maps.logits_NKHW[..., ::4, ::4])
    (mask + consistency).backward()
    _check_gradients(case, head)


def _check_evaluation(case: Case, maps: AvsMaps) -> None:
    for number, step in enumerate(case.settings["stored_every_nth_position"]):
        kept = slice(None, None, step)
        case.check(f"eval.neck.{number}", maps.neck[number][..., kept, kept])
        case.check(f"eval.fused.{number}", maps.fused[number][..., kept, kept])
        case.check(f"eval.moved.{number}", maps.moved[number][..., kept, kept])
    case.check("eval.audio", by_time(maps.heard[0], 5))
    case.check("eval.logits", maps.logits_NKHW[..., ::4, ::4])


def _check_gradients(case: Case, head: nn.Module) -> None:
    parameters = dict(head.named_parameters())
    largest = max(case.about["gradient_norms"].values())
    for official, norm in case.about["gradient_norms"].items():
        (ours,) = from_official_avs({official: torch.zeros(1)}).tensors
        found: Any = parameters.pop(ours.removeprefix("head."))
        if norm > 1e-4 * largest:
            assert abs(float(found.grad.norm()) - norm) <= 1e-3 * norm, official
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in parameters.values())

"""Names of official AVS-BG and AVSBench checkpoints, and ours.

Source: specs/avs_bg.md, section 3; every rule is checked against lists of names and shapes of full-size models.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from torch import Tensor

from avis_data.training.models.backbone_weights import from_published_backbone, official_pvt_tensors
from avis_data.training.models.renaming import Renamed, renamed, rules

__all__ = ["from_official_avs", "is_official_avs"]

_ENCODER = re.compile(r"(?:encoder|encoder_backbone|resnet)\.(.+)")
_SECOND_BRANCH = re.compile(r"resnet\.layer[34]_2\..*")
"""A part of the baseline's ResNet on which no result depends."""
_FIRST_BRANCH = re.compile(r"(layer[34])_1\.")
_MARKS = ("fusion_modules.", "tpavi_b", "neck.conv_list.", "mask_encoder.", "path4.")
_COUNTER, _STAND_IN = "num_batches_tracked", "running_mean"


def _unit_rules(block: int, prefix: str, suffix: str) -> Iterator[tuple[str, str]]:
    for unit, ours in ((1, "lateral"), (2, "refine")):
        for conv, place in ((1, "first"), (2, "second")):
            foreign = rf"{prefix}\.resConfUnit{unit}\.{suffix}{conv}\.(.+)"
            yield foreign, rf"head.decoder.blocks.{block}.{ours}.{place}.\1"


def _fusion_rules(stage: int, prefix: str) -> Iterator[tuple[str, str]]:
    ours = f"head.fusion.{stage}"
    yield rf"{prefix}\.conv([123])\.conv\.weight", rf"{ours}.conv\1.weight"
    yield rf"{prefix}\.(g|theta|phi)\.(\w+)", rf"{ours}.\1.\2"
    yield rf"{prefix}\.W_z\.0\.(\w+)", rf"{ours}.out.\1"
    yield rf"{prefix}\.W_z\.1\.(\w+)", rf"{ours}.out_norm.\1"
    yield rf"{prefix}\.norm_layer\.(\w+)", rf"{ours}.norm.\1"
    yield rf"{prefix}\.align_channel\.(\w+)", rf"{ours}.align.\1"


def _head_rules(prefix: str) -> Iterator[tuple[str, str]]:
    for number, ours in ((0, "enter"), (2, "narrow"), (4, "masks")):
        yield rf"{prefix}output_conv\.{number}\.(\w+)", rf"head.decoder.{ours}.\1"


_AVS_BG = rules(
    (r"neck\.conv_list\.(\d)\.reduce\.(\d)\.(.+)", r"head.neck.\1.\2.\3"),
    *(rule for stage in range(4) for rule in _fusion_rules(stage, rf"fusion_modules\.{stage}")),
    (r"corr_atten\.(\d)\.(\w+)", r"head.motion.\1.scale.\2"),
    *(
        rule
        for block in range(4)
        for rule in _unit_rules(block, rf"decoder\.short_connect_with_decode_module\.{block}", "ConvBNReLU")
    ),
    *_head_rules(r"decoder\.head_up_2\."),
    (r"mask_encoder\.(\d)\.conv\.weight", r"head.generator.encoder.\1.weight"),
    (r"maksed_visual_to_audio\.(\w+)", r"head.generator.cells.\1"),
    (r"audio_neck\.(\w+)", r"head.unused_audio.\1"),
)
_AVSBENCH = rules(
    *((rf"conv{stage + 1}\.conv2d_list\.(\d)\.(\w+)", rf"head.neck.{stage}.branches.\1.\2") for stage in range(4)),
    *(rule for stage in range(4) for rule in _fusion_rules(stage, f"tpavi_b{stage + 1}")),
    *(rule for block in range(4) for rule in _unit_rules(block, f"path{4 - block}", "conv")),
    *_head_rules(""),
)


def is_official_avs(names: Mapping[str, Tensor]) -> bool:
    """Whether tensors are named as in the published AVS-BG or AVSBench checkpoints."""
    return any(name.startswith(_MARKS) for name in names)


def from_official_avs(tensors: Mapping[str, Tensor]) -> Renamed:
    """The tensors of an official checkpoint, or of a part of one, under our names.

    What no result depends on is left out: the baseline's second ResNet branch.
    """
    is_pvt = any(name.partition(".")[2].startswith("patch_embed") for name in tensors)
    found: dict[str, Tensor] = {}
    unknown = []
    for name, tensor in tensors.items():
        if _SECOND_BRANCH.fullmatch(name):
            continue
        if match := _ENCODER.fullmatch(name):
            local = _FIRST_BRANCH.sub(r"\1.", match[1])
            ours = official_pvt_tensors(local, tensor) if is_pvt else _resnet(local, tensor)
            ours = {f"backbone.body.{place}": value for place, value in ours.items()}
        else:
            place = renamed(name, _AVS_BG) or renamed(name, _AVSBENCH)
            ours = {place: _flat(place, tensor)} if place else {}
        found |= ours
        unknown.extend([] if ours else [name])
    return Renamed(tensors=found, unknown=tuple(unknown), odd_class_weights=())


def _resnet(name: str, tensor: Tensor) -> dict[str, Tensor]:
    """Here, where batch norms learn, they also count their batches, which published backbones need not say."""
    known = from_published_backbone({name.replace(_COUNTER, _STAND_IN): tensor}).tensors
    return {ours.replace(_STAND_IN, _COUNTER) if _COUNTER in name else ours: value for ours, value in known.items()}


def _flat(name: str, tensor: Tensor) -> Tensor:
    """1 x 1 x 1 convolutions of the published fusion are 1 x 1 ones here, and of the sound linear layers."""
    if tensor.ndim != 5:
        return tensor
    return tensor[:, :, 0, 0, 0] if name.endswith(".phi.weight") else tensor[..., 0]

"""The configuration that an official AVS-BG or AVSBench checkpoint was made with, read from names and shapes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor

from avis_data.errors import DataError
from avis_data.training.models.avs_bg.config import AvsBgConfig, FusionKind
from avis_data.training.models.backbone_weights import backbone_of
from avis_data.training.models.backbones import PvtSpec, ResNetSpec

__all__ = ["avs_config_of"]

_AVSS_FRAMES = 5
"""The frames that the published fusion of semantic models mixes; no tensor tells it."""


def avs_config_of(tensors: Mapping[str, Tensor]) -> tuple[str, AvsBgConfig]:
    """The shipped config and the architecture of a checkpoint under our names (`from_official_avs`).

    Whether it was trained on S4 or MS3 no tensor tells, and no prediction depends on it.

    Raises:
        DataError: if it holds no decoder, or only a part of an encoder.
    """
    try:
        masks, narrow, wide = (tensors[f"head.decoder.{name}.weight"] for name in ("masks", "narrow", "enter"))
    except KeyError as error:
        raise DataError(f"the checkpoint holds no whole decoder: {error.args[0]} is missing") from None
    backbone = backbone_of(tensors, PvtSpec())
    is_resnet = isinstance(backbone, ResNetSpec)
    if isinstance(backbone, ResNetSpec):
        backbone = replace(backbone, frozen_norms=False)
    config = AvsBgConfig(
        num_classes=masks.shape[0],
        backbone=backbone,
        neck="dilated" if _any(tensors, "head.neck.0.branches.") else "conv3",
        channels=wide.shape[1],
        fusion=_fusion(tensors),
        audio_bias="head.fusion.0.align.weight" not in tensors or "head.fusion.0.align.bias" in tensors,
        fusion_frames=_AVSS_FRAMES if masks.shape[0] > 1 else None,
        motion=_any(tensors, "head.motion."),
        generation=_any(tensors, "head.generator."),
        decoder="bn_nearest" if _any(tensors, "head.decoder.blocks.0.refine.first.norm.") else "preact_bilinear",
        head_channels=(wide.shape[0], narrow.shape[0]),
    )
    family = "avs_bg" if config.decoder == "bn_nearest" else "avsbench"
    kind = "avss" if config.num_classes > 1 else "s4"
    return f"{family}_{'r50' if is_resnet else 'pvt'}_{kind}", config


def _fusion(tensors: Mapping[str, Tensor]) -> FusionKind:
    if _any(tensors, "head.fusion.0.conv1."):
        return "av_corr"
    if not _any(tensors, "head.fusion.0."):
        return "none"
    return "tpavi" if _any(tensors, "head.fusion.0.align.") else "tpavi_unit"


def _any(tensors: Mapping[str, Tensor], prefix: str) -> bool:
    return any(name.startswith(prefix) for name in tensors)

"""The configuration that the tensors of a checkpoint were made with, read from their names and shapes."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor

from avis_data.errors import DataError
from avis_data.training.models.avism.config import AvismConfig
from avis_data.training.models.backbones import BackboneSpec, PvtSpec, ResNetSpec, SwinSpec

__all__ = ["avism_config_of", "backbone_of"]

_RESNET = "backbone.body.encoder.stages."
_SWIN = "backbone.body.swin.encoder.layers."
_PVT = "backbone.body.encoder.layers."
_OFFSETS_PER_HEAD = 3 * 4 * 2
"""Levels, points, and (x, y): what one head of the pixel decoder samples."""

_SIZES = (
    ("channels", "frame_decoder.norm.weight", 0),
    ("channels", "tracker.decoder.norm.weight", 0),
    ("channels", "pixel_decoder.mask_projection.weight", 0),
    ("pixel_feedforward", "pixel_decoder.layers.0.linear1.weight", 0),
    ("feedforward", "tracker.encoder.feedforward.0.linear1.weight", 0),
    ("feedforward", "frame_decoder.layers.0.feedforward.linear1.weight", 0),
    ("frame_queries", "tracker.decoder.key_position.weight", 0),
    ("frame_queries", "frame_decoder.query_features.weight", 0),
    ("video_queries", "tracker.decoder.query_features.weight", 0),
    ("audio_channels", "tracker.fusion.audio_proj.weight", 1),
    ("audio_channels", "frame_decoder.fusion.audio_proj.weight", 1),
)
_COUNTS = (
    ("pixel_layers", r"pixel_decoder\.layers\.(\d+)\..*"),
    ("frame_layers", r"frame_decoder\.layers\.(\d+)\..*"),
    ("encoder_layers", r"tracker\.encoder\.attention\.(\d+)\..*"),
    ("decoder_layers", r"tracker\.decoder\.cross\.(\d+)\..*"),
)


def avism_config_of(tensors: Mapping[str, Tensor], base: AvismConfig) -> AvismConfig:
    """The configuration of an AVISM or VITA checkpoint under our names (`from_official_avism`).

    Args:
        base: what no tensor says: the window, the number of heads where there is no pixel decoder, and every part that
            the checkpoint does not hold.
    """
    found: dict[str, Any] = {field: tensors[name].shape[axis] for field, name, axis in _SIZES if name in tensors}
    for field, pattern in _COUNTS:
        numbers = _numbers(tensors, pattern)
        if numbers:
            found[field] = numbers[-1] + 1
    for name in ("tracker.class_head.bias", "frame_decoder.class_head.bias"):
        if name in tensors:
            found["num_classes"] = len(tensors[name]) - 1
    if (offsets := "pixel_decoder.layers.0.self_attn.sampling_offsets.bias") in tensors:
        found["heads"] = len(tensors[offsets]) // _OFFSETS_PER_HEAD
    for field, part in (("frame_fusion", "frame_decoder."), ("video_fusion", "tracker.")):
        if any(name.startswith(part) for name in tensors):
            found[field] = any(name.startswith(f"{part}fusion.") for name in tensors)
    return replace(base, backbone=backbone_of(tensors, base.backbone), **found)


def backbone_of(tensors: Mapping[str, Tensor], base: BackboneSpec) -> BackboneSpec:
    """The backbone of a checkpoint under our names; `base` where it holds none. A PVT has the published heads.

    Raises:
        DataError: if it holds only a part of one.
    """
    for prefix, read in ((_SWIN, _swin), (_RESNET, _resnet), (_PVT, _pvt)):
        if any(name.startswith(prefix) for name in tensors):
            try:
                return read(tensors)
            except (KeyError, IndexError):
                raise DataError("the checkpoint holds only a part of its backbone") from None
    return base


def _resnet(tensors: Mapping[str, Tensor]) -> ResNetSpec:
    first, second, third, fourth = _depths(tensors, _RESNET, "layers")
    out = [tensors[f"{_RESNET}{stage}.layers.0.layer.2.convolution.weight"].shape[0] for stage in range(4)]
    return ResNetSpec(
        depths=(first, second, third, fourth),
        stem_channels=tensors["backbone.body.embedder.embedder.convolution.weight"].shape[0],
        channels=(out[0], out[1], out[2], out[3]),
    )


def _swin(tensors: Mapping[str, Tensor]) -> SwinSpec:
    table = "attention.relative_position_bias.relative_position_bias_table"
    shapes = [tensors[f"{_SWIN}{stage}.blocks.0.{table}"].shape for stage in range(4)]
    first, second, third, fourth = _depths(tensors, _SWIN, "blocks")
    return SwinSpec(
        embed_channels=tensors["backbone.body.swin.embeddings.patch_embeddings.projection.weight"].shape[0],
        depths=(first, second, third, fourth),
        heads=(shapes[0][1], shapes[1][1], shapes[2][1], shapes[3][1]),
        window=(math.isqrt(shapes[0][0]) + 1) // 2,
    )


def _pvt(tensors: Mapping[str, Tensor]) -> PvtSpec:
    first, second, third, fourth = _depths(tensors, _PVT, "blocks")
    out = [tensors[f"{_PVT}{stage}.patch_embedding.proj.weight"].shape[0] for stage in range(4)]
    return PvtSpec(channels=(out[0], out[1], out[2], out[3]), depths=(first, second, third, fourth))


def _depths(tensors: Mapping[str, Tensor], prefix: str, blocks: str) -> Iterator[int]:
    for stage in range(4):
        yield _numbers(tensors, rf"{re.escape(prefix)}{stage}\.{blocks}\.(\d+)\..*")[-1] + 1


def _numbers(names: Mapping[str, Tensor], pattern: str) -> list[int]:
    compiled = re.compile(pattern)
    return sorted({int(match[1]) for name in names if (match := compiled.fullmatch(name))})

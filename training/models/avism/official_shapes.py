"""The configuration that the tensors of a checkpoint were made with, read from their names and shapes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor

from avis_data.training.models.avism.config import AvismConfig
from avis_data.training.models.backbone_weights import backbone_of, numbers_in

__all__ = ["avism_config_of"]

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
        numbers = numbers_in(tensors, pattern)
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

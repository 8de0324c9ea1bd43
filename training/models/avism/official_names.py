"""The names of the published AVISM and VITA checkpoints, and ours.

Source: AVISM's specification, section 8; every rule is checked against the key lists of full-size checkpoints.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from avis_data.training.models.backbone_weights import official_resnet_name, official_swin_tensors
from avis_data.training.models.renaming import Renamed, renamed, rules

__all__ = ["from_official_avism", "is_official_avism"]

_PIXEL = "sem_seg_head.pixel_decoder."
_FRAME = "sem_seg_head.predictor."
_TRACKER = "avism_module."

_PIXEL_RULES = rules(
    (r"input_proj\.(\d)\.([01])\.(\w+)", r"input_proj.\1.\2.\3"),
    (r"transformer\.level_embed", r"level_embed"),
    (r"transformer\.encoder\.layers\.(\d+)\.(.+)", r"layers.\1.\2"),
    (r"adapter_1\.weight", r"lateral.conv.weight"),
    (r"adapter_1\.norm\.(\w+)", r"lateral.norm.\1"),
    (r"layer_1\.weight", r"output.conv.weight"),
    (r"layer_1\.norm\.(\w+)", r"output.norm.\1"),
    (r"mask_features\.(\w+)", r"mask_projection.\1"),
)
_FRAME_RULES = rules(
    (r"av_pre_proj\.(\w+)", r"fusion.audio_proj.\1"),
    (r"av_sf\.(\d)\.multihead_attn\.(.+)", r"fusion.scales.\1.attention.\2"),
    (r"av_sf\.(\d)\.norm\.(\w+)", r"fusion.scales.\1.norm.\2"),
    (r"av_post_proj\.(\w+)", r"fusion.out_proj.\1"),
    (r"transformer_cross_attention_layers\.(\d+)\.multihead_attn\.(.+)", r"layers.\1.cross.attention.\2"),
    (r"transformer_cross_attention_layers\.(\d+)\.norm\.(\w+)", r"layers.\1.cross.norm.\2"),
    (r"transformer_self_attention_layers\.(\d+)\.self_attn\.(.+)", r"layers.\1.self_attention.attention.\2"),
    (r"transformer_self_attention_layers\.(\d+)\.norm\.(\w+)", r"layers.\1.self_attention.norm.\2"),
    (r"transformer_ffn_layers\.(\d+)\.(.+)", r"layers.\1.feedforward.\2"),
    (r"(?:query_feat|static_query)\.weight", r"query_features.weight"),
    (r"query_embed\.weight", r"query_position.weight"),
    (r"level_embed\.weight", r"level_embed.weight"),
    (r"decoder_norm\.(\w+)", r"norm.\1"),
    (r"class_embed\.(\w+)", r"class_head.\1"),
    (r"mask_embed\.layers\.(\d)\.(\w+)", r"mask_head.layers.\1.\2"),
)
_TRACKER_RULES = rules(
    (r"input_proj_dec\.(\w+)", r"input_proj.\1"),
    (r"enc_self_attn\.(\d+)\.self_attn\.(.+)", r"encoder.attention.\1.attention.\2"),
    (r"enc_self_attn\.(\d+)\.norm\.(\w+)", r"encoder.attention.\1.norm.\2"),
    (r"enc_ffn\.(\d+)\.(.+)", r"encoder.feedforward.\1.\2"),
    (r"av_proj\.(\w+)", r"fusion.audio_proj.\1"),
    (r"enc_av_cross_attn\.(\d+)\.multihead_attn\.(.+)", r"fusion.attention.\1.attention.\2"),
    (r"enc_av_cross_attn\.(\d+)\.norm\.(\w+)", r"fusion.attention.\1.norm.\2"),
    (r"enc_av_ffn\.(\d+)\.(.+)", r"fusion.feedforward.\1.\2"),
    (r"fq_pos\.weight", r"decoder.key_position.weight"),
    (r"query_feat\.weight", r"decoder.query_features.weight"),
    (r"query_embed\.weight", r"decoder.query_position.weight"),
    (r"transformer_cross_attention_layers\.(\d+)\.multihead_attn\.(.+)", r"decoder.cross.\1.attention.\2"),
    (r"transformer_cross_attention_layers\.(\d+)\.norm\.(\w+)", r"decoder.cross.\1.norm.\2"),
    (r"transformer_self_attention_layers\.(\d+)\.self_attn\.(.+)", r"decoder.self_attention.\1.attention.\2"),
    (r"transformer_self_attention_layers\.(\d+)\.norm\.(\w+)", r"decoder.self_attention.\1.norm.\2"),
    (r"transformer_ffn_layers\.(\d+)\.(.+)", r"decoder.feedforward.\1.\2"),
    (r"decoder_norm\.(\w+)", r"decoder.norm.\1"),
    (r"class_embed\.(\w+)", r"class_head.\1"),
    (r"mask_embed\.layers\.(\d)\.(\w+)", r"mask_head.layers.\1.\2"),
    (r"sim_embed_frame\.(\w+)", r"token_similarity.\1"),
    (r"sim_embed_clip\.(\w+)", r"query_similarity.\1"),
    (r"(?:avism|vita)_mask_features\.(\w+)", r"mask_projection.\1"),
)
_PARTS = (
    (_PIXEL, "pixel_decoder.", _PIXEL_RULES),
    (_FRAME, "frame_decoder.", _FRAME_RULES),
    (_TRACKER, "tracker.", _TRACKER_RULES),
    ("vita_module.", "tracker.", _TRACKER_RULES),
)
_CLASS_WEIGHTS = re.compile(r"(?:avism_|vita_)?criterion\.empty_weight")
_NOT_STORED = re.compile(r"backbone\..*\.(?:relative_position_index|num_batches_tracked|attn_mask)|pixel_(?:mean|std)")
"""Buffers that follow from the configuration."""
_ACVIS_MARK = f"{_FRAME}audio_centric_query_generator."
_ACVIS_OTHERS = (f"{_FRAME}av_pre_proj.", f"{_FRAME}av_post_proj.")
"""ACVIS has these too, around other modules: they make queries of the sound, and do not mix it into pictures."""


def is_official_avism(names: Mapping[str, Tensor]) -> bool:
    """Whether tensors are named as in the published AVISM or VITA checkpoints."""
    return any(name.startswith((_PIXEL, _FRAME, _TRACKER, "vita_module.")) for name in names)


def from_official_avism(tensors: Mapping[str, Tensor]) -> Renamed:
    """The tensors of an official checkpoint under our names; Swin's joined query, key and value are taken apart.

    Args:
        tensors: all of a checkpoint or some of it, also of Mask2Former, Mask2Former-VIS or ACVIS, which hold the same
            modules and others; half-precision ones stay as they are.
    """
    left_out = _ACVIS_OTHERS if any(name.startswith(_ACVIS_MARK) for name in tensors) else ()
    found: dict[str, Tensor] = {}
    unknown, odd = [], []
    for name, tensor in tensors.items():
        if _CLASS_WEIGHTS.fullmatch(name):
            odd.extend([] if _usual_class_weights(tensor) else [name])
        elif not _NOT_STORED.fullmatch(name):
            ours = {} if name.startswith(left_out) else _by_part(name, tensor)
            found |= ours
            unknown.extend([] if ours else [name])
    return Renamed(tensors=found, unknown=tuple(unknown), odd_class_weights=tuple(odd))


def _by_part(name: str, tensor: Tensor) -> dict[str, Tensor]:
    return _backbone(name, tensor) if name.startswith("backbone.") else _by_rule(name, tensor)


def _backbone(name: str, tensor: Tensor) -> dict[str, Tensor]:
    local = name.removeprefix("backbone.")
    resnet = official_resnet_name(local)
    found = {resnet: tensor} if resnet else official_swin_tensors(local, tensor)
    return {f"backbone.body.{ours}": value for ours, value in found.items()}


def _by_rule(name: str, tensor: Tensor) -> dict[str, Tensor]:
    for prefix, ours, table in _PARTS:
        if name.startswith(prefix):
            local = renamed(name.removeprefix(prefix), table)
            return {} if local is None else {ours + local: tensor}
    return {}


def _usual_class_weights(weights: Tensor) -> bool:
    expected = torch.ones(weights.shape)
    expected[-1:] = 0.1
    return torch.allclose(weights.float(), expected, atol=1e-3)

"""The names of Mask2Former in transformers, and ours of AVISM: its pixel decoder and frame decoder begin as one."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from avis_data.training.models.renaming import Renamed, renamed, rules

__all__ = ["from_mask2former"]

_PIXEL_DECODER = r"pixel_level_module\.decoder"
_DECODER_LAYER = r"transformer_module\.decoder\.layers\.(\d+)"
_RULES = rules(
    (r"pixel_level_module\.encoder\.(.+)", r"backbone.body.\1"),
    (rf"{_PIXEL_DECODER}\.level_embed", r"pixel_decoder.level_embed"),
    (rf"{_PIXEL_DECODER}\.input_projections\.(.+)", r"pixel_decoder.input_proj.\1"),
    (rf"{_PIXEL_DECODER}\.encoder\.layers\.(\d+)\.self_attn\.(.+)", r"pixel_decoder.layers.\1.self_attn.\2"),
    (rf"{_PIXEL_DECODER}\.encoder\.layers\.(\d+)\.self_attn_layer_norm\.(.+)", r"pixel_decoder.layers.\1.norm1.\2"),
    (rf"{_PIXEL_DECODER}\.encoder\.layers\.(\d+)\.fc([12])\.(.+)", r"pixel_decoder.layers.\1.linear\2.\3"),
    (rf"{_PIXEL_DECODER}\.encoder\.layers\.(\d+)\.final_layer_norm\.(.+)", r"pixel_decoder.layers.\1.norm2.\2"),
    (rf"{_PIXEL_DECODER}\.adapter_1\.0\.weight", r"pixel_decoder.lateral.conv.weight"),
    (rf"{_PIXEL_DECODER}\.adapter_1\.1\.(.+)", r"pixel_decoder.lateral.norm.\1"),
    (rf"{_PIXEL_DECODER}\.layer_1\.0\.weight", r"pixel_decoder.output.conv.weight"),
    (rf"{_PIXEL_DECODER}\.layer_1\.1\.(.+)", r"pixel_decoder.output.norm.\1"),
    (rf"{_PIXEL_DECODER}\.mask_projection\.(.+)", r"pixel_decoder.mask_projection.\1"),
    (r"transformer_module\.queries_embedder\.weight", r"frame_decoder.query_position.weight"),
    (r"transformer_module\.queries_features\.weight", r"frame_decoder.query_features.weight"),
    (r"transformer_module\.level_embed\.weight", r"frame_decoder.level_embed.weight"),
    (rf"{_DECODER_LAYER}\.cross_attn\.(.+)", r"frame_decoder.layers.\1.cross.attention.\2"),
    (rf"{_DECODER_LAYER}\.cross_attn_layer_norm\.(.+)", r"frame_decoder.layers.\1.cross.norm.\2"),
    (rf"{_DECODER_LAYER}\.self_attn\.(out_proj\..+)", r"frame_decoder.layers.\1.self_attention.attention.\2"),
    (rf"{_DECODER_LAYER}\.self_attn\.in_proj_(.+)", r"frame_decoder.layers.\1.self_attention.attention.in_proj_\2"),
    (rf"{_DECODER_LAYER}\.self_attn_layer_norm\.(.+)", r"frame_decoder.layers.\1.self_attention.norm.\2"),
    (rf"{_DECODER_LAYER}\.fc([12])\.(.+)", r"frame_decoder.layers.\1.feedforward.linear\2.\3"),
    (rf"{_DECODER_LAYER}\.final_layer_norm\.(.+)", r"frame_decoder.layers.\1.feedforward.norm.\2"),
    (r"transformer_module\.decoder\.layernorm\.(.+)", r"frame_decoder.norm.\1"),
    (
        r"transformer_module\.decoder\.mask_predictor\.mask_embedder\.(\d)\.0\.(.+)",
        r"frame_decoder.mask_head.layers.\1.\2",
    ),
)


def from_mask2former(tensors: Mapping[str, Tensor]) -> Renamed:
    """The tensors of a `Mask2FormerModel` under our names; those that AVISM has no place for are not known."""
    found, unknown = {}, []
    for name, tensor in _joined_attention(tensors).items():
        if ours := renamed(name, _RULES):
            found[ours] = tensor
        else:
            unknown.append(name)
    return Renamed(tensors=found, unknown=tuple(unknown), odd_class_weights=())


def _joined_attention(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The decoder's separate query, key and value projections one below the other, as `in_proj_...`."""
    joined: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        before, mark, leaf = name.rpartition(".q_proj.")
        if mark and name.startswith("transformer_module."):
            parts = [tensors[f"{before}.{part}_proj.{leaf}"] for part in "qkv"]
            joined[f"{before}.in_proj_{leaf}"] = torch.cat(parts)
        else:
            joined[name] = tensor
    return joined

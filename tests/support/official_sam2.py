"""The tensors of official SAM 2 checkpoints by name and shape, as the modules of the package sam2 1.1.0 have them."""

from __future__ import annotations

import hashlib
from itertools import pairwise
from math import prod

import numpy as np
import torch
from torch import Tensor

__all__ = ["SIZES", "official_shapes", "values_of"]

SIZES = {
    "tiny": (96, 1, 2, 7, 2),
    "small": (96, 1, 2, 11, 2),
    "base_plus": (112, 2, 3, 16, 3),
    "large": (144, 2, 6, 36, 4),
}
"""Channels of the first stage, and blocks of each."""
_WINDOWS = {"base_plus": 14}
_Shapes = dict[str, tuple[int, ...]]


def official_shapes(size: str, *, is_later: bool) -> _Shapes:
    """Names and shapes of a checkpoint; `is_later`: of 2.1."""
    found = {
        **{"maskmem_tpos_enc": (7, 1, 1, 64), "no_mem_embed": (1, 1, 256), "no_mem_pos_enc": (1, 1, 256)},
        **{"no_obj_ptr": (1, 256), "mask_downsample.weight": (1, 1, 4, 4), "mask_downsample.bias": (1,)},
        **_trunk(*SIZES[size], window=_WINDOWS.get(size, 7)),
        **_memory(),
        **_prompts_and_decoder(),
        **_mlp("obj_ptr_proj", 256, 256, 256, 256),
    }
    if is_later:
        found |= {"no_obj_embed_spatial": (1, 64), **_linear("obj_ptr_tpos_proj", 64, 256)}
    return found


def values_of(shapes: _Shapes) -> dict[str, Tensor]:
    """Random values of a reasonable size that depend on nothing but the names."""
    return {name: torch.from_numpy(_value(name, shape)) for name, shape in shapes.items()}


def _value(name: str, shape: tuple[int, ...]) -> np.ndarray:
    rng = np.random.default_rng(int(hashlib.sha256(name.encode()).hexdigest()[:8], 16))
    drawn = rng.standard_normal(shape, dtype=np.float32)
    if len(shape) > 1:
        return drawn / np.float32(np.sqrt(prod(shape[1:])))
    return np.float32(0.02) * drawn if name.endswith("bias") else 1 + np.float32(0.1) * drawn


def _linear(name: str, out: int, *into: int) -> _Shapes:
    return {f"{name}.weight": (out, *into), f"{name}.bias": (out,)}


def _norm(name: str, width: int) -> _Shapes:
    return _linear(name, width)


def _mlp(name: str, *widths: int) -> _Shapes:
    layers = enumerate(pairwise(widths))
    return {key: shape for i, (into, out) in layers for key, shape in _linear(f"{name}.layers.{i}", out, into).items()}


def _trunk(channels: int, *blocks: int, window: int) -> _Shapes:
    trunk = "image_encoder.trunk"
    found: _Shapes = {
        f"{trunk}.pos_embed": (1, channels, window, window),
        f"{trunk}.pos_embed_window": (1, channels, 8, 8),
        **_linear(f"{trunk}.patch_embed.proj", channels, 3, 7, 7),
    }
    widths = [channels << stage for stage in range(4) for _ in range(blocks[stage])]
    for number, (before, width) in enumerate(zip([channels, *widths], widths, strict=False)):
        block = f"{trunk}.blocks.{number}"
        found |= _norm(f"{block}.norm1", before) | _linear(f"{block}.attn.qkv", 3 * width, before)
        found |= _linear(f"{block}.attn.proj", width, width) | _norm(f"{block}.norm2", width)
        found |= _mlp(f"{block}.mlp", width, 4 * width, width)
        found |= _linear(f"{block}.proj", width, before) if before != width else {}
    for place in range(4):
        found |= _linear(f"image_encoder.neck.convs.{place}.conv", 256, channels << (3 - place), 1, 1)
    return found


def _attention(name: str, inner: int, keys: int = 256) -> _Shapes:
    found = _linear(f"{name}.q_proj", inner, 256) | _linear(f"{name}.out_proj", 256, inner)
    return found | _linear(f"{name}.k_proj", inner, keys) | _linear(f"{name}.v_proj", inner, keys)


def _memory() -> _Shapes:
    found = _norm("memory_attention.norm", 256)
    for number in range(4):
        layer = f"memory_attention.layers.{number}"
        found |= _attention(f"{layer}.self_attn", 256) | _attention(f"{layer}.cross_attn_image", 256, 64)
        found |= _linear(f"{layer}.linear1", 2048, 256) | _linear(f"{layer}.linear2", 256, 2048)
        for norm in (1, 2, 3):
            found |= _norm(f"{layer}.norm{norm}", 256)
    encoder = "memory_encoder.mask_downsampler.encoder"
    for number, (into, out) in enumerate(((1, 4), (4, 16), (16, 64), (64, 256))):
        found |= _linear(f"{encoder}.{3 * number}", out, into, 3, 3) | _norm(f"{encoder}.{3 * number + 1}", out)
    found |= _linear(f"{encoder}.12", 256, 256, 1, 1) | _linear("memory_encoder.pix_feat_proj", 256, 256, 1, 1)
    for number in range(2):
        layer = f"memory_encoder.fuser.layers.{number}"
        found |= {f"{layer}.gamma": (256,), **_linear(f"{layer}.dwconv", 256, 1, 7, 7), **_norm(f"{layer}.norm", 256)}
        found |= _linear(f"{layer}.pwconv1", 1024, 256) | _linear(f"{layer}.pwconv2", 256, 1024)
    return found | _linear("memory_encoder.out_proj", 64, 256, 1, 1)


def _prompts_and_decoder() -> _Shapes:
    prompts, decoder = "sam_prompt_encoder", "sam_mask_decoder"
    found: _Shapes = {f"{prompts}.pe_layer.positional_encoding_gaussian_matrix": (2, 128)}
    found |= {f"{prompts}.point_embeddings.{kind}.weight": (1, 256) for kind in range(4)}
    found |= {f"{prompts}.{name}.weight": (1, 256) for name in ("not_a_point_embed", "no_mask_embed")}
    found |= _linear(f"{prompts}.mask_downscaling.0", 4, 1, 2, 2) | _norm(f"{prompts}.mask_downscaling.1", 4)
    found |= _linear(f"{prompts}.mask_downscaling.3", 16, 4, 2, 2) | _norm(f"{prompts}.mask_downscaling.4", 16)
    found |= _linear(f"{prompts}.mask_downscaling.6", 256, 16, 1, 1)
    tokens = {"iou_token": 1, "mask_tokens": 4, "obj_score_token": 1}
    found |= {f"{decoder}.{name}.weight": (count, 256) for name, count in tokens.items()}
    for number in range(2):
        layer = f"{decoder}.transformer.layers.{number}"
        found |= _attention(f"{layer}.self_attn", 256) | _mlp(f"{layer}.mlp", 256, 2048, 256)
        found |= _attention(f"{layer}.cross_attn_token_to_image", 128)
        found |= _attention(f"{layer}.cross_attn_image_to_token", 128)
        for norm in (1, 2, 3, 4):
            found |= _norm(f"{layer}.norm{norm}", 256)
    found |= _attention(f"{decoder}.transformer.final_attn_token_to_image", 128)
    found |= _norm(f"{decoder}.transformer.norm_final_attn", 256)
    found |= {f"{decoder}.output_upscaling.0.weight": (256, 64, 2, 2), f"{decoder}.output_upscaling.0.bias": (64,)}
    found |= _norm(f"{decoder}.output_upscaling.1", 64)
    found |= {f"{decoder}.output_upscaling.3.weight": (64, 32, 2, 2), f"{decoder}.output_upscaling.3.bias": (32,)}
    found |= _linear(f"{decoder}.conv_s0", 32, 256, 1, 1) | _linear(f"{decoder}.conv_s1", 64, 256, 1, 1)
    for number in range(4):
        found |= _mlp(f"{decoder}.output_hypernetworks_mlps.{number}", 256, 256, 256, 32)
    return (
        found
        | _mlp(f"{decoder}.iou_prediction_head", 256, 256, 256, 4)
        | _mlp(f"{decoder}.pred_obj_score_head", 256, 256, 256, 1)
    )

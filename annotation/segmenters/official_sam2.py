"""Official SAM 2 and 2.1 checkpoints (`sam2.1_hiera_*.pt`): what they are, and their names in transformers.

Source: the configs and modules of the package sam2 1.1.0. Its own model and ours, with the same random values, give the
same masks (tests/annotation/segmenters/test_official_sam2.py).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from avis_data.annotation.segmenters.official_sam import NAMES_OF_BOTH
from avis_data.errors import DataError
from avis_data.weights.files import read_tensors

if TYPE_CHECKING:
    from transformers import Sam2Model, Sam2VideoModel

__all__ = ["image_model", "video_model"]


@dataclass(frozen=True, slots=True)
class _Size:
    """The numbers of an image encoder that its tensors do not tell."""

    heads: int
    blocks: tuple[int, int, int, int]
    global_blocks: tuple[int, int, int]
    windows: tuple[int, int, int, int] = (8, 4, 14, 7)


_SIZES = {
    (96, 12): _Size(1, (1, 2, 7, 2), (5, 7, 9)),
    (96, 16): _Size(1, (1, 2, 11, 2), (7, 10, 13)),
    (112, 24): _Size(2, (2, 3, 16, 3), (12, 16, 20)),
    (144, 48): _Size(2, (2, 6, 36, 4), (23, 33, 43), (8, 4, 16, 8)),
}
"""By channels and blocks: tiny, small, base+ and large."""
_RENAMES = (
    (r"^image_encoder\.trunk\.", "vision_encoder.backbone."),
    (r"^image_encoder\.neck\.convs\.(\d)\.conv\.", r"vision_encoder.neck.convs.\1."),
    (r"^sam_(prompt_encoder|mask_decoder)\.", r"\1."),
    (r"^maskmem_tpos_enc$", "memory_temporal_positional_encoding"),
    (r"^no_mem_embed$", "no_memory_embedding"),
    (r"^no_mem_pos_enc$", "no_memory_positional_encoding"),
    (r"^no_obj_ptr$", "no_object_pointer"),
    (r"^no_obj_embed_spatial$", "occlusion_spatial_embedding_parameter"),
    (r"^obj_ptr_tpos_proj\.", "temporal_positional_encoding_projection_layer."),
    (r"^obj_ptr_proj\.", "object_pointer_proj."),
    (r"\.patch_embed\.proj\.", ".patch_embed.projection."),
    (r"\.pe_layer\.positional_encoding_gaussian_matrix$", ".shared_embedding.positional_embedding"),
    *NAMES_OF_BOTH,
    (r"\.mlp\.layers\.0\.", ".mlp.proj_in."),
    (r"\.mlp\.layers\.1\.", ".mlp.proj_out."),
    (r"^memory_encoder\.out_proj\.", "memory_encoder.projection."),
    (r"\.out_proj\.", ".o_proj."),
    (r"\.pix_feat_proj\.", ".feature_projection."),
    (r"\.fuser\.layers\.(\d)\.gamma$", r".memory_fuser.layers.\1.scale"),
    (r"\.fuser\.", ".memory_fuser."),
    (r"\.dwconv\.", ".depthwise_conv."),
    (r"\.pwconv(\d)\.", r".pointwise_conv\1."),
    (r"\.norm(\d?|_final_attn)\.", r".layer_norm\1."),
)
_POINTS = re.compile(r"sam_prompt_encoder\.point_embeddings\.(\d)\.weight")
_DOWNSAMPLER = re.compile(r"memory_encoder\.mask_downsampler\.encoder\.(\d+)\.(\w+)")
_LAYERS_OF_DOWNSAMPLER = 4
_VIDEO_ONLY = (
    *("memory_", "mask_downsample.", "object_pointer_proj.", "temporal_positional_encoding_projection_layer."),
    *("no_memory_positional_encoding", "no_object_pointer", "occlusion_spatial_embedding_parameter"),
)


def image_model(path: Path) -> Sam2Model:
    """SAM 2 for single pictures. Raises DataError if the file is no official SAM 2, or not a whole one."""
    from transformers import Sam2Config, Sam2Model

    tensors = _read(path)
    model = Sam2Model(Sam2Config(vision_config=_vision(tensors, path)))
    _fill(model, {name: value for name, value in _renamed(tensors).items() if not name.startswith(_VIDEO_ONLY)}, path)
    return model


def video_model(path: Path) -> Sam2VideoModel:
    """SAM 2 for videos, with its memory. Raises DataError as `image_model`."""
    from transformers import Sam2VideoConfig, Sam2VideoModel

    tensors = _read(path)
    is_later = "no_obj_embed_spatial" in tensors  # what 2.1 has more
    config = Sam2VideoConfig(
        vision_config=_vision(tensors, path),
        enable_occlusion_spatial_embedding=is_later,
        enable_temporal_pos_encoding_for_object_pointers=is_later,
    )
    model = Sam2VideoModel(config)
    _fill(model, _renamed(tensors), path)
    return model


def _read(path: Path) -> dict[str, Tensor]:
    tensors = read_tensors(path)
    if "image_encoder.trunk.pos_embed" not in tensors:
        raise DataError(
            f"{path}: no official SAM 2 checkpoint (it has no image_encoder.trunk.pos_embed)",
            hint="avis-data weights get sam2.1-tiny, or a folder in Hugging Face's format",
        )
    return tensors


def _vision(tensors: Mapping[str, Tensor], path: Path) -> dict[str, object]:
    position = tensors["image_encoder.trunk.pos_embed"]
    channels = position.shape[1]
    depth = len({name.split(".")[3] for name in tensors if name.startswith("image_encoder.trunk.blocks.")})
    size = _SIZES.get((channels, depth))
    if size is None:
        raise DataError(f"{path}: no SAM 2 that was published has {depth} blocks from {channels} channels on")
    widths = [channels << stage for stage in range(4)]
    backbone = {
        "model_type": "sam2_hiera_det_model",
        "hidden_size": channels,
        "num_attention_heads": size.heads,
        "blocks_per_stage": list(size.blocks),
        "embed_dim_per_stage": widths,
        "num_attention_heads_per_stage": [size.heads << stage for stage in range(4)],
        "window_size_per_stage": list(size.windows),
        "global_attention_blocks": list(size.global_blocks),
        "window_positional_embedding_background_size": list(position.shape[-2:]),
    }
    return {"backbone_config": backbone, "backbone_channel_list": widths[::-1]}


def _renamed(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Official names to those of transformers; the four kinds of points become one table."""
    found: dict[str, Tensor] = {}
    points: dict[int, Tensor] = {}
    for name, tensor in tensors.items():
        if match := _POINTS.fullmatch(name):
            points[int(match[1])] = tensor
        elif match := _DOWNSAMPLER.fullmatch(name):
            found[_name_in_downsampler(int(match[1]), match[2])] = tensor
        else:
            for pattern, replacement in _RENAMES:
                name = re.sub(pattern, replacement, name)
            found[name] = tensor
    if points:
        found["prompt_encoder.point_embed.weight"] = torch.cat([points[kind] for kind in sorted(points)])
    shared = found.get("prompt_encoder.shared_embedding.positional_embedding")
    if shared is not None:
        found["shared_image_embedding.positional_embedding"] = shared
    return found


def _name_in_downsampler(place: int, leaf: str) -> str:
    """The place in a sequence of convolution, norm, activation, and so on, and a convolution at its end."""
    layer, part = divmod(place, 3)
    if layer == _LAYERS_OF_DOWNSAMPLER:
        return f"memory_encoder.mask_downsampler.final_conv.{leaf}"
    return f"memory_encoder.mask_downsampler.layers.{layer}.{('conv', 'layer_norm')[part]}.{leaf}"


def _fill(model: torch.nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    try:
        wrong = model.load_state_dict(dict(tensors), strict=False)
    except RuntimeError as error:  # shapes
        raise DataError(f"{path}: no whole SAM 2 ({str(error).splitlines()[-1].strip():.200})") from None
    if wrong.missing_keys or wrong.unexpected_keys:
        shown = ", ".join([*wrong.missing_keys, *wrong.unexpected_keys][:5])
        raise DataError(f"{path}: tensors are missing or left over: {shown}")
    model.eval()

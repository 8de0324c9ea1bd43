"""Official SAM checkpoints (`sam_vit_*.pth`): what they are, and their names in transformers.

Source: specs of the environment, §4 (zero missing and zero unexpected keys, checked with random weights).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from avis_data.errors import DataError
from avis_data.weights.files import read_tensors

__all__ = ["NAMES_OF_BOTH", "VisionShape", "read_official", "renamed", "vision_shape"]

_MLP = r"(output_hypernetworks_mlps\.\d+|iou_prediction_head|pred_obj_score_head|object_pointer_proj)"
NAMES_OF_BOTH = (
    (r"\.mask_downscaling\.0\.", ".mask_embed.conv1."),
    (r"\.mask_downscaling\.1\.", ".mask_embed.layer_norm1."),
    (r"\.mask_downscaling\.3\.", ".mask_embed.conv2."),
    (r"\.mask_downscaling\.4\.", ".mask_embed.layer_norm2."),
    (r"\.mask_downscaling\.6\.", ".mask_embed.conv3."),
    (r"\.output_upscaling\.0\.", ".upscale_conv1."),
    (r"\.output_upscaling\.1\.", ".upscale_layer_norm."),
    (r"\.output_upscaling\.3\.", ".upscale_conv2."),
    (rf"{_MLP}\.layers\.0\.", r"\1.proj_in."),
    (rf"{_MLP}\.layers\.1\.", r"\1.layers.0."),
    (rf"{_MLP}\.layers\.2\.", r"\1.proj_out."),
)
"""SAM and SAM 2 share the coding of masks and the decoder; the last two kinds of heads are of SAM 2 only."""
_RENAMES = (
    (r"^image_encoder\.patch_embed\.proj", "vision_encoder.patch_embed.projection"),
    (r"^image_encoder\.blocks", "vision_encoder.layers"),
    (r"^image_encoder\.neck\.0", "vision_encoder.neck.conv1"),
    (r"^image_encoder\.neck\.1", "vision_encoder.neck.layer_norm1"),
    (r"^image_encoder\.neck\.2", "vision_encoder.neck.conv2"),
    (r"^image_encoder\.neck\.3", "vision_encoder.neck.layer_norm2"),
    (r"^image_encoder\.", "vision_encoder."),
    (r"\.norm_final_attn\.", ".layer_norm_final_attn."),
    (r"\.norm(\d)\.", r".layer_norm\1."),
    (r"^prompt_encoder\.pe_layer\.positional_encoding_gaussian_matrix", "shared_image_embedding.positional_embedding"),
    (r"\.point_embeddings\.", ".point_embed."),
    *NAMES_OF_BOTH,
)
_SHARED = ("shared_image_embedding.positional_embedding", "prompt_encoder.shared_embedding.positional_embedding")


class VisionShape:
    """The numbers of a SAM image encoder, read off its tensors."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        position, patch = tensors["image_encoder.pos_embed"], tensors["image_encoder.patch_embed.proj.weight"]
        self.width, self.cells, self.patch = position.shape[-1], position.shape[1], patch.shape[-1]
        blocks = {int(name.split(".")[2]) for name in tensors if name.startswith("image_encoder.blocks.")}
        self.layers = len(blocks)
        places = [tensors[f"image_encoder.blocks.{block}.attn.rel_pos_h"] for block in sorted(blocks)]
        self.heads = self.width // places[0].shape[-1]
        spans = [(place.shape[0] + 1) // 2 for place in places]
        self.global_layers = [block for block, span in enumerate(spans) if span == self.cells]
        self.window = min(spans)
        self.feedforward = tensors["image_encoder.blocks.0.mlp.lin1.weight"].shape[0]

    @property
    def side(self) -> int:
        """The side of the network's input, in pixels."""
        return int(self.cells * self.patch)


def read_official(path: Path) -> dict[str, Tensor]:
    """The tensors of a `.pth` file; nothing else in it is ever executed.

    Raises:
        DataError: if it is no file of tensors, or not a SAM.
    """
    tensors = read_tensors(path)
    if "image_encoder.pos_embed" not in tensors:
        raise DataError(f"{path}: no official SAM checkpoint (it has no image_encoder.pos_embed)")
    return tensors


def vision_shape(tensors: Mapping[str, Tensor], path: Path) -> VisionShape:
    """What the image encoder of a checkpoint looks like. Raises DataError if it is not all there."""
    try:
        return VisionShape(tensors)
    except (KeyError, IndexError, ValueError) as error:
        raise DataError(f"{path}: no complete SAM checkpoint ({error})") from None


def renamed(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Official names to those of transformers."""
    found = {}
    for name, tensor in tensors.items():
        if name in ("pixel_mean", "pixel_std"):
            continue
        for pattern, replacement in _RENAMES:
            name = re.sub(pattern, replacement, name)
        found[name] = tensor
    found[_SHARED[1]] = found[_SHARED[0]]
    return found

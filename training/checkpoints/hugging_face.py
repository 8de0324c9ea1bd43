"""Folders as `save_pretrained` of transformers writes them: ResNet, Swin, PVT v2 and Mask2Former, as start weights.

Nothing is downloaded, and only safetensors are read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, cast

import torch
from torch import Tensor, nn
from transformers import AutoConfig, Mask2FormerModel, PreTrainedModel, PvtV2Backbone, ResNetBackbone, SwinBackbone
from transformers.utils import logging

from avis_data.errors import DataError
from avis_data.training.models.renaming import renamed, rules

__all__ = ["from_hugging_face"]

_STAGES = ["stage1", "stage2", "stage3", "stage4"]
_BACKBONES = {"resnet": ResNetBackbone, "swin": SwinBackbone, "pvt_v2": PvtV2Backbone}

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


def from_hugging_face(folder: Path) -> dict[str, Tensor]:
    """The tensors of a ResNet, Swin, PVT v2 or Mask2Former folder under our names (`backbone.body.…` and so on).

    Class heads are left out: their classes are others. Tensors that the folder does not hold are left out too.

    Raises:
        DataError: if it is no such folder, or of another kind of model.
    """
    try:
        kind = AutoConfig.from_pretrained(folder, local_files_only=True).model_type
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{folder}: no model folder of transformers ({_first_line(error)})") from None
    if kind == "mask2former":
        return _mask2former(folder)
    if kind not in _BACKBONES:
        known = ", ".join((*_BACKBONES, "mask2former"))
        raise DataError(f"{folder}: holds a {kind} model; start weights are taken from {known}")
    tensors = _read(_BACKBONES[kind], folder, out_features=_STAGES)
    return {f"backbone.body.{name}": tensor for name, tensor in tensors.items() if not _is_unused(name)}


def _mask2former(folder: Path) -> dict[str, Tensor]:
    tensors = _joined_attention(_read(Mask2FormerModel, folder))
    named = ((renamed(name, _RULES), tensor) for name, tensor in tensors.items() if not _is_unused(name))
    return {ours: tensor for ours, tensor in named if ours is not None}


class _Published(Protocol):
    """A class of transformers whose models can be read from a folder."""

    def from_pretrained(self, folder: Path, **options: object) -> tuple[nn.Module, Mapping[str, Iterable[str]]]:
        """The model and, asked with `output_loading_info`, which of its tensors were missing."""


def _read(model: type[PreTrainedModel], folder: Path, **options: object) -> dict[str, Tensor]:
    try:
        with _quiet():
            loaded, report = cast(_Published, model).from_pretrained(
                folder, local_files_only=True, use_safetensors=True, output_loading_info=True, **options
            )
    except (OSError, ValueError, RuntimeError) as error:
        raise DataError(f"{folder}: cannot be read ({_first_line(error)})", hint="it needs model.safetensors") from None
    missing = set(report["missing_keys"])
    return {name: tensor for name, tensor in loaded.state_dict().items() if name not in missing}


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the library's own bar and table of unused class heads: whoever loads tells what fitted."""
    verbosity, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]  # transformers gives it no types
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # nor this
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bar:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]  # nor this


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


def _is_unused(name: str) -> bool:
    return name.endswith("num_batches_tracked") or ".swin.layernorm." in f".{name}"


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:160]

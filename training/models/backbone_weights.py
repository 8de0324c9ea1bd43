"""The tensors of published backbones under transformers' names, and the architecture that their shapes tell.

The foreign names are those of detectron2, of Swin's and PVT's own code, of torchvision and of timm.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping

from torch import Tensor

from avis_data.errors import DataError
from avis_data.training.models.backbones import BackboneSpec, PvtSpec, ResNetSpec, SwinSpec
from avis_data.training.models.renaming import Renamed, renamed, rules

__all__ = [
    "backbone_of",
    "from_published_backbone",
    "numbers_in",
    "official_pvt_tensors",
    "official_resnet_name",
    "official_swin_tensors",
]

_LEAF = r"(weight|bias|running_mean|running_var)"
_STEM = re.compile(rf"stem\.conv1\.(norm\.)?{_LEAF}")
_BLOCK = re.compile(rf"res([2-5])\.(\d+)\.(?:conv([123])|shortcut)\.(norm\.)?{_LEAF}")
_TORCHVISION_STEM = re.compile(rf"(?:conv|(bn))1\.{_LEAF}")
_TORCHVISION_BLOCK = re.compile(rf"layer([1-4])\.(\d+)\.(?:conv|(bn))([123])\.{_LEAF}")
_TORCHVISION_SHORTCUT = re.compile(rf"layer([1-4])\.(\d+)\.downsample\.([01])\.{_LEAF}")

_OUR_RESNET = "backbone.body.encoder.stages."
_OUR_SWIN = "backbone.body.swin.encoder.layers."
_OUR_PVT = "backbone.body.encoder.layers."

_SWIN_BLOCK = r"layers\.(\d)\.blocks\.(\d+)"
_OUR_BLOCK = r"swin.encoder.layers.\1.blocks.\2"
_TABLE = "relative_position_bias_table"
_SWIN = rules(
    (r"patch_embed\.proj\.(\w+)", r"swin.embeddings.patch_embeddings.projection.\1"),
    (r"patch_embed\.norm\.(\w+)", r"swin.embeddings.norm.\1"),
    (rf"{_SWIN_BLOCK}\.norm1\.(\w+)", rf"{_OUR_BLOCK}.layernorm_before.\3"),
    (rf"{_SWIN_BLOCK}\.norm2\.(\w+)", rf"{_OUR_BLOCK}.layernorm_after.\3"),
    (rf"{_SWIN_BLOCK}\.attn\.proj\.(\w+)", rf"{_OUR_BLOCK}.attention.o_proj.\3"),
    (rf"{_SWIN_BLOCK}\.attn\.{_TABLE}", rf"{_OUR_BLOCK}.attention.relative_position_bias.{_TABLE}"),
    (rf"{_SWIN_BLOCK}\.mlp\.(fc[12])\.(\w+)", rf"{_OUR_BLOCK}.mlp.\3.\4"),
    (r"layers\.(\d)\.downsample\.(norm|reduction)\.(\w+)", r"swin.encoder.layers.\1.downsample.\2.\3"),
)
_SWIN_QKV = re.compile(rf"{_SWIN_BLOCK}\.attn\.qkv\.(weight|bias)")
_SWIN_OUT_NORM = re.compile(r"norm([0-3])\.(weight|bias)")

_PVT_STAGE = re.compile(r"(patch_embed|block|norm)([1-4])\.(.+)")
_PVT = rules(
    (r"patch_embed\.proj\.(\w+)", r"patch_embedding.proj.\1"),
    (r"patch_embed\.norm\.(\w+)", r"patch_embedding.layer_norm.\1"),
    (r"norm\.(\w+)", r"layer_norm.\1"),
    (r"block\.(\d+)\.norm([12])\.(\w+)", r"blocks.\1.layer_norm_\2.\3"),
    (r"block\.(\d+)\.attn\.q\.(\w+)", r"blocks.\1.attention.query.\2"),
    (r"block\.(\d+)\.attn\.proj\.(\w+)", r"blocks.\1.attention.proj.\2"),
    (r"block\.(\d+)\.attn\.sr\.(\w+)", r"blocks.\1.attention.spatial_reduction.\2"),
    (r"block\.(\d+)\.attn\.norm\.(\w+)", r"blocks.\1.attention.layer_norm.\2"),
    (r"block\.(\d+)\.mlp\.fc([12])\.(\w+)", r"blocks.\1.mlp.dense\2.\3"),
    (r"block\.(\d+)\.mlp\.dwconv\.dwconv\.(\w+)", r"blocks.\1.mlp.dwconv.dwconv.\2"),
)
_PVT_KEY_VALUE = re.compile(r"block\.(\d+)\.attn\.kv\.(weight|bias)")

_TIMM_SWIN_MARK = "layers.3.downsample.reduction.weight"
"""timm has the downsampling at the beginning of a stage, Swin's own code at the end of the one before."""
_TIMM_DOWNSAMPLE = re.compile(r"layers\.(\d)\.(downsample\..+)")
_TORCHVISION_SWIN = rules(
    (r"features\.0\.0\.(\w+)", r"patch_embed.proj.\1"),
    (r"features\.0\.2\.(\w+)", r"patch_embed.norm.\1"),
    (r"(features\.\d\.\d+\.mlp)\.0\.(\w+)", r"\1.fc1.\2"),
    (r"(features\.\d\.\d+\.mlp)\.3\.(\w+)", r"\1.fc2.\2"),
)
_TORCHVISION_STAGE = re.compile(r"features\.(\d)\.(.+)")
_TIMM_PVT = rules(
    (r"patch_embed\.(.+)", r"patch_embed1.\1"),
    (r"(.+\.mlp\.dwconv)\.(\w+)", r"\1.dwconv.\2"),
)
_TIMM_STAGE = re.compile(r"stages\.(\d)\.(?:(downsample)|(norm)|blocks\.(\d+))\.(.+)")
_SWIN_V2 = ("attn.logit_scale", "attn.cpb_mlp.0.weight")
"""It has the tensors of a Swin under the same names, and means others by them."""


def official_resnet_name(name: str) -> str | None:
    """transformers' name of a detectron2 ResNet tensor (`res2.0.conv1.weight`); None if it is not one."""
    if match := _STEM.fullmatch(name):
        return _stem(match[2], norm=bool(match[1]))
    if match := _BLOCK.fullmatch(name):
        return _block(int(match[1]) - 2, match[2], conv=match[3], leaf=match[5], norm=bool(match[4]))
    return None


def official_swin_tensors(name: str, tensor: Tensor) -> dict[str, Tensor]:
    """transformers' names of an official Swin tensor; the joined query, key, value gives three, a stranger none."""
    if match := _SWIN_QKV.fullmatch(name):
        block = match.expand(_OUR_BLOCK)
        parts = zip("qkv", tensor.chunk(3), strict=True)
        return {f"{block}.attention.{part}_proj.{match[3]}": value for part, value in parts}
    if match := _SWIN_OUT_NORM.fullmatch(name):
        return {f"hidden_states_norms.stage{int(match[1]) + 1}.{match[2]}": tensor}
    ours = renamed(name, _SWIN)
    return {} if ours is None else {ours: tensor}


def official_pvt_tensors(name: str, tensor: Tensor) -> dict[str, Tensor]:
    """transformers' names of an official PVT-v2 tensor; the joined key and value gives two, a stranger none."""
    match = _PVT_STAGE.fullmatch(name)
    if match is None:
        return {}
    prefix, local = f"encoder.layers.{int(match[2]) - 1}.", f"{match[1]}.{match[3]}"
    if joined := _PVT_KEY_VALUE.fullmatch(local):
        parts = zip(("key", "value"), tensor.chunk(2), strict=True)
        return {f"{prefix}blocks.{joined[1]}.attention.{part}.{joined[2]}": value for part, value in parts}
    ours = renamed(local, _PVT)
    return {} if ours is None else {prefix + ours: tensor}


def from_published_backbone(tensors: Mapping[str, Tensor]) -> Renamed:
    """The tensors of a published classifier (ResNet of torchvision, timm or detectron2; Swin and PVT v2 of their own
    code, torchvision or timm) under transformers' names; its head is among what is not known.

    Returns:
        Without tensors if no name is known.

    Raises:
        DataError: if it is a Swin of the second version, which is another network.
    """
    if any(name.endswith(_SWIN_V2) for name in tensors):
        raise DataError("these are weights of a Swin V2, which is another network than the Swin of the recipes")
    authors = {name: _authors_name(name, tensors) for name in tensors}
    is_pvt = any(name.startswith("patch_embed1.") for name in authors.values())  # Swin and PVT both have a `norm1`
    found: dict[str, Tensor] = {}
    unknown = []
    for name, tensor in tensors.items():
        known = authors[name]
        ours = official_pvt_tensors(known, tensor) if is_pvt else _resnet_or_swin(known, tensor)
        found |= ours
        if not ours:
            unknown.append(name)
    return Renamed(tensors=found, unknown=tuple(unknown), odd_class_weights=())


def _authors_name(name: str, names: Mapping[str, Tensor]) -> str:
    """The name that the authors of Swin and PVT v2 gave to a tensor of torchvision or timm; other names stay."""
    if "features.0.0.weight" in names and "features.1.0.attn.qkv.weight" in names:
        name = renamed(name, _TORCHVISION_SWIN) or name
        if match := _TORCHVISION_STAGE.fullmatch(name):
            stage, is_downsample = divmod(int(match[1]) - 1, 2)
            return f"layers.{stage}.{'downsample' if is_downsample else 'blocks'}.{match[2]}"
    elif _TIMM_SWIN_MARK in names and (match := _TIMM_DOWNSAMPLE.fullmatch(name)):
        return f"layers.{int(match[1]) - 1}.{match[2]}"
    elif "stages.0.blocks.0.attn.q.weight" in names:
        name = renamed(name, _TIMM_PVT) or name
        if match := _TIMM_STAGE.fullmatch(name):
            stage = int(match[1]) + 1
            return ".".join([*_part_of_stage(stage, match), match[5]])
    return name


def _part_of_stage(stage: int, match: re.Match[str]) -> list[str]:
    if match[2]:
        return [f"patch_embed{stage}"]
    return [f"norm{stage}"] if match[3] else [f"block{stage}", match[4]]


def _resnet_or_swin(name: str, tensor: Tensor) -> dict[str, Tensor]:
    resnet = _torchvision_name(name) or official_resnet_name(name)
    return {resnet: tensor} if resnet else official_swin_tensors(name, tensor)


def _torchvision_name(name: str) -> str | None:
    if match := _TORCHVISION_STEM.fullmatch(name):
        return _stem(match[2], norm=bool(match[1]))
    if match := _TORCHVISION_BLOCK.fullmatch(name):
        return _block(int(match[1]) - 1, match[2], conv=match[4], leaf=match[5], norm=bool(match[3]))
    if match := _TORCHVISION_SHORTCUT.fullmatch(name):
        return _block(int(match[1]) - 1, match[2], conv=None, leaf=match[4], norm=match[3] == "1")
    return None


def _stem(leaf: str, *, norm: bool) -> str:
    return f"embedder.embedder.{'normalization' if norm else 'convolution'}.{leaf}"


def _block(stage: int, block: str, *, conv: str | None, leaf: str, norm: bool) -> str:
    place = "shortcut" if conv is None else f"layer.{int(conv) - 1}"
    return f"encoder.stages.{stage}.layers.{block}.{place}.{'normalization' if norm else 'convolution'}.{leaf}"


def backbone_of(tensors: Mapping[str, Tensor], base: BackboneSpec) -> BackboneSpec:
    """The backbone of a checkpoint under our names; `base` where it holds none. A PVT has the published heads.

    Raises:
        DataError: if it holds only a part of one.
    """
    for prefix, read in ((_OUR_SWIN, _swin_spec), (_OUR_RESNET, _resnet_spec), (_OUR_PVT, _pvt_spec)):
        if any(name.startswith(prefix) for name in tensors):
            try:
                return read(tensors)
            except (KeyError, IndexError):
                raise DataError("the checkpoint holds only a part of its backbone") from None
    return base


def _resnet_spec(tensors: Mapping[str, Tensor]) -> ResNetSpec:
    first, second, third, fourth = _depths(tensors, _OUR_RESNET, "layers")
    out = [tensors[f"{_OUR_RESNET}{stage}.layers.0.layer.2.convolution.weight"].shape[0] for stage in range(4)]
    return ResNetSpec(
        depths=(first, second, third, fourth),
        stem_channels=tensors["backbone.body.embedder.embedder.convolution.weight"].shape[0],
        channels=(out[0], out[1], out[2], out[3]),
    )


def _swin_spec(tensors: Mapping[str, Tensor]) -> SwinSpec:
    table = "attention.relative_position_bias.relative_position_bias_table"
    shapes = [tensors[f"{_OUR_SWIN}{stage}.blocks.0.{table}"].shape for stage in range(4)]
    first, second, third, fourth = _depths(tensors, _OUR_SWIN, "blocks")
    return SwinSpec(
        embed_channels=tensors["backbone.body.swin.embeddings.patch_embeddings.projection.weight"].shape[0],
        depths=(first, second, third, fourth),
        heads=(shapes[0][1], shapes[1][1], shapes[2][1], shapes[3][1]),
        window=(math.isqrt(shapes[0][0]) + 1) // 2,
    )


def _pvt_spec(tensors: Mapping[str, Tensor]) -> PvtSpec:
    first, second, third, fourth = _depths(tensors, _OUR_PVT, "blocks")
    out = [tensors[f"{_OUR_PVT}{stage}.patch_embedding.proj.weight"].shape[0] for stage in range(4)]
    return PvtSpec(channels=(out[0], out[1], out[2], out[3]), depths=(first, second, third, fourth))


def _depths(tensors: Mapping[str, Tensor], prefix: str, blocks: str) -> Iterator[int]:
    for stage in range(4):
        yield numbers_in(tensors, rf"{re.escape(prefix)}{stage}\.{blocks}\.(\d+)\..*")[-1] + 1


def numbers_in(names: Mapping[str, Tensor], pattern: str) -> list[int]:
    """What the group of a pattern is in the names that it fits, each number once, ascending."""
    compiled = re.compile(pattern)
    return sorted({int(match[1]) for name in names if (match := compiled.fullmatch(name))})

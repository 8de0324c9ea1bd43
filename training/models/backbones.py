"""Image backbones from transformers, with one interface: a batch of frames in, four maps out.

Each kind is imported where it is made: that takes seconds, which reading a config has no need of.

Shapes: N frames, H, W pixels (multiples of 32), h, w cells of a map.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal, TypeVar

import torch
from pydantic import ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional

from avis_data.training.models.shared import DropPath, SharedBatchNorm
from avis_data.training.ranges import Count

__all__ = ["Backbone", "BackboneSpec", "FrozenBatchNorm", "PvtSpec", "ResNetSpec", "SwinSpec", "build_backbone"]

_Config = TypeVar("_Config")
_STAGES = ["stage1", "stage2", "stage3", "stage4"]


@dataclass(frozen=True, kw_only=True)
class ResNetSpec:
    """A ResNet; one of bottlenecks has the stride in its 3x3 convolutions (the torchvision flavour)."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    depths: tuple[Count, Count, Count, Count] = (3, 4, 6, 3)
    """Blocks per stage; (3, 4, 23, 3) is R-101."""
    stem_channels: Count = 64
    """Channels of the first convolution."""
    channels: tuple[Count, Count, Count, Count] = (256, 512, 1024, 2048)
    """Channels of the four maps; a bottleneck has a quarter of them."""
    block: Literal["bottleneck", "basic"] = "bottleneck"
    """`basic`: two 3x3 convolutions; (2, 2, 2, 2) of them with (64, 128, 256, 512) channels are R-18."""
    frozen_norms: bool = True
    """Batch norms keep their statistics and affine values, as is usual from trained weights; false: they learn."""


@dataclass(frozen=True, kw_only=True)
class SwinSpec:
    """A Swin transformer with a LayerNorm on each of its four maps; the defaults are Swin-L."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    embed_channels: Count = 192
    """Channels of the first map; each later one has twice as many."""
    depths: tuple[Count, Count, Count, Count] = (2, 2, 18, 2)
    """Blocks per stage."""
    heads: tuple[Count, Count, Count, Count] = (6, 12, 24, 48)
    """Attention heads per stage."""
    window: Count = 12
    """Side of an attention window, in cells."""
    drop_path: Annotated[float, Field(ge=0, lt=1)] = 0.3
    """Largest share of blocks skipped in training (stochastic depth); rises from 0 in the first block."""


@dataclass(frozen=True, kw_only=True)
class PvtSpec:
    """A pyramid vision transformer (PVT v2); the defaults are PVT-v2-b5."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    channels: tuple[Count, Count, Count, Count] = (64, 128, 320, 512)
    """Channels of the four maps."""
    depths: tuple[Count, Count, Count, Count] = (3, 6, 40, 3)
    """Blocks per stage."""
    heads: tuple[Count, Count, Count, Count] = (1, 2, 5, 8)
    """Attention heads per stage."""
    reductions: tuple[Count, Count, Count, Count] = (8, 4, 2, 1)
    """How much smaller, per side, the map is that a stage attends to."""
    drop_path: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Largest share of blocks skipped in training (stochastic depth); rises from 0 in the first block."""


BackboneSpec = ResNetSpec | SwinSpec | PvtSpec
_Version = tuple[tuple[int, int], ...]


class FrozenBatchNorm(nn.Module):
    """Batch normalisation whose statistics and affine values are fixed buffers, in training too."""

    weight: Tensor
    bias: Tensor
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.register_buffer("weight", torch.ones(channels))
        self.register_buffer("bias", torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x_NChw: Tensor) -> Tensor:
        """(x - mean) / sqrt(var + eps) * weight + bias, same shape."""
        return functional.batch_norm(
            x_NChw, self.running_mean, self.running_var, self.weight, self.bias, training=False, eps=self.eps
        )


_Norm = FrozenBatchNorm | SharedBatchNorm


class _NormedConvolution(nn.Module):
    """A convolution and its norm as one, then an activation: the norm is a factor of the filters, and a bias.

    Only in training of a norm that learns are they two.
    """

    def __init__(self, convolution: nn.Conv2d, normalization: _Norm, activation: nn.Module) -> None:
        super().__init__()
        self.convolution, self.normalization, self.activation = convolution, normalization, activation
        self._kept: tuple[_Version, Tensor, Tensor] | None = None

    def forward(self, x_NChw: Tensor) -> Tensor:
        """The normed and activated maps."""
        convolution, norm = self.convolution, self.normalization
        if norm.training and not isinstance(norm, FrozenBatchNorm):
            out: Tensor = self.activation(norm(convolution(x_NChw)))
            return out
        filters, bias = self._blocked_filters() if x_NChw.is_mkldnn else self._filters()
        maps = functional.conv2d(x_NChw, filters, bias, stride=convolution.stride, padding=convolution.padding)
        joined: Tensor = self.activation(maps)
        return joined

    def __getstate__(self) -> dict[str, object]:
        """What a copy takes: all but the filters as oneDNN has them, which cannot be copied."""
        return self.__dict__ | {"_kept": None}

    def _filters(self) -> tuple[Tensor, Tensor]:
        norm = self.normalization
        assert norm.running_mean is not None and norm.running_var is not None  # they all have
        scale_C = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
        return self.convolution.weight * scale_C[:, None, None, None], norm.bias - norm.running_mean * scale_C

    def _blocked_filters(self) -> tuple[Tensor, Tensor]:
        """As oneDNN has them; those of the last time, until a value of theirs changes."""
        norm = self.normalization
        sources = (self.convolution.weight, norm.weight, norm.bias, norm.running_mean, norm.running_var)
        version = tuple((source.data_ptr(), source._version) for source in sources if source is not None)
        if self._kept is None or self._kept[0] != version:
            filters, bias = self._filters()
            self._kept = (version, filters.to_mkldnn(), bias.to_mkldnn())
        return self._kept[1:]


class Backbone(nn.Module):
    """A transformers backbone; `channels` says how wide its four maps (strides 4, 8, 16, 32) are."""

    def __init__(self, body: nn.Module, channels: tuple[int, ...], *, convolutions: bool = False) -> None:
        """`convolutions`: whether it is made of them: then its maps may lie in memory channels last."""
        super().__init__()
        self.body = body
        self.channels = channels
        self.channels_last = False
        """Whether they do so, on a GPU: on a CPU gradients came out otherwise than with channels first."""
        self._convolutions = convolutions

    def lay_channels_last(self) -> None:
        """From now on the maps of convolutions lie so, and the filters with them; on a CPU nothing changes."""
        self.channels_last = self._convolutions
        for parameter in self.parameters():
            if self._convolutions and parameter.dim() == 4 and parameter.device.type != "cpu":
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)

    def forward(self, frames_N3HW: Tensor) -> tuple[Tensor, ...]:
        """The four maps, fine to coarse, each (N, channels, h, w).

        Args:
            frames_N3HW: normalised frames; H and W are multiples of 32.
        """
        if self._convolutions and not self.training and _onednn_takes(frames_N3HW):
            return tuple(map_NChw.to_dense() for map_NChw in self.body(frames_N3HW.to_mkldnn()).feature_maps)
        if self.channels_last and frames_N3HW.device.type != "cpu":
            frames_N3HW = frames_N3HW.contiguous(memory_format=torch.channels_last)
        maps: tuple[Tensor, ...] = self.body(frames_N3HW).feature_maps
        return maps


def build_backbone(spec: BackboneSpec) -> Backbone:
    """The backbone of a spec with random weights (`training.checkpoints` loads trained ones)."""
    if isinstance(spec, ResNetSpec):
        return _resnet(spec)
    return _swin(spec) if isinstance(spec, SwinSpec) else _pvt(spec)


def _resnet(spec: ResNetSpec) -> Backbone:
    from transformers import ResNetBackbone, ResNetConfig

    config = _with_four_maps(
        ResNetConfig,
        embedding_size=spec.stem_channels,
        hidden_sizes=list(spec.channels),
        depths=list(spec.depths),
        layer_type=spec.block,
    )
    body = ResNetBackbone(config)
    _replace_batch_norms(body, frozen=spec.frozen_norms)
    _join_norms(body)
    for part in body.modules():
        if isinstance(part, nn.ReLU):
            part.inplace = True  # nothing reads what it gets, a norm or a sum
    return Backbone(body, spec.channels, convolutions=True)


def _onednn_takes(frames: Tensor) -> bool:
    """Whether maps can lie as a CPU's convolutions want them, so that none copies; without gradients they can."""
    if frames.device.type != "cpu" or frames.dtype != torch.float32 or torch.is_grad_enabled():
        return False
    there: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return there and not (torch.is_autocast_enabled("cpu") or torch.compiler.is_compiling())


def _swin(spec: SwinSpec) -> Backbone:
    from transformers import SwinBackbone, SwinConfig

    config = _with_four_maps(
        SwinConfig,
        embed_dim=spec.embed_channels,
        depths=list(spec.depths),
        num_heads=list(spec.heads),
        window_size=spec.window,
        drop_path_rate=spec.drop_path,
        layer_norm_eps=1e-5,
    )
    body = SwinBackbone(config)
    # It normalises a last state that no map is made of; the published model has none.
    body.swin.add_module("layernorm", nn.Identity())
    _replace_drop_paths(body)
    return Backbone(body, tuple(spec.embed_channels * 2**stage for stage in range(4)))


def _pvt(spec: PvtSpec) -> Backbone:
    from transformers import PvtV2Backbone, PvtV2Config

    config = _with_four_maps(
        PvtV2Config,
        hidden_sizes=list(spec.channels),
        depths=list(spec.depths),
        num_attention_heads=list(spec.heads),
        sr_ratios=list(spec.reductions),
        mlp_ratios=[4, 4, 4, 4],
        drop_path_rate=spec.drop_path,
        qkv_bias=True,
        layer_norm_eps=1e-6,
    )
    body = PvtV2Backbone(config)
    for name, module in body.named_modules():
        if name.endswith(("patch_embedding.layer_norm", "attention.layer_norm")):
            module.eps = 1e-5  # the published network leaves these two kinds at PyTorch's default
    _replace_drop_paths(body)
    return Backbone(body, spec.channels)


def _with_four_maps(kind: Callable[..., _Config], **values: object) -> _Config:
    """A config of transformers, which hides from type checkers that it takes `out_features`."""
    return kind(out_features=_STAGES, **values)


def _replace_batch_norms(module: nn.Module, *, frozen: bool) -> None:
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            width, eps = child.num_features, child.eps
            setattr(module, name, FrozenBatchNorm(width, eps) if frozen else SharedBatchNorm(width, eps))
        else:
            _replace_batch_norms(child, frozen=frozen)


def _join_norms(module: nn.Module) -> None:
    """Make one of each convolution and its norm; the parameters keep their names."""
    for name, child in module.named_children():
        convolution = getattr(child, "convolution", None)
        if isinstance(convolution, nn.Conv2d):
            norm, activation = child.normalization, getattr(child, "activation", nn.Identity())
            assert isinstance(norm, _Norm)  # they were replaced before
            setattr(module, name, _NormedConvolution(convolution, norm, activation))
        else:
            _join_norms(child)


def _replace_drop_paths(module: nn.Module) -> None:
    """Those of transformers draw for each frame as it comes, ours by its clip."""
    for name, child in module.named_children():
        share = getattr(child, "drop_prob", None)
        if isinstance(share, float):
            setattr(module, name, DropPath(child, share))
        else:
            _replace_drop_paths(child)

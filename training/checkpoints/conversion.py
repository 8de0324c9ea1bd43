"""Official AVISM checkpoints made into our weight files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from avis_data.checkpoints import read_tensors
from avis_data.errors import ConfigError, DataError
from avis_data.io import atomic_path
from avis_data.training.checkpoints.official_avism import Renamed, from_official_avism, is_official_avism
from avis_data.training.checkpoints.shapes import avism_config_of
from avis_data.training.config import load_config
from avis_data.training.models.avism import Avism
from avis_data.training.models.avism_config import AvismConfig
from avis_data.training.models.backbones import SwinSpec
from avis_data.training.weights import weights_metadata

__all__ = ["ConversionReport", "convert_avism"]


@dataclass(frozen=True, kw_only=True)
class ConversionReport:
    """What was found in an official checkpoint, and what was not."""

    config: AvismConfig
    """The architecture that its shapes tell."""
    tensors: int
    """Tensors written."""
    parameters: int
    """Trainable values among them (frozen batch norms are not counted)."""
    missing: tuple[str, ...]
    """Our names of tensors that such a model has and the file does not."""
    unexpected: tuple[str, ...]
    """Official names that we do not know, and our names of tensors that no such model has; the first are left out."""
    odd_class_weights: tuple[str, ...]
    """Class weights that are not those of the published training; they are checked, not stored."""

    @property
    def complete(self) -> bool:
        """Whether the file held exactly one whole model."""
        return not self.missing and not self.unexpected


def convert_avism(source: Path, target: Path, *, window: int | None = None) -> ConversionReport:
    """Write an official AVISM or VITA checkpoint under our names, float32, with the config that it can be used with.

    Args:
        source: `.pth` (tensors only) or `.safetensors`.
        target: a `.safetensors` file; replaced if it exists, whole or not at all.
        window: frames per window, which no tensor tells; None: the published 6.

    Raises:
        ConfigError: if the target has another suffix.
        DataError: if the source is missing, torn, holds code, or is no such checkpoint.
    """
    if target.suffix != ".safetensors":
        raise ConfigError(f"--to {target}: must end in .safetensors")
    official = read_tensors(source)
    if not is_official_avism(official):
        raise DataError(
            f"{source}: no AVISM or VITA checkpoint (its first tensor is {next(iter(official))!r})",
            hint="backbones and folders of transformers need no conversion: avis-data train-baseline --init FILE",
        )
    renamed = from_official_avism(official)
    base = AvismConfig() if window is None else replace(AvismConfig(), window=window)
    config = avism_config_of(renamed.tensors, base)
    with torch.device("meta"):
        model = Avism(config)
    _check_shapes(source, renamed.tensors, model.state_dict())
    _save(target, renamed.tensors, config)
    return _report(renamed, model, config)


def _check_shapes(source: Path, tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    for name, own in expected.items():
        if name in tensors and tensors[name].shape != own.shape:
            found = tuple(tensors[name].shape)
            raise DataError(f"{source}: its tensors do not fit each other: {name} is {found}, not {tuple(own.shape)}")


def _save(target: Path, tensors: Mapping[str, Tensor], config: AvismConfig) -> None:
    preset = "avism_swinl" if isinstance(config.backbone, SwinSpec) else "avism_r50"
    metadata = weights_metadata(replace(load_config(preset), model=config))
    # Copies: parts of one joined tensor share its memory, which safetensors refuses.
    ready = {name: tensor.to(torch.float32, copy=True).contiguous() for name, tensor in tensors.items()}
    with atomic_path(target) as part:
        save_file(ready, part, metadata=metadata)


def _report(renamed: Renamed, model: Avism, config: AvismConfig) -> ConversionReport:
    expected = model.state_dict()
    trainable = {name for name, _ in model.named_parameters()}
    return ConversionReport(
        config=config,
        tensors=len(renamed.tensors),
        parameters=sum(tensor.numel() for name, tensor in renamed.tensors.items() if name in trainable),
        missing=tuple(name for name in expected if name not in renamed.tensors),
        unexpected=(*renamed.unknown, *(name for name in renamed.tensors if name not in expected)),
        odd_class_weights=renamed.odd_class_weights,
    )

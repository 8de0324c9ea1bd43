"""Official checkpoints made into our weight files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from avis_data.errors import ConfigError, DataError
from avis_data.io import atomic_path
from avis_data.training.checkpoints.start_weights import check_licence, official_files, official_titles
from avis_data.training.checkpoints.trained import weights_metadata
from avis_data.training.config import RunConfig, changed_config, load_config
from avis_data.training.models.renaming import Renamed
from avis_data.training.models.spec import ModelConfig
from avis_data.training.registry import build_model
from avis_data.weights.files import read_tensors

__all__ = ["ConversionReport", "convert_checkpoint"]


@dataclass(frozen=True, kw_only=True)
class ConversionReport:
    """What was found in an official checkpoint, and what was not."""

    config: ModelConfig
    """The architecture that its shapes tell."""
    tensors: int
    """Tensors written."""
    parameters: int
    """Values of parameters among them (frozen batch norms are not counted)."""
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


def convert_checkpoint(source: Path, target: Path, *, settings: Sequence[str] = ()) -> ConversionReport:
    """Write an official checkpoint under our names, float32, with the config that it can be used with.

    Args:
        source: of a model whose spec says how (`ModelSpec.official`), `.pth` (tensors only) or `.safetensors`.
        target: a `.safetensors` file; replaced if it exists, whole or not at all.
        settings: changes of the config that the tensors tell, `key.sub=value`, for what they do not tell: the window of
            AVISM (`model.window`, published: 6).

    Raises:
        ConfigError: if the target has another suffix.
        DataError: if the source is missing, torn, holds code, may not be used by everybody, or is no such checkpoint.
        ProblemsError: with every setting that is not one of this model.
    """
    if target.suffix != ".safetensors":
        raise ConfigError(f"--out {target}: must end in .safetensors")
    official = read_tensors(source)
    check_licence(source, official)
    renamed, config = _recognised(source, official, settings)
    with torch.device("meta"):
        model = build_model(config)
    _check_shapes(source, renamed.tensors, model.state_dict())
    _save(target, renamed.tensors, config)
    return _report(renamed, model, config)


def _recognised(source: Path, official: Mapping[str, Tensor], settings: Sequence[str]) -> tuple[Renamed, RunConfig]:
    files = official_files(official)
    if files is None:
        raise DataError(
            f"{source}: no checkpoint of {official_titles()} (its first tensor is {next(iter(official))!r})",
            hint="backbones and folders of transformers need no conversion: avis-data train-baseline --init FILE",
        )
    renamed = files.renamed(official)
    recipe, model = files.config(renamed.tensors)
    return renamed, changed_config(replace(load_config(recipe), model=model), settings, where=str(source))


def _check_shapes(source: Path, tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    for name, own in expected.items():
        if name in tensors and tensors[name].shape != own.shape:
            found = tuple(tensors[name].shape)
            raise DataError(f"{source}: its tensors do not fit each other: {name} is {found}, not {tuple(own.shape)}")


def _save(target: Path, tensors: Mapping[str, Tensor], config: RunConfig) -> None:
    # Copies: parts of one joined tensor share its memory, which safetensors refuses.
    ready = {name: _single(tensor) for name, tensor in tensors.items()}
    with atomic_path(target) as part:
        save_file(ready, part, metadata=weights_metadata(config))


def _single(tensor: Tensor) -> Tensor:
    return tensor.to(torch.float32 if tensor.is_floating_point() else tensor.dtype, copy=True).contiguous()


def _report(renamed: Renamed, model: nn.Module, config: RunConfig) -> ConversionReport:
    expected = model.state_dict()
    trainable = {name for name, _ in model.named_parameters()}
    return ConversionReport(
        config=config.model,
        tensors=len(renamed.tensors),
        parameters=sum(tensor.numel() for name, tensor in renamed.tensors.items() if name in trainable),
        missing=tuple(name for name in expected if name not in renamed.tensors),
        unexpected=(*renamed.unknown, *(name for name in renamed.tensors if name not in expected)),
        odd_class_weights=renamed.odd_class_weights,
    )

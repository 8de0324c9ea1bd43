"""Folders as `save_pretrained` of transformers writes them: ResNet, Swin, PVT v2 and Mask2Former, as start weights.

Nothing is downloaded, and only safetensors are read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Protocol, cast

from torch import nn
from transformers import AutoConfig, Mask2FormerModel, PreTrainedModel, PvtV2Backbone, ResNetBackbone, SwinBackbone
from transformers.utils import logging

from avis_data.errors import DataError
from avis_data.training.checkpoints.mask2former_names import from_mask2former
from avis_data.training.models.renaming import Renamed

__all__ = ["from_hugging_face"]

_STAGES = ["stage1", "stage2", "stage3", "stage4"]
_BACKBONES = {"resnet": ResNetBackbone, "swin": SwinBackbone, "pvt_v2": PvtV2Backbone}


def from_hugging_face(folder: Path) -> Renamed:
    """The tensors of a ResNet, Swin, PVT v2 or Mask2Former folder under our names (`backbone.body.…` and so on).

    Class heads, whose classes are others, are among what is not known. What the folder does not hold is left out.

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
    found = _read(_BACKBONES[kind], folder, out_features=_STAGES)
    return replace(found, tensors={f"backbone.body.{name}": tensor for name, tensor in found.tensors.items()})


def _mask2former(folder: Path) -> Renamed:
    found = _read(Mask2FormerModel, folder)
    ours = from_mask2former(found.tensors)
    return replace(ours, unknown=(*ours.unknown, *found.unknown))


class _Published(Protocol):
    """A class of transformers whose models can be read from a folder."""

    def from_pretrained(self, folder: Path, **options: object) -> tuple[nn.Module, Mapping[str, Iterable[str]]]:
        """The model and, asked with `output_loading_info`, which tensors the folder lacked or had too many of."""


def _read(model: type[PreTrainedModel], folder: Path, **options: object) -> Renamed:
    """Tensors under transformers' names; those of a head, and those that no network of ours has, are not known."""
    try:
        with _quiet():
            loaded, report = cast(_Published, model).from_pretrained(
                folder, local_files_only=True, use_safetensors=True, output_loading_info=True, **options
            )
    except (OSError, ValueError, RuntimeError) as error:
        raise DataError(f"{folder}: cannot be read ({_first_line(error)})", hint="it needs model.safetensors") from None
    missing = set(report["missing_keys"])
    held = {name: tensor for name, tensor in loaded.state_dict().items() if name not in missing}
    unused = [name for name in held if _is_unused(name)]
    return Renamed(
        tensors={name: tensor for name, tensor in held.items() if not _is_unused(name)},
        unknown=(*sorted(report["unexpected_keys"]), *unused),
        odd_class_weights=(),
    )


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


def _is_unused(name: str) -> bool:
    return name.endswith("num_batches_tracked") or ".swin.layernorm." in f".{name}"


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:160]

"""Start weights of every kind, and how they are put into a model."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from avis_data.errors import DataError
from avis_data.training.checkpoints.hugging_face import from_hugging_face
from avis_data.training.checkpoints.trained import weights_file
from avis_data.training.models.backbone_weights import from_published_backbone
from avis_data.training.models.spec import OfficialFiles
from avis_data.training.registry import MODELS
from avis_data.weights.files import read_tensors

__all__ = [
    "LoadReport",
    "check_licence",
    "load_initial",
    "load_into",
    "official_files",
    "official_titles",
    "read_start_weights",
]

logger = logging.getLogger(__name__)

_OUR_PARTS = ("backbone.body.", "pixel_decoder.", "frame_decoder.", "tracker.")


@dataclass(frozen=True, kw_only=True)
class LoadReport:
    """How tensors fitted a model."""

    loaded: int
    """Tensors that were taken."""
    missing: tuple[str, ...]
    """Names of the model that the tensors do not have; they keep their values."""
    unexpected: tuple[str, ...]
    """Names that the model does not have."""
    misshapen: tuple[str, ...]
    """Names that both have, in other shapes (class heads of another data set); they keep their values."""


def read_start_weights(path: Path) -> dict[str, Tensor]:
    """Tensors to start a model from, under our names, from whatever holds them.

    Args:
        path: one of our files, an official checkpoint of a model that says how, a published ResNet, Swin or
            PVT v2 classifier, or a folder of transformers (the same, and Mask2Former).

    Raises:
        DataError: if it is none of these, missing or torn, holds code, or may not be used by everybody.
    """
    if path.is_dir():
        return from_hugging_face(path)
    tensors = read_tensors(path)
    check_licence(path, tensors)
    if official := official_files(tensors):
        return official.renamed(tensors).tensors
    if any(name.startswith(_OUR_PARTS) for name in tensors):
        return tensors
    if backbone := from_published_backbone(tensors):
        return {f"backbone.body.{name}": tensor for name, tensor in backbone.items()}
    known = f"a checkpoint of {official_titles()}; a ResNet of torchvision or detectron2, a Swin or a PVT v2 classifier"
    raise DataError(f"{path}: none of what we know ({known}); its first tensor is {next(iter(tensors))!r}")


def official_files(tensors: Mapping[str, Tensor]) -> OfficialFiles | None:
    """Which model's published checkpoints tensors are named as; None if no model's."""
    known = [spec.official for spec in MODELS if spec.official is not None]
    return next((official for official in known if official.is_one(tensors)), None)


def official_titles() -> str:
    """The models whose published checkpoints are known: `AVISM, VITA, AVS-BG or AVSBench`."""
    *most, last = [title for spec in MODELS if spec.official is not None for title in spec.official.titles]
    return f"{', '.join(most)} or {last}"


def load_into(model: nn.Module, tensors: Mapping[str, Tensor], *, where: str = "start weights") -> LoadReport:
    """Copy every tensor whose name and shape fit into a model, and say what did not fit.

    Args:
        where: what an error says about where they come from.

    Raises:
        DataError: if nothing fits.
    """
    own = model.state_dict()
    fitting = {name: tensor for name, tensor in tensors.items() if name in own and own[name].shape == tensor.shape}
    if not fitting:
        raise DataError(
            f"{where}: none of {len(tensors)} tensors fits the model: these are weights of another one",
            hint="choose the --config, or --set model.backbone=..., that they are for",
        )
    model.load_state_dict(fitting, strict=False)
    return LoadReport(
        loaded=len(fitting),
        missing=tuple(name for name in own if name not in tensors),
        unexpected=tuple(name for name in tensors if name not in own),
        misshapen=tuple(name for name in tensors if name in own and name not in fitting),
    )


_ADELAIDET = ("proposal_generator.fcos_head.", "controller.")
"""What tensors of CrossVIS, and of CondInst that it starts from, are called in its code base."""


def check_licence(path: Path, names: Iterable[str]) -> None:
    """Refuse what may not be used by everybody.

    Args:
        path: of the checkpoint, for the message.
        names: of its tensors.

    Raises:
        DataError: for checkpoints of CrossVIS and CondInst, whose licence allows non-commercial use only.
    """
    if any(name.removeprefix("module.").startswith(_ADELAIDET) for name in names):
        raise DataError(
            f"{path}: is a CrossVIS or CondInst checkpoint of the authors; their licence allows non-commercial use "
            "only, which weights converted or trained from it would inherit, so it is refused",
            hint="avis-data train-baseline --data EXPORT --config crossvis_r50 --init resnet50.pth",
        )


def load_initial(model: nn.Module, path: Path) -> LoadReport:
    """Give a model weights to start from: ours, official, of a published backbone, or a transformers folder.

    Raises:
        DataError: if the file cannot be read, or nothing in it fits.
    """
    is_run = path.is_dir() and (path / "checkpoints").is_dir()
    report = load_into(model, read_start_weights(weights_file(path) if is_run else path), where=str(path))
    if report.missing or report.misshapen or report.unexpected:
        logger.warning(
            "init=%s loaded=%d random=%d first=%s other_shape=%d unused=%d",
            path,
            report.loaded,
            len(report.missing),
            next(iter(report.missing), ""),
            len(report.misshapen),
            len(report.unexpected),
        )
    return report

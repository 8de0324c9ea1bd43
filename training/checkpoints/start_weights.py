"""Start weights of every kind, and how they are put into a model."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from torch import Tensor, nn

from avis_data.errors import ConfigError, DataError
from avis_data.training.checkpoints.load_report import LoadReport, listed
from avis_data.training.checkpoints.trained import weights_file
from avis_data.training.config import RunConfig
from avis_data.training.models.backbone_weights import from_published_backbone
from avis_data.training.models.renaming import Renamed
from avis_data.training.models.spec import OfficialFiles
from avis_data.training.registry import MODELS
from avis_data.weights import path_of
from avis_data.weights.files import read_tensors
from avis_data.weights.known import known_by_name

__all__ = [
    "check_licence",
    "fit_of",
    "load_initial",
    "load_into",
    "official_files",
    "official_titles",
    "read_start_weights",
    "start_file",
]

logger = logging.getLogger(__name__)

_OF_ANOTHER = "choose the --config, or --set model.backbone=..., that they are for"
_OF_TRANSFORMERS = ("resnet.", "swin.", "pvt_v2.", "model.pixel_level_module.")
_OUR_PARTS = ("backbone.body.", "pixel_decoder.", "frame_decoder.", "tracker.")


def read_start_weights(path: Path) -> Renamed:
    """Tensors to start a model from, under our names, from whatever holds them.

    Args:
        path: one of our files, an official checkpoint of a model that says how, a published ResNet, Swin or
            PVT v2 classifier, or a folder of transformers (the same, and Mask2Former).

    Raises:
        DataError: if it is none of these, missing or torn, holds code, or may not be used by everybody.
    """
    if path.is_dir():
        from avis_data.training.checkpoints.hugging_face import from_hugging_face  # imports all kinds of models

        return from_hugging_face(path)
    tensors = read_tensors(path)
    check_licence(path, tensors)
    if official := official_files(tensors):
        return official.renamed(tensors)
    if any(name.startswith(_OUR_PARTS) for name in tensors):
        return Renamed(tensors=tensors, unknown=(), odd_class_weights=())
    try:
        backbone = from_published_backbone(tensors)
    except DataError as error:
        raise DataError(f"{path}: {error.args[0]}") from None
    if backbone.tensors:
        ours = {f"backbone.body.{name}": tensor for name, tensor in backbone.tensors.items()}
        return replace(backbone, tensors=ours)
    known = (
        f"a checkpoint of {official_titles()}; a ResNet, Swin or PVT v2 of its authors, torchvision, timm or detectron2"
    )
    of_folder = next(iter(tensors)).startswith(_OF_TRANSFORMERS)
    raise DataError(
        f"{path}: none of what we know ({known}); its first tensor is {next(iter(tensors))!r}",
        hint="give the folder of transformers that the file lies in, with its config.json" if of_folder else None,
    )


def official_files(tensors: Mapping[str, Tensor]) -> OfficialFiles | None:
    """Which model's published checkpoints tensors are named as; None if no model's."""
    known = [spec.official for spec in MODELS if spec.official is not None]
    return next((official for official in known if official.is_one(tensors)), None)


def official_titles() -> str:
    """The models whose published checkpoints are known: `AVISM, VITA, AVS-BG or AVSBench`."""
    *most, last = [title for spec in MODELS if spec.official is not None for title in spec.official.titles]
    return f"{', '.join(most)} or {last}"


def fit_of(model: nn.Module, tensors: Mapping[str, Tensor]) -> LoadReport:
    """What of some tensors a model would take: those whose name and shape fit. The model stays as it is."""
    own = model.state_dict()
    fitting = _fitting(own, tensors)
    named = {_part(name) for name in tensors}
    needed = Counter(part for name in own if (part := _part(name)) in named)
    taken = Counter(_part(name) for name in fitting)
    return LoadReport(
        loaded=len(fitting),
        missing=tuple(name for name in own if name not in tensors),
        unexpected=tuple(name for name in tensors if name not in own),
        misshapen=tuple(name for name in tensors if name in own and name not in fitting),
        parts={part: (taken[part], count) for part, count in needed.items()},
    )


def load_into(model: nn.Module, tensors: Mapping[str, Tensor], *, where: str = "start weights") -> LoadReport:
    """Copy every tensor whose name and shape fit into a model, and say what did not fit.

    Args:
        where: what an error says about where they come from.

    Raises:
        DataError: if nothing fits.
    """
    report = fit_of(model, tensors)
    if not report.loaded:
        raise DataError(
            f"{where}: none of {len(tensors)} tensors fits the model: these are weights of another one; they are "
            + listed(list(tensors)),
            hint=_OF_ANOTHER,
        )
    model.load_state_dict(_fitting(model.state_dict(), tensors), strict=False)
    return report


def _fitting(own: Mapping[str, Tensor], tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in tensors.items() if name in own and own[name].shape == tensor.shape}


def _part(name: str) -> str:
    return name.partition(".")[0]


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
            hint="avis-data train-baseline --data EXPORT --config crossvis_r50 --init auto",
        )


def start_file(init: Path, config: RunConfig) -> Path:
    """Where the weights lie that `--init` names: a file or a folder, a name of `weights list`, or `auto`.

    Args:
        init: as given; `auto`: what the config's recipe starts from.
        config: of the run.

    Raises:
        ConfigError: if there is no such file and no such name, or the recipe starts from none that is listed.
        ToolError: if the weights of that name are not here; names the command that fetches them.
        DataError: if other bytes are there than were fetched.
    """
    name = str(init)
    if init.exists() and name != "auto":
        return init
    if name == "auto":
        if config.start_weights is None:
            raise ConfigError(
                "--init auto: the config names no weights that its recipe starts from",
                hint="--init FILE, a run of yours, or a name of: avis-data weights list",
            )
        name = config.start_weights
    elif known_by_name(name) is None:
        raise DataError(f"{init}: no such file", hint="--init auto, a run, or a name of: avis-data weights list")
    return path_of(name)


def load_initial(model: nn.Module, path: Path, *, allow_partial: bool = False) -> LoadReport:
    """Give a model weights to start from: ours, official, of a published backbone, or a transformers folder.

    Whatever is not in the file, or not taken from it, is told by name in the log.

    Args:
        allow_partial: take also what fills less than half of the backbone, or of the parts that the file names.

    Raises:
        DataError: if the file cannot be read, nothing in it fits, or too little and `allow_partial` is not set.
    """
    is_run = path.is_dir() and (path / "checkpoints").is_dir()
    found = read_start_weights(weights_file(path) if is_run else path)
    report = replace(fit_of(model, found.tensors), unknown=found.unknown)
    if report.loaded and report.is_stranger and not allow_partial:
        lines = [f"{path}: fills too little of the model ({report.shares} tensors): these are weights of another one"]
        raise DataError(
            "\n  ".join([*lines, *report.lines()]),
            hint=f"{_OF_ANOTHER}; --allow-partial starts from them all the same",
        )
    load_into(model, found.tensors, where=str(path))
    logger.info("init=%s loaded=%d of: %s", path, report.loaded, report.shares)
    for line in report.lines():
        logger.warning("init=%s %s", path, line)
    return report

"""Weight files of models: what they say of themselves, and how they come into a model."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from avis_data.config import apply_settings
from avis_data.errors import ConfigError, DataError, Problem, ProblemsError
from avis_data.format_numbers import check_run
from avis_data.training.checkpoints.start_weights import LoadReport, load_into, read_start_weights
from avis_data.training.config import RunConfig, config_from_values, config_values, load_config
from avis_data.training.registry import model_entry
from avis_data.weights.files import read_tensors

__all__ = [
    "build_model",
    "categories_of_weights",
    "config_of_weights",
    "load_exactly",
    "load_initial",
    "load_trained",
    "weights_file",
    "weights_metadata",
]

logger = logging.getLogger(__name__)
_CONFIG, _CATEGORIES = "avis_data_config", "avis_data_categories"


def weights_metadata(config: RunConfig, categories: Mapping[int, str] | None = None) -> dict[str, str]:
    """What a weight file of ours says of itself: config and classes, so that the file alone can be predicted with.

    Args:
        categories: id -> name, where they are known.
    """
    return {_CONFIG: json.dumps(config_values(config)), _CATEGORIES: json.dumps({**(categories or {})})}


def weights_file(path: Path) -> Path:
    """The weights that are meant: a file itself; of the folder of a run the best ones, else the last.

    Raises:
        DataError: if there is nothing of that name, or the folder is no run, one of another format, or has no weights.
    """
    if not path.is_dir():
        if not path.is_file():
            raise DataError(f"{path}: no such file or folder")
        return path
    check_run(path)
    last = sorted((path / "checkpoints").glob("[0-9]*/model.safetensors"))
    for found in [path / "best.safetensors", *reversed(last)]:
        if found.is_file():
            return found
    raise DataError(f"{path}: holds neither best.safetensors nor a checkpoint", hint="give the folder of a run")


def config_of_weights(path: Path) -> RunConfig | None:
    """The config that a weight file of ours was trained with; None where it says nothing.

    Raises:
        DataError: if the file is torn.
        ProblemsError: if its config is not one that this version knows.
    """
    values = _metadata(path, _CONFIG)
    return None if values is None else config_from_values(values, where=f"the config in {path}")


def categories_of_weights(path: Path) -> dict[int, str]:
    """Category id -> name, of the data that a weight file of ours was trained on; empty where it says nothing.

    Raises:
        DataError: if the file is torn.
    """
    return {int(number): str(name) for number, name in (_metadata(path, _CATEGORIES) or {}).items()}


def build_model(config: RunConfig) -> nn.Module:
    """The model of a config, with random weights. Raises ConfigError if its sizes do not go together."""
    entry = model_entry(config.model_name)
    try:
        return entry.build(config.model, config.loss)
    except (ValueError, AssertionError, ZeroDivisionError) as error:
        # What torch and transformers raise for widths that cannot be divided by heads or groups.
        raise ConfigError(f"this {config.model_name} cannot be built: {error}") from None


def load_trained(
    path: Path, config_name: str | None, settings: Sequence[str] = (), *, model_name: str | None = None
) -> tuple[nn.Module, RunConfig]:
    """A trained model in evaluation mode, and its config.

    Args:
        path: weights, or the folder of a run.
        config_name: a shipped config or a YAML file; None: what the weights say, else the model's published recipe.
        settings: changes of the config, `key.sub=value`.
        model_name: which model it must be; None: any.

    Raises:
        ConfigError: if nothing says what the config is, or it is of another model.
        DataError: if the file cannot be read.
        ProblemsError: if the weights are of another model.
    """
    file = weights_file(path)
    own = config_of_weights(file)
    if own is not None and model_name not in (None, own.model_name):
        raise ConfigError(f"{file}: holds the weights of {own.model_name}, not of {model_name}")
    if config_name is None and own is not None:
        config = _changed(own, settings, file)
    elif config_name is None and model_name is None:
        hint = "--config avism_r50, or another of `avis-data train-baseline --help`"
        raise ConfigError(f"{file}: does not say which config it was trained with", hint=hint)
    else:
        named = config_name or model_entry(model_name or "").default_config
        config = load_config(named, settings, model=model_name)
    if own is not None:
        _check_tied(own, config, file)
    model = build_model(config)
    load_exactly(model, read_tensors(file), where=file)
    return model.eval(), config


def _check_tied(own: RunConfig, config: RunConfig, file: Path) -> None:
    """Raises ConfigError if the weights were trained with another value of what they cannot do without."""
    if own.model_name != config.model_name:
        return
    tied = [("model", name) for name in model_entry(config.model_name).tied]
    if own.model.needs_audio and config.model.needs_audio:
        tied.append(("data", "audio"))  # another kind may have the same width: it would fit, and mean nothing
    for section, name in tied:
        trained, wanted = (getattr(getattr(one, section), name) for one in (own, config))
        if trained != wanted:
            key = f"{section}.{name}"
            raise ConfigError(
                f"{file}: was trained with {key}={trained}; it cannot be used with {wanted}",
                hint=f"--set {key}={trained}, or train another: avis-data train-baseline --set {key}={wanted}",
            )


def load_exactly(model: nn.Module, tensors: Mapping[str, Tensor], *, where: Path) -> None:
    """Give a model its weights: all of them, and nothing else.

    Raises:
        ProblemsError: with every missing, unexpected and misshapen tensor.
    """
    wanted = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    problems = [Problem(name, "", "is missing") for name in wanted if name not in tensors]
    problems += [Problem(name, "", "is not a tensor of this model") for name in tensors if name not in wanted]
    problems += [
        Problem(name, "", f"has the shape {tuple(tensor.shape)}, must have {wanted[name]}")
        for name, tensor in tensors.items()
        if name in wanted and tuple(tensor.shape) != wanted[name]
    ]
    if problems:
        raise ProblemsError(
            f"{where}: is a checkpoint of another model, {len(problems)} tensor(s) do not fit",
            problems,
            hint="give the --config that it was trained with; of official files: avis-data weights convert",
        )
    model.load_state_dict(dict(tensors))


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


def _metadata(path: Path, key: str) -> dict[str, Any] | None:
    if path.suffix != ".safetensors":
        return None
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(key)
        return None if text is None else dict(json.loads(text))
    except (SafetensorError, OSError, ValueError, TypeError) as error:
        raise DataError(f"{path}: cannot be read as safetensors of a run ({error})") from None


def _changed(config: RunConfig, settings: Sequence[str], file: Path) -> RunConfig:
    if not settings:
        return config
    return config_from_values(apply_settings(config_values(config), settings), where=f"the config in {file}")

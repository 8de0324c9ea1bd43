"""Weight files of ours: what they say of themselves, and how a trained model is made of one."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor, nn

from avis_data.errors import ConfigError, DataError, Problem, ProblemsError
from avis_data.format_numbers import check_run
from avis_data.training.config import RunConfig, changed_config, config_from_values, config_values, load_config
from avis_data.training.registry import MODELS, build_model
from avis_data.weights.files import read_metadata, read_tensors

__all__ = [
    "categories_of_weights",
    "config_of_weights",
    "load_exactly",
    "load_trained",
    "weights_file",
    "weights_metadata",
]

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
        config = changed_config(own, settings, where=f"the config in {file}")
    elif config_name is None and model_name is None:
        hint = "--config avism_r50, or another of `avis-data train-baseline --help`"
        raise ConfigError(f"{file}: does not say which config it was trained with", hint=hint)
    else:
        named = config_name or MODELS[model_name or ""].default_config
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
    tied = [("model", name) for name in MODELS[config.model_name].tied]
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


def _metadata(path: Path, key: str) -> dict[str, object] | None:
    text = read_metadata(path).get(key)
    try:
        return None if text is None else dict(json.loads(text))
    except (ValueError, TypeError) as error:
        raise DataError(f"{path}: what it says of itself cannot be read ({error})") from None

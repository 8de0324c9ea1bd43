"""The models that there are, and how the one of a config is built."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from avis_data.errors import ConfigError
from avis_data.registry import Registry
from avis_data.training.models.shared import number_dropouts
from avis_data.training.models.spec import ModelConfig, ModelSpec

if TYPE_CHECKING:
    from avis_data.training.config import RunConfig

__all__ = ["MODELS", "build_model", "new_model"]

_ROOM = "avis_data.training.models"

MODELS: Registry[ModelSpec[ModelConfig, object]] = Registry(
    "model",
    {
        "avism": f"{_ROOM}.avism.spec:SPEC",
        "afcv": f"{_ROOM}.afcv.spec:SPEC",
        "rcf": f"{_ROOM}.rcf.spec:SPEC",
        "avs-bg": f"{_ROOM}.avs_bg.spec:SPEC",
    },
    group="avis_data.models",
)


def build_model(config: RunConfig) -> nn.Module:
    """The model of a config, with random weights. Raises ConfigError if its sizes do not go together."""
    try:
        model = MODELS[config.model_name].build(config.model, config.loss)
    except (ValueError, AssertionError, ZeroDivisionError) as error:
        # What torch and transformers raise for widths that cannot be divided by heads or groups.
        raise ConfigError(f"this {config.model_name} cannot be built: {error}") from None
    number_dropouts(model)
    return model


def new_model(config: RunConfig, device: torch.device) -> nn.Module:
    """The model of a config with the random weights of its seed, on the device."""
    torch.manual_seed(config.loop.seed)
    return build_model(config).to(device)

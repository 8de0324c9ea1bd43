"""The models that can be trained: what configures each, and how it is built."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor, nn

from avis_data.errors import ConfigError
from avis_data.training.clips import ClipSource, PredictedTrack, TrainingBatch
from avis_data.training.inference import PredictOptions
from avis_data.training.models.avism import Avism
from avis_data.training.models.avism_config import AvismConfig, AvismLossConfig

__all__ = ["MODELS", "BaselineModel", "ModelEntry", "model_entry"]


class BaselineModel(Protocol):
    """What the loop and prediction ask of a model; it is an `nn.Module` too."""

    def __call__(self, batch: TrainingBatch) -> dict[str, Tensor]:
        """The weighted losses of a batch; their sum is minimised."""

    def predict(self, clip: ClipSource, options: PredictOptions = ...) -> list[PredictedTrack]:
        """The tracks of a whole clip."""


@dataclass(frozen=True, kw_only=True)
class ModelEntry:
    """One model."""

    config: type[Any]
    """Dataclass of its architecture; has `num_classes` and `needs_audio`."""
    loss: type[Any]
    """Dataclass of its objective."""
    build: Callable[[Any, Any], nn.Module]
    """From both, with random weights; gives a `BaselineModel`."""
    default_config: str
    """The shipped config of its published recipe."""


MODELS = {
    "avism": ModelEntry(config=AvismConfig, loss=AvismLossConfig, build=Avism, default_config="avism_r50"),
}


def model_entry(name: str) -> ModelEntry:
    """The model of that name. Raises ConfigError, with the names there are, if there is none."""
    if name not in MODELS:
        raise ConfigError(f"no model {name!r}; there are: {', '.join(MODELS)}")
    return MODELS[name]

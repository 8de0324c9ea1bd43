"""What differs between tasks: how data are opened, sampled and measured. Everything else of a run is the same.

`avis`: clips in the AVISeg layout, instances with identities and classes. `avs`: AVSBench datasets, one mask per frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

from avis_data.training.config import RunConfig
from avis_data.training.data.audio_features import AudioFeatures
from avis_data.training.data.loading import Samples, TrainingSamples
from avis_data.training.data.split import SplitData, open_split
from avis_data.training.registry import model_entry
from avis_data.training.run.avs_task import AvsTask
from avis_data.training.run.distributed import Processes
from avis_data.training.run.validation import Figures, draw_samples, validate_model

__all__ = ["AvisTask", "Split", "Task", "audio_of", "samples_of", "task_of"]


class Split(Protocol):
    """One split of a dataset, opened."""

    @property
    def truth(self) -> Path:
        """The file by whose hash a resumed run knows its data."""

    @property
    def categories(self) -> dict[int, str]:
        """Category id -> name."""


class Task(Protocol):
    """What the loop and prediction ask of a task."""

    def open(self, data: Path, split: str, config: RunConfig) -> Any:
        """A `Split` of a dataset. Raises DataError if it is not in order."""

    def samples(self, config: RunConfig, train: Any) -> Samples:
        """The training samples. Raises DataError if there are none."""

    def validate(
        self, model: nn.Module, split: Any, config: RunConfig, processes: Processes, device: torch.device
    ) -> Figures:
        """Figures of the model on a split, by mode and metric; the same in every process."""

    def draw(
        self, model: nn.Module, split: Any, config: RunConfig, device: torch.device, folder: Path, iteration: int
    ) -> Sequence[Path]:
        """Pictures of predictions, written into a folder."""


class AvisTask:
    """Audio-visual instance segmentation."""

    def open(self, data: Path, split: str, config: RunConfig) -> SplitData:
        """A split in the AVISeg layout."""
        return open_split(data, split, num_classes=config.model.num_classes, audio=audio_of(config))

    def samples(self, config: RunConfig, train: SplitData) -> TrainingSamples:
        """A few frames of a clip each, as the model draws them."""
        sampling = model_entry(config.model_name).sampling(config.data, config.model)
        return TrainingSamples(train, config.data, config.loop.seed, sampling)

    def validate(
        self, model: nn.Module, split: SplitData, config: RunConfig, processes: Processes, device: torch.device
    ) -> Figures:
        """Metrics of tracks."""
        return validate_model(model, split, config, processes, device)

    def draw(
        self, model: nn.Module, split: SplitData, config: RunConfig, device: torch.device, folder: Path, iteration: int
    ) -> Sequence[Path]:
        """Contact sheets, truth above prediction."""
        return draw_samples(model, split, config, device, folder, iteration)


_TASKS: dict[str, Task] = {"avis": AvisTask(), "avs": AvsTask()}


def task_of(config: RunConfig) -> Task:
    """The task of a config's model."""
    return _TASKS[model_entry(config.model_name).task]


def samples_of(config: RunConfig, train: Any) -> Samples:
    """The training samples of a config's model. Raises DataError if there are none."""
    return task_of(config).samples(config, train)


def audio_of(config: RunConfig) -> AudioFeatures | None:
    """Which audio a config's model needs; None for a model without audio."""
    if not config.model.needs_audio:
        return None
    dispensable = model_entry(config.model_name).does_without_audio
    return AudioFeatures(config.data.audio, optional=config.data.audio_optional, dispensable=dispensable)

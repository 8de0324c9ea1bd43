"""The tasks that models are trained for. A task is the one place that says what differs between them.

`avis`: clips in the AVISeg layout; a model says which objects sound, with identity and class (`run/avis_task.py`).
`avs`: AVSBench datasets; a model gives one mask per frame of what sounds, or one class per pixel (`run/avs_task.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

import torch
from torch import nn

from avis_data.errors import ConfigError
from avis_data.registry import Registry
from avis_data.training.data.clips import ClipSource
from avis_data.training.data.loading import DataOptions, Samples
from avis_data.training.models.spec import ModelConfig
from avis_data.training.registry import MODELS

if TYPE_CHECKING:
    from avis_data.training.config import RunConfig

__all__ = [
    "TASKS",
    "Figures",
    "PredictionSummary",
    "Sharing",
    "Split",
    "Task",
    "VideoRequest",
    "task_of",
    "task_of_predictions",
]

Figures = dict[str, dict[str, float | None]]
"""Mode -> metric -> fraction; None where there is nothing to measure."""

_Result = TypeVar("_Result")


class Sharing(Protocol):
    """How work is shared out among the processes of a run."""

    def spread(self, count: int, work: Callable[[int], _Result]) -> list[_Result]:
        """The results of `work` for 0 ... count - 1, in order, in every process."""


class PredictionSummary(Protocol):
    """What a prediction wrote; as text a line for people."""

    def as_dict(self) -> dict[str, object]:
        """The same as plain values."""


class VideoRequest(Protocol):
    """A video file that is to become a dataset of one clip."""

    @property
    def video(self) -> Path | None:
        """The file."""

    @property
    def split(self) -> str:
        """The split that the clip gets."""

    @property
    def vggish(self) -> Path | None:
        """VGGish weights; None: the registered ones."""

    @property
    def fps(self) -> float | None:
        """Frames that are looked at in a second; None: one."""


class Split(Protocol):
    """One split of a dataset, opened for a model."""

    @property
    def truth(self) -> Path:
        """The file by whose hash a resumed run knows its data."""

    @property
    def categories(self) -> dict[int, str]:
        """Category id -> name."""

    def __len__(self) -> int:
        """Clips."""

    def need_labels(self) -> None:
        """Raise DataError if there are none to learn from or to measure with."""

    def fitted(self, config: RunConfig) -> ModelConfig:
        """The architecture with what follows from this training set. Raises ConfigError if it contradicts it."""

    def samples(self, config: RunConfig) -> Samples:
        """The training samples. Raises DataError if there are none."""

    @property
    def clip_ids(self) -> Sequence[str]:
        """Of all clips, in order."""

    def sources(self, config: RunConfig, *, only: Container[str] | None = None) -> Iterator[ClipSource]:
        """Every clip as a model predicts it; `only`: those of these ids."""

    def validate(self, model: nn.Module, config: RunConfig, sharing: Sharing, device: torch.device) -> Figures:
        """Figures of the model on the split, by mode and metric; the same in every process."""

    def draw(
        self, model: nn.Module, config: RunConfig, device: torch.device, folder: Path, iteration: int
    ) -> Sequence[Path]:
        """Pictures of predictions, written into a folder."""

    def predict(
        self, model: nn.Module, config: RunConfig, device: torch.device, out: Path, *, on_clip: Callable[[int], None]
    ) -> PredictionSummary:
        """Predict all clips with a model in evaluation mode and write what it says.

        Args:
            out: the file or folder; it appears when all is there.
            on_clip: called after each clip with the number of all clips.

        Raises:
            DataError: if a file of a clip is bad.
            ToolError: if memory runs out.
        """


class Task(Protocol):
    """What a run, prediction and benchmark ask of a task."""

    @property
    def name(self) -> str:
        """What the specs of models call it."""

    @property
    def data(self) -> type[DataOptions]:
        """Dataclass of the section `data` of a config."""

    @property
    def metrics(self) -> Sequence[str]:
        """The strict metrics by which the best weights may be chosen; the usual one first."""

    @property
    def default_out(self) -> str:
        """Where predictions are written, if nothing else is said."""

    def check(self, config: RunConfig, where: str) -> None:
        """Raises ConfigError if the model and the data of a config do not go together; `where` is named."""

    def open(self, data: Path, split: str, config: RunConfig) -> Split:
        """A split of a dataset. Raises DataError if it is not in order."""

    def make_dataset(self, request: VideoRequest, root: Path, config: RunConfig, categories: Mapping[int, str]) -> None:
        """Make a dataset of one video file. Raises ConfigError if models of this task predict datasets only."""

    def network_size(self, config: RunConfig, size_hw: tuple[int, int]) -> tuple[int, int]:
        """Height and width at which frames of a size go through the network."""

    def sound_shape(self, config: RunConfig) -> tuple[int, ...]:
        """The shape of what is heard in one frame."""

    def reads(self, predictions: Path) -> bool:
        """Whether that is a file or folder of the kind that predictions of this task are."""

    def visualize(
        self,
        data: Path,
        predictions: Mapping[str, Path],
        out: Path,
        *,
        split_name: str,
        clip_ids: Sequence[str],
        on_clip: Callable[[int], None],
    ) -> list[Path]:
        """Render predictions of a split, a video and a sheet of each clip; what was written.

        Args:
            predictions: title of the panel -> file or folder of one model; of one alone the title may be empty.
            clip_ids: only these; empty: all.
            on_clip: called after each clip with the number of all.

        Raises:
            DataError: if dataset, predictions or clip ids are not in order; if a file of a clip is bad, after the
                others were written.
            ToolError: if ffmpeg is missing.
        """

    def training_hint(self, config: RunConfig) -> str:
        """What to lower if memory ends in training."""

    def prediction_hint(self, config: RunConfig) -> str:
        """What to lower if memory ends in prediction."""


TASKS: Registry[Task] = Registry(
    "task",
    {"avis": "avis_data.training.run.avis_task:TASK", "avs": "avis_data.training.run.avs_task:TASK"},
    group="avis_data.tasks",
)


def task_of(config: RunConfig) -> Task:
    """The task of a config's model."""
    return TASKS[MODELS[config.model_name].task]


def task_of_predictions(predictions: Iterable[Path]) -> Task:
    """The task whose predictions are files (or folders) of that kind.

    Raises:
        ConfigError: if they are of several kinds.
    """
    found = {path: next(task for task in TASKS if task.reads(path)) for path in predictions}
    (first, task), *others = found.items()
    for path, other in others:
        if other is not task:
            raise ConfigError(
                f"{first} and {path} are predictions of different kinds, which cannot be shown side by side",
                hint="give result files of tracks, or folders of masks",
            )
    return task

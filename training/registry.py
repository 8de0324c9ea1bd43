"""The models that can be trained: what configures each, and how it is built."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from torch import Tensor, nn

from avis_data.errors import ConfigError
from avis_data.training.data.audio_features import AudioKind
from avis_data.training.data.avsbench import AvsDataConfig
from avis_data.training.data.clips import ClipSource, PredictedTrack, TrainingBatch
from avis_data.training.data.loading import DataConfig
from avis_data.training.data.sampling import AroundAFrame, FramePairs, FramesBefore, Sampling
from avis_data.training.data.split import SplitData
from avis_data.training.models.afcv.config import AfcvConfig, AfcvLossConfig
from avis_data.training.models.afcv.fitting import fitted_to
from avis_data.training.models.afcv.model import Afcv
from avis_data.training.models.avism.config import AvismConfig, AvismLossConfig
from avis_data.training.models.avism.model import Avism
from avis_data.training.models.avs_bg.config import AvsBgConfig, AvsBgLossConfig
from avis_data.training.models.avs_bg.model import AvsBg
from avis_data.training.models.inference import PredictOptions
from avis_data.training.models.rcf.config import RcfConfig, RcfLossConfig
from avis_data.training.models.rcf.model import Rcf

__all__ = ["MODELS", "BaselineModel", "ModelEntry", "model_entry"]


class BaselineModel(Protocol):
    """What the loop and prediction ask of a model; it is an `nn.Module` too."""

    def __call__(self, batch: TrainingBatch) -> dict[str, Tensor]:
        """The weighted losses of a batch; their sum is minimised."""

    def predict(self, clip: ClipSource, options: PredictOptions = ...) -> list[PredictedTrack]:
        """The tracks of a whole clip."""


def _around_a_frame(data: DataConfig, _: Any) -> Sampling:
    return AroundAFrame(count=data.frames, reach=data.reach)


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
    task: Literal["avis", "avs"] = "avis"
    """Instances with identities, or one mask per frame: how data are read, predictions made, written and measured."""
    sampling: Callable[[DataConfig, Any], Sampling] = _around_a_frame
    """From the data's and the architecture's config: which frames make a training sample (`avs`: whole clips do)."""
    audio_kinds: tuple[AudioKind, ...] = ("vggish", "logmel")
    """What it can hear of clips in the AVISeg layout, where it hears at all; the usual one first."""
    data: type[Any] = DataConfig
    """Dataclass of what it sees; has `batch` and `workers`."""
    does_without_audio: bool = False
    """Whether it can train on, and predict, clips without sound beside others."""
    online: bool = False
    """Whether it is an `online.OnlineModel`, which predicts frame by frame."""
    frames: Callable[[Any], int] | None = None
    """From the architecture's config: frames of a training sample, where the model allows one number only."""
    tied: tuple[str, ...] = ()
    """Fields of the architecture that trained weights cannot do without: another value needs another training."""
    fitted: Callable[[Any, SplitData], Any] = lambda config, train: config
    """The architecture's config with what follows from the training set."""


def _frame_pairs(data: DataConfig, model: AfcvConfig) -> Sampling:
    return FramePairs(reach=data.reach, empty_frames=model.empty_frames)


def _frames_before(_: DataConfig, model: RcfConfig) -> Sampling:
    return FramesBefore(count=model.references + model.supervised - 1)


MODELS = {
    "avism": ModelEntry(
        config=AvismConfig,
        loss=AvismLossConfig,
        build=Avism,
        default_config="avism_r50",
    ),
    "afcv": ModelEntry(
        config=AfcvConfig,
        loss=AfcvLossConfig,
        build=Afcv,
        default_config="afcv_r50",
        sampling=_frame_pairs,
        audio_kinds=("slices",),
        does_without_audio=True,
        online=True,
        frames=lambda model: 2,
        fitted=fitted_to,
    ),
    "rcf": ModelEntry(
        config=RcfConfig,
        loss=RcfLossConfig,
        build=Rcf,
        default_config="rcf_r101",
        sampling=_frames_before,
        audio_kinds=("vggish-window", "logmel-window", "vggish", "logmel"),
        does_without_audio=True,
        frames=lambda model: int(model.references + model.supervised),
        online=True,
        tied=("references", "fusion", "audio"),
    ),
    "avs-bg": ModelEntry(
        config=AvsBgConfig,
        loss=AvsBgLossConfig,
        build=AvsBg,
        default_config="avs_bg_pvt_s4",
        task="avs",
        data=AvsDataConfig,
    ),
}


def model_entry(name: str) -> ModelEntry:
    """The model of that name. Raises ConfigError, with the names there are, if there is none."""
    if name not in MODELS:
        raise ConfigError(f"no model {name!r}; there are: {', '.join(MODELS)}")
    return MODELS[name]

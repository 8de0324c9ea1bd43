"""What a model is to everything around it: its name, what configures it, how it is built, and what it asks of its data.

The folder of each model ends in `spec.py`, which makes one `ModelSpec`. `avis_data.training.registry` lists them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, Literal, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from avis_data.training.data.audio_features import AudioKind
from avis_data.training.data.clips import ClipSource, PredictedTrack
from avis_data.training.data.loading import DataConfig
from avis_data.training.data.sampling import AroundAFrame, Sampling
from avis_data.training.data.split import SplitData
from avis_data.training.models.attention_maps import FrameAttention
from avis_data.training.models.renaming import Renamed
from avis_data.training.ranges import Count, CountOrZero, Share

__all__ = [
    "GateBy",
    "MaskModel",
    "ModelConfig",
    "ModelSpec",
    "OfficialFiles",
    "PredictOptions",
    "TrackModel",
    "audio_width",
]

GateBy = Literal["head", "class", "similarity", "head-and-class"]


@dataclass(frozen=True, kw_only=True)
class PredictOptions:
    """How tracks are made. `frames_per_pass` changes no result, and `kept_frames` only rounding."""

    top_k: Count = 100
    """(query, class) pairs that are looked at, those of the highest class probability."""
    score_threshold: Share = 0.3
    """A track needs a higher score, class probability times mask score."""
    frame_gate: Share | None = None
    """Ours, for AVISM: a track is silent in frames in which it is not more probable that it sounds, by what `gate_by`
    says. null: as published, where a track sounds in every frame in which its object is seen."""
    gate_by: GateBy = "head"
    """Who says how probable it is: the sounding head (without one, `class`); the frame's own queries, by the highest
    probability of the track's class among them (`class`) or of being the track (`similarity`); or the lower of what
    the head and the class say (`head-and-class`)."""
    online: bool = False
    """Ours, for AVISM: the tracks of each frame are made of it and of earlier ones only, as with `predict --stream`."""
    stream_frames: Count = 36
    """So many frames, the present one among them, are heard and seen by the tracker of an AVISM that is online."""
    frames_per_pass: Count = 18
    """Frames that go through the network together, on a CPU fewer of large ones in AVISM."""
    kept_frames: CountOrZero = 36
    """Clips of up to that many frames keep their per-pixel embeddings as they are. Of longer ones they are kept in half
    precision: twice as many frames in memory, the others on the disk of temporary files (8 MB a frame of 360 x 640);
    AVISM keeps their frame queries there too."""


class ModelConfig(Protocol):
    """The architecture of a model: a frozen dataclass, checked by pydantic, with at least these two values."""

    @property
    def num_classes(self) -> int:
        """Classes that it tells apart."""

    @property
    def needs_audio(self) -> bool:
        """Whether any part of it hears the sound."""


class TrackModel(Protocol):
    """A model of the task `avis`: an `nn.Module` whose call gives the weighted losses of a batch by name."""

    def predict(self, clip: ClipSource, options: PredictOptions = ...) -> list[PredictedTrack]:
        """The tracks of a whole clip, highest score first."""


class MaskModel(Protocol):
    """A model of the task `avs`: an `nn.Module` whose call gives the weighted losses of a batch by name."""

    def predict(self, clip: ClipSource, options: PredictOptions = ...) -> NDArray[np.generic]:
        """What sounds in each frame of a whole clip, (T, H, W): float32 logits, or uint8 classes."""


@dataclass(frozen=True, kw_only=True)
class OfficialFiles:
    """How the checkpoints that the authors of a model published are made ours."""

    titles: tuple[str, ...]
    """What people call them: "AVISM"."""
    is_one: Callable[[Mapping[str, Tensor]], bool]
    """Whether tensors are named as in these checkpoints."""
    renamed: Callable[[Mapping[str, Tensor]], Renamed]
    """Their tensors under our names."""
    config: Callable[[Mapping[str, Tensor]], tuple[str, ModelConfig]]
    """From the tensors under our names: the shipped config of their recipe, and their architecture."""


# Both are covariant, although a spec takes values of them: code that has a spec from the registry calls it "of some
# model". What it then passes is right because a `RunConfig` holds the model and loss that the spec's types checked.
ConfigT = TypeVar("ConfigT", bound=ModelConfig, covariant=True)
LossT = TypeVar("LossT", covariant=True)


def _around_a_frame(data: DataConfig, _: object) -> Sampling:
    assert data.frames is not None  # a config without it is refused
    return AroundAFrame(count=data.frames, reach=data.reach)


@dataclass(frozen=True, kw_only=True)
class ModelSpec(Generic[ConfigT, LossT]):
    """One model."""

    name: str
    """Of the option `--model` and of `model_name` in configs."""
    config: type[ConfigT]
    """Dataclass of its architecture."""
    loss: type[LossT]
    """Dataclass of its objective."""
    build: Callable[[ConfigT, LossT], nn.Module]
    """From both, with random weights. Gives a `TrackModel` or a `MaskModel`, as the task says."""
    default_config: str
    """The shipped config of its published recipe."""
    task: str = "avis"
    """Name in `task.TASKS`: what it predicts, and how that is read, written and measured."""
    tied: tuple[str, ...] = ()
    """Fields of the architecture that trained weights cannot do without: another value needs another training."""
    online: bool = False
    """Whether it predicts whole clips frame by frame too; other models of `online.OnlineModel` can be streamed."""
    official: OfficialFiles | None = None
    """Published checkpoints that can be made ours; None where there are none."""
    attention: Callable[[nn.Module, ClipSource], Iterator[FrameAttention]] | None = None
    """Where a model in evaluation mode looks in each frame of a clip, taken from outside; None where nothing shows."""

    runs_together: bool = True
    """Whether a batch is one pass through the network, or as many in every process: batch norms can then be shared."""

    # What it asks of clips in the AVISeg layout (task `avis`):
    audio_kinds: tuple[AudioKind, ...] = ("vggish", "logmel")
    """What it can hear, where it hears at all; the usual one first."""
    does_without_audio: bool = False
    """Whether it can train on, and predict, clips without sound beside others."""
    sampling: Callable[[DataConfig, ConfigT], Sampling] = _around_a_frame
    """From the data's and the architecture's config: which frames make a training sample."""
    frames: Callable[[ConfigT], int] | None = None
    """From the architecture's config: frames of a training sample, where the model allows one number only."""
    fitted: Callable[[ConfigT, SplitData], ConfigT] | None = None
    """The architecture's config with what follows from the training set; None where nothing does."""


def audio_width(config: ModelConfig) -> int | None:
    """How many values the audio vector of a frame has for a model; None where its config does not say."""
    width = getattr(config, "audio_channels", None)
    return width if isinstance(width, int) else None

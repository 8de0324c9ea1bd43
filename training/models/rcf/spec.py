"""RCF as one of the models that there are."""

from __future__ import annotations

from avis_data.training.data.loading import DataConfig
from avis_data.training.data.sampling import FramesBefore, Sampling
from avis_data.training.models.rcf.config import RcfConfig, RcfLossConfig
from avis_data.training.models.rcf.looking import rcf_attention
from avis_data.training.models.rcf.model import Rcf
from avis_data.training.models.spec import ModelSpec

__all__ = ["SPEC"]


def _frames(model: RcfConfig) -> int:
    return model.references + model.supervised


def _sampling(_: DataConfig, model: RcfConfig) -> Sampling:
    return FramesBefore(count=_frames(model) - 1)


SPEC = ModelSpec(
    name="rcf",
    config=RcfConfig,
    loss=RcfLossConfig,
    build=Rcf,
    default_config="rcf_r101",
    tied=("references", "fusion", "audio"),
    online=True,
    audio_kinds=("vggish-window", "logmel-window", "vggish", "logmel"),
    does_without_audio=True,
    sampling=_sampling,
    frames=_frames,
    attention=rcf_attention,
)

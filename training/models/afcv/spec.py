"""AFCV (and CrossVIS, which is AFCV without sound) as one of the models that there are."""

from __future__ import annotations

from dataclasses import replace

from avis_data.errors import ConfigError
from avis_data.training.data.audio_slices import log_mel_moments
from avis_data.training.data.loading import DataConfig
from avis_data.training.data.sampling import FramePairs, Sampling
from avis_data.training.data.split import SplitData
from avis_data.training.models.afcv.config import AfcvConfig, AfcvLossConfig
from avis_data.training.models.afcv.model import Afcv
from avis_data.training.models.spec import ModelSpec

__all__ = ["SPEC", "fitted_to"]


def fitted_to(config: AfcvConfig, train: SplitData) -> AfcvConfig:
    """The config with the number of tracks, and with mean and deviation of the log-mel values, of a training set.

    Values that are given stay.

    Raises:
        ConfigError: if another number of tracks is given than there are.
        DataError: if a recording cannot be read, or no clip has any sound.
    """
    if config.num_identities not in (None, train.num_identities):
        raise ConfigError(
            f"model.num_identities is {config.num_identities}, {train.truth} has {train.num_identities} tracks",
            hint="--set model.num_identities=null",
        )
    config = replace(config, num_identities=train.num_identities)
    if not config.audio or (config.audio_mean is not None and config.audio_deviation is not None):
        return config
    mean, deviation = log_mel_moments(clip.audio for clip in train.clips if clip.audio is not None)
    return replace(
        config,
        audio_mean=mean if config.audio_mean is None else config.audio_mean,
        audio_deviation=(deviation or 1.0) if config.audio_deviation is None else config.audio_deviation,
    )


def _pairs(data: DataConfig, model: AfcvConfig) -> Sampling:
    return FramePairs(reach=data.reach, empty_frames=model.empty_frames)


def _two(_: AfcvConfig) -> int:
    return 2


SPEC = ModelSpec(
    name="afcv",
    config=AfcvConfig,
    loss=AfcvLossConfig,
    build=Afcv,
    default_config="afcv_r50",
    online=True,
    audio_kinds=("slices",),
    does_without_audio=True,
    sampling=_pairs,
    frames=_two,
    fitted=fitted_to,
)

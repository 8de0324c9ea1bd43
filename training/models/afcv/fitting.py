"""What an AFCV must know of its training set before it is built."""

from __future__ import annotations

from dataclasses import replace

from avis_data.errors import ConfigError
from avis_data.training.data.audio_slices import log_mel_moments
from avis_data.training.data.split import SplitData
from avis_data.training.models.afcv.config import AfcvConfig

__all__ = ["fitted_to"]


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

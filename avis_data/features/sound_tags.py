"""What there may be to hear: the 521 classes of YAMNet, and the categories of a dataset that they speak for."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avis_data.errors import DataError
from avis_data.features.sound_classes import classes_of
from avis_data.media.sound import SAMPLE_RATE_HZ
from avis_data.weights.networks import Session, load_onnx

__all__ = ["HeardCategory", "SoundTagger", "heard_categories", "load_sound_tagger", "sound_tags"]

_LOG_OFFSET = 0.001
_GIVEN_SCALE, _GIVEN_ZERO = 0.04794742166996002, 144
_ANSWER_SCALE, _ANSWER_ZERO = 0.7565417289733887, 190
"""How the file writes its numbers as bytes: it is the published one, to the bit (`weights/known.py`)."""
_LOUDEST = 3
"""A category is heard as much as in so many of its clearest windows: a dog that barks once is heard."""
_LEAST_CHANCE = 0.15
"""Two steps of the file's coarse numbers below even odds: a label too many on a page costs less than one too few."""
_HINT = "avis-data weights get yamnet --accept-licence"


@dataclass(frozen=True)
class SoundTagger:
    """YAMNet, loaded."""

    session: Session
    given: str
    """Name of the input."""
    classes: tuple[str, ...]
    """Names of AudioSet, in the order of the answers."""


@dataclass(frozen=True)
class HeardCategory:
    """A category that may be heard in a clip."""

    category: str
    chance: float
    """In [0, 1]; coarse."""
    sound: str
    """The class of AudioSet that speaks for it most."""


def load_sound_tagger(folder: Path) -> SoundTagger:
    """YAMNet in the int8 form of `avis-data weights get yamnet`: `model.onnx`, `model.data` and the names of classes.

    Raises:
        DataError: if a file is missing, or another network.
    """
    from avis_data.features.logmel import EXAMPLE_FRAMES, NUM_BANDS  # with torch, which planning does without

    session = load_onnx(folder / "model.onnx")
    (given, *others) = session.get_inputs()
    if others or list(given.shape)[1:] != [1, EXAMPLE_FRAMES, NUM_BANDS]:
        raise DataError(f"{folder}: no YAMNet: its input is {list(given.shape)}", hint=_HINT)
    try:
        with (folder / "yamnet_class_map.csv").open(encoding="utf-8", newline="") as file:
            classes = tuple(row["display_name"] for row in csv.DictReader(file))
    except (OSError, KeyError, TypeError, ValueError, csv.Error) as error:
        raise DataError(f"{folder}: its names of classes cannot be read ({error})", hint=_HINT) from None
    if list(session.get_outputs()[0].shape)[-1] != len(classes):
        raise DataError(f"{folder}: {len(classes)} names of classes do not fit its network", hint=_HINT)
    return SoundTagger(session, given.name, classes)


def sound_tags(samples_N: NDArray[np.float32], tagger: SoundTagger) -> NDArray[np.float64]:
    """How likely each class is heard.

    Args:
        samples_N: mono, 16 kHz, in [-1, 1]; filled up with silence to one window.
        tagger: from `load_sound_tagger`.

    Returns:
        float64 (W, 521) in [0, 1]: windows of 0.96 s, one every 0.48 s.
    """
    from avis_data.features.logmel import EXAMPLE_FRAMES, log_mel

    mel_FM = log_mel(np.pad(samples_N, (0, max(0, SAMPLE_RATE_HZ - len(samples_N)))), offset=_LOG_OFFSET)
    given_FM = np.clip(np.round(mel_FM / _GIVEN_SCALE + _GIVEN_ZERO), 0, 255).astype(np.uint8)
    chances = []
    for first in range(0, len(given_FM) - EXAMPLE_FRAMES + 1, EXAMPLE_FRAMES // 2):
        window = given_FM[None, None, first : first + EXAMPLE_FRAMES]
        (answer,) = tagger.session.run(None, {tagger.given: window})
        logits = (answer.reshape(-1).astype(np.float64) - _ANSWER_ZERO) * _ANSWER_SCALE
        chances.append(1 / (1 + np.exp(-logits)))
    return np.array(chances)


def heard_categories(
    samples_N: NDArray[np.float32], tagger: SoundTagger, categories: Sequence[str]
) -> tuple[HeardCategory, ...]:
    """The categories that may be heard in a clip, the likeliest first.

    Args:
        samples_N: mono, 16 kHz, in [-1, 1].
        tagger: from `load_sound_tagger`.
        categories: of a category set; those without a sound in `sound_classes.py` are never heard.
    """
    chances_WC = sound_tags(samples_N, tagger)
    clearest_C = np.sort(chances_WC, axis=0)[-_LOUDEST:].mean(axis=0)
    place = {name: index for index, name in enumerate(tagger.classes)}
    found = []
    for category in categories:
        known = [(float(clearest_C[place[name]]), name) for name in classes_of(category) if name in place]
        if known and max(known)[0] >= _LEAST_CHANCE:
            chance, sound = max(known)
            found.append(HeardCategory(category, chance, sound))
    return tuple(sorted(found, key=lambda heard: -heard.chance))

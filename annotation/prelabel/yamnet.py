"""The small tagger that a package index ships: YAMNet, 521 classes of AudioSet, on the CPU.

Shapes: N samples, W windows, S seconds, C categories.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avis_data.features.sound_classes import classes_of
from avis_data.features.sound_tags import SoundTagger, load_sound_tagger, sound_tags

__all__ = ["Yamnet", "chances_by_category", "load_yamnet"]

_STEP_S, _MIDDLE_S = 0.48, 0.48
"""Between windows, and to the middle of the first."""


class Yamnet:
    """Tags by AudioSet's classes that speak for a category. Asking changes nothing in it."""

    name = "yamnet"
    heard_from = 0.3
    """Its numbers come in coarse steps; below it open-15 has speech only where nobody speaks."""

    def __init__(self, tagger: SoundTagger, *, weights_sha256: str) -> None:
        """With a tagger that is loaded."""
        self._tagger, self.weights_sha256 = tagger, weights_sha256

    def tag(self, samples_N: NDArray[np.float32], categories: Sequence[str], num_seconds: int) -> NDArray[np.float64]:
        """A category is heard in a second as much as in the clearest window whose middle lies in it."""
        of_windows = chances_by_category(sound_tags(samples_N, self._tagger), self._tagger.classes, categories)
        found_SC = np.zeros((num_seconds, len(categories)))
        for window, chances in enumerate(of_windows):
            second = int(window * _STEP_S + _MIDDLE_S)
            if second < num_seconds:
                found_SC[second] = np.maximum(found_SC[second], chances)
        return found_SC


def chances_by_category(
    chances_WK: NDArray[np.float64], classes: Sequence[str], categories: Sequence[str]
) -> NDArray[np.float64]:
    """From AudioSet's classes to categories: the likeliest class that speaks for one.

    Args:
        chances_WK: of each class in each window, in [0, 1].
        classes: their names.
        categories: of a category set.

    Returns:
        float64 (W, C); 0 for a category that no class speaks for.
    """
    place = {name: number for number, name in enumerate(classes)}
    found_WC = np.zeros((len(chances_WK), len(categories)))
    for column, category in enumerate(categories):
        speaking = [place[name] for name in classes_of(category) if name in place]
        if speaking:
            found_WC[:, column] = chances_WK[:, speaking].max(axis=1)
    return found_WC


def load_yamnet(folder: Path, *, weights_sha256: str) -> Yamnet:
    """YAMNet as `avis-data weights get yamnet` brings it. Raises DataError for anything else."""
    return Yamnet(load_sound_tagger(folder), weights_sha256=weights_sha256)

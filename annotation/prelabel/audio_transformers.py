"""Taggers of transformers: AST, which knows AudioSet's classes, and CLAP, which is asked in words.

Both are loaded from a folder of their official layout; what lies elsewhere is never fetched, and no code of the folder
runs. Each second is heard with the half second before and after it.

Shapes: N samples, S seconds, C categories, K classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soxr
import torch
from numpy.typing import NDArray

from avis_data.annotation.prelabel.folders import on_device, read_folder
from avis_data.annotation.prelabel.object_classes import words_of
from avis_data.annotation.prelabel.yamnet import chances_by_category
from avis_data.errors import DataError
from avis_data.features.sound_classes import CLASSES
from avis_data.media.sound import SAMPLE_RATE_HZ

__all__ = ["Ast", "Clap", "load_ast", "load_clap"]

_AROUND_S = 0.5
_BATCH = 8
_ASKED = "This is a sound of {}."
_ELSE = ("silence", "background noise", "wind", "music")
"""What a second may be too: chances are shared among these and the categories."""


class Ast:
    """Audio spectrogram transformer, trained on AudioSet."""

    name = "ast"
    heard_from = 0.3

    def __init__(self, model: Any, extractor: Any, *, weights_sha256: str, device: torch.device) -> None:
        """`model`: an ASTForAudioClassification; `extractor`: its ASTFeatureExtractor."""
        self._model, self._extractor, self._device = model.eval().to(device), extractor, device
        self.weights_sha256 = weights_sha256
        self._classes = [str(model.config.id2label[number]) for number in range(model.config.num_labels)]

    @torch.inference_mode()
    def tag(self, samples_N: NDArray[np.float32], categories: Sequence[str], num_seconds: int) -> NDArray[np.float64]:
        """A category is heard as much as the likeliest class that speaks for it."""
        found = []
        for windows in _batches(samples_N, num_seconds):
            given = self._extractor(windows, sampling_rate=SAMPLE_RATE_HZ, return_tensors="pt")
            logits_BK = self._model(input_values=given["input_values"].to(self._device)).logits
            found.append(logits_BK.sigmoid().double().cpu().numpy())
        return chances_by_category(np.concatenate(found), self._classes, categories)


class Clap:
    """Sound and words in one space: which of the categories a second sounds like most, or like none of them."""

    name = "clap"
    heard_from = 0.4

    def __init__(self, model: Any, processor: Any, *, weights_sha256: str, device: torch.device) -> None:
        """`model`: a ClapModel; `processor`: its ClapProcessor."""
        self._model, self._processor, self._device = model.eval().to(device), processor, device
        self.weights_sha256 = weights_sha256
        self._rate_hz = int(processor.feature_extractor.sampling_rate)

    @torch.inference_mode()
    def tag(self, samples_N: NDArray[np.float32], categories: Sequence[str], num_seconds: int) -> NDArray[np.float64]:
        """Chances of a second add up to one, with those of other sounds; all categories are asked."""
        asked = [_ASKED.format(words_of(category)) for category in categories]
        asked += [_ASKED.format(other) for other in _ELSE]
        words = self._processor.tokenizer(asked, padding=True, return_tensors="pt").to(self._device)
        found = []
        for windows in _batches(samples_N, num_seconds):
            heard = [soxr.resample(window, SAMPLE_RATE_HZ, self._rate_hz) for window in windows]
            given = self._processor.feature_extractor(heard, sampling_rate=self._rate_hz, return_tensors="pt")
            answer = self._model(**words, **given.to(self._device))
            found.append(answer.logits_per_audio.softmax(dim=-1).double().cpu().numpy())
        chances_SC: NDArray[np.float64] = np.concatenate(found)[:, : len(categories)]
        return chances_SC


def load_ast(folder: Path, *, weights_sha256: str) -> Ast:
    """AST from a folder: config.json, model.safetensors, preprocessor_config.json.

    Raises:
        DataError: if it is none, or its classes are not AudioSet's.
    """
    from transformers import ASTFeatureExtractor, ASTForAudioClassification

    model, extractor = read_folder(folder, ASTForAudioClassification, ASTFeatureExtractor)
    known = {name for names in CLASSES.values() for name in names}
    if not known & set(model.config.id2label.values()):
        raise DataError(f"{folder}: none of its classes is one of AudioSet", hint="use an AST that was trained on it")
    return Ast(model, extractor, weights_sha256=weights_sha256, device=on_device())


def load_clap(folder: Path, *, weights_sha256: str) -> Clap:
    """CLAP from a folder: config.json, model.safetensors, preprocessor_config.json and the tokenizer's files.

    Raises:
        DataError: if it is none.
    """
    from transformers import ClapModel, ClapProcessor

    model, processor = read_folder(folder, ClapModel, ClapProcessor)
    return Clap(model, processor, weights_sha256=weights_sha256, device=on_device())


def _batches(samples_N: NDArray[np.float32], num_seconds: int) -> Iterator[list[NDArray[np.float32]]]:
    """Every second with what is around it, some at a time; silence where the sound has not begun or is over."""
    around = round(_AROUND_S * SAMPLE_RATE_HZ)
    missing = max(0, num_seconds * SAMPLE_RATE_HZ - len(samples_N))
    padded_N = np.pad(samples_N, (around, around + missing))
    for first in range(0, num_seconds, _BATCH):
        seconds = range(first, min(first + _BATCH, num_seconds))
        yield [padded_N[t * SAMPLE_RATE_HZ : (t + 1) * SAMPLE_RATE_HZ + 2 * around] for t in seconds]

"""Truth and predictions of masks, clip by clip as the figures take them; everything wrong is collected."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from avis_data.errors import DataError, Problem
from avis_data.formats.avsbench_masks import MaskFiles, classes_of_colours, mask_files
from avis_data.metrics.avs import AvsClip
from avis_data.metrics.avss import AvssClip, classes_of_logits

__all__ = ["AvsPair", "load_avs_clip", "load_avss_clip", "pair_clips"]

logger = logging.getLogger(__name__)
_TRUTH_KEYS, _SCORE_KEYS = ("_gt", "_label"), ("_logits",)


@dataclass(frozen=True, slots=True, kw_only=True)
class AvsPair:
    """Truth and prediction of one clip, not yet read."""

    name: str
    truth: MaskFiles
    predicted: MaskFiles


def pair_clips(truth: Path, predictions: Path) -> tuple[list[AvsPair], list[Problem]]:
    """Find the clips on both sides.

    `mask_files` says what a clip is. Arrays are `<clip>_gt` or `<clip>_label` for truth, `<clip>_logits` for
    predictions.

    Raises:
        DataError: if a path does not exist or holds no clip.
    """
    found, predicted = mask_files(truth, _TRUTH_KEYS), mask_files(predictions, _SCORE_KEYS)
    problems = [
        Problem(str(predictions), "", f"no prediction for clip {name}") for name in found if name not in predicted
    ]
    problems += [
        Problem(str(predictions), "", f"clip {name} is not in {truth}") for name in predicted if name not in found
    ]
    pairs = [AvsPair(name=name, truth=found[name], predicted=predicted[name]) for name in found if name in predicted]
    return pairs, problems


def load_avs_clip(pair: AvsPair, *, are_logits: bool) -> AvsClip:
    """The clip as binary masks.

    Truth: anything above 0 is inside. Predictions: pictures hold probabilities x 255, arrays of bool or whole numbers
    0 and 1 masks, other arrays logits (or probabilities).

    Raises:
        DataError: if a file cannot be read, or shapes or values are not possible.
    """
    truth, scores = (_without_colour(source.load()) for source in (pair.truth, pair.predicted))
    _check_shapes(pair, truth, scores)
    if not set(np.unique(truth).tolist()) <= {0, 1, 255}:
        logger.warning("truth holds values other than 0 and 255 (or 1), all above 0 taken as inside clip=%s", pair.name)
    is_mask_picture = scores.dtype == np.uint8 and pair.predicted.files[0].suffix not in (".npy", ".npz")
    if is_mask_picture:
        scores, are_logits = scores.astype(np.float32) / 255, False
    elif scores.dtype.kind in "bui":
        if not np.isin(scores, (0, 1)).all():
            raise DataError(f"{pair.predicted.files[0]}: clip {pair.name}: whole numbers other than 0 and 1")
        are_logits = False
    if not np.isfinite(scores).all() or (not are_logits and ((scores < 0) | (scores > 1)).any()):
        kind = "finite logits" if are_logits else "probabilities in [0, 1]"
        raise DataError(f"{pair.predicted.files[0]}: clip {pair.name}: values are no {kind}")
    inside = truth if truth.dtype.kind == "f" and truth.max(initial=0) <= 1 else truth > 0
    return AvsClip(name=pair.name, truth_THW=inside, score_THW=scores, are_logits=are_logits)


def load_avss_clip(pair: AvsPair, *, num_classes: int) -> AvssClip:
    """The clip as one class per pixel.

    Pictures: grey values or palette indices are classes; colours are those of PASCAL VOC, an unknown one is class 0.
    Arrays: (T, H, W) classes, or for predictions (T, C, H, W) logits.

    Raises:
        DataError: if a file cannot be read, or shapes or classes are not possible.
    """
    label, predicted = pair.truth.load(), pair.predicted.load()
    if label.ndim == 4:
        label = classes_of_colours(label, num_classes)
    if predicted.ndim == 4 and pair.predicted.files[0].suffix in (".npy", ".npz"):
        predicted = classes_of_logits(predicted)
    elif predicted.ndim == 4:
        predicted = classes_of_colours(predicted, num_classes)
    _check_shapes(pair, label, predicted)
    for source, array, lowest in ((pair.truth, label, -1), (pair.predicted, predicted, 0)):
        if array.size and (array.min() < lowest or array.max() >= num_classes):
            message = (
                f"classes {array.min()} to {array.max()}, must be in 0 to {num_classes - 1} (--classes {num_classes})"
            )
            raise DataError(f"{source.files[0]}: clip {pair.name}: {message}")
    return AvssClip(name=pair.name, label_THW=label.astype(np.int64), predicted_THW=predicted.astype(np.int64))


def _without_colour(array: np.ndarray) -> np.ndarray:
    """Masks saved as colour pictures: the brightest channel."""
    if array.ndim != 4 or array.shape[-1] != 3:
        return array
    brightest: np.ndarray = array.max(axis=-1)
    return brightest


def _check_shapes(pair: AvsPair, truth: np.ndarray, predicted: np.ndarray) -> None:
    if truth.ndim != 3 or truth.shape != predicted.shape:
        raise DataError(
            f"{pair.predicted.files[0]}: clip {pair.name}: {predicted.shape}, truth has {truth.shape}; both (T, H, W)"
        )

"""mIoU and F-score of AVSBench-semantic (AVSS): one class per pixel.

Shapes: T frames of a clip, H x W pixels, C classes (0 is the background).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

__all__ = [
    "AvssClip",
    "AvssClipResult",
    "AvssFigures",
    "AvssResult",
    "AvssSums",
    "classes_of_logits",
    "evaluate_avss",
    "measure_avss",
    "summarise_avss",
]

BETA2 = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class AvssClip:
    """One clip: what is true and what was predicted."""

    name: str
    label_THW: np.ndarray
    """int: class of each pixel, -1 = ignore."""
    predicted_THW: np.ndarray
    """int: class of each pixel (`classes_of_logits` makes it of logits)."""
    exists_T: np.ndarray | None = None
    """bool: False for slots that only fill a short clip up; None: all frames exist."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AvssClipResult:
    """Sums over the frames of a clip, by class, in 32 bits as the reference has them."""

    name: str
    iou_sum: list[float]
    f_sum: list[float]
    frames: list[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class AvssSums:
    """Sums over the frames of one clip, (3, C): of IoU, of F, and how often the class is predicted or true."""

    name: str
    own: np.ndarray
    """Sums over the frames that exist, in 64 bits."""
    reference: np.ndarray
    """Sums over all slots, in 32 bits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AvssFigures:
    """Means over classes of the mean over the frames in which the class is predicted or true."""

    miou: float
    """Mean over all C classes, those never seen as 0; as published."""
    fscore: float
    miou_seen_only: float
    """Mean over the classes that were seen."""
    fscore_seen_only: float
    miou_drop_last: float
    """Without the last class: what the reference calls "no background", although the background is class 0."""
    fscore_drop_last: float
    miou_foreground: float
    """Without class 0, the background."""
    fscore_foreground: float
    classes_seen: int
    """Classes that are predicted or true somewhere; the reference gives it, and the cases of tests hold it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AvssResult:
    """Ours over the frames that exist; the reference's over all slots, of which the filled-up ones score 1."""

    figures: AvssFigures
    reference: AvssFigures
    clips: list[AvssClipResult]

    def as_dict(self) -> dict[str, Any]:
        """Flat, the reference's figures under `reference`; without the clips."""
        return {**asdict(self.figures), "reference": asdict(self.reference)}


def evaluate_avss(clips: Iterable[AvssClip], *, num_classes: int) -> AvssResult:
    """mIoU and F-score (beta^2 = 0.3) of semantic masks.

    Args:
        clips: one at a time is held.
        num_classes: C.

    Raises:
        ValueError: if there is no clip, shapes differ, or a class is not in [0, C) (labels: -1 too).

    Source: Zhou et al., "Audio-Visual Segmentation with Semantics", IJCV 2024, and its code; specs/avs_bg.md §9.3.

    Example:
        >>> classes = np.array([[[0, 0, 2], [0, 1, 2]]])
        >>> clip = AvssClip(name="a", label_THW=classes, predicted_THW=classes)
        >>> round(evaluate_avss([clip], num_classes=3).figures.miou, 6)
        1.0
    """
    return summarise_avss([measure_avss(clip, num_classes) for clip in clips])


def measure_avss(clip: AvssClip, num_classes: int) -> AvssSums:
    """The sums of one clip. Raises ValueError if shapes differ or a class is not in [0, C) (labels: -1 too)."""
    _check(clip, num_classes)
    exists_T = np.ones(len(clip.label_THW), dtype=bool) if clip.exists_T is None else clip.exists_T
    return AvssSums(
        name=clip.name,
        own=_sums(clip, num_classes, np.flatnonzero(exists_T), np.dtype(np.float64)),
        # The reference adds up a clip in 32 bits and the clips in 64.
        reference=_sums(clip, num_classes, np.arange(len(clip.label_THW)), np.dtype(np.float32)),
    )


def summarise_avss(clips: Sequence[AvssSums]) -> AvssResult:
    """What `evaluate_avss` gives, of clips that were measured one by one (in several processes). Raises ValueError if
    there are none."""
    if not clips:
        raise ValueError("there is no clip to evaluate")
    own, reference = (np.zeros(clips[0].own.shape) for _ in range(2))
    found = []
    for clip in clips:
        own += clip.own
        reference += clip.reference
        iou, fscore, frames = clip.reference
        found.append(
            AvssClipResult(
                name=clip.name, iou_sum=iou.tolist(), f_sum=fscore.tolist(), frames=frames.astype(int).tolist()
            )
        )
    return AvssResult(figures=_figures(own), reference=_figures(reference), clips=found)


def classes_of_logits(logits_TCHW: np.ndarray) -> np.ndarray:
    """Class of largest logit of each pixel, the lowest of equal ones; int (T, H, W).

    Example:
        >>> classes_of_logits(np.array([[[[0.1, 3.0]], [[2.0, 0.5]]]]))
        array([[[1, 0]]])
    """
    classes: np.ndarray = logits_TCHW.argmax(axis=1)
    return classes


def _check(clip: AvssClip, num_classes: int) -> None:
    if clip.label_THW.shape != clip.predicted_THW.shape or clip.label_THW.ndim != 3:
        shapes = f"label is {clip.label_THW.shape}, prediction {clip.predicted_THW.shape}"
        raise ValueError(f"clip {clip.name!r}: {shapes}; both must be (T, H, W)")
    for what, array, lowest in (("label", clip.label_THW, -1), ("predicted", clip.predicted_THW, 0)):
        if array.size and (array.min() < lowest or array.max() >= num_classes):
            raise ValueError(
                f"clip {clip.name!r}: {what} class {array.min()} to {array.max()}, not in 0 to {num_classes - 1}"
            )


def _sums(clip: AvssClip, num_classes: int, frames: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    """(3, C): sum of IoU, sum of F, number of frames in which the class is predicted or true."""
    score = _reference_scores if dtype == np.float32 else _scores
    sums = np.zeros((3, num_classes), dtype)
    for t in frames:
        counts = clip.label_THW[t] >= 0
        label, predicted = clip.label_THW[t][counts], clip.predicted_THW[t][counts]
        both, of_label, of_prediction = (
            np.bincount(pixels, minlength=num_classes).astype(dtype)
            for pixels in (label[label == predicted], label, predicted)
        )
        iou, fscore = score(both, of_label, of_prediction)
        sums += np.stack((iou, fscore, (of_label + of_prediction > 0).astype(dtype)))
    return sums


def _scores(both: np.ndarray, of_label: np.ndarray, of_prediction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """IoU and F by class, 0 where undefined; with beta^2 = 3 / 10, F is one division of whole numbers."""
    iou = both / np.maximum(of_label + of_prediction - both, 1)
    return iou, 13 * both / np.maximum(3 * of_label + 10 * of_prediction, 1)


def _reference_scores(
    both: np.ndarray, of_label: np.ndarray, of_prediction: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The same as the reference has it: 32 bits, in its order of operations."""
    beta2, more, eps = (np.float32(value) for value in (BETA2, 1 + BETA2, np.finfo(np.float64).eps))
    with np.errstate(invalid="ignore", divide="ignore"):
        precision, recall = both / of_prediction, both / of_label
        fscore = more * precision * recall / (beta2 * precision + recall)
    return both / (eps + (of_label + of_prediction - both)), np.nan_to_num(fscore, nan=0.0)


def _figures(sums: np.ndarray) -> AvssFigures:
    seen = sums[2] > 0
    iou, fscore = (np.where(seen, total / np.maximum(sums[2], 1), 0.0) for total in sums[:2])
    return AvssFigures(
        miou=float(iou.mean()),
        fscore=float(fscore.mean()),
        miou_seen_only=float(iou[seen].mean()) if seen.any() else 0.0,
        fscore_seen_only=float(fscore[seen].mean()) if seen.any() else 0.0,
        miou_drop_last=float(iou[:-1].mean()),
        fscore_drop_last=float(fscore[:-1].mean()),
        miou_foreground=float(iou[1:].mean()),
        fscore_foreground=float(fscore[1:].mean()),
        classes_seen=int(seen.sum()),
    )

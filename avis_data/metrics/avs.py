"""mIoU and F-score of AVSBench (S4, MS3): one binary mask per frame, no identities.

Shapes: T frames of a clip, H x W pixels, K = 255 thresholds, N frames of a group of clips.

The figures of the reference are repeated in its own 32-bit arithmetic and order of additions, so that they agree to the
last bit; ours are made of the same counts in 64 bits.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

__all__ = [
    "AvsClip",
    "AvsClipResult",
    "AvsFrames",
    "AvsReference",
    "AvsResult",
    "evaluate_avs",
    "measure_avs",
    "summarise_avs",
]

BETA2 = 0.3
NUM_THRESHOLDS = 255
_UNION_EPS, _COUNT_EPS = np.float32(1e-7), np.float32(1e-20)


@dataclass(frozen=True, slots=True, kw_only=True)
class AvsClip:
    """One clip: what is true and what was predicted."""

    name: str
    truth_THW: np.ndarray
    """Number, 1 inside and 0 outside; fractions are taken as they are."""
    score_THW: np.ndarray
    """float: logits, or with `are_logits=False` probabilities in [0, 1]."""
    are_logits: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class AvsClipResult:
    """One clip as the reference measures it in a group of its own; 32-bit values."""

    name: str
    iou: float
    frame_iou: list[float]
    fscore: float
    f_curve: list[float]
    """Mean F over the frames with an object at each threshold; all 0 without such a frame."""
    frames_with_object: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AvsReference:
    """The figures of the reference functions, which depend on how many clips are evaluated together."""

    clips_per_group: int
    miou: float
    fscore: float
    group_iou: list[float]
    group_fscore: list[float]


@dataclass(frozen=True, slots=True, kw_only=True)
class AvsResult:
    """Figures that do not depend on the order or the grouping of the clips; None where no frame is of the kind."""

    miou: float
    """Mean over all frames: IoU where there is an object; where there is none, the share of pixels left alone."""
    fscore: float | None
    """Largest value, over the thresholds, of F averaged over all frames with an object."""
    fscore_threshold: float | None
    """The threshold of that F (chosen on the evaluated data, as in the reference)."""
    miou_object: float | None
    """Mean over the frames with an object only."""
    miou_no_object: float | None
    frames_object: int
    frames_no_object: int
    reference: AvsReference | None
    clips: Sequence[AvsClipResult]

    def as_dict(self) -> dict[str, Any]:
        """All but the clips."""
        return {name: value for name, value in asdict(self).items() if name != "clips"}


@dataclass(frozen=True, slots=True, kw_only=True)
class AvsFrames:
    """Counts of the frames of one clip; float32 as the reference has them."""

    name: str
    has_object_T: np.ndarray
    iou_T: np.ndarray
    exact_iou_T: np.ndarray
    f_TK: np.ndarray
    exact_f_TK: np.ndarray


def evaluate_avs(clips: Iterable[AvsClip], *, clips_per_group: int | None = None) -> AvsResult:
    """mIoU and F-score (beta^2 = 0.3) of binary masks.

    Args:
        clips: one at a time is held.
        clips_per_group: also give the figures of the reference for groups of so many clips in the given order (BG's
            code takes 1, the scripts of AVSBench 4; the values differ).

    Returns:
        Fractions in [0, 1].

    Raises:
        ValueError: if there is no clip, or truth and scores of one differ in shape.

    Source: Zhou et al., "Audio-Visual Segmentation", ECCV 2022, and its code; specs/avs_bg.md §9.1 and 9.2.

    Example:
        >>> inside = np.zeros((1, 4, 6))
        >>> inside[:, 1:3, 2:5] = 1
        >>> clip = AvsClip(name="a", truth_THW=inside, score_THW=20 * inside - 10)
        >>> round(evaluate_avs([clip]).miou, 6)
        1.0
    """
    return summarise_avs([measure_avs(clip) for clip in clips], clips_per_group=clips_per_group)


def summarise_avs(frames: Sequence[AvsFrames], *, clips_per_group: int | None = None) -> AvsResult:
    """What `evaluate_avs` gives, of clips that were measured one by one (in several processes). Raises ValueError if
    there are none."""
    if not frames:
        raise ValueError("there is no clip to evaluate")
    has_object = np.concatenate([item.has_object_T for item in frames])
    iou = np.concatenate([item.exact_iou_T for item in frames])
    f_K = np.concatenate([item.exact_f_TK for item in frames])[has_object].mean(axis=0) if has_object.any() else None
    return AvsResult(
        miou=float(iou.mean()),
        fscore=None if f_K is None else float(f_K.max()),
        fscore_threshold=None if f_K is None else float(_thresholds()[int(f_K.argmax())]),
        miou_object=float(iou[has_object].mean()) if has_object.any() else None,
        miou_no_object=float(iou[~has_object].mean()) if not has_object.all() else None,
        frames_object=int(has_object.sum()),
        frames_no_object=int((~has_object).sum()),
        reference=None if clips_per_group is None else _reference(frames, clips_per_group),
        clips=[_clip_result(item) for item in frames],
    )


def _thresholds() -> np.ndarray:
    """k / 254 in 32 bits, made as the reference makes them; number 127 is exactly 0.5."""
    grid: np.ndarray = torch.linspace(0, 1 - 1e-10, NUM_THRESHOLDS).numpy()
    return grid


def measure_avs(clip: AvsClip) -> AvsFrames:
    """The counts of one clip. Raises ValueError if truth and scores differ in shape."""
    if clip.truth_THW.shape != clip.score_THW.shape or clip.truth_THW.ndim != 3:
        shapes = f"truth is {clip.truth_THW.shape}, scores are {clip.score_THW.shape}"
        raise ValueError(f"clip {clip.name!r}: {shapes}; both must be (T, H, W)")
    truth_THW = torch.from_numpy(np.ascontiguousarray(clip.truth_THW, dtype=np.float32))
    score_THW = torch.from_numpy(np.ascontiguousarray(clip.score_THW, dtype=np.float32))
    probability_THW = torch.sigmoid(score_THW) if clip.are_logits else score_THW
    total_T = truth_THW.sum(2).sum(1).numpy()
    has_object_T = total_T != 0
    shared_T, union_T = _overlap(truth_THW, probability_THW, has_object_T)
    exact_T = shared_T.astype(np.float64)
    f = [_f_curves(truth, probability) for truth, probability in zip(truth_THW, probability_THW, strict=True)]
    return AvsFrames(
        name=clip.name,
        has_object_T=has_object_T,
        iou_T=shared_T / (union_T + _UNION_EPS),
        exact_iou_T=np.divide(exact_T, union_T, out=np.zeros(len(exact_T)), where=union_T > 0),
        f_TK=np.array([single for single, _ in f]),
        exact_f_TK=np.array([double for _, double in f]),
    )


def _overlap(
    truth_THW: torch.Tensor, probability_THW: torch.Tensor, has_object_T: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Intersection and union per frame; of a frame without an object, those of the background with the whole frame."""
    marked_THW = (probability_THW > 0.5).float()
    shared_T = (marked_THW * truth_THW).sum(2).sum(1).numpy()
    union_T = torch.max(marked_THW, truth_THW).sum(2).sum(1).numpy()
    left_alone_T = ((1 - truth_THW) * (1 - marked_THW)).sum(2).sum(1).numpy()
    num_pixels = np.float32(truth_THW.shape[1] * truth_THW.shape[2])
    return np.where(has_object_T, shared_T, left_alone_T), np.where(has_object_T, union_T, num_pixels)


def _f_curves(truth_HW: torch.Tensor, probability_HW: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """F at each threshold, in 32 and in 64 bits; all 0 without an object."""
    total = truth_HW.sum().numpy()
    if total == 0:
        return np.zeros(NUM_THRESHOLDS, np.float32), np.zeros(NUM_THRESHOLDS)
    true_K, marked_K = _counts(truth_HW, probability_HW)
    single, beta2 = np.float32(1 + BETA2), np.float32(BETA2)
    precision_K, recall_K = true_K / (marked_K + _COUNT_EPS), true_K / (total + _COUNT_EPS)
    with np.errstate(invalid="ignore"):
        f_K = single * precision_K * recall_K / (beta2 * precision_K + recall_K)
    # P = TP / marked and R = TP / total: with beta^2 = 3 / 10, F is one division of whole numbers, and perfect is 1.
    exact_K = 13 * true_K.astype(np.float64) / (3 * float(total) + 10 * marked_K.astype(np.float64))
    return np.nan_to_num(f_K, nan=0.0), exact_K


def _counts(truth_HW: torch.Tensor, probability_HW: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """float32 (K,) twice: truth inside what is marked, and how much is marked, at each threshold."""
    thresholds_K = torch.from_numpy(_thresholds())
    if bool(((truth_HW == 0) | (truth_HW == 1)).all()):
        reached = torch.searchsorted(thresholds_K, probability_HW.flatten(), right=True).numpy()
        weights = truth_HW.flatten().numpy()
        marked = np.bincount(reached, minlength=NUM_THRESHOLDS + 1)[::-1].cumsum()[::-1]
        true = np.bincount(reached, weights=weights, minlength=NUM_THRESHOLDS + 1)[::-1].cumsum()[::-1]
        return true[1:].astype(np.float32), marked[1:].astype(np.float32)
    # Sums of fractions depend on the order in which they are added: here it must be the reference's.
    pairs = [(probability_HW >= threshold).float() for threshold in thresholds_K]
    true_K = np.array([(marked * truth_HW).sum().item() for marked in pairs], dtype=np.float32)
    return true_K, np.array([marked.sum().item() for marked in pairs], dtype=np.float32)


def _clip_result(frames: AvsFrames) -> AvsClipResult:
    iou, f_K = _group([frames])
    return AvsClipResult(
        name=frames.name,
        iou=iou,
        frame_iou=frames.iou_T.tolist(),
        fscore=float(f_K.max()),
        f_curve=f_K.tolist(),
        frames_with_object=int(frames.has_object_T.sum()),
    )


def _reference(frames: Sequence[AvsFrames], clips_per_group: int) -> AvsReference:
    groups = [_group(frames[start : start + clips_per_group]) for start in range(0, len(frames), clips_per_group)]
    iou, fscore = [iou for iou, _ in groups], [float(f_K.max()) for _, f_K in groups]
    return AvsReference(
        clips_per_group=clips_per_group,
        miou=float(np.mean(iou)),
        fscore=float(np.mean(fscore)),
        group_iou=iou,
        group_fscore=fscore,
    )


def _group(frames: Sequence[AvsFrames]) -> tuple[float, np.ndarray]:
    """Mean IoU over the frames of a group, and mean F over those with an object (all 0 without any)."""
    iou_N = torch.from_numpy(np.concatenate([item.iou_T for item in frames]))
    total_K = np.zeros(NUM_THRESHOLDS, np.float32)
    number = 0
    for item in frames:
        for f_K in item.f_TK[item.has_object_T]:
            total_K = total_K + f_K
            number += 1
    return (torch.sum(iou_N) / len(iou_N)).item(), total_K / np.float32(max(number, 1))

"""FSLA: in which share of the frames are exactly the sounding objects found, by class, identity and outline.

Shapes: A thresholds alpha, T frames, G truth tracks, P predicted tracks; B draws of videos. Kinds of
frames: silent, single, multi.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from avis_data.metrics.assignment import pair_tracks
from avis_data.metrics.counting import Counting, Drawn, Mode, Rules, Variant, weighted_sums
from avis_data.metrics.hota import ALPHAS, alignment_GP, soft_counts_GP
from avis_data.metrics.tracks import VideoTracks

__all__ = [
    "FSLA",
    "FsFrames",
    "FslaCounts",
    "FslaPool",
    "compat_frames",
    "count_frames",
    "pair_present_tracks",
    "strict_frames",
]

_TIE = 1e-12
"""Less than any difference between two alignments that is not rounding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FsFrames:
    """Which frames of one video are right."""

    sources_T: np.ndarray
    """int64: truth objects that sound (compat: truth entries that are present)."""
    correct_TA: np.ndarray
    """bool."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FslaCounts:
    """Frames of one video by kind (silent, single, multi), which add up over videos."""

    frames_3: np.ndarray
    correct_3A: np.ndarray


def count_frames(found: FsFrames) -> FslaCounts:
    """Sum the frames by kind."""
    kind_T = np.minimum(found.sources_T, 2)
    is_kind_3T = kind_T[None, :] == np.arange(3)[:, None]
    return FslaCounts(
        frames_3=is_kind_3T.sum(axis=1).astype(np.float64),
        correct_3A=(is_kind_3T[:, :, None] & found.correct_TA[None]).sum(axis=1).astype(np.float64),
    )


def compat_frames(video: VideoTracks, *, literal_constant: bool = False) -> FsFrames:
    """What the public code computes, index mix-ups included.

    Args:
        video: its tracks.
        literal_constant: tell an empty mask by the text `PPTl0`, as the code does, which is right for 1280 x 720 only.

    Source: specs/metrics.md §4.2; the letters in the comments are its.
    """
    num_frames = video.num_frames
    truth, predicted, iou_TGP = video.truth, video.predicted, video.iou_TGP
    present_GT = truth.present_NL[:, :num_frames]
    is_empty_PT = predicted.area_NL[:, :num_frames] == 0
    if literal_constant:
        is_empty_PT = predicted.is_empty_720p_NL[:, :num_frames]
    rows, columns = _compat_pairs(video, iou_TGP)
    sources_T = present_GT.sum(axis=0)
    correct_TA = np.zeros((num_frames, len(ALPHAS)), dtype=bool)
    classes = set(predicted.category_N.tolist())  # B: of all tracks, those that are empty in the frame too
    is_open_T = sources_T == (~is_empty_PT).sum(axis=0)
    for t in np.flatnonzero(is_open_T):
        if set(truth.category_N[present_GT[:, t]].tolist()) != classes:
            continue
        if sources_T[t] == 0:
            correct_TA[t] = True
        elif sources_T[t] == 1:
            g = int(np.argmax(present_GT[:, t]))
            found = np.flatnonzero(columns == g)  # the code looks among the columns for a row number
            if len(found):
                correct_TA[t] = iou_TGP[t, g, found[0]] > ALPHAS
        else:
            lowest = _lowest_iou(iou_TGP[t, rows, columns], present_GT[rows, t], is_empty_PT[columns, t])
            same_class = truth.category_N[rows] == predicted.category_N[columns]
            correct_TA[t] = bool(same_class.all()) & (lowest > ALPHAS)
    return FsFrames(sources_T=sources_T, correct_TA=correct_TA)


def strict_frames(video: VideoTracks) -> FsFrames:
    """What the paper describes: the right number of masks, and each truth has its partner, of its class and outline.

    Source: specs/metrics.md §4.4, strict column.
    """
    truth, predicted = video.truth, video.predicted
    sounds_GT = truth.area_NL[:, : video.num_frames] > 0
    filled_PT = predicted.area_NL[:, : video.num_frames] > 0
    sources_T = sounds_GT.sum(axis=0)
    iou_TGP = video.iou_TGP
    rows, columns = pair_present_tracks(video, iou_TGP)
    iou_TG = np.zeros((video.num_frames, len(truth)))
    same_class = truth.category_N[rows] == predicted.category_N[columns]
    iou_TG[:, rows] = np.where(same_class, iou_TGP[:, rows, columns], 0.0)
    lowest_T = np.where(sounds_GT.T, iou_TG, np.inf).min(axis=1, initial=np.inf)
    is_open_T = sources_T == filled_PT.sum(axis=0)
    return FsFrames(sources_T=sources_T, correct_TA=is_open_T[:, None] & (lowest_T[:, None] > ALPHAS))


def pair_present_tracks(video: VideoTracks, iou_TGP: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Partners over the whole video by the masks that are not empty, whatever the class: truth rows, predicted columns.

    Tracks without any mask stay alone, and so do pairs that never overlap. Of pairings that are equally good, that with
    more pairs of one class is taken: two things of two classes may have the same mask, as a player and the instrument.
    """
    frames_G = (video.truth.area_NL[:, : video.num_frames] > 0).sum(axis=1)
    frames_P = (video.predicted.area_NL[:, : video.num_frames] > 0).sum(axis=1)
    order_G, order_P = video.truth.canonical_N, video.predicted.canonical_N
    aligned_GP = alignment_GP(soft_counts_GP(iou_TGP[:, order_G][:, :, order_P]), frames_G[order_G], frames_P[order_P])
    same_class_GP = video.truth.category_N[order_G][:, None] == video.predicted.category_N[order_P]
    rows, columns = pair_tracks(aligned_GP + _TIE * same_class_GP)
    overlap = aligned_GP[rows, columns] > 0
    return order_G[rows[overlap]], order_P[columns[overlap]]


def _compat_pairs(video: VideoTracks, iou_TGP: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Step A: truth rows are the tracks with an entry, by ascending id; B takes them for places in the file."""
    present_GT = video.truth.present_NL[:, : video.num_frames]
    frames_G = present_GT.sum(axis=1)
    by_id = np.argsort(video.truth.id_N, kind="stable")
    by_id = by_id[frames_G[by_id] > 0]
    frames_P = np.full(len(video.predicted), video.num_frames)  # null was turned into an empty mask
    soft_GP = soft_counts_GP(iou_TGP)
    return pair_tracks(alignment_GP(soft_GP, frames_G, frames_P)[by_id])


def _lowest_iou(iou_N: np.ndarray, sounds_N: np.ndarray, is_empty_N: np.ndarray) -> float:
    """The lowest IoU of the pairs: where the truth is silent, infinite for an empty mask and 0 for another."""
    silent_N = np.where(is_empty_N, np.inf, 0.0)
    return float(np.where(sounds_N, iou_N, silent_N).min(initial=np.inf))


@dataclass(frozen=True, slots=True, kw_only=True)
class FslaPool:
    """Frames of all videos by kind (silent, single, multi), in every draw."""

    frames_B3: np.ndarray
    correct_B3A: np.ndarray

    def share(self, kind: int | None = None) -> np.ndarray:
        """Share of the frames of a kind (None: of all) that are right, mean over the thresholds; NaN without any."""
        frames_B = self.frames_B3.sum(axis=1) if kind is None else self.frames_B3[:, kind]
        correct_BA = self.correct_B3A.sum(axis=1) if kind is None else self.correct_B3A[:, kind]
        with np.errstate(invalid="ignore", divide="ignore"):
            share_B: np.ndarray = (correct_BA / frames_B[:, None]).mean(axis=-1)
        return share_B


def _count(video: VideoTracks, rules: Rules) -> FslaCounts:
    if rules.mode is Mode.STRICT:
        return count_frames(strict_frames(video))
    return count_frames(compat_frames(video, literal_constant=Variant.LITERAL_CONSTANT in rules.variants))


def _pool(videos: Sequence[FslaCounts], drawn: Drawn) -> FslaPool:
    frames_V3 = np.array([counts.frames_3 for counts in videos]).reshape(-1, 3)
    correct_V3A = np.array([counts.correct_3A for counts in videos]).reshape(-1, 3, len(ALPHAS))
    return FslaPool(
        frames_B3=weighted_sums(frames_V3, drawn.weights_BV), correct_B3A=weighted_sums(correct_V3A, drawn.weights_BV)
    )


def _details(pool: FslaPool, _: Drawn) -> dict[str, object]:
    """Under `fsla`: the figures once more, with the frames and thresholds behind them."""
    frames_3, correct_3A = pool.frames_B3[0], pool.correct_B3A[0]
    kinds = ("silent", "single", "multi")
    names = {"FSLA": None, "FSLAn": 0, "FSLAs": 1, "FSLAm": 2}
    shares = {name: float(pool.share(kind)[0]) for name, kind in names.items()}
    per_alpha = (correct_3A.sum(axis=0) / frames_3.sum()).tolist() if frames_3.sum() else None
    return {
        "fsla": {
            **{name: None if np.isnan(value) else value for name, value in shares.items()},
            **{f"frames_{name}": int(frames) for name, frames in zip(kinds, frames_3, strict=True)},
            **{
                f"correct_{name}_per_alpha": correct_A.astype(int).tolist()
                for name, correct_A in zip(kinds, correct_3A, strict=True)
            },
            "FSLA_per_alpha": per_alpha,
        }
    }


FSLA = Counting(name="fsla", of_video=_count, pooled=_pool, details=_details)
"""Frames that are right, by how many objects sound."""

"""Why frames are wrong: what is missing to an FSLA of 1 (strict), split by kind of error, frame by frame.

A frame counts as wrong or right at each of 19 thresholds. Every wrong one has at least one error here, and its errors
share it equally, so all shares add up to the wrong frames: share / frames sums to 1 - FSLA exactly.

Shapes: T frames, G truth tracks, P predicted tracks, A thresholds alpha.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from avis_data.metrics.assignment import pair_tracks
from avis_data.metrics.fsla import pair_present_tracks, strict_frames
from avis_data.metrics.hota import ALPHAS
from avis_data.metrics.inputs import MaskLike, VideoInput
from avis_data.metrics.tracks import VideoTracks, load_video

__all__ = ["ErrorKind", "FrameError", "VideoErrors", "attribute_errors"]

OVERLAP = 0.1
"""Masks that overlap less have nothing to do with each other (Bolya et al., "TIDE", ECCV 2020)."""


class ErrorKind(StrEnum):
    """What is wrong with one object in one frame. Of a pair that overlaps, the first that applies."""

    WRONG_CLASS = "wrong_class"
    """The mask is there, its class is another."""
    IDENTITY_SWITCH = "identity_switch"
    """The mask is there, but of a track that is not the partner of this object over the video."""
    POOR_BOUNDARY = "poor_boundary"
    """The right track, of the right class, but the outline is not good enough for the threshold."""
    MISSED_SOUNDER = "missed_sounder"
    """The object sounds and has no mask."""
    DUPLICATE = "duplicate"
    """One mask more on an object that sounds."""
    WRONG_SOUNDER = "wrong_sounder"
    """A mask of a thing that is silent in this frame: of a track of the truth that sounds at other times, told by the
    partner or by the place of its nearest mask in time. Things that never sound are not in the truth: `background`."""
    BACKGROUND = "background"
    """A mask of nothing that ever sounds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameError:
    """One error in one frame."""

    video: str
    frame: int
    sources: int
    """How many objects sound in the frame."""
    kind: ErrorKind
    category: int
    """The category of the true object; of the prediction where there is none (`background`)."""
    truth_id: int | None
    predicted: int | None
    """Place of the predicted track among those of the video."""
    share: float
    """The share of the frame that the error costs, mean over the thresholds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoErrors:
    """What is wrong in one video."""

    name: str
    sources_T: list[int]
    """How many objects sound in each frame."""
    errors: list[FrameError]


@dataclass(frozen=True, slots=True)
class _Found:
    kind: ErrorKind
    g: int | None
    p: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Frame:
    """One frame: rows and columns are all tracks of the video."""

    sounds_G: np.ndarray
    filled_P: np.ndarray
    iou_GP: np.ndarray
    last_seen_GP: np.ndarray
    """IoU with the mask of the truth track that is nearest in time."""
    partner_G: np.ndarray
    """Column of each truth track's partner, -1 without."""
    same_class_GP: np.ndarray


def attribute_errors(video: VideoInput) -> VideoErrors:
    """All errors of a video; none if every frame is right at every threshold.

    Tracks with a bad mask are left out, as in the metrics.

    Example:
        >>> found = read_evaluation(Path("example/exports/ytvis/test.json"), Path("example/results.json"))
        >>> [len(attribute_errors(video).errors) for video in found.videos]
        [0, 0]
    """
    tracks, _ = load_video(video)
    judged = strict_frames(tracks)
    wrong_TA = ~judged.correct_TA
    frames = _frames(tracks, load_video(_held(video, tracks))[0])
    errors: list[FrameError] = []
    for t in np.flatnonzero(wrong_TA.any(axis=1)).tolist():
        shares: dict[_Found, float] = defaultdict(float)
        for found, number in _by_threshold(frames[t], wrong_TA[t]):
            for item in found:
                shares[item] += number / len(found) / len(ALPHAS)
        errors += [_error(tracks, t, int(judged.sources_T[t]), item, share) for item, share in shares.items()]
    return VideoErrors(name=video.name, sources_T=judged.sources_T.tolist(), errors=errors)


def _held(video: VideoInput, tracks: VideoTracks) -> VideoInput:
    """The same video as if each thing of the truth stayed where it was last, or is next, heard."""
    pairs = zip(tracks.truth.place_N, tracks.truth.area_NL, strict=True)
    kept = ((video.truth[place], np.flatnonzero(area_L > 0)) for place, area_L in pairs)
    return replace(video, truth=[replace(track, masks=_filled(track.masks, heard)) for track, heard in kept])


def _filled(masks: Sequence[MaskLike] | np.ndarray, heard: np.ndarray) -> list[MaskLike]:
    if not len(heard):
        return list(masks)
    return [masks[heard[np.abs(heard - t).argmin()]] for t in range(len(masks))]


def _frames(tracks: VideoTracks, held: VideoTracks) -> list[_Frame]:
    iou_TGP, held_iou_TGP = tracks.iou_TGP, held.iou_TGP
    rows, columns = pair_present_tracks(tracks, iou_TGP)
    partner_G = np.full(len(tracks.truth), -1)
    partner_G[rows] = columns
    same_class_GP = tracks.truth.category_N[:, None] == tracks.predicted.category_N[None, :]
    return [
        _Frame(
            sounds_G=tracks.truth.area_NL[:, t] > 0,
            filled_P=tracks.predicted.area_NL[:, t] > 0,
            iou_GP=iou_TGP[t],
            last_seen_GP=held_iou_TGP[t],
            partner_G=partner_G,
            same_class_GP=same_class_GP,
        )
        for t in range(tracks.num_frames)
    ]


def _by_threshold(frame: _Frame, wrong_A: np.ndarray) -> Iterator[tuple[list[_Found], int]]:
    """The errors at the wrong thresholds, those with the same errors together; and how many they are."""
    number_by_pattern: dict[bytes, list[int]] = defaultdict(list)
    for a in np.flatnonzero(wrong_A).tolist():
        number_by_pattern[(frame.iou_GP > ALPHAS[a]).tobytes()].append(a)
    for thresholds in number_by_pattern.values():
        yield _errors(frame, float(ALPHAS[thresholds[0]])), len(thresholds)


def _errors(frame: _Frame, alpha: float) -> list[_Found]:
    good_G = frame.sounds_G & (frame.partner_G >= 0)
    g = np.flatnonzero(good_G)
    p = frame.partner_G[g]
    is_good = frame.filled_P[p] & frame.same_class_GP[g, p] & (frame.iou_GP[g, p] > alpha)
    open_G, open_P = frame.sounds_G.copy(), frame.filled_P.copy()
    open_G[g[is_good]] = False
    open_P[p[is_good]] = False
    found = []
    rows, columns = np.flatnonzero(open_G), np.flatnonzero(open_P)
    overlap = frame.iou_GP[np.ix_(rows, columns)]
    for row, column in zip(*pair_tracks(np.where(overlap > OVERLAP, overlap, 0.0)), strict=True):
        if overlap[row, column] > OVERLAP:
            found.append(_pair_error(frame, int(rows[row]), int(columns[column])))
            open_G[rows[row]], open_P[columns[column]] = False, False
    found += [_Found(ErrorKind.MISSED_SOUNDER, int(missed), None) for missed in np.flatnonzero(open_G)]
    return found + [_extra_error(frame, int(extra)) for extra in np.flatnonzero(open_P)]


def _pair_error(frame: _Frame, g: int, p: int) -> _Found:
    if not frame.same_class_GP[g, p]:
        return _Found(ErrorKind.WRONG_CLASS, g, p)
    if frame.partner_G[g] != p:
        return _Found(ErrorKind.IDENTITY_SWITCH, g, p)
    return _Found(ErrorKind.POOR_BOUNDARY, g, p)


def _extra_error(frame: _Frame, p: int) -> _Found:
    on_G = np.where(frame.sounds_G, frame.iou_GP[:, p], 0.0)
    if (on_G > OVERLAP).any():
        return _Found(ErrorKind.DUPLICATE, int(on_G.argmax()), p)
    silent_G = ~frame.sounds_G
    partners = np.flatnonzero(silent_G & (frame.partner_G == p))
    if len(partners):
        return _Found(ErrorKind.WRONG_SOUNDER, int(partners[0]), p)
    near_G = np.where(silent_G, frame.last_seen_GP[:, p], 0.0)
    if (near_G > OVERLAP).any():
        return _Found(ErrorKind.WRONG_SOUNDER, int(near_G.argmax()), p)
    return _Found(ErrorKind.BACKGROUND, None, p)


def _error(tracks: VideoTracks, t: int, sources: int, found: _Found, share: float) -> FrameError:
    side, index = (tracks.predicted, found.p) if found.g is None else (tracks.truth, found.g)
    return FrameError(
        video=tracks.name,
        frame=t,
        sources=sources,
        kind=found.kind,
        category=int(side.category_N[index]),
        truth_id=None if found.g is None else int(tracks.truth.id_N[found.g]),
        predicted=None if found.p is None else int(tracks.predicted.place_N[found.p]),
        share=share,
    )

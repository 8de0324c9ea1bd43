"""The tracks of one video as arrays: areas, presence and pixel intersections. Everything the metrics need of masks.

Shapes: G truth tracks, P predicted tracks, N either of them, L entries of the longest track, T frames of the video.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from avis_data.errors import DataError, Problem
from avis_data.masks.rle import Rle, check_size, runs_from_rle
from avis_data.metrics.entries import TrackEntries, read_entries
from avis_data.metrics.inputs import TrackInput, VideoInput
from avis_data.metrics.run_lengths import RunMasks, decode_runs, empty_counts, intersections_GPL

__all__ = ["TrackSet", "VideoTracks", "load_video"]

_EMPTY_720P = empty_counts(720 * 1280)
"""`PPTl0`, with which the public code compares counts to find out whether a mask is empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackSet:
    """The truth tracks or the predicted tracks of one video, in the order given."""

    place_N: np.ndarray
    """int64: place in the sequence given; tracks with a bad mask are left out here."""
    category_N: np.ndarray
    score_N: np.ndarray
    id_N: np.ndarray
    crowd_N: np.ndarray
    mean_area_N: np.ndarray
    """float64: mean over the entries that are not empty, 0 without any; of truth what the file says."""
    present_NL: np.ndarray
    """bool: the entry is neither null nor an empty list. An RLE of an empty mask is present."""
    area_NL: np.ndarray
    """int64."""
    is_empty_720p_NL: np.ndarray
    """bool: the counts are the text of an empty mask of 1280 x 720 pixels."""
    canonical_N: np.ndarray
    """int64: an order of the tracks that does not depend on the order given nor on the resolution."""

    def __len__(self) -> int:
        return len(self.category_N)


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoTracks:
    """All that the metrics need of one video."""

    name: str
    video_id: int
    num_frames: int
    """T; there may be more entries (L > T) where the input was not checked."""
    truth: TrackSet
    predicted: TrackSet
    iou_TGP: np.ndarray
    """float64: IoU of the two masks in each frame; 0 where one of them is empty."""
    track_iou_PG: np.ndarray
    """float64: sum of intersections / sum of unions over all entries; 0 where both tracks are empty (Yang, Fan, Xu,
    "Video Instance Segmentation", ICCV 2019)."""


@dataclass(frozen=True, slots=True)
class _Loaded:
    place: int
    track: TrackInput
    entries: TrackEntries


def load_video(video: VideoInput) -> tuple[VideoTracks, list[Problem]]:
    """The arrays of a video, and what is wrong with its masks; tracks with a bad mask are left out.

    Raises:
        DataError: if the picture size is not possible.
    """
    try:
        check_size(video.height, video.width)
    except DataError as error:
        raise DataError(f"video {video.name}: {error}") from None
    problems: list[Problem] = []
    num_entries = max([video.num_frames, *(len(track.masks) for track in (*video.truth, *video.predictions))])
    truth, truth_masks = _load_tracks(video.truth, video, num_entries, problems)
    predicted, predicted_masks = _load_tracks(video.predictions, video, num_entries, problems)
    shared_GPL = intersections_GPL(truth_masks, predicted_masks, num_entries=num_entries)
    union_GPL = truth.area_NL[:, None] + predicted.area_NL[None] - shared_GPL
    tracks = VideoTracks(
        name=video.name,
        video_id=video.video_id,
        num_frames=video.num_frames,
        truth=truth,
        predicted=predicted,
        iou_TGP=_ratio(shared_GPL, union_GPL).transpose(2, 0, 1)[: video.num_frames].copy(),
        track_iou_PG=_ratio(shared_GPL.sum(axis=2), union_GPL.sum(axis=2)).T.copy(),
    )
    return tracks, problems


def _ratio(shared: np.ndarray, union: np.ndarray) -> np.ndarray:
    ratio: np.ndarray = np.divide(shared, union, out=np.zeros(shared.shape), where=union > 0)
    return ratio


def _load_tracks(
    tracks: Sequence[TrackInput], video: VideoInput, num_entries: int, problems: list[Problem]
) -> tuple[TrackSet, RunMasks]:
    sound: list[_Loaded] = []
    for place, track in enumerate(tracks):
        entries = read_entries(track, height=video.height, width=video.width, num_entries=num_entries)
        problems.extend(entries.problems)
        if not entries.problems:
            sound.append(_Loaded(place, track, entries))
    pixels = video.height * video.width
    masks = decode_runs([text for item in sound for text in item.entries.counts], pixels)
    if masks is None:
        sound = [item for item in sound if not _corrupt_counts(item, video, problems)]
        masks = decode_runs([text for item in sound for text in item.entries.counts], pixels)
    if masks is None:  # the two readers disagree about what is corrupt
        raise RuntimeError(f"counts of video {video.name} pass one by one and not together")
    return _track_set(sound, masks, num_entries, video), masks


def _corrupt_counts(item: _Loaded, video: VideoInput, problems: list[Problem]) -> bool:
    found = []
    for index, text in enumerate(item.entries.counts):
        try:
            runs_from_rle(Rle(video.height, video.width, text))
        except DataError as error:
            found.append(Problem(item.track.where, f"segmentations[{index}]", str(error)))
    problems.extend(found)
    return bool(found)


def _track_set(loaded: Sequence[_Loaded], masks: RunMasks, num_entries: int, video: VideoInput) -> TrackSet:
    tracks = [item.track for item in loaded]
    counts = [item.entries.counts for item in loaded]
    shape = (len(tracks), num_entries)
    area_NL = masks.area_N.reshape(shape)
    category_N = np.array([track.category for track in tracks], dtype=np.int64)
    score_N = np.array([track.score for track in tracks], dtype=np.float64)
    return TrackSet(
        place_N=np.array([item.place for item in loaded], dtype=np.int64),
        category_N=category_N,
        score_N=score_N,
        id_N=np.array([track.track_id for track in tracks], dtype=np.int64),
        crowd_N=np.array([track.crowd for track in tracks], dtype=bool),
        mean_area_N=np.array([_mean_area(*pair) for pair in zip(tracks, area_NL, strict=True)], dtype=np.float64),
        present_NL=np.array([item.entries.present for item in loaded], dtype=bool).reshape(shape),
        area_NL=area_NL,
        is_empty_720p_NL=np.array([[text == _EMPTY_720P for text in row] for row in counts], dtype=bool).reshape(shape),
        canonical_N=_canonical_order(category_N, score_N, counts, masks, video),
    )


def _mean_area(track: TrackInput, area_L: np.ndarray) -> float:
    if track.mean_area_px is not None:
        return track.mean_area_px
    filled = area_L[area_L > 0]
    return float(filled.mean()) if len(filled) else 0.0


def _canonical_order(
    category_N: np.ndarray, score_N: np.ndarray, counts: list[list[str]], masks: RunMasks, video: VideoInput
) -> np.ndarray:
    """Falling score, then class, then a fixed order by content: share of the picture and place of the first pixel.

    Both are the same numbers at every resolution. The text of the masks decides between what is still equal.
    """
    number = len(category_N)
    num_entries = len(masks.area_N) // max(number, 1)
    corner_N = masks.corner_N.astype(np.float64)
    share = (masks.area_N / masks.pixels).reshape(number, num_entries)
    place = np.stack((corner_N // video.height / video.width, corner_N % video.height / video.height))
    place[:, corner_N < 0] = -1.0
    place = place.reshape(2, number, num_entries)
    keys = [
        (-score_N[n], category_N[n], share[n].tobytes(), place[0, n].tobytes(), place[1, n].tobytes(), counts[n])
        for n in range(number)
    ]
    return np.array(sorted(range(number), key=keys.__getitem__), dtype=np.int64)

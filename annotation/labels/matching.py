"""Which tracks of two people's labels are the same object.

Shapes: A tracks of the first, B of the second, T stills of the clip.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from avis_data.annotation.labels.records import LabelledClip, LabelledTrack
from avis_data.annotation.labels.states import heard_seconds
from avis_data.errors import DataError
from avis_data.masks.rle import Rle
from avis_data.metrics.assignment import pair_tracks
from avis_data.metrics.inputs import TrackInput, VideoInput
from avis_data.metrics.tracks import load_video

__all__ = ["Matching", "heard_NT", "match_tracks"]

_BY_SOUND = 1e-3
"""Weight of hearing beside masks: it decides only between tracks that the masks cannot tell apart, or without any."""


@dataclass(frozen=True, kw_only=True)
class Matching:
    """Two people's tracks of one clip, paired one to one."""

    pairs: tuple[tuple[int, int], ...]
    """Places of the tracks in the one and in the other."""
    only_a: tuple[int, ...]
    only_b: tuple[int, ...]
    iou_TAB: np.ndarray
    """float64: IoU of the masks on each still; 0 where one of them has none."""
    masked_AT: np.ndarray
    """bool: there is a mask, heard or not."""
    masked_BT: np.ndarray
    heard_AT: np.ndarray
    """bool: its sound covers the second (`annotation.states`)."""
    heard_BT: np.ndarray


def match_tracks(a: LabelledClip, b: LabelledClip) -> Matching:
    """Pair the tracks of the same category so that the sum of their IoU over the clip is largest (Hungarian).

    The IoU of two tracks is the sum of the intersections of their masks by the sum of their unions over all seconds,
    silent ones too. Names of identities do not matter. Tracks that neither share a pixel nor a second of sound are no
    pair.

    Raises:
        DataError: if the clips differ in length or size, or a mask is corrupt.
    """
    shape = (a.num_frames, a.height, a.width)
    if shape != (b.num_frames, b.height, b.width):
        raise DataError(f"{a.clip_id}: the labels of {a.annotator} and {b.annotator} are of other lengths or sizes")
    categories = {track.category for clip in (a, b) for track in clip.tracks}
    ids = {name: number for number, name in enumerate(sorted(categories), start=1)}
    video = VideoInput(
        name=a.clip_id,
        num_frames=a.num_frames,
        height=a.height,
        width=a.width,
        truth=[_track(track, ids, a.num_frames) for track in a.tracks],
        predictions=[_track(track, ids, a.num_frames) for track in b.tracks],
    )
    loaded, problems = load_video(video)
    if problems:
        raise DataError(f"{a.clip_id}: {problems[0]}", hint="avis-data annotate pull")
    heard_AT, heard_BT = heard_NT(a.tracks, a.num_frames), heard_NT(b.tracks, b.num_frames)
    weight_AB = loaded.track_iou_PG.T + _BY_SOUND * _jaccard(heard_AT, heard_BT)
    weight_AB[loaded.truth.category_N[:, None] != loaded.predicted.category_N[None]] = 0
    rows, columns = pair_tracks(weight_AB)
    pairs = tuple((int(i), int(j)) for i, j in zip(rows, columns, strict=True) if weight_AB[i, j] > 0)
    return Matching(
        pairs=pairs,
        only_a=tuple(sorted(set(range(len(a.tracks))) - {i for i, _ in pairs})),
        only_b=tuple(sorted(set(range(len(b.tracks))) - {j for _, j in pairs})),
        iou_TAB=loaded.iou_TGP,
        masked_AT=loaded.truth.present_NL[:, : a.num_frames],
        masked_BT=loaded.predicted.present_NL[:, : a.num_frames],
        heard_AT=heard_AT,
        heard_BT=heard_BT,
    )


def heard_NT(tracks: Sequence[LabelledTrack], num_frames: int) -> np.ndarray:
    """bool (N, T): when each track is heard."""
    heard = [heard_seconds(track.intervals, num_frames) for track in tracks]
    return np.array(heard, dtype=bool).reshape(len(tracks), num_frames)


def _track(track: LabelledTrack, ids: dict[str, int], num_frames: int) -> TrackInput:
    masks: list[Rle | None] = [None] * num_frames
    for mask in track.masks:
        masks[mask.frame] = mask.rle
    return TrackInput(category=ids[track.category], masks=masks, where=track.identity)


def _jaccard(heard_AT: np.ndarray, heard_BT: np.ndarray) -> np.ndarray:
    a_AT, b_BT = heard_AT.astype(np.float64), heard_BT.astype(np.float64)
    both_AB = a_AT @ b_BT.T
    either_AB = a_AT.sum(axis=1)[:, None] + b_BT.sum(axis=1)[None] - both_AB
    jaccard_AB: np.ndarray = np.divide(both_AB, either_AB, out=np.zeros(both_AB.shape), where=either_AB > 0)
    return jaccard_AB

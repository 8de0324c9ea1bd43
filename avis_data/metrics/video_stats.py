"""What one video adds to the metrics, mode by mode: small, picklable, and enough to resample videos later."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from avis_data.errors import Problem
from avis_data.metrics.fsla import FslaCounts, compat_frames, count_frames, strict_frames
from avis_data.metrics.hota import HotaCounts, count_hota
from avis_data.metrics.inputs import VideoInput
from avis_data.metrics.track_ap import ApRules, ClassMatches, match_video
from avis_data.metrics.tracks import VideoTracks, load_video

__all__ = ["Mode", "ModeStats", "Variant", "VideoStats", "ap_rules", "measure_video", "modes_named"]


class Mode(StrEnum):
    """Whose definition of the metrics; the value is printed beside every number."""

    COMPAT = "aviseg_compat"
    """What the public evaluation code computes: for comparison with published tables."""
    STRICT = "strict"
    """What the papers describe: a perfect prediction has 1 everywhere, in any order, resolution and export form."""
    YTVIS = "ytvis"
    """AP and AR as the YouTube-VIS API gives them."""


class Variant(StrEnum):
    """Deviations of `aviseg_compat` that the specification of the public code describes."""

    IDS_FROM_ONE = "official_ids_from_one"
    """Predicted tracks are numbered from 1: the public code, numbering from 0, lets what track 0 matched be matched
    again, which changes AP by one track and recall above 1 is possible on tiny sets."""
    EMPTY_AS_NULL = "empty_as_null"
    """Empty masks are no detections in HOTA: the public code counts each as a false positive."""
    LITERAL_CONSTANT = "official_literal_constant"
    """FSLA tells empty masks by the text of an empty mask of 1280 x 720, as the public code does: at any other size
    they count as objects."""
    OFFICIAL_INPUT = "official_input"
    """Read what the official loader lets pass: predictions for unknown videos are ignored, those of unknown classes
    only count in FSLA, entries beyond the end of the video only in mAP."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModeStats:
    """One video under one mode."""

    matches: list[ClassMatches]
    hota: dict[int, HotaCounts]
    """By class, where the class has a detection in this video."""
    fsla: FslaCounts | None
    """None in `ytvis`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoStats:
    """One video under all modes that were asked for."""

    name: str
    video_id: int
    num_frames: int
    num_truth: int
    num_predicted: int
    modes: dict[Mode, ModeStats]
    problems: list[Problem]
    """Why tracks of it were left out."""


def modes_named(choice: str) -> list[Mode]:
    """The modes behind a choice on the command line: a mode, `both` (compat and strict) or `all`."""
    several = {"both": [Mode.COMPAT, Mode.STRICT], "all": [Mode.COMPAT, Mode.STRICT, Mode.YTVIS]}
    return several.get(choice) or [Mode(choice)]


def measure_video(
    video: VideoInput, *, modes: Sequence[Mode], variants: Sequence[Variant] = (), has_id_zero: bool = False
) -> VideoStats:
    """All counts of one video.

    Args:
        video: its tracks.
        modes: what to compute.
        variants: deviations of `aviseg_compat`.
        has_id_zero: the first predicted track of this video is the first of the whole set (see `match_video`).
    """
    tracks, problems = load_video(video)
    return VideoStats(
        name=video.name,
        video_id=video.video_id,
        num_frames=video.num_frames,
        num_truth=len(tracks.truth),
        num_predicted=len(tracks.predicted),
        modes={mode: _measure_mode(tracks, mode, variants, has_id_zero) for mode in modes},
        problems=problems,
    )


def ap_rules(mode: Mode, variants: Sequence[Variant]) -> ApRules:
    """Whose rules of matching a mode follows."""
    if mode is Mode.YTVIS:
        return "ytvis"
    if mode is Mode.STRICT:
        return "strict"
    return "ids_from_one" if Variant.IDS_FROM_ONE in variants else "official"


def _measure_mode(tracks: VideoTracks, mode: Mode, variants: Sequence[Variant], has_id_zero: bool) -> ModeStats:
    rules = ap_rules(mode, variants)
    matches = match_video(tracks, rules=rules, has_id_zero=has_id_zero and rules == "official")
    if mode is Mode.YTVIS:
        return ModeStats(matches=matches, hota={}, fsla=None)
    if mode is Mode.STRICT:
        frames = strict_frames(tracks)
    else:
        frames = compat_frames(tracks, literal_constant=Variant.LITERAL_CONSTANT in variants)
    drop_empty = mode is Mode.STRICT or Variant.EMPTY_AS_NULL in variants
    hota = _hota_by_class(tracks, drop_empty=drop_empty, canonical=mode is Mode.STRICT)
    return ModeStats(matches=matches, hota=hota, fsla=count_frames(frames))


def _hota_by_class(tracks: VideoTracks, *, drop_empty: bool, canonical: bool) -> dict[int, HotaCounts]:
    iou_TGP = tracks.iou_TGP
    counts = {}
    truth, predicted = tracks.truth, tracks.predicted
    present = [side.present_NL[:, : tracks.num_frames] for side in (truth, predicted)]
    if drop_empty:
        present = [side.area_NL[:, : tracks.num_frames] > 0 for side in (truth, predicted)]
    for category in sorted({*truth.category_N.tolist(), *predicted.category_N.tolist()}):
        rows, columns = (
            side.canonical_N[side.category_N[side.canonical_N] == category]
            if canonical
            else np.flatnonzero(side.category_N == category)
            for side in (truth, predicted)
        )
        present_GT, present_PT = present[0][rows], present[1][columns]
        if present_GT.any() or present_PT.any():
            counts[category] = count_hota(iou_TGP[:, rows[:, None], columns[None, :]], present_GT, present_PT)
    return counts

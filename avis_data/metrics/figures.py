"""The published figures, made of what the videos add: one typed result per mode."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from avis_data.metrics.fsla import FslaCounts
from avis_data.metrics.hota import ALPHAS, HotaCounts, HotaFigures, mean_figures, without_hits
from avis_data.metrics.track_ap import AREA_NAMES, ApRules, ClassMatches, RangeAp, pool_class
from avis_data.metrics.video_stats import Mode, VideoStats

__all__ = ["ApResult", "FslaResult", "HotaResult", "ModeResult", "YtvisResult", "mode_result", "ytvis_result"]

HOTA_FIELDS = ("HOTA", "DetA", "AssA", "DetRe", "DetPr", "AssRe", "AssPr", "LocA", "OWTA")
_AT_50, _AT_75 = 0, 5


@dataclass(frozen=True, slots=True, kw_only=True)
class ApResult:
    """Average precision and recall of tracks: fractions; compat writes -1, strict None, where there is no truth."""

    AP_all: float | None
    """Mean over 10 IoU thresholds, 0.5 to 0.95, and the classes that have truth."""
    AR_all: float | None
    """Mean final recall, with unlimited predictions."""
    AP50: float | None
    AP75: float | None
    AP_per_iou: list[float | None]
    by_area: dict[str, float]
    """AP_s, AP_m, AP_l, AR_s, AR_m, AR_l: small, medium and large tracks; empty in `strict`, as a range in pixels
    means another thing at another resolution."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HotaResult:
    """HOTA and its parts, means over the thresholds alpha; None in `strict` where no class occurs."""

    HOTA: float | None
    DetA: float | None
    AssA: float | None
    DetRe: float | None
    DetPr: float | None
    AssRe: float | None
    AssPr: float | None
    LocA: float | None
    OWTA: float | None
    per_alpha: dict[str, list[float | None]]
    """HOTA, DetA, AssA at each alpha, and TP, FN, FP of all classes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FslaResult:
    """Share of right frames, mean over the thresholds alpha; None where no frame of the kind occurs."""

    FSLA: float | None
    FSLAn: float | None
    """Of the frames without a sounding object."""
    FSLAs: float | None
    """Of the frames with one."""
    FSLAm: float | None
    """Of the frames with two or more."""
    frames_silent: int
    frames_single: int
    frames_multi: int
    correct_silent_per_alpha: list[int]
    correct_single_per_alpha: list[int]
    correct_multi_per_alpha: list[int]
    FSLA_per_alpha: list[float] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModeResult:
    """All metrics under one mode."""

    mode: Mode
    ap: ApResult
    hota: HotaResult
    fsla: FslaResult
    per_class: dict[str, dict[str, float | None]]
    """Class name -> AP, AR, HOTA, DetA, AssA, LocA."""

    def as_dict(self) -> dict[str, Any]:
        """Flat, with the names of the public evaluation; FSLA's counts are under `fsla`."""
        ap, hota, fsla = asdict(self.ap), asdict(self.hota), asdict(self.fsla)
        flat = {**ap, **ap.pop("by_area"), **hota, **hota.pop("per_alpha")}
        del flat["by_area"], flat["per_alpha"]
        main = {name: fsla[name] for name in ("FSLA", "FSLAn", "FSLAs", "FSLAm")}
        return {**flat, **main, "per_class": self.per_class, "fsla": fsla}


@dataclass(frozen=True, slots=True, kw_only=True)
class YtvisResult:
    """AP and AR as the YouTube-VIS API gives them; -1 where there is no truth."""

    AP: float
    AP50: float
    AP75: float
    AP_s: float
    AP_m: float
    AP_l: float
    AR1: float
    """Recall with the best track per video and class; AR10 and AR100 likewise."""
    AR10: float
    AR100: float
    AR_s: float
    AR_m: float
    AR_l: float
    per_class: dict[str, dict[str, float]] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Name -> value."""
        return asdict(self)


def mode_result(
    mode: Mode, videos: Sequence[VideoStats], categories: Mapping[int, str], *, rules: ApRules
) -> ModeResult:
    """The figures of `aviseg_compat` or `strict`.

    Args:
        mode: one of the two.
        videos: in the order of their names.
        categories: all classes of the truth, id -> name. `aviseg_compat` takes HOTA's mean over all of them, also
            those that occur nowhere; `strict` over those with a detection.
        rules: of AP, under which the tracks were matched.
    """
    missing = -1.0 if mode is Mode.COMPAT else None
    matches = _matches(mode, videos, categories)
    by_class = {category: pool_class(found, rules=rules) for category, found in matches.items()}
    counts, occurs = _hota_counts(mode, videos, categories)
    weights = np.ones(len(occurs)) if mode is Mode.COMPAT else occurs.astype(np.float64)
    figures = HotaFigures.of(counts)
    return ModeResult(
        mode=mode,
        ap=_ap_result(list(by_class.values()), missing, with_areas=mode is Mode.COMPAT),
        hota=_hota_result(mean_figures(figures, weights), counts.sum(axis=0)),
        fsla=_fsla_result([found.fsla for video in videos if (found := video.modes[mode]).fsla is not None]),
        per_class={
            name: {
                "AP": _class_mean(by_class.get(category), "ap_AK", missing),
                "AR": _class_mean(by_class.get(category), "recall_AK", missing),
                **{
                    part: float(getattr(figures, part)[index].mean()) if weights[index] else None
                    for part in ("HOTA", "DetA", "AssA", "LocA")
                },
            }
            for index, (category, name) in enumerate(categories.items())
        },
    )


def ytvis_result(videos: Sequence[VideoStats], categories: Mapping[int, str]) -> YtvisResult:
    """The figures of the YouTube-VIS API; videos in ascending order of their ids."""
    matches = _matches(Mode.YTVIS, sorted(videos, key=lambda video: video.video_id), categories)
    classes = {category: pool_class(found, rules="ytvis") for category, found in matches.items()}
    pooled = list(classes.values())
    recall = {
        number: [pool_class([part.best(number) for part in found], rules="ytvis") for found in matches.values()]
        for number in (1, 10)
    }
    ap = [_mean_ap(pooled, "ap_AK", area) for area in range(len(AREA_NAMES))]
    ar = [_mean_ap(pooled, "recall_AK", area) for area in range(len(AREA_NAMES))]
    return YtvisResult(
        AP=ap[0],
        AP50=_mean_ap(pooled, "ap_AK", 0, _AT_50),
        AP75=_mean_ap(pooled, "ap_AK", 0, _AT_75),
        AP_s=ap[1],
        AP_m=ap[2],
        AP_l=ap[3],
        AR1=_mean_ap(recall[1], "recall_AK", 0),
        AR10=_mean_ap(recall[10], "recall_AK", 0),
        AR100=ar[0],
        AR_s=ar[1],
        AR_m=ar[2],
        AR_l=ar[3],
        per_class={
            name: {"AP": _mean_ap([classes[category]], "ap_AK", 0), "AR": _mean_ap([classes[category]], "recall_AK", 0)}
            for category, name in categories.items()
            if category in classes
        },
    )


def _matches(mode: Mode, videos: Sequence[VideoStats], categories: Mapping[int, str]) -> dict[int, list[ClassMatches]]:
    """Matches by class, classes in the order of `categories`; other classes are left out."""
    found: dict[int, list[ClassMatches]] = {}
    for video in videos:
        for matches in video.modes[mode].matches:
            found.setdefault(matches.category, []).append(matches)
    return {category: found[category] for category in categories if category in found}


def _hota_counts(
    mode: Mode, videos: Sequence[VideoStats], categories: Mapping[int, str]
) -> tuple[np.ndarray, np.ndarray]:
    """float64 (C, 7, A): sums over the videos; bool (C,): the class has a detection somewhere."""
    totals: dict[int, HotaCounts] = {}
    for video in videos:
        for category, counts in video.modes[mode].hota.items():
            totals[category] = totals[category] + counts if category in totals else counts
    nothing = without_hits(0, 0)
    return (
        HotaCounts.stack([totals.get(category, nothing) for category in categories]).reshape(-1, 7, len(ALPHAS)),
        np.array([category in totals for category in categories], dtype=bool),
    )


def _mean_ap(classes: Sequence[RangeAp], name: str, area: int, threshold: int | None = None) -> float:
    """Mean over the classes that have truth in the area range, and over the thresholds; -1 if there is none."""
    values: np.ndarray = np.array([getattr(found, name)[area] for found in classes]).reshape(-1, 10)
    values = values[values[:, 0] > -1]
    return float((values if threshold is None else values[:, threshold]).mean()) if len(values) else -1.0


def _ap_result(classes: Sequence[RangeAp], missing: float | None, *, with_areas: bool) -> ApResult:
    def value(name: str, area: int, threshold: int | None = None) -> float | None:
        found = _mean_ap(classes, name, area, threshold)
        return missing if found < 0 else found

    by_area = {}
    if with_areas:
        for area in range(1, len(AREA_NAMES)):
            by_area[f"AP_{AREA_NAMES[area]}"] = _mean_ap(classes, "ap_AK", area)
            by_area[f"AR_{AREA_NAMES[area]}"] = _mean_ap(classes, "recall_AK", area)
    return ApResult(
        AP_all=value("ap_AK", 0),
        AR_all=value("recall_AK", 0),
        AP50=value("ap_AK", 0, _AT_50),
        AP75=value("ap_AK", 0, _AT_75),
        AP_per_iou=[value("ap_AK", 0, threshold) for threshold in range(10)],
        by_area=by_area,
    )


def _class_mean(found: RangeAp | None, name: str, missing: float | None) -> float | None:
    mean = -1.0 if found is None else float(getattr(found, name)[0].mean())
    return missing if mean < 0 else mean


def _hota_result(means: HotaFigures, total: np.ndarray) -> HotaResult:
    per_alpha = {f"{name}_per_alpha": getattr(means, name).tolist() for name in ("HOTA", "DetA", "AssA")}
    names = ("HOTA_TP_per_alpha", "HOTA_FN_per_alpha", "HOTA_FP_per_alpha")
    per_alpha |= {name: total[index].tolist() for index, name in enumerate(names)}
    figures = {name: float(getattr(means, name).mean()) for name in HOTA_FIELDS}
    return HotaResult(
        **{name: None if np.isnan(value) else value for name, value in figures.items()},
        per_alpha={name: [None if np.isnan(item) else item for item in values] for name, values in per_alpha.items()},
    )


def _fsla_result(videos: Sequence[FslaCounts]) -> FslaResult:
    frames_3 = np.sum([np.zeros(3), *(counts.frames_3 for counts in videos)], axis=0)
    correct_3A = np.sum([np.zeros((3, len(ALPHAS))), *(counts.correct_3A for counts in videos)], axis=0)

    def share(correct_A: np.ndarray, frames: float) -> float | None:
        return float((correct_A / frames).mean()) if frames else None

    silent, single, multi = correct_3A.astype(int).tolist()
    per_alpha = (correct_3A.sum(axis=0) / frames_3.sum()).tolist() if frames_3.sum() else None
    return FslaResult(
        FSLA=share(correct_3A.sum(axis=0), frames_3.sum()),
        FSLAn=share(correct_3A[0], frames_3[0]),
        FSLAs=share(correct_3A[1], frames_3[1]),
        FSLAm=share(correct_3A[2], frames_3[2]),
        frames_silent=int(frames_3[0]),
        frames_single=int(frames_3[1]),
        frames_multi=int(frames_3[2]),
        correct_silent_per_alpha=silent,
        correct_single_per_alpha=single,
        correct_multi_per_alpha=multi,
        FSLA_per_alpha=per_alpha,
    )

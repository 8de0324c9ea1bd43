"""Agreement over many clips: the sums of the clips made into figures, with their confidence intervals.

Shapes: N comparisons (one pair of people and clip each), B draws, C categories, A thresholds of HOTA.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from avis_data.annotation.agreement.compare import ClipAgreement, SpanErrors
from avis_data.metrics.bootstrap import draw_weights
from avis_data.metrics.hota import ALPHAS, HotaCounts, HotaFigures, mean_figures
from avis_data.report.agreement_figures import AgreementFigures, CategoryAgreement, Estimate, SpanFigures

__all__ = ["agreement_figures", "annotator_figures"]

_NUM_DRAWS = 1000
_FEWEST_CLIPS = 5
"""Below that an interval by drawing clips again says nothing."""


def agreement_figures(items: Sequence[ClipAgreement], *, seed: int = 0) -> AgreementFigures:
    """The figures of some comparisons together.

    Args:
        items: of `compare_clips`; may be empty, then there are no figures.
        seed: of the draws of the confidence intervals.

    Source: docs/review.md, "How agreement is measured"; Cohen, "A coefficient of agreement for nominal scales", 1960;
        Luiten et al., "HOTA", IJCV 2021.
    """
    clips = sorted({item.clip_id for item in items})
    weights_BN = _weights(items, clips, seed)
    values = _pooled(items, weights_BN)
    sounding = sum(item.seconds_sounding for item in items)
    spans = SpanErrors()
    for item in items:
        spans += item.spans
    return AgreementFigures(
        num_clips=len(clips),
        num_comparisons=len(items),
        num_matched=sum(item.num_matched for item in items),
        num_unmatched=sum(item.num_only_a + item.num_only_b for item in items),
        **{name: _estimate(values_B) for name, values_B in values.items()},
        disagreement=sum(item.seconds_differing for item in items) / sounding if sounding else (0.0 if items else None),
        categories=_categories(items),
        spans=_span_figures(spans),
    )


def annotator_figures(items: Sequence[ClipAgreement]) -> dict[str, AgreementFigures]:
    """The figures of each person's comparisons with others; biases are theirs minus the others'."""
    people = sorted({name for item in items for name in (item.a, item.b)})
    return {
        name: agreement_figures([_seen_by(name, item) for item in items if name in (item.a, item.b)]) for name in people
    }


def kappa_of(table_22: np.ndarray) -> np.ndarray:
    """Cohen's kappa of tables (..., 2, 2); NaN of empty ones, 1 where both always say the same one thing."""
    total = table_22.sum(axis=(-2, -1))
    with np.errstate(invalid="ignore", divide="ignore"):
        share = table_22 / total[..., None, None]
        observed = share[..., 0, 0] + share[..., 1, 1]
        expected = (share.sum(axis=-1) * share.sum(axis=-2)).sum(axis=-1)
        kappa: np.ndarray = np.where(expected >= 1, 1.0, (observed - expected) / (1 - expected))
    return np.where(total > 0, kappa, np.nan)


def _seen_by(name: str, item: ClipAgreement) -> ClipAgreement:
    """The comparison with this person in second place."""
    if item.b == name:
        return item
    spans = SpanErrors(
        onset_s=tuple(-error for error in item.spans.onset_s),
        offset_s=tuple(-error for error in item.spans.offset_s),
        only_a=item.spans.only_b,
        only_b=item.spans.only_a,
    )
    return ClipAgreement(**{**item.__dict__, "a": item.b, "b": item.a, "spans": spans})


def _weights(items: Sequence[ClipAgreement], clips: Sequence[str], seed: int) -> np.ndarray:
    """float64 (1 + B, N): all ones, then how often each clip is drawn."""
    place = {clip_id: number for number, clip_id in enumerate(clips)}
    all_1N = np.ones((1, len(items)))
    if len(clips) < _FEWEST_CLIPS:
        return all_1N
    drawn = draw_weights(len(clips), _NUM_DRAWS, np.random.default_rng(seed))
    return np.vstack((all_1N, drawn[:, [place[item.clip_id] for item in items]]))


def _pooled(items: Sequence[ClipAgreement], weights_BN: np.ndarray) -> dict[str, np.ndarray]:
    """Every figure under every row of weights, (B,); NaN where there is nothing to measure."""
    sums_N3 = np.array([[item.iou_sum, item.boundary_sum, item.num_masks] for item in items]).reshape(len(items), 3)
    tables_N22 = np.array([sum(item.heard.values(), np.zeros((2, 2))) for item in items]).reshape(len(items), 2, 2)
    sums_B3 = weights_BN @ sums_N3
    with np.errstate(invalid="ignore", divide="ignore"):
        means_B2 = sums_B3[:, :2] / sums_B3[:, 2:]
    hota = _hota(items, weights_BN)
    return {
        "mask_iou": means_B2[:, 0],
        "boundary_f": means_B2[:, 1],
        "hota": hota.HOTA.mean(axis=-1),
        "det_a": hota.DetA.mean(axis=-1),
        "ass_a": hota.AssA.mean(axis=-1),
        "kappa": kappa_of(np.tensordot(weights_BN, tables_N22, axes=1)),
    }


def _hota(items: Sequence[ClipAgreement], weights_BN: np.ndarray) -> HotaFigures:
    """Mean over the categories that somebody used; HOTA is the same seen from either person."""
    names = sorted({name for item in items for name in item.hota})
    counts_BC = np.zeros((len(weights_BN), len(names), 7, len(ALPHAS)))
    occurs_BC = np.zeros((len(weights_BN), len(names)))
    for c, name in enumerate(names):
        places = [n for n, item in enumerate(items) if name in item.hota]
        counts_N7A = HotaCounts.stack([items[n].hota[name] for n in places])
        counts_BC[:, c] = np.tensordot(weights_BN[:, places], counts_N7A, axes=1)
        occurs_BC[:, c] = weights_BN[:, places].any(axis=1)
    return mean_figures(HotaFigures.of(counts_BC), occurs_BC)


def _estimate(values_B: np.ndarray) -> Estimate:
    draws = values_B[1:][~np.isnan(values_B[1:])]
    if np.isnan(values_B[0]):
        return Estimate(value=None)
    if not len(draws):
        return Estimate(value=float(values_B[0]))
    low, high = np.quantile(draws, [0.025, 0.975]).tolist()
    return Estimate(value=float(values_B[0]), low=low, high=high)


def _categories(items: Sequence[ClipAgreement]) -> tuple[CategoryAgreement, ...]:
    found = []
    for name in sorted({name for item in items for name in item.heard}):
        table_22 = sum((item.heard[name] for item in items if name in item.heard), np.zeros((2, 2), dtype=np.int64))
        counts = [item.hota[name] for item in items if name in item.hota]
        hota = HotaFigures.of(HotaCounts.stack(counts).sum(axis=0)).HOTA.mean() if counts else np.nan
        found.append(
            CategoryAgreement(
                category=name,
                kappa=_or_none(kappa_of(table_22)),
                hota=_or_none(hota),
                track_seconds=int(table_22.sum()),
                heard_by_one=int(table_22[0, 1] + table_22[1, 0]),
            )
        )
    return tuple(found)


def _span_figures(spans: SpanErrors) -> SpanFigures:
    onset, offset = np.array(spans.onset_s), np.array(spans.offset_s)
    return SpanFigures(
        num_pairs=len(onset),
        num_unpaired=spans.only_a + spans.only_b,
        onset_mean_abs_s=_mean(np.abs(onset)),
        offset_mean_abs_s=_mean(np.abs(offset)),
        onset_bias_s=_mean(onset),
        offset_bias_s=_mean(offset),
    )


def _mean(values: np.ndarray) -> float | None:
    return float(values.mean()) if len(values) else None


def _or_none(value: float | np.ndarray) -> float | None:
    return None if np.isnan(value) else float(value)

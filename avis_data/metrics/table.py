"""The one list of figures: what each is called, what is counted for it in a video, how the sum becomes the figure.

Evaluations, intervals, comparisons, the report, and training's validation and log all show what stands here. A figure
of another package comes in by an entry point in the group `avis_data.figures`, one of a notebook by `FIGURES.add`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from avis_data.metrics.counting import Counting, Drawn, Figure, Mode, Rank, VideoStats
from avis_data.metrics.fsla import FSLA, FslaPool
from avis_data.metrics.hota import HOTA, HotaPool
from avis_data.metrics.track_ap import AP, ApPool
from avis_data.registry import Registry

__all__ = [
    "FIGURES",
    "MASK_FIGURES",
    "MaskFigure",
    "countings_of",
    "figures_of",
    "headline_score",
    "headlines_of_masks",
    "headlines_of_tracks",
    "mask_values",
    "most_telling_first",
    "pools_of",
]

_BOTH = (Mode.COMPAT, Mode.STRICT)
_EVERY = (Mode.COMPAT, Mode.STRICT, Mode.YTVIS)
_YTVIS = (Mode.YTVIS,)
_AT_50, _AT_75 = 0, 5
_SILENT, _SINGLE, _MULTI = 0, 1, 2

_ap = partial(Figure[ApPool], counting=AP, missing=-1.0)
_hota = partial(Figure[HotaPool], counting=HOTA, modes=_BOTH)
_fsla = partial(Figure[FslaPool], counting=FSLA, modes=_BOTH, of_one_video=True)

_TRACKS: tuple[Figure[Any], ...] = (
    # Average precision and recall of tracks: means over 10 IoU thresholds and the classes that have truth.
    _ap(name="AP_all", title="mAP", value=lambda pool: pool.ap().mean(), modes=_BOTH, rank=Rank.HEADLINE),
    _ap(name="AP", value=lambda pool: pool.ap().mean(), modes=_YTVIS),
    _ap(name="AP50", value=lambda pool: pool.ap().mean(_AT_50), modes=_EVERY, rank=Rank.OVERVIEW),
    _ap(name="AP75", value=lambda pool: pool.ap().mean(_AT_75), modes=_EVERY, rank=Rank.OVERVIEW),
    _ap(name="AR_all", value=lambda pool: pool.recall().mean(), modes=_BOTH),
    _ap(name="AR1", value=lambda pool: pool.recall(best=1).mean(), modes=_YTVIS),
    _ap(name="AR10", value=lambda pool: pool.recall(best=10).mean(), modes=_YTVIS),
    _ap(name="AR100", value=lambda pool: pool.recall().mean(), modes=_YTVIS),
    # HOTA and its parts: means over 19 thresholds alpha and the classes.
    _hota(name="HOTA", value=lambda pool: pool.mean("HOTA"), rank=Rank.HEADLINE, of_one_video=True),
    _hota(name="DetA", value=lambda pool: pool.mean("DetA"), rank=Rank.OVERVIEW, of_one_video=True),
    _hota(name="AssA", value=lambda pool: pool.mean("AssA"), rank=Rank.OVERVIEW, of_one_video=True),
    _hota(name="DetRe", value=lambda pool: pool.mean("DetRe")),
    _hota(name="DetPr", value=lambda pool: pool.mean("DetPr")),
    _hota(name="AssRe", value=lambda pool: pool.mean("AssRe")),
    _hota(name="AssPr", value=lambda pool: pool.mean("AssPr")),
    _hota(name="LocA", value=lambda pool: pool.mean("LocA"), of_one_video=True),
    _hota(name="OWTA", value=lambda pool: pool.mean("OWTA")),
    # FSLA: share of right frames; of those without, with one, and with several sounding objects.
    _fsla(name="FSLA", value=lambda pool: pool.share(), rank=Rank.HEADLINE),
    _fsla(name="FSLAn", value=lambda pool: pool.share(_SILENT), rank=Rank.OVERVIEW),
    _fsla(name="FSLAs", value=lambda pool: pool.share(_SINGLE), rank=Rank.OVERVIEW),
    _fsla(name="FSLAm", value=lambda pool: pool.share(_MULTI), rank=Rank.OVERVIEW),
)

FIGURES: Registry[Figure[Any]] = Registry(
    "figure", {figure.name: figure for figure in _TRACKS}, group="avis_data.figures"
)
"""The figures of tracks, in the order of tables."""


@dataclass(frozen=True, kw_only=True)
class MaskFigure:
    """One figure of masks (`--task avs`): `metrics.avs` and `metrics.avss` count and sum it up."""

    name: str
    """What configs and logs of training call it."""
    field: str
    """The field of `AvsResult` or `AvssFigures`; its key in JSON."""
    title: str
    """The title of its row in the table of binary masks."""
    note: str = ""
    """What it is a mean over, with fields of `AvsResult`."""
    rank: Rank = Rank.FULL


MASK_FIGURES = (
    MaskFigure(name="mIoU", field="miou", title="mIoU (J)", note="mean over all frames", rank=Rank.HEADLINE),
    MaskFigure(
        name="mIoU_object",
        field="miou_object",
        title="mIoU, frames with object",
        note="{frames_object} frames",
        rank=Rank.OVERVIEW,
    ),
    MaskFigure(
        name="mIoU_no_object",
        field="miou_no_object",
        title="mIoU, frames without",
        note="{frames_no_object} frames",
        rank=Rank.OVERVIEW,
    ),
    MaskFigure(
        name="F",
        field="fscore",
        title="F (beta^2 0.3)",
        note="at threshold {fscore_threshold:.3f}",
        rank=Rank.HEADLINE,
    ),
    MaskFigure(name="mIoU_foreground", field="miou_foreground", title="mIoU, without background", rank=Rank.OVERVIEW),
)
"""The figures of masks."""


def figures_of(mode: Mode, rank: Rank = Rank.FULL) -> list[Figure[Any]]:
    """The figures of tracks that a mode defines, those that are shown at a rank."""
    return [figure for figure in FIGURES if mode in figure.modes and figure.rank <= rank]


def most_telling_first(figures: Sequence[Figure[Any]]) -> list[Figure[Any]]:
    """The same, metric by metric from the last: FSLA asks for all that HOTA asks, and HOTA for all that AP asks."""
    metrics = list(dict.fromkeys(figure.counting.name for figure in figures))
    return sorted(figures, key=lambda figure: -metrics.index(figure.counting.name))


def headlines_of_tracks() -> list[str]:
    """The figures by which a run of a model of tracks may choose its best weights."""
    return [figure.called for figure in figures_of(Mode.STRICT, Rank.HEADLINE)]


def headlines_of_masks() -> list[str]:
    """The figures by which a run of a model of masks may choose its best weights."""
    return [figure.name for figure in MASK_FIGURES if figure.rank <= Rank.HEADLINE]


def headline_score(name: str, values: Mapping[str, float | None]) -> float:
    """A headline figure as a score, the higher the better; nothing to measure counts as the worst share.

    Args:
        name: one of `headlines_of_tracks` or `headlines_of_masks`.
        values: what a validation found, by the same names.
    """
    value = values[name]
    lower_is_better = [f.called for f in figures_of(Mode.STRICT, Rank.HEADLINE) if not f.higher_is_better]
    if name in lower_is_better:
        return -1.0 if value is None else -value
    return value or 0.0


def mask_values(result: object, rank: Rank) -> dict[str, float | None]:
    """The figures of masks that an `AvsResult`, `AvsReference` or `AvssFigures` has, those that are shown at a rank."""
    return {
        figure.name: getattr(result, figure.field)
        for figure in MASK_FIGURES
        if figure.rank <= rank and hasattr(result, figure.field)
    }


def pools_of(videos: Sequence[VideoStats], drawn: Drawn, figures: Iterable[Figure[Any]]) -> dict[str, Any]:
    """Name of a `Counting` -> the pool of its counts, of all that the figures need.

    Args:
        videos: in the order of their names; where scores tie, `ytvis` takes them in the order of their ids.
        drawn: how often each of them counts.
        figures: of the mode of `drawn`.
    """
    mode = drawn.mode
    if mode is Mode.YTVIS:
        order = sorted(range(len(videos)), key=lambda v: videos[v].video_id)
        videos = [videos[v] for v in order]
        drawn = Drawn(mode=mode, categories=drawn.categories, weights_BV=drawn.weights_BV[:, order])
    return {
        counting.name: counting.pooled([counting.of(video, mode) for video in videos], drawn)
        for counting in countings_of(figures)
    }


def countings_of(figures: Iterable[Figure[Any]]) -> list[Counting[Any, Any]]:
    """What is counted in every video for some figures."""
    return list({figure.counting.name: figure.counting for figure in figures}.values())

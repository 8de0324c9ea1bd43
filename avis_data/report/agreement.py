"""Agreement between annotators as one HTML page: figures, people, categories, and the clips to look at first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from avis_data import __version__
from avis_data.errors import ConfigError
from avis_data.io import write_text
from avis_data.report.agreement_figures import AgreementFigures, AgreementReport, ClipStrips, Estimate, StripRow
from avis_data.report.html import colour_key, document, large_figures, table, text

__all__ = ["MOST_STRIPS", "write_agreement_page"]

MOST_STRIPS = 12
"""How many clips a page draws second by second."""
_ROWS = 100
"""Clips of the queue in the table."""
_ESTIMATES = (
    ("mask IoU", "mask_iou", "over the seconds in which both have a mask of the same object"),
    ("boundary F", "boundary_f", "of the outlines, over the same seconds"),
    ("HOTA", "hota", "over the sounding masks: what is published; one annotator as truth, the other as prediction"),
    ("DetA", "det_a", "of HOTA: are the same things marked in the same seconds"),
    ("AssA", "ass_a", "of HOTA: do they keep the same identities"),
    ("Cohen's kappa", "kappa", "of sounding, over seconds and objects; 0 is chance"),
)
_PLOT_PX, _ROW_PX, _LEFT_PX = 640, 30, 130
_STRIPS_PX, _STRIPS_LEFT_PX, _STRIP_PX, _GAP_PX = 960, 190, 15, 12
_SOUNDING, _SILENT, _HEARD, _DIFFERENT = "var(--accent)", "var(--silent)", "var(--val)", "#d63a3a"
_STRIPS_KEY = (
    ("sounding, with a mask", _SOUNDING),
    ("in view, silent", _SILENT),
    ("heard, no mask", _HEARD),
    ("they differ in what would be published", _DIFFERENT),
)


def write_agreement_page(report: AgreementReport, strips: Iterable[ClipStrips], out: Path) -> None:
    """Write the page: one file that loads nothing.

    Args:
        report: all figures.
        strips: the clips to draw second by second, in this order; `MOST_STRIPS` of them are enough.
        out: the page.

    Raises:
        ConfigError: if `out` is a folder.
    """
    if out.is_dir():
        raise ConfigError(f"{out}: is a folder", hint=f"--html {out / 'agreement.html'}")
    sections = [_header(report), _estimates(report.total)]
    if len(report.rounds) > 1:
        sections.append("<h2>Rounds</h2>" + _figures_table("round", report.rounds))
    sections += [_categories(report.total), _confusion(report), _people(report), _queue(report), _exchanged(report)]
    drawn = [_clip_strips(clip) for clip in strips]
    if drawn:
        sections += ["<h2>Where they differ most, second by second</h2>", colour_key(_STRIPS_KEY), *drawn]
    sections.append(
        f"<footer>Written by avis-data {text(__version__)}; definitions in docs/review.md. "
        "This page loads nothing from a network.</footer>"
    )
    write_text(out, document("Agreement between annotators", sections))


def _header(report: AgreementReport) -> str:
    total = report.total
    figures = (
        (f"{total.num_clips:,}", "clips labelled twice" if report.is_blind else "clips"),
        (f"{len(report.annotators)}", "annotators"),
        (_number(total.mask_iou.value), "mask IoU"),
        (_number(total.hota.value), "HOTA"),
        (_number(total.kappa.value), "kappa of sounding"),
        (_percent(total.disagreement), "sounding seconds that differ"),
    )
    what = (
        "Clips that two people labelled without knowing of each other."
        if report.is_blind
        else "What people found in these rounds and what they left. They had seen it, so this is how much was changed,"
        " and not how far people agree who label on their own. Clips that were sent back are left out."
    )
    return f"<header><h1>Agreement between annotators</h1><p class='soft'>{what}</p>{large_figures(figures)}</header>"


def _estimates(total: AgreementFigures) -> str:
    rows = []
    for name, field, meaning in _ESTIMATES:
        found: Estimate = getattr(total, field)
        rows.append((name, _number(found.value), _range(found), meaning))
    spans = total.spans
    rows += [
        ("onset error", _seconds(spans.onset_mean_abs_s), "", f"mean distance, {spans.num_pairs} pairs of intervals"),
        ("offset error", _seconds(spans.offset_mean_abs_s), "", f"{spans.num_unpaired} intervals of one only"),
        ("objects", f"{total.num_matched}", "", f"that both marked; {total.num_unmatched} that only one did"),
    ]
    head = ("figure", "value", "95 %", "what it is")
    return f"<h2>Figures</h2>{_plot(total)}{table(head, rows, ends_in_words=True)}"


def _plot(total: AgreementFigures) -> str:
    """Values from 0 to 1 as dots, their intervals as lines."""
    found = [(name, getattr(total, field)) for name, field, _ in _ESTIMATES]
    drawn = [(name, estimate) for name, estimate in found if estimate.value is not None]
    if not drawn:
        return ""
    height = _ROW_PX * len(drawn) + 26
    parts = []
    for tick in range(6):
        x = _x(tick / 5)
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="6" y2="{height - 22}"/>')
        parts.append(f'<text x="{x:.1f}" y="{height - 6}" text-anchor="middle">{tick / 5:g}</text>')
    for row, (name, estimate) in enumerate(drawn):
        y = 6 + _ROW_PX * (row + 0.5)
        low, high = (estimate.low, estimate.high) if estimate.low is not None else (estimate.value, estimate.value)
        parts.append(f'<text x="{_LEFT_PX - 12}" y="{y + 4:.1f}" text-anchor="end">{text(name)}</text>')
        parts.append(
            f'<line x1="{_x(low):.1f}" x2="{_x(high):.1f}" y1="{y:.1f}" y2="{y:.1f}" '
            'stroke="var(--accent)" stroke-width="3" stroke-linecap="round"/>'
        )
        parts.append(f'<circle cx="{_x(estimate.value):.1f}" cy="{y:.1f}" r="5" fill="var(--accent)"/>')
    title = "Agreement, with 95 % intervals over clips"
    return (
        f'<figure style="max-width:760px"><figcaption>{title}</figcaption><svg viewBox="0 0 {_PLOT_PX} {height}" '
        f'role="img" aria-label="{title}">{"".join(parts)}</svg></figure>'
    )


def _x(value: float | None) -> float:
    return _LEFT_PX + (_PLOT_PX - _LEFT_PX - 20) * min(max(value or 0.0, 0.0), 1.0)


def _categories(total: AgreementFigures) -> str:
    rows = [
        (item.category, _number(item.kappa), _number(item.hota), f"{item.track_seconds:,}", f"{item.heard_by_one:,}")
        for item in total.categories
    ]
    head = ("category", "kappa of sounding", "HOTA", "track-seconds", "heard by one only")
    return f"<h2>Categories</h2>{table(head, rows)}" if rows else ""


def _confusion(report: AgreementReport) -> str:
    """A square of categories, of those that anybody took for another; who said which does not matter."""
    pairs = {(one, other): number for one, other, number in report.confusion}
    names = sorted({name for pair in pairs if pair[0] != pair[1] for name in pair})
    if not names:
        return ""
    rows = [(one, *("" if other < one else pairs.get((one, other), 0) for other in names)) for one in names]
    said = "Objects that both marked, by the categories that the two give them; equal ones stand on the diagonal."
    return f"<h2>Categories taken for each other</h2><p class='soft'>{said}</p>{table(('', *names), rows)}"


def _exchanged(report: AgreementReport) -> str:
    """Objects with two categories, and identities that change places, clip by clip."""
    rows = []
    for item in report.queue:
        who = f"{item.a} / {item.b}"
        rows += [(item.clip_id, f"{a} is {b}", "", who, "one object, two categories") for a, b in item.confused]
        rows += [
            (item.clip_id, f"{a} is {b}", ", ".join(str(second + 1) for second in seconds), who, "exchanged there")
            for a, b, seconds in item.swaps
        ]
    if not rows:
        return ""
    more = len(rows) - _ROWS
    rest = f"<p class='soft'>and {more} more; all of them with --json.</p>" if more > 0 else ""
    head = ("clip", "objects", "pages", "annotators", "what it is")
    return f"<h2>Identities and categories that differ</h2>{table(head, rows[:_ROWS], ends_in_words=True)}{rest}"


def _people(report: AgreementReport) -> str:
    if not report.annotators:
        return ""
    rows = [
        (name, _seconds(found.spans.onset_bias_s, sign=True), _seconds(found.spans.offset_bias_s, sign=True))
        for name, found in report.annotators.items()
    ]
    biases = table(("annotator", "starts later than others", "ends later than others"), rows)
    return f"<h2>Annotators</h2>{_figures_table('annotator', report.annotators)}<p></p>{biases}"


def _figures_table(head: str, figures: Mapping[str, AgreementFigures]) -> str:
    rows = [
        (
            name,
            found.num_clips,
            _number(found.mask_iou.value),
            _number(found.boundary_f.value),
            _number(found.hota.value),
            _number(found.ass_a.value),
            _number(found.kappa.value),
            _seconds(found.spans.onset_mean_abs_s),
            _percent(found.disagreement),
        )
        for name, found in figures.items()
    ]
    names = ("clips", "mask IoU", "boundary F", "HOTA", "AssA", "kappa", "onset error", "seconds that differ")
    return table((head, *names), rows)


def _queue(report: AgreementReport) -> str:
    rows = [
        (
            item.clip_id,
            _percent(item.disagreement),
            item.state or "",
            f"{item.seconds_differing} of {item.seconds_sounding}",
            item.tracks_of_one,
            f"{item.a} / {item.b}",
            item.round,
        )
        for item in report.queue[:_ROWS]
    ]
    if not rows:
        missing = "labelled by two people" if report.is_blind else "finished in this round"
        return f"<h2>Clips</h2><p>No clip was {missing} yet.</p>"
    head = ("clip", "disagreement", "now", "sounding seconds", "objects of one", "annotators", "round")
    more = len(report.queue) - len(rows)
    rest = f"<p class='soft'>and {more} more; all of them with --json.</p>" if more else ""
    return f"<h2>Clips, most disagreement first</h2>{table(head, rows)}{rest}"


def _clip_strips(clip: ClipStrips) -> str:
    """The seconds of every object as the two see them, first one above, second one below."""
    group_px = 2 * _STRIP_PX + 6 + _GAP_PX
    height = max(group_px * len(clip.tracks) + 18, 30)
    cell = (_STRIPS_PX - _STRIPS_LEFT_PX) / clip.num_seconds
    parts = []
    for number, track in enumerate(clip.tracks):
        top = group_px * number
        parts += _cells(track.upper, top, cell) + _cells(track.lower, top + _STRIP_PX + 1, cell)
        for t in np.flatnonzero(track.differing_T):
            parts.append(_rect(t, top + 2 * _STRIP_PX + 2, cell, 4, _DIFFERENT))
        for row, offset in ((track.upper, 0), (track.lower, _STRIP_PX + 1)):
            name, y = row.name or "not marked", top + offset + 12
            parts.append(f'<text x="{_STRIPS_LEFT_PX - 8}" y="{y}" text-anchor="end">{text(name[:26])}</text>')
    for t in range(0, clip.num_seconds, max(1, clip.num_seconds // 12)):
        parts.append(f'<text x="{_STRIPS_LEFT_PX + cell * t:.1f}" y="{height - 3}">{t} s</text>')
    title = f"{clip.clip_id}: {clip.a} above, {clip.b} below"
    return (
        f'<figure><figcaption>{text(title)}</figcaption><svg viewBox="0 0 {_STRIPS_PX} {height}" role="img" '
        f'aria-label="{text(title)}">{"".join(parts)}</svg></figure>'
    )


def _cells(row: StripRow, top: float, cell: float) -> list[str]:
    width = _STRIPS_PX - _STRIPS_LEFT_PX
    parts = [
        f'<rect x="{_STRIPS_LEFT_PX}" y="{top}" width="{width}" height="{_STRIP_PX}" fill="var(--line)" '
        'fill-opacity="0.45"/>'
    ]
    for t in np.flatnonzero(row.masked_T | row.heard_T):
        colour = _SOUNDING if row.masked_T[t] and row.heard_T[t] else _SILENT if row.masked_T[t] else _HEARD
        parts.append(_rect(t, top, cell, _STRIP_PX, colour))
    return parts


def _rect(second: int, top: float, cell: float, height: float, colour: str) -> str:
    width = max(cell - 0.7, 0.5)
    x = _STRIPS_LEFT_PX + cell * second
    return f'<rect x="{x:.1f}" y="{top}" width="{width:.1f}" height="{height}" fill="{colour}"/>'


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"


def _seconds(value: float | None, *, sign: bool = False) -> str:
    return "–" if value is None else f"{value:+.2f} s" if sign else f"{value:.2f} s"


def _range(estimate: Estimate) -> str:
    return "" if estimate.low is None or estimate.high is None else f"{estimate.low:.3f} to {estimate.high:.3f}"

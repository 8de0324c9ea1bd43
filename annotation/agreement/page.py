"""Agreement between annotators as one HTML page: figures, people, categories, and the clips to look at first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from avis_data import __version__
from avis_data.annotation.agreement.adjudication import adjudication_queue
from avis_data.annotation.agreement.compare import ClipAgreement
from avis_data.annotation.agreement.figures import AgreementFigures, Estimate, agreement_figures, annotator_figures
from avis_data.annotation.agreement.strips import clip_strips, strips_key
from avis_data.errors import ConfigError
from avis_data.io import write_text
from avis_data.paths import Workspace
from avis_data.report.html import document, table, text

__all__ = ["AgreementReport", "agreement_report", "write_agreement_page"]

_ROWS, _STRIPS = 100, 12
"""Clips of the queue in the table, and with their seconds drawn."""
_ESTIMATES = (
    ("mask IoU", "mask_iou", "over the seconds in which both have a mask of the same object"),
    ("boundary F", "boundary_f", "of the outlines, over the same seconds"),
    ("HOTA", "hota", "over the sounding masks: what is published; one annotator as truth, the other as prediction"),
    ("DetA", "det_a", "of HOTA: are the same things marked in the same seconds"),
    ("AssA", "ass_a", "of HOTA: do they keep the same identities"),
    ("Cohen's kappa", "kappa", "of sounding, over seconds and objects; 0 is chance"),
)
_PLOT_PX, _ROW_PX, _LEFT_PX = 640, 30, 130


@dataclass(frozen=True, kw_only=True)
class AgreementReport:
    """All figures of agreement."""

    total: AgreementFigures
    rounds: Mapping[str, AgreementFigures]
    annotators: Mapping[str, AgreementFigures]
    queue: Sequence[ClipAgreement]
    """Every comparison, the one in which people differ most first."""
    is_blind: bool
    """Whether it is of people who labelled without knowing of each other."""
    states: Mapping[str, str]
    """Where each clip stands now: what is `to review` or in `review` is still to be decided."""

    def as_dict(self) -> dict[str, object]:
        """For `--json`."""
        return {
            "blind": self.is_blind,
            "total": self.total.as_dict(),
            "rounds": {name: figures.as_dict() for name, figures in self.rounds.items()},
            "annotators": {name: figures.as_dict() for name, figures in self.annotators.items()},
            "queue": [
                {
                    "clip_id": item.clip_id,
                    "round": item.round,
                    "annotators": [item.a, item.b],
                    "disagreement": item.disagreement,
                    "seconds_differing": item.seconds_differing,
                    "seconds_sounding": item.seconds_sounding,
                    "tracks_of_one": item.num_only_a + item.num_only_b,
                    "verdicts": list(item.verdicts),
                    "state": self.states.get(item.clip_id),
                }
                for item in self.queue
            ],
        }


def agreement_report(
    items: Iterable[ClipAgreement], *, is_blind: bool = True, states: Mapping[str, str] | None = None
) -> AgreementReport:
    """The figures over all comparisons, by round and by person, and the queue for adjudication.

    Args:
        items: comparisons.
        is_blind: whether they are of drafts; else of what people were given with what they left.
        states: where the clips stand.
    """
    every = list(items)
    names = list(dict.fromkeys(item.round for item in every))
    return AgreementReport(
        total=agreement_figures(every),
        rounds={name: agreement_figures([item for item in every if item.round == name]) for name in names},
        annotators=annotator_figures(every),
        queue=adjudication_queue(every),
        is_blind=is_blind,
        states=dict(states or {}),
    )


def write_agreement_page(workspace: Workspace, report: AgreementReport, out: Path) -> None:
    """Write the page: one file that loads nothing.

    Raises:
        ConfigError: if `out` is a folder.
    """
    if out.is_dir():
        raise ConfigError(f"{out}: is a folder", hint=f"--html {out / 'agreement.html'}")
    sections = [_header(report), _estimates(report.total)]
    if len(report.rounds) > 1:
        sections.append("<h2>Rounds</h2>" + _figures_table("round", report.rounds))
    sections += [_categories(report.total), _people(report), _queue(report)]
    shown = [item for item in report.queue if item.disagreement > 0][:_STRIPS]
    if shown:
        sections += ["<h2>Where they differ most, second by second</h2>", strips_key()]
    sections += [clip_strips(workspace, item) for item in shown]
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
    items = "".join(f"<li><b>{text(value)}</b><span>{text(name)}</span></li>" for value, name in figures)
    what = (
        "Clips that two people labelled without knowing of each other."
        if report.is_blind
        else "What people found in these rounds and what they left. They had seen it, so this is how much was changed,"
        " and not how far people agree who label on their own. Clips that were sent back are left out."
    )
    return (
        "<header><h1>Agreement between annotators</h1>"
        f"<p class='soft'>{what}</p>"
        f"<ul class='figures'>{items}</ul></header>"
    )


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
    return f"<h2>Figures</h2>{_plot(total)}{_left_table(('figure', 'value', '95 %', 'what it is'), rows)}"


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
            report.states.get(item.clip_id, ""),
            f"{item.seconds_differing} of {item.seconds_sounding}",
            item.num_only_a + item.num_only_b,
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


def _left_table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """As `table`, the last column is text."""
    style = ' style="text-align:left;white-space:normal"'
    cells = "".join(f"<th{style if name == head[-1] else ''}>{text(name)}</th>" for name in head)
    lines = []
    for *numbers, last in rows:
        columns = "".join(f"<td>{text(value)}</td>" for value in numbers)
        lines.append(f"<tr>{columns}<td{style}>{text(last)}</td></tr>")
    return f'<div class="scroll"><table><thead><tr>{cells}</tr></thead><tbody>{"".join(lines)}</tbody></table></div>'


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"


def _seconds(value: float | None, *, sign: bool = False) -> str:
    return "–" if value is None else f"{value:+.2f} s" if sign else f"{value:.2f} s"


def _range(estimate: Estimate) -> str:
    return "" if estimate.low is None or estimate.high is None else f"{estimate.low:.3f} to {estimate.high:.3f}"

"""Two people's labels of a clip drawn second by second, one above the other, as inline SVG."""

from __future__ import annotations

import numpy as np

from avis_data.annotation.agreement.compare import SAME_IOU, ClipAgreement
from avis_data.annotation.agreement.label_pairs import label_pairs
from avis_data.annotation.labels.matching import Matching, match_tracks
from avis_data.annotation.labels.records import LabelledClip
from avis_data.paths import Workspace
from avis_data.report.html import text

__all__ = ["clip_strips", "strips_key"]

_WIDTH_PX, _LEFT_PX, _ROW_PX, _GAP_PX = 960, 190, 15, 12
_SOUNDING, _SILENT, _HEARD, _DIFFERENT = "var(--accent)", "var(--silent)", "var(--val)", "#d63a3a"
_KEY = (
    (_SOUNDING, "sounding, with a mask"),
    (_SILENT, "in view, silent"),
    (_HEARD, "heard, no mask"),
    (_DIFFERENT, "they differ in what would be published"),
)

_Row = tuple[str, np.ndarray, np.ndarray]
"""Name, seconds with a mask, seconds that are heard."""


def strips_key() -> str:
    """What the colours mean."""
    chips = (f'<span><i class="chip" style="background:{colour}"></i>{text(what)}</span>' for colour, what in _KEY)
    return f'<div class="key">{"".join(chips)}</div>'


def clip_strips(workspace: Workspace, item: ClipAgreement) -> str:
    """The seconds of every object as the two see them, first one above, second one below.

    Raises:
        DataError: if a file of the labels is damaged.
    """
    pairs = label_pairs(workspace, item.round, item.clip_id)
    a, b = next((a, b) for a, b in pairs if (a.annotator, b.annotator) == (item.a, item.b))
    found = match_tracks(a, b)
    nothing = np.zeros(a.num_seconds, dtype=bool)
    groups: list[tuple[_Row, _Row, np.ndarray]] = []
    for i, j in [*found.pairs, *((i, None) for i in found.only_a), *((None, j) for j in found.only_b)]:
        upper = _row(a, found.masked_AT, found.heard_AT, i) if i is not None else ("", nothing, nothing)
        lower = _row(b, found.masked_BT, found.heard_BT, j) if j is not None else ("", nothing, nothing)
        groups.append((upper, lower, _differing(found, upper, lower, i, j)))
    return _figure(item, a.num_seconds, groups)


def _row(clip: LabelledClip, masked_NT: np.ndarray, heard_NT: np.ndarray, place: int) -> _Row:
    return clip.tracks[place].identity, masked_NT[place], heard_NT[place]


def _differing(found: Matching, upper: _Row, lower: _Row, i: int | None, j: int | None) -> np.ndarray:
    sounds_a, sounds_b = upper[1] & upper[2], lower[1] & lower[2]
    same = sounds_a & sounds_b
    if i is not None and j is not None:
        same &= found.iou_TAB[:, i, j] >= SAME_IOU
    differing: np.ndarray = (sounds_a | sounds_b) & ~same
    return differing


def _figure(item: ClipAgreement, num_seconds: int, groups: list[tuple[_Row, _Row, np.ndarray]]) -> str:
    group_px = 2 * _ROW_PX + 6 + _GAP_PX
    height = max(group_px * len(groups) + 18, 30)
    cell = (_WIDTH_PX - _LEFT_PX) / num_seconds
    parts = []
    for number, (upper, lower, differing) in enumerate(groups):
        top = group_px * number
        parts += _cells(upper, top, cell) + _cells(lower, top + _ROW_PX + 1, cell)
        for t in np.flatnonzero(differing):
            parts.append(_rect(t, top + 2 * _ROW_PX + 2, cell, 4, _DIFFERENT))
        for row, offset in ((upper, 0), (lower, _ROW_PX + 1)):
            name = row[0] or "not marked"
            parts.append(f'<text x="{_LEFT_PX - 8}" y="{top + offset + 12}" text-anchor="end">{text(name[:26])}</text>')
    for t in range(0, num_seconds, max(1, num_seconds // 12)):
        parts.append(f'<text x="{_LEFT_PX + cell * t:.1f}" y="{height - 3}">{t} s</text>')
    title = f"{item.clip_id}: {item.a} above, {item.b} below"
    return (
        f'<figure><figcaption>{text(title)}</figcaption><svg viewBox="0 0 {_WIDTH_PX} {height}" role="img" '
        f'aria-label="{text(title)}">{"".join(parts)}</svg></figure>'
    )


def _cells(row: _Row, top: float, cell: float) -> list[str]:
    _, masked, heard = row
    parts = [
        f'<rect x="{_LEFT_PX}" y="{top}" width="{_WIDTH_PX - _LEFT_PX}" height="{_ROW_PX}" fill="var(--line)" '
        'fill-opacity="0.45"/>'
    ]
    for t in np.flatnonzero(masked | heard):
        colour = _SOUNDING if masked[t] and heard[t] else _SILENT if masked[t] else _HEARD
        parts.append(_rect(t, top, cell, _ROW_PX, colour))
    return parts


def _rect(second: int, top: float, cell: float, height: float, colour: str) -> str:
    width = max(cell - 0.7, 0.5)
    x = _LEFT_PX + cell * second
    return f'<rect x="{x:.1f}" y="{top}" width="{width:.1f}" height="{height}" fill="{colour}"/>'

"""The report of agreement: figures over all comparisons, and the clips in which people differ most, to look at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from avis_data.annotation.agreement.adjudication import adjudication_queue
from avis_data.annotation.agreement.compare import SAME_IOU, ClipAgreement
from avis_data.annotation.agreement.figures import agreement_figures, annotator_figures
from avis_data.annotation.agreement.label_pairs import label_pairs
from avis_data.annotation.labels.matching import Matching, match_tracks
from avis_data.annotation.labels.records import LabelledClip
from avis_data.annotation.labels.workspace_labels import WorkspaceLabels
from avis_data.report.agreement import MOST_STRIPS
from avis_data.report.agreement_figures import AgreementReport, ClipRow, ClipStrips, StripRow, TrackStrips

__all__ = ["agreement_report", "strips_to_look_at"]


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
        confusion=_confusion(every),
        queue=[_row(item, (states or {}).get(item.clip_id)) for item in adjudication_queue(every)],
        is_blind=is_blind,
    )


def strips_to_look_at(labels: WorkspaceLabels, report: AgreementReport) -> Iterator[ClipStrips]:
    """The clips in which people differ most, second by second; one at a time is held.

    Raises:
        DataError: if a file of the labels is damaged.
    """
    for row in [row for row in report.queue if row.disagreement > 0][:MOST_STRIPS]:
        pairs = label_pairs(labels, row.round, row.clip_id)
        a, b = next((a, b) for a, b in pairs if (a.annotator, b.annotator) == (row.a, row.b))
        yield _strips(row, a, b)


def _confusion(items: Iterable[ClipAgreement]) -> list[tuple[str, str, int]]:
    """Counts by pairs of categories in the order of the alphabet: who said which does not matter."""
    found: Counter[tuple[str, str]] = Counter()
    for item in items:
        for (one, other), number in item.categories.items():
            found[min(one, other), max(one, other)] += number
    return [(one, other, number) for (one, other), number in sorted(found.items())]


def _row(item: ClipAgreement, state: str | None) -> ClipRow:
    return ClipRow(
        clip_id=item.clip_id,
        round=item.round,
        a=item.a,
        b=item.b,
        disagreement=item.disagreement,
        seconds_differing=item.seconds_differing,
        seconds_sounding=item.seconds_sounding,
        tracks_of_one=item.num_only_a + item.num_only_b,
        verdicts=item.verdicts,
        confused=item.confused,
        swaps=[(swap.a, swap.b, swap.seconds) for swap in item.swaps],
        state=state,
    )


def _strips(row: ClipRow, a: LabelledClip, b: LabelledClip) -> ClipStrips:
    """Objects that both marked come first, then those of the first person, then those of the second."""
    found = match_tracks(a, b)
    nothing = np.zeros(a.num_frames, dtype=bool)
    unmarked = StripRow(name="", masked_T=nothing, heard_T=nothing)
    tracks = []
    for i, j in [*found.pairs, *((i, None) for i in found.only_a), *((None, j) for j in found.only_b)]:
        upper = _strip(a, found.masked_AT, found.heard_AT, i) if i is not None else unmarked
        lower = _strip(b, found.masked_BT, found.heard_BT, j) if j is not None else unmarked
        tracks.append(TrackStrips(upper=upper, lower=lower, differing_T=_differing(found, upper, lower, i, j)))
    return ClipStrips(clip_id=row.clip_id, a=row.a, b=row.b, num_seconds=a.num_frames, tracks=tracks)


def _strip(clip: LabelledClip, masked_NT: NDArray[np.bool_], heard_NT: NDArray[np.bool_], place: int) -> StripRow:
    return StripRow(name=clip.tracks[place].identity, masked_T=masked_NT[place], heard_T=heard_NT[place])


def _differing(found: Matching, upper: StripRow, lower: StripRow, i: int | None, j: int | None) -> NDArray[np.bool_]:
    sounds_a, sounds_b = upper.masked_T & upper.heard_T, lower.masked_T & lower.heard_T
    same = sounds_a & sounds_b
    if i is not None and j is not None:
        same &= found.iou_TAB[:, i, j] >= SAME_IOU
    differing: NDArray[np.bool_] = (sounds_a | sounds_b) & ~same
    return differing

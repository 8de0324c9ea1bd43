"""Clips that two people labelled, blind: compared, and sent to a reviewer who decides.

The draft with fewer problems (of equal ones that of the name that comes first; one that has labels before one that
would drop the clip) is what the reviewer finds in the page; what the other one says stands in the note.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from avis_data.annotation.agreement.compare import ClipAgreement, compare_clips
from avis_data.annotation.agreement.label_pairs import is_blind, label_pairs
from avis_data.annotation.labels.records import Answer, Interval, LabelledClip, Verdict
from avis_data.annotation.labels.workspace_labels import WorkspaceLabels
from avis_data.errors import DataError

__all__ = ["adjudication_queue", "compare_rounds", "summary_of_others"]


def compare_rounds(labels: WorkspaceLabels, round_name: str | None = None) -> Iterator[ClipAgreement]:
    """Compare the labels of a round, as `label_pairs` gives them; one clip at a time is held.

    Args:
        labels: only read.
        round_name: None: all draft rounds, in which people label without knowing of each other.

    Raises:
        DataError: if there is no such round, or a file of it is damaged.
    """
    names = labels.round_names()
    if round_name is not None and round_name not in names:
        known = ", ".join(names) or "none"
        raise DataError(f"no round {round_name!r}; there are: {known}", hint="avis-data review status")
    for name in filter(is_blind, names) if round_name is None else [round_name]:
        for a, b in label_pairs(labels, name):
            yield compare_clips(a, b)


def adjudication_queue(agreements: Iterable[ClipAgreement]) -> list[ClipAgreement]:
    """The same, the clip on which people differ most first."""
    return sorted(
        agreements, key=lambda item: (-item.disagreement, -item.seconds_differing, item.clip_id, item.a, item.b)
    )


def summary_of_others(labels: WorkspaceLabels, answer: Answer, others: Iterable[Answer]) -> list[str]:
    """What the other person says of a clip that was labelled twice, and where the two differ; for its reviewer."""
    shown = labels.labels_of(answer)
    lines = []
    for other in others:
        said = labels.labels_of(other)
        found = compare_clips(shown, said)
        lines.append(
            f"Also labelled by {other.annotator} ({len(other.problems)} problem(s)), not shown: {_tracks(said)}"
        )
        if other.verdict is Verdict.DROP:
            lines.append(f"{other.annotator} would drop this clip.")
        if other.note:
            lines.append(f"{other.annotator}'s note: {other.note}")
        differ = f"{found.seconds_differing} of {found.seconds_sounding} sounding track-seconds"
        lines.append(f"The two differ in {differ}. Please decide.")
    return lines


def _tracks(labels: LabelledClip) -> str:
    found = [f"{track.identity} sounds {_spans(track.intervals)}" for track in labels.tracks]
    if labels.off_screen:
        found.append(f"off-screen sound {_spans(labels.off_screen)}")
    return "; ".join(found) or "nothing sounds"


def _spans(intervals: Iterable[Interval]) -> str:
    return ", ".join(f"{span.start_s:g}-{span.end_s:g} s" for span in intervals) or "never"

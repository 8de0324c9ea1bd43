"""What looks wrong with tracks, whoever made them: read from the server, or put right by a command."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from avis_data.annotation.labels.records import ClipProblem, LabelledTrack
from avis_data.annotation.labels.states import heard_seconds

__all__ = ["TRACK_PROBLEMS", "split_identity", "track_problems"]

TRACK_PROBLEMS = frozenset({"bad_label", "mask_without_span", "span_without_mask"})
"""The kinds that follow from the tracks alone."""


def split_identity(identity: str) -> tuple[str, int | None]:
    """Category and number of `person_1`; a name without a number is a category of its own."""
    category, _, number = identity.rpartition("_")
    return (category, int(number)) if category and number.isdecimal() else (identity, None)


def track_problems(tracks: Iterable[LabelledTrack], categories: Collection[str], num_seconds: int) -> list[ClipProblem]:
    """Labels that are none of the category set, masks that nothing says when, seconds that are heard without a mask.

    Args:
        tracks: of one clip.
        categories: the names of the category set.
        num_seconds: of the clip.
    """
    found = []
    for track in tracks:
        name = track.identity
        if split_identity(name)[1] is None or track.category not in categories:
            found.append(ClipProblem(kind="bad_label", identity=name, message=f"no label of the category set: {name}"))
        if not track.intervals:
            found.append(ClipProblem(kind="mask_without_span", identity=name, message="masks, but nothing says when"))
        seen = {mask.frame for mask in track.masks}
        heard = heard_seconds(track.intervals, num_seconds)
        for frame in (frame for frame, is_heard in enumerate(heard) if is_heard and frame not in seen):
            message = "heard, and no mask"
            found.append(ClipProblem(kind="span_without_mask", identity=name, frame=frame, message=message))
    return found

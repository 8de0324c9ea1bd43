"""Which labels of one clip agreement compares: independent drafts; in later rounds what a person found and left."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from avis_data.annotation.labels.records import Answer, Assignment, LabelledClip, RoundKind, Verdict
from avis_data.annotation.labels.rounds import Passage
from avis_data.annotation.labels.workspace_labels import WorkspaceLabels

__all__ = ["is_blind", "label_pairs"]


def is_blind(round_name: str) -> bool:
    """Whether people label without knowing of each other in a round: in drafts. A reviewer has seen what was there."""
    return round_name.startswith(RoundKind.DRAFT)


def label_pairs(
    labels: WorkspaceLabels, round_name: str, clip_id: str | None = None
) -> Iterator[tuple[LabelledClip, LabelledClip]]:
    """What is compared in a round, clip by clip; of one clip or of all.

    In a draft round the finished labels of every two people. In a review or fix round the labels that a person was
    given (first, under the name of whoever made them) and what they left; clips that a reviewer sent back are left out,
    since nothing was mended in them yet.

    Raises:
        DataError: if a file of the round is damaged.
    """
    for _, passage in labels.passages(round_name, clip_id):
        if is_blind(round_name):
            finished = [answer for answer in passage.answers if answer.is_finished]
            said = [labels.as_said(answer) for answer in finished] if len(finished) > 1 else []
            yield from combinations(said, 2)
        else:
            yield from _found_and_left(labels, passage)


def _found_and_left(labels: WorkspaceLabels, passage: Passage) -> Iterator[tuple[LabelledClip, LabelledClip]]:
    for answer in passage.finished:
        given = passage.given_for(answer)
        if given is None or given.prev_by is None or answer.verdict is Verdict.SEND_BACK:
            continue
        task = labels.pushed(passage.round, answer.clip_id, given.annotator)
        if task is None:
            continue
        left = labels.as_said(answer)
        found = {"tracks": task.tracks, "off_screen": task.off_screen, "annotator": given.prev_by}
        yield left.model_copy(update=found | {"verdict": _verdict_before(labels, answer, given)}), left


def _verdict_before(labels: WorkspaceLabels, answer: Answer, given: Assignment) -> Verdict | None:
    """The verdict of whoever made the labels: one who would drop the clip too agrees with a reviewer who does."""
    before = labels.answers(given.prev_round or "", answer.clip_id)
    return next((item.verdict for item in before if item.annotator == given.prev_by), None)

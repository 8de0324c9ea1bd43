"""What became of one clip, round by round: who said what, and what they changed."""

from __future__ import annotations

from dataclasses import dataclass

from avis_data.annotation.labels.changes import LabelChanges, changes_between
from avis_data.annotation.labels.records import Answer, Assignment, Decision, LabelledClip
from avis_data.annotation.labels.rounds import Passage, Place, clip_place
from avis_data.annotation.labels.workspace_labels import WorkspaceLabels
from avis_data.errors import DataError

__all__ = ["ClipHistory", "Step", "clip_history"]


@dataclass(frozen=True, kw_only=True)
class Step:
    """What one person said in one round."""

    answer: Answer
    started_from: str | None
    """What it began with: `draft of a@example.com`, or `pre-labels`; None: an empty page."""
    changes: LabelChanges | None
    """Against what the page was filled with; None where that is not known, or it was empty."""
    num_tracks: int
    num_masks: int

    def as_dict(self) -> dict[str, object]:
        """What `--json` prints."""
        answer = self.answer
        return {
            "round": answer.round,
            "annotator": answer.annotator,
            "updated_by": answer.updated_by,
            "updated_at": answer.updated_at or None,
            "verdict": answer.verdict,
            "reasons": list(answer.reasons),
            "note": answer.note,
            "lead_time_s": answer.lead_time_s,
            "problems": [problem.model_dump() for problem in answer.problems],
            "num_tracks": self.num_tracks,
            "num_masks": self.num_masks,
            "started_from": self.started_from,
            "changes": self.changes.as_dict() if self.changes is not None else None,
            "repairs": [repair.model_dump() for repair in answer.repairs],
        }


@dataclass(frozen=True, kw_only=True)
class ClipHistory:
    """The way of a clip through the rounds."""

    place: Place
    steps: tuple[Step, ...]
    decisions: tuple[tuple[str, Decision], ...]
    """What the lead said of it, each with its round."""

    def as_dict(self) -> dict[str, object]:
        """What `--json` prints."""
        said = [{"round": name, **decision.model_dump()} for name, decision in self.decisions]
        return {**self.place.as_dict(), "steps": [step.as_dict() for step in self.steps], "decisions": said}


def clip_history(labels: WorkspaceLabels, clip_id: str) -> ClipHistory:
    """All that was said of a clip, in the order of the rounds.

    Raises:
        DataError: if no round knows the clip, or a file is damaged.
    """
    passages = labels.clip_passages(clip_id)
    if not passages:
        raise DataError(f"no round knows a clip {clip_id!r}", hint="avis-data review status")
    steps = [_step(labels, passage, answer) for passage in passages for answer in passage.answers]
    decisions = tuple((passage.round, decision) for passage in passages for decision in passage.decisions)
    return ClipHistory(place=clip_place(clip_id, passages), steps=tuple(steps), decisions=decisions)


def _step(labels: WorkspaceLabels, passage: Passage, answer: Answer) -> Step:
    said, given = labels.as_said(answer), passage.given_for(answer)
    start = _filled_with(labels, passage, given, said)
    return Step(
        answer=answer,
        started_from=_origin(given) if start is not None else None,
        changes=changes_between(start, said) if start is not None else None,
        num_tracks=len(said.tracks),
        num_masks=sum(len(track.masks) for track in said.tracks),
    )


def _filled_with(
    labels: WorkspaceLabels, passage: Passage, given: Assignment | None, said: LabelledClip
) -> LabelledClip | None:
    """What the page was filled with before this person looked; None where it was empty."""
    annotator = given.annotator if given is not None else None
    task = labels.pushed(passage.round, said.clip_id, annotator)
    if task is None or not (task.tracks or task.off_screen):
        return None
    return said.model_copy(update={"tracks": task.tracks, "off_screen": task.off_screen})


def _origin(given: Assignment | None) -> str:
    if given is None or given.prev_round is None:
        return "pre-labels"
    return f"{given.prev_round} of {given.prev_by}"

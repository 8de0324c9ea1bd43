"""What people said at the end of their tasks, without the masks: enough to know where every clip stands."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from avis_data.annotation.labels.records import ClipProblem, LabelledClip, Revision, Verdict
from avis_data.annotation.labels.store import labelled_files, read_labelled
from avis_data.errors import DataError
from avis_data.paths import Workspace

__all__ = ["FINISHED", "Answer", "labels_of", "read_answers"]

FINISHED = frozenset(Verdict) - {Verdict.UNSURE}
"""Verdicts that end a task; without one, or unsure, it is still open."""


class Answer(BaseModel):
    """The head of a `LabelledClip`; its tracks are read over."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    clip_id: str
    round: str
    annotator: str
    verdict: Verdict | None
    reasons: tuple[str, ...] = ()
    note: str = ""
    lead_time_s: float | None = None
    updated_by: str | None = None
    revision: Revision | None
    problems: tuple[ClipProblem, ...] = ()
    sha256: str = ""
    """Of the record's file, so of all that was said."""

    @property
    def is_finished(self) -> bool:
        """Whether the verdict ends the task."""
        return self.verdict in FINISHED

    @property
    def updated_at(self) -> str:
        """When it was last changed on the server; empty where that is not known."""
        return self.revision.updated_at if self.revision else ""


def read_answers(workspace: Workspace, round_name: str, clip_id: str | None = None) -> dict[str, list[Answer]]:
    """The answers of a round by clip, each by the person's name.

    Raises:
        DataError: if a file is damaged.
    """
    found: dict[str, list[Answer]] = defaultdict(list)
    for path in labelled_files(workspace, round_name, clip_id):
        answer = _read(path)
        found[answer.clip_id].append(answer)
    return {name: sorted(answers, key=lambda answer: answer.annotator) for name, answers in found.items()}


def labels_of(workspace: Workspace, answer: Answer) -> LabelledClip:
    """All that was said with an answer, tracks included. Raises DataError if it is not there any more."""
    for labelled in read_labelled(workspace, answer.round, answer.clip_id):
        if labelled.annotator == answer.annotator:
            return labelled
    raise DataError(
        f"{answer.clip_id}: no labels of {answer.annotator} in {answer.round}", hint="avis-data annotate pull"
    )


def _read(path: Path) -> Answer:
    data = path.read_bytes()
    try:
        return Answer.model_validate_json(data).model_copy(update={"sha256": hashlib.sha256(data).hexdigest()})
    except ValidationError as error:
        raise DataError(f"{path}: damaged: {str(error).splitlines()[0]}", hint="avis-data annotate pull") from None

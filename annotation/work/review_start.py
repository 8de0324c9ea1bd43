"""Bring the next tasks to the server: reviews of what was labelled, fixes of what was sent back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from avis_data.annotation.labels.assignments import Assignment, add_assignments, read_assignments
from avis_data.annotation.labels.prefill import ClipTask, read_pushed
from avis_data.annotation.labels.records import RoundKind
from avis_data.annotation.labels.rounds import round_names
from avis_data.annotation.labels.store import read_round
from avis_data.annotation.labels.verdicts import labels_of, read_answers
from avis_data.annotation.labelstudio.client import LabelStudio
from avis_data.annotation.labelstudio.settings import ServerSettings
from avis_data.annotation.work.push import PushReport, push_round
from avis_data.annotation.work.review_plan import Plan, plan_next
from avis_data.errors import DataError
from avis_data.paths import Workspace

__all__ = ["StartReport", "start_review"]


@dataclass(frozen=True, kw_only=True)
class StartReport:
    """What was started."""

    plan: Plan
    pushed: tuple[PushReport, ...]
    """Of every project of the open review and fix rounds."""
    without_account: tuple[str, ...]
    """People with tasks whom the server does not know."""
    invitation: str | None
    """Where these make their account."""

    def as_dict(self) -> dict[str, object]:
        """For `--json`."""
        return {
            "new": {name: [item.model_dump() for item in items] for name, items in self.plan.assignments.items()},
            "without_reviewer": self.plan.without_reviewer,
            "projects": [report.as_dict() for report in self.pushed],
            "without_account": list(self.without_account),
            "invitation": self.invitation,
        }


def start_review(
    workspace: Workspace,
    client: LabelStudio,
    settings: ServerSettings,
    *,
    reviewers: Sequence[str] = (),
    on_clip: Callable[[str], None] | None = None,
) -> StartReport:
    """Plan the next tasks, note them, and make what the server lacks of them and of those planned before.

    Killed at any moment, the same call completes what is missing; a second call adds nothing.

    Args:
        workspace: locked by the caller.
        client: of the server.
        settings: how that server sees the clips.
        reviewers: e-mails, see `plan_next`.
        on_clip: called with the id of every clip that is on the server.

    Raises:
        DataError: if a file of a round is damaged.
        ToolError: if the server does not answer; run it again.
    """
    plan = plan_next(workspace, reviewers=reviewers)
    for name, new in plan.assignments.items():
        add_assignments(workspace, name, new)
    is_open = [name for name in round_names(workspace) if not _is_draft_or_closed(workspace, name)]
    pushed = [part for name in is_open for part in _push(workspace, client, settings, name, on_clip)]
    people = {part.annotator for part in pushed if part.annotator is not None}
    strangers = tuple(sorted(people - client.emails())) if people else ()
    return StartReport(
        plan=plan,
        pushed=tuple(pushed),
        without_account=strangers,
        invitation=client.invitation() if strangers else None,
    )


def _push(
    workspace: Workspace,
    client: LabelStudio,
    settings: ServerSettings,
    name: str,
    on_clip: Callable[[str], None] | None,
) -> Iterator[PushReport]:
    """Everybody's tasks of a round."""
    by_person: dict[str | None, list[Assignment]] = {}
    for item in read_assignments(workspace, name):
        by_person.setdefault(item.annotator, []).append(item)
    for annotator, own in sorted(by_person.items(), key=lambda entry: entry[0] or ""):
        yield push_round(
            workspace,
            client,
            settings,
            round_name=name,
            annotator=annotator,
            clips=[ClipTask(clip_id=item.clip_id) for item in own],
            complete=partial(_start, workspace, name, {item.clip_id: item for item in own}),
            on_clip=on_clip,
        )


def _is_draft_or_closed(workspace: Workspace, name: str) -> bool:
    if name.startswith(RoundKind.DRAFT):
        return True
    started = (workspace.annotations / name / "round.json").is_file()
    return started and read_round(workspace, name).closed_at is not None


def _start(workspace: Workspace, name: str, given: Mapping[str, Assignment], task: ClipTask) -> ClipTask:
    """What a page begins with: the labels that were given and the note; once it was kept it stays."""
    item = given[task.clip_id]
    kept = read_pushed(workspace, name, item.clip_id, item.annotator)
    if kept is not None:
        return kept
    assert item.prev_round is not None  # as `plan_next` writes it
    answers = read_answers(workspace, item.prev_round, item.clip_id).get(item.clip_id, [])
    answer = next((answer for answer in answers if answer.annotator == item.prev_by), None)
    if answer is None:
        message = f"{item.clip_id}: the labels of {item.prev_by} in {item.prev_round} are gone"
        raise DataError(message, hint="avis-data annotate pull")
    labels = labels_of(workspace, answer)
    return ClipTask(
        clip_id=item.clip_id,
        tracks=labels.tracks,
        off_screen=labels.off_screen,
        note=item.note,
        previous_annotator=item.prev_by,
    )

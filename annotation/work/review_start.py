"""Bring the next tasks to the server: reviews of what was labelled, fixes of what was sent back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from avis_data.annotation.labels.records import Assignment, ClipTask, RoundKind
from avis_data.annotation.labels.rounds import round_kind
from avis_data.annotation.labels.workspace_labels import WorkspaceLabels
from avis_data.annotation.labelstudio.client import LabelStudio
from avis_data.annotation.labelstudio.settings import ServerSettings
from avis_data.annotation.work.push import PushReport, push_round
from avis_data.annotation.work.removed_tasks import delete_tasks_left
from avis_data.annotation.work.review_plan import Plan, plan_next
from avis_data.errors import DataError

__all__ = ["StartReport", "review_page", "start_review"]


@dataclass(frozen=True, kw_only=True)
class StartReport:
    """What was started."""

    plan: Plan
    pushed: tuple[PushReport, ...]
    """What was pushed to every project of the open review and fix rounds."""
    without_account: tuple[str, ...]
    """People with tasks whom the server does not know."""
    invitation: str | None
    """Where these make their account."""

    def as_dict(self) -> dict[str, object]:
        """What `--json` prints."""
        return {
            "new": {name: [item.model_dump() for item in items] for name, items in self.plan.assignments.items()},
            "without_reviewer": self.plan.without_reviewer,
            "projects": [report.as_dict() for report in self.pushed],
            "without_account": list(self.without_account),
            "invitation": self.invitation,
        }


def start_review(
    labels: WorkspaceLabels,
    client: LabelStudio,
    settings: ServerSettings,
    *,
    reviewers: Sequence[str] = (),
    allow_own: bool = False,
    on_clip: Callable[[str], object] | None = None,
) -> StartReport:
    """Plan the next tasks, note them, and make what the server lacks of them and of those planned before.

    Killed at any moment, the same call completes what is missing; a second call adds nothing.

    Args:
        labels: of a workspace that the caller has locked.
        client: of the server.
        settings: how that server sees the clips.
        reviewers: e-mails, see `plan_next`.
        allow_own: reviews of people's own labels count, also in the review rounds that are open.
        on_clip: called with the id of every clip that is on the server.

    Raises:
        DataError: if a file of a round is damaged.
        ToolError: if the server does not answer; run it again.
    """
    delete_tasks_left(labels, client)
    plan = plan_next(labels, reviewers=reviewers, allow_own=allow_own)
    for name, new in plan.assignments.items():
        labels.give(name, new)
    closed = labels.closed_rounds()
    is_open = [name for name in labels.round_names() if round_kind(name) is not RoundKind.DRAFT and name not in closed]
    for name in is_open if allow_own else ():
        labels.give_anew(name, [item.model_copy(update={"allow_own": True}) for item in labels.assignments(name)])
    pushed = [part for name in is_open for part in _push(labels, client, settings, name, on_clip)]
    people = {part.annotator for part in pushed if part.annotator is not None}
    strangers = tuple(sorted(people - client.emails())) if people else ()
    return StartReport(
        plan=plan,
        pushed=tuple(pushed),
        without_account=strangers,
        invitation=client.invitation() if strangers else None,
    )


def _push(
    labels: WorkspaceLabels,
    client: LabelStudio,
    settings: ServerSettings,
    name: str,
    on_clip: Callable[[str], object] | None,
) -> Iterator[PushReport]:
    """Everybody's tasks of a round."""
    by_person: dict[str | None, list[Assignment]] = {}
    for item in labels.assignments(name):
        by_person.setdefault(item.annotator, []).append(item)
    for annotator, own in sorted(by_person.items(), key=lambda entry: entry[0] or ""):
        yield push_round(
            labels,
            client,
            settings,
            round_name=name,
            annotator=annotator,
            clips=[ClipTask(clip_id=item.clip_id) for item in own],
            complete=partial(review_page, labels, name, {item.clip_id: item for item in own}),
            on_clip=on_clip,
        )


def review_page(labels: WorkspaceLabels, name: str, given: Mapping[str, Assignment], task: ClipTask) -> ClipTask:
    """What a page of a review or a fix begins with: labels and the note; once it was kept it stays."""
    item = given[task.clip_id]
    kept = labels.pushed(name, item.clip_id, item.annotator)
    if kept is not None:
        return kept
    assert item.prev_round is not None  # as `plan_next` writes it
    answers = labels.answers(item.prev_round, item.clip_id)
    answer = next((answer for answer in answers if answer.annotator == item.prev_by), None)
    if answer is None:
        message = f"{item.clip_id}: the labels of {item.prev_by} in {item.prev_round} are gone"
        raise DataError(message, hint="avis-data annotate pull")
    before = labels.labels_of(answer)
    return ClipTask(
        clip_id=item.clip_id,
        tracks=before.tracks,
        off_screen=before.off_screen,
        note=item.note,
        previous_annotator=item.prev_by,
        media=labels.media_of(before) if before.tracks or before.off_screen else None,
    )

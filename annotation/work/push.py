"""Bring the clips of one person in a round to the server, each exactly once, however often it is run or killed."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from avis_data.annotation.labels.records import ClipTask, Media
from avis_data.annotation.labels.workspace_labels import WorkspaceLabels
from avis_data.annotation.labelstudio.client import LabelStudio
from avis_data.annotation.labelstudio.projects import ProjectRefused, ensure_round_project
from avis_data.annotation.labelstudio.server_records import ServerTask
from avis_data.annotation.labelstudio.settings import ServerSettings
from avis_data.annotation.labelstudio.tasks import START, NewTask, task_of, with_lines, with_more_labels
from avis_data.errors import DataError

__all__ = ["PushReport", "push_round"]

_BATCH_TASKS, _BATCH_BYTES = 100, 8_000_000
"""A request holds so much at most: the server takes it as a whole, and both sides hold it in memory."""


@dataclass
class PushReport:
    """What became of one person's clips."""

    project_id: int | None
    """None where the server refused it."""
    round: str
    annotator: str | None
    num_added: int = 0
    num_there: int = 0
    """Clips that the server had already."""
    num_doubles_removed: int = 0
    num_with_more_labels: int = 0
    """Pages that were there and have more labels now."""
    clip_ids: list[str] = field(default_factory=list)
    """The clips that were added now."""
    refused: str | None = None
    """Why the server refused the project, if it did."""

    def as_dict(self) -> dict[str, object]:
        """What `--json` prints."""
        return {name: value for name, value in self.__dict__.items() if name != "clip_ids"}


def push_round(
    labels: WorkspaceLabels,
    client: LabelStudio,
    settings: ServerSettings,
    *,
    round_name: str,
    annotator: str | None,
    clips: Iterable[ClipTask],
    complete: Callable[[ClipTask], ClipTask] | None = None,
    more_labels: Mapping[str, int] | None = None,
    on_clip: Callable[[str], object] | None = None,
) -> PushReport:
    """Make or complete the project of one person in a round.

    The server says which clips it holds: only the others are sent. So a second run adds nothing, and a run that was
    killed is completed. What the page was filled with is kept before it is sent.

    Args:
        labels: of a workspace that the caller has locked.
        client: of the server.
        settings: how that server sees the clips.
        round_name: `draft`, `review`, `fix-2`, ...
        annotator: e-mail; None: anyone.
        clips: taken one by one.
        complete: finds out what a page is filled with, where that costs time: only for clips that are sent.
        more_labels: category to how many labels of it the pages have at least, also those that are there already.
        on_clip: called with the id of every clip that is done.

    Raises:
        ConfigError: if the round is closed.
        DataError: if a clip is not in the manifest.
        ToolError: if the server does not answer; run again to complete it.
    """
    now = datetime.now(UTC).isoformat(timespec="seconds")
    try:
        project_id = ensure_round_project(labels, client, settings, round_name=round_name, annotator=annotator, now=now)
    except ProjectRefused as error:  # of this project: other people's go on
        return PushReport(None, round_name, annotator, refused=str(error))
    report = PushReport(project_id, round_name, annotator)
    there, is_filled = _held(client, project_id, report)
    clips = list(clips)
    _add_labels(labels, client, project_id, {start.clip_id for start in clips}, more_labels or {}, report)
    missing = map(complete or _as_given, _missing(clips, there, report, on_clip))
    for batch in _batches(_tasks(labels, missing, round_name, annotator, settings, more_labels or {})):
        client.import_tasks(project_id, [task for _, task in batch])
        for clip_id, _ in batch:
            report.num_added += 1
            report.clip_ids.append(clip_id)
            if on_clip is not None:
                on_clip(clip_id)
    if report.num_added:
        _, is_filled = _held(client, project_id, report)  # a request that was given up may have been done after all
    if is_filled:  # the server refuses the name of predictions that it has none of
        client.show_predictions(project_id, START)
    return report


def _as_given(start: ClipTask) -> ClipTask:
    return start


def _held(client: LabelStudio, project_id: int, report: PushReport) -> tuple[set[str], bool]:
    """Clips that the server has, and whether any page is filled.

    Of doubles those that nobody has worked on are removed, but for the oldest.
    """
    is_filled = False
    by_clip: dict[str, list[ServerTask]] = defaultdict(list)
    for task in client.tasks(project_id):
        by_clip[task.clip_id].append(task)
        is_filled = is_filled or bool(task.total_predictions)
    for tasks in by_clip.values():
        untouched = [task.id for task in tasks if not client.is_begun(task)] if len(tasks) > 1 else []
        spare = untouched if len(untouched) < len(tasks) else untouched[1:]
        for task_id in spare:
            client.delete_task(task_id)
            report.num_doubles_removed += 1
    return set(by_clip), is_filled


def _add_labels(
    labels: WorkspaceLabels,
    client: LabelStudio,
    project_id: int,
    clip_ids: Collection[str],
    wanted: Mapping[str, int],
    report: PushReport,
) -> None:
    """More labels on pages that are there, and those that people took since; what they did stays.

    An open page shows them when loaded anew.
    """
    used = _identities(labels, report, clip_ids)
    for task in client.tasks(project_id) if wanted or used else ():
        there = _labels_of(task)
        if task.clip_id in clip_ids and there is not None:
            more = with_more_labels(there, wanted, used.get(task.clip_id, ()), labels.categories)
            if more != there:
                client.change_data(task, {"labels": more})
                report.num_with_more_labels += 1


def _identities(labels: WorkspaceLabels, report: PushReport, clip_ids: Collection[str]) -> dict[str, set[str]]:
    """The objects that this person named in the round so far, as pulled, by clip."""
    return {
        answer.clip_id: {track.identity for track in labels.labels_of(answer).tracks}
        for answer in labels.answers(report.round)
        if answer.clip_id in clip_ids and report.annotator in (None, answer.annotator)
    }


def _labels_of(task: ServerTask) -> list[dict[str, str]] | None:
    """The labels of a page; None where somebody made it by hand in another form."""
    there = task.data.get("labels")
    if not isinstance(there, list) or not all(
        isinstance(label, dict) and isinstance(label.get("value"), str) for label in there
    ):
        return None
    return there


def _missing(
    clips: Iterable[ClipTask], there: set[str], report: PushReport, on_clip: Callable[[str], object] | None
) -> Iterator[ClipTask]:
    seen = set(there)
    for start in clips:
        if start.clip_id not in seen:
            seen.add(start.clip_id)
            yield start
            continue
        report.num_there += start.clip_id in there
        if on_clip is not None:
            on_clip(start.clip_id)


def _tasks(
    labels: WorkspaceLabels,
    starts: Iterable[ClipTask],
    round_name: str,
    annotator: str | None,
    settings: ServerSettings,
    more_labels: Mapping[str, int],
) -> Iterator[tuple[str, NewTask]]:
    categories = labels.categories
    for start in starts:
        clip = labels.clips.get(start.clip_id)
        if clip is None:
            raise DataError(f"no clip {start.clip_id!r} in the manifest", hint="avis-data status")
        if not (start.tracks or start.off_screen or start.media):
            start = start.model_copy(update={"media": Media.of(clip)})
        labels.keep_pushed(round_name, start, annotator)
        prefix = settings.media_prefix
        task = task_of(clip, start, round_name=round_name, categories=categories, media_prefix=prefix)
        task["data"]["labels"] = with_more_labels(task["data"]["labels"], more_labels, (), categories)
        task["data"]["hint"] = with_lines(task["data"]["hint"], labels.told(round_name, clip.clip_id))
        yield clip.clip_id, task


def _batches(tasks: Iterable[tuple[str, NewTask]]) -> Iterator[Sequence[tuple[str, NewTask]]]:
    batch: list[tuple[str, NewTask]] = []
    size = 0
    for clip_id, task in tasks:
        batch.append((clip_id, task))
        size += len(json.dumps(task))
        if len(batch) >= _BATCH_TASKS or size >= _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch

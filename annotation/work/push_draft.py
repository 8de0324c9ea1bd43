"""`annotate push --round draft`: previews, who labels what, then the projects of everybody."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from tqdm import tqdm

from avis_data.annotation.labels.first_labels import first_labels
from avis_data.annotation.labels.records import Assignment, ClipTask
from avis_data.annotation.labels.tables import update_tables
from avis_data.annotation.labels.what_is_heard import Listeners, find_listeners
from avis_data.annotation.labels.workspace_labels import WorkspaceLabels
from avis_data.annotation.labelstudio.client import LabelStudio
from avis_data.annotation.labelstudio.projects import drop_empty_project
from avis_data.annotation.labelstudio.settings import ServerSettings, connect
from avis_data.annotation.work.draft_plan import current_draft, num_twice, plan_draft
from avis_data.annotation.work.previews import has_preview, make_previews
from avis_data.annotation.work.push import push_round
from avis_data.annotation.work.removed_tasks import delete_tasks_left
from avis_data.errors import ConfigError
from avis_data.paths import Workspace
from avis_data.pipelines.engine.lock import open_for_work
from avis_data.records import Clip

__all__ = ["DraftReport", "DraftRequest", "draft_start", "push_draft"]


@dataclass(frozen=True, kw_only=True)
class DraftRequest:
    """What a person asks for."""

    clip_ids: Sequence[str] | None
    """None: all."""
    annotators: Sequence[str]
    double: float
    seed: int
    workers: int
    dry_run: bool
    more_labels: Mapping[str, int] = field(default_factory=dict)
    """Category to how many labels of it each page has at least."""


@dataclass
class DraftReport:
    """What became of it."""

    round: str
    """`draft`; after it was closed `draft-2`, and so on."""
    parts: list[dict[str, object]] = field(default_factory=list)
    """One for each person."""
    num_double: int = 0
    num_double_short: int = 0
    """So many fewer than were asked for: there is nobody to take them, or they are past their draft."""
    num_labelled: int = 0
    """Clips that were labelled in an earlier draft round, and are left alone."""
    without_clips: list[str] = field(default_factory=list)
    """Annotators who were named and have no clip: all belong to others."""
    without_preview: list[str] = field(default_factory=list)
    """Clips that were left out: there is nothing to play."""
    listening: list[str] = field(default_factory=list)
    """What would fill pages better, and the commands that fetch it."""
    num_removed: int = 0
    """Tasks of clips that were removed from the workspace while the server was down."""
    without_account: list[str] = field(default_factory=list)
    invitation: str | None = None
    """Where these people make their account."""

    def as_dict(self) -> dict[str, object]:
        """What `--json` prints."""
        return dict(self.__dict__)


def push_draft(workspace: Workspace, request: DraftRequest) -> DraftReport:
    """Make, or complete, the tasks of the first round.

    Raises:
        ConfigError: if a clip is not there, or the options contradict each other.
        BusyError: if another command is at work in the workspace.
        ToolError: if the server does not answer.
    """
    labels = WorkspaceLabels(workspace)
    clips = labels.chosen_clips(request.clip_ids)
    unknown = [name for name in request.more_labels if name not in labels.categories]
    if unknown:
        raise ConfigError(f"--labels: no category {unknown[0]!r}", hint=f"there are: {', '.join(labels.categories)}")
    report = DraftReport(current_draft(labels))
    if request.dry_run:
        counts = Counter(item.annotator for item in _planned(labels, clips, request, report))
        report.parts = [{"annotator": name, "clips": counts[name]} for name in sorted(counts, key=str)]
        return report
    client, settings = connect(workspace)
    make_previews(workspace, clips, request.workers)
    report.without_preview = [name for name in clips if not has_preview(workspace, name)]
    ready = {name: clip for name, clip in clips.items() if has_preview(workspace, name)}
    with open_for_work(workspace, "avis-data annotate push") as ledger:
        labels = WorkspaceLabels(workspace)  # what others did until we had the lock counts too
        report.num_removed = delete_tasks_left(labels, client)
        plan = _planned(labels, ready, request, report)
        labels.give(report.round, plan)
        _push_all(labels, client, settings, plan, report, request.more_labels)
        update_tables(labels, ledger)
    known = client.emails()
    people = {item.annotator for item in plan if item.annotator is not None}
    report.without_account = sorted(people - known)
    report.invitation = client.invitation() if report.without_account else None
    return report


def _push_all(
    labels: WorkspaceLabels,
    client: LabelStudio,
    settings: ServerSettings,
    plan: Sequence[Assignment],
    report: DraftReport,
    more_labels: Mapping[str, int],
) -> None:
    listeners = find_listeners()
    report.listening = list(listeners.said)
    with tqdm(total=len(plan), desc="push", unit="clip", disable=None) as bar:
        for annotator in sorted({item.annotator for item in plan}, key=str):
            own = [ClipTask(clip_id=item.clip_id) for item in plan if item.annotator == annotator]
            part = push_round(
                labels,
                client,
                settings,
                round_name=report.round,
                annotator=annotator,
                clips=own,
                complete=partial(draft_start, labels, report.round, annotator, listeners),
                more_labels=more_labels,
                on_clip=lambda _: bar.update() and None,
            )
            report.parts.append(part.as_dict())
    if all(item.annotator is not None for item in plan):
        drop_empty_project(labels, client, report.round, None)


def draft_start(
    labels: WorkspaceLabels, name: str, annotator: str | None, listeners: Listeners, task: ClipTask
) -> ClipTask:
    """What a page of a draft is filled with; as it was kept, where a run was killed before the server had it."""
    return labels.pushed(name, task.clip_id, annotator) or first_labels(labels, labels.clips[task.clip_id], listeners)


def _planned(
    labels: WorkspaceLabels, clips: dict[str, Clip], request: DraftRequest, report: DraftReport
) -> list[Assignment]:
    """Who gets what, and in the report what of the request could not be."""
    people = list(request.annotators)
    plan = plan_draft(labels, list(clips), annotators=people, double=request.double, seed=request.seed)
    by_clip = Counter(item.clip_id for item in plan)
    report.num_labelled = len(clips) - len(by_clip)
    report.num_double = sum(count > 1 for count in by_clip.values())
    report.num_double_short = max(0, num_twice(request.double, len(by_clip)) - report.num_double)
    report.without_clips = sorted(set(people) - {item.annotator for item in plan})
    return plan

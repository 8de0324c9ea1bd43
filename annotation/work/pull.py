"""Fetch what people did: every state is kept as received, then the labels are made from it. Nothing is ever lost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from tqdm import tqdm

from avis_data.annotation.labels.kept_repairs import keep_pulled
from avis_data.annotation.labels.made_masks import made_masks
from avis_data.annotation.labels.records import ClipProblem, Revision, RoundInfo, RoundProject
from avis_data.annotation.labels.store import keep_received
from avis_data.annotation.labels.tables import update_tables
from avis_data.annotation.labels.workspace_labels import WorkspaceLabels
from avis_data.annotation.labelstudio.annotations import Context, labels_from_annotation
from avis_data.annotation.labelstudio.client import LabelStudio, ServerFault
from avis_data.annotation.labelstudio.configuration import label_config, same_config
from avis_data.annotation.labelstudio.server_records import ServerAnnotation, ServerTask
from avis_data.annotation.labelstudio.settings import connect
from avis_data.annotation.work.pulled_tasks import PulledTask, PulledTasks
from avis_data.errors import ConfigError
from avis_data.paths import Workspace
from avis_data.pipelines.engine.lock import open_for_work
from avis_data.records import Clip

__all__ = ["FoundProblem", "Labelling", "PullReport", "pull_rounds", "pull_workspace"]

_FAULTS_IN_A_ROW = 3
"""So many tasks that the server breaks down over, one after the other: it is down, and asking on is of no use."""


class Labelling(NamedTuple):
    """Who labelled which clip in which round."""

    round: str
    clip_id: str
    annotator: str
    """E-mail."""


class FoundProblem(NamedTuple):
    """What a person should look at in the labels of a clip."""

    round: str
    clip_id: str
    problem: ClipProblem


@dataclass
class PullReport:
    """What a pull brought."""

    num_tasks: int = 0
    num_unchanged: int = 0
    num_received: int = 0
    """Annotations of tasks that are new or changed."""
    labelled: list[Labelling] = field(default_factory=list)
    """Labels that were made anew."""
    withdrawn: list[Labelling] = field(default_factory=list)
    """Annotations that somebody deleted: what was received stays, the labels do not count any more."""
    problems: list[FoundProblem] = field(default_factory=list)
    repairs: list[str] = field(default_factory=list)
    """What became of repairs (`avis-data labels`) of the labels that were made anew."""
    late: list[Labelling] = field(default_factory=list)
    """What somebody said after the round was closed: kept as received, and it changes nothing."""
    warnings: list[str] = field(default_factory=list)
    """What is odd about projects: deleted tasks, edited configurations."""
    failed: dict[str, str] = field(default_factory=dict)
    """Tasks that the server broke down over, with its words; the next pull asks for them again."""

    def as_dict(self) -> dict[str, object]:
        """What `--json` prints."""
        return {
            "tasks": self.num_tasks,
            "unchanged": self.num_unchanged,
            "received": self.num_received,
            "labelled": [item._asdict() for item in self.labelled],
            "withdrawn": [item._asdict() for item in self.withdrawn],
            "problems": [
                {"round": item.round, "clip_id": item.clip_id, **item.problem.model_dump()} for item in self.problems
            ],
            "repairs": self.repairs,
            "late": [item._asdict() for item in self.late],
            "warnings": self.warnings,
            "failed": self.failed,
        }


def pull_workspace(workspace: Workspace, *, names: Sequence[str] = (), force: bool = False) -> PullReport:
    """Pull rounds, then make the workspace's current labels anew from all that is known.

    Raises:
        BusyError: if another command is at work in the workspace.
        ToolError: if the server does not answer.
    """
    client, _ = connect(workspace)
    with (
        open_for_work(workspace, "avis-data annotate pull") as ledger,
        tqdm(desc="pull", unit="task", disable=None) as bar,
    ):
        labels = WorkspaceLabels(workspace)
        report = pull_rounds(labels, client, names=names, force=force, on_task=lambda _: bar.update() and None)
        update_tables(labels, ledger)
    return report


def pull_rounds(
    labels: WorkspaceLabels,
    client: LabelStudio,
    *,
    names: Sequence[str] = (),
    force: bool = False,
    on_task: Callable[[str], object] | None = None,
) -> PullReport:
    """Pull rounds, one task at a time; people may go on working meanwhile.

    A task is asked for only if it changed since it was pulled last. Killed, it goes on where it was; a state that was
    kept already is kept once.

    Args:
        labels: of a workspace that the caller has locked.
        client: of the server.
        names: of rounds; none: all. What was done in a closed one since is kept as received, told, and does not count.
        force: ask for every task and make all labels of open rounds anew.
        on_task: called with a line for every task that is done.

    Raises:
        ConfigError: if there is no such round.
        ToolError: if the server does not answer at all. Single tasks it breaks down over are in the report.
    """
    known = {info.name: info for info in labels.rounds()}
    missing = [name for name in names if name not in known]
    if missing or not known:
        there = f"; there are: {', '.join(known)}" if known else ""
        what = f"no round {missing[0]!r}{there}" if missing else "no round was started yet"
        raise ConfigError(f"{labels.workspace.root}: {what}", hint="avis-data annotate push --round draft")
    report = PullReport()
    puller = _Puller(labels, client, report, force=force, on_task=on_task)
    for info in known.values():
        if info.name in names or not names:
            puller.pull(info)
    return report


class _Puller:
    def __init__(
        self,
        labels: WorkspaceLabels,
        client: LabelStudio,
        report: PullReport,
        *,
        force: bool,
        on_task: Callable[[str], object] | None,
    ) -> None:
        self._labels, self._client, self._report, self._force = labels, client, report, force
        self._on_task = on_task or (lambda _: None)
        self._categories = set(labels.categories)
        self._faults = 0

    def pull(self, info: RoundInfo) -> None:
        with PulledTasks(self._labels.workspace, info.name) as pulled:
            for project in info.projects:
                self._pull_project(info, project, pulled)

    def _pull_project(self, info: RoundInfo, project: RoundProject, pulled: PulledTasks) -> None:
        settings = self._client.project(project.project_id)
        if info.closed_at is not None and settings is None:
            return
        if settings is None:
            self._report.warnings.append(f"{project.title}: the project was deleted on the server; what we have stays")
            return
        if info.closed_at is None and not same_config(label_config(info.kind), settings.label_config):
            hint = "avis-data annotate serve or push puts it back; what people drew in it is read as far as it goes"
            self._report.warnings.append(
                f"{project.title}: its labelling configuration was edited on the server; {hint}"
            )
        there = set()
        for task in self._client.tasks(project.project_id):
            there.add(task.id)
            self._pull_task(info, project, task, pulled)
        if info.closed_at is None:
            self._note_deleted(info, project, there, pulled)

    def _pull_task(self, info: RoundInfo, project: RoundProject, task: ServerTask, pulled: PulledTasks) -> None:
        self._report.num_tasks += 1
        clip_id, before = task.clip_id, pulled.get(task.id)
        is_same = before is not None and before.updated_at == task.updated_at and not before.deleted
        if (is_same and not self._force) or (before is None and not task.num_done and not task.num_skipped):
            self._report.num_unchanged += 1
        elif clip_id not in self._labels.clips:
            self._report.warnings.append(
                f"{project.title}: task {task.id} is of no clip of this workspace: {clip_id:.64}"
            )
        else:
            try:
                self._take(info, project, task, self._labels.clips[clip_id])
            except ServerFault as fault:
                self._note_fault(f"{info.name}/{clip_id}", fault)
                return
            self._faults = 0
            pulled.note(task.id, PulledTask(project.project_id, clip_id, task.updated_at))
        self._on_task(clip_id)

    def _note_fault(self, where: str, fault: ServerFault) -> None:
        self._faults += 1
        self._report.failed[where] = fault.args[0]
        if self._faults >= _FAULTS_IN_A_ROW:
            raise fault

    def _take(self, info: RoundInfo, project: RoundProject, task: ServerTask, clip: Clip) -> None:
        annotations = self._client.annotations(task.id, skipped=task.num_skipped > 0)
        if annotations is None:
            return  # deleted this very moment: the next pull tells
        received = {entry.id: self._received(info, project, task.id, clip, entry) for entry in annotations}
        self._report.num_received += len(received)
        newest: dict[str, ServerAnnotation] = {}
        for entry in sorted(annotations, key=_standing):
            newest[self._client.email(entry.completed_by)] = entry
        if info.closed_at is not None:
            known = {(a.annotator, a.updated_at) for a in self._labels.answers(info.name, clip.clip_id)}
            new = [name for name, entry in newest.items() if (name, entry.updated_at) not in known]
            self._report.late += [Labelling(info.name, clip.clip_id, name) for name in new]
            return
        for annotator, entry in newest.items():
            others = [e.id for e in annotations if e.completed_by == entry.completed_by and e is not entry]
            context = self._context(info, project, task, clip)
            self._label(context, project, annotator, entry, received[entry.id], others)
        self._withdraw(info, task.id, clip, set(newest))

    def _received(
        self, info: RoundInfo, project: RoundProject, task_id: int, clip: Clip, entry: ServerAnnotation
    ) -> Revision:
        path = keep_received(self._labels.workspace, info.name, clip.clip_id, entry.id, entry.text)
        return Revision(
            project_id=project.project_id,
            task_id=task_id,
            annotation_id=entry.id,
            updated_at=entry.updated_at,
            file=self._labels.workspace.relative(path),
        )

    def _context(self, info: RoundInfo, project: RoundProject, task: ServerTask, clip: Clip) -> Context:
        return Context(
            clip=clip,
            round_name=info.name,
            categories=self._categories,
            pushed=self._labels.pushed(info.name, clip.clip_id, project.annotator),
            media=task.media,
            made=made_masks(self._labels.workspace, clip.clip_id),
        )

    def _label(
        self,
        context: Context,
        project: RoundProject,
        annotator: str,
        entry: ServerAnnotation,
        revision: Revision,
        others: Sequence[int],
    ) -> None:
        round_name, clip_id = context.round_name, context.clip.clip_id
        updated_by = self._client.email(entry.updated_by) if entry.updated_by else None
        found = labels_from_annotation(
            entry,
            context,
            annotator=annotator,
            updated_by=updated_by if updated_by != annotator else None,
            revision=revision,
            problems=_several(others, project, annotator),
        )
        found, repairs = keep_pulled(self._labels, found)
        self._report.repairs += repairs
        self._report.labelled.append(Labelling(round_name, clip_id, annotator))
        self._report.problems += [FoundProblem(round_name, clip_id, problem) for problem in found.problems]

    def _withdraw(self, info: RoundInfo, task_id: int, clip: Clip, annotators: set[str]) -> None:
        for old in self._labels.answers(info.name, clip.clip_id):
            if old.revision is not None and old.revision.task_id == task_id and old.annotator not in annotators:
                self._labels.withdraw(old)
                self._report.withdrawn.append(Labelling(info.name, clip.clip_id, old.annotator))

    def _note_deleted(self, info: RoundInfo, project: RoundProject, there: set[int], pulled: PulledTasks) -> None:
        for task_id, task in list(pulled.items()):
            gone = task.project_id == project.project_id and task_id not in there
            if gone and not task.deleted and not self._client.has_task(task_id):
                message = (
                    f"{project.title}: the task of {task.clip_id} was deleted on the server; what was pulled stays"
                )
                self._report.warnings.append(message)
                pulled.note(task_id, PulledTask(task.project_id, task.clip_id, task.updated_at, True))


def _standing(entry: ServerAnnotation) -> tuple[bool, str, int]:
    """The order of one person's annotations, of which the last counts: one that was not skipped, then the newest."""
    return not entry.was_cancelled, entry.updated_at, entry.id


def _several(others: Sequence[int], project: RoundProject, annotator: str) -> list[ClipProblem]:
    found = []
    if others:
        message = f"{len(others) + 1} annotations by {annotator}; the newest counts"
        found.append(ClipProblem(kind="several_annotations", message=message))
    if project.annotator not in (None, annotator):
        message = f"given to {project.annotator}, done by {annotator}"
        found.append(ClipProblem(kind="other_annotator", message=message))
    return found

"""How far the projects of all rounds are on the server."""

from __future__ import annotations

from dataclasses import dataclass

from avis_data.annotation.labels.records import RoundInfo, RoundProject
from avis_data.annotation.labels.workspace_labels import WorkspaceLabels
from avis_data.annotation.labelstudio.client import LabelStudio
from avis_data.annotation.labelstudio.settings import connect
from avis_data.annotation.work.pulled_tasks import PulledTasks
from avis_data.paths import Workspace

__all__ = ["ProjectStatus", "project_statuses"]


@dataclass(frozen=True, kw_only=True)
class ProjectStatus:
    """One project on the server."""

    title: str
    round: str
    annotator: str | None
    num_tasks: int
    num_done: int
    num_skipped: int
    num_to_pull: int
    """Tasks that changed since they were pulled last."""
    state: str
    """`open`, `closed`, or `deleted` on the server."""

    def as_dict(self) -> dict[str, object]:
        """What `--json` prints."""
        return dict(self.__dict__)


def project_statuses(workspace: Workspace) -> list[ProjectStatus]:
    """How far the projects of all rounds are. Raises ToolError if the server does not answer."""
    client, _ = connect(workspace)
    return [
        _status(client, info, project, PulledTasks(workspace, info.name))
        for info in WorkspaceLabels(workspace).rounds()
        for project in info.projects
    ]


def _status(client: LabelStudio, info: RoundInfo, project: RoundProject, pulled: PulledTasks) -> ProjectStatus:
    there = client.project(project.project_id) is not None
    num_tasks = num_done = num_skipped = num_to_pull = 0
    for task in client.tasks(project.project_id) if there else ():
        before = pulled.get(task.id)
        num_tasks += 1
        num_done += task.num_done > 0
        num_skipped += task.num_skipped > 0 and not task.num_done
        num_to_pull += before.updated_at != task.updated_at if before else bool(task.num_done or task.num_skipped)
    return ProjectStatus(
        title=project.title,
        round=info.name,
        annotator=project.annotator,
        num_tasks=num_tasks,
        num_done=num_done,
        num_skipped=num_skipped,
        num_to_pull=num_to_pull,
        state="deleted" if not there else "closed" if info.closed_at else "open",
    )

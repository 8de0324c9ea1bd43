"""The tasks of removed clips leave the labelling server, with all that people drew in them there."""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress

from avis_data.annotation.labels.workspace_labels import WorkspaceLabels
from avis_data.annotation.labelstudio.client import LabelStudio
from avis_data.annotation.labelstudio.settings import connect, server_dir
from avis_data.paths import Workspace
from avis_data.pipelines.upkeep.tombstones import Tombstones, read_tombstones, tasks_left

__all__ = ["delete_removed_tasks", "delete_tasks_left"]


def delete_removed_tasks(workspace: Workspace, stones: Tombstones) -> int:
    """Delete the tasks of removed clips in all projects of the workspace; gives how many there were.

    Nothing is asked where no round was ever given out. What the database of our own server keeps of deleted rows is
    wiped.

    Raises:
        ToolError: if the server does not answer.
    """
    labels = WorkspaceLabels(workspace)
    if not any(info.projects for info in labels.rounds()):
        return 0
    client, _ = connect(workspace)
    return _delete(labels, client, stones)


def delete_tasks_left(labels: WorkspaceLabels, client: LabelStudio) -> int:
    """Do what a removal could not, because the server did not answer then; the caller holds the workspace's lock."""
    marker = tasks_left(labels.workspace)
    if not marker.exists():
        return 0
    number = _delete(labels, client, read_tombstones(labels.workspace))
    marker.unlink()
    return number


def _delete(labels: WorkspaceLabels, client: LabelStudio, stones: Tombstones) -> int:
    number = 0
    for info in labels.rounds():
        for project in info.projects:
            if client.project(project.project_id) is None:
                continue
            gone = [task.id for task in client.tasks(project.project_id) if stones.is_gone(task.clip_id)]
            for task_id in gone:
                client.delete_task(task_id)
            number += len(gone)
    database = server_dir(labels.workspace) / "data" / "label_studio.sqlite3"
    if number and database.is_file():
        with suppress(sqlite3.Error), closing(sqlite3.connect(database, timeout=30.0)) as db:  # `remove --verify` tells
            db.execute("VACUUM")
    return number

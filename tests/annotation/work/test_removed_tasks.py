"""Tasks of removed clips leave Label Studio: at once where it answers, with the next push where it was down."""

from __future__ import annotations

from avis_data.annotation.labelstudio.settings import read_settings, write_settings
from avis_data.annotation.work.removed_tasks import delete_removed_tasks
from avis_data.paths import Workspace
from avis_data.pipelines.engine.lock import REMOVE, open_for_work
from avis_data.pipelines.upkeep.remove import RemovalReport, RemovalRequest, remove_videos
from avis_data.pipelines.upkeep.tombstones import tasks_left
from avis_data.pipelines.upkeep.verify import traces_of
from support.label_studio import TestServer
from support.labelling_world import push, start_world, submit, task_ids


def remove(workspace: Workspace, *video_ids: str) -> RemovalReport:
    request = RemovalRequest(video_ids=video_ids, reason="takedown", by="me", today="2026-02-03")
    with open_for_work(workspace, REMOVE) as ledger:
        return remove_videos(
            workspace, ledger, request, on_server=lambda stones: delete_removed_tasks(workspace, stones)
        )


def test_its_tasks_go_also_one_that_somebody_worked_on(label_studio: TestServer) -> None:
    client, workspace = label_studio.client(), start_world(label_studio, "removed")
    push(workspace)
    before = task_ids(client, workspace)
    submit(client, before["c1"], [])
    report = remove(workspace, "v1")
    assert (report.tasks, report.tasks_left) == (1, None)
    assert sorted(task_ids(client, workspace)) == ["c0", "c2"] and not client.has_task(before["c1"])
    assert traces_of(workspace)[1] == []
    push(workspace)
    assert sorted(task_ids(client, workspace)) == ["c0", "c2"], "a push brings nothing back"


def test_a_server_that_was_down_is_asked_by_the_next_push(label_studio: TestServer) -> None:
    client, workspace = label_studio.client(), start_world(label_studio, "removed-later")
    push(workspace)
    settings = read_settings(workspace)
    write_settings(workspace, settings.model_copy(update={"url": "http://127.0.0.1:9"}))
    report = remove(workspace, "v1")
    assert report.tasks == 0 and "does not answer" in (report.tasks_left or "")
    assert "c1" in task_ids(client, workspace) and tasks_left(workspace).exists()
    write_settings(workspace, settings)
    assert push(workspace).num_removed == 1
    assert sorted(task_ids(client, workspace)) == ["c0", "c2"] and not tasks_left(workspace).exists()

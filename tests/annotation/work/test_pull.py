"""What people did on a real Label Studio comes back, once, whatever happens meanwhile."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from avis_data.annotation.labels.records import Interval, MaskOrigin, Verdict
from avis_data.annotation.labels.store import read_round
from avis_data.annotation.labels.workspace_labels import WorkspaceLabels
from avis_data.annotation.labelstudio.client import LabelStudio
from avis_data.annotation.labelstudio.regions import mask_regions, sounding_region
from avis_data.annotation.labelstudio.settings import read_settings, write_settings
from avis_data.annotation.work.project_status import project_statuses
from avis_data.annotation.work.pull import pull_rounds
from avis_data.cli.main import main
from avis_data.errors import ConfigError, ToolError
from avis_data.masks.rle import Rle, decode, encode
from avis_data.records import State
from support.fake_workspace import WIDTH_HEIGHT, mask_of
from support.flaky_proxy import flaky_proxy
from support.label_studio import TestServer, new_user
from support.labelling_world import ask, labelled, push, received, start_world, submit, task_ids

LEAD = "lead@example.com"


def drawn(identity: str = "dog_1", *, second: int = 0, x: int = 4) -> list[dict[str, Any]]:
    """A square, and a span over its second."""
    width, height = WIDTH_HEIGHT
    mask = np.zeros((height, width), dtype=bool)
    mask[5:15, x : x + 10] = True
    span = sounding_region(identity, Interval(start_s=second, end_s=second + 1))
    return [span, *mask_regions(identity, second, encode(mask))]


def test_what_is_drawn_is_what_is_pulled(label_studio: TestServer) -> None:
    workspace, client = start_world(label_studio, "drawn"), label_studio.client()
    push(workspace)
    submit(client, task_ids(client, workspace)["c1"], drawn(second=2, x=7))
    report = pull_rounds(WorkspaceLabels(workspace), client)
    assert (report.num_tasks, report.num_received, report.labelled) == (3, 1, [("draft", "c1", LEAD)])
    clip = labelled(workspace)["c1", LEAD]
    assert (clip.verdict, clip.lead_time_s, clip.problems) == (Verdict.DONE, 12.0, ())
    (track,) = clip.tracks
    assert (track.identity, track.category, track.states[2]) == ("dog_1", "dog", State.SOUNDING)
    mask = decode(Rle(track.masks[0].height, track.masks[0].width, track.masks[0].counts))
    assert mask.sum() == 100 and mask[5:15, 7:17].all()
    assert (track.masks[0].origin, track.masks[0].seconds) == (MaskOrigin.EDITED, 12.0)
    (state,) = received(workspace, "c1")
    assert clip.revision is not None and state["id"] == clip.revision.annotation_id


def test_an_imported_mask_that_is_left_alone_stays_imported(label_studio: TestServer) -> None:
    workspace, client = start_world(label_studio, "imported"), label_studio.client()
    push(workspace)
    (project,) = read_round(workspace, "draft").projects
    task_id = task_ids(client, workspace)["c0"]
    result = ask(label_studio, "GET", f"tasks/{task_id}/")["predictions"][0]["result"]
    submit(client, task_id, [region for region in result if region["id"] != "dog_1.00001"])
    pull_rounds(WorkspaceLabels(workspace), client)
    (track,) = labelled(workspace)["c0", LEAD].tracks
    assert [(mask.frame, mask.origin, mask.annotator) for mask in track.masks] == [(0, MaskOrigin.IMPORTED, None)]
    assert np.array_equal(decode(Rle(32, 48, track.masks[0].counts)), mask_of("c0", "t1", 0))
    assert [problem.kind for problem in labelled(workspace)["c0", LEAD].problems] == ["span_without_mask"]
    assert project.annotator is None


def test_only_what_changed_is_asked_for_and_every_state_is_kept(label_studio: TestServer) -> None:
    workspace = start_world(label_studio, "changed")
    push(workspace)
    with flaky_proxy(label_studio.url) as proxy:
        client = LabelStudio(proxy.url, label_studio.token)
        ids = task_ids(client, workspace)
        annotation = submit(client, ids["c1"], drawn(x=4))
        pull_rounds(WorkspaceLabels(workspace), client)
        proxy.asked.clear()
        assert pull_rounds(WorkspaceLabels(workspace), client).labelled == []
        assert not [line for line in proxy.asked if "/annotations" in line]
        ask(label_studio, "PATCH", f"annotations/{annotation}/", {"result": drawn(x=9)})
        report = pull_rounds(WorkspaceLabels(workspace), client)
        assert [line for line in proxy.asked if "/annotations/" in line and "GET" in line] == [
            f"GET /api/tasks/{ids['c1']}/annotations/"
        ]
    assert report.labelled == [("draft", "c1", LEAD)]
    assert [state["result"][0]["id"] for state in received(workspace, "c1")] == ["dog_1.sounding.00000"] * 2
    clip = labelled(workspace)["c1", LEAD]
    assert clip.verdict is None and [problem.kind for problem in clip.problems] == ["no_verdict"]


def test_two_people_on_one_task_and_who_changed_what(label_studio: TestServer) -> None:
    workspace, lead = start_world(label_studio, "people"), label_studio.client()
    push(workspace)
    token = new_user(label_studio, f"kim-{workspace.root.name}@example.com")
    kim = LabelStudio(label_studio.url, token)
    name = kim.whoami()
    task_id = task_ids(lead, workspace)["c1"]
    of_lead = submit(lead, task_id, drawn(x=1))
    submit(kim, task_id, drawn(x=20))
    pull_rounds(WorkspaceLabels(workspace), lead)
    assert set(labelled(workspace)) == {("c1", LEAD), ("c1", name)}
    ask(label_studio, "PATCH", f"annotations/{of_lead}/", {"result": drawn(x=2)}, token=token)
    pull_rounds(WorkspaceLabels(workspace), lead)
    changed = labelled(workspace)["c1", LEAD]
    assert changed.updated_by == name and changed.tracks[0].masks[0].annotator == name


def test_skipping_is_unsure_and_never_empty_truth(label_studio: TestServer) -> None:
    workspace, client = start_world(label_studio, "skip"), label_studio.client()
    push(workspace)
    client.annotate(task_ids(client, workspace)["c2"], [], was_cancelled=True)
    pull_rounds(WorkspaceLabels(workspace), client)
    clip = labelled(workspace)["c2", LEAD]
    assert clip.verdict is Verdict.UNSURE and [problem.kind for problem in clip.problems] == ["skipped"]


def test_a_second_annotation_of_one_person_is_told_and_the_newest_counts(label_studio: TestServer) -> None:
    workspace, client = start_world(label_studio, "second"), label_studio.client()
    push(workspace)
    task_id = task_ids(client, workspace)["c1"]
    submit(client, task_id, drawn(x=1))
    newest = submit(client, task_id, drawn(x=3), "unsure")
    pull_rounds(WorkspaceLabels(workspace), client)
    clip = labelled(workspace)["c1", LEAD]
    assert clip.revision is not None and clip.revision.annotation_id == newest and clip.verdict is Verdict.UNSURE
    assert [problem.kind for problem in clip.problems] == ["several_annotations"]
    assert len(received(workspace, "c1")) == 2


def test_a_deleted_annotation_does_not_count_and_is_not_lost(label_studio: TestServer) -> None:
    workspace, client = start_world(label_studio, "withdrawn"), label_studio.client()
    push(workspace)
    annotation = submit(client, task_ids(client, workspace)["c1"], drawn())
    pull_rounds(WorkspaceLabels(workspace), client)
    ask(label_studio, "DELETE", f"annotations/{annotation}/")
    assert pull_rounds(WorkspaceLabels(workspace), client).withdrawn == [("draft", "c1", LEAD)]
    assert not labelled(workspace) and len(received(workspace, "c1")) == 1


def test_a_deleted_task_is_told_once_and_keeps_its_labels(label_studio: TestServer) -> None:
    workspace, client = start_world(label_studio, "deleted"), label_studio.client()
    push(workspace)
    task_id = task_ids(client, workspace)["c1"]
    submit(client, task_id, drawn())
    pull_rounds(WorkspaceLabels(workspace), client)
    client.delete_task(task_id)
    (warning,) = pull_rounds(WorkspaceLabels(workspace), client).warnings
    assert "the task of c1 was deleted" in warning
    assert pull_rounds(WorkspaceLabels(workspace), client).warnings == []
    assert ("c1", LEAD) in labelled(workspace)
    assert push(workspace).parts[0]["num_added"] == 1  # and it can be given out again
    assert pull_rounds(WorkspaceLabels(workspace), client).warnings == []
    assert ("c1", LEAD) in labelled(workspace)


def test_an_edited_configuration_is_told_and_what_fits_is_read(label_studio: TestServer) -> None:
    workspace, client = start_world(label_studio, "edited"), label_studio.client()
    push(workspace)
    (project,) = read_round(workspace, "draft").projects
    config = ask(label_studio, "GET", f"projects/{project.project_id}/")["label_config"]
    extra = '<TextArea name="mood" toName="frame"/></View>'
    ask(
        label_studio,
        "PATCH",
        f"projects/{project.project_id}/",
        {"label_config": config.removesuffix("</View>") + extra},
    )
    mood = {"id": "m", "type": "textarea", "from_name": "mood", "to_name": "frame", "value": {"text": ["good"]}}
    submit(client, task_ids(client, workspace)["c1"], [*drawn(), mood])
    report = pull_rounds(WorkspaceLabels(workspace), client)
    assert any("configuration was edited" in warning for warning in report.warnings)
    clip = labelled(workspace)["c1", LEAD]
    assert len(clip.tracks) == 1 and [problem.kind for problem in clip.problems] == ["foreign_region"]
    push(workspace)
    assert pull_rounds(WorkspaceLabels(workspace), client).warnings == []  # put right


def test_foreign_tasks_and_a_deleted_project(label_studio: TestServer) -> None:
    workspace, client = start_world(label_studio, "foreign"), label_studio.client()
    push(workspace)
    (project,) = read_round(workspace, "draft").projects
    task = next(client.tasks(project.project_id))
    client.import_tasks(project.project_id, [{"data": task.data | {"clip_id": "../../etc"}}])
    foreign = max(task.id for task in client.tasks(project.project_id))
    submit(client, foreign, drawn())
    (warning,) = pull_rounds(WorkspaceLabels(workspace), client).warnings
    assert "no clip of this workspace: ../../etc" in warning
    client.delete_project(project.project_id)
    assert "project was deleted" in pull_rounds(WorkspaceLabels(workspace), client).warnings[0]


def test_a_passing_error_is_waited_for(label_studio: TestServer) -> None:
    workspace = start_world(label_studio, "passing")
    push(workspace)
    with flaky_proxy(label_studio.url) as proxy:
        client = LabelStudio(proxy.url, label_studio.token, wait_s=0.01)
        submit(client, task_ids(client, workspace)["c1"], drawn())
        proxy.fail(r"GET /api/tasks/\d+/annotations", times=2)
        proxy.fail(r"GET /api/tasks/\?", status=0, times=1)
        report = pull_rounds(WorkspaceLabels(workspace), client)
    assert not report.failed and report.labelled == [("draft", "c1", LEAD)]


def test_a_task_that_breaks_the_server_is_told_and_the_others_are_pulled(
    label_studio: TestServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = start_world(label_studio, "fault")
    push(workspace)
    with flaky_proxy(label_studio.url) as proxy:
        client = LabelStudio(proxy.url, label_studio.token)
        ids = task_ids(client, workspace)
        for name in ("c0", "c1", "c2"):
            submit(client, ids[name], drawn())
        proxy.fail(rf"GET /api/tasks/{ids['c1']}/annotations")
        monkeypatch.chdir(workspace.root)
        write_settings(workspace, read_settings(workspace).model_copy(update={"url": proxy.url}))
        assert main(["annotate", "pull", "--json"]) == 4
        said = json.loads(capsys.readouterr().out)
        assert set(said["failed"]) == {"draft/c1"} and "500" in said["failed"]["draft/c1"]
        assert {item["clip_id"] for item in said["labelled"]} == {"c0", "c2"}
        proxy.heal()
        assert main(["annotate", "pull"]) == 0
        assert "1 labelled" in capsys.readouterr().out
    assert len(labelled(workspace)) == 3


def test_a_server_that_dies_half_way_loses_and_doubles_nothing(label_studio: TestServer) -> None:
    workspace = start_world(label_studio, "dies", num_clips=8)
    push(workspace)
    with flaky_proxy(label_studio.url) as proxy:
        client = LabelStudio(proxy.url, label_studio.token, wait_s=0.001)
        for task_id in task_ids(client, workspace).values():
            submit(client, task_id, drawn())
        proxy.fail(r"GET /api/tasks/\d+/annotations", status=0, skip=3)
        with pytest.raises(ToolError, match="does not answer"):
            pull_rounds(WorkspaceLabels(workspace), client)
        assert len(labelled(workspace)) == 3
        proxy.heal()
        report = pull_rounds(WorkspaceLabels(workspace), client)
    assert (len(report.labelled), report.num_unchanged) == (5, 3)
    assert all(len(received(workspace, f"c{i}")) == 1 for i in range(8))


def test_a_torn_note_of_what_was_pulled_is_asked_for_again(label_studio: TestServer) -> None:
    workspace, client = start_world(label_studio, "torn"), label_studio.client()
    push(workspace)
    submit(client, task_ids(client, workspace)["c1"], drawn())
    pull_rounds(WorkspaceLabels(workspace), client)
    notes = workspace.annotations / "draft" / "pulled.jsonl"
    notes.write_bytes(notes.read_bytes()[:-9])
    assert pull_rounds(WorkspaceLabels(workspace), client).labelled == [("draft", "c1", LEAD)]
    assert len(received(workspace, "c1")) == 1
    assert pull_rounds(WorkspaceLabels(workspace), client).labelled == []
    assert len(pull_rounds(WorkspaceLabels(workspace), client, force=True).labelled) == 1


def test_status_counts(label_studio: TestServer, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    workspace, client = start_world(label_studio, "status"), label_studio.client()
    push(workspace)
    ids = task_ids(client, workspace)
    submit(client, ids["c0"], drawn())
    client.annotate(ids["c1"], [], was_cancelled=True)
    (row,) = project_statuses(workspace)
    assert (row.num_tasks, row.num_done, row.num_skipped, row.num_to_pull, row.state) == (3, 1, 1, 2, "open")
    pull_rounds(WorkspaceLabels(workspace), client)
    monkeypatch.chdir(workspace.root)
    assert main(["annotate", "status", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["projects"][0]["num_to_pull"] == 0


def test_a_round_that_is_not_there_is_told(label_studio: TestServer) -> None:
    workspace = start_world(label_studio, "none")
    with pytest.raises(ConfigError, match="no round was started"):
        pull_rounds(WorkspaceLabels(workspace), label_studio.client())
    push(workspace)
    with pytest.raises(ConfigError, match="no round 'review-7'"):
        pull_rounds(WorkspaceLabels(workspace), label_studio.client(), names=["review-7"])

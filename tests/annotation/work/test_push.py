"""Clips to a real Label Studio: each once, to the right people, filled with what is known."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import httpx
import pytest

from avis_data.annotation.labels.records import ClipTask, Interval, RoundKind
from avis_data.annotation.labels.store import read_assignments, read_round
from avis_data.annotation.labels.workspace_labels import WorkspaceLabels
from avis_data.annotation.labelstudio.configuration import VERDICT, joined_config, label_config, same_config
from avis_data.annotation.labelstudio.projects import refresh_projects
from avis_data.annotation.labelstudio.settings import connect, read_settings, write_settings
from avis_data.annotation.work.draft_plan import assign
from avis_data.annotation.work.push import push_round
from avis_data.cli.main import main
from avis_data.errors import ConfigError, DataError, ToolError
from avis_data.paths import Workspace
from avis_data.recipe import create_workspace
from support.flaky_proxy import flaky_proxy
from support.label_studio import TestServer
from support.labelling_world import ask, push, start_world, submit, task_ids


def raw_tasks(server: TestServer, project_id: int) -> list[dict[str, Any]]:
    return list(ask(server, "GET", f"tasks?project={project_id}&fields=all&page_size=100")["tasks"])


def test_a_second_push_adds_nothing(label_studio: TestServer) -> None:
    workspace = start_world(label_studio, "twice")
    (first,), (second,) = push(workspace).parts, push(workspace).parts
    assert (first["num_added"], first["num_there"]) == (3, 0)
    assert (second["num_added"], second["num_there"], second["project_id"]) == (0, 3, first["project_id"])
    assert set(task_ids(label_studio.client(), workspace)) == {"c0", "c1", "c2"}


def test_the_page_holds_what_is_known(label_studio: TestServer) -> None:
    workspace = start_world(label_studio, "filled")
    push(workspace, clip_ids=["c0"])
    project = read_round(workspace, "draft").projects[0]
    (task,) = raw_tasks(label_studio, project.project_id)
    (prediction,) = task["predictions"]
    regions = {(region["type"], region["id"]) for region in prediction["result"]}
    assert regions == {
        ("timelinelabels", "dog_1.sounding.00000"),
        ("brush", "dog_1.00000"),
        ("labels", "dog_1.00000"),
        ("brush", "dog_1.00001"),
        ("labels", "dog_1.00001"),
    }
    assert task["data"]["labels"][0]["value"] == "dog_1" and task["data"]["num_seconds"] == 3
    found = label_studio.client().project(project.project_id)
    assert found is not None
    settings = found.settings
    assert settings["model_version"] == prediction["model_version"]
    assert same_config(label_config(RoundKind.DRAFT), settings["label_config"])
    assert "Who sounds, and when" in settings["expert_instruction"] and settings["show_instruction"]


def test_stills_and_preview_are_served_to_members_only(label_studio: TestServer) -> None:
    workspace = start_world(label_studio, "media")
    push(workspace, clip_ids=["c0"])
    (task,) = raw_tasks(label_studio, read_round(workspace, "draft").projects[0].project_id)
    headers = {"Authorization": f"Token {label_studio.token}"}
    still = httpx.get(label_studio.url + task["data"]["frames"][2], headers=headers)
    assert still.content == workspace.frame("c0", 2).read_bytes()
    assert httpx.get(label_studio.url + task["data"]["video"], headers=headers).content == b"preview"
    assert httpx.get(label_studio.url + task["data"]["video"]).status_code in (302, 401, 403)
    secrets = task["data"]["video"].replace("clips/c0/preview.mp4", "label-studio/secrets.json")
    assert httpx.get(label_studio.url + secrets, headers=headers).status_code == 404


def test_one_project_for_each_person_and_some_clips_twice(label_studio: TestServer) -> None:
    workspace = start_world(label_studio, "people", num_clips=10)
    people = ["ann@example.com", "bob@example.com"]
    report = push(workspace, annotators=people, double=0.2)
    assert report.num_double == 2
    client = label_studio.client()
    held = {name: set(task_ids(client, workspace, annotator=name)) for name in people}
    assert held["ann@example.com"] | held["bob@example.com"] == {f"c{i}" for i in range(10)}
    assert len(held["ann@example.com"] & held["bob@example.com"]) == 2
    assert {len(clips) for clips in held.values()} == {6}
    given = {(item.clip_id, item.annotator) for item in read_assignments(workspace, "draft").assignments}
    assert given == {(clip_id, name) for name, clips in held.items() for clip_id in clips}
    again = push(workspace, annotators=people, double=0.2)
    assert [part["num_added"] for part in again.parts] == [0, 0]


def test_a_project_that_vanished_is_made_again_and_a_lost_note_of_it_is_not(label_studio: TestServer) -> None:
    workspace = start_world(label_studio, "vanished")
    (part,) = push(workspace).parts
    (workspace.annotations / "draft" / "round.json").unlink()  # as after a kill between the two
    assert push(workspace).parts[0]["project_id"] == part["project_id"]
    label_studio.client().delete_project(int(str(part["project_id"])))
    (again,) = push(workspace).parts
    assert again["num_added"] == 3 and again["project_id"] != part["project_id"]


def test_a_folder_that_the_server_may_not_show_is_told(label_studio: TestServer, tmp_path: Path) -> None:
    workspace = start_world(label_studio, "elsewhere", num_clips=1)
    (tmp_path / "clips").mkdir()
    write_settings(workspace, read_settings(workspace).model_copy(update={"clips_folder": str(tmp_path / "clips")}))
    with pytest.raises(DataError, match=r"clips cannot be shown: .*must be a subdirectory") as told:
        push(workspace)
    assert "--clips-folder" in str(told.value) and "exc_info" not in str(told.value)


def test_two_workspaces_of_one_name_do_not_mix(label_studio: TestServer) -> None:
    one, other = start_world(label_studio, "same"), start_world(label_studio, "same")
    assert push(one).parts[0]["project_id"] != push(other).parts[0]["project_id"]
    assert len(task_ids(label_studio.client(), one)) == 3


@pytest.mark.parametrize("is_submitted", [True, False])
def test_an_answer_that_got_lost_leaves_no_doubles(label_studio: TestServer, is_submitted: bool) -> None:
    """The server took the tasks and we were not told: the next push finds them."""
    workspace = start_world(label_studio, "lost")
    push(workspace, clip_ids=["c0"])
    project_id = read_round(workspace, "draft").projects[0].project_id
    client = label_studio.client()
    tasks = [{"data": task.data} for task in client.tasks(project_id)]
    client.import_tasks(project_id, tasks * 2)
    worked_on = sorted(task.id for task in client.tasks(project_id))[-1]
    if is_submitted:
        submit(client, worked_on, [])
    else:  # a page saves what was drawn, and nobody pressed the button yet
        ask(label_studio, "POST", f"tasks/{worked_on}/drafts", {"result": [], "lead_time": 1.0})
    (part,) = push(workspace).parts
    assert (part["num_added"], part["num_doubles_removed"]) == (2, 2)
    assert task_ids(client, workspace)["c0"] == worked_on  # what somebody did is never removed


def _push_many(root: Path, count: int) -> None:
    client, settings = connect(Workspace(root))
    clips = (ClipTask(clip_id=f"c{number}") for number in range(count))
    push_round(WorkspaceLabels(Workspace(root)), client, settings, round_name="draft", annotator=None, clips=clips)


@pytest.mark.slow
def test_killed_in_the_middle_it_is_completed(label_studio: TestServer) -> None:
    count = 250
    workspace = start_world(label_studio, "killed", num_clips=count)
    context = multiprocessing.get_context("spawn")
    client = label_studio.client()
    done = killed = 0
    for _ in range(3):  # as often as there are batches
        process = context.Process(target=_push_many, args=(workspace.root, count))
        process.start()
        target = done + 1
        deadline = time.monotonic() + 60
        while done < target and process.is_alive() and time.monotonic() < deadline:
            info = workspace.annotations / "draft" / "round.json"
            done = (
                len(list(client.tasks(read_round(workspace, "draft").projects[0].project_id))) if info.exists() else 0
            )
        if process.is_alive():
            assert process.pid is not None
            os.kill(process.pid, signal.SIGKILL)
        process.join()
        killed += process.exitcode == -signal.SIGKILL
    assert killed
    _push_many(workspace.root, count)
    assert set(task_ids(client, workspace)) == {f"c{number}" for number in range(count)}


def test_a_server_that_breaks_off_is_an_error_and_the_next_push_completes(label_studio: TestServer) -> None:
    workspace = start_world(label_studio, "broken")
    with flaky_proxy(label_studio.url) as proxy:
        write_settings(workspace, read_settings(workspace).model_copy(update={"url": proxy.url}))
        proxy.fail(r"POST /api/projects/\d+/import", status=0)
        with pytest.raises(ToolError, match="does not answer"):
            push(workspace)
        proxy.heal()
        assert push(workspace).parts[0]["num_added"] == 3


def test_a_clip_that_is_not_there_is_told(label_studio: TestServer) -> None:
    workspace = start_world(label_studio, "missing")
    with pytest.raises(ConfigError, match="no clip 'nope'"):
        push(workspace, clip_ids=["nope"])
    client, settings = connect(workspace)
    with pytest.raises(DataError, match="no clip 'gone'"):
        push_round(
            WorkspaceLabels(workspace),
            client,
            settings,
            round_name="draft",
            annotator=None,
            clips=[ClipTask(clip_id="gone")],
        )


def test_the_command(label_studio: TestServer, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    workspace = start_world(label_studio, "command")
    monkeypatch.chdir(workspace.root)
    assert main(["annotate", "push", "--round", "draft", "--dry-run"]) == 0
    assert "anyone: 3 clip(s)" in capsys.readouterr().out
    assert not (workspace.annotations / "draft").exists()
    assert main(["annotate", "push", "--round", "draft", "--clips", "c0,c1", "--double", "5%"]) == 2
    assert "two annotators" in capsys.readouterr().err
    (workspace.root / "ids.txt").write_text("c0\nc2\n")
    assert main(["annotate", "push", "--round", "draft", "--clips", "@ids.txt", "--annotators", "eve@example.com"]) == 0
    said = capsys.readouterr()
    assert "eve@example.com: 2 added" in said.out
    assert "no account on the server yet: eve@example.com;" in said.err and said.err.count("/user/signup") == 1
    again = ["annotate", "push", "--round", "draft", "--clips", "c0", "--annotators", "dan@example.com,flo@example.com"]
    assert main(again) == 0
    said = capsys.readouterr()
    assert "eve@example.com: 0 added, 1 there already" in said.out
    assert "no clip for dan@example.com, flo@example.com: all were given to others before" in said.err
    (workspace.clip_dir("c1") / "preview.mp4").unlink()  # and there is no source to make it of
    assert main(["annotate", "push", "--round", "draft", "--clips", "c1"]) == 4
    assert "c1: no preview" in capsys.readouterr().err


def test_without_a_server_the_error_says_what_to_do(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    with pytest.raises(ConfigError, match="no workspace"):
        connect(workspace)
    create_workspace(workspace, "aviseg")
    with pytest.raises(ToolError, match="annotate serve"):
        connect(workspace)


def test_assignment_is_even_seeded_and_lasting() -> None:
    clips = [f"c{i:02d}" for i in range(20)]
    people = ["a@x", "b@x", "c@x"]
    given = assign(clips, annotators=people, double=0.1, seed=1, known={})
    assert given == assign(reversed(clips), annotators=people, double=0.1, seed=1, known={})
    assert given != assign(clips, annotators=people, double=0.1, seed=2, known={})
    twice = [names for names in given.values() if len(names) == 2]
    assert len(twice) == 2 and all(len(set(names)) == 2 for names in twice)
    loads = [sum(name in names for names in given.values()) for name in people]
    assert sum(loads) == 22 and max(loads) - min(loads) <= 1
    more = assign([*clips, "d00"], annotators=[*people, "e@x"], double=0.1, seed=1, known=given)
    assert {name: more[name] for name in clips} == given
    assert more["d00"][0] == "e@x"  # who has the least


def test_silence_is_marked_and_flags_come_first(label_studio: TestServer) -> None:
    from avis_data.annotation.labels.records import Flag
    from avis_data.annotation.labelstudio.tasks import task_of
    from avis_data.manifest import read_manifest
    from avis_data.records import Clip

    workspace = start_world(label_studio, "flags", num_clips=1)
    (clip,) = read_manifest(workspace.manifest / "clips.jsonl", Clip)
    flags = (
        Flag(frame=2, identity="dog_1", reason="area", message="area x 3"),
        Flag(frame=1, identity=None, reason="scene_cut", message="scene cut"),
    )
    start = ClipTask(clip_id="c0", silence=(Interval(start_s=1, end_s=2),), flags=flags, note="see the dog")
    task = task_of(clip, start, round_name="fix", categories=["dog"], media_prefix="a/")
    assert task["data"]["hint"].splitlines() == [
        "Look first at: page 2 (scene cut); page 3 dog_1 (area x 3)",
        "Note: see the dog",
    ]
    again = start.model_copy(update={"previous_annotator": "rev@example.com"})
    for name, words in (("fix-2", "sent back by rev@example.com"), ("review", "labelled by rev@example.com")):
        page = task_of(clip, again, round_name=name, categories=["dog"], media_prefix="")
        assert page["data"]["headline"] == f"{name} · clip c0 · 3 s · {words}"
    (region,) = task["predictions"][0]["result"]
    assert region["value"] == {"ranges": [{"start": 2, "end": 2}], "timelinelabels": ["silence"]}
    assert task["data"]["frames"][0] == "/data/local-files/?d=a/clips/c0/frames/00000.jpg"


@pytest.mark.parametrize("edit", ["a control was added", "a control is of another kind"])
def test_a_project_that_somebody_edited_costs_nobody_s_work(
    label_studio: TestServer, caplog: pytest.LogCaptureFixture, edit: str
) -> None:
    """The server refuses our configuration there, once an annotation needs the other one."""
    workspace, client = start_world(label_studio, f"edited-{edit[-4:].strip()}"), label_studio.client()
    ann, bob = "ann@example.com", "bob@example.com"
    push(workspace, annotators=[ann, bob])
    (project,) = [item for item in read_round(workspace, "draft").projects if item.annotator == ann]
    config = ask(label_studio, "GET", f"projects/{project.project_id}/")["label_config"]
    if edit == "a control was added":
        region = {"from_name": "mood", "type": "choices", "value": {"choices": ["good"]}}
        extra = '<Choices name="mood" toName="frame"><Choice value="good"/></Choices></View>'
        edited = config.removesuffix("</View>") + extra
    else:
        region = {"from_name": VERDICT, "type": "rating", "value": {"rating": 3}}
        tree = ET.fromstring(config)
        around, old = next((view, tag) for view in tree.iter() for tag in view if tag.get("name") == VERDICT)
        around.remove(old)
        ET.SubElement(tree, "Rating", {"name": VERDICT, "toName": "frame"})
        edited = ET.tostring(tree, encoding="unicode")
    ask(label_studio, "PATCH", f"projects/{project.project_id}/", {"label_config": edited})
    task = next(iter(task_ids(client, workspace, annotator=ann).values()))
    number = client.annotate(task, [{"id": "m", "to_name": "frame", **region}])
    before = ask(label_studio, "GET", f"annotations/{number}/")["result"]
    report = push(workspace, annotators=[ann, bob])
    assert [part["refused"] for part in report.parts] == [None, None]
    assert "its labelling configuration was edited on the server, and annotations need it" in caplog.text
    kept = ask(label_studio, "GET", f"projects/{project.project_id}/")["label_config"]
    if edit == "a control was added":
        assert same_config(kept, joined_config(label_config(RoundKind.DRAFT), edited))
    else:
        assert same_config(kept, edited)
    assert ask(label_studio, "GET", f"annotations/{number}/")["result"] == before
    titles = refresh_projects(WorkspaceLabels(workspace), client, read_settings(workspace), now="2026-01-01T00:00:00Z")
    assert len(titles) == 2, "serve goes on too"

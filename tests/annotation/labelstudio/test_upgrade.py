"""Labels outlive their server: a backup of one Label Studio is restored under the pinned one, and pulled again.

`AVIS_DATA_OLD_LABEL_STUDIO=FOLDER pytest tests/annotation/labelstudio/test_upgrade.py` begins with the server of an
environment of its own (`python -m venv FOLDER`, then our list of packages with an earlier label-studio); by itself it
begins with the pinned one.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from avis_data.annotation.labelstudio.backups import back_up, restore
from avis_data.annotation.labelstudio.client import LabelStudio
from avis_data.annotation.labelstudio.settings import (
    Secrets,
    ServerSettings,
    read_settings,
    server_dir,
    write_secrets,
    write_settings,
)
from avis_data.annotation.serve.label_studio_install import (
    LABEL_STUDIO_VERSION,
    default_environment,
    program,
    template_database,
)
from avis_data.annotation.serve.server_processes import start, wait_until_up
from avis_data.annotation.serve.servers import ServeOptions, label_studio_only, label_studio_variables
from avis_data.annotation.work.pull import pull_workspace
from avis_data.paths import Workspace
from support.fake_workspace import FakeClip, FakeTrack, make_workspace
from support.label_studio import free_port, is_available
from support.labelling_world import labelled, push, submit, task_ids

OLD = Path(os.environ.get("AVIS_DATA_OLD_LABEL_STUDIO") or default_environment())
TOKEN = "0" * 39 + "4"
SECRETS = Secrets(username="lead@example.com", password="a-long-password", token=TOKEN, backend_token="b")
NOW = "2026-01-01T00:00:00+00:00"


def world(folder: Path) -> Workspace:
    clips = [
        FakeClip(clip_id=f"c{i}", video_id=f"v{i}", tracks=(FakeTrack(track_id="t1"),) if i == 0 else ())
        for i in range(4)
    ]
    workspace = make_workspace(folder, clips)
    for clip in clips:  # what is played does not matter to the server
        (workspace.clip_dir(clip.clip_id) / "preview.mp4").write_bytes(b"preview")
    return workspace


def version_of(environment: Path) -> str:
    code = "from importlib.metadata import version; print(version('label-studio'))"
    ran = subprocess.run([environment / "bin" / "python", "-c", code], capture_output=True, text=True, check=True)
    return ran.stdout.strip()


@contextmanager
def old_server(workspace: Workspace) -> Iterator[LabelStudio]:
    """The server of before, on the workspace's own data."""
    write_secrets(workspace, SECRETS)
    url = f"http://127.0.0.1:{free_port()}"
    write_settings(workspace, ServerSettings(url=url, clips_folder=str(workspace.root.resolve() / "clips")))
    data = server_dir(workspace) / "data"
    data.mkdir(parents=True)
    if template_database(OLD).is_file():  # else it makes its own, which takes minutes
        shutil.copyfile(template_database(OLD), data / "label_studio.sqlite3")
    port = url.rpartition(":")[2]
    command = [str(OLD / "bin" / "label-studio"), "start", "--no-browser", "--internal-host", "127.0.0.1"]
    variables = label_studio_variables(workspace, SECRETS, url=url)
    log = server_dir(workspace) / "old.log"
    child = start("the old server", [*command, "--port", port], environment=variables, cwd=workspace.root, log=log)
    try:
        wait_until_up({f"{url}/health": child}, timeout_s=900, on_wait=lambda _: None)
        yield LabelStudio(url, TOKEN)
    finally:
        child.end()


@pytest.mark.slow
def test_labels_are_the_same_under_the_pinned_server(tmp_path: Path) -> None:
    if not is_available():
        pytest.skip("needs Label Studio's own environment: avis-data annotate install")
    assert program(default_environment()).is_file()
    workspace, copy = world(tmp_path / "old"), world(tmp_path / "new")
    version = version_of(OLD)
    with old_server(workspace) as client:
        push(workspace)
        tasks = task_ids(client, workspace)
        key = {"Authorization": f"Token {TOKEN}"}
        asked = httpx.get(f"{read_settings(workspace).url}/api/tasks/{tasks['c0']}/", headers=key, timeout=60).json()
        submit(client, tasks["c0"], asked["predictions"][0]["result"])
        pull_workspace(workspace)  # one answer was pulled before the backup, two were not
        submit(client, tasks["c1"], [])
        submit(client, tasks["c2"], [], choice="unsure")
        record = back_up(workspace, tmp_path / "backup", version=version, now=NOW)
        pull_workspace(workspace)
        before = labelled(workspace)
    assert (record.label_studio, record.tasks, record.answers) == (version, 4, 3)
    assert {clip_id for clip_id, _ in before} == {"c0", "c1", "c2"}
    assert any(track.masks for track in before["c0", "lead@example.com"].tracks)
    restore(copy, tmp_path / "backup", version=LABEL_STUDIO_VERSION)
    with label_studio_only(copy, ServeOptions(port=free_port())) as serving:
        pull_workspace(copy)
        assert labelled(copy) == before
        there = LabelStudio(serving.url, TOKEN)
        submit(there, tasks["c3"], [])  # and people go on there
        pull_workspace(copy)
        assert {clip_id for clip_id, _ in labelled(copy)} == {"c0", "c1", "c2", "c3"}
        push(copy)
        assert task_ids(there, copy) == tasks, "a push adds nothing to what is there"

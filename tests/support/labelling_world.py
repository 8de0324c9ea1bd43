"""A small workspace on a real Label Studio, and a scripted annotator who speaks to the server as the page does."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx

from avis_data.annotation.labels.records import LabelledClip
from avis_data.annotation.labels.store import read_labelled, read_round
from avis_data.annotation.labelstudio.client import LabelStudio
from avis_data.annotation.work.push_draft import DraftReport, DraftRequest, push_draft
from avis_data.paths import Workspace
from support.fake_workspace import FakeClip, FakeTrack, make_workspace
from support.label_studio import TestServer, link

__all__ = ["ask", "labelled", "push", "received", "start_world", "submit", "task_ids", "verdict"]


def start_world(server: TestServer, name: str, *, num_clips: int = 3) -> Workspace:
    """Clips `c0`, `c1`, ... of 3 seconds; `c0` has an imported track that sounds in seconds 0 and 1."""
    clips = [
        FakeClip(
            clip_id=f"c{i}", video_id=f"v{i}", tracks=(FakeTrack(track_id="t1"),) if i == 0 else (), categories=("dog",)
        )
        for i in range(num_clips)
    ]
    workspace = make_workspace(server.folder(name), clips)
    for clip in clips:  # what is played does not matter to the server
        (workspace.clip_dir(clip.clip_id) / "preview.mp4").write_bytes(b"preview")
    link(workspace, server)
    return workspace


def push(workspace: Workspace, *, annotators: Sequence[str] = (), double: float = 0.0, **choices: Any) -> DraftReport:
    """`annotate push --round draft`."""
    options: dict[str, Any] = {"clip_ids": None, "seed": 0, "workers": 1, "dry_run": False} | choices
    return push_draft(workspace, DraftRequest(annotators=annotators, double=double, **options))


def task_ids(client: LabelStudio, workspace: Workspace, *, annotator: str | None = None) -> dict[str, int]:
    """Tasks of one person in the draft round, by clip. Fails if a clip has two."""
    info = read_round(workspace, "draft")
    (project,) = [project for project in info.projects if project.annotator == annotator]
    found: dict[str, int] = {}
    for task in client.tasks(project.project_id):
        assert task.clip_id not in found, f"{task.clip_id} is there twice"
        found[task.clip_id] = task.id
    return found


def verdict(choice: str = "done") -> dict[str, Any]:
    """The region of a verdict."""
    value = {"choices": [choice]}
    return {"id": "verdict", "type": "choices", "from_name": "verdict", "to_name": "frame", "value": value}


def submit(
    client: LabelStudio, task_id: int, regions: Sequence[dict[str, Any]], choice: str = "done", **more: Any
) -> int:
    """Submit a task; gives the annotation's id."""
    return client.annotate(task_id, [*regions, verdict(choice)], lead_time=12.0, **more)


def labelled(workspace: Workspace, round_name: str = "draft") -> dict[tuple[str, str], LabelledClip]:
    """What was pulled, by clip and annotator."""
    return {(clip.clip_id, clip.annotator): clip for clip in read_labelled(workspace, round_name)}


def ask(server: TestServer, method: str, path: str, body: Any = None, *, token: str | None = None) -> Any:
    """Any request to the server, as the page makes it; gives the JSON of the answer."""
    headers = {"Authorization": f"Token {token or server.token}"}
    answer = httpx.request(method, f"{server.url}/api/{path}", json=body, headers=headers, timeout=60)
    assert answer.status_code < 300, answer.text[:500]
    return answer.json() if answer.content else None


def received(workspace: Workspace, clip_id: str) -> list[dict[str, Any]]:
    """Every state of a clip's annotations that was kept, by file name."""
    folder = workspace.annotations / "draft" / "received" / clip_id
    return [json.loads(gzip.decompress(Path(path).read_bytes())) for path in sorted(folder.glob("*.json.gz"))]

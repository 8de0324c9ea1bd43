"""A workspace on a real Label Studio with three people, who say over the server's API what the page would send."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from avis_data.annotation.labels.records import LabelledTrack
from avis_data.annotation.labels.store import read_round
from avis_data.annotation.labels.workspace_labels import WorkspaceLabels
from avis_data.annotation.labelstudio.client import LabelStudio
from avis_data.annotation.labelstudio.configuration import IMAGE, NOTE, REASON, VERDICT
from avis_data.annotation.labelstudio.regions import regions_from_tracks
from avis_data.paths import Workspace
from support.label_studio import TestServer, link, new_user
from support.rounds_world import clips_only

__all__ = ["Person", "Team", "new_team", "result"]


def choice(name: str, *values: str) -> dict[str, Any]:
    return {"type": "choices", "from_name": name, "to_name": IMAGE, "value": {"choices": list(values)}, "id": name}


def result(
    tracks: Sequence[LabelledTrack], verdict: str | None, *, note: str = "", reasons: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """What the page would send."""
    found = regions_from_tracks(tracks)
    found += [choice(VERDICT, verdict)] if verdict else []
    found += [choice(REASON, *reasons)] if reasons else []
    text = {"type": "textarea", "from_name": NOTE, "to_name": IMAGE, "value": {"text": [note]}, "id": "note"}
    return found + ([text] if note else [])


@dataclass(frozen=True)
class Person:
    """Somebody in front of the page: does their tasks over the server's API with their own account."""

    email: str
    client: LabelStudio

    def tasks(self, workspace: Workspace, round_name: str) -> dict[str, int]:
        """Clip to task, in this person's project."""
        (project,) = [item for item in read_round(workspace, round_name).projects if item.annotator == self.email]
        found = [(task.clip_id, task.id) for task in self.client.tasks(project.project_id)]
        assert len(found) == len(dict(found)), "a clip is there twice"
        return dict(found)

    def say(self, workspace: Workspace, round_name: str, clip_id: str, said: list[dict[str, Any]]) -> None:
        """Submit."""
        self.client.annotate(self.tasks(workspace, round_name)[clip_id], said, lead_time=12.5)

    def page(self, workspace: Workspace, round_name: str, clip_id: str) -> tuple[str, list[dict[str, Any]]]:
        """The hint above the clip, and the regions that a new annotation is filled with."""
        task_id = self.tasks(workspace, round_name)[clip_id]
        task: Any = self.client._read(f"api/tasks/{task_id}/", lambda found: found)
        predictions = task["predictions"]
        return str(task["data"]["hint"]), predictions[0]["result"] if predictions else []


@dataclass(frozen=True)
class Team:
    """A workspace on a server, and its people."""

    workspace: Workspace
    ann: Person
    bob: Person
    rev: Person

    def states(self) -> dict[str, str]:
        return {place.clip_id: str(place.state) for place in WorkspaceLabels(self.workspace).places()}


def new_team(server: TestServer, *clip_ids: str) -> Team:
    """A workspace of the given clips, with accounts of its own."""
    folder = server.folder("rounds")
    workspace = clips_only(folder, *clip_ids)
    for clip_id in clip_ids:
        (workspace.clip_dir(clip_id) / "preview.mp4").write_bytes(b"not looked at here")
    link(workspace, server)
    people = []
    for name in ("ann", "bob", "rev"):
        email = f"{name}-{folder.name}@example.com".lower()
        token = new_user(server, email)
        people.append(Person(email, LabelStudio(server.url, token, wait_s=0.05)))
    return Team(workspace, *people)

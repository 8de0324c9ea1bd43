"""A workspace that people label in a real browser: a synthetic and a real clip, Label Studio and a segmenter."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from avis_data.annotation.labels.records import LabelledClip, RoundKind
from avis_data.annotation.labels.store import read_labelled, read_round
from avis_data.annotation.labels.workspace_labels import WorkspaceLabels
from avis_data.annotation.labelstudio.client import LabelStudio
from avis_data.annotation.labelstudio.configuration import label_config
from avis_data.annotation.labelstudio.settings import read_secrets, read_settings
from avis_data.annotation.labelstudio.tasks import task_labels
from avis_data.formats.ytvis import read_ytvis
from avis_data.manifest import read_manifest
from avis_data.masks.rle import box
from avis_data.paths import Workspace
from avis_data.records import Clip
from support.label_studio import TestServer, link, new_user
from support.labelling_page import LabellingPage
from support.sam_service import segmenter
from support.shell import avis_data

__all__ = ["ANN", "PASSWORD", "REV", "Studio", "drawn_masks", "made_studio"]

ANN, REV = (f"{name}.{os.getpid()}@example.com" for name in ("ann", "rev"))  # each worker has people of its own
PASSWORD = "a-long-password"
REAL = "statement_two_men"


@dataclass(frozen=True)
class Studio:
    """A workspace with a synthetic and a real clip, linked with the server and a segmenter."""

    workspace: Workspace
    server: TestServer
    synthetic: str
    real: str
    box_xywh: tuple[int, int, int, int]
    """Around the first object of the synthetic clip, on its still of second 0."""
    identity: str
    pictures: Path
    """Where screenshots go."""

    def run(self, *arguments: object) -> dict[str, Any]:
        """A command on the workspace; gives its JSON."""
        ran = avis_data("-C", self.workspace.root, *arguments, "--json")
        assert ran.code == 0, ran.err + ran.out
        found: dict[str, Any] = json.loads(ran.out)
        return found

    def task(self, round_name: str, person: str, clip_id: str) -> tuple[int, int]:
        """Project and task of somebody's clip in a round."""
        (project,) = [item for item in read_round(self.workspace, round_name).projects if item.annotator == person]
        for task in LabelStudio(self.server.url, self.server.token).tasks(project.project_id):
            if task.clip_id == clip_id:
                return project.project_id, task.id
        raise AssertionError(f"{person} has no task of {clip_id} in {round_name}")

    def own_page(self, key: str, in_use: Sequence[str]) -> tuple[int, int]:
        """Project and task of the synthetic clip outside of all rounds, as the first draft round shows it.

        `in_use`: identities whose labels are shown, with more of their categories.
        """
        client, settings = LabelStudio(self.server.url, self.server.token), read_settings(self.workspace)
        project = client.ensure_project(key, label_config=label_config(RoundKind.DRAFT), instructions="", key=key)
        client.ensure_media(project, settings.clips_folder)
        assert settings.backend_url is not None
        client.ensure_backend(project, settings.backend_url, read_secrets(self.workspace).backend_token)
        media = f"/data/local-files/?d={settings.media_prefix}clips/{self.synthetic}"
        data = {
            "headline": "A clip", "hint": "", "clip_id": self.synthetic, "video": f"{media}/preview.mp4",
            "frames": [f"{media}/frames/{second:05d}.jpg" for second in range(4)],
            "num_seconds": 4, "width": 640, "height": 360,
            "labels": task_labels([], in_use, WorkspaceLabels(self.workspace).categories),
        }  # fmt: skip
        client.import_tasks(project, [{"data": data}])
        (task,) = client.tasks(project)
        return project, task.id

    def labelled(self, round_name: str, clip_id: str) -> LabelledClip:
        """What was pulled."""
        (found,) = read_labelled(self.workspace, round_name, clip_id)
        return found


@contextmanager
def made_studio(label_studio: TestServer, shared_dir: Path, folder: Path) -> Iterator[Studio]:
    """Everything that runs, until the end. `folder`: for files of the test."""
    world = folder / "world"
    assert (
        avis_data("synth", "--num-clips", 1, "--seconds", 4, "--seed", 3, "--size", "640x360", "--out", world).code == 0
    )
    rows = (world / "videos.csv").read_text().splitlines()
    columns = rows[0].split(",")
    real = {"url": str(shared_dir / "media" / f"{REAL}.mp4"), "start": "0", "end": "4"}
    listed = world / "both.csv"
    listed.write_text("\n".join([*rows, ",".join(real.get(name, "") for name in columns)]) + "\n")
    workspace = Workspace(label_studio.folder("browser"))
    for command in (
        ("fetch", "--list", listed, "--allow-local", "--sleep", 0),
        ("extract",),
        ("embed", "--untrained"),
        ("preview",),
    ):
        ran = avis_data("-C", workspace.root, *command)
        assert ran.code == 0, ran.err
    for email in (ANN, REV):
        new_user(label_studio, email, PASSWORD)
    truth = read_ytvis(world / "truth.json")
    clips = [clip.clip_id for clip in read_manifest(workspace.manifest / "clips.jsonl", Clip)]
    track = next(track for track in truth.tracks if track.masks[0] is not None)
    names = {category.id: category.name for category in truth.categories}
    assert track.masks[0] is not None
    with segmenter(workspace, folder) as (url, token):
        link(workspace, label_studio, backend_url=url, backend_token=token)
        yield Studio(
            workspace=workspace,
            server=label_studio,
            synthetic=truth.videos[0].name,
            real=next(clip_id for clip_id in clips if clip_id.startswith(REAL)),
            box_xywh=box(track.masks[0]),
            identity=f"{names[track.category_id]}_1",
            pictures=folder / "pictures",
        )


def drawn_masks(page: LabellingPage, still: int | None = None) -> dict[tuple[str, int], np.ndarray]:
    """What the page itself holds, on all stills or one, decoded by Label Studio's own SDK."""
    from label_studio_sdk.converter.brush import decode_rle  # imports nltk, scikit-learn and pandas

    found: dict[tuple[str, int], np.ndarray] = {}
    for region in page.regions():
        if region["type"] == "labels" and "rle" in region["value"] and still in (None, region["item_index"]):
            shape = (region["original_height"], region["original_width"], 4)
            drawn = np.reshape(decode_rle(region["value"]["rle"]), shape)[..., 3] >= 128
            key = region["value"]["labels"][0], region["item_index"]
            found[key] = found[key] | drawn if key in found else drawn
    return found

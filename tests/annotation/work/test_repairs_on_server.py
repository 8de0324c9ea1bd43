"""A repair between two pulls of a real Label Studio: nothing is lost, and the next round begins with it."""

from __future__ import annotations

from typing import Any

import pytest

from avis_data.annotation.labels.store import read_labelled, read_round
from avis_data.annotation.labelstudio.client import LabelStudio
from avis_data.annotation.labelstudio.regions import regions_from_tracks, tracks_from_regions
from avis_data.cli.main import main
from avis_data.masks.rle import decode
from support.label_studio import TestServer, link, new_user
from support.labelling_world import verdict
from support.rounds_world import clips_only, square, track

pytestmark = pytest.mark.slow

ONE = track("dog_1", {still: square(2, 3) for still in range(6)}, [(0, 3)])
OTHER = track("dog_2", {still: square(30, 20) for still in range(6)}, [(3, 6)])


def test_a_repair_outlives_pulls_and_fills_the_next_page(
    label_studio: TestServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = label_studio.folder("repairs")
    workspace = clips_only(folder, "a")
    (workspace.clip_dir("a") / "preview.mp4").write_bytes(b"not looked at here")
    link(workspace, label_studio)
    monkeypatch.chdir(workspace.root)
    ann, rev = (f"{name}-{folder.name}@example.com".lower() for name in ("ann", "rev"))
    client = LabelStudio(label_studio.url, new_user(label_studio, ann), wait_s=0.05)
    new_user(label_studio, rev)

    def only_task(round_name: str) -> Any:
        (project,) = [item for item in read_round(workspace, round_name).projects if item.annotator in (ann, rev)]
        (task,) = client.tasks(project.project_id)
        return client._read(f"api/tasks/{task.id}/", lambda found: found)

    def corner(still: int) -> bool:
        (said,) = read_labelled(workspace, "draft")
        (dog,) = [item for item in said.tracks if item.identity == "dog_1"]
        return bool(decode(dog.rle_by_frame()[still])[20, 30])

    assert main(["annotate", "push", "--round", "draft", "--annotators", ann]) == 0
    task_id = only_task("draft")["id"]
    client.annotate(task_id, [*regions_from_tracks([ONE, OTHER]), verdict("done")], lead_time=1.0)
    assert main(["annotate", "pull"]) == 0
    assert main(["labels", "swap", "a", "dog_1", "dog_2", "--from", "4", "--by", "lead"]) == 0
    for more in ([], ["--force"]):
        capsys.readouterr()
        assert main(["annotate", "pull", *more]) == 0
        assert [corner(still) for still in range(6)] == [False] * 4 + [True] * 2
    assert "stays in the labels" in capsys.readouterr().out
    assert main(["review", "start", "--reviewers", rev]) == 0
    (prediction,) = only_task("review")["predictions"]
    size = {"num_seconds": 6, "height": 32, "width": 48}
    page = {item.identity: item for item in tracks_from_regions(prediction["result"], **size)}
    assert decode(page["dog_1"].rle_by_frame()[5])[20, 30] and decode(page["dog_2"].rle_by_frame()[5])[3, 2]
    assert [(span.start_s, span.end_s) for span in page["dog_1"].intervals] == [(0, 3), (4, 6)]

"""Which labels a page offers: a short list, as many as are needed, and names that never change."""

from __future__ import annotations

from typing import Any

import pytest

from avis_data.annotation.labels.records import Interval
from avis_data.annotation.labels.store import read_round
from avis_data.annotation.labels.workspace_labels import WorkspaceLabels
from avis_data.annotation.labelstudio.client import LabelStudio
from avis_data.annotation.labelstudio.regions import sounding_region
from avis_data.annotation.labelstudio.server_records import ServerTask
from avis_data.annotation.labelstudio.settings import connect
from avis_data.annotation.labelstudio.tasks import task_labels
from avis_data.annotation.work.pull import pull_rounds
from avis_data.errors import ConfigError
from avis_data.paths import Workspace
from support.label_studio import TestServer
from support.labelling_world import labelled, push, start_world, submit, task_ids


def test_more_labels_on_pages_that_are_there_and_on_new_ones(label_studio: TestServer) -> None:
    workspace = start_world(label_studio, "more-labels", num_clips=3)
    client, _ = connect(workspace)
    push(workspace, clip_ids=["c0", "c1"])
    ids = task_ids(client, workspace)
    submit(client, ids["c0"], [])
    before = _labels_by_clip(client, workspace)
    for changed in (2, 0):  # the second time there is nothing to do
        (part,) = push(workspace, more_labels={"dog": 6, "person": 1}).parts
        assert part["num_with_more_labels"] == changed
    after = _labels_by_clip(client, workspace)
    for clip_id, labels in after.items():
        assert {f"dog_{number}" for number in range(1, 7)} | {"person_1"} <= _shown(labels), clip_id
        values = [label["value"] for label in labels]
        assert len(values) == len(set(values))
        stayed = [label["value"] for label in before.get(clip_id, labels)]
        assert [value for value in values if value in stayed] == stayed
        keys = {label["value"]: label.get("hotkey") for label in labels}
        assert all(keys[label["value"]] == label.get("hotkey") for label in before.get(clip_id, labels))
    assert task_ids(client, workspace)["c0"] == ids["c0"] and len(client.annotations(ids["c0"]) or ()) == 1
    with pytest.raises(ConfigError, match="no category 'zebra'"):
        push(workspace, more_labels={"zebra": 2})


def test_labels_that_a_person_took_are_shown_and_more_of_them(label_studio: TestServer) -> None:
    """The number after the last one that is shown makes the next: nobody runs out of them, and no name changes."""
    workspace = start_world(label_studio, "spare-labels", num_clips=2)
    client, _ = connect(workspace)
    push(workspace)
    before = _labels_by_clip(client, workspace)
    last = max(int(value.split("_")[1]) for value in _shown(before["c0"]) if value.startswith("dog_"))
    new = [f"dog_{last + 1}", f"dog_{last + 2}", "cat_1"]
    ids = task_ids(client, workspace)
    spans = [sounding_region(name, Interval(start_s=second, end_s=second + 1)) for second, name in enumerate(new)]
    submit(client, ids["c0"], spans)
    for _ in range(2):
        pull_rounds(WorkspaceLabels(workspace), client)
        (said,) = labelled(workspace).values()
        assert {track.identity for track in said.tracks} == set(new)
    for changed in (1, 0):
        (part,) = push(workspace).parts
        assert part["num_with_more_labels"] == changed
    after = _labels_by_clip(client, workspace)
    assert after["c1"] == before["c1"]
    assert {*new, f"dog_{last + 3}", "cat_2"} <= _shown(after["c0"])
    assert len(client.annotations(ids["c0"]) or ()) == 1


def _labels_by_clip(client: LabelStudio, workspace: Workspace) -> dict[str, Any]:
    return {task.clip_id: task.data["labels"] for task in _tasks_of(client, workspace)}


def _shown(labels: list[dict[str, str]]) -> set[str]:
    """Those that the page shows at first."""
    return {label["value"] for label in labels if "html" not in label}


def _tasks_of(client: LabelStudio, workspace: Workspace) -> list[ServerTask]:
    (project,) = read_round(workspace, "draft").projects
    return list(client.tasks(project.project_id))


def test_labels_of_a_clip() -> None:
    categories = ["person", "dog", "lawn_mover"]
    named = task_labels(["dog"], ["dog_1", "person_4"], categories)
    values = [label["value"] for label in named]
    assert values[:2] == ["person_4", "dog_1"] or values[:2] == ["dog_1", "person_4"]  # in use come first
    assert len(set(values)) == len(values)
    assert _shown(named) == {f"dog_{k}" for k in range(1, 5)} | {f"person_{k}" for k in range(1, 6)}
    assert {"lawn_mover_1", "dog_12", "person_13"} <= set(values), "all others are found by their names"
    shown = [label for label in named if label["value"] in _shown(named)]
    assert [label["hotkey"] for label in shown[:8]] == list("12345678")
    assert not any("hotkey" in label for label in named if label not in shown[:8])
    order = [value for value in values if value.startswith("dog_")]
    places = [values.index(value) for value in order[3:]]
    assert places == list(range(places[0], places[0] + len(places))), "each follows the number before it"
    assert _shown(task_labels(["dog", "person"], [], categories)) == {"dog_1", "dog_2", "person_1", "person_2"}
    assert _shown(task_labels(["dog"], [], categories, ["person"])) == {"dog_1", "dog_2", "person_1", "person_2"}
    assert _shown(task_labels([], [], categories, ["dog"])) == {f"dog_{k}" for k in range(1, 5)}
    every = task_labels([], [], [*categories, "cat", "bird"])
    assert len(_shown(every)) == 6 and _shown(every) == {label["value"] for label in every[:6]}
    colours = {label["value"]: label["background"] for label in task_labels([], [], categories)}
    assert colours["dog_1"] == next(label["background"] for label in named if label["value"] == "dog_1")

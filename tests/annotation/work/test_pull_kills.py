"""A pull that is killed before any of its steps is completed by the next one: nothing is lost or doubled."""

from __future__ import annotations

import os
import random
from typing import Any

import numpy as np
import pytest

from avis_data.annotation.labelstudio.regions import mask_regions
from avis_data.cli.main import main
from avis_data.masks.rle import decode, encode
from support.dying import changes_of, die_at
from support.fake_workspace import WIDTH_HEIGHT
from support.label_studio import TestServer
from support.labelling_world import ask, labelled, push, received, start_world, submit, task_ids, verdict

pytestmark = pytest.mark.slow

NUM_KILLS = int(os.environ.get("AVIS_DATA_KILLS", 3))


def square(number: int) -> np.ndarray:
    """bool (H, W), another one for each number."""
    width, height = WIDTH_HEIGHT
    mask_HW = np.zeros((height, width), dtype=bool)
    mask_HW[4:12, number % 30 : number % 30 + 8] = True
    return mask_HW


def drawn(number: int) -> list[dict[str, Any]]:
    return [*mask_regions("dog_1", 0, encode(square(number))), verdict()]


def test_every_state_is_there_once_whenever_it_was_killed(label_studio: TestServer) -> None:
    workspace, client = start_world(label_studio, "pull-kills"), label_studio.client()
    push(workspace)
    ids = task_ids(client, workspace)
    said = {name: submit(client, task_id, drawn(0)[:-1]) for name, task_id in ids.items()}
    pull = ["-C", str(workspace.root), "annotate", "pull"]
    assert main(pull) == 0

    def say(number: int) -> None:
        for annotation in said.values():
            ask(label_studio, "PATCH", f"annotations/{annotation}/", {"result": drawn(number)})

    say(1)
    number = changes_of(*pull)
    died = 0
    for kill, step in enumerate(random.Random(5).sample(range(1, number), min(NUM_KILLS, number - 1)), 2):
        say(kill)
        died += die_at(step, *pull)
        assert main(pull) == 0
        found = labelled(workspace)
        assert {clip_id for clip_id, _ in found} == set(ids)
        for clip in found.values():
            (mask,) = [mask for track in clip.tracks for mask in track.masks]
            np.testing.assert_array_equal(decode(mask.rle), square(kill))
        assert all(len(received(workspace, name)) == kill + 1 for name in ids), "each state once"
    assert died > NUM_KILLS / 2

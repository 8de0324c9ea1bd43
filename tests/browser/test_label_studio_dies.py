"""Label Studio itself is killed (kill -9) while somebody draws: `annotate serve` brings it back, no work is lost."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser

from avis_data.annotation.labels.store import read_labelled, read_round
from avis_data.annotation.labelstudio.client import LabelStudio
from avis_data.annotation.labelstudio.settings import connect, read_secrets, server_dir
from avis_data.annotation.serve.server_processes import read_children
from avis_data.masks.rle import decode
from avis_data.paths import Workspace
from support.label_studio import is_available
from support.labelling_page import signed_in
from support.served import serving
from support.shell import avis_data
from support.studio import drawn_masks

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(not is_available(), reason="needs avis-data annotate install"),
]

ONE, OTHER, THIRD = "person_1", "guitar_1", "trumpet_1"
PERSON, TRUMPET = (22, 180, 100, 168), (280, 145, 225, 95)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """One synthetic clip of 640 x 360 that nobody labelled."""
    found, world = Workspace(tmp_path / "set"), tmp_path / "world"
    made = avis_data("synth", "--num-clips", 1, "--seconds", 4, "--seed", 3, "--size", "640x360", "--out", world)
    assert made.code == 0, made.err
    for command in (
        ("fetch", "--list", world / "videos.csv", "--allow-local", "--sleep", 0),
        ("extract",),
        ("preview",),
    ):
        ran = avis_data("-C", found.root, *command)
        assert ran.code == 0, ran.err
    return found


def only_task(workspace: Workspace, client: LabelStudio) -> tuple[int, int]:
    """Project and task of the only clip."""
    (project,) = read_round(workspace, "draft").projects
    (task,) = client.tasks(project.project_id)
    return project.project_id, task.id


def pulled(workspace: Workspace) -> dict[tuple[str, int], np.ndarray]:
    """The masks that came back, by identity and still."""
    ran = avis_data("-C", workspace.root, "annotate", "pull")
    assert ran.code == 0, ran.err
    (clip,) = read_labelled(workspace, "draft")
    return {
        (track.identity, mask.frame): decode(mask.rle).astype(bool) for track in clip.tracks for mask in track.masks
    }


def test_what_is_on_the_page_outlives_label_studio(browser: Browser, workspace: Workspace) -> None:
    with serving(workspace) as served:
        served.wait_until_up()
        ran = avis_data("-C", workspace.root, "annotate", "push", "--round", "draft")
        assert ran.code == 0, ran.err
        client, _ = connect(workspace)
        account = read_secrets(workspace)
        assert account.username is not None and account.password is not None
        with signed_in(browser, client.url, email=account.username, password=account.password) as page:
            project, task = only_task(workspace, client)
            page.open(project, task)
            page.let_the_machine_help()
            page.smart_box(ONE, PERSON)
            before = drawn_masks(page)
            assert before[ONE, 0].any()

            (server,) = [
                child
                for child in read_children(server_dir(workspace) / "processes.json")
                if child.name == "Label Studio"
            ]
            os.killpg(server.pid, signal.SIGKILL)
            page.choose_label(OTHER)
            page.choose_tool("brush-tool")
            page.stroke((60, 60), (140, 60))
            told = page.page.locator("#avis-not-saved")
            told.wait_for()
            served.wait_until_again("Label Studio")
            told.wait_for(state="detached")  # without anybody's doing
            assert any(OTHER in str(draft.result) for draft in client.drafts(task))
            page.stroke((60, 100), (140, 100))
            page.smart_box(THIRD, TRUMPET)  # and clicks are answered again
            there = drawn_masks(page)
            np.testing.assert_array_equal(there[ONE, 0], before[ONE, 0])
            assert there[OTHER, 0][60, 100] and there[OTHER, 0][100, 100] and there[THIRD, 0].any()
            page.key("u")
            page.key("Shift+D")
            page.submit()
        back = pulled(workspace)
    assert set(back) == set(there)
    for key, mask_HW in there.items():
        np.testing.assert_array_equal(back[key], mask_HW)

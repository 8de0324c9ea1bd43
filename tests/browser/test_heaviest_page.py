"""Twelve objects on one page: it opens, is drawn on, saved and pulled, and every mask is right to the pixel.

A few stills, since each mask costs time; `AVIS_DATA_STILLS=180` makes it three minutes with 2,160 masks.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest
from playwright.sync_api import Browser

from avis_data.annotation.labels.store import read_labelled, read_round
from avis_data.annotation.labelstudio.client import LabelStudio
from avis_data.masks.rle import decode
from avis_data.media.ffmpeg import find_ffmpeg
from avis_data.paths import Workspace
from support.label_studio import TestServer, link, new_user
from support.labelling_page import signed_in
from support.sam_service import segmenter
from support.shell import avis_data
from support.studio import drawn_masks

pytestmark = [pytest.mark.browser, pytest.mark.slow]

OBJECTS, WIDTH, HEIGHT = 12, 640, 360
STILLS = int(os.environ.get("AVIS_DATA_STILLS", 3))
BRUSHED, BOXED = "person_3", "person_9"
OPENED_MS = 600_000
"""No bar of speed: the page may stand on a machine with much else to do."""


def ellipse(number: int, still: int) -> np.ndarray:
    """bool (H, W): the mask of an object, each in a part of the picture of its own, where it goes to and fro."""
    row, column = divmod(number, 4)
    centre = (80 + 160 * column + still % 15 - 7, 60 + 120 * row + still % 7 - 3)
    picture = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
    cv2.ellipse(picture, centre, (60, 40), 5 * still, 0, 360, 1, -1)
    return picture.astype(bool)


def runs(mask_HW: np.ndarray) -> list[int]:
    """COCO's uncompressed run lengths, down the columns, background first."""
    pixels = mask_HW.T.ravel()
    ends = np.flatnonzero(np.diff(pixels)) + 1
    lengths = np.diff([0, *ends, pixels.size]).tolist()
    return [0, *lengths] if pixels[0] else lengths


def made(folder: Path, root: Path) -> Workspace:
    """A clip with twelve imported people, all of whom sound throughout."""
    sources = [f"testsrc=size={WIDTH}x{HEIGHT}:rate=4:duration={STILLS}", f"sine=frequency=440:duration={STILLS}"]
    inputs = [word for source in sources for word in ("-f", "lavfi", "-i", source)]
    made = [find_ffmpeg().program, "-loglevel", "error", *inputs, "-pix_fmt", "yuv420p", str(folder / "long.mp4")]
    subprocess.run(made, check=True)
    (folder / "list.csv").write_text("url,video_id\nlong.mp4,long\n")
    people = [
        {
            "id": number + 1,
            "video_id": 1,
            "category_id": 1,
            "iscrowd": 0,
            "segmentations": [
                {"size": [HEIGHT, WIDTH], "counts": runs(ellipse(number, still))} for still in range(STILLS)
            ],
        }
        for number in range(OBJECTS)
    ]
    names = [f"long/{still}.jpg" for still in range(STILLS)]
    video = {"id": 1, "width": WIDTH, "height": HEIGHT, "length": STILLS, "file_names": names}
    truth = {"videos": [video], "categories": [{"id": 1, "name": "person"}], "annotations": people}
    (folder / "truth.json").write_text(json.dumps(truth))
    workspace = Workspace(root)
    for command in (
        ("fetch", "--list", folder / "list.csv", "--allow-local", "--sleep", 0),
        ("extract",),
        ("preview",),
        ("import", "--format", "ytvis", folder / "truth.json"),
    ):
        ran = avis_data("-C", root, *command)
        assert ran.code == 0, ran.err
    return workspace


def test_twelve_objects_come_back_from_the_page_to_the_pixel(
    browser: Browser, label_studio: TestServer, tmp_path: Path
) -> None:
    workspace = made(tmp_path, label_studio.folder("heaviest"))
    email = f"{workspace.root.name}@example.com"
    new_user(label_studio, email)
    with segmenter(workspace, tmp_path) as (url, token):
        link(workspace, label_studio, backend_url=url, backend_token=token)
        ran = avis_data("-C", workspace.root, "annotate", "push", "--round", "draft", "--annotators", email)
        assert ran.code == 0, ran.err
        (project,) = read_round(workspace, "draft").projects
        (task,) = LabelStudio(label_studio.url, label_studio.token).tasks(project.project_id)
        with signed_in(browser, label_studio.url, email=email, password="a-long-password") as page:
            page.page.set_default_timeout(OPENED_MS)
            asked: list[str] = []
            page.page.on("request", lambda request: asked.append(request.url))
            page.open(project.project_id, task.id)
            page.let_the_machine_help()
            page.choose_label(BRUSHED)
            page.choose_tool("brush-tool")
            page.stroke((300, 60), (340, 60))
            assert not [url for url in asked if "interactive-annotating" in url], "masks that were there are no clicks"
            page.smart_box(BOXED, (4, 250, 150, 95))
            first = drawn_masks(page, 0)
            page.key("u")
            page.key("Shift+D")
            page.submit()
            page.shot(tmp_path / "heaviest.png")
    ran = avis_data("-C", workspace.root, "annotate", "pull")
    assert ran.code == 0, ran.err
    (clip,) = read_labelled(workspace, "draft")
    back = {(track.identity, mask.frame): mask.rle for track in clip.tracks for mask in track.masks}
    assert len(back) == OBJECTS * STILLS
    assert first[BRUSHED, 0][60, 300:341].all() and not ellipse(2, 0)[60, 300:310].any()
    assert not np.array_equal(first[BOXED, 0], ellipse(8, 0))
    for number in range(OBJECTS):
        identity = f"person_{number + 1}"
        for still in range(STILLS):
            changed = still == 0 and identity in (BRUSHED, BOXED)
            wanted = first[identity, 0] if changed else ellipse(number, still)
            np.testing.assert_array_equal(decode(back[identity, still]).astype(bool), wanted)

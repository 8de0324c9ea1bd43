"""People at the real page: Label Studio, the segmenter and Chromium, from a draft over review and fix to an export."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from label_studio_sdk.converter.brush import decode_rle
from playwright.sync_api import Browser

from avis_data.annotation.labels.records import LabelledClip, MaskOrigin, RoundKind
from avis_data.annotation.labels.store import read_labelled, read_round
from avis_data.annotation.labelstudio.client import LabelStudio
from avis_data.annotation.labelstudio.configuration import label_config
from avis_data.formats.ytvis import read_ytvis
from avis_data.manifest import read_manifest
from avis_data.masks.rle import Rle, area, box, decode
from avis_data.paths import Workspace
from avis_data.records import Clip
from support.label_studio import TestServer, link, new_user
from support.labelling_page import LabellingPage, chromium, signed_in
from support.sam_service import segmenter
from support.shell import avis_data

pytestmark = [pytest.mark.browser, pytest.mark.slow]

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

    def labelled(self, round_name: str, clip_id: str) -> LabelledClip:
        """What was pulled."""
        (found,) = read_labelled(self.workspace, round_name, clip_id)
        return found


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def studio(label_studio: TestServer, shared_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    world = tmp_path_factory.mktemp("world")
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
    with segmenter(workspace, tmp_path_factory.mktemp("token")) as (url, token):
        link(workspace, label_studio, backend_url=url, backend_token=token)
        yield Studio(
            workspace=workspace,
            server=label_studio,
            synthetic=truth.videos[0].name,
            real=next(clip_id for clip_id in clips if clip_id.startswith(REAL)),
            box_xywh=box(track.masks[0]),
            identity=f"{names[track.category_id]}_1",
            pictures=tmp_path_factory.mktemp("pictures"),
        )


def drawn_masks(page: LabellingPage) -> dict[tuple[str, int], np.ndarray]:
    """What the page itself holds, decoded by Label Studio's own SDK."""
    found = {}
    for region in page.regions():
        if region["type"] == "labels":
            shape = (region["original_height"], region["original_width"], 4)
            alpha = np.reshape(decode_rle(region["value"]["rle"]), shape)[..., 3]
            found[region["value"]["labels"][0], region["item_index"]] = alpha >= 128
    return found


def test_a_clip_goes_from_draft_over_review_and_fix_into_an_export(browser: Browser, studio: Studio) -> None:
    studio.run("annotate", "push", "--round", "draft", "--annotators", ANN)
    with signed_in(browser, studio.server.url, email=ANN, password=PASSWORD) as page:
        drawn = _draft_the_synthetic_clip(studio, page)
        _draft_the_real_clip(studio, page)
    studio.run("annotate", "pull")
    _check_what_was_pulled(studio, drawn)

    studio.run("review", "start", "--reviewers", REV)
    with signed_in(browser, studio.server.url, email=REV, password=PASSWORD) as page:
        page.open(*studio.task("review", REV, studio.synthetic))
        assert set(drawn_masks(page)) == set(drawn), "the reviewer sees the annotator's masks"
        page.choose_verdict("send back")
        page.choose_verdict("sounding seconds")
        page.write_note("it is silent in second 1")
        page.shot(studio.pictures / "review.png")
        page.submit()
        page.open(*studio.task("review", REV, studio.real))
        page.choose_verdict("accept")
        page.submit()
    studio.run("annotate", "pull")

    studio.run("review", "start", "--reviewers", REV)
    with signed_in(browser, studio.server.url, email=ANN, password=PASSWORD) as page:
        page.open(*studio.task("fix", ANN, studio.synthetic))
        assert "it is silent in second 1" in page.text()
        page.shot(studio.pictures / "fix.png")
        page.remove_spans()
        page.draw_span(studio.identity, 0, 0)
        page.choose_verdict("done")
        page.submit()
    studio.run("annotate", "pull")

    studio.run("review", "start", "--reviewers", REV)
    with signed_in(browser, studio.server.url, email=REV, password=PASSWORD) as page:
        page.open(*studio.task("review-2", REV, studio.synthetic))
        page.choose_verdict("accept")
        page.submit()
    studio.run("annotate", "pull")
    _check_the_export(studio, drawn)


def _draft_the_synthetic_clip(studio: Studio, page: LabellingPage) -> dict[tuple[str, int], np.ndarray]:
    """Two seconds of sound, one smart box that fills both, a verdict; gives the masks as the page holds them."""
    page.open(*studio.task("draft", ANN, studio.synthetic))
    page.let_the_machine_help()
    page.remove_spans()
    page.draw_span(studio.identity, 0, 1)
    page.wait_until_saved()
    page.smart_box(studio.identity, studio.box_xywh)
    page.shot(studio.pictures / "draft.png")
    drawn = drawn_masks(page)
    assert set(drawn) == {(studio.identity, 0), (studio.identity, 1)}, "one box fills the seconds that were marked"
    page.submit_expecting("Choose a verdict")
    page.choose_verdict("done")
    page.submit()
    return drawn


def _draft_the_real_clip(studio: Studio, page: LabellingPage) -> None:
    """A point on a real still; nothing is heard."""
    page.open(*studio.task("draft", ANN, studio.real))
    page.let_the_machine_help()
    page.remove_spans()
    width, height = page.still_size()
    page.smart_point(page.labels()[0], width / 2, height / 2)
    page.shot(studio.pictures / "real.png")
    (mask,) = drawn_masks(page).values()
    assert mask[height // 2, width // 2]
    page.choose_verdict("done")
    page.submit()


def _check_what_was_pulled(studio: Studio, drawn: dict[tuple[str, int], np.ndarray]) -> None:
    found = studio.labelled("draft", studio.synthetic)
    (track,) = found.tracks
    assert found.annotator == ANN and found.verdict == "done" and not found.problems
    assert [(span.start_s, span.end_s) for span in track.intervals] == [(0, 2)]
    assert [state.value for state in track.states] == ["sounding", "sounding", "hidden", "hidden"]
    for mask in track.masks:
        pulled = decode(Rle(mask.height, mask.width, mask.counts)).astype(bool)
        np.testing.assert_array_equal(pulled, drawn[track.identity, mask.frame])
        assert mask.engine == "grabcut" and mask.annotator == ANN and mask.round == "draft"
    assert [mask.origin for mask in track.masks] == [MaskOrigin.CLICKED, MaskOrigin.PROPAGATED]
    left, top, wide, high = studio.box_xywh
    inside = drawn[track.identity, 0][top : top + high, left : left + wide].sum()
    assert inside == drawn[track.identity, 0].sum() > 0.2 * wide * high, "the mask lies in the box that was drawn"


def _check_the_export(studio: Studio, drawn: dict[tuple[str, int], np.ndarray]) -> None:
    status = studio.run("review", "status")
    assert {clip["clip_id"]: clip["state"] for clip in status["clips"]} == {
        studio.synthetic: "accepted",
        studio.real: "accepted",
    }
    studio.run("export", "--split", "1/1", "--seed", 1, "--masks", "rle")
    export = studio.workspace.exports / "ytvis"
    assert avis_data("validate", export).code == 0
    tracks = {}
    for split in ("train", "val"):
        dataset = read_ytvis(export / f"{split}.json")
        names = {video.video_id: video.name for video in dataset.videos}
        tracks |= {names[track.video_id]: track for track in dataset.tracks}
    assert set(tracks) == {studio.synthetic}, "nothing is heard in the real clip"
    masks = tracks[studio.synthetic].masks
    assert [mask is not None and area(mask) > 0 for mask in masks] == [True, False, False, False]
    assert masks[0] is not None
    np.testing.assert_array_equal(decode(masks[0]).astype(bool), drawn[studio.identity, 0])


@pytest.mark.parametrize("kind", list(RoundKind))
def test_every_configuration_opens(browser: Browser, studio: Studio, kind: RoundKind) -> None:
    """The server takes configurations that the page cannot show, so each is opened once."""
    client = LabelStudio(studio.server.url, studio.server.token)
    key = f"opened-{kind.value}"
    project = client.ensure_project(key, label_config=label_config(kind), instructions="<b>x</b>", key=key)
    client.ensure_media(project, str(studio.workspace.root.resolve() / "clips"))
    place = studio.workspace.root.resolve().relative_to(Path(studio.server.root).resolve())
    media = f"/data/local-files/?d={place.as_posix()}/clips/{studio.synthetic}"
    data = {
        "headline": "A clip", "hint": "a hint", "clip_id": studio.synthetic, "video": f"{media}/preview.mp4",
        "frames": [f"{media}/frames/{second:05d}.jpg" for second in range(4)],
        "labels": [{"value": "dog_1", "background": "#1E88E5"}],
    }  # fmt: skip
    client.import_tasks(project, [{"data": data}])
    (task,) = client.tasks(project)
    with signed_in(browser, studio.server.url, email=studio.server.email, password=studio.server.password) as page:
        page.open(project, task.id)
        text = page.text()
        for word in ("A clip", "a hint", "dog_1", "off-screen"):
            assert word in text
        page.draw_span("dog_1", 1, 2)
        assert [region["value"]["ranges"] for region in page.regions()] == [[{"start": 2, "end": 3}]]
        page.shot(studio.pictures / f"{kind.value}-config.png")


def test_only_clips_are_served(browser: Browser, studio: Studio) -> None:
    """Whatever path a page asks for, nothing outside the folder of the clips comes back."""
    client = LabelStudio(studio.server.url, studio.server.token)
    config = label_config(RoundKind.DRAFT)
    project = client.ensure_project("served", label_config=config, instructions="<b>x</b>", key="served")
    client.ensure_media(project, str(studio.workspace.root.resolve() / "clips"))
    place = studio.workspace.root.resolve().relative_to(Path(studio.server.root).resolve()).as_posix()
    secret = studio.workspace.root / "label-studio" / "secrets.json"
    assert secret.exists()
    link_out = studio.workspace.clip_dir(studio.synthetic) / "frames" / "out.jpg"
    link_out.symlink_to(secret)
    asked = [
        f"{place}/label-studio/secrets.json",
        f"{place}/clips/../label-studio/secrets.json",
        f"{place}/clips/%2e%2e/label-studio/secrets.json",
        f"{place}/clips/..%2flabel-studio%2fsecrets.json",
        str(secret.resolve()),
        "../../../../../../etc/passwd",
    ]
    with signed_in(browser, studio.server.url, email=ANN, password=PASSWORD) as page:
        good = page.get(f"/data/local-files/?d={place}/clips/{studio.synthetic}/frames/00000.jpg")
        assert good[0] == 200
        for path in asked:
            status, body = page.get(f"/data/local-files/?d={path}")
            assert status >= 400 and b"token" not in body and b"root:" not in body, path
    link_out.unlink()

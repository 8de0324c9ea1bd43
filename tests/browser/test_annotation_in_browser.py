"""People at the real page: Label Studio, the segmenter and Chromium, from a draft over review and fix to an export."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser

from avis_data.annotation.labels.records import MaskOrigin, RoundKind
from avis_data.annotation.labelstudio.client import LabelStudio
from avis_data.annotation.labelstudio.configuration import label_config
from avis_data.formats.ytvis import read_ytvis
from avis_data.masks.rle import Rle, area, decode
from support.labelling_page import LabellingPage, signed_in
from support.shell import avis_data
from support.studio import ANN, PASSWORD, REV, Studio, drawn_masks

pytestmark = [pytest.mark.browser, pytest.mark.slow]


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
    page.smart_box(studio.identity, studio.box_xywh)
    page.wait_until_filled()
    page.wait_until_filled()
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

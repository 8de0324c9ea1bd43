"""A hand at the real page: what it drew, erased or renamed is there after every smart click, however quick it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser

from avis_data.annotation.labelstudio.client import LabelStudio
from support.label_studio import free_port
from support.labelling_page import LabellingPage, sign_in, signed_in
from support.sam_service import segmenter
from support.studio import ANN, PASSWORD, Studio, drawn_masks

pytestmark = [pytest.mark.browser, pytest.mark.slow]

OTHER = "dog_2"


@contextmanager
def opened(browser: Browser, studio: Studio, key: str) -> Iterator[LabellingPage]:
    """A page without any work on it, the machine's help on."""
    task = studio.own_page(key, [studio.identity, OTHER])
    with signed_in(browser, studio.server.url, email=ANN, password=PASSWORD) as page:
        page.open(*task)
        page.let_the_machine_help()
        yield page


@pytest.mark.parametrize("then", ["box", "point"])
def test_brush_and_eraser_stay_through_a_smart_click_at_once(browser: Browser, studio: Studio, then: str) -> None:
    with opened(browser, studio, f"hand-{then}") as page:
        x, y, wide, high = studio.box_xywh
        page.smart_box(studio.identity, studio.box_xywh)
        made = drawn_masks(page)[studio.identity, 0]
        page.select_region(studio.identity)
        page.choose_tool("brush-tool")
        page.stroke((x + wide + 20, y), (x + wide + 40, y + 20))
        page.choose_tool("eraser")
        page.stroke((x + wide / 2, y + high / 2), (x + wide / 2 + 10, y + high / 2))
        drawn = drawn_masks(page)[studio.identity, 0]
        brushed, erased = drawn & ~made, made & ~drawn
        assert brushed.sum() > 300 and erased.sum() > 50
        if then == "box":
            page.smart_box(studio.identity, studio.box_xywh)
        else:
            page.smart_point(studio.identity, 400, 60)
        page.shot(studio.pictures / f"hand-{then}.png")
        found = drawn_masks(page)[studio.identity, 0]
        assert (found & brushed).sum() == brushed.sum()
        assert (found & erased).sum() == 0
        assert then == "box" or found[60, 400], "the point has its own part"


def test_a_mask_that_was_renamed_is_not_replaced(browser: Browser, studio: Studio) -> None:
    with opened(browser, studio, "renamed") as page:
        page.smart_box(studio.identity, studio.box_xywh)
        before = drawn_masks(page)[studio.identity, 0]
        page.select_region(studio.identity)
        page.rename_selected(OTHER)
        page.smart_box(studio.identity, (400, 40, 120, 120))
        found = drawn_masks(page)
        np.testing.assert_array_equal(found[OTHER, 0], before)
        assert found[studio.identity, 0].any() and not (found[studio.identity, 0] & before).any()


def test_a_point_mends_a_mask_that_a_hand_drew(browser: Browser, studio: Studio) -> None:
    with opened(browser, studio, "by-hand") as page:
        page.choose_label(studio.identity)
        page.choose_tool("brush-tool")
        page.stroke((300, 100), (340, 100))
        drawn = drawn_masks(page)[studio.identity, 0]
        page.smart_point(studio.identity, 400, 60)
        found = drawn_masks(page)[studio.identity, 0]
        assert found[60, 400] and (found & drawn).sum() == drawn.sum()
        assert len({region["id"] for region in page.regions() if region["type"] == "brush"}) == 1
        page.smart_point(studio.identity, 320, 100, keys=("Control", "Alt"))
        assert not drawn_masks(page)[studio.identity, 0][100, 320]


def test_the_page_is_ready_for_the_first_box(browser: Browser, studio: Studio) -> None:
    """Nothing has to be switched on: a label, then boxes; verdicts have keys of their own."""
    task = studio.own_page("ready", [studio.identity, OTHER])
    with signed_in(browser, studio.server.url, email=ANN, password=PASSWORD) as page:
        page.open(*task)
        page.choose_label(studio.identity)
        x, y, wide, high = studio.box_xywh
        with page.answered():
            page.stroke((x, y), (x + wide, y + high))
        page.turn_to(1)
        with page.answered():
            page.stroke((x, y), (x + wide, y + high))
        assert {frame for identity, frame in drawn_masks(page) if identity == studio.identity} == {0, 1}
        page.page.keyboard.press("u")
        for key, verdict in (("Shift+U", "unsure"), ("Shift+X", "drop clip"), ("Shift+D", "done")):
            page.page.keyboard.press(key)
            (chosen,) = [region for region in page.regions() if region["from_name"] == "verdict"]
            assert chosen["value"]["choices"] == [verdict]


def test_the_other_stills_of_a_box_come_by_themselves_and_spare_what_a_hand_does(
    browser: Browser, studio: Studio
) -> None:
    with opened(browser, studio, "filled") as page:
        page.draw_span(studio.identity, 0, 3)
        page.smart_box(studio.identity, studio.box_xywh)
        assert {frame for identity, frame in drawn_masks(page) if identity == studio.identity} >= {0}
        assert page.filling().startswith(f"{studio.identity}: ") and page.filling().endswith(" of 4 stills")
        page.choose_label(OTHER)  # what comes keeps its own label, whatever is chosen
        page.shot(studio.pictures / "filling.png")
        page.turn_to(3)
        page.choose_tool("brush-tool")
        page.stroke((300, 100), (340, 100))
        drawn = drawn_masks(page)[OTHER, 3]
        page.wait_until_filled()
        found = drawn_masks(page)
        assert {frame for identity, frame in found if identity == studio.identity} == {0, 1, 2, 3}
        assert {frame for identity, frame in found if identity == OTHER} == {3}
        np.testing.assert_array_equal(found[OTHER, 3], drawn)
        assert page.page.locator("#avis-filling").count() == 0
        page.shot(studio.pictures / "filled.png")


@pytest.mark.parametrize("why", ["the session ended", "a proxy asks to sign in", "the server is gone"])
def test_what_cannot_be_saved_is_said_and_saved_later(browser: Browser, studio: Studio, why: str) -> None:
    """As with a tab that was open over night. A smart click does not lead away from the page meanwhile."""
    project, task = studio.own_page(why, [studio.identity, OTHER])
    client = LabelStudio(studio.server.url, studio.server.token)
    with signed_in(browser, studio.server.url, email=ANN, password=PASSWORD) as page:
        page.open(project, task)
        page.let_the_machine_help()
        told = page.page.locator("#avis-not-saved")
        assert told.count() == 0
        if why == "the session ended":
            page.page.context.clear_cookies(name="sessionid")
        elif why == "a proxy asks to sign in":
            page.page.route("**/api/**", lambda route: route.fulfill(content_type="text/html", body="<form>"))
        else:
            page.page.route("**/api/**", lambda route: route.abort())
        page.choose_label(studio.identity)
        page.choose_tool("brush-tool")
        page.stroke((300, 100), (340, 100))
        told.wait_for()
        assert "Nothing is saved: you are signed out, or the server is not reached." in told.inner_text()
        page.shot(studio.pictures / "not-saved.png")
        page.page.keyboard.press("u")
        page.choose_label(OTHER)
        page.choose_smart_tool("rectangle-tool")
        with page.page.expect_request(lambda request: "interactive-annotating" in request.url):
            page.stroke((400, 40), (520, 160))
        drawn = drawn_masks(page)[studio.identity, 0]
        assert drawn[100, 320] and told.is_visible()
        assert not client.drafts(task)
        if why == "the session ended":
            _check_that_no_sign_in_is_ended(page)
        with page.page.expect_response(lambda answer: "/drafts" in answer.url and answer.status in (200, 201)) as saved:
            if why == "the session ended":
                sign_in(page.page.context.new_page(), studio.server.url, email=ANN, password=PASSWORD)
            else:
                page.page.unroute("**/api/**")
        assert saved.value.request.post_data and "brush" in saved.value.request.post_data
        told.wait_for(state="detached")
        page.open(project, task)
        np.testing.assert_array_equal(drawn_masks(page)[studio.identity, 0], drawn)


def _check_that_no_sign_in_is_ended(page: LabellingPage) -> None:
    """A request of somebody who is signed out is answered with a session that is nobody's, also after a sign-in."""
    asked: list[str] = []
    page.page.on("request", lambda request: asked.append(request.url))
    page.page.wait_for_timeout(3000)
    assert [url for url in asked if "/api/" in url] == []


def test_why_there_is_no_mask_is_said_until_there_is_one(browser: Browser, studio: Studio) -> None:
    with opened(browser, studio, "told") as page:
        page.choose_label(OTHER)
        page.choose_smart_tool("key-point-tool")
        with page.refused(f"only points beside {OTHER}, and there is no mask of it yet: click on it first"):
            page.page.keyboard.down("Alt")
            page.click_on_still(400, 60)
            page.page.keyboard.up("Alt")
        page.shot(studio.pictures / "told.png")
        page.smart_box(studio.identity, studio.box_xywh)
        assert page.page.locator("#avis-no-mask").count() == 0
        assert (studio.identity, 0) in drawn_masks(page)


def test_the_segmenter_is_killed_while_somebody_draws(browser: Browser, studio: Studio, tmp_path: Path) -> None:
    """What is on the page stays, what is drawn meanwhile is saved, and clicks are answered again after its restart."""
    project, task = studio.own_page("killed", [studio.identity, OTHER])
    client, port = LabelStudio(studio.server.url, studio.server.token), free_port()
    with signed_in(browser, studio.server.url, email=ANN, password=PASSWORD) as page:
        with segmenter(studio.workspace, tmp_path, port=port) as (url, token):
            client.ensure_backend(project, url, token)
            page.open(project, task)
            page.let_the_machine_help()
            page.smart_box(studio.identity, studio.box_xywh)
        made = drawn_masks(page)[studio.identity, 0]
        page.choose_label(OTHER)
        page.choose_smart_tool("rectangle-tool")
        with page.refused("The segmenter does not answer. Draw by hand, or click again in a minute."):
            page.stroke((400, 40), (520, 160))
        page.page.keyboard.press("u")
        page.select_region(studio.identity)
        page.choose_tool("brush-tool")
        with page.page.expect_response(lambda answer: "/drafts/" in answer.url and answer.ok):
            page.stroke((300, 100), (340, 100))
        drawn = drawn_masks(page)[studio.identity, 0]
        assert drawn[100, 320] and (drawn & made).sum() == made.sum()
        with segmenter(studio.workspace, tmp_path, port=port):
            page.open(project, task)
            page.smart_box(OTHER, (380, 200, 120, 120))  # not where the box without an answer still is
            found = drawn_masks(page)
        np.testing.assert_array_equal(found[studio.identity, 0], drawn)
        assert found[OTHER, 0].any()

"""A tab that was left open until its session ended: it asks for the password by itself, and the work is there after."""

from __future__ import annotations

import numpy as np
import pytest
from playwright.sync_api import Browser, Response

from support.labelling_page import sign_in, signed_in
from support.studio import ANN, PASSWORD, Studio, drawn_masks

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def saved(answer: Response) -> bool:
    """Whether the server took what the page draws."""
    return "/drafts/" in answer.url and answer.ok


def test_a_tab_whose_session_ended_keeps_the_work(browser: Browser, studio: Studio) -> None:
    """Signed in again in another tab, the first one saves all of it, also what was drawn in between. A smart click
    without a session leads to the login, and what was saved is on the page after it."""
    task = studio.own_page("signed-out", [studio.identity, "dog_2"])
    with signed_in(browser, studio.server.url, email=ANN, password=PASSWORD) as page:
        page.open(*task)
        page.smart_box(studio.identity, studio.box_xywh)
        page.select_region(studio.identity)
        page.choose_tool("brush-tool")
        with page.page.expect_response(saved):
            page.stroke((300, 100), (340, 100))
        page.page.context.clear_cookies()
        with page.page.expect_response(lambda answer: "/drafts/" in answer.url and answer.status == 401):
            page.stroke((300, 120), (340, 120))
        page.shot(studio.pictures / "signed-out.png")
        other = page.page.context.new_page()
        sign_in(other, studio.server.url, email=ANN, password=PASSWORD)
        other.close()
        page.page.bring_to_front()
        with page.page.expect_response(saved):
            page.stroke((300, 140), (340, 140))
        drawn = drawn_masks(page)
        assert all(drawn[studio.identity, 0][row, 320] for row in (100, 120, 140))

        page.page.context.clear_cookies()
        page.choose_label("dog_2")
        page.choose_smart_tool("rectangle-tool")
        page.stroke((400, 40), (520, 160))
        page.page.wait_for_url("**/user/login/**")
        sign_in(page.page, studio.server.url, email=ANN, password=PASSWORD)
        page.open(*task)
        page.page.wait_for_function("() => window.Htx.annotationStore.selected.serializeAnnotation().length > 0")
        np.testing.assert_array_equal(drawn_masks(page)[studio.identity, 0], drawn[studio.identity, 0])
        page.choose_verdict("done")
        page.submit()

"""The page on a small screen: sound, seconds, labels and still together, and a short list of labels."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser

from support.labelling_page import signed_in
from support.studio import ANN, PASSWORD, Studio

pytestmark = [pytest.mark.browser, pytest.mark.slow]

WIDTH, HEIGHT = 1366, 768


def test_a_small_screen_shows_all_of_a_clip_and_the_labels_it_needs(browser: Browser, studio: Studio) -> None:
    task = studio.own_page("small-screen", ["person_1", "dog_2"])
    with signed_in(browser, studio.server.url, email=ANN, password=PASSWORD) as page:
        page.page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
        page.open(*task)
        heard = {"person_1": (0, 2), "dog_2": (1, 3), "person_2": (0, 0), "dog_1": (2, 3), "off-screen": (3, 3)}
        for identity, (first, last) in heard.items():  # more rows than the timeline has room for
            page.draw_span(identity, first, last)
        assert {identity: page.spans(identity) for identity in heard} == {key: [span] for key, span in heard.items()}
        page.choose_label("person_1")
        page.shot(studio.pictures / "small-screen.png")
        bottom = page.place(".lsf-bottombar")["y"]
        parts = {
            "sound": ".lsf-video-canvas",
            "play": "[aria-label=Play]",
            "seconds": ".lsf-timeline-frames",
            "still": ".lsf-image",
            "smart tool": ".lsf-toolbar .lsf-tool_smart",
            "verdict": ".lsf-choices",
            "note": "textarea",
        }
        for name, selector in parts.items():
            place = page.place(selector)
            assert place["width"] > 30 and place["height"] > 15, name
            assert place["x"] >= 0 and place["x"] + place["width"] <= WIDTH, name
            assert place["y"] >= 0 and place["y"] + place["height"] <= bottom, name
        assert page.place(".lsf-image")["height"] > 250, "there is room to draw"

        shown = page.labels_shown()
        assert shown == ["person_1", "dog_2", "person_2", "dog_1", "dog_3"]
        page.choose_label("dog_3")
        assert page.labels_shown() == [*shown, "dog_4"], "the last number makes the next"
        page.choose_label("dog_4")
        assert page.labels_shown() == [*shown, "dog_4", "dog_5"]
        page.choose_label("violin_1")  # typed
        assert page.labels_shown() == [*shown, "violin_1"]
        page.choose_label("person_1")
        assert page.labels_shown() == shown

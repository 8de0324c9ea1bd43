"""An annotator's hand on a real Label Studio page, in a headless Chromium: what tests and measurements drive.

Waits for what the page shows, never for a time alone, but where the page itself settles after an animation.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, FloatRect, Locator, Page, Response, sync_playwright

__all__ = ["LabellingPage", "chromium", "sign_in", "signed_in"]

_READY_MS = 60_000
_SECOND_PX = 16
"""Width of a second on the timeline, in the first size that the page shows."""
_ROW_PX = 24
_LABELS_PX = 150
"""The names of the timeline's rows stand left of it."""


@contextmanager
def chromium() -> Iterator[Browser]:
    """The system's Chromium, headless. Skips the test where there is none."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no Chromium on this machine (apt-get install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-dev-shm-usage"])
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def signed_in(browser: Browser, url: str, *, email: str, password: str) -> Iterator[LabellingPage]:
    """A browser of their own for one person, signed in."""
    context = browser.new_context(viewport={"width": 1500, "height": 1700})
    page = context.new_page()
    page.set_default_timeout(_READY_MS)
    sign_in(page, url, email=email, password=password)
    try:
        yield LabellingPage(page, url)
    finally:
        context.close()


def sign_in(page: Page, url: str, *, email: str, password: str) -> None:
    """Fill in the page that asks who one is, and wait until it has let one in."""
    page.goto(f"{url}/user/login/")
    page.fill("input[name=email]", email)
    page.fill("input[name=password]", password)
    page.click("button[type=submit]")
    page.wait_for_url(lambda address: "/user/login" not in address)


def _is_answer(answer: Response) -> bool:
    """Whether it answers something that was pointed at; the page also asks with nothing."""
    return "interactive-annotating" in answer.url and '"result":[]' not in (answer.request.post_data or "")


def _is_of_a_label(answer: Response) -> bool:
    """Whether it answers something that was pointed at and has a label."""
    return _is_answer(answer) and '"labels":[' in (answer.request.post_data or "")


class LabellingPage:
    """The page of one task."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.clicks = 0
        """What a person would have clicked, drawn or typed so far."""

    def open(self, project_id: int, task_id: int) -> None:
        """Open a task and wait until its still is there."""
        self.page.goto(f"{self.url}/projects/{project_id}/data?task={task_id}")
        self.page.wait_for_selector(".konvajs-content canvas")
        self.page.wait_for_selector(".lsf-timeline-frames__filler")
        self._wait_for_still()

    def choose_label(self, identity: str) -> None:
        """The label that the next region of the still gets."""
        self._choose(self._label(identity).last)

    def choose_sound_label(self, identity: str) -> None:
        """The label that the next span of the timeline gets."""
        self._choose(self._label(identity).first)

    def _choose(self, label: Locator) -> None:
        """Choose a label; one that is chosen would be dropped by a click, and one of a selected region be changed."""
        self.page.keyboard.press("u")
        if "lsf-label_selected" in (label.get_attribute("class") or ""):
            return
        if not label.is_visible():  # beyond the short list: its name is typed, and Enter takes the first that is found
            field = label.locator("xpath=ancestor::*[contains(@class, 'avis-labels')]//input")
            self._click(field)
            field.fill(label.text_content() or "")
            field.press("Enter")
            self.page.evaluate("() => document.activeElement.blur()")
            self.clicks += 1
        else:
            self._click(label)

    def key(self, keys: str) -> None:
        """Press keys, as a person does instead of a click."""
        self.page.keyboard.press(keys.replace("Ctrl", "Control"))
        self.page.wait_for_timeout(100)
        self.clicks += 1

    def play(self, num_seconds: int) -> None:
        """Play the clip from where it stands to its end."""
        self._click(self.page.locator("[aria-label=Play]"))
        told = "n => Number.parseInt(document.querySelector('.lsf-frames-control').innerText) >= n"
        self.page.wait_for_function(told, arg=num_seconds)

    def draw_span(self, identity: str, first: int, last: int) -> None:
        """Mark an object as heard from second `first` to second `last`, both included, on the timeline."""
        self.choose_sound_label(identity)
        before = self.spans(identity)
        self.drag_span(first, last)
        self.page.wait_for_timeout(300)
        drawn = [span for span in self.spans(identity) if span not in before]
        assert drawn == [(first, last)], f"{identity}: the drag over {first} to {last} marked {drawn}"
        self.page.keyboard.press("u")  # nothing is selected, else the next label would rename this span

    def drag_span(self, first: int, last: int) -> None:
        """Draw on the timeline with the label that is chosen, in the row that it has above all others."""
        filler = self.page.locator(".lsf-timeline-frames__filler")
        box = self._place(filler)
        left, below = box["x"] + _LABELS_PX, box["y"] + _ROW_PX / 2
        self.page.mouse.move(left + _SECOND_PX * (first + 0.5), below)
        self.page.mouse.down()
        self.page.mouse.move(left + _SECOND_PX * (last + 0.5), below, steps=6)
        self.page.mouse.up()
        self.page.wait_for_timeout(100)
        self.clicks += 1

    def shot(self, path: Path) -> None:
        """A picture of the whole page."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=path)

    def _label(self, identity: str) -> Locator:
        whole = re.compile(rf"^{re.escape(identity)}$")  # person_1, not person_12
        return self.page.locator(".lsf-label", has=self.page.locator(".lsf-label__text", has_text=whole))

    def let_the_machine_help(self) -> None:
        """Auto-annotation on, and its answers accepted as they come; labels stay chosen after a region is made."""
        self._switch_on("bottombar-auto-annotation-toggle")
        self._switch_on("bottombar-auto-accept-toggle")
        self.page.evaluate("() => document.activeElement.blur()")  # a switch keeps the keys that turn pages

    def smart_point(self, identity: str, x: float, y: float, *, keys: Sequence[str] = ()) -> None:
        """Click on the still with the smart point; x and y are pixels of the still. Waits for the answer.

        `keys` are held: Control on a mask, which a click alone would select; Alt for a point beside the object.
        """
        self.choose_label(identity)
        self.choose_smart_tool("key-point-tool")
        with self.answered():
            for key in keys:
                self.page.keyboard.down(key)
            self.click_on_still(x, y)
            for key in keys:
                self.page.keyboard.up(key)

    def click_on_still(self, x: float, y: float) -> None:
        """A click with the tool that is chosen."""
        self.page.mouse.click(*self._on_page(x, y))
        self.page.wait_for_timeout(300)
        self.clicks += 1

    def click_sound_label(self, identity: str) -> None:
        """A click on a label of the timeline: a span that is selected takes it."""
        self._click(self._label(identity).first)

    def margin_cut_off(self) -> float:
        """Which part of the still's width or height lies outside of what the page shows of it."""
        still = self._place(self.page.locator("img[src^='blob:'], img[src*='local-files']").last)
        canvas = self._place(self.page.locator(".konvajs-content").last)
        sides = (still["width"] / canvas["width"], still["height"] / canvas["height"])
        return max(sides) - 1

    def num_selected(self) -> int:
        """How many regions are selected."""
        return int(self.page.evaluate("() => window.Htx.annotationStore.selected.selectedRegions.length"))

    def smart_box(self, identity: str, box: tuple[float, float, float, float]) -> None:
        """Draw a smart box, (x, y, width, height) in pixels of the still. Waits for the answer."""
        self.choose_label(identity)
        self.choose_smart_tool("rectangle-tool")
        with self.answered():
            self.drag_box(box)

    def drag_box(self, box: tuple[float, float, float, float]) -> None:
        """Draw a box, (x, y, width, height) in pixels of the still, with the tool that is chosen."""
        x, y, width, height = box
        start, end = self._on_page(x, y), self._on_page(x + width, y + height)
        self.page.mouse.move(*start)
        self.page.mouse.down()
        self.page.mouse.move(*end, steps=6)
        self.page.mouse.up()
        self.clicks += 1

    def wait_until_filled(self) -> None:
        """Until the page has all stills of the boxes that were drawn."""
        self.page.wait_for_function("() => !window.avisFilling?.size")

    def filling(self) -> str:
        """What the page says of the boxes that are being filled."""
        return self.page.locator("#avis-filling").inner_text()

    def select_region(self, identity: str) -> None:
        """Select an object's mask, by its line in the list beside the still."""
        self._click(self.page.locator(".lsf-outliner-item__title", has_text=identity).last)

    def rename_selected(self, identity: str) -> None:
        """Give the selected mask another label."""
        self._click(self._label(identity).last)

    def stroke(self, *points: tuple[float, float]) -> None:
        """Draw with the tool that is chosen along pixels of the still."""
        places = [self._on_page(*point) for point in points]
        self.page.mouse.move(*places[0])
        self.page.mouse.down()
        for place in places[1:]:
            self.page.mouse.move(*place, steps=8)
        self.page.mouse.up()
        self.page.wait_for_timeout(300)
        self.clicks += 1

    def choose_tool(self, name: str) -> None:
        """`brush-tool`, `eraser`, ..."""
        self._click(self.page.locator(f".lsf-tool[aria-label={name}]").last)

    def choose_verdict(self, verdict: str) -> None:
        """One of the choices below the still."""
        self._click(self.page.locator(".lsf-choice__item, .ant-checkbox-wrapper, label", has_text=verdict).first)

    def write_note(self, note: str) -> None:
        """A note to the next person."""
        self.page.fill("textarea", note)
        self.page.keyboard.press("Shift+Enter")
        self.clicks += 1

    def submit(self) -> None:
        """Press Submit (or Update) and wait until the server has it."""
        with self.page.expect_response(
            lambda answer: "/annotations" in answer.url and answer.request.method in ("POST", "PATCH")
        ) as saved:
            self._click(
                self.page.locator("[data-testid=bottombar-submit-button], [data-testid=bottombar-update-button]")
            )
        assert saved.value.ok, saved.value.text()

    def submit_expecting(self, message: str) -> None:
        """Press Submit where the page refuses it, and close its message."""
        self._click(self.page.locator("[data-testid=bottombar-submit-button]"))
        told = self.page.get_by_text(message).first
        told.wait_for()
        self.page.get_by_role("button", name="OK").first.click()
        told.wait_for(state="hidden")  # while the message fades it still catches clicks

    def turn_to(self, second: int) -> None:
        """The page of a second, by the keys that people use."""
        number = self.page.locator(".lsf-pagination__page-indicator")
        while (shown := int(number.inner_text().split()[0])) != second + 1:
            self.page.keyboard.press("Control+ArrowRight" if shown < second + 1 else "Control+ArrowLeft")
            self.clicks += 1
            self.page.wait_for_timeout(600)
        self._wait_for_still()

    def regions(self) -> list[dict[str, Any]]:
        """What the page would send now."""
        found: list[dict[str, Any]] = self.page.evaluate(
            "() => window.Htx.annotationStore.selected.serializeAnnotation()"
        )
        return found

    def spans(self, identity: str) -> list[tuple[int, int]]:
        """First and last second of each span of an object."""
        found = [region["value"] for region in self.regions() if region["type"] == "timelinelabels"]
        ranges = [place for value in found if value["timelinelabels"] == [identity] for place in value["ranges"]]
        return sorted((place["start"] - 1, place["end"] - 1) for place in ranges)

    def remove_spans(self, identity: str | None = None) -> None:
        """Delete all spans of the timeline, or those of one object, one by one."""
        while left := self._span_labels(identity):
            self._click(self.page.locator(".lsf-keypoints__label", has_text=left[0]).first)
            self.key("Backspace")
            self.page.keyboard.press("u")  # the label of a span stays chosen, and has a row of its own while it is
            assert len(self._span_labels(identity)) < len(left), left

    def _span_labels(self, identity: str | None) -> list[str]:
        spans = [region["value"] for region in self.regions() if region["type"] == "timelinelabels"]
        found = [value["timelinelabels"][0] for value in spans]
        return [label for label in found if identity in (None, label)]

    def text(self) -> str:
        """All words on the page."""
        return self.page.inner_text("body")

    def labels(self) -> list[str]:
        """The labels of objects, in their order."""
        names = [label["value"] for label in self._task_data()["labels"]]
        return [str(name) for name in names]

    def labels_shown(self) -> list[str]:
        """The labels of objects that can be seen now."""
        row = self.page.locator(".lsf-labels").last.locator(".lsf-label:visible .lsf-label__text")
        return row.all_inner_texts()

    def place(self, selector: str) -> FloatRect:
        """Where something on the page is, in the window as it is scrolled now."""
        found = self.page.locator(selector).first.bounding_box()
        assert found is not None, selector
        return found

    def still_size(self) -> tuple[int, int]:
        """Width and height of the still that is shown."""
        data = self._task_data()
        return int(data["width"]), int(data["height"])

    def get(self, path: str) -> tuple[int, bytes]:
        """What the signed-in person gets at a path of the server."""
        answer = self.page.request.get(self.url + path)
        return answer.status, answer.body()

    def _task_data(self) -> dict[str, Any]:
        data: dict[str, Any] = self.page.evaluate("() => window.Htx.task.dataObj")
        return data

    @contextmanager
    def refused(self, why: str) -> Iterator[None]:
        """Until the page has said why there is no mask for what is done within."""
        with self.page.expect_response(_is_answer):
            yield
        told = self.page.locator("#avis-no-mask")
        told.wait_for()
        assert why in told.inner_text()
        self.page.wait_for_timeout(500)

    @contextmanager
    def answered(self) -> Iterator[None]:
        """Until the segmenter has answered what is done within, and the page has taken it in."""
        with self.page.expect_response(_is_of_a_label) as answered:
            yield
        assert not answered.value.json().get("errors"), answered.value.text()
        self.page.wait_for_timeout(500)

    def choose_smart_tool(self, name: str) -> None:
        """The smart tools lie under one button, which shows the last one used."""
        self.page.locator(".lsf-tool_smart:not([aria-label])").first.hover()
        self._click(self.page.locator(f".lsf-tool_smart[aria-label={name}]").last)

    def _switch_on(self, name: str) -> None:
        switch = self.page.locator(f"[data-testid={name}]")
        switch.wait_for(state="attached")
        if not switch.is_checked():
            self._click(switch.locator("xpath=ancestor::label"))

    def _on_page(self, x: float, y: float) -> tuple[float, float]:
        """Where a pixel of the still is in the window."""
        still = self._place(self.page.locator("img[src^='blob:'], img[src*='local-files']").last)
        canvas = self._place(self.page.locator(".konvajs-content").last)  # the page cuts off the margins of a still
        width, height = self.still_size()
        left, top = still["x"] + x * still["width"] / width, still["y"] + y * still["height"] / height
        right, bottom = canvas["x"] + canvas["width"] - 1, canvas["y"] + canvas["height"] - 1
        return min(max(left, canvas["x"] + 1), right), min(max(top, canvas["y"] + 1), bottom)

    def _place(self, element: Locator) -> FloatRect:
        """Where it is, once it stays there: the page moves things while a still loads or a tool opens."""
        element.scroll_into_view_if_needed()
        before = None
        while (now := element.bounding_box()) is None or now != before:
            before = now
            self.page.wait_for_timeout(100)
        return now

    def _wait_for_still(self) -> None:
        self.page.wait_for_function(
            "() => [...document.querySelectorAll('img')].some(i => i.src && i.complete && i.naturalWidth)"
        )

    def _click(self, target: Locator) -> None:
        target.scroll_into_view_if_needed()
        target.click()
        self.clicks += 1

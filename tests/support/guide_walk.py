"""Who walks through the annotators' guide (`guide.py`), and what was done so far; `guide_*.py` are the steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import numpy as np
from playwright.sync_api import Browser, Locator, Page, ViewportSize

from avis_data.formats.ytvis import read_ytvis
from avis_data.masks.rle import area, decode
from support.guide import Line
from support.labelling_page import LabellingPage, sign_in, signed_in
from support.shell import avis_data
from support.studio import ANN, PASSWORD, Studio, drawn_masks

__all__ = ["OTHER", "SCREEN", "STEPS", "Walk", "step"]

OTHER = "dog_2"
SCREEN = ViewportSize(width=1366, height=768)


@dataclass
class Walk:
    """Who walks, and what was done so far."""

    browser: Browser
    studio: Studio
    open_pages: ExitStack
    page: LabellingPage
    """Of the annotator."""
    masks: dict[tuple[str, int], np.ndarray] = field(default_factory=dict)
    """As they were when the draft was sent in."""
    reviewer: LabellingPage | None = None
    strange: tuple[int, int] = (0, 0)
    """Project and task of the page on which strange things happen."""

    @classmethod
    @contextmanager
    def begin(cls, browser: Browser, studio: Studio) -> Iterator[Walk]:
        """The draft is pushed, and the annotator signs in."""
        studio.run("annotate", "push", "--round", "draft", "--annotators", ANN)
        with ExitStack() as stack:
            page = stack.enter_context(signed_in(browser, studio.server.url, email=ANN, password=PASSWORD))
            page.page.set_viewport_size(SCREEN)
            yield cls(browser, studio, stack, page)

    @property
    def me(self) -> str:
        """The object that is labelled."""
        return self.studio.identity

    def open(self, clip_id: str, round_name: str = "draft") -> None:
        self.page.open(*self.studio.task(round_name, ANN, clip_id))

    def open_strange(self) -> None:
        """That page, loaded anew."""
        self.page.open(*self.strange)
        self.page.page.wait_for_function("() => window.Htx.annotationStore.selected.serializeAnnotation().length > 0")

    def sign_in(self, page: Page) -> None:
        sign_in(page, self.studio.server.url, email=ANN, password=PASSWORD)

    def drawn(self) -> dict[tuple[str, int], np.ndarray]:
        return drawn_masks(self.page)

    def stills(self, identity: str) -> set[int]:
        """Those on which an object has a mask, once the boxes are filled."""
        self.page.wait_until_filled()
        return {frame for name, frame in self.drawn() if name == identity}

    def verdict(self) -> list[str]:
        found = [region["value"]["choices"] for region in self.page.regions() if region["from_name"] == "verdict"]
        return found[0] if found else []

    def selected(self) -> list[str]:
        """Labels that are chosen, of the row of sounds and of the row of objects."""
        return self.page.page.locator(".lsf-label_selected .lsf-label__text").all_inner_texts()

    def press(self, keys: str) -> None:
        self.page.page.keyboard.press(keys)
        self.page.page.wait_for_timeout(300)

    def toggle(self, name: str) -> Locator:
        """A switch below the page."""
        return self.page.page.locator(".lsf-bottombar label", has_text=name)

    def is_on(self, name: str) -> bool:
        return self.toggle(name).locator("input").is_checked()

    def wait_for_page(self, number: int) -> None:
        """Until a still is shown, and the keys work again."""
        shown = "n => document.querySelector('.lsf-pagination__page-indicator').innerText.split(' ')[0] === String(n)"
        self.page.page.wait_for_function(shown, arg=number)
        self.page.page.wait_for_timeout(600)

    def turn(self, line: Line) -> None:
        """To the next still and back, by the keys that a line names."""
        for key, page in zip(line.keys, (2, 1), strict=True):
            self.press(key)
            self.wait_for_page(page)

    def check_the_export(self) -> None:
        """What was accepted is in the export, pixel by pixel, and nothing else."""
        studio = self.studio
        status = studio.run("review", "status")
        states = {clip["clip_id"]: clip["state"] for clip in status["clips"]}
        assert states[studio.synthetic] == "accepted" and states[studio.real] != "accepted"
        studio.run("export", "--split", "1/0", "--seed", 1, "--masks", "rle")
        export = studio.workspace.exports / "ytvis"
        assert avis_data("validate", export).code == 0
        (track,) = read_ytvis(export / "train.json").tracks
        assert [mask is not None and area(mask) > 0 for mask in track.masks] == [True, False, False, False]
        assert track.masks[0] is not None
        np.testing.assert_array_equal(decode(track.masks[0]).astype(bool), self.masks[self.me, 0])


Step = Callable[[Walk, Line], None]
STEPS: dict[str, Step] = {}


def step(beginning: str) -> Callable[[Step], Step]:
    """Note what the line that begins so is at the page."""

    def note(step: Step) -> Step:
        assert beginning not in STEPS, beginning
        STEPS[beginning] = step
        return step

    return note

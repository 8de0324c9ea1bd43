"""The annotators' guide, walked from top to bottom: each of its lines is one step at the real page.

The lines come from the guide itself (`support/guide.py`), with the keys and words that they name; a line without a step
fails, and a step without its line. On the way the clip goes from a draft over review and fix into an export.
"""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser

import support.guide_labelling
import support.guide_steps  # noqa: F401  (the steps, in the order of the two modules)
from support.guide import guide_lines
from support.guide_walk import STEPS, Walk
from support.studio import Studio

LINES = guide_lines()


def _step_of(text: str) -> list[str]:
    return [beginning for beginning in STEPS if text.startswith(beginning)]


def test_every_line_of_the_guide_has_one_step() -> None:
    assert [line.text for line in LINES if len(_step_of(line.text)) != 1] == []
    assert [_step_of(line.text)[0] for line in LINES] == list(STEPS), "the steps are in the order of the lines"


@pytest.mark.browser
@pytest.mark.slow
def test_the_guide_from_top_to_bottom(browser: Browser, studio: Studio) -> None:
    with Walk.begin(browser, studio) as walk:
        for line in LINES:
            try:
                STEPS[_step_of(line.text)[0]](walk, line)
            except BaseException as error:
                walk.page.shot(studio.pictures / "guide-failed.png")
                error.add_note(f"docs/annotator-guide.md, {line.section}: {line.text}")
                raise
        walk.check_the_export()

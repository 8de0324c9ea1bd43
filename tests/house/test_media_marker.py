"""The marker `media` finds the tests that a machine without ffmpeg or a browser may see differently."""

from __future__ import annotations

import pytest

from support.media_tests import touches_media
from support.places import TESTS


@pytest.mark.parametrize(
    ("module", "touches"),
    [
        ("media/test_real_clips.py", True),
        ("pipelines/download/test_fetch_stage.py", True),
        ("pipelines/download/test_fetch_resume.py", True),
        ("browser/test_pages_open.py", True),
        ("metrics/test_bootstrap.py", False),
        ("masks/test_rle.py", False),
    ],
)
def test_it_is_set_by_what_a_module_imports(module: str, touches: bool) -> None:
    assert (TESTS / module).is_file()
    assert touches_media(TESTS / module) is touches

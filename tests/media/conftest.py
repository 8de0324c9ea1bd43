"""Fixtures of the media tests."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from avis_data.media.ffmpeg import FFMPEG_VARIABLE
from support.extracting import PROGRAMS, Extract, run_extract


@pytest.fixture(params=sorted(PROGRAMS))
def ffmpeg_program(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each ffmpeg of this machine in turn: the system's, where there is one, and the wheel's."""
    program = PROGRAMS[request.param]
    monkeypatch.setenv(FFMPEG_VARIABLE, program)
    return program


@pytest.fixture
def extract(tmp_path: Path) -> Extract:
    """`extract(source, start_s, end_s, **parameters)` runs the stage."""
    return partial(run_extract, tmp_path)

"""Whatever is broken in the files of a labelling tool, its reader says what and where, and goes on with other clips."""

from __future__ import annotations

from pathlib import Path

import pytest

from avis_data.formats.sets.registry import SETS
from support.damaged_sets import read_damaged
from support.places import NEEDS_SHARED, SHARED

FIXTURES = {
    "cvat_video": "cvat",
    "cvat_images": "cvat",
    "isat": "isat",
    "labelme": "labelme",
    "label_studio": "label-studio",
    "x-anylabeling": "x-anylabeling",
}
"""Fixture to format."""


@NEEDS_SHARED
@pytest.mark.parametrize("fixture", FIXTURES)
def test_damaged_files_are_told_and_never_crash(fixture: str, tmp_path: Path) -> None:
    read_damaged(SETS[FIXTURES[fixture]], SHARED / "format_fixtures" / fixture, tmp_path, seeds=80)


@NEEDS_SHARED
@pytest.mark.parametrize("fixture", FIXTURES)
def test_a_set_is_recognised_as_of_its_tool_and_of_no_other(fixture: str) -> None:
    folder = SHARED / "format_fixtures" / fixture
    found = [spec.name for spec in SETS if spec.reader is not None and spec.reader.looks_right(folder)]
    assert found == [FIXTURES[fixture]]

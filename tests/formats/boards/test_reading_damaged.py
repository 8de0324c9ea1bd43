"""Whatever is broken in a set of a benchmark's form, its reader says what and where, and goes on with other clips."""

from __future__ import annotations

from pathlib import Path

import pytest

from avis_data.formats.sets.registry import SETS
from support.damaged_sets import read_damaged
from support.labelled_sets import odd_clips, write_set
from support.places import NEEDS_SHARED, SHARED

FIXTURES = {"coco": "coco", "mots_png": "mots", "mots_txt": "mots", "davis": "davis", "sa-v": "sa-v"}
"""Fixture to format."""
WRITTEN = ("coco", "mots", "davis", "sa-v")


@NEEDS_SHARED
@pytest.mark.parametrize("fixture", FIXTURES)
def test_a_damaged_fixture_is_told_and_never_crashes(fixture: str, tmp_path: Path) -> None:
    read_damaged(SETS[FIXTURES[fixture]], SHARED / "format_fixtures" / fixture, tmp_path, seeds=60)


@pytest.mark.parametrize("name", WRITTEN)
def test_a_damaged_set_of_ours_is_told_and_never_crashes(name: str, tmp_path: Path) -> None:
    clips = [clip for clip in odd_clips(5, 3) if SETS[name].fits(clip) is None]
    write_set(SETS[name], tmp_path / "whole", clips)
    read_damaged(SETS[name], tmp_path / "whole", tmp_path, seeds=60)

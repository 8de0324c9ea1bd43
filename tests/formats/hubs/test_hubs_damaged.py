"""Whatever is broken in a set of a hub's form, its reader says what and where, and goes on with other clips."""

from __future__ import annotations

from pathlib import Path

import pytest

from avis_data.formats.sets.registry import SETS
from support.damaged_sets import read_damaged
from support.labelled_sets import odd_clips, with_embeddings, write_set
from support.places import NEEDS_SHARED, SHARED

NAMES = ("hf", "webdataset", "croissant", "fiftyone")


@NEEDS_SHARED
@pytest.mark.parametrize("name", NAMES)
def test_a_damaged_fixture_is_told_and_never_crashes(name: str, tmp_path: Path) -> None:
    read_damaged(SETS[name], SHARED / "format_fixtures" / name, tmp_path, seeds=60)


@pytest.mark.parametrize("name", NAMES)
def test_a_damaged_set_of_ours_is_told_and_never_crashes(name: str, tmp_path: Path) -> None:
    write_set(SETS[name], tmp_path / "whole", with_embeddings(odd_clips(5, 3)))
    read_damaged(SETS[name], tmp_path / "whole", tmp_path, seeds=60)

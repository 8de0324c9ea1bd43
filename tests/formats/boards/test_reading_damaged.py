"""Whatever is broken in a set of a benchmark's form, its reader says what and where, and goes on with other clips."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from avis_data.errors import DataError
from avis_data.formats.sets.clips import LabelledClip, UnreadClip
from avis_data.formats.sets.registry import SETS
from avis_data.formats.sets.spec import SetSpec
from avis_data.masks.rle import decode
from support.damaged_sets import damage
from support.labelled_sets import odd_clips, write_set
from support.places import NEEDS_SHARED, SHARED

FIXTURES = {"coco": "coco", "mots_png": "mots", "mots_txt": "mots"}
"""Fixture to format."""
WRITTEN = ("coco", "mots")


@NEEDS_SHARED
@pytest.mark.parametrize("fixture", FIXTURES)
def test_a_damaged_fixture_is_told_and_never_crashes(fixture: str, tmp_path: Path) -> None:
    spec = SETS[FIXTURES[fixture]]
    for seed in range(60):
        folder = tmp_path / str(seed)
        shutil.copytree(SHARED / "format_fixtures" / fixture, folder, ignore=shutil.ignore_patterns("expected.json"))
        read_all(spec, folder, damage(folder, seed))


@pytest.mark.parametrize("name", WRITTEN)
def test_a_damaged_set_of_ours_is_told_and_never_crashes(name: str, tmp_path: Path) -> None:
    clips = [clip for clip in odd_clips(5, 3) if SETS[name].fits(clip) is None]
    write_set(SETS[name], tmp_path / "whole", clips)
    for seed in range(60):
        folder = tmp_path / str(seed)
        shutil.copytree(tmp_path / "whole", folder)
        read_all(SETS[name], folder, damage(folder, seed))


def read_all(spec: SetSpec, folder: Path, damaged: str) -> None:
    """Read a set whole, its masks and pictures too; what comes is sound or says what is wrong."""
    assert spec.reader is not None
    names = set()
    try:
        spec.reader.looks_right(folder)
        for clip in spec.reader.read(folder):
            assert clip.name not in names or isinstance(clip, UnreadClip), damaged
            names.add(clip.name)
            if isinstance(clip, UnreadClip):
                assert clip.problems and all(str(problem) for problem in clip.problems), damaged
            else:
                check_clip(clip, damaged)
    except DataError as error:
        assert str(error), damaged
    except Exception as error:
        raise AssertionError(damaged) from error


def check_clip(clip: LabelledClip, damaged: str) -> None:
    for track in clip.tracks:
        assert len(track.masks) == len(track.sounding) == len(clip.stills), damaged
        for mask in track.masks:
            if mask is not None:
                assert decode(mask).shape == (clip.height, clip.width), damaged

"""The script that we write builds the dataset in FiftyOne and its database; FiftyOne's own folder of it is read."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from avis_data.formats.hubs.fiftyone import FIFTYONE
from avis_data.formats.sets.clips import LabelledClip
from avis_data.formats.sets.compare import differences
from support.format_readers import answer_of, same_pixels
from support.labelled_sets import odd_clips, read_set, write_set

pytestmark = [pytest.mark.format_readers]


@pytest.fixture(scope="module")
def clips() -> list[LabelledClip]:
    return sorted((clip for seed in range(3) for clip in odd_clips(seed)), key=lambda clip: clip.name)


@pytest.fixture(scope="module")
def world(clips: list[LabelledClip], tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    """What FiftyOne has, and its own folder."""
    folder = tmp_path_factory.mktemp("fiftyone")
    write_set(FIFTYONE, folder / "set", clips)
    return answer_of("fiftyone_load", folder / "set", folder / "own", home=folder / "home"), folder / "own"


@pytest.mark.cell("fiftyone", "reader")
def test_the_script_builds_the_dataset(clips: list[LabelledClip], world: tuple[dict[str, Any], Path]) -> None:
    answer, _ = world
    assert answer["persistent"] and answer["refused"] and answer["sounding_is_a_field"]
    found = answer["samples"]
    assert len(found) == sum(len(clip.stills) for clip in clips)
    seen = 0
    for clip in clips:
        instances: dict[str, set[str]] = defaultdict(set)
        assert clip.fps is not None and clip.sound is not None
        for place in range(len(clip.stills)):
            sample = found[f"{clip.name}/{place}"]
            assert sample["tags"] == [clip.split] and sample["license"] == clip.license and sample["picture"]
            assert sample["second"] == place / clip.fps and sample["sound"] == len(clip.sound.read())
            there = [track for track in clip.tracks if track.masks[place] is not None]
            for one, track in zip(sample["objects"], there, strict=True):
                assert (one["label"], one["track_id"]) == (track.category, track.track_id)
                assert one["sounding"] == track.sounding[place] and same_pixels(one["mask"], track.masks[place])
                instances[one["track_id"]].add(one["instance"])
                seen += 1
        assert all(len(of_track) == 1 for of_track in instances.values()), "an object is one instance in all stills"
        assert [still for name, still in answer["in_order"] if name == clip.name] == list(range(len(clip.stills)))
    assert seen > 30


@pytest.mark.cell("fiftyone", "in")
def test_fiftyone_s_own_folder_is_read(clips: list[LabelledClip], world: tuple[dict[str, Any], Path]) -> None:
    _, own = world
    for found, clip in zip(read_set(FIFTYONE, own), clips, strict=True):
        seen = [track for track in clip.tracks if track.frames]
        assert [(track.track_id, track.category) for track in found.tracks] == [
            (track.track_id, track.category) for track in seen
        ]
        assert list(differences(found, replace(clip, sound=None), FIFTYONE)) == [], "it holds pictures only"

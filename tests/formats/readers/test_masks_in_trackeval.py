"""MOTS and DAVIS as we write them, read and measured by TrackEval: the same objects, and a set is like itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from avis_data.formats.boards.davis import DAVIS
from avis_data.formats.boards.mots import MOTS
from avis_data.formats.sets.clips import LabelledClip
from avis_data.formats.sets.overlap import painted_tracks
from support.format_readers import answer_of, same_pixels
from support.labelled_sets import facts_of, odd_clips, write_set

pytestmark = pytest.mark.format_readers


@pytest.fixture(scope="module")
def clips() -> list[LabelledClip]:
    found = [replace(clip, split="val") for seed in range(4) for clip in odd_clips(seed)]
    return sorted(found, key=lambda clip: clip.name)


def told_by(form: str, truth: Path, clips: Sequence[LabelledClip], scratch: Path) -> dict[str, Any]:
    listed = scratch / "lengths.txt"
    listed.write_text("".join(f"{clip.name} {len(clip.stills)}\n" for clip in clips))
    found: dict[str, Any] = answer_of("trackeval_masks", form, truth, scratch / "copy", listed, home=scratch / "home")
    assert set(found) == {clip.name for clip in clips}
    return found


@pytest.mark.cell("mots", "reader")
def test_trackeval_reads_the_same_objects_from_mots(clips: list[LabelledClip], tmp_path: Path) -> None:
    """Its reader refuses objects that share a pixel, ids that come twice in a frame, and frames past the end."""
    write_set(MOTS, tmp_path / "set", clips)
    lines = (tmp_path / "set/val/val.seqmap").read_text().splitlines()
    lengths = {parts[0]: int(parts[3]) + 1 for parts in map(str.split, lines)}
    assert lengths == {clip.name: len(clip.stills) for clip in clips}, "what TrackEval takes from a seqmap"
    found = told_by("mots", tmp_path / "set/val/instances_txt", clips, tmp_path)
    numbers = facts_of(clips).categories
    seen = 0
    for clip in clips:
        tracks = painted_tracks(clip, clip.tracks)
        of_class = [numbers[str(track.category)] for track in tracks]
        ids = [n * 1000 + of_class[:place].count(n) + 1 for place, n in enumerate(of_class)]
        for place, objects in enumerate(found[clip.name]["frames"]):
            there = {number: track for number, track in zip(ids, tracks, strict=True) if track.masks[place]}
            assert [object_["id"] for object_ in objects] == sorted(there)
            for object_ in objects:
                assert object_["class"] == object_["id"] // 1000
                assert same_pixels(object_["mask"], there[object_["id"]].masks[place])
                seen += 1
        assert set(found[clip.name]["hota"].values()) <= {1.0}
    assert seen > 40 and sum(len(found[clip.name]["hota"]) for clip in clips) > 5


@pytest.mark.cell("davis", "reader")
def test_trackeval_reads_the_same_objects_from_davis(clips: list[LabelledClip], tmp_path: Path) -> None:
    write_set(DAVIS, tmp_path / "set", clips)
    found = told_by("davis", tmp_path / "set/Annotations/480p", clips, tmp_path)
    seen = 0
    for clip in clips:
        tracks = painted_tracks(clip, clip.tracks)
        for place, objects in enumerate(found[clip.name]["frames"]):
            there = [number for number, track in enumerate(tracks, start=1) if track.masks[place]]
            assert [object_["id"] for object_ in objects] == there
            for object_ in objects:
                assert same_pixels(object_["mask"], tracks[object_["id"] - 1].masks[place])
                seen += 1
        assert set(found[clip.name]["hota"].values()) <= {1.0}
    assert seen > 40 and sum(len(found[clip.name]["hota"]) for clip in clips) > 5

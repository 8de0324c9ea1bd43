"""Cuts are found where ffmpeg joined two videos, and nowhere else."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from avis_data.annotation.propagation.carry import is_cut, look_of
from avis_data.media.ffmpeg import find_ffmpeg, run_ffmpeg
from avis_data.media.pictures import stream_pictures
from avis_data.media.probe import probe

ONE_SCENE = [
    "switchboard_dialogue.mp4",
    "trail_walkers_vfr.mp4",
    "moon_hammer_feather.mp4",
    "statement_two_men.mp4",
    "bee_on_thistle.mp4",
    "bear_behind_fence.webm",
    "modular_synth.mp4",
    "composite_two_speakers.mp4",
    "flower_silent_track.webm",
]


def cuts_in(path: Path, seconds: int, *, fps: int) -> list[float]:
    """Times of cuts, in seconds from the first picture."""
    pictures = stream_pictures(path, probe(path), start_s=0, first=0, last=seconds, fps=fps, frame_at="start")
    looks = [look_of(picture) for picture in pictures]
    return [number / fps for number, (a, b) in enumerate(pairwise(looks), start=1) if is_cut(a, b)]


@pytest.mark.parametrize("name", ONE_SCENE)
def test_no_cut_within_a_scene(media_dir: Path, name: str) -> None:
    path = media_dir / name
    assert cuts_in(path, int(probe(path).duration_s) - 1, fps=6) == []


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("switchboard_dialogue.mp4", "bee_on_thistle.mp4"),
        ("bee_on_thistle.mp4", "modular_synth.mp4"),
        ("modular_synth.mp4", "highway_dashcam.mp4"),
    ],
)
def test_a_cut_is_found_where_it_is(media_dir: Path, tmp_path: Path, first: str, second: str) -> None:
    joined = tmp_path / "joined.mp4"
    same = "scale=320:180,setsar=1,fps=24"
    graph = f"[0:v]trim=duration=2.5,{same},setpts=PTS-STARTPTS[a];[1:v]trim=duration=2,{same}[b];[a][b]concat=n=2"
    inputs = ["-i", str(media_dir / first), "-i", str(media_dir / second)]
    command = [find_ffmpeg().program, *inputs, "-filter_complex", graph, "-c:v", "libx264", "-an", str(joined)]
    run_ffmpeg(command, cwd=tmp_path, timeout_s=60, source=first)
    assert cuts_in(joined, 4, fps=6) == [2.5]


def test_a_cut_that_an_editor_made(media_dir: Path) -> None:
    assert cuts_in(media_dir / "animation_surround51.mp4", 9, fps=6) == [8.5]


def test_a_flash_and_a_step_to_the_side_are_no_cuts() -> None:
    rng = np.random.default_rng(3)
    coarse = rng.integers(0, 160, (9, 16, 3)).astype(np.uint8)
    picture = coarse.repeat(20, axis=0).repeat(20, axis=1)
    assert not is_cut(look_of(picture), look_of(picture + 80))
    assert not is_cut(look_of(picture), look_of(np.roll(picture, 12, axis=1)))
    other = rng.integers(90, 255, (9, 16, 3)).astype(np.uint8).repeat(20, axis=0).repeat(20, axis=1)
    assert is_cut(look_of(picture), look_of(other))

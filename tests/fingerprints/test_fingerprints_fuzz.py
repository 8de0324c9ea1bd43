"""Clips with nothing in them are no copies of each other, whatever their length; damaged tables are told as that."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from avis_data.errors import DataError
from avis_data.fingerprints.links import find_links
from avis_data.fingerprints.making import (
    NUM_BANDS,
    SIDE,
    STEPS_PER_S,
    Fingerprint,
    picture_fingerprint,
    sound_fingerprint,
)
from avis_data.fingerprints.store import read_fingerprints_part, write_fingerprints

RATE = 16_000
SOUNDS = ("none", "zero", "dither", "hiss", "hum", "click and silence")
PICTURES = ("black", "black with noise", "white", "grey frame")


def sound(kind: str, seconds: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """A sound in which nothing is heard that tells one clip from another."""
    number = int(seconds * RATE)
    time_N = np.arange(number) / RATE
    samples_N = {
        "zero": np.zeros(number),
        "dither": rng.integers(-1, 2, number) / 32768,
        "hiss": rng.normal(0, 0.01, number),
        "hum": 0.1 * np.sin(2 * np.pi * 150 * time_N) + 0.05 * np.sin(2 * np.pi * 250 * time_N),
        "click and silence": np.where(np.arange(number) == int(rng.integers(number)), 0.5, 0.0),
    }.get(kind)
    if samples_N is None:
        return np.zeros((0, NUM_BANDS), dtype=np.uint8)
    return sound_fingerprint(samples_N.astype(np.float32))


def stills(folder: Path, kind: str, number: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """JPEG files in which nothing is seen."""
    paths = []
    for place in range(number):
        picture_HW = np.full((60, 80), 235 if kind == "white" else 16, dtype=np.float64)
        if kind == "black with noise":
            picture_HW += rng.normal(0, 3, picture_HW.shape)
        if kind == "grey frame":
            picture_HW[5:-5, 5:-5] = 90 + rng.normal(0, 1, (50, 70))
        path = folder / f"{kind}-{rng.integers(10**9)}-{place}.jpg"
        Image.fromarray(np.clip(picture_HW, 0, 255).astype(np.uint8)).save(path, quality=75)
        paths.append(path)
    return picture_fingerprint(paths)


@pytest.mark.parametrize("seed", range(4))
def test_silent_black_and_short_clips_are_no_copies_of_each_other(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    prints = [
        Fingerprint(
            clip_id=f"{picture}, {heard}, {copy}",
            period_s=1.0,
            stills_THW=stills(tmp_path, picture, max(1, int(seconds)), rng),
            sound_NB=sound(heard, seconds, rng),
        )
        for picture in PICTURES
        for heard in SOUNDS
        for copy, seconds in enumerate((1.0, float(rng.uniform(0.05, 3)), 6.0, 6.0))
    ]
    assert [(link.first, link.second, link.by) for link in find_links(prints)] == []


@pytest.mark.parametrize("seed", range(3))
def test_a_clip_without_sound_or_of_one_second_disturbs_nobody(seed: int) -> None:
    """A copy is found all the same, and what is too short to know is in no group."""
    rng = np.random.default_rng(seed)
    coarse_THW = rng.integers(0, 255, (8, 4, 4)).astype(np.uint8)
    moving_THW = np.stack(
        [np.asarray(Image.fromarray(one).resize((SIDE, SIDE), Image.Resampling.BICUBIC)) for one in coarse_THW]
    )
    heard_NB = np.kron(rng.integers(60, 160, (20, 8)), np.ones((4, NUM_BANDS // 8))).astype(np.uint8)
    nothing_NB = np.zeros((0, NUM_BANDS), dtype=np.uint8)
    parts = {
        "whole": (moving_THW, heard_NB),
        "mute": (moving_THW, nothing_NB),
        "second": (moving_THW[:1], heard_NB[:STEPS_PER_S]),
        "mute second": (rng.integers(0, 255, (1, SIDE, SIDE)).astype(np.uint8), nothing_NB),
    }
    prints = [
        Fingerprint(clip_id=name, period_s=1.0, stills_THW=stills_THW, sound_NB=sound_NB)
        for name, (stills_THW, sound_NB) in parts.items()
    ]
    assert {(link.first, link.second) for link in find_links(prints)} == {("mute", "whole")}


@pytest.mark.parametrize("seed", range(40))
def test_a_damaged_table_is_told_or_holds_what_fits(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    draw = np.random.default_rng(seed)
    prints = [
        Fingerprint(
            clip_id=f"clip-{number}",
            period_s=1.0,
            stills_THW=draw.integers(0, 255, (3, SIDE, SIDE)).astype(np.uint8),
            sound_NB=draw.integers(0, 200, (28, NUM_BANDS)).astype(np.uint8),
        )
        for number in range(4)
    ]
    path = tmp_path / "part-0.parquet"
    write_fingerprints(path, prints)
    data = bytearray(path.read_bytes())
    if seed % 4 == 0:
        data = data[: rng.randrange(len(data))]
    else:
        for _ in range(rng.randint(1, 6)):
            place = rng.randrange(len(data)) if seed % 4 == 1 else rng.randrange(len(data) - 600, len(data))
            data[place] = rng.randrange(256)
    path.write_bytes(data)
    try:
        found = list(read_fingerprints_part(path))
    except DataError as error:
        assert str(path) in str(error)
        return
    for one in found:
        assert one.stills_THW.shape[1:] == (SIDE, SIDE) and one.sound_NB.shape[1:] == (NUM_BANDS,)
        assert 0 < one.period_s < np.inf
    find_links(found)

"""Stills at other rates, from pictures that show their number: each is the one on display at its instant."""

from __future__ import annotations

import math
import wave
from fractions import Fraction
from functools import partial
from pathlib import Path

import pytest

from avis_data.errors import ItemError, Reason
from support.clocked_media import Clock, even_times, onset_error_s, shown_number, write_clocked
from support.extracting import Extract, Extracted, run_extract

B_FRAMES = {"preset": "veryfast", "crf": "12", "bf": "3", "g": "60"}
NTSC = Fraction(30000, 1001)
VARIABLE = [*(Fraction(k, 30) for k in range(60)), *(2 + Fraction(k, 7) for k in range(28))]
CLOCKS = {
    "plain.mp4": Clock(times_s=even_times(30, 6), sound_span_s=(0.0, 6.0)),
    "b_frames.mkv": Clock(
        times_s=even_times(NTSC, 6), options=B_FRAMES, time_base=Fraction(1, 1000), sound_span_s=(0.0, 6.0)
    ),
    "variable.mp4": Clock(times_s=VARIABLE, options=B_FRAMES, last_s=Fraction(1, 7), sound_span_s=(0.0, 6.0)),
    "slow.mp4": Clock(times_s=even_times(4, 6), last_s=Fraction(1, 4), sound_span_s=(0.0, 6.0)),
}
SHARE = {"start": 0.0, "mid": 0.5, "end": 1.0}
MILLISECOND = 0.001


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rates")
    for name, clock in CLOCKS.items():
        write_clocked(folder / name, clock)
    return folder


@pytest.fixture
def extract(tmp_path: Path) -> Extract:
    return partial(run_extract, tmp_path)


def num_samples(got: Extracted) -> int:
    with wave.open(str(got.folder / "audio.wav")) as file:
        return file.getnframes()


@pytest.mark.parametrize("frame_at", ["start", "mid", "end"])
@pytest.mark.parametrize("fps", [6, 2.5, 12])
@pytest.mark.parametrize("name", sorted(CLOCKS))
def test_every_still_is_on_display_at_its_instant(
    name: str, fps: float, frame_at: str, folder: Path, extract: Extract
) -> None:
    got = extract(folder / name, 1.3, 4.9, fps=fps, frame_at=frame_at)
    stills = math.floor(3.6 * fps + 0.5)
    assert (got.facts["fps"], got.facts["num_frames"], got.facts["num_seconds"]) == (fps, stills, 4)
    assert len(got.stills) == len(got.times["stills"]) == stills
    begins = [float(time) for time in CLOCKS[name].times_s]
    ends = [*begins[1:], math.inf]
    for number, still in enumerate(got.times["stills"]):
        shown = shown_number(got.folder / "frames" / f"{number:05d}.jpg")
        assert still["asked_s"] == pytest.approx((number + SHARE[frame_at]) / fps)
        instant = min(1.3 + still["asked_s"], 4.9)
        assert begins[shown] <= instant + MILLISECOND and instant <= ends[shown] + MILLISECOND, (number, shown)
        assert still["source_s"] == pytest.approx(begins[shown], abs=MILLISECOND)


def test_the_sound_is_whole_seconds_that_cover_the_stills(folder: Path, extract: Extract) -> None:
    got = extract(folder / "plain.mp4", 1.0, 4.6, fps=6)
    assert num_samples(got) == 4 * 16000
    assert got.times["padded_samples"] == 6400, "0.4 s of silence after 3.6 s"
    assert got.times["sound"] == "complete"
    for second in (2, 3, 4):
        assert abs(onset_error_s(got.folder / "audio.wav", second=second, at_s=second - 1.0)) <= 0.001


def test_sound_is_short_against_the_picture_not_against_the_whole_seconds(tmp_path: Path, extract: Extract) -> None:
    """At 2.5 a second, a clip of one second has three stills, so two seconds of sound: the second one is no fault."""
    clock = Clock(times_s=even_times(25, 4), sound_span_s=(0.0, 1.0))
    path = write_clocked(tmp_path / "short.mp4", clock)
    got = extract(path, 0.0, 1.0, fps=2.5)
    assert (got.facts["num_frames"], num_samples(got), got.times["sound"]) == (3, 32000, "complete")
    with pytest.raises(ItemError) as error:
        extract(path, 0.0, 3.0, fps=2.5)
    assert error.value.reason is Reason.AUDIO_SHORT


def test_one_still_a_second_is_said_like_any_other_rate(folder: Path, extract: Extract) -> None:
    got = extract(folder / "plain.mp4", 1.0, 4.0)
    for said in (got.facts, got.times):
        assert (said["num_seconds"], said["fps"], said["num_frames"]) == (3, 1.0, 3)

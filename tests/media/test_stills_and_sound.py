"""Stills and samples are where they should be: pictures that show their number, and a click at every second."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest

from avis_data.media.ffmpeg import FFMPEG_VARIABLE
from support.clocked_media import Clock, even_times, onset_error_s, shown_number, write_clocked
from support.extracting import Extract, Extracted

B_FRAMES = {"preset": "veryfast", "crf": "12", "bf": "3", "g": "60"}
NO_B_FRAMES = {"preset": "ultrafast", "crf": "12", "bf": "0", "g": "25"}
LONG_GROUPS = {"preset": "veryfast", "crf": "12", "bf": "2", "g": "125"}
OPEN_GROUPS = {"preset": "medium", "crf": "12", "bf": "3", "g": "40", "x264-params": "open-gop=1:scenecut=0"}
VPX = {"deadline": "realtime", "cpu-used": "8", "crf": "20", "g": "50"}
NTSC = Fraction(30000, 1001)
VARIABLE = [
    *(Fraction(k, 30) for k in range(60)),
    *(2 + Fraction(k, 10) for k in range(20)),
    *(4 + Fraction(k, 30) for k in range(60)),
    *(6 + Fraction(k, 7) for k in range(28)),
]
SLIDES = [Fraction(5, 2) * k for k in range(4)]
EVERY_SLIDE_A_KEY = {"preset": "ultrafast", "crf": "12", "bf": "0", "g": "1"}
SLIDES_FROM_ONE_KEY = {"preset": "ultrafast", "crf": "12", "bf": "0", "g": "100", "x264-params": "scenecut=0"}
PRIMING = Fraction(1024, 44100)
"""AAC in MPEG-TS begins with a block of priming that nothing declares; FFmpeg's muxer shifts everything by it."""

CLOCKS = {
    "plain.mp4": Clock(times_s=even_times(25, 10)),
    "b_frames.mp4": Clock(times_s=even_times(NTSC, 10), options=B_FRAMES),
    "b_frames.mkv": Clock(times_s=even_times(NTSC, 10), options=B_FRAMES, time_base=Fraction(1, 1000)),
    "open_groups.mp4": Clock(times_s=even_times(25, 10), options=OPEN_GROUPS),
    "open_groups.ts": Clock(times_s=even_times(25, 10), options=OPEN_GROUPS, shift_s=Fraction(14, 10)),
    "variable.mp4": Clock(times_s=VARIABLE, options=B_FRAMES, last_s=Fraction(1, 7)),
    "slides.mp4": Clock(times_s=SLIDES, last_s=Fraction(5, 2), options=EVERY_SLIDE_A_KEY),
    "slides_one_key.mkv": Clock(times_s=SLIDES, last_s=Fraction(5, 2), options=SLIDES_FROM_ONE_KEY),
    "one_hertz.ts": Clock(times_s=even_times(1, 10), last_s=Fraction(1), shift_s=PRIMING),
    "starts_at_zero.ts": Clock(times_s=even_times(25, 10), options=NO_B_FRAMES, shift_s=PRIMING),
    "late_start.ts": Clock(times_s=even_times(25, 10), options=LONG_GROUPS, shift_s=Fraction(14, 10)),
    "late_picture.mp4": Clock(times_s=[Fraction(3, 2) + time for time in even_times(25, 8.5)]),
    "late_sound.mp4": Clock(times_s=even_times(25, 10), sound_span_s=(0.64, 10.0)),
    "late_sound.mkv": Clock(times_s=even_times(25, 10), sound_span_s=(0.64, 10.0)),
    "long_sound.mp4": Clock(times_s=even_times(25, 10), sound_span_s=(0.0, 12.0)),
    "vp9_opus.webm": Clock(
        times_s=even_times(25, 10), codec="libvpx-vp9", options=VPX, sound_codec="libopus", sound_rate_hz=48000
    ),
    "odd_size.webm": Clock(
        times_s=even_times(25, 10),
        codec="libvpx-vp9",
        options=VPX,
        size_wh=(129, 97),
        sound_codec="libopus",
        sound_rate_hz=48000,
    ),
    "quarter_turn.mp4": Clock(times_s=even_times(25, 10), rotation_deg=90),
    "half_turn.mp4": Clock(times_s=even_times(25, 10), rotation_deg=180),
    "three_quarters.mp4": Clock(times_s=even_times(25, 10), rotation_deg=270),
    "ten_bit.mkv": Clock(times_s=even_times(25, 10), pixel_format="yuv420p10le"),
    "full_chroma_odd.mkv": Clock(times_s=even_times(25, 10), pixel_format="yuv444p", size_wh=(131, 99)),
    "surround.mp4": Clock(times_s=even_times(25, 10), sound_layout="5.1", sound_rate_hz=48000),
    "low_rate_sound.mp4": Clock(times_s=even_times(25, 10), sound_rate_hz=8000),
    "motion_jpeg.avi": Clock(
        times_s=even_times(25, 10),
        codec="mjpeg",
        pixel_format="yuvj420p",
        options={"q": "3"},
        time_base=Fraction(1, 25),
        sound_codec="pcm_s16le",
    ),
}
WHOLE = [
    "b_frames.mp4",
    "late_picture.mp4",
    "late_sound.mp4",
    "late_start.ts",
    "long_sound.mp4",
    "one_hertz.ts",
    "slides.mp4",
    "variable.mp4",
    "vp9_opus.webm",
]
OFFSET = {"start": 0.0, "mid": 0.5, "end": 1.0}
MILLISECOND = 0.001
"""Matroska keeps whole milliseconds."""


@pytest.fixture(scope="session")
def clocked(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The file of a clock, written once."""
    folder = tmp_path_factory.mktemp("clocked")

    def written(name: str) -> Path:
        path = folder / name
        return path if path.exists() else write_clocked(path, CLOCKS[name])

    return written


def check_stills(got: Extracted, clock: Clock, *, at: str, end_s: float | None) -> None:
    """The shown picture is on display at the instant asked for, and its time is the one that was written down."""
    origin = got.media.start_s - float(clock.shift_s)  # container start on the clock that the pictures show
    begins = [float(time) for time in clock.times_s]
    ends = [*begins[1:], math.inf]
    limit = math.inf if end_s is None else end_s + origin
    for still in got.times["stills"]:
        shown = shown_number(got.folder / "frames" / f"{still['frame']:05d}.jpg")
        instant = min(got.times["found_start_s"] + still["frame"] + OFFSET[at] + origin, limit)
        assert shown == 0 or begins[shown] <= instant + MILLISECOND, (still, shown)  # 0: nothing was shown yet
        assert instant <= ends[shown] + MILLISECOND, (still, shown)
        assert still["source_s"] + origin == pytest.approx(begins[shown], abs=MILLISECOND)


def check_sound(got: Extracted, clock: Clock) -> None:
    origin = got.media.start_s - float(clock.shift_s)
    begin = got.times["found_start_s"] + origin
    end = begin + min(got.times["found_duration_s"], got.facts["num_seconds"])
    seconds = [
        second
        for second in range(math.ceil(begin), math.ceil(end))
        if clock.sound_span_s[0] <= second and second + 0.1 < min(end, clock.sound_span_s[1])
    ]
    assert len(seconds) >= 3
    for second in seconds:
        error_s = onset_error_s(got.folder / "audio.wav", second=second, at_s=second - begin)
        assert abs(error_s) <= 0.001, f"second {second}: click is {error_s * 1000:.2f} ms off"


@pytest.mark.parametrize("name", sorted(CLOCKS))
def test_a_span_in_the_middle(name: str, clocked: Callable[[str], Path], ffmpeg_program: str, extract: Extract) -> None:
    check(clocked(name), CLOCKS[name], extract, start_s=3.3, end_s=8.1, at="start")


@pytest.mark.parametrize("name", WHOLE)
def test_the_whole_video(name: str, clocked: Callable[[str], Path], ffmpeg_program: str, extract: Extract) -> None:
    check(clocked(name), CLOCKS[name], extract, start_s=0.0, end_s=None, at="mid")


@pytest.mark.parametrize("name", ["b_frames.mkv", "slides_one_key.mkv", "variable.mp4", "late_start.ts"])
def test_stills_that_stand_for_the_end_of_their_second(
    name: str, clocked: Callable[[str], Path], ffmpeg_program: str, extract: Extract
) -> None:
    check(clocked(name), CLOCKS[name], extract, start_s=4.9, end_s=8.4, at="end")


@pytest.mark.parametrize("name", ["slides.mp4", "late_start.ts", "b_frames.mp4", "open_groups.mp4", "vp9_opus.webm"])
def test_one_run_of_ffmpeg_is_enough(
    name: str,
    clocked: Callable[[str], Path],
    ffmpeg_program: str,
    extract: Extract,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    noted, program = tmp_path / "runs.txt", tmp_path / "ffmpeg"
    program.write_text(f'#!/bin/sh\necho "$1" >> "{noted}"\nexec "{ffmpeg_program}" "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv(FFMPEG_VARIABLE, str(program))
    extract(clocked(name), 3.3, 8.1)
    assert noted.read_text().split().count("-nostdin") == 1


def check(path: Path, clock: Clock, extract: Extract, *, start_s: float, end_s: float | None, at: str) -> None:
    got = extract(path, start_s, end_s, frame_at=at)
    until_s = float(clock.times_s[-1] + clock.last_s + clock.shift_s) - got.media.start_s if end_s is None else end_s
    assert got.facts["num_seconds"] == len(got.stills) == math.floor(until_s - start_s + 0.5)
    assert (got.facts["width"], got.facts["height"]) == clock.size_wh
    assert (got.facts["missing_pictures"], got.facts["concealed_pictures"]) == (0, 0)
    check_stills(got, clock, at=at, end_s=end_s)
    check_sound(got, clock)

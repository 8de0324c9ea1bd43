"""Stills and samples are where they should be, through fetch and extract: pictures that show their number, a click
at every second."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from support.clocked_media import Clock, even_times, onset_error_s, shown_number, write_clocked
from support.server import MediaServer
from support.shell import avis_data

pytestmark = pytest.mark.slow

NTSC = Fraction(30000, 1001)
B_FRAMES = {"preset": "veryfast", "crf": "12", "bf": "3", "g": "60"}
CLOCKS = {
    "plain": ("mp4", Clock(times_s=even_times(25, 10))),
    "b_frames": ("mp4", Clock(times_s=even_times(NTSC, 10), options=B_FRAMES)),
    "late_sound": ("mp4", Clock(times_s=even_times(25, 10), sound_span_s=(0.64, 10.0))),
    "variable": (
        "mp4",
        Clock(
            times_s=[*(Fraction(k, 30) for k in range(150)), *(5 + Fraction(k, 10) for k in range(50))],
            last_s=Fraction(1, 10),
        ),
    ),
}
SPANS_S = [(0, 4), (4, 10)]


def test_stills_and_clicks_through_the_command_line(tmp_path: Path) -> None:
    media = tmp_path / "media"
    media.mkdir()
    for name, (suffix, clock) in CLOCKS.items():
        write_clocked(media / f"{name}.{suffix}", clock)
    with MediaServer(media) as server:
        rows = [
            f"{server.url(f'{name}.{suffix}')},{name},{start},{end}"
            for name, (suffix, _) in CLOCKS.items()
            for start, end in SPANS_S
        ]
        (tmp_path / "videos.csv").write_text("\n".join(["url,video_id,start,end", *rows]) + "\n")
        fetched = avis_data("-C", tmp_path / "d", "fetch", "--list", tmp_path / "videos.csv", "--sleep", 0)
    assert fetched.code == 0, fetched.err
    extracted = avis_data("-C", tmp_path / "d", "extract")
    assert extracted.code == 0, extracted.err
    for name, (_, clock) in CLOCKS.items():
        ends = [*clock.times_s[1:], clock.times_s[-1] + clock.last_s]
        for start, end in SPANS_S:
            clip = tmp_path / "d" / "clips" / f"{name}_{start * 1000:06d}_{end * 1000:06d}"
            stills = sorted((clip / "frames").iterdir())
            assert len(stills) == end - start
            for second, still in enumerate(stills):
                number, asked = shown_number(still), start + second + 0.5
                half_s = (ends[number] - clock.times_s[number]) / 2
                middle_s = clock.times_s[number] + half_s
                assert abs(middle_s - Fraction(asked)) <= half_s, f"{clip.name} second {second} shows picture {number}"
            clicks = range(1, end - start)
            errors_s = [onset_error_s(clip / "audio.wav", second=start + t, at_s=float(t)) for t in clicks]
            assert max(map(abs, errors_s)) <= 0.001, f"{clip.name}: {errors_s}"

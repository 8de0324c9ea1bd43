"""Every real clip, against an independent decoder; every broken one ends in its own reason."""

from __future__ import annotations

import csv
import wave
from functools import cache
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from avis_data.errors import ItemError, Reason
from avis_data.media.probe import probe
from support.extracting import Extract

FILES = [
    "animation_surround51.mp4",
    "bear_behind_fence.webm",
    "bee_on_thistle.mp4",
    "bottles_no_audio.mp4",
    "composite_synth_and_speaker.mp4",
    "composite_two_speakers.mp4",
    "flower_silent_track.webm",
    "highway_dashcam.mp4",
    "hilltop_rotated.mp4",
    "modular_synth.mp4",
    "moon_hammer_feather.mp4",
    "statement_two_men.mp4",
    "switchboard_dialogue.mp4",
    "telescope_mirror_multistream.mp4",
    "trail_walkers_vfr.mp4",
]
REAL_LENGTH_S = {"telescope_mirror_multistream.mp4": 13.0}
"""The file says 16.57 s because of its text tracks; pictures and sound end at 13.0 s (media.csv)."""

SOUND = {"bottles_no_audio.mp4": "none", "flower_silent_track.webm": "silent"}


def facts_of(media_dir: Path, name: str) -> dict[str, str]:
    with (media_dir / "media.csv").open(newline="", encoding="utf-8") as file:
        rows = {row["file"]: row for row in csv.DictReader(file)}
    assert sorted(rows) == FILES
    return rows[name]


@cache
def decoded_frames(path: Path) -> list[av.VideoFrame]:
    """Of the first picture stream, in the order in which they are shown."""
    with av.open(str(path)) as container:
        return sorted(container.decode(video=0), key=lambda frame: frame.pts)


def upright(frame: av.VideoFrame) -> np.ndarray:
    """uint8 (H, W): the grey picture."""
    return np.rot90(frame.to_ndarray(format="gray"), round(frame.rotation / 90) % 4)


@cache
def decoded_sound(path: Path) -> np.ndarray:
    """int16 (n,): 16 kHz mono, from the container start."""
    resampler = av.AudioResampler(format="s16", layout="mono", rate=16000)
    with av.open(str(path)) as container:
        frames = list(container.decode(audio=0))
        lead = np.zeros(max(round(frames[0].time * 16000), 0), np.int16)
        blocks = [block.to_ndarray()[0] for frame in [*frames, None] for block in resampler.resample(frame)]
    return np.concatenate([lead, *blocks])


@pytest.mark.parametrize("name", FILES)
def test_probe_says_what_is_true_of_the_clip(media_dir: Path, name: str) -> None:
    facts = facts_of(media_dir, name)
    media = probe(media_dir / name)
    assert media.duration_s == pytest.approx(REAL_LENGTH_S.get(name, float(facts["duration_s"])), abs=0.06)
    stored = (int(facts["width"]), int(facts["height"]))
    assert (media.width, media.height) == (stored[::-1] if name == "hilltop_rotated.mp4" else stored)
    assert media.fps == pytest.approx(float(facts["fps"]), rel=0.02)
    assert (media.sound.channels if media.sound else 0) == int(facts["audio_channels"])
    assert (media.sound.rate_hz if media.sound else None) == (int(facts["audio_rate"]) if facts["audio_rate"] else None)


@pytest.mark.parametrize("name", FILES)
def test_stills_and_sound_equal_an_independent_decode(
    media_dir: Path, name: str, ffmpeg_program: str, extract: Extract
) -> None:
    path = media_dir / name
    got = extract(path, missing_sound="pad")
    frames = decoded_frames(path)
    times = [frame.time for frame in frames]
    assert got.facts["num_seconds"] == len(got.stills) == int(times[-1] + np.median(np.diff(times)) + 0.5)
    for second, still in enumerate(got.stills):
        shown = max((k for k, time in enumerate(times) if time < second + 0.5), default=0)
        assert got.times["stills"][second]["source_s"] == pytest.approx(times[shown], abs=1e-6)
        with Image.open(still) as image:
            grey = np.asarray(image.convert("L"), float)
        expected = upright(frames[shown])
        assert grey.shape == expected.shape
        assert np.abs(grey - expected).mean() < 3
    assert got.facts["sound"] == SOUND.get(name, "complete")
    with wave.open(str(got.folder / "audio.wav")) as file:
        assert file.getparams()[:4] == (1, 2, 16000, got.facts["num_seconds"] * 16000)
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(float)
    if got.facts["sound"] == "complete":
        heard = decoded_sound(path)[: len(samples)].astype(float)
        spectrum = np.fft.rfft(samples, 2 * len(samples)) * np.conj(np.fft.rfft(heard, 2 * len(samples)))
        lag = int(np.argmax(np.fft.irfft(spectrum)))
        assert min(lag, 2 * len(samples) - lag) <= 8, "half a millisecond"
    else:
        assert not samples.any()


@pytest.mark.parametrize(
    ("name", "reason", "words"),
    [
        ("cut_before_moov.mp4", Reason.BAD_MEDIA, "cannot be opened"),
        ("zero_bytes.mp4", Reason.EMPTY_FILE, "0 bytes"),
        ("text_renamed.mp4", Reason.NOT_MEDIA, "not a video"),
        ("corrupt_middle.mp4", Reason.CORRUPT_MEDIA, "23 of 105 pictures"),
        ("audio_stops_at_4s.mp4", Reason.AUDIO_SHORT, "4.00 s of 10 s"),
        ("duration_says_600s.mp4", Reason.DURATION_MISMATCH, "600.00 s"),
    ],
)
def test_each_broken_file_ends_in_its_own_reason(
    media_dir: Path, name: str, reason: Reason, words: str, ffmpeg_program: str, extract: Extract
) -> None:
    with pytest.raises(ItemError) as caught:
        extract(media_dir / "broken" / name)
    assert caught.value.reason is reason
    assert words in caught.value.message


def test_a_lying_header_does_not_matter_where_the_span_is_given(
    media_dir: Path, ffmpeg_program: str, extract: Extract
) -> None:
    lying = extract(media_dir / "broken" / "duration_says_600s.mp4", 1.0, 7.0)
    honest = extract(media_dir / "statement_two_men.mp4", 1.0, 7.0)
    assert lying.facts["num_seconds"] == 6
    for one, other in zip(lying.stills, honest.stills, strict=True):
        with Image.open(one) as a, Image.open(other) as b:
            assert np.abs(np.asarray(a, float) - np.asarray(b, float)).mean() < 3


def test_damaged_and_short_files_are_taken_where_the_recipe_says_so(
    media_dir: Path, ffmpeg_program: str, extract: Extract
) -> None:
    damaged = extract(media_dir / "broken" / "corrupt_middle.mp4", corrupt_media="keep")
    assert (damaged.facts["num_seconds"], damaged.facts["missing_pictures"]) == (9, 23)
    short = extract(media_dir / "broken" / "audio_stops_at_4s.mp4", missing_sound="pad")
    assert (short.facts["sound"], short.facts["num_seconds"]) == ("short", 10)
    assert short.times["sound_end_s"] == pytest.approx(4.0, abs=0.001)
    assert short.facts["padded_samples"] == 160_000 - round(short.times["sound_end_s"] * 16000)

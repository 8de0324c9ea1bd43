"""Two channels of sound are kept where they differ, on the clock of the clip, and the mono sound stays what it was."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from avis_data.media.stereo import channel_difference_db, read_stereo
from support.extracting import run_extract
from support.media_files import ffmpeg

RATE = 16_000


def tone(hz: float, seconds: int) -> NDArray[np.float64]:
    return 0.4 * np.sin(2 * np.pi * hz * np.arange(seconds * 48_000) / 48_000)


def film(folder: Path, sound_NC: NDArray[np.float64], name: str = "film.mkv") -> Path:
    """Pictures of one colour with this sound at 48 kHz, not compressed."""
    soundfile.write(folder / "sound.wav", sound_NC, 48_000, subtype="PCM_16")
    seconds = len(sound_NC) // 48_000
    colour = ["-f", "lavfi", "-i", f"color=gray:s=64x48:r=10:d={seconds}"]
    ffmpeg(folder, *colour, "-i", "sound.wav", "-c:v", "mjpeg", "-c:a", "pcm_s16le", name)
    return folder / name


def left_then_right() -> NDArray[np.float64]:
    """440 Hz on the left in seconds 0 and 1, 1000 Hz on the right in seconds 2 and 3."""
    sound_N2 = np.zeros((4 * 48_000, 2))
    sound_N2[: 2 * 48_000, 0] = tone(440, 2)
    sound_N2[2 * 48_000 :, 1] = tone(1000, 2)
    return sound_N2


def rms(samples: NDArray[np.int16]) -> float:
    return float(np.sqrt(np.mean(np.square(samples.astype(np.float64)))))


@pytest.mark.usefixtures("ffmpeg_program")
def test_what_is_left_stays_left_and_what_is_right_stays_right(tmp_path: Path) -> None:
    found = run_extract(tmp_path, film(tmp_path, left_then_right()), start_s=1.0)
    samples_N2 = read_stereo(found.folder / "audio_stereo.wav", num_seconds=3)
    assert samples_N2.shape == (3 * RATE, 2)
    guard = RATE // 20  # the filter of a change of rate rings on
    left_s, right_s = samples_N2[: RATE - guard], samples_N2[RATE + guard :]
    assert rms(left_s[:, 0]) == pytest.approx(0.4 * 32768 / np.sqrt(2), rel=0.01) and rms(left_s[:, 1]) < 2
    assert rms(right_s[:, 1]) == pytest.approx(0.4 * 32768 / np.sqrt(2), rel=0.01) and rms(right_s[:, 0]) < 2
    assert found.facts["stereo_db"] == pytest.approx(0.0, abs=0.1)


@pytest.mark.usefixtures("ffmpeg_program")
def test_the_mono_sound_and_the_stills_are_the_same_with_and_without(tmp_path: Path) -> None:
    source = film(tmp_path, left_then_right())
    kept, not_kept = run_extract(tmp_path, source), run_extract(tmp_path, source, stereo=False)
    assert not_kept.facts["stereo_db"] is None
    assert (kept.folder / "audio.wav").read_bytes() == (not_kept.folder / "audio.wav").read_bytes()
    assert [still.read_bytes() for still in kept.stills] == [still.read_bytes() for still in not_kept.stills]
    assert kept.times == not_kept.times


@pytest.mark.usefixtures("ffmpeg_program")
def test_the_mean_of_the_channels_is_the_mono_sound_to_the_bit(tmp_path: Path) -> None:
    """Who takes the mean of the two channels that a set has hears what VGGish heard."""
    rng = np.random.default_rng(0)
    found = run_extract(tmp_path, film(tmp_path, rng.uniform(-0.3, 0.3, (2 * 48_000, 2))))
    samples_N2 = read_stereo(found.folder / "audio_stereo.wav", num_seconds=2).astype(int)
    mono_N, _ = soundfile.read(found.folder / "audio.wav", dtype="int16")
    np.testing.assert_array_equal(samples_N2.sum(axis=1), 2 * mono_N.astype(int))
    assert -1 < found.facts["stereo_db"] < 1  # two noises that have nothing in common


def test_channels_that_say_the_same_are_not_kept(tmp_path: Path) -> None:
    same = np.repeat(tone(440, 2)[:, None], 2, axis=1)
    assert run_extract(tmp_path, film(tmp_path, same)).facts["stereo_db"] is None
    nearly = same + np.random.default_rng(0).normal(scale=0.5 / 32768, size=same.shape)
    assert run_extract(tmp_path, film(tmp_path, nearly, "nearly.mkv")).facts["stereo_db"] is None
    assert run_extract(tmp_path, film(tmp_path, same[:, :1], "mono.mkv")).facts["stereo_db"] is None


def test_surround_sound_is_mixed_to_two_channels(tmp_path: Path) -> None:
    sound_N6 = np.zeros((2 * 48_000, 6))
    sound_N6[:, 4] = tone(440, 2)  # the fifth of 5.1: back or side left
    found = run_extract(tmp_path, film(tmp_path, sound_N6))
    samples_N2 = read_stereo(found.folder / "audio_stereo.wav", num_seconds=2)
    assert rms(samples_N2[:, 0]) > 1000 and rms(samples_N2[:, 1]) < 2


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        ([1000, -1000], [1000, -1000], None),
        ([1000, -1000], [0, 0], 0.0),
        ([1000, -1000], [-1000, 1000], 120.0),
        ([1100, -1100], [900, -900], -20.0),  # 20 log10(200 / 2000)
        ([0, 0], [0, 0], None),
    ],
)
def test_the_difference_is_measured_beside_the_sum(left: list[int], right: list[int], expected: float | None) -> None:
    assert channel_difference_db(np.array([left, right], dtype=np.int16).T) == expected

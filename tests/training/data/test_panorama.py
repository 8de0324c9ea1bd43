"""How much is heard from each place from left to right."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from avis_data.features.logmel import spectra
from avis_data.training.data.audio_summary import PANORAMA_PLACES, StereoSummaries, panorama
from avis_data.training.data.frame_times import FrameTimes

RATE = 16_000
TIMES = FrameTimes(fps=1.0, instants_s=(0.5, 1.5))
Sound = NDArray[np.float32]


def tone(frequency_hz: float, place: float, gain: float = 0.3) -> Sound:
    """One second that is heard from a place between 0, left, and 31, right, by equal-power panning; (N, 2)."""
    wave_N = gain * np.sin(2 * np.pi * frequency_hz * np.arange(RATE) / RATE)
    angle = place / (PANORAMA_PLACES - 1) * np.pi / 2
    return np.asarray(wave_N[:, None] * [np.cos(angle), np.sin(angle)], dtype=np.float32)


def of(sound_N2: Sound) -> tuple[Sound, Sound]:
    """Powers in logarithms, and over the largest."""
    found = panorama(spectra(sound_N2[:, 0]), spectra(sound_N2[:, 1]))
    return found[:PANORAMA_PLACES], found[PANORAMA_PLACES:]


@pytest.mark.parametrize("place", [0, 1, 12, 30, 31])
def test_a_tone_is_heard_from_where_it_was_put(place: int) -> None:
    powers, shares = of(tone(1000.0, place))
    assert int(powers.argmax()) == place
    np.testing.assert_allclose(shares, np.eye(PANORAMA_PLACES)[place], atol=1e-4)


def test_between_two_places_it_is_heard_from_both_in_that_proportion() -> None:
    _, shares = of(tone(1000.0, 20.25))
    np.testing.assert_allclose(shares[19:23], [0, 1, 1 / 3, 0], atol=1e-3)


def test_two_things_at_once_are_heard_from_two_places() -> None:
    _, shares = of(tone(600.0, 4) + tone(2500.0, 25, gain=0.3 / np.sqrt(2)))
    np.testing.assert_allclose(shares[[4, 25]], [1, 0.5], atol=0.02)
    assert shares[6:24].max() < 0.02


def test_ten_times_the_power_adds_its_logarithm() -> None:
    quiet, loud = of(tone(1000.0, 12, gain=0.03))[0], of(tone(1000.0, 12, gain=0.03 * np.sqrt(10)))[0]
    assert float(loud[12] - quiet[12]) == pytest.approx(0.125 * np.log(10), rel=1e-3)


def test_what_no_band_has_is_left_out() -> None:
    """A hum and a constant, which real recordings have, say nothing of where something is heard."""
    hum = tone(40.0, 2, gain=0.3) + np.float32([0.05, 0.0])
    _, shares = of(tone(1000.0, 25, gain=0.02) + hum)
    assert int(shares.argmax()) == 25 and shares[:20].max() < 0.1


def test_channels_that_are_nearly_equal_say_nothing(tmp_path: Path) -> None:
    """Some recorders write one channel twice with different rounding; that is no place in the middle."""
    generator = np.random.default_rng(0)
    sound_N1 = np.concatenate([tone(1000.0, 15.5), tone(1000.0, 15.5)])[:, :1]
    dither_N2 = generator.integers(-1, 2, (len(sound_N1), 2)) / 2**15
    soundfile.write(tmp_path / "a.wav", sound_N1 + dither_N2, RATE, subtype="PCM_16")
    reader = StereoSummaries(parts=4, has_panorama=True)
    rows = reader.read(tmp_path / "a.wav", [0, 1], TIMES)
    assert not rows.reshape(2, 4, 384)[..., 320:].any()
    np.testing.assert_array_equal(reader.placed(rows), rows)


def test_silence_is_heard_from_nowhere() -> None:
    powers, shares = of(np.zeros((RATE, 2), dtype=np.float32))
    assert not powers.any() and not shares.any()


def test_a_reader_has_one_for_every_quarter_and_the_rest_as_before(tmp_path: Path) -> None:
    """It is left in one quarter and right in the next; in mono there is none, and no sound is none."""
    sides = [tone(1000.0, place)[: RATE // 4] for place in (2, 29, 2, 29)]
    soundfile.write(tmp_path / "a.wav", np.concatenate([*sides, np.zeros_like(tone(1.0, 0))]), RATE, subtype="FLOAT")
    reader = StereoSummaries(parts=4, has_panorama=True)
    assert reader.shape == reader.silence.shape == (4 * 384,)
    rows = reader.read(tmp_path / "a.wav", [0, 1], TIMES)
    parts_P = rows[0].reshape(4, 384)
    assert parts_P[:, 320 + PANORAMA_PLACES :].argmax(1).tolist() == [2, 29, 2, 29]
    np.testing.assert_array_equal(
        parts_P[:, :320].ravel(), StereoSummaries(parts=4).read(tmp_path / "a.wav", [0], TIMES)[0]
    )
    np.testing.assert_allclose(rows[1], 0, atol=1e-5)
    mixed = reader.mixed(rows).reshape(2, 4, 384)
    assert not mixed[..., 128:].any() and mixed[0, :, :128].any()
    soundfile.write(tmp_path / "mono.wav", tone(1000.0, 2)[:, 0], RATE, subtype="FLOAT")
    assert not reader.read(tmp_path / "mono.wav", [0], TIMES).reshape(4, 384)[:, 128:].any()


def test_its_mirror_is_that_of_changed_channels(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    sound_N2 = (0.1 * generator.standard_normal((2 * RATE, 2)) * [1.0, 0.3]).astype(np.float32)
    reader = StereoSummaries(parts=4, has_panorama=True)
    rows = []
    for name, sound in (("a", sound_N2), ("b", sound_N2[:, ::-1])):
        soundfile.write(tmp_path / f"{name}.wav", sound, RATE, subtype="FLOAT")
        rows.append(reader.read(tmp_path / f"{name}.wav", [0, 1], TIMES))
    np.testing.assert_allclose(reader.mirrored(rows[0]), rows[1], atol=1e-5)
    assert np.abs(rows[0] - rows[1]).reshape(2, 4, 384)[..., 320:].max() > 0.2

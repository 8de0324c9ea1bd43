"""The arithmetic of sounds: what comes out is what was asked for, sample by sample."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile

from avis_data.errors import DataError
from avis_data.stress.waves import (
    Wave,
    fitted,
    noise_for,
    pcm_of,
    read_wave,
    shifted,
    silent,
    swapped,
    wave_sha256,
    with_noise,
    write_wave,
)


def tone(*, seconds: float = 2, rate_hz: int = 8_000, channels: int = 2, level: float = 0.3) -> Wave:
    """Whole 16 bit numbers, the channels different."""
    rng = np.random.default_rng(channels)
    samples = rng.integers(-round(level * 32768), round(level * 32768), (round(seconds * rate_hz), channels))
    return Wave(samples_NC=samples / 32768, rate_hz=rate_hz)


def decibels(wave_NC: np.ndarray) -> float:
    return float(10 * np.log10(np.mean(wave_NC**2)))


def test_silence_is_zeros_of_the_same_form() -> None:
    found = silent(tone())
    assert found.samples_NC.shape == (16_000, 2) and not found.samples_NC.any() and found.rate_hz == 8_000


@pytest.mark.parametrize("below_db", [20, 10, 0])
def test_noise_stands_so_far_below_the_sound(below_db: float) -> None:
    wave = tone()
    alone = noise_for(wave, below_db=below_db, rng=np.random.default_rng(1))
    both = with_noise(wave, below_db=below_db, rng=np.random.default_rng(1))
    added_NC = both.samples_NC - wave.samples_NC
    assert decibels(wave.samples_NC) - decibels(alone.samples_NC) == pytest.approx(below_db, abs=1e-9)
    assert decibels(wave.samples_NC) - decibels(added_NC) == pytest.approx(below_db, abs=1e-9)
    # Rounded to 16 bit it stays so within a thousandth of a dB, but for peaks that are cut.
    assert decibels(pcm_of(alone) / 32768) == pytest.approx(decibels(alone.samples_NC), abs=0.05)
    assert abs(np.corrcoef(alone.samples_NC.T)[0, 1]) < 0.05, "each channel has its own noise"


def test_noise_of_equal_channels_is_equal_and_noise_of_silence_is_not_silent() -> None:
    mono = Wave(samples_NC=np.repeat(tone(channels=1).samples_NC, 2, axis=1), rate_hz=8_000)
    assert with_noise(mono, below_db=0, rng=np.random.default_rng(0)).is_mono
    hushed = noise_for(silent(mono), below_db=10, rng=np.random.default_rng(0))
    assert decibels(hushed.samples_NC) == pytest.approx(-40)


def test_a_shift_fills_with_zeros_and_cuts_the_end() -> None:
    wave = tone()
    late = pcm_of(shifted(wave, seconds=0.5))
    assert not late[:4_000].any()
    assert (late[4_000:] == pcm_of(wave)[:12_000]).all()
    assert not pcm_of(shifted(wave, seconds=2)).any() and not pcm_of(shifted(wave, seconds=9)).any()


def test_swapped_channels_are_those_of_the_other_side() -> None:
    wave = tone()
    assert (swapped(wave).samples_NC == np.stack([wave.samples_NC[:, 1], wave.samples_NC[:, 0]], axis=1)).all()
    assert (swapped(swapped(wave)).samples_NC == wave.samples_NC).all()


def test_another_sound_takes_the_form_of_the_clip() -> None:
    to, donor = tone(seconds=2), tone(seconds=0.75, level=0.2)
    found = pcm_of(fitted(donor, to))
    own = pcm_of(donor)
    assert (found == np.concatenate([own, own, own])[:16_000]).all(), "a shorter one is played again"
    assert (pcm_of(fitted(tone(seconds=3), to)) == pcm_of(tone(seconds=3))[:16_000]).all(), "a longer one is cut"
    mono = fitted(tone(channels=1), to)
    assert mono.samples_NC.shape == (16_000, 2) and mono.is_mono
    to_mono = Wave(samples_NC=np.zeros((16_000, 2)), rate_hz=8_000)
    assert (fitted(tone(), to_mono).samples_NC[:, 0] == tone().samples_NC.mean(axis=1)).all()


def test_a_sound_of_another_rate_keeps_its_pitch() -> None:
    time_s = np.arange(16_000 * 2) / 16_000
    donor = Wave(samples_NC=0.5 * np.sin(2 * np.pi * 1000 * time_s)[:, None], rate_hz=16_000)
    found = fitted(donor, tone(seconds=2, channels=1)).samples_NC[:, 0]
    assert len(found) == 16_000 and int(np.abs(np.fft.rfft(found)).argmax()) / 2 == 1000


def test_a_written_sound_reads_back_and_its_hash_says_its_form(tmp_path: Path) -> None:
    wave = tone()
    write_wave(tmp_path / "a.wav", wave)
    found = read_wave(tmp_path / "a.wav")
    assert (pcm_of(found) == pcm_of(wave)).all() and wave_sha256(found) == wave_sha256(wave)
    assert wave_sha256(Wave(samples_NC=wave.samples_NC, rate_hz=16_000)) != wave_sha256(wave)
    assert wave_sha256(Wave(samples_NC=wave.samples_NC.reshape(-1, 1), rate_hz=8_000)) != wave_sha256(wave)
    loud = Wave(samples_NC=np.array([[2.0], [-2.0]]), rate_hz=8_000)
    assert pcm_of(loud).tolist() == [[32767], [-32768]], "what is too loud is cut, and does not turn over"


def test_sounds_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    empty, text = tmp_path / "empty.wav", tmp_path / "text.wav"
    data = io.BytesIO()
    soundfile.write(data, np.zeros((0, 1)), 8_000, format="WAV")
    empty.write_bytes(data.getvalue())
    text.write_text("no sound")
    for path, why in ((empty, "no sample"), (text, "cannot be read"), (tmp_path / "none.wav", "cannot be read")):
        with pytest.raises(DataError, match=why) as told:
            read_wave(path)
        assert str(path) in str(told.value)

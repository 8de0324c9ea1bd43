"""The front end against its definition in plain float64, closed forms of sines, and librosa."""

from __future__ import annotations

import math

import librosa
import numpy as np
import pytest

from avis_data.features.logmel import log_mel, mel_weights, second_examples

RATE = 16_000


def noise(num_samples: int, seed: int = 0) -> np.ndarray:
    return (np.random.default_rng(seed).standard_normal(num_samples) * 0.1).astype(np.float32)


def mel_by_definition(frequency_hz: float) -> float:
    return 1127.0 * math.log(1.0 + frequency_hz / 700.0)


def triangle_by_definition(frequency_bin: int, band: int) -> float:
    """Height of the triangle of one band over one bin, straight in mel; the DC bin belongs to no band."""
    if frequency_bin == 0:
        return 0.0
    low, high = mel_by_definition(125.0), mel_by_definition(7500.0)
    step = (high - low) / 65
    position = mel_by_definition(frequency_bin * 31.25)
    return max(0.0, 1.0 - abs(position - (low + (band + 1) * step)) / step)


def log_mel_by_definition(samples: np.ndarray) -> np.ndarray:
    """Frame by frame, with a Fourier sum written out."""
    window = [0.5 - 0.5 * math.cos(2 * math.pi * n / 400) for n in range(400)]
    turn = np.exp(-2j * np.pi * np.outer(np.arange(257), np.arange(400)) / 512)
    bands = np.array([[triangle_by_definition(k, m) for m in range(64)] for k in range(257)])
    rows = []
    start = 0
    while start + 400 <= len(samples):
        frame = samples[start : start + 400].astype(np.float64) * window
        rows.append(np.log(np.abs(turn @ frame) @ bands + 0.01))
        start += 160
    return np.array(rows).reshape(-1, 64)


def test_log_mel_equals_its_definition() -> None:
    samples = noise(RATE + 77)
    np.testing.assert_allclose(log_mel(samples), log_mel_by_definition(samples), rtol=0, atol=1e-5)


@pytest.mark.parametrize(("num_samples", "num_frames"), [(0, 0), (399, 0), (400, 1), (559, 1), (560, 2), (RATE, 98)])
def test_number_of_frames(num_samples: int, num_frames: int) -> None:
    found = log_mel(noise(num_samples))
    assert found.shape == (num_frames, 64) and found.dtype == np.float32


def test_frames_at_the_seam_of_two_blocks_are_those_of_an_undivided_signal() -> None:
    samples = noise(61 * RATE)
    around = slice(5995, 6005)  # a block ends with frame 6000
    alone = log_mel_by_definition(samples[around.start * 160 : (around.stop - 1) * 160 + 400])
    np.testing.assert_allclose(log_mel(samples)[around], alone, rtol=0, atol=1e-5)


@pytest.mark.parametrize("frequency_hz", [250.0, 1000.0, 3500.0, 6968.75])
def test_a_sine_is_loudest_in_the_band_whose_centre_is_nearest_in_mel(frequency_hz: float) -> None:
    low, high = mel_by_definition(125.0), mel_by_definition(7500.0)
    centres = [low + (band + 1) * (high - low) / 65 for band in range(64)]
    nearest = min(range(64), key=lambda band: abs(centres[band] - mel_by_definition(frequency_hz)))
    found = log_mel(sine(frequency_hz))
    # Triangles high up cover several bins and so add more of the leakage: one band off is possible, not two.
    assert abs(int(found[10].argmax()) - nearest) <= 1


@pytest.mark.parametrize("frequency_bin", [40, 100, 200])
def test_a_sine_gives_the_transform_of_the_window(frequency_bin: int) -> None:
    """|X_k| of A sin at bin b is A/2 |W(k - b)|, W the Fourier sum of the 400 window values at steps of 1/512."""
    amplitude = 0.5
    window = [0.5 - 0.5 * math.cos(2 * math.pi * n / 400) for n in range(400)]
    assert math.isclose(sum(window), 200.0)
    spectrum = [
        amplitude / 2 * abs(sum(w * np.exp(-2j * np.pi * n * (k - frequency_bin) / 512) for n, w in enumerate(window)))
        for k in range(257)
    ]
    want = [sum(spectrum[k] * triangle_by_definition(k, band) for k in range(257)) for band in range(64)]
    found = np.exp(log_mel(sine(frequency_bin * 31.25, amplitude))[50].astype(np.float64)) - 0.01
    loud = np.array(want) > 1.0
    assert loud.sum() >= 1
    np.testing.assert_allclose(found[loud], np.array(want)[loud], rtol=2e-3)


def test_ten_times_the_amplitude_is_ten_times_the_magnitude_not_the_power() -> None:
    soft, loud = (np.exp(log_mel(noise(RATE) * scale).astype(np.float64)) - 0.01 for scale in (1.0, 10.0))
    np.testing.assert_allclose(loud, 10 * soft, rtol=1e-4)


def test_no_band_hears_a_constant() -> None:
    assert not mel_weights()[0].any()


def test_silence_is_the_offset_alone() -> None:
    np.testing.assert_allclose(log_mel(np.zeros(RATE, np.float32)), math.log(0.01), rtol=1e-6)


def test_transform_and_bands_agree_with_librosa() -> None:
    samples = noise(5 * RATE)
    # librosa centres a window that is shorter than the FFT; 56 zeros on both sides move it back to the start.
    padded = np.pad(samples, 56)
    magnitude = np.abs(librosa.stft(padded, n_fft=512, hop_length=160, win_length=400, center=False)).T
    exact = np.log(magnitude @ mel_weights() + 0.01)
    np.testing.assert_allclose(log_mel(samples), exact, rtol=0, atol=1e-4)
    # Its triangles are straight in Hz: near, and measurably not ours.
    bands = librosa.filters.mel(sr=RATE, n_fft=512, n_mels=64, fmin=125, fmax=7500, htk=True, norm=None).T
    difference = np.abs(log_mel(samples) - np.log(magnitude @ bands + 0.01)).max()
    assert 0.001 < difference < 0.014


def test_each_second_is_its_own_first_96_frames() -> None:
    samples = noise(3 * RATE)
    found = second_examples(samples, 3)
    assert found.shape == (3, 96, 64) and found.dtype == np.float32
    for second in range(3):
        alone = log_mel_by_definition(samples[second * RATE : (second + 1) * RATE])
        np.testing.assert_allclose(found[second], alone[:96], rtol=0, atol=1e-5)


@pytest.mark.parametrize("second", [0, 3, 59, 60, 69])
def test_a_change_in_one_second_leaves_the_others_bit_for_bit(second: int) -> None:
    before = noise(70 * RATE)
    after = before.copy()
    after[second * RATE : (second + 1) * RATE] = noise(RATE, seed=1)
    same = (second_examples(before, 70) == second_examples(after, 70)).all(axis=(1, 2))
    assert not same[second] and same.sum() == 69


@pytest.mark.parametrize("tail", [0, 1, 400, 15_599])
def test_a_tail_too_short_for_96_frames_is_zeros_and_no_more(tail: int) -> None:
    found = second_examples(noise(2 * RATE + tail), 4)
    assert found[:2].all(axis=(1, 2)).all()
    assert not found[2:].any()


@pytest.mark.parametrize("tail", [15_600, 15_700, 15_999])
def test_a_tail_that_is_long_enough_is_what_it_would_be_alone(tail: int) -> None:
    samples = noise(2 * RATE + tail)
    found = second_examples(samples, 3)
    np.testing.assert_allclose(found[2], log_mel_by_definition(samples[2 * RATE :])[:96], rtol=0, atol=1e-5)


def test_samples_after_the_last_second_are_not_used() -> None:
    samples = noise(5 * RATE)
    np.testing.assert_array_equal(second_examples(samples, 2), second_examples(samples[: 2 * RATE], 2))


def test_no_samples_at_all() -> None:
    assert not second_examples(np.zeros(0, np.float32), 2).any()


def sine(frequency_hz: float, amplitude: float = 0.5) -> np.ndarray:
    return (amplitude * np.sin(2 * np.pi * frequency_hz * np.arange(RATE) / RATE)).astype(np.float32)

"""Sound to log-mel pictures: the published VGGish front end, on plain tensors.

Legend: N samples, T seconds, F frames of 25 ms every 10 ms, K frequency bins, M mel bands.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from avis_data.media.sound import SAMPLE_RATE_HZ

__all__ = [
    "EXAMPLE_FRAMES",
    "EXAMPLE_SAMPLES",
    "NUM_BANDS",
    "causal_examples",
    "log_mel",
    "mel_weights",
    "num_columns",
    "samples_of_columns",
    "second_examples",
    "spectra",
]

NUM_BANDS = 64
EXAMPLE_FRAMES = 96

_WINDOW = 400
_HOP = 160
_FFT = 512
_MEL_LOW_HZ, _MEL_HIGH_HZ = 125.0, 7500.0
_LOG_OFFSET = 0.01
_BLOCK_S = 60
"""Longer blocks fall out of the cache: the whole hour in one call costs 2.5 times as much, and 1.5 GiB."""

EXAMPLE_SAMPLES = _WINDOW + (EXAMPLE_FRAMES - 1) * _HOP
"""15,600: a shorter piece has fewer than 96 frames."""


def mel_weights() -> NDArray[np.float64]:
    """How much each frequency bin adds to each mel band.

    The triangles are straight lines over *mel* (librosa's are straight over Hz). The DC bin lies below the first of
    them and so adds to none, as the definition asks.

    Returns:
        float64 (257, 64).

    Source: Hershey et al., "CNN architectures for large-scale audio classification", ICASSP 2017, as published with
    AudioSet; mel = 1127 ln(1 + f / 700) as in HTK.
    """
    bins_K = _mel(np.linspace(0.0, SAMPLE_RATE_HZ / 2, _FFT // 2 + 1, dtype=np.float64))[:, None]
    edges = np.linspace(_mel(np.float64(_MEL_LOW_HZ)), _mel(np.float64(_MEL_HIGH_HZ)), NUM_BANDS + 2)
    lower, centre, upper = edges[:-2], edges[1:-1], edges[2:]
    rising_KM = (bins_K - lower) / (centre - lower)
    falling_KM = (upper - bins_K) / (upper - centre)
    weights_KM: NDArray[np.float64] = np.maximum(0.0, np.minimum(rising_KM, falling_KM))
    return weights_KM


def num_columns(samples: int) -> int:
    """F, the columns of so many samples: floor((N - 400) / 160) + 1, or 0 where there are less than 400."""
    return max(0, (samples - _WINDOW) // _HOP + 1)


def samples_of_columns(first: int, last: int) -> tuple[int, int]:
    """The first sample of column `first`, and the one after the last of column `last - 1`."""
    return first * _HOP, (last - 1) * _HOP + _WINDOW


def log_mel(samples_N: NDArray[np.float32], *, offset: float = _LOG_OFFSET) -> NDArray[np.float32]:
    """Log-mel spectrogram of one continuous signal.

    Args:
        samples_N: float32 at 16 kHz, mono, in [-1, 1).
        offset: added before the logarithm: 0.01 as VGGish has it, 0.001 as YAMNet.

    Returns:
        float32 (F, 64) with F = floor((N - 400) / 160) + 1, or 0 where N < 400.
    """
    num_frames = num_columns(len(samples_N))
    result_FM = np.empty((num_frames, NUM_BANDS), dtype=np.float32)
    block_frames = _BLOCK_S * SAMPLE_RATE_HZ // _HOP
    for first in range(0, num_frames, block_frames):
        last = min(first + block_frames, num_frames)
        block_N = samples_N[first * _HOP : (last - 1) * _HOP + _WINDOW]
        result_FM[first:last] = _log_mel_rows(np.pad(block_N, (0, _FFT - _WINDOW))[None], offset)[0]
    return result_FM


def second_examples(samples_N: NDArray[np.float32], num_seconds: int) -> NDArray[np.float32]:
    """One VGGish input for each second, made from the samples of that second alone.

    This is what the official feature files of AVISeg hold: second t is cut out first, so neither its frames nor its
    padding see a neighbour; of its 98 frames the first 96 are kept. A piece with less than 96 frames of sound
    (15,600 samples) gives zeros, which is not what silence gives (log 0.01).

    Args:
        samples_N: float32 at 16 kHz, mono, in [-1, 1); samples after `num_seconds` are ignored, missing ones allowed.
        num_seconds: T.

    Returns:
        float32 (T, 96, 64).

    Source: Guo et al., "Audio-Visual Instance Segmentation", CVPR 2025, its published feature extraction.
    """
    result_TFM = np.zeros((num_seconds, EXAMPLE_FRAMES, NUM_BANDS), dtype=np.float32)
    num_heard = min(num_seconds, (len(samples_N) - EXAMPLE_SAMPLES) // SAMPLE_RATE_HZ + 1)
    for first in range(0, num_heard, _BLOCK_S):
        last = min(first + _BLOCK_S, num_heard)
        block_N = samples_N[first * SAMPLE_RATE_HZ : last * SAMPLE_RATE_HZ]
        missing = (last - first) * SAMPLE_RATE_HZ - len(block_N)
        pieces_TN = np.pad(block_N, (0, missing)).reshape(last - first, SAMPLE_RATE_HZ)
        # The FFT's zero-padded window reaches 112 samples past the last frame; it weighs them with 0.
        result_TFM[first:last] = _log_mel_rows(pieces_TN[:, : EXAMPLE_SAMPLES + _FFT - _WINDOW])
    return result_TFM


def causal_examples(samples_N: NDArray[np.float32], ends: Sequence[int]) -> NDArray[np.float32]:
    """One VGGish input for each instant, made from the 15,600 samples before it; zeros outside the recording.

    Args:
        samples_N: float32 at 16 kHz, mono, in [-1, 1).
        ends: one past the last sample of each window; n of them.

    Returns:
        float32 (n, 96, 64).

    Source: Li et al., "Online Video Instance Segmentation via Robust Context Fusion" gives each frame the most recent
    audio; the length is that of VGGish's input (specs of RCF, §6).
    """
    pieces_TN = np.zeros((len(ends), EXAMPLE_SAMPLES + _FFT - _WINDOW), dtype=np.float32)
    for piece_N, end in zip(pieces_TN, ends, strict=True):
        first, last = max(end - EXAMPLE_SAMPLES, 0), min(end, len(samples_N))
        if first < last:
            begin = first - (end - EXAMPLE_SAMPLES)
            piece_N[begin : begin + last - first] = samples_N[first:last]
    return _log_mel_rows(pieces_TN) if len(ends) else np.zeros((0, EXAMPLE_FRAMES, NUM_BANDS), dtype=np.float32)


def spectra(samples_N: NDArray[np.float32]) -> NDArray[np.complex64]:
    """The spectrum of every column that `log_mel` makes of a signal, complex64 (F, 257); F is 0 where N < 400."""
    padded_1N = torch.from_numpy(np.pad(samples_N, (0, _FFT - _WINDOW))[None])
    if num_columns(len(samples_N)) == 0:
        return np.zeros((0, _FFT // 2 + 1), dtype=np.complex64)
    spectrum_1KF = torch.stft(padded_1N, _FFT, _HOP, _FFT, _tables()[0], center=False, return_complex=True)
    result: NDArray[np.complex64] = spectrum_1KF[0].T.numpy()
    return result


def _log_mel_rows(rows_BN: NDArray[np.float32], offset: float = _LOG_OFFSET) -> NDArray[np.float32]:
    """(B, F, 64) of B rows; the last 112 samples of a row only fill the FFT and start no frame of their own."""
    window, weights_MK = _tables()
    samples_BN = torch.from_numpy(np.ascontiguousarray(rows_BN, dtype=np.float32))
    spectrum_BKF = torch.stft(samples_BN, _FFT, _HOP, _FFT, window, center=False, return_complex=True)
    # torch.abs guards against overflow at twice the cost; samples in [-1, 1) cannot overflow.
    magnitude_BKF = spectrum_BKF.real.square().addcmul_(spectrum_BKF.imag, spectrum_BKF.imag).sqrt_()
    bands_BMF = torch.matmul(weights_MK, magnitude_BKF).add_(offset).log_()
    result: NDArray[np.float32] = bands_BMF.transpose(1, 2).numpy()
    return result


@functools.cache
def _tables() -> tuple[torch.Tensor, torch.Tensor]:
    """The Hann window (400, periodic) with zeros up to 512 at its end, and the mel weights as float32 (64, 257)."""
    window = torch.zeros(_FFT)
    window[:_WINDOW] = torch.hann_window(_WINDOW, periodic=True, dtype=torch.float64).float()
    return window, torch.from_numpy(np.ascontiguousarray(mel_weights().T, dtype=np.float32))


def _mel(frequency_hz: NDArray[np.float64] | np.float64) -> NDArray[np.float64]:
    mel: NDArray[np.float64] = np.asarray(1127.0 * np.log1p(frequency_hz / 700.0))
    return mel

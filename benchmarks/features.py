"""Speed of the sound features: log-mel seconds per hour of sound, and VGGish against real time, on one core.

Run it alone on the machine:

    python benchmarks/features.py --json
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable

# Before numpy and torch start their threads: the claims are per core.
os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")

import numpy as np
import torch
from numpy.typing import NDArray

from avis_data.features.logmel import log_mel, mel_weights, second_examples
from avis_data.features.vggish import embed_examples, untrained_vggish
from avis_data.media.sound import SAMPLE_RATE_HZ

_BATCHES = (1, 16, 32, 64)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--minutes", type=int, default=60, help="how much sound for the log-mel part")
    parser.add_argument("--examples", type=int, default=256, help="how many seconds for the VGGish part")
    args = parser.parse_args()
    torch.set_num_threads(1)
    result = {**_log_mel_costs(args.minutes), **_vggish_speeds(args.examples)}
    if args.json:
        print(json.dumps(result))
    else:
        for name, value in result.items():
            print(f"{name:46} {value:8.2f}")


def _log_mel_costs(minutes: int) -> dict[str, float]:
    samples_N = (np.random.default_rng(0).standard_normal(minutes * 60 * SAMPLE_RATE_HZ) * 0.1).astype(np.float32)
    hours = minutes / 60
    seconds = _fastest(lambda: second_examples(samples_N, minutes * 60)) / hours
    continuous = _fastest(lambda: log_mel(samples_N)) / hours
    librosa_s = _fastest(lambda: _log_mel_by_librosa(samples_N)) / hours
    return {
        "log-mel, each second alone, s per hour": seconds,
        "log-mel, continuous, s per hour": continuous,
        "log-mel by librosa's stft, s per hour": librosa_s,
        "librosa / ours": librosa_s / continuous,
    }


def _vggish_speeds(num_examples: int) -> dict[str, float]:
    model = untrained_vggish(0)
    examples_TFM = np.random.default_rng(0).standard_normal((num_examples, 96, 64)).astype(np.float32)
    speeds = {}
    for batch in _BATCHES:
        some_TFM = examples_TFM[: num_examples if batch > 1 else num_examples // 8]
        speed = len(some_TFM) / _fastest(lambda some=some_TFM, size=batch: embed_examples(model, some, batch=size))
        speeds[_speed_name(batch)] = speed
    speeds["VGGish, batch 32 / batch 1"] = speeds[_speed_name(32)] / speeds[_speed_name(1)]
    return speeds


def _speed_name(batch: int) -> str:
    return f"VGGish, batch {batch}, times real time"


def _log_mel_by_librosa(samples_N: NDArray[np.float32]) -> NDArray[np.float32]:
    import librosa

    block = 60 * SAMPLE_RATE_HZ
    weights_KM = mel_weights().astype(np.float32)
    parts = []
    for first in range(0, len(samples_N), block):
        padded_N = np.pad(samples_N[first : first + block], 56)  # moves librosa's centred window back to the start
        spectrum_KF = librosa.stft(padded_N, n_fft=512, hop_length=160, win_length=400, center=False)
        parts.append(np.log(np.abs(spectrum_KF).T @ weights_KM + 0.01))
    return np.concatenate(parts)


def _fastest(work: Callable[[], object], *, times: int = 3) -> float:
    """CPU seconds of the fastest of some runs; the first warms up and does not count."""
    work()
    seconds = []
    for _ in range(times):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return min(seconds)


if __name__ == "__main__":
    main()

"""When somebody speaks: Silero VAD over the 16 kHz sound. Speech is found in wind and traffic, music is none."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avis_data.errors import DataError
from avis_data.media.sound import SAMPLE_RATE_HZ
from avis_data.weights.networks import Session, load_onnx

__all__ = ["SpeechDetector", "load_speech_detector", "speech_spans"]

_STEP, _CONTEXT = 512, 64
"""Samples that are judged at a time, and those before them that are looked at too."""
_STEP_S = _STEP / SAMPLE_RATE_HZ
_BEGINS, _ENDS = 0.5, 0.35
"""Chances at which speech begins, and under which it ends."""
_SHORTEST_S, _LEAST_PAUSE_S, _PAD_S = 0.25, 0.1, 0.03


@dataclass(frozen=True)
class SpeechDetector:
    """Silero VAD, loaded."""

    session: Session


def load_speech_detector(path: Path) -> SpeechDetector:
    """Silero VAD from its ONNX file (`avis-data weights get silero-vad`).

    Raises:
        DataError: if the file is missing, no ONNX, or another network.
    """
    session = load_onnx(path)
    inputs = {node.name for node in session.get_inputs()}
    if inputs != {"input", "state", "sr"} or len(session.get_outputs()) != 2:
        raise DataError(
            f"{path}: no Silero VAD: its inputs are {sorted(inputs)}", hint="avis-data weights get silero-vad"
        )
    return SpeechDetector(session)


def speech_spans(samples_N: NDArray[np.float32], detector: SpeechDetector) -> tuple[tuple[float, float], ...]:
    """Spans in which somebody speaks.

    Args:
        samples_N: mono, 16 kHz, in [-1, 1]; may be empty.
        detector: from `load_speech_detector`.

    Returns:
        (start_s, end_s), sorted, within the sound.

    Source: Silero VAD, its published rule from chances to spans with its usual values.
    """
    end_s = len(samples_N) / SAMPLE_RATE_HZ
    found: list[tuple[float, float]] = []
    start_s = pause_s = None
    for step, chance in enumerate(_chances(samples_N, detector)):
        now_s = step * _STEP_S
        if chance >= _BEGINS:
            start_s, pause_s = now_s if start_s is None else start_s, None
        elif chance < _ENDS and start_s is not None:
            pause_s = now_s if pause_s is None else pause_s
            if now_s + _STEP_S - pause_s >= _LEAST_PAUSE_S:
                if pause_s - start_s >= _SHORTEST_S:
                    found.append((start_s, pause_s))
                start_s = pause_s = None
    if start_s is not None and end_s - start_s >= _SHORTEST_S:
        found.append((start_s, end_s))
    return tuple((max(0.0, first_s - _PAD_S), min(end_s, last_s + _PAD_S)) for first_s, last_s in found)


def _chances(samples_N: NDArray[np.float32], detector: SpeechDetector) -> list[float]:
    """How likely there is speech, for each step of 32 ms; the last one is filled up with silence."""
    num_steps = -(-len(samples_N) // _STEP)
    padded_N = np.zeros(_CONTEXT + num_steps * _STEP, dtype=np.float32)
    padded_N[_CONTEXT : _CONTEXT + len(samples_N)] = samples_N
    state: NDArray[np.float32] = np.zeros((2, 1, 128), dtype=np.float32)
    rate_hz = np.array(SAMPLE_RATE_HZ, dtype=np.int64)
    chances = []
    for first in range(0, num_steps * _STEP, _STEP):
        piece_N = padded_N[None, first : first + _CONTEXT + _STEP]
        chance, state = detector.session.run(None, {"input": piece_N, "state": state, "sr": rate_hz})
        chances.append(float(chance.reshape(-1)[0]))
    return chances

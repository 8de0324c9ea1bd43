"""The activity detector finds planted spans, and makes none up."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from avis_data.errors import DataError
from avis_data.features.activity import active_spans, clip_activity

RATE_HZ = 16000


def planted(seconds: float, spans: list[tuple[float, float]], *, noise: float, kind: str, seed: int = 0) -> np.ndarray:
    """Noise with sound in the spans: a tone, a noise, or strokes four times a second that die away."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    sound = rng.normal(0, noise, len(time_s))
    voices = {
        "tone": 0.2 * np.sin(2 * np.pi * 440 * time_s),
        "hiss": rng.normal(0, 0.1, len(time_s)),
        "strokes": 0.6 * np.sin(2 * np.pi * 300 * time_s) * np.exp(-8 * (time_s % 0.25)),
    }
    for start_s, end_s in spans:
        inside = (time_s >= start_s) & (time_s < end_s)
        sound[inside] += voices[kind][inside]
    return sound.astype(np.float32)


@pytest.mark.parametrize("kind", ["tone", "hiss", "strokes"])
@pytest.mark.parametrize("noise", [0.0, 1e-3, 8e-3])
def test_planted_spans_are_found(kind: str, noise: float) -> None:
    spans = [(1.25, 3.5), (6.0, 8.75)]
    found = active_spans(planted(10, spans, noise=noise, kind=kind))
    assert len(found) == len(spans)
    for (start_s, end_s), (true_start_s, true_end_s) in zip(found, spans, strict=True):
        assert start_s == pytest.approx(true_start_s, abs=0.05)
        assert end_s == pytest.approx(true_end_s, abs=0.15)  # a stroke's last third is softer than the noise


def test_silence_and_hum_are_not_heard() -> None:
    assert active_spans(np.zeros(5 * RATE_HZ, dtype=np.float32)) == ()
    assert active_spans(planted(5, [], noise=1e-3, kind="tone")) == ()
    assert active_spans(np.zeros(10, dtype=np.float32)) == ()


def test_sound_from_end_to_end_is_heard() -> None:
    assert active_spans(planted(5, [(0, 5)], noise=1e-3, kind="tone")) == ((0.0, 5.0),)


def test_short_rests_are_bridged_and_clicks_left_out() -> None:
    sound = planted(6, [(1, 2), (2.2, 3)], noise=1e-4, kind="tone")
    sound[5 * RATE_HZ : 5 * RATE_HZ + 40] = 0.9
    ((start_s, end_s),) = active_spans(sound)
    assert (start_s, end_s) == (pytest.approx(1, abs=0.05), pytest.approx(3, abs=0.05))


def test_a_file_of_another_rate_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "audio.wav"
    soundfile.write(path, planted(3, [(1, 2)], noise=0, kind="tone"), RATE_HZ)
    assert clip_activity(path) == active_spans(soundfile.read(path, dtype="float32")[0])
    soundfile.write(path, np.zeros(8000), 8000)
    with pytest.raises(DataError, match="8000 Hz"):
        clip_activity(path)

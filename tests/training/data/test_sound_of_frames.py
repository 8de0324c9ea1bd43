"""Whatever is computed from a recording, a sample of a few frames reads the sound of those frames only."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import soundfile

from avis_data.training.data.audio_features import AudioFeatures, AudioKind
from avis_data.training.data.audio_sound import SoundFile
from avis_data.training.data.frame_times import FrameTimes

_FRAMES = 60
_TIMES = FrameTimes(fps=1.0, instants_s=tuple(frame + 0.5 for frame in range(_FRAMES)))
_KINDS = [kind for kind in get_args(AudioKind) if isinstance(AudioFeatures(kind).reader, SoundFile)]


def test_every_kind_of_a_recording_is_here() -> None:
    assert {"logmel", "logmel-window", "slices"} <= set(_KINDS)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("kind", _KINDS)
def test_only_the_sound_of_the_frames_is_read(
    kind: AudioKind, channels: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, frames = tmp_path / "a.wav", [41, 0, 59]
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, (16_000 * _FRAMES, channels))
    soundfile.write(path, samples, 16_000, subtype="FLOAT")
    reader = AudioFeatures(kind).reader
    every = reader.read(path, range(_FRAMES), _TIMES)
    opened, counts = soundfile.SoundFile, []

    class Watched(opened):  # type: ignore[misc,valid-type]  # mypy has no type for a class in a variable
        def read(self, count: int, *more: object, **named: object) -> object:
            counts.append(count)
            return super().read(count, *more, **named)

    monkeypatch.setattr(soundfile, "SoundFile", Watched)
    found = reader.read(path, frames, _TIMES)
    assert len(counts) == len(frames) and all(0 < count <= 16_400 for count in counts)
    np.testing.assert_allclose(found, every[frames], atol=1e-5)
    monkeypatch.setattr(Watched, "seekable", lambda self: False)  # then, but for `logmel`, the whole file is read
    np.testing.assert_allclose(reader.read(path, frames, _TIMES), found, atol=2e-5)

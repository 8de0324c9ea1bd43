"""What is heard in a clip before anyone listens: when, and which categories it may be.

Loudness says when something is heard. Where the weights are here, Silero VAD says when somebody speaks, and YAMNet
which categories there may be. What was used is kept with the page (`ClipTask.heard_by`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from avis_data.annotation.labels.records import Interval
from avis_data.annotation.labels.states import heard_seconds
from avis_data.errors import DataError
from avis_data.extras import missing_modules
from avis_data.features.activity import active_spans, clip_sound
from avis_data.features.sound_classes import is_voice
from avis_data.features.sound_tags import SoundTagger, heard_categories, load_sound_tagger
from avis_data.features.speech import SpeechDetector, load_speech_detector, speech_spans
from avis_data.paths import Workspace
from avis_data.pipelines.engine.bucket import bring_clip
from avis_data.weights import problem_with, registered
from avis_data.weights.source import WeightKind

__all__ = ["Heard", "Listeners", "clip_heard", "find_listeners"]

Loaded = TypeVar("Loaded")

_SPEECH_SHARE = 0.25
"""A second is one of speech from so much of it on: words begin and end within seconds. Of open-15's seconds with people
in view F1 0.80 against 0.74 at one half (docs/benchmarks.md)."""


@dataclass(frozen=True, kw_only=True)
class Listeners:
    """What listens beside loudness, as far as the weights are here."""

    speech: SpeechDetector | None = None
    tagger: SoundTagger | None = None
    names: tuple[str, ...] = ()
    """What they tell, by which weights, with the beginning of their hash."""
    said: tuple[str, ...] = ()
    """Lines for a person: what is missing, and the command that fetches it."""


@dataclass(frozen=True, kw_only=True)
class Heard:
    """What is heard in a clip, second by second."""

    loud: tuple[bool, ...]
    """Half of the second and more."""
    silent: tuple[bool, ...]
    """Nothing at all."""
    speech: tuple[bool, ...] | None
    """None where nothing told speech from other sounds."""
    categories: tuple[str, ...]
    """Which may be heard, the likeliest first; empty where nobody can tell."""
    by: tuple[str, ...]
    """What was used."""

    def of(self, category: str) -> tuple[bool, ...]:
        """The seconds suggested for an object of a category: people when somebody speaks, others when it is loud and
        nobody does. Loudness alone does not tell them apart."""
        if self.speech is None:
            return self.loud
        if is_voice(category):
            return self.speech
        return tuple(loud and not spoken for loud, spoken in zip(self.loud, self.speech, strict=True))

    def is_alike(self, category: str, other: str) -> bool:
        """Whether objects of two categories get the same seconds, so that one is not told from the other."""
        return self.speech is None or is_voice(category) == is_voice(other)


def find_listeners() -> Listeners:
    """Those whose weights are registered here. What is missing or damaged costs nothing but them, and is said.

    Raises:
        DataError: if the user's registry of weights is damaged.
    """
    said: list[str] = []
    names: list[str] = []
    speech = _loaded("vad", "silero-vad", "when somebody speaks", load_speech_detector, names, said)
    tagger = _loaded("tagger", "yamnet --accept-licence", "which categories are heard", load_sound_tagger, names, said)
    return Listeners(speech=speech, tagger=tagger, names=tuple(names), said=tuple(said))


def _loaded(
    kind: WeightKind, get: str, what: str, load: Callable[[Path], Loaded], names: list[str], said: list[str]
) -> Loaded | None:
    entry = next((entry for entry in registered() if entry.kind == kind), None)
    command = f"avis-data weights get {get}"
    if entry is None:
        said.append(f"nothing here tells {what}, only how loud it is: {command}")
        return None
    problem = problem_with(entry)
    if problem is None and missing_modules("annotate", "onnxruntime"):
        problem = "onnxruntime is not installed (pip install 'avis-data[annotate]')"
    try:
        found = load(Path(entry.path)) if problem is None else None
    except DataError as error:
        found, problem = None, str(error)
    if found is None:
        said.append(f"nothing tells {what}: {problem}; {command}")
        return None
    names.append(f"{what}: {entry.name}-{entry.sha256[:8]}")
    return found


def clip_heard(
    workspace: Workspace, clip_id: str, num_seconds: int, *, categories: Sequence[str], listeners: Listeners
) -> Heard:
    """What is heard in a clip.

    Args:
        workspace: where its `audio.wav` is.
        clip_id: of the clip.
        num_seconds: T, its stills.
        categories: of the category set.
        listeners: from `find_listeners`.

    Raises:
        DataError: if its sound cannot be read.
    """
    bring_clip(workspace, clip_id)
    samples_N = clip_sound(workspace.clip_dir(clip_id) / "audio.wav")
    loud = _intervals(active_spans(samples_N))
    return Heard(
        loud=tuple(heard_seconds(loud, num_seconds)),
        silent=tuple(not heard for heard in heard_seconds(loud, num_seconds, share=0.0)),
        speech=_speech(samples_N, num_seconds, listeners.speech),
        categories=_categories(samples_N, categories, listeners.tagger),
        by=("loudness", *listeners.names),
    )


def _speech(
    samples_N: NDArray[np.float32], num_seconds: int, detector: SpeechDetector | None
) -> tuple[bool, ...] | None:
    if detector is None:
        return None
    return tuple(heard_seconds(_intervals(speech_spans(samples_N, detector)), num_seconds, share=_SPEECH_SHARE))


def _categories(
    samples_N: NDArray[np.float32], categories: Sequence[str], tagger: SoundTagger | None
) -> tuple[str, ...]:
    return () if tagger is None else tuple(item.category for item in heard_categories(samples_N, tagger, categories))


def _intervals(spans: Iterable[tuple[float, float]]) -> list[Interval]:
    return [Interval(start_s=start_s, end_s=end_s) for start_s, end_s in spans]

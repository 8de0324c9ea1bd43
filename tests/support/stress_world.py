"""A small dataset of rectangles with sounds of its own, for tests of other sounds; and results of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray
from PIL import Image

from support.ytvis_world import HEIGHT, WIDTH, annotation

__all__ = ["BOXES", "CLIPS", "StressClip", "results_of", "write_results", "write_stress_world"]

BOXES = {1: (1, 2, 5, 6), 2: (8, 3, 4, 4), 3: (3, 7, 4, 4)}
"""Where the things of each category are."""
NAMES = {1: "person", 2: "dog", 3: "violin"}


@dataclass(frozen=True)
class StressClip:
    """A clip of so many seconds: category -> the seconds in which it sounds."""

    seconds: int
    heard: Mapping[int, Sequence[int]]
    stereo: bool = True
    rate_hz: int = 16_000


CLIPS = {
    "a": StressClip(4, {1: [0, 1]}),
    "b": StressClip(4, {2: [1, 2, 3]}),
    "c": StressClip(3, {1: [2]}, stereo=False),
    "d": StressClip(4, {1: [0], 2: [0, 3]}, rate_hz=8_000),
    "e": StressClip(6, {}),
}
"""d shares a category with all that sound; in e nothing does."""


def write_stress_world(root: Path, clips: Mapping[str, StressClip] = CLIPS) -> Path:
    """The split `test`: truth, stills, and a sound of noise for each clip."""
    videos, annotations = [], []
    for number, (name, clip) in enumerate(clips.items(), start=1):
        files = [f"{name}/{second}.jpg" for second in range(clip.seconds)]
        size = {"width": WIDTH, "height": HEIGHT, "length": clip.seconds}
        videos.append({"id": number, **size, "file_names": files})
        for category, seconds in clip.heard.items():
            boxes = [BOXES[category] if second in seconds else None for second in range(clip.seconds)]
            annotations.append(annotation(len(annotations) + 1, number, category, boxes))
        for file in files:
            still = root / "test" / "JPEGImages" / file
            still.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((HEIGHT, WIDTH, 3), 10 * number, np.uint8)).save(still)
        _write_sound(root / "test" / "WAVAudios" / f"{name}.wav", clip, seed=number)
    categories = [{"id": number, "name": name} for number, name in NAMES.items()]
    truth = {"info": {}, "categories": categories, "videos": videos, "annotations": annotations}
    (root / "test.json").write_text(json.dumps(truth))
    return root


def _write_sound(path: Path, clip: StressClip, *, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    count = clip.seconds * clip.rate_hz
    samples_NC: NDArray[np.float64] = np.random.default_rng(seed).uniform(-0.4, 0.4, (count, 2))
    if not clip.stereo:
        samples_NC = np.repeat(samples_NC[:, :1], 2, axis=1)
    soundfile.write(path, samples_NC, clip.rate_hz, subtype="PCM_16")


def results_of(
    clips: Mapping[str, Mapping[int, Sequence[int]]], world: Mapping[str, StressClip] = CLIPS
) -> list[dict[str, object]]:
    """Predicted tracks: clip -> category -> the seconds in which its thing is marked, exactly where it is."""
    numbers = {name: number for number, name in enumerate(world, start=1)}
    found: list[dict[str, object]] = []
    for name, by_category in clips.items():
        for category, seconds in by_category.items():
            boxes = [BOXES[category] if second in seconds else None for second in range(world[name].seconds)]
            entry = annotation(1, numbers[name], category, boxes)
            found.append(
                {
                    "video_id": numbers[name],
                    "category_id": category,
                    "score": 0.9,
                    "segmentations": entry["segmentations"],
                }
            )
    return found


def write_results(folder: Path, by_condition: Mapping[str, Mapping[str, Mapping[int, Sequence[int]]]]) -> Path:
    """`<condition>.json` of each."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, clips in by_condition.items():
        (folder / f"{name}.json").write_text(json.dumps(results_of(clips)))
    return folder

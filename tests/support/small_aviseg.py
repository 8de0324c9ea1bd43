"""A small dataset in the AVISeg layout, written by hand: no media tools, two tracks in each clip."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import soundfile
from PIL import Image

__all__ = ["HEIGHT", "SECONDS", "WIDTH", "annotation", "square", "write_dataset"]

WIDTH, HEIGHT, SECONDS = 64, 48, 4


def square(x: int, y: int, side: int) -> list[list[float]]:
    return [[x, y, x + side, y, x + side, y + side, x, y + side]]


def annotation(number: int, video: int, category: int, polygons: list[list[list[float]] | None]) -> dict[str, object]:
    return {
        "id": number,
        "video_id": video,
        "category_id": category,
        "iscrowd": 0,
        "height": HEIGHT,
        "width": WIDTH,
        "segmentations": polygons,
        "bboxes": [None if polygon is None else [0, 0, 1, 1] for polygon in polygons],
        "areas": [None if polygon is None else 1 for polygon in polygons],
    }


def write_dataset(root: Path, *, train: list[str], test: list[str], category: str = "dog") -> Path:
    """A dataset in the AVISeg layout: grey stills, a tone in seconds 0 and 1, two tracks in each clip."""
    for split, names in (("train", train), ("test", test)):
        videos, annotations = [], []
        for number, name in enumerate(names, start=1):
            files = [f"{name}/{second}.jpg" for second in range(SECONDS)]
            videos.append({"id": number, "width": WIDTH, "height": HEIGHT, "length": SECONDS, "file_names": files})
            first, second = square(8, 8, 20), square(40, 20, 16)
            annotations.append(annotation(2 * number - 1, number, 1, [first, first, None, None]))
            annotations.append(annotation(2 * number, number, 2, [None, second, second, None]))
            for file in files:
                path = root / split / "JPEGImages" / file
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.new("RGB", (WIDTH, HEIGHT), (120, 120, 120)).save(path)
            sound = np.zeros(SECONDS * 16000)
            sound[:32000] = 0.5 * np.sin(np.arange(32000) / 5)
            (root / split / "WAVAudios").mkdir(parents=True, exist_ok=True)
            soundfile.write(root / split / "WAVAudios" / f"{name}.wav", sound, 16000)
        categories = [{"id": 1, "name": category}, {"id": 2, "name": "piano"}, {"id": 3, "name": "cat"}]
        content = {"videos": videos, "annotations": annotations, "categories": categories}
        (root / f"{split}.json").write_text(json.dumps(content))
    return root

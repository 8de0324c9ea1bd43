"""A small dataset in the AVISeg layout, made of rectangles, for tests of formats, checks and figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from PIL import Image

HEIGHT, WIDTH, SECONDS = 12, 17, 3


def rectangle_entry(x: int, y: int, width: int, height: int) -> list[list[float]]:
    """A polygon that COCO turns into exactly this rectangle of pixels."""
    return [[x, y, x + width, y, x + width, y + height, x, y + height]]


def annotation(number: int, video_id: int, category_id: int, boxes: list[tuple[int, ...] | None]) -> dict[str, Any]:
    """One entry of `annotations`; a box of None is a silent frame."""
    return {
        "id": number,
        "video_id": video_id,
        "category_id": category_id,
        "iscrowd": 0,
        "height": HEIGHT,
        "width": WIDTH,
        "length": len(boxes),
        "segmentations": [None if box is None else rectangle_entry(*box) for box in boxes],
        "bboxes": [None if box is None else list(box) for box in boxes],
        "areas": [None if box is None else box[2] * box[3] for box in boxes],
    }


def truth(names: list[str], *, first_id: int = 1) -> dict[str, Any]:
    """Two tracks a video: a person in seconds 0 and 1, a dog in second 1; second 2 is silent."""
    videos, annotations = [], []
    for index, name in enumerate(names):
        video_id = first_id + index
        videos.append(
            {
                "id": video_id,
                "width": WIDTH,
                "height": HEIGHT,
                "length": SECONDS,
                "file_names": [f"{name}/{second}.jpg" for second in range(SECONDS)],
            }
        )
        annotations.append(annotation(2 * index + 1, video_id, 1, [(1, 2, 5, 6), (2, 2, 5, 6), None]))
        annotations.append(annotation(2 * index + 2, video_id, 2, [None, (8, 3, 4, 4), None]))
    return {
        "info": {},
        "licenses": [],
        "categories": [{"id": 1, "name": "person"}, {"id": 2, "name": "dog"}],
        "videos": videos,
        "annotations": annotations,
    }


def write_split(root: Path, split: str, names: list[str], *, seed: int = 0) -> dict[str, Any]:
    """Truth file, frames, sound and features of one split."""
    rng = np.random.default_rng(seed)
    content = truth(names)
    (root / f"{split}.json").write_text(json.dumps(content))
    for folder in ("JPEGImages", "WAVAudios", "FEATAudios"):
        (root / split / folder).mkdir(parents=True)
    for name in names:
        frames = root / split / "JPEGImages" / name
        frames.mkdir()
        for second in range(SECONDS):
            pixels = rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(frames / f"{second}.jpg")
        samples = rng.uniform(-0.5, 0.5, (SECONDS * 16_000, 2))
        soundfile.write(root / split / "WAVAudios" / f"{name}.wav", samples, 16_000, subtype="PCM_16")
        features = rng.random((SECONDS, 128), dtype=np.float32)
        np.save(root / split / "FEATAudios" / f"{name}.npy", features)
    return content

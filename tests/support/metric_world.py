"""Small worlds of moving blocks for the metrics: truth, predictions with planted errors, and both as files."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from avis_data.metrics import TrackInput, VideoInput

__all__ = [
    "CATEGORIES",
    "blocks",
    "copied",
    "gt_json",
    "perfect",
    "pred_json",
    "random_world",
    "still_block",
    "tied_world",
    "video",
    "with_predictions",
    "write_files",
]

CATEGORIES = {1: "dog", 2: "cello", 3: "car"}
HEIGHT, WIDTH = 18, 30


def still_block(x: int, y: int, *, frames: int, width: int = 6, height: int = 6) -> np.ndarray:
    """bool (T, H, W): one block that stays."""
    mask_THW = np.zeros((frames, HEIGHT, WIDTH), dtype=bool)
    mask_THW[:, y : y + height, x : x + width] = True
    return mask_THW


def blocks(mask_THW: np.ndarray, *, category: int = 1, score: float = 1.0, track_id: int = 0) -> TrackInput:
    """A track that is absent where its mask is empty."""
    masks = [mask_HW if mask_HW.any() else None for mask_HW in mask_THW]
    return TrackInput(category=category, masks=masks, score=score, track_id=track_id)


def video(
    truth: Sequence[TrackInput],
    predictions: Sequence[TrackInput],
    *,
    name: str = "a",
    video_id: int = 1,
    frames: int | None = None,
) -> VideoInput:
    """A video of the size of the blocks; as many frames as the tracks have."""
    return VideoInput(
        name=name,
        video_id=video_id,
        num_frames=len([*truth, *predictions][0].masks) if frames is None else frames,
        height=HEIGHT,
        width=WIDTH,
        truth=truth,
        predictions=predictions,
    )


def random_world(rng: np.random.Generator, *, videos: int = 4, frames: int = 6) -> list[VideoInput]:
    """Videos with 0 to 3 truth tracks that pause, and noisy predictions: shifted, missed, doubled, invented."""
    found = []
    for index in range(videos):
        truth = [_random_track(rng, frames, track_id=10 * index + k + 1) for k in range(rng.integers(0, 4))]
        predictions = [_noisy(rng, track) for track in truth if rng.random() < 0.9]
        predictions += [_noisy(rng, track) for track in truth if rng.random() < 0.3]
        predictions += [_random_track(rng, frames) for _ in range(rng.integers(0, 3))]
        scored = [replace(track, score=float(rng.random())) for track in predictions]
        found.append(video(truth, scored, name=f"v{index:02d}", video_id=index + 1, frames=frames))
    return found


def tied_world(rng: np.random.Generator, *, videos: int = 6, frames: int = 5) -> list[VideoInput]:
    """As `random_world`, but all blocks are equal and stand in one or two places, and all scores are equal."""
    found = []
    for index in range(videos):
        places, classes = int(rng.integers(1, 3)), int(rng.integers(1, 3))
        truth, predictions = (
            [_placed_track(rng, frames, 10 * index + k + 1, places, classes) for k in range(rng.integers(0, 5))]
            for _ in range(2)
        )
        scored = [replace(track, score=0.5) for track in predictions]
        found.append(video(truth, scored, name=f"v{index:02d}", video_id=videos - index, frames=frames))
    return found


def perfect(world: Sequence[VideoInput], *, silence: Any = None) -> list[VideoInput]:
    """The same truth, predicted perfectly; `silence` stands where nothing sounds."""
    return with_predictions(
        world, lambda item: [replace(t, masks=[silence if m is None else m for m in t.masks]) for t in item.truth]
    )


def with_predictions(
    world: Sequence[VideoInput], predict: Callable[[VideoInput], Sequence[TrackInput]]
) -> list[VideoInput]:
    """The same videos with other predictions."""
    return [replace(item, predictions=list(predict(item))) for item in world]


def copied(item: VideoInput, name: str, video_id: int) -> VideoInput:
    """The same video under another name."""
    return replace(item, name=name, video_id=video_id)


def gt_json(world: Sequence[VideoInput]) -> dict[str, Any]:
    """Truth as a file holds it."""
    return {
        "categories": [{"id": number, "name": name} for number, name in CATEGORIES.items()],
        "videos": [
            {
                "id": item.video_id,
                "height": item.height,
                "width": item.width,
                "length": item.num_frames,
                "file_names": [f"{item.name}/{t}.jpg" for t in range(item.num_frames)],
            }
            for item in world
        ],
        "annotations": [
            {
                "id": track.track_id,
                "video_id": item.video_id,
                "category_id": track.category,
                "iscrowd": int(track.crowd),
                "height": item.height,
                "width": item.width,
                "segmentations": [_coded(mask) for mask in track.masks],
                "areas": [None if mask is None else int(np.sum(mask)) for mask in track.masks],
            }
            for item in world
            for track in item.truth
        ],
    }


def pred_json(world: Sequence[VideoInput]) -> list[dict[str, Any]]:
    """Predictions as a file holds them."""
    return [
        {
            "video_id": item.video_id,
            "category_id": track.category,
            "score": track.score,
            "segmentations": [_coded(mask) for mask in track.masks],
        }
        for item in world
        for track in item.predictions
    ]


def write_files(folder: Path, world: Sequence[VideoInput]) -> tuple[Path, Path]:
    """gt.json and pred.json of a world."""
    truth, predictions = folder / "gt.json", folder / "pred.json"
    truth.write_text(json.dumps(gt_json(world)))
    predictions.write_text(json.dumps(pred_json(world)))
    return truth, predictions


def _coded(mask: Any) -> dict[str, Any] | None:
    if mask is None:
        return None
    coded = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {"size": list(coded["size"]), "counts": coded["counts"].decode()}


def _random_track(rng: np.random.Generator, frames: int, *, track_id: int = 0) -> TrackInput:
    mask_THW = np.zeros((frames, HEIGHT, WIDTH), dtype=bool)
    x, y = rng.integers(0, WIDTH - 9), rng.integers(0, HEIGHT - 9)
    width, height = rng.integers(3, 9, size=2)
    for t in range(frames):
        x, y = np.clip([x + rng.integers(-2, 3), y + rng.integers(-2, 3)], 0, [WIDTH - 9, HEIGHT - 9])
        mask_THW[t, y : y + height, x : x + width] = rng.random() < 0.75
    mask_THW[rng.integers(frames), y : y + height, x : x + width] = True
    return blocks(mask_THW, category=int(rng.integers(1, 4)), track_id=track_id)


def _placed_track(rng: np.random.Generator, frames: int, track_id: int, places: int, classes: int) -> TrackInput:
    mask_THW = np.zeros((frames, HEIGHT, WIDTH), dtype=bool)
    for t in np.flatnonzero(rng.random(frames) < 0.7):
        x = 8 * int(rng.integers(0, places))
        mask_THW[t, 2:8, x : x + 8] = True
    return blocks(mask_THW, category=int(rng.integers(1, classes + 1)), track_id=track_id)


def _noisy(rng: np.random.Generator, track: TrackInput) -> TrackInput:
    masks: list[Any] = []
    for mask in track.masks:
        kind = rng.random()
        if mask is None:
            masks.append(None if kind < 0.6 else np.zeros((HEIGHT, WIDTH), dtype=bool))
        elif kind < 0.1:
            masks.append(None)
        else:
            masks.append(np.roll(mask, rng.integers(-2, 3, size=2), axis=(0, 1)) if kind < 0.7 else mask)
    category = track.category if rng.random() < 0.8 else int(rng.integers(1, 4))
    return TrackInput(category=category, masks=masks)

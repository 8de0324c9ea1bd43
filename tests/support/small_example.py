"""The small synthetic dataset that the documented examples of the Python door are about."""

from __future__ import annotations

import json
from pathlib import Path

import avis_data as avis

__all__ = ["FEW_STEPS", "perfect_results", "write_example"]

FEW_STEPS = (
    "loop.iterations=2",
    "data.batch=2",
    "data.workers=0",
    "validation.every=0",
    "validation.draw_every=0",
    "loop.log_every=1",
)
"""A training of seconds."""


def write_example(folder: Path) -> None:
    """The workspace, its export, perfect predictions of its test split, and a run of two iterations, last."""
    export = avis.make_example(folder)
    (folder / "results.json").write_text(json.dumps(perfect_results(avis.open(export).split("test"))))
    avis.train(export, folder / "runs" / "tiny", config="avism_tiny", settings=FEW_STEPS, device="cpu")


def perfect_results(clips: avis.ClipSet) -> list[dict[str, object]]:
    """The truth of some clips in the form of a result file."""
    return [
        {
            "video_id": clip.video_id,
            "category_id": track.category_id,
            "score": 0.9,
            "segmentations": [
                {"size": list(track.size_hw), "counts": (mask or avis.encode(track.mask(frame))).counts}
                for frame, mask in enumerate(track.masks)
            ],
        }
        for clip in clips
        for track in clip.tracks
    ]

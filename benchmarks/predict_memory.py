"""Peak memory of prediction against the length of the clip, on a tiny AVISM; each length in a process of its own.

    python benchmarks/predict_memory.py --frames 60 600 6000

Frames are made when they are asked for, as they would be decoded. Every clip gives ten tracks, so the second pass, in
which masks are made, runs in full; the result is written to a file too.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from torch import Tensor

from avis_data.training.config import load_config
from avis_data.training.data.clips import PredictedTrack
from avis_data.training.models.avism.model import Avism
from avis_data.training.models.spec import PredictOptions
from avis_data.training.predict.results import write_results
from avis_data.training.registry import build_model


class MadeClip:
    """A clip of noise of any length."""

    clip_id, video_id = "made", 1
    size_hw = (360, 640)

    def __init__(self, num_frames: int) -> None:
        self.num_frames = num_frames
        self.audio_TA = torch.rand(num_frames, 128)

    def frames(self, start: int, stop: int) -> Tensor:
        """Noise that depends on the frame."""
        torch.manual_seed(start)
        return torch.randint(0, 256, (stop - start, 3, 64, 114), dtype=torch.uint8)


def measure(num_frames: int) -> dict[str, float]:
    """Megabytes and seconds of one clip."""
    torch.manual_seed(0)
    model = build_model(load_config("avism_tiny")).eval()
    assert isinstance(model, Avism)
    options = PredictOptions(score_threshold=0.0, top_k=10)
    _predicted(model, 60, options)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    began = time.perf_counter()
    tracks = _predicted(model, num_frames, options)
    seconds = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    runs = sum(len(mask.counts) for track in tracks for mask in track.masks) / 1e6
    queries = num_frames * 16 * 64 * 4 / 1e6
    return {
        "frames": num_frames,
        "before_mb": round(before),
        "grown_mb": round(after - before),
        "frame_queries_mb": round(queries, 1),
        "run_lengths_mb": round(runs, 1),
        "frames_per_s": round(num_frames / seconds, 1),
    }


def _predicted(model: Avism, num_frames: int, options: PredictOptions) -> list[PredictedTrack]:
    clip = MadeClip(num_frames)
    tracks = model.predict(clip, options)
    with tempfile.TemporaryDirectory() as folder:
        write_results(Path(folder) / "results.json", [(clip, tracks)])  # type: ignore[list-item]
    return tracks


def main() -> None:
    """Print one JSON object per length."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, nargs="+", default=[60, 600, 6000])
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.here:
        print(json.dumps(measure(arguments.frames[0])))
        return
    for frames in arguments.frames:
        subprocess.run([sys.executable, __file__, "--here", "--frames", str(frames)], check=True)


if __name__ == "__main__":
    main()

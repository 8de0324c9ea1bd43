"""AVISM R-50 on one CPU thread: against transformers' Mask2Former, and against an older tree of this project.

    git worktree add ../before COMMIT
    python -m benchmarks.model_speed --before ../before [--frames 60] [--only step]

What is compared runs in turns, each in a process of its own, and CPU-seconds count, so other work on the machine
matters little. Weights are random; ten tracks of each clip are made, so that no work on masks is left out. Of repeated
runs the shortest counts.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parent.parent
SIZE = (360, 640)
TRAINED = (256, 448)
JOBS = ("step", "frames", "clip")


class Worker:
    """A process with one tree of the project, that runs a job when it is told to."""

    def __init__(self, tree: Path, *arguments: str) -> None:
        environment = {**os.environ, "PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, __file__, "--serve", *arguments],
            env=environment, cwd=tree, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        assert self._process.stdin is not None and self._process.stdout is not None
        self._to: IO[str] = self._process.stdin
        self._from: IO[str] = self._process.stdout

    def seconds(self) -> float:
        """CPU-seconds of the job, once more."""
        self._to.write("\n")
        self._to.flush()
        said = self._from.readline()
        if not said:
            raise SystemExit("a process ended; the step of older trees needs gigabytes of memory")
        return float(said)

    def end(self) -> None:
        self._to.close()
        self._process.wait()


def served(job: Callable[[], object]) -> None:
    """Run the job for each line that comes, and say how long it took."""
    for _ in sys.stdin:
        began = time.process_time()
        job()
        print(time.process_time() - began, flush=True)


def mask2former(frames: int) -> Callable[[], object]:
    """Each frame by itself; without making masks of what it says, which ours does."""
    import torch
    from transformers import Mask2FormerConfig, Mask2FormerForUniversalSegmentation, ResNetConfig

    from avis_data.training.models.frames import FrameNormaliser

    backbone = ResNetConfig(out_features=["stage1", "stage2", "stage3", "stage4"])
    model = Mask2FormerForUniversalSegmentation(
        Mask2FormerConfig(backbone_config=backbone, num_labels=26, num_queries=100)
    ).eval()
    pictures = FrameNormaliser()(torch.randint(0, 256, (frames, 3, *SIZE), dtype=torch.uint8))

    def job() -> None:
        with torch.no_grad():
            for picture in pictures:
                model(pixel_values=picture[None])

    return job


def prediction(frames: int) -> Callable[[], object]:
    """A clip of ours, with ten tracks."""
    import torch

    from avis_data.training.config import load_config
    from avis_data.training.data.clips import TensorClip
    from avis_data.training.models.spec import PredictOptions
    from avis_data.training.registry import build_model

    model = build_model(load_config("avism_r50")).eval()
    clip = TensorClip(
        clip_id="noise",
        frames_T3HW=torch.randint(0, 256, (frames, 3, *SIZE), dtype=torch.uint8),
        audio_TA=torch.rand(frames, 128),
        size_hw=SIZE,
    )
    options = PredictOptions(score_threshold=0.0, top_k=10, frames_per_pass=6)
    return lambda: model.predict(clip, options)  # type: ignore[operator]


def training_step() -> Callable[[], object]:
    """Losses and gradients of a clip of three frames with four tracks, and a change of the weights."""
    import torch

    from avis_data.training.config import load_config
    from avis_data.training.data.clips import TrainingBatch, TrainingClip
    from avis_data.training.registry import build_model
    from avis_data.training.run.optimiser import build_optimiser

    config = load_config("avism_r50")
    model = build_model(config).train()
    optimiser = build_optimiser(model, config.optimiser)
    masks = torch.zeros(4, 3, *TRAINED, dtype=torch.bool)
    for track in range(4):
        masks[track, :, 20 + 40 * track : 100 + 40 * track, 20 + 80 * track : 150 + 80 * track] = True
    clip = TrainingClip(
        clip_id="noise",
        frames_T3HW=torch.randint(0, 256, (3, 3, *TRAINED), dtype=torch.uint8),
        audio_TA=torch.rand(3, 128),
        labels_N=torch.arange(4),
        masks_NTHW=masks,
        track_ids_N=torch.arange(4),
        seed=0,
    )

    def job() -> None:
        optimiser.zero_grad(set_to_none=True)
        torch.stack(list(model(TrainingBatch(clips=(clip,))).values())).sum().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.01)
        optimiser.step()

    return job


def compared(what: str, ours: Worker, other: Worker, *, bar: float, pairs: int) -> bool:
    """Print a ratio of the shortest of runs in turns, and whether it is within its bar."""
    found = [(ours.seconds(), other.seconds()) for _ in range(pairs)]
    for worker in (ours, other):
        worker.end()
    mine, theirs = (min(column) for column in zip(*found, strict=True))
    print(f"{what}: {mine:.1f} s against {theirs:.1f} s, ratio {mine / theirs:.2f} (bar {bar})", flush=True)
    return mine / theirs <= bar


def main() -> int:
    """Print the ratios; 1 if one is not within its bar."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, help="an older tree; without it only Mask2Former is compared")
    parser.add_argument("--frames", type=int, default=60, help="of the clip that is compared with the older tree")
    parser.add_argument("--only", choices=JOBS, nargs="+", default=JOBS)
    parser.add_argument("--serve", nargs=2, metavar=("JOB", "FRAMES"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        import torch

        torch.set_num_threads(1)
        name, frames = options.serve[0], int(options.serve[1])
        made = {"mask2former": lambda: mask2former(frames), "clip": lambda: prediction(frames), "step": training_step}
        served(made[name]())
        return 0
    held = []
    before = options.before
    if "step" in options.only and before:
        pair = Worker(ROOT, "step", "0"), Worker(before, "step", "0")
        held.append(compared("training step, 3 frames of 256 x 448", *pair, bar=0.6, pairs=2))
    if "frames" in options.only:
        pair = Worker(ROOT, "clip", "6"), Worker(ROOT, "mask2former", "6")
        held.append(compared("6 frames of 360 x 640, against Mask2Former", *pair, bar=0.6, pairs=3))
    if "clip" in options.only and before:
        pair = Worker(ROOT, "clip", str(options.frames)), Worker(before, "clip", str(options.frames))
        held.append(compared(f"a clip of {options.frames} frames", *pair, bar=0.55, pairs=1))
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())

"""A mask from one tight box by the engine without weights, on the synthetic world.

    python -m benchmarks.one_box [--num-clips 24]

One box per object and still, as its exact mask has it, half-hidden objects included; masks under 400 pixels are left
out. Stills are the pipeline's own JPEGs. Prints the mean and median IoU and the time of an answer on one thread.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from avis_data.annotation.segmenters.grabcut import GrabCut
from avis_data.annotation.segmenters.segmenter import Prompt
from avis_data.formats.ytvis import read_ytvis
from avis_data.masks.rle import area, box, decode
from avis_data.paths import Workspace

WORLDS = (("320x180", 103), ("480x270", 203), ("640x360", 202), ("1280x720", 204))
"""Size and seed. No weight of the engine was fitted on these seeds."""
_LEAST_PX = 400
Box = tuple[float, float, float, float]
Boxed = tuple[NDArray[np.uint8], Box, NDArray[np.bool_]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num-clips", type=int, default=24)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    print("| size | seed | objects | mean IoU | median | IoU < 0.6 | ms p50 | ms p95 |")
    print("|---|---|---|---|---|---|---|---|")
    shares: list[float] = []
    for size, seed in WORLDS:
        with tempfile.TemporaryDirectory() as folder:
            found = [measured(*item) for item in objects(Path(folder), size, seed, arguments.num_clips)]
        of_world, seconds = (list(part) for part in zip(*found, strict=True))
        shares += of_world
        p50, p95 = np.percentile(seconds, [50, 95]) * 1000
        print(f"| {size} | {seed} | {figures(of_world)} | {p50:.0f} | {p95:.0f} |", flush=True)
    print(f"| all | | {figures(shares)} | | |")


def measured(picture_HW3: NDArray[np.uint8], around: Box, inside: NDArray[np.bool_]) -> tuple[float, float]:
    """IoU, and seconds that the answer took."""
    began = time.perf_counter()
    found = GrabCut().segment(picture_HW3, {}, Prompt(box=around)).mask_HW
    took = time.perf_counter() - began
    return float((found & inside).sum() / (found | inside).sum()), took


def objects(folder: Path, size: str, seed: int, clips: int) -> Iterator[Boxed]:
    """Still, box (x0, y0, x1, y1) and exact mask of every object in every second."""
    world, workspace = folder / "world", Workspace(folder / "dataset")
    made = ["--num-clips", clips, "--seconds", 4, "--seed", seed, "--size", size, "--video-fps", 8, "--out", world]
    for command in (
        ["synth", *made],
        ["-C", workspace.root, "fetch", "--list", world / "videos.csv", "--allow-local", "--sleep", 0],
        ["-C", workspace.root, "extract"],
    ):
        words = [sys.executable, "-m", "avis_data", *map(str, command)]
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    truth = read_ytvis(world / "truth.json")
    names = {video.video_id: video.name for video in truth.videos}
    for track in truth.tracks:
        for second, mask in enumerate(track.masks):
            if mask is None or area(mask) < _LEAST_PX:
                continue
            x, y, width, height = box(mask)
            with Image.open(workspace.frame(names[track.video_id], second)) as still:
                picture = np.asarray(still.convert("RGB"))
            yield picture, (x, y, x + width, y + height), decode(mask).astype(bool)


def figures(shares: list[float]) -> str:
    """Cells of the table: number, mean, median, share of bad ones."""
    bad = np.mean(np.asarray(shares) < 0.6)
    return f"{len(shares)} | {np.mean(shares):.3f} | {np.median(shares):.3f} | {100 * bad:.0f} %"


if __name__ == "__main__":
    main()

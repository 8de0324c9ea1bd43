"""Masks of real objects from one box or one point, against the outlines of manifests/open-15.

    python -m benchmarks.open15 --media DIR [--engine NAME --engine-weights PATH]

DIR holds the clips, named by `video_id`. Each drawn mask of 400 pixels or more is asked for by its own box, by that box
with sides moved at random, and by the point that lies deepest in it. `the filled box` is what a person gets without any
segmenter. Intervals: 95 %, bootstrap over clips. Times: CPU of one thread, the engine alone.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from avis_data.annotation.segmenters.engines import load_segmenter
from avis_data.annotation.segmenters.segmenter import Prompt, Segmenter
from avis_data.formats.ytvis import read_ytvis
from avis_data.masks.rle import area, box, decode
from avis_data.paths import Workspace
from avis_data.recipe import create_workspace

TRUTH = Path(__file__).resolve().parent.parent / "manifests" / "open-15" / "truth.json"
JITTERS = (0.0, 0.05, 0.10)
"""Largest shift of a side of the box, as a part of the box."""
_LEAST_PX = 400
_SEED = 15
_DRAWS = 2000


@dataclass(frozen=True)
class Drawn:
    """One mask of the truth on its still."""

    clip: str
    picture_HW3: NDArray[np.uint8]
    mask_HW: NDArray[np.bool_]
    box: tuple[float, float, float, float]
    point: tuple[float, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--media", type=Path, required=True)
    parser.add_argument("--engine", default="grabcut")
    parser.add_argument("--engine-weights", type=Path, default=None)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    segmenter = load_segmenter(arguments.engine, arguments.engine_weights)
    rng = np.random.default_rng(_SEED)
    shares: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    seconds: dict[str, list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        for drawn in objects(Path(folder), arguments.media.resolve()):
            filled = np.zeros_like(drawn.mask_HW)
            x0, y0, x1, y1 = (round(value) for value in drawn.box)
            filled[y0:y1, x0:x1] = True
            shares["the filled box"][drawn.clip].append(iou(filled, drawn.mask_HW))
            for name, prompt in prompts(drawn, rng):
                began = time.process_time()
                found = asked(segmenter, drawn.picture_HW3, prompt)
                seconds[name].append(time.process_time() - began)
                shares[name][drawn.clip].append(iou(found, drawn.mask_HW))
    print(
        f"engine {arguments.engine}, {sum(map(len, shares['point'].values()))} masks of {len(shares['point'])} clips\n"
    )
    print("| asked by | mean IoU | 95 % | median | IoU < 0.5 | CPU ms p50 | CPU ms p95 |")
    print("|---|---|---|---|---|---|---|")
    for name, by_clip in shares.items():
        took = np.percentile(seconds[name], [50, 95]) * 1000 if name in seconds else (0, 0)
        print(f"| {name} | {figures(by_clip, rng)} | {took[0]:.0f} | {took[1]:.0f} |")


def objects(folder: Path, media: Path) -> Iterator[Drawn]:
    """The masks of the truth on the stills of the pipeline."""
    truth, workspace = read_ytvis(TRUTH), Workspace(folder / "ds")
    rows = []
    for video in truth.videos:  # the list may cut a clip out of a longer video; the media are cut already
        name = re.sub(r"_\d+_\d+$", "", video.name)
        rows += [f"{found},{video.name}" for found in sorted(media.glob(f"{name}.*"))]
    (folder / "list.csv").write_text("\n".join(["url,video_id", *rows]) + "\n")
    workspace.root.mkdir()
    create_workspace(workspace, "aviseg")
    recipe = workspace.recipe.read_text(encoding="utf-8")
    workspace.recipe.write_text(recipe.replace("missing_sound: fail", "missing_sound: pad"), encoding="utf-8")
    for command in (["fetch", "--list", folder / "list.csv", "--allow-local", "--sleep", 0], ["extract"]):
        words = [sys.executable, "-m", "avis_data", "-C", workspace.root, *command]
        subprocess.run(list(map(str, words)), check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    names = {video.video_id: video.name for video in truth.videos}
    for track in truth.tracks:
        for second, mask in enumerate(track.masks):
            if mask is None or area(mask) < _LEAST_PX:
                continue
            with Image.open(workspace.frame(names[track.video_id], second)) as still:
                picture = np.asarray(still.convert("RGB"))
            x, y, width, height = box(mask)
            mask_HW = decode(mask).astype(bool)
            yield Drawn(names[track.video_id], picture, mask_HW, (x, y, x + width, y + height), deepest(mask_HW))


def deepest(mask_HW: NDArray[np.bool_]) -> tuple[float, float]:
    """The point of a mask that is farthest from its outline."""
    padded = np.pad(mask_HW.astype(np.uint8), 1)
    row, column = np.unravel_index(cv2.distanceTransform(padded, cv2.DIST_L2, 5).argmax(), padded.shape)
    return float(column) - 0.5, float(row) - 0.5


def prompts(drawn: Drawn, rng: np.random.Generator) -> Iterator[tuple[str, Prompt]]:
    """What a person may point at."""
    height, width = drawn.mask_HW.shape
    x0, y0, x1, y1 = drawn.box
    for jitter in JITTERS:
        shift = rng.uniform(-jitter, jitter, 4) * (x1 - x0, y1 - y0, x1 - x0, y1 - y0)
        sides = np.clip(np.asarray(drawn.box) + shift, 0, (width, height, width, height))
        yield f"box, {100 * jitter:.0f} % off", Prompt(box=(sides[0], sides[1], sides[2], sides[3]))
    yield "point", Prompt(inside=(drawn.point,))


def asked(segmenter: Segmenter, picture_HW3: NDArray[np.uint8], prompt: Prompt) -> NDArray[np.bool_]:
    """The answer of an engine; what it works out of the picture is counted too."""
    embedding = segmenter.embed(picture_HW3) if segmenter.embeds else {}
    return segmenter.segment(picture_HW3, embedding, prompt).mask_HW


def iou(one_HW: NDArray[np.bool_], two_HW: NDArray[np.bool_]) -> float:
    """Of two masks, one of which is not empty."""
    return float((one_HW & two_HW).sum() / (one_HW | two_HW).sum())


def figures(by_clip: dict[str, list[float]], rng: np.random.Generator) -> str:
    """Cells of the table: the mean of all masks with its interval over clips, median, share of bad ones."""
    clips = [np.asarray(shares) for shares in by_clip.values()]
    every = np.concatenate(clips)
    sums, counts = np.array([shares.sum() for shares in clips]), np.array([len(shares) for shares in clips])
    drawn = rng.integers(0, len(clips), (_DRAWS, len(clips)))
    low, high = np.percentile(sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1), [2.5, 97.5])
    return f"{every.mean():.3f} | {low:.2f} to {high:.2f} | {np.median(every):.3f} | {100 * (every < 0.5).mean():.0f} %"


if __name__ == "__main__":
    main()

"""What the machine does before and beside a person on real clips, against the truth of manifests/open-15.

    python -m benchmarks.open15 --media DIR [--engine NAME --engine-weights PATH] [--parts masks,propagation,activity]

DIR holds the clips, named by `video_id`. Intervals: 95 %, bootstrap over clips. Three parts:

- masks: each drawn mask of 400 pixels or more is asked for by its own box, by that box with sides moved at random, and
  by the point that lies deepest in it. `the filled box` is what a person gets without any segmenter. AUC: how often the
  confidence of a mask with that IoU is above that of one without. Times: CPU of one thread, the engine alone.
- propagation: one drawn still of each object, the one that shows most of it, is carried to the others of its clip.
- activity: the seconds that are suggested for each object of the truth, where it is seen.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from avis_data.annotation.labels.what_is_heard import Listeners, clip_heard, find_listeners
from avis_data.annotation.labels.workspace_labels import WorkspaceLabels
from avis_data.annotation.propagation.carry import carry
from avis_data.annotation.propagation.engines import find_engine, load_carrier
from avis_data.annotation.propagation.footage import Footage
from avis_data.annotation.segmenters.engines import load_segmenter
from avis_data.annotation.segmenters.segmenter import Prompt, Segmenter
from avis_data.formats.ytvis import read_ytvis
from avis_data.manifest import read_manifest
from avis_data.masks.rle import area, box, decode
from avis_data.paths import Workspace
from avis_data.recipe import create_workspace
from avis_data.records import Clip, Video

TRUTH = Path(__file__).resolve().parent.parent / "manifests" / "open-15" / "truth.json"
JITTERS = (0.0, 0.05, 0.10)
"""Largest shift of a side of the box, as a part of the box."""
_LEAST_PX = 400
_SEED = 15
_PICTURES_PER_S = 6
_DRAWS = 2000


@dataclass(frozen=True)
class Drawn:
    """One mask of the truth on its still."""

    clip: str
    picture_HW3: NDArray[np.uint8]
    mask_HW: NDArray[np.bool_]
    box: tuple[float, float, float, float]
    point: tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Got:
    """An answer, or a carried mask, against the truth."""

    how: str
    clip: str
    iou: float
    confidence: float | None = None
    cpu_s: float | None = None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--media", type=Path, required=True)
    parser.add_argument("--engine", default="grabcut")
    parser.add_argument("--engine-weights", type=Path, default=None)
    parser.add_argument("--parts", type=lambda words: words.split(","), default=["masks", "propagation", "activity"])
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        workspace = prepared(Path(folder), arguments.media.resolve())
        if "masks" in arguments.parts:
            segmenter = load_segmenter(arguments.engine, arguments.engine_weights)
            print(f"engine {arguments.engine}\n\n{table(asked(segmenter, drawn_masks(workspace)))}\n", flush=True)
        if "propagation" in arguments.parts:
            print(f"optical flow, from one drawn still of each object\n\n{table(carried(workspace))}\n", flush=True)
        if "activity" in arguments.parts:
            print(activity(workspace))


def prepared(folder: Path, media: Path) -> Workspace:
    """A workspace with the stills and the sound of the clips."""
    workspace = Workspace(folder / "ds")
    rows = []
    for video in read_ytvis(TRUTH).videos:  # the list may cut a clip out of a longer video; the media are cut already
        name = re.sub(r"_\d+_\d+$", "", video.name)
        rows += [f"{found},{video.name}" for found in sorted(media.glob(f"{name}.*"))]
    (folder / "list.csv").write_text("\n".join(["url,video_id", *rows]) + "\n")
    workspace.root.mkdir()
    create_workspace(workspace, "aviseg")
    recipe = workspace.recipe.read_text(encoding="utf-8").replace("missing_sound: fail", "missing_sound: pad")
    workspace.recipe.write_text(recipe.replace("categories: aviseg-26", "categories: open-15"), encoding="utf-8")
    for command in (["fetch", "--list", folder / "list.csv", "--allow-local", "--sleep", 0], ["extract"]):
        words = [sys.executable, "-m", "avis_data", "-C", workspace.root, *command]
        subprocess.run(list(map(str, words)), check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return workspace


def drawn_masks(workspace: Workspace) -> Iterator[Drawn]:
    """The masks of the truth on the stills of the pipeline."""
    truth = read_ytvis(TRUTH)
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


def asked(segmenter: Segmenter, drawn: Iterable[Drawn]) -> Iterator[Got]:
    """The answers of an engine; the time of what it works out of the picture is counted too."""
    rng = np.random.default_rng(_SEED)
    for item in drawn:
        filled = np.zeros_like(item.mask_HW)
        x0, y0, x1, y1 = (round(value) for value in item.box)
        filled[y0:y1, x0:x1] = True
        yield Got(how="the filled box", clip=item.clip, iou=iou(filled, item.mask_HW))
        for how, prompt in prompts(item, rng):
            began = time.process_time()
            embedding = segmenter.embed(item.picture_HW3) if segmenter.embeds else {}
            found = segmenter.segment(item.picture_HW3, embedding, prompt)
            took = time.process_time() - began
            share = iou(found.mask_HW, item.mask_HW)
            yield Got(how=how, clip=item.clip, iou=share, confidence=found.confidence, cpu_s=took)


def carried(workspace: Workspace) -> Iterator[Got]:
    """What propagation brings to stills that nobody drew on; a mask where the object is not to be seen has IoU 0."""
    truth = read_ytvis(TRUTH)
    clips = {clip.clip_id: clip for clip in read_manifest(workspace.manifest / "clips.jsonl", Clip)}
    videos = {video.video_id: video for video in read_manifest(workspace.manifest / "videos.jsonl", Video)}
    carrier = load_carrier(find_engine("optical-flow", None))
    for video in truth.videos:
        clip = clips[video.name]
        masks = {
            str(track.track_id): {t: mask for t, mask in enumerate(track.masks) if mask is not None}
            for track in truth.tracks
            if track.video_id == video.video_id and any(track.masks)
        }
        most = {name: max(stills, key=lambda t: (area(stills[t]), -t)) for name, stills in masks.items()}
        drawn = {name: {still: masks[name][still]} for name, still in most.items()}
        footage = Footage.of_clip(workspace, clip, videos[clip.video_id], fps=_PICTURES_PER_S)
        arrivals = carry(carrier, footage, drawn, num_frames=clip.num_frames).arrivals
        for name, stills in masks.items():
            for still in range(clip.num_frames):
                arrival = arrivals[name].get(still)
                got = arrival.rle if arrival is not None else None
                if still == most[name] or (got is None and still not in stills):
                    continue
                share = 0.0
                if got is not None and still in stills:
                    share = iou(decode(got).astype(bool), decode(stills[still]).astype(bool))
                far = "next still" if abs(still - most[name]) == 1 else "farther"
                confidence = arrival.confidence if arrival is not None else 0.0
                for how in (far, "all stills"):
                    yield Got(how=how, clip=clip.clip_id, iou=share, confidence=confidence)


def activity(workspace: Workspace) -> str:
    """Markdown: seconds in which something, somebody or an object is heard, by each way to listen."""
    ways = {"loudness": Listeners()}
    if (found := find_listeners()).names:
        ways["speech too"] = found
    lines = [
        "| by | seconds in which | true | found | F1 | 95 % | precision | recall | CPU ms a second |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, listeners in ways.items():
        lines += [f"| {name} {line}" for line in _heard_rows(workspace, listeners)]
    return "\n".join(lines)


def _heard_rows(workspace: Workspace, listeners: Listeners) -> Iterator[str]:
    truth, labels = read_ytvis(TRUTH), WorkspaceLabels(workspace)
    counts: dict[str, dict[str, NDArray[np.int64]]] = defaultdict(dict)
    names = {item.id: item.name for item in truth.categories}
    took_s, num_seconds = 0.0, 0
    for video in truth.videos:
        clip = labels.clips[video.name]
        tracks = [track for track in truth.tracks if track.video_id == video.video_id and any(track.masks)]
        said = np.array([[bool(flag) for flag in track.sounding or ()] for track in tracks], dtype=bool)
        said = said.reshape(len(tracks), clip.num_seconds)
        listen = partial(clip_heard, workspace, clip.clip_id, clip.num_seconds, categories=labels.categories)
        listen(listeners=listeners)  # what is loaded once is not counted
        began = time.process_time()
        heard = listen(listeners=listeners)
        took_s, num_seconds = took_s + time.process_time() - began, num_seconds + clip.num_seconds
        seen = np.array([[mask is not None for mask in track.masks] for track in tracks], dtype=bool)
        suggested = np.array([heard.of(names[track.category_id]) for track in tracks], dtype=bool)
        found = seen.reshape(said.shape) & suggested.reshape(said.shape)
        silent = ~np.asarray(heard.silent)
        people = np.array([names[track.category_id] == "person" for track in tracks], dtype=bool)
        counts["something sounds"][video.name] = hits(silent, said.any(axis=0))
        counts["somebody in view speaks"][video.name] = hits(found[people].any(axis=0), said[people].any(axis=0))
        counts["another object sounds"][video.name] = hits(found[~people].any(axis=0), said[~people].any(axis=0))
        counts["an object sounds"][video.name] = hits(np.ravel(found), np.ravel(said))
    rng = np.random.default_rng(_SEED)
    for what, by_clip in counts.items():
        each = np.array(list(by_clip.values()))
        both, wrong, missed = each.sum(axis=0)
        some = each[rng.integers(0, len(each), (_DRAWS, len(each)))].sum(axis=1)
        low, high = np.percentile(2 * some[:, 0] / np.maximum(1, 2 * some[:, 0] + some[:, 1] + some[:, 2]), [2.5, 97.5])
        yield (
            f"| {what} | {both + missed} | {both + wrong} | {2 * both / (2 * both + wrong + missed):.2f} "
            f"| {low:.2f} to {high:.2f} | {both / (both + wrong):.2f} | {both / (both + missed):.2f} "
            f"| {1000 * took_s / num_seconds:.0f} |"
        )


def hits(found: NDArray[np.bool_], said: NDArray[np.bool_]) -> NDArray[np.int64]:
    """In both, only found, only said."""
    return np.array([(found & said).sum(), (found & ~said).sum(), (~found & said).sum()])


def iou(one_HW: NDArray[np.bool_], two_HW: NDArray[np.bool_]) -> float:
    """Of two masks, one of which is not empty."""
    return float((one_HW & two_HW).sum() / (one_HW | two_HW).sum())


def table(got: Iterable[Got]) -> str:
    """Markdown: a row for each way."""
    by_way: dict[str, list[Got]] = defaultdict(list)
    for one in got:
        by_way[one.how].append(one)
    lines = [
        "| asked by | masks | clips | mean IoU | 95 % | median | IoU < 0.5 | AUC 0.5 | AUC 0.7 | CPU ms p50 | p95 |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for how, part in by_way.items():
        took = [one.cpu_s for one in part if one.cpu_s is not None]
        times = [f"{1000 * value:.0f}" for value in np.percentile(took, [50, 95])] if took else ["", ""]
        cells = [how, f"{len(part)}", *figures(part), auc(part, 0.5), auc(part, 0.7), *times]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def figures(got: Sequence[Got]) -> list[str]:
    """Number of clips, the mean of all masks with its interval over clips, median, share of bad ones."""
    by_clip: dict[str, list[float]] = defaultdict(list)
    for one in got:
        by_clip[one.clip].append(one.iou)
    every = np.array([one.iou for one in got])
    sums, counts = np.array([sum(part) for part in by_clip.values()]), np.array([*map(len, by_clip.values())])
    some = np.random.default_rng(_SEED).integers(0, len(counts), (_DRAWS, len(counts)))
    low, high = np.percentile(sums[some].sum(axis=1) / counts[some].sum(axis=1), [2.5, 97.5])
    bad = 100 * (every < 0.5).mean()
    return [
        f"{len(counts)}",
        f"{every.mean():.3f}",
        f"{low:.2f} to {high:.2f}",
        f"{np.median(every):.3f}",
        f"{bad:.0f} %",
    ]


def auc(got: Iterable[Got], least: float) -> str:
    """How often the confidence of a good mask is above that of a bad one; nothing where nothing is to be told apart."""
    said = [(one.confidence, one.iou >= least) for one in got if one.confidence is not None]
    good, bad = (np.array([value for value, side in said if side == wanted]) for wanted in (True, False))
    if not len(good) or not len(bad):
        return ""
    over, equal = good[:, None] > bad[None], good[:, None] == bad[None]
    return f"{(over + 0.5 * equal).mean():.2f}"


if __name__ == "__main__":
    main()

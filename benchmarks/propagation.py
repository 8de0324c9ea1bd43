"""How many stills an annotator must touch by hand, and with masks propagated from one drawn still of each object.

    python -m benchmarks.propagation --folder CACHE [--num-clips 24] [--seconds 10] [--seed 11] [--drawn 1]

On the synthetic world, whose masks are exact. A still must be touched if its mask has an IoU below a bound, is missing,
or is there although the object is not to be seen; the drawn ones count too. The scripted annotator draws each object on
the still that shows most of it (with --drawn 2 also on the one farthest from it). The table is Markdown.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pycocotools import mask as coco_mask

from avis_data.annotation.labels.records import Flag
from avis_data.annotation.propagation.carry import Arrival, CarriedClip, carry
from avis_data.annotation.propagation.engines import find_engine, load_carrier
from avis_data.annotation.propagation.flags import flags_of
from avis_data.annotation.propagation.footage import Footage
from avis_data.cli.main import main as avis_data
from avis_data.manifest import read_manifest
from avis_data.masks.rle import Rle, area, coco_dict
from avis_data.paths import Workspace
from avis_data.records import Clip, Video
from avis_data.synth.labels import SceneLabels, read_scenes

BOUNDS = (0.8, 0.9)


@dataclass(frozen=True, kw_only=True)
class Still:
    """One object on one still."""

    scenario: str
    category: str
    is_seen: bool
    is_drawn: bool
    is_flagged: bool
    iou: float
    """1 where neither truth nor result has a mask."""


def main() -> int:
    """Make the clips, measure, print the table; 1 if propagation saves no half of the stills."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="where the clips are kept between runs")
    parser.add_argument("--num-clips", type=int, default=24)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--video-fps", type=int, default=6)
    parser.add_argument("--drawn", type=int, choices=(1, 2), default=1)
    parser.add_argument("--engine", default="optical-flow")
    parser.add_argument("--engine-weights", type=Path)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = (options.folder or Path(scratch)).absolute() / f"propagation-{options.seed}-{options.seconds}"
        prepare(folder, options.num_clips, options.seconds, options.seed)
        scenes = read_scenes(folder / "world" / "scenes.json")[: options.num_clips]
        work = partial(
            measure, folder / "dataset", options.engine, options.engine_weights, options.video_fps, options.drawn
        )
        started = time.monotonic()
        with ProcessPoolExecutor(options.workers) as pool:
            stills = [still for part in pool.map(work, scenes) for still in part]
    if not stills:
        raise SystemExit("no object is seen in these clips")
    print(
        f"{options.engine}, {options.video_fps} pictures a second, {options.drawn} drawn still(s) per object, "
        f"{len(scenes)} clips of {options.seconds} s, seed {options.seed}, {time.monotonic() - started:.0f} s"
    )
    print(table(stills))
    print(flag_table(stills))
    touched = sum(must_touch(still, BOUNDS[0]) for still in stills)
    return int(touched > 0.5 * sum(still.is_seen for still in stills))


def prepare(folder: Path, clips: int, seconds: int, seed: int) -> None:
    """World and workspace; what is there stays."""
    world, dataset = folder / "world", folder / "dataset"
    size = ["--num-clips", str(clips), "--seconds", str(seconds), "--seed", str(seed)]
    before, stdout = os.getcwd(), os.dup(1)
    os.dup2(2, 1)  # what the commands say is no result of ours
    try:
        for arguments in (
            ["synth", *size, "--out", str(world)],
            ["-C", str(dataset), "fetch", "--list", str(world / "videos.csv"), "--allow-local", "--sleep", "0"],
            ["-C", str(dataset), "extract"],
        ):
            if code := avis_data(arguments):
                raise SystemExit(f"avis-data {' '.join(arguments)} ended with {code}")
            os.chdir(before)
    finally:
        sys.stdout.flush()
        os.dup2(stdout, 1)


def measure(dataset: Path, engine: str, weights: Path | None, fps: int, drawn: int, scene: SceneLabels) -> list[Still]:
    """Every object of a clip on every still."""
    workspace = Workspace(dataset)
    (clip,) = (
        clip for clip in read_manifest(workspace.manifest / "clips.jsonl", Clip) if clip.clip_id == scene.clip_id
    )
    videos = {video.video_id: video for video in read_manifest(workspace.manifest / "videos.jsonl", Video)}
    truth = truth_of(scene)
    if not truth:
        return []
    chosen = {name: {frame: masks[frame] for frame in choice(masks, drawn)} for name, masks in truth.items()}
    footage = Footage.of_clip(workspace, clip, videos[clip.video_id], fps=fps)
    carried = carry(load_carrier(find_engine(engine, weights)), footage, chosen, num_frames=clip.num_frames)
    flagged = flagged_stills(flags_of(carried, chosen), carried)
    return [
        still_of(
            scene,
            name,
            truth=truth[name].get(frame),
            is_drawn=frame in chosen[name],
            arrival=carried.arrivals[name].get(frame),
            is_flagged=(name, frame) in flagged,
        )
        for name in truth
        for frame in range(clip.num_frames)
    ]


def truth_of(scene: SceneLabels) -> dict[str, dict[int, Rle]]:
    """Identity to still to mask, of the objects that are ever seen."""
    found = {}
    for track in scene.tracks:
        masks = {t: mask for t in range(scene.num_seconds) if (mask := scene.mask(track, t)) is not None}
        if masks:
            found[f"{track.category}_{track.track_id}"] = masks
    return found


def choice(masks: dict[int, Rle], number: int) -> list[int]:
    """The stills that are drawn on."""
    first = max(masks, key=lambda frame: (area(masks[frame]), -frame))
    return [first, *sorted(masks, key=lambda frame: -abs(frame - first))[: number - 1]]


def flagged_stills(flags: Iterable[Flag], carried: CarriedClip) -> set[tuple[str, int]]:
    """Stills that somebody who follows the flags looks at; a lost object is flagged once for all that follow."""
    found = set()
    for flag in flags:
        if flag.identity is None:
            continue
        found.add((flag.identity, flag.frame))
        frame, arrivals = flag.frame, carried.arrivals[flag.identity]
        while flag.reason == "lost" and frame in arrivals and arrivals[frame].rle is None:
            found.add((flag.identity, frame))
            frame += 1
    return found


def still_of(
    scene: SceneLabels,
    name: str,
    *,
    truth: Rle | None,
    is_drawn: bool,
    arrival: Arrival | None,
    is_flagged: bool,
) -> Still:
    """Truth and result compared."""
    rle = arrival.rle if arrival is not None else None
    if truth is None or rle is None:
        iou = 1.0 if is_drawn else float(truth is rle)
    else:
        iou = float(coco_mask.iou([coco_dict(truth)], [coco_dict(rle)], [0])[0, 0])
    return Still(
        scenario=scene.scenario,
        category=name.rpartition("_")[0],
        is_seen=truth is not None,
        is_drawn=is_drawn,
        is_flagged=is_flagged,
        iou=iou,
    )


def must_touch(still: Still, bound: float) -> bool:
    """Whether a person has to draw, mend or remove something."""
    return still.is_drawn or still.iou < bound


def table(stills: list[Still]) -> str:
    """Stills to touch, by scenario and by category, and of all."""
    lines = [
        "",
        "| | by hand | touched, IoU < 0.8 | share | touched, IoU < 0.9 | share | mean IoU |",
        "|---|---|---|---|---|---|---|",
    ]
    names: list[tuple[str, Callable[[Still], bool]]] = []
    for scenario in sorted({still.scenario for still in stills}):
        names.append((scenario, partial(_has, "scenario", scenario)))
    for category in sorted({still.category for still in stills}):
        names.append((f"*{category}*", partial(_has, "category", category)))
    names.append(("**all**", lambda _: True))
    for name, wanted in names:
        part = [still for still in stills if wanted(still)]
        by_hand = sum(still.is_seen for still in part)
        touched = [sum(must_touch(still, bound) for still in part) for bound in BOUNDS]
        carried = [still.iou for still in part if still.is_seen and not still.is_drawn]
        shares = [f"{number} | {100 * number / by_hand:.0f} %" for number in touched]
        mean = sum(carried) / len(carried) if carried else 1.0
        lines.append(f"| {name} | {by_hand} | {' | '.join(shares)} | {mean:.3f} |")
    return "\n".join(lines)


def flag_table(stills: list[Still]) -> str:
    """How many of the bad stills the flags name, and how many of the named ones are bad."""
    carried = [still for still in stills if not still.is_drawn]
    flagged = [still for still in carried if still.is_flagged]
    lines = ["", f"{len(flagged)} of {len(carried)} carried stills are flagged.", ""]
    lines += [
        "| bad means | bad stills | flagged of them (recall) | bad of the flagged (precision) |",
        "|---|---|---|---|",
    ]
    for bound in BOUNDS:
        bad = [still for still in carried if still.iou < bound]
        both = sum(still.iou < bound for still in flagged)
        recall, precision = (100 * both / max(1, len(part)) for part in (bad, flagged))
        lines.append(f"| IoU < {bound} | {len(bad)} | {recall:.0f} % | {precision:.0f} % |")
    return "\n".join(lines)


def _has(field: str, value: str, still: Still) -> bool:
    return getattr(still, field) == value


if __name__ == "__main__":
    sys.exit(main())

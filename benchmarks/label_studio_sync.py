"""Push and pull of many tasks against a real Label Studio (SQLite): time, and peak memory of our side.

    python -m benchmarks.label_studio_sync [--tasks 5000] [--json]

Each clip has 5 seconds at 360 x 640, one track with 4 masks and two spans. Each of push, push again, pull, and pull
again runs in a process of its own, whose peak memory is told; scripted annotators submit every task as it was filled.
The same with a tenth of the tasks before shows what grows.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from avis_data.annotation.labels.records import ClipTask, Interval, LabelledMask, LabelledTrack, MaskOrigin
from avis_data.annotation.labels.states import states
from avis_data.annotation.labels.store import read_round
from avis_data.annotation.labels.workspace_labels import WorkspaceLabels
from avis_data.annotation.labelstudio.regions import regions_from_tracks
from avis_data.annotation.labelstudio.settings import connect
from avis_data.annotation.serve.servers import ServeOptions, label_studio_only
from avis_data.annotation.work.pull import pull_rounds
from avis_data.annotation.work.push import push_round
from avis_data.manifest import write_manifest
from avis_data.masks.rle import encode
from avis_data.paths import Workspace
from avis_data.recipe import create_workspace
from avis_data.records import Clip, SoundState

SECONDS, HEIGHT, WIDTH = 5, 360, 640
PORT = 8187
MAX_MB, MAX_GROWTH = 400.0, 1.5
"""Bounds: our process's peak, and its growth from a tenth of the tasks to all of them."""


def main() -> int:
    """Measure, print a table or JSON, and give 1 if a bound does not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=5000)
    parser.add_argument("--json", action="store_true", dest="as_json")
    options = parser.parse_args()
    rows = [row for count in (options.tasks // 10, options.tasks) for row in _measured(count)]
    small, large = ([row["peak_mb"] for row in rows if row["tasks"] == n] for n in (rows[0]["tasks"], options.tasks))
    growth = max(after / before for before, after in zip(small, large, strict=True))
    ok = max(large) <= MAX_MB and growth <= MAX_GROWTH
    if options.as_json:
        print(json.dumps({"rows": rows, "growth": round(growth, 2), "ok": ok}))
        return 0 if ok else 1
    print(f"{'tasks':>6} {'what':16} {'wall s':>8} {'tasks/s':>8} {'peak MB':>8}")
    for row in rows:
        rate = row["tasks"] / row["wall_s"]
        print(f"{row['tasks']:6} {row['what']:16} {row['wall_s']:8.1f} {rate:8.1f} {row['peak_mb']:8.0f}")
    print(f"peak memory from {options.tasks // 10} to {options.tasks} tasks: {growth:.2f} x (bound {MAX_GROWTH})")
    print(f"largest peak: {max(large):.0f} MB (bound {MAX_MB:.0f})" + ("" if ok else "  NOT MET"))
    return 0 if ok else 1


def _measured(count: int) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as scratch:
        workspace = Workspace(Path(scratch))
        create_workspace(workspace, "aviseg")
        write_manifest(workspace.manifest / "clips.jsonl", map(_clip, range(count)))
        (workspace.root / "clips").mkdir()
        rows = []
        with label_studio_only(workspace, ServeOptions(port=PORT)):
            for name, step in (("push", _push), ("push again", _push), ("submit", _submit), ("pull", _pull)):
                rows.append({"tasks": count, "what": name} | _run(step, workspace.root, count))
            rows.append({"tasks": count, "what": "pull again"} | _run(_pull, workspace.root, 0))
        return [row for row in rows if row["what"] != "submit"]


def _run(step: Callable[[Path, int], None], root: Path, count: int) -> dict[str, float]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    began = time.monotonic()
    process = context.Process(target=_child, args=(step, root, count, theirs))
    process.start()
    theirs.close()
    peak_mb = ours.recv()
    process.join()
    return {"wall_s": round(time.monotonic() - began, 1), "peak_mb": peak_mb}


def _child(step: Callable[[Path, int], None], root: Path, count: int, pipe: Any) -> None:
    step(root, count)
    pipe.send(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def _push(root: Path, count: int) -> None:
    client, settings = connect(Workspace(root))
    starts = (ClipTask(clip_id=f"clip{number:05d}") for number in range(count))
    push_round(
        WorkspaceLabels(Workspace(root)),
        client,
        settings,
        round_name="draft",
        annotator=None,
        clips=starts,
        complete=_filled,
    )


def _submit(root: Path, count: int) -> None:
    client, _ = connect(Workspace(root))
    verdict = {"type": "choices", "from_name": "verdict", "to_name": "frame", "value": {"choices": ["done"]}}

    def annotate(task: tuple[int, str]) -> None:
        regions = regions_from_tracks(_filled(ClipTask(clip_id=task[1])).tracks)
        client.annotate(task[0], [*regions, {"id": "verdict", **verdict}], lead_time=30.0)

    project_id = read_round(Workspace(root), "draft").projects[0].project_id
    tasks = [(task.id, task.clip_id) for task in client.tasks(project_id)]
    assert len(tasks) == count
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(annotate, tasks))


def _pull(root: Path, count: int) -> None:
    client, _ = connect(Workspace(root))
    report = pull_rounds(WorkspaceLabels(Workspace(root)), client)
    assert len(report.labelled) == count, (len(report.labelled), count)
    assert not report.problems and not report.failed, (report.problems[:3], report.failed)


def _filled(task: ClipTask) -> ClipTask:
    rng = np.random.default_rng(int(task.clip_id.removeprefix("clip")))
    masks = tuple(_mask(rng, frame) for frame in range(SECONDS - 1))
    intervals = (Interval(start_s=0, end_s=2), Interval(start_s=3, end_s=4))
    track = LabelledTrack(
        identity="dog_1",
        category="dog",
        intervals=intervals,
        states=states(intervals, {mask.frame for mask in masks}, SECONDS),
        masks=masks,
    )
    return task.model_copy(update={"tracks": (track,)})


def _mask(rng: np.random.Generator, frame: int) -> LabelledMask:
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    centre_y, centre_x, radius = rng.integers(80, 280), rng.integers(80, 560), rng.integers(30, 120)
    wobble = 1 + 0.1 * np.sin(np.arctan2(y - centre_y, x - centre_x) * int(rng.integers(3, 9)))
    rle = encode(np.hypot(y - centre_y, x - centre_x) < radius * wobble)
    origin = MaskOrigin.IMPORTED
    return LabelledMask(frame=frame, height=HEIGHT, width=WIDTH, counts=rle.counts, origin=origin)


def _clip(number: int) -> Clip:
    return Clip(
        clip_id=f"clip{number:05d}",
        video_id=f"video{number:05d}",
        start_s=0,
        num_seconds=SECONDS,
        width=WIDTH,
        height=HEIGHT,
        frame_at="mid",
        sound=SoundState.COMPLETE,
        frames_sha256="0" * 64,
        audio_sha256="0" * 64,
        categories=["dog"],
    )


if __name__ == "__main__":
    raise SystemExit(main())

"""What the ledger and the planner cost: per finished item, and for a dataset of 100,000 clips.

Run: python -m benchmarks.ledger [--num-clips 100000] [--json]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

from avis_data.io import sha256_text
from avis_data.ledger import Done, Ledger, Output
from avis_data.paths import Workspace
from avis_data.pipelines.engine.planner import Selection, plan_stage
from avis_data.pipelines.engine.stage import item_key, stage_key
from avis_data.pipelines.kept_video_list import CLIP_ROW
from avis_data.pipelines.stages.extract import ExtractStage, extract_items
from avis_data.recipe import ExtractOptions
from avis_data.records import SoundTrack, Span, Video, VideoStream
from avis_data.video_list import ClipRow

CLIPS_PER_VIDEO = 10
BOUNDS = {"ledger_ms_per_finished_item": 1.0, "planning_nothing_done_s": 2.0, "planning_all_done_s": 2.0}


def video(index: int) -> Video:
    """A source video as fetch records it."""
    media = VideoStream(
        duration_s=600.0, start_s=0.0, video_index=0, video_start_s=0.0, width=1280, height=720, fps=29.97,
        video_codec="h264",
        sound=SoundTrack(index=1, start_s=0.0, end_s=600.0, codec="aac", channels=2, rate_hz=44100),
    )  # fmt: skip
    return Video(
        video_id=f"v{index:06d}", url=f"https://example.org/{index}", path=f"sources/v{index:06d}.mp4",
        size_bytes=10**8, sha256=sha256_text(str(index)), title="A title of the usual length", extractor="generic",
        downloader="yt-dlp 2026.10.26", accessed_on="2026-11-20", media=media,
    )  # fmt: skip


def clip_row(index: int) -> ClipRow:
    """A row of the list."""
    start_s = 60.0 * (index % CLIPS_PER_VIDEO)
    video_id = f"v{index // CLIPS_PER_VIDEO:06d}"
    return ClipRow(span=Span(clip_id=f"c{index:06d}", video_id=video_id, start_s=start_s, end_s=start_s + 60))


def fill(ledger: Ledger, num_clips: int) -> None:
    """Say that all sources are fetched and all clips are wanted."""
    num_videos = num_clips // CLIPS_PER_VIDEO
    for index in range(num_videos):
        record = video(index)
        ledger.commit_done(
            "fetch",
            Done(
                item_id=record.video_id, key="k", facts=record.model_dump(mode="json"), inputs={},
                outputs=[Output(path=record.path, sha256=record.sha256, size_bytes=10**8)], wall_s=1.0, cpu_s=1.0,
            ),
        )  # fmt: skip
    rows = (clip_row(index) for index in range(num_clips))
    ledger.replace_wanted(
        (f"v{index:06d}" for index in range(num_videos)),
        ((row.span.clip_id, CLIP_ROW.dump_json(row).decode()) for row in rows),
    )


def finish(workspace: Workspace, ledger: Ledger, stage: ExtractStage) -> float:
    """Commit every clip as extracted, with three outputs on disk; gives CPU-seconds per item in the ledger."""
    prefix = stage_key(stage)
    spent_s, items = 0.0, extract_items(ledger).items
    for item in items:
        folder = workspace.clip_dir(item.item_id)
        (folder / "frames").mkdir(parents=True)
        outputs = []
        for name in ("frames", "audio.wav", "times.json"):
            path = folder / name
            if name != "frames":
                path.touch()
            outputs.append(
                Output(path=workspace.relative(path), sha256="0" * 64, size_bytes=1, mtime_ns=path.stat().st_mtime_ns)
            )
        facts = {
            "start_s": 0.0,
            "num_seconds": 60,
            "fps": 1.0,
            "num_frames": 60,
            "width": 1280,
            "height": 720,
            "frame_at": "mid",
            "sound": "complete",
        }
        done = Done(
            item_id=item.item_id, key=item_key(prefix, item), facts=facts, inputs={}, outputs=outputs,
            wall_s=5.0, cpu_s=5.0,
        )  # fmt: skip
        started = time.process_time()
        ledger.commit_done("extract", done)
        spent_s += time.process_time() - started
    return spent_s / len(items)


def planning_s(workspace: Workspace, ledger: Ledger, stage: ExtractStage) -> tuple[float, int]:
    """CPU-seconds to make and plan all items, and how many are to do."""
    started = time.process_time()
    plan = plan_stage(workspace, ledger, stage, extract_items(ledger), Selection())
    return time.process_time() - started, len(plan.todo)


def main() -> int:
    """Measure, print a table or JSON, and give 1 if a bound does not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--num-clips", type=int, default=100_000)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        workspace, stage = Workspace(Path(folder)), ExtractStage(ExtractOptions())
        with Ledger(workspace.ledger) as ledger:
            fill(ledger, arguments.num_clips)
            plan_new_s, num_new = planning_s(workspace, ledger, stage)
            item_s = finish(workspace, ledger, stage)
            plan_done_s, num_left = planning_s(workspace, ledger, stage)
    assert (num_new, num_left) == (arguments.num_clips, 0)
    found = {
        "ledger_ms_per_finished_item": 1000 * item_s,
        "planning_nothing_done_s": plan_new_s,
        "planning_all_done_s": plan_done_s,
    }
    if arguments.json:
        print(json.dumps({"clips": arguments.num_clips, "measured": found, "bounds": BOUNDS}))
        return 0
    print(f"{arguments.num_clips} clips; planning reads the ledger and looks at three files of every finished clip")
    for name, value in found.items():
        print(f"{name:32} {value:8.3f}   (at most {BOUNDS[name]})")
    return 0 if all(found[name] <= bound for name, bound in BOUNDS.items()) else 1


if __name__ == "__main__":
    sys.exit(main())

"""What commands cost in a workspace of 10,000 to 1,000,000 clips: CPU-seconds, peak memory, and how both grow.

The workspace is made up: a ledger, manifests, tables of masks and tracks, and the folder of one clip to which all
others are links. There are no media in it, so only what reads ledger, manifests and tables can be measured. What reads
an export has one of as many clips (`benchmarks.scale_export`), up to 100,000.

Run: python -m benchmarks.scale [--clips 10000,100000] [--folder DIR] [NAME ...]
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from avis_data import __version__
from avis_data.features.store import BUCKETS, bucket, part_name
from avis_data.io import sha256_text, write_json, write_lines
from avis_data.ledger.database import COLUMNS, Database
from avis_data.masks.rle import area, box, encode
from avis_data.masks.table import MASK_SCHEMA
from avis_data.paths import Workspace
from avis_data.pipelines.engine.stage import Input, Item, item_key, params_key, stage_key
from avis_data.pipelines.stages.embed import EmbedParams, EmbedRequest, EmbedStage
from avis_data.pipelines.stages.extract import ExtractRequest, ExtractStage
from avis_data.recipe import DEFAULT_RECIPE, create_workspace, load_recipe
from avis_data.records import Clip, Span, Track, Video
from benchmarks.ledger import video as fetched_video
from benchmarks.scale_export import build_export

CLIPS_PER_VIDEO = 10
STILLS = 5
WEIGHTS = "untrained-0"
ENTRIES = ("frames", "audio.wav", "times.json")


@dataclass(frozen=True, kw_only=True)
class Bar:
    """A command, and what it may cost with 100,000 clips."""

    arguments: tuple[str, ...]
    cpu_s: float
    peak_mb: float = 250.0


COMMANDS = {
    "status": Bar(arguments=("status",), cpu_s=2.0),
    "extract": Bar(arguments=("extract", "--dry-run"), cpu_s=4.0),
    "embed": Bar(arguments=("embed", "--untrained", "--dry-run"), cpu_s=4.0),
    "fetch": Bar(arguments=("fetch", "--dry-run"), cpu_s=4.0),
    "preview": Bar(arguments=("preview", "--dry-run"), cpu_s=4.0),
    "fingerprint": Bar(arguments=("fingerprint", "--dry-run"), cpu_s=4.0),
    "export": Bar(arguments=("export", "--without-features", "--without-media", "--dry-run"), cpu_s=8.0),
    "export_all": Bar(arguments=("export", "--without-features", "--select", "all", "--dry-run"), cpu_s=8.0),
    "review": Bar(arguments=("review", "status"), cpu_s=4.0),
    "rights": Bar(arguments=("rights",), cpu_s=4.0),
}
OF_EXPORT = {
    "stats": Bar(arguments=("stats", "{export}"), cpu_s=math.inf),
    "validate": Bar(arguments=("validate", "{export}"), cpu_s=math.inf),
    "diff": Bar(arguments=("diff", "{export}", "{export}"), cpu_s=math.inf),
    "report": Bar(arguments=("report", "{export}", "--num-clips", "2", "--out", "{export}.html"), cpu_s=math.inf),
}
"""There is no bar for their time."""
MOST_OF_EXPORT = 100_000
END = ("2026-11-20T00:00:00+00:00", __version__)
"""When and by what a row was written."""


def clip_name(number: int) -> str:
    """The id of a clip."""
    return f"c{number:07d}"


def video(number: int) -> Video:
    """A source video as fetch records it."""
    return fetched_video(number).model_copy(update={"license": "cc-by-4.0"})


def build(root: Path, num_clips: int) -> None:
    """Make the workspace: all is fetched, extracted and embedded; every other clip has truth."""
    workspace = Workspace(root)
    create_workspace(workspace, DEFAULT_RECIPE)
    first = workspace.clip_dir("first")
    (first / "frames").mkdir(parents=True)
    for number in range(STILLS):
        (first / "frames" / f"{number:05d}.jpg").touch()
    for name in ENTRIES[1:]:
        (first / name).touch()
    for number in range(num_clips):
        os.symlink("first", workspace.clip_dir(clip_name(number)))
    num_videos = -(-num_clips // CLIPS_PER_VIDEO)
    Database(workspace.ledger, read_only=False).close()
    fill_ledger(workspace, num_clips, num_videos)
    write_lines(workspace.manifest / "videos.jsonl", (video(n).model_dump_json() for n in range(num_videos)))
    write_lines(workspace.manifest / "clips.jsonl", (clip(n).model_dump_json() for n in range(num_clips)))
    fill_truth(workspace, num_clips)
    write_lines(
        workspace.video_list,
        ["video_id,url,start,end"]
        + [
            f"v{n // CLIPS_PER_VIDEO:06d},https://example.org/{n // CLIPS_PER_VIDEO},{5 * (n % 10)},{5 * (n % 10) + 5}"
            for n in range(num_clips)
        ],
    )


def clip(number: int) -> Clip:
    """A line of `manifest/clips.jsonl`."""
    return Clip(
        clip_id=clip_name(number), video_id=f"v{number // CLIPS_PER_VIDEO:06d}", start_s=5.0 * (number % 10),
        num_seconds=STILLS, fps=1.0, num_frames=STILLS, width=640, height=360, frame_at="mid", sound="complete",
        frames_sha256=sha256_text(f"frames {number}"), audio_sha256=sha256_text(f"audio {number}"),
        categories=["dog"] if number % 2 else ["person"],
    )  # fmt: skip


def fetched(num_videos: int) -> Iterator[tuple[object, ...]]:
    """Rows of the ledger of sources."""
    for number in range(num_videos):
        found = video(number)
        left = json.dumps([[found.path, found.sha256, found.size_bytes, 1]])
        yield (
            *("fetch", found.video_id, "k", "done", None, None, found.model_dump_json(), "{}", left),
            *(found.size_bytes, 1, 1.0, 1.0, *END),
        )


def extracted(num_clips: int, key: str, mtimes: list[int]) -> Iterator[tuple[object, ...]]:
    """Rows of clips; the key is that of the stage."""
    files = {name: sha256_text(name) for name in ENTRIES}
    media = video(0).media
    assert media is not None
    for number in range(num_clips):
        name, start_s = clip_name(number), 5.0 * (number % CLIPS_PER_VIDEO)
        owner = f"v{number // CLIPS_PER_VIDEO:06d}"
        span = Span(clip_id=name, video_id=owner, start_s=start_s, end_s=start_s + 5)
        inputs = {"source": Input(path="", sha256=sha256_text(str(number // CLIPS_PER_VIDEO)))}
        item = Item(item_id=name, record=ExtractRequest(span=span, media=media), inputs=inputs, home="")
        made = clip(number)
        hashes = (made.frames_sha256, made.audio_sha256, files["times.json"])
        left = json.dumps(
            [
                [f"clips/{name}/{entry}", digest, 100, at]
                for entry, digest, at in zip(ENTRIES, hashes, mtimes, strict=True)
            ]
        )
        facts = {
            "start_s": start_s, "num_seconds": STILLS, "fps": 1.0, "num_frames": STILLS, "width": 640,
            "height": 360, "frame_at": "mid", "sound": "complete", "padded_samples": 0, "missing_pictures": 0,
            "concealed_pictures": 0, "sound_index": 1,
        }  # fmt: skip
        inputs_text = json.dumps({"source": inputs["source"].sha256})
        yield (
            *("extract", name, item_key(key, item), "done", None, None, json.dumps(facts), inputs_text, left),
            *(300, 1, 1.5, 1.5, *END),
        )


def embedded(num_clips: int) -> Iterator[tuple[object, ...]]:
    """Rows of embeddings."""
    stage = params_key("embed", EmbedStage.version, EmbedParams(weights_sha256=WEIGHTS))
    for number in range(num_clips):
        name = clip_name(number)
        record = EmbedRequest(clip_id=name, num_seconds=STILLS, fps=1.0, num_frames=STILLS, frame_at="mid")
        inputs = {"audio": Input(path="", sha256=clip(number).audio_sha256)}
        key = item_key(stage, Item(item_id=name, record=record, inputs=inputs, home=""))
        facts = {"front_end": "official", "weights_sha256": WEIGHTS, "fps": 1.0, "num_frames": STILLS}
        left = json.dumps([[f"features/vggish/clips/{name}.npy", sha256_text(f"embedding {number}"), 2688, 1]])
        yield (
            *("embed", name, key, "done", None, None, json.dumps(facts)),
            *(json.dumps({"audio": inputs["audio"].sha256}), left, 2688, 1, 0.1, 0.1, *END),
        )


def packed(num_clips: int) -> Iterator[tuple[object, ...]]:
    """Rows of the Parquet parts."""
    parts: dict[str, dict[str, str]] = defaultdict(dict)
    for number in range(num_clips):
        parts[bucket(clip_name(number))][clip_name(number)] = sha256_text(f"embedding {number}")
    for digit, inputs in parts.items():
        left = json.dumps([[f"features/vggish/{part_name(digit)}", sha256_text(digit), 1, 1]])
        facts = json.dumps({"num_clips": len(inputs), "num_rows": len(inputs) * STILLS})
        yield (
            *("pack", f"part-{digit}", "k", "done", None, None, facts, json.dumps(inputs), left),
            *(1, 1, 1.0, 1.0, *END),
        )


def wanted(num_clips: int, num_videos: int) -> Iterator[tuple[str, str, str]]:
    """What the list asks for."""
    for number in range(num_videos):
        yield "video", f"v{number:06d}", ""
    for number in range(num_clips):
        start_s = 5.0 * (number % CLIPS_PER_VIDEO)
        span = {
            "clip_id": clip_name(number), "video_id": f"v{number // CLIPS_PER_VIDEO:06d}", "start_s": start_s,
            "end_s": start_s + 5,
        }  # fmt: skip
        row = {
            "span": span, "categories": ["dog"] if number % 2 else ["person"], "license": None, "split": None,
            "uploader": None, "channel": None, "upload_date": None, "scenarios": [],
        }  # fmt: skip
        yield "clip", clip_name(number), json.dumps(row, separators=(",", ":"))


def fill_ledger(workspace: Workspace, num_clips: int, num_videos: int) -> None:
    """All rows that a workspace has in which every stage of the usual way is done."""
    first = workspace.clip_dir("first")
    mtimes = [(first / name).stat().st_mtime_ns for name in ENTRIES]
    key = stage_key(ExtractStage(load_recipe(workspace).extract))
    db = Database(workspace.ledger, read_only=False)
    marks = ", ".join("?" * len(COLUMNS["items"].split()))
    items = (embedded(num_clips), extracted(num_clips, key, mtimes), fetched(num_videos), packed(num_clips))
    with db.transaction():
        for rows in items:
            db.write_many(f"INSERT INTO items VALUES ({marks})", rows)
        db.write_many("INSERT INTO wanted VALUES (?, ?, ?)", wanted(num_clips, num_videos))
    db.close()


def fill_truth(workspace: Workspace, num_clips: int) -> None:
    """An imported file that gave every other clip one or two tracks with a mask in each still."""
    y, x = np.mgrid[:360, :640]
    rles = [encode((y - 180) ** 2 + (x - 200 - 8 * n) ** 2 < (60 + n) ** 2) for n in range(20)]
    masks = [(rle.counts, area(rle), list(box(rle))) for rle in rles]
    labelled = {
        clip_name(n): {
            "frames_sha256": clip(n).frames_sha256, "audio_sha256": clip(n).audio_sha256, "num_tracks": 1 + n % 4 // 3,
        }
        for n in range(1, num_clips, 2)
    }  # fmt: skip
    write_json(
        workspace.annotations / f"import-{'0' * 8}" / "import.json",
        {"format": "ytvis", "file": "truth.json", "sha256": "0" * 64, "clips": labelled},
    )
    write_lines(
        workspace.manifest / "tracks.jsonl",
        (
            Track(
                track_id=f"t{place}", clip_id=name, category=("dog", "person")[place], num_sounding=STILLS,
                origin="import:truth.json", round="import",
            ).model_dump_json()
            for name, said in labelled.items()
            for place in range(said["num_tracks"])
        ),
    )  # fmt: skip
    by_part: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for name, said in labelled.items():
        by_part[bucket(name)].append((name, int(said["num_tracks"])))
    workspace.masks.mkdir(exist_ok=True)
    for digit in BUCKETS:
        with pq.ParquetWriter(
            workspace.masks / part_name(digit), MASK_SCHEMA, compression="zstd",
            use_dictionary=["clip_id", "track_id", "category", "state", "origin", "annotator", "round"],
        ) as writer:  # fmt: skip
            clips = by_part[digit]
            for at in range(0, len(clips), 150):
                writer.write_table(mask_rows(clips[at : at + 150], masks))


def mask_rows(clips: list[tuple[str, int]], masks: list[tuple[str, int, list[int]]]) -> pa.Table:
    """The rows of some clips."""
    keys = [(name, place, frame) for name, number in clips for place in range(number) for frame in range(STILLS)]
    chosen = [masks[(hash_of(name) + 3 * place + frame) % len(masks)] for name, place, frame in keys]
    size = len(keys)
    return pa.table(
        {
            "clip_id": [name for name, _, _ in keys],
            "track_id": [f"t{place}" for _, place, _ in keys],
            "category": [("dog", "person")[place] for _, place, _ in keys],
            "frame": [frame for _, _, frame in keys],
            "state": ["sounding"] * size,
            "height": [360] * size,
            "width": [640] * size,
            "counts": [counts for counts, _, _ in chosen],
            "area_px": [area_px for _, area_px, _ in chosen],
            "box_xywh": [box_xywh for _, _, box_xywh in chosen],
            "origin": ["import:truth.json"] * size,
            "annotator": [None] * size,
            "round": ["import"] * size,
        },
        schema=MASK_SCHEMA,
    )


def hash_of(name: str) -> int:
    """A number that depends on a name alone."""
    return int(name[1:])


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What one command took."""

    cpu_s: float
    peak_mb: float
    code: int
    said: str


def measured(root: Path, arguments: tuple[str, ...]) -> Cost:
    """Run a command in a process of its own."""
    program = (
        "import resource, subprocess, sys\n"
        "ran = subprocess.run(sys.argv[1:], stdout=sys.stdout, stderr=sys.stderr)\n"
        "used = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
        "print(f'\\n{used.ru_utime + used.ru_stime} {used.ru_maxrss / 1024} {ran.returncode}')\n"
    )
    command = [sys.executable, "-c", program, sys.executable, "-m", "avis_data", "-C", str(root), *arguments]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    *said, last = ran.stdout.splitlines()
    cpu_s, peak_mb, code = last.split()
    return Cost(cpu_s=float(cpu_s), peak_mb=float(peak_mb), code=int(code), said="\n".join(said) + ran.stderr)


def _whole(folder: Path, size: int, make: Callable[[Path, int], None]) -> None:
    """Made whole or not at all: a folder that is there is measured as it is."""
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    make(part, size)
    part.rename(folder)


def main() -> int:
    """Print the table; 1 if a command costs more than its bar."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--clips", default="10000,100000", help="sizes, parted by commas; each is compared with the last"
    )
    parser.add_argument("--folder", type=Path, help="where workspaces are kept between runs")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(COMMANDS | OF_EXPORT))
    options = parser.parse_args()
    sizes = [int(size) for size in options.clips.split(",")]
    dear = []
    print(f"{'clips':>9}  {'command':12}{'CPU-s':>8}{'of bar':>8}{'peak MB':>9}{'of bar':>8}{'CPU-s growth':>14}")
    with tempfile.TemporaryDirectory() as scratch:
        before: dict[str, Cost] = {}
        for size in sizes:
            folder = options.folder or Path(scratch)
            root, export = folder / f"scale-{size}", folder / f"export-{size}"
            names = [
                name for name in options.names or COMMANDS | OF_EXPORT if name in COMMANDS or size <= MOST_OF_EXPORT
            ]
            if not root.exists():
                _whole(root, size, build)
            if set(names) & OF_EXPORT.keys() and not export.exists():
                _whole(export, size, build_export)
            for name in names:
                bar = (COMMANDS | OF_EXPORT)[name]
                cost = measured(root, tuple(part.format(export=export) for part in bar.arguments))
                if cost.code:
                    raise SystemExit(f"{name}: exit code {cost.code}: {cost.said}")
                allowed_s = bar.cpu_s * max(1.0, size / 100_000)
                ratios = cost.cpu_s / allowed_s, cost.peak_mb / bar.peak_mb
                dear += [f"{name} of {size}"] if max(ratios) > 1 else []
                grown = f"{cost.cpu_s / before[name].cpu_s:14.2f}" if name in before else ""
                print(
                    f"{size:9}  {name:12}{cost.cpu_s:8.2f}{ratios[0]:8.2f}{cost.peak_mb:9.0f}{ratios[1]:8.2f}{grown}",
                    flush=True,
                )
                before[name] = cost
    if dear:
        print(f"dearer than the bar: {', '.join(dear)}")
    return 1 if dear else 0


if __name__ == "__main__":
    sys.exit(main())

"""CPU cost of taking stills and sound from a span of a long file, as ratios against the alternatives in the same run.

    python benchmarks/extract.py --folder CACHE [--repeat 3] [--json]

CPU-seconds of this process and all its children, so other work on the machine does not count much; the least of the
repeats is kept.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from avis_data.io import atomic_path
from avis_data.media.ffmpeg import find_ffmpeg
from avis_data.media.probe import probe
from avis_data.pipelines.engine.stage import Workbench
from avis_data.pipelines.stages.extract import ExtractRequest, ExtractStage
from avis_data.platforms import used_cpu_s
from avis_data.recipe import ExtractOptions
from avis_data.records import Span, VideoStream

SPAN_S = 60
PLACES_S = (10.0, 300.0, 530.0)
SHORT_S = 5
"""The key frames of the file are so far apart, so that such a clip needs no picture before it."""
START = "start of ffmpeg / a clip of 5 s"
ALLOWED = {
    "ours / bare decode": 1.15,
    "ours / (re-encode, then two runs)": 0.2,
    "dearest / cheapest place": 1.15,
    START: 0.3,
}


def main() -> int:
    """Measure, print a table or JSON, and give 1 if a bound does not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="where the ten-minute file is kept between runs")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.folder or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        result = measure(long_file(folder), Path(scratch), repeat=options.repeat, threads=options.threads)
    if options.json:
        print(json.dumps(result))
    else:
        for name, value in result["cpu_s"].items():
            print(f"{name:44} {value:8.2f} CPU-s")
        for name, value in result["ratios"].items():
            print(f"{name:44} {value:8.3f}   (at most {ALLOWED[name]})")
    return int(any(value > ALLOWED[name] for name, value in result["ratios"].items()))


def long_file(folder: Path) -> Path:
    """Ten minutes of moving pattern and noise, 1280x720, 29.97 fps, H.264 with a key frame every 5 s, AAC."""
    target = folder / "ten_minutes_720p30.mp4"
    if target.exists():
        return target
    picture = "testsrc2=size=1280x720:rate=30000/1001:duration=60,noise=alls=12:allf=t"
    with atomic_path(target) as part, tempfile.TemporaryDirectory(dir=folder) as scratch:
        minute = Path(scratch) / "minute.mp4"
        encode = "-c:v libx264 -preset veryfast -crf 27 -g 150 -pix_fmt yuv420p -c:a aac -b:a 128k".split()
        sound = "aevalsrc=0.3*sin(440*2*PI*t)|0.3*sin(660*2*PI*t):s=48000:d=60"
        ffmpeg("-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", sound, *encode, str(minute))
        ffmpeg("-stream_loop", "9", "-i", str(minute), "-c", "copy", str(part))
    return target


def measure(source: Path, scratch: Path, *, repeat: int, threads: int) -> dict[str, dict[str, float]]:
    """CPU-seconds of every way, and the ratios that the project promises."""
    media = probe(source)
    place = str(PLACES_S[1])
    span = ["-threads", str(threads), "-ss", place, "-t", str(SPAN_S), "-i", str(source)]

    def re_encode() -> None:
        clip = str(scratch / "clip.mp4")
        ffmpeg(*span, "-c:v", "libx264", "-preset", "veryfast", "-c:a", "aac", clip)
        (scratch / "stills").mkdir(exist_ok=True)
        ffmpeg("-i", clip, "-vf", "fps=1", "-q:v", "2", str(scratch / "stills" / "%05d.jpg"))
        ffmpeg("-i", clip, "-vn", "-ac", "1", "-ar", "16000", str(scratch / "sound.wav"))

    ways: dict[str, Callable[[], None]] = {
        "bare decode of the span": lambda: ffmpeg(*span, "-map", "0:v:0", "-map", "0:a:0", "-f", "null", "-"),
        "trim by re-encoding, then stills, then sound": re_encode,
    }
    for start_s in PLACES_S:
        ways[f"avis-data extract at {start_s:.0f} s"] = partial(
            extract, source, media, start_s, scratch, threads, SPAN_S
        )
    ways[f"avis-data extract of {SHORT_S} s"] = partial(extract, source, media, PLACES_S[1], scratch, threads, SHORT_S)
    ways["start of ffmpeg"] = partial(ffmpeg, "-f", "lavfi", "-i", "anullsrc", "-t", "0", "-f", "null", "-")
    rounds = [{name: cpu_s(way) for name, way in ways.items()} for _ in range(repeat)]  # side by side in each round
    cost = {name: min(cost[name] for cost in rounds) for name in ways}
    bare, slow, *ours, short, start = cost.values()
    return {
        "cpu_s": cost,
        "ratios": {
            "ours / bare decode": ours[1] / bare,
            "ours / (re-encode, then two runs)": ours[1] / slow,
            "dearest / cheapest place": max(ours) / min(ours),
            START: start / short,
        },
    }


def extract(source: Path, media: VideoStream, start_s: float, scratch: Path, threads: int, seconds: int) -> None:
    """One item of the stage, as the runner would do it."""
    out = Path(tempfile.mkdtemp(dir=scratch))
    span = Span(clip_id="clip", video_id="video", start_s=start_s, end_s=start_s + seconds)
    request = ExtractRequest(span=span, media=media)
    stage = ExtractStage(ExtractOptions(), threads=threads)
    facts = stage.run(Workbench(item_id="clip", record=request, inputs={"source": source}, out=out, scratch=out))
    if facts.num_seconds != seconds:
        raise SystemExit(f"{facts.num_seconds} seconds came out instead of {seconds}")
    shutil.rmtree(out)


def ffmpeg(*arguments: str) -> None:
    """Run the same program that the stage uses."""
    command = [find_ffmpeg().program, "-nostdin", "-loglevel", "error", "-y", *arguments]
    subprocess.run(command, check=True)


def cpu_s(way: Callable[[], None]) -> float:
    """User and system time of this process and its children."""
    before = used_cpu_s()
    way()
    return used_cpu_s() - before


if __name__ == "__main__":
    sys.exit(main())

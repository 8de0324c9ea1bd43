"""Memory and time of propagation against the length of the clip: one drawn mask in the middle, optical flow, 640 x 360.

    python -m benchmarks.propagation_memory --folder CACHE [--seconds 60 160 600]

Each length in a process of its own, whose peak of resident memory is printed. From the length on at which the window
of pictures for the way back is full (some 70 s), it must not grow by more than the masks that are kept.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from avis_data.annotation.propagation.carry import carry
from avis_data.annotation.propagation.footage import Footage
from avis_data.annotation.propagation.optical_flow import OpticalFlow
from avis_data.masks.rle import encode
from avis_data.media.ffmpeg import find_ffmpeg
from avis_data.media.probe import probe
from avis_data.paths import Workspace
from avis_data.pipelines.engine.stage import Workbench
from avis_data.pipelines.stages.extract import ExtractRequest, ExtractStage
from avis_data.recipe import ExtractOptions
from avis_data.records import Clip, SoundState, Span, Video

ALLOWED_MB = 60.0
WIDTH, HEIGHT = 640, 360


def main() -> int:
    """Measure every length; 1 if the last takes more memory than allowed beyond the one before."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="where the clips are kept between runs")
    parser.add_argument("--seconds", type=int, nargs="+", default=[60, 160, 600])
    parser.add_argument("--only", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        print(measure(options.folder, options.only))
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.folder or Path(scratch)
        command = [sys.executable, "-m", "benchmarks.propagation_memory", "--folder", str(folder.absolute()), "--only"]
        peaks = []
        for seconds in options.seconds:
            prepare(folder, seconds)
            ran = subprocess.run([*command, str(seconds)], capture_output=True, text=True, check=True)
            peak_mb, wall_s = (float(word) for word in ran.stdout.split())
            peaks.append(peak_mb)
            print(f"{seconds:5} s of video: {peak_mb:7.0f} MB at most, {wall_s:7.1f} s")
    return int(peaks[-1] - peaks[-2] > ALLOWED_MB)


def prepare(folder: Path, seconds: int) -> None:
    """A moving picture, and its stills."""
    source = folder / f"moving-{seconds}.mp4"
    home = Workspace(folder).clip_dir(f"moving-{seconds}")
    if (home / "times.json").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    picture, sound = f"testsrc=s={WIDTH}x{HEIGHT}:r=25:d={seconds}", f"sine=frequency=300:duration={seconds}"
    command = [find_ffmpeg().program, "-y", "-v", "error", "-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", sound]
    subprocess.run([*command, "-c:v", "libx264", "-preset", "veryfast", "-c:a", "aac", str(source)], check=True)
    home.mkdir(parents=True)
    request = ExtractRequest(span=Span(clip_id=home.name, video_id=home.name), media=probe(source))
    ExtractStage(ExtractOptions()).run(
        Workbench(item_id=home.name, record=request, inputs={"source": source}, out=home, scratch=home)
    )


def measure(folder: Path, seconds: int) -> str:
    """Peak memory in MB and seconds, of this process."""
    name = f"moving-{seconds}"
    shared = {
        "clip_id": name,
        "video_id": name,
        "start_s": 0.0,
        "num_seconds": seconds,
        "fps": 1.0,
        "num_frames": seconds,
        "frame_at": "mid",
    }
    clip = Clip(
        **shared,
        width=WIDTH,
        height=HEIGHT,
        sound=SoundState.COMPLETE,
        frames_sha256="0" * 64,
        audio_sha256="0" * 64,
    )
    path = folder / f"{name}.mp4"
    video = Video(
        video_id=name,
        url=path.name,
        path=path.name,
        size_bytes=path.stat().st_size,
        sha256="0" * 64,
        extractor="none",
        downloader="copy",
        accessed_on="2026-01-01",
        media=probe(path),
    )
    mask = np.zeros((HEIGHT, WIDTH), dtype=bool)
    mask[20:80, 20:100] = True
    started = time.monotonic()
    drawn = {"thing_1": {seconds // 2: encode(mask)}}
    carry(OpticalFlow(), Footage.of_clip(Workspace(folder), clip, video, fps=6), drawn, num_frames=seconds)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return f"{peak_mb:.1f} {time.monotonic() - started:.1f}"


if __name__ == "__main__":
    sys.exit(main())

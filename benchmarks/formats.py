"""Every format of labelled sets that can be written: clips a second, peak memory, and memory as the set grows.

A set of the size of AVISeg (926 clips of 61 stills, 640 x 360, one to three objects) is written and read back, as
`avis-data convert` does it. Memory must be flat in the number of clips: four times the clips may take 20 % more, which
is what the names and hashes of so many files take (20 MB for 57,000).

Run: python -m benchmarks.formats [--clips 926] [--stills 61] [NAME ...]
"""

from __future__ import annotations

import argparse
import io
import json
import resource
import subprocess
import sys
import tempfile
import time
import wave
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from avis_data.formats.sets.clips import LabelledClip, LabelledTrack, Media, Still, UnreadClip
from avis_data.formats.sets.registry import SETS, WRITTEN
from avis_data.formats.sets.spec import SetReader
from avis_data.masks.rle import Rle, encode
from avis_data.pipelines.exports.convert import Conversion, convert

WIDTH, HEIGHT = 640, 360
ALLOWED_GROWTH = 1.20
CATEGORIES = ("dog", "person", "violin")


@cache
def picture() -> bytes:
    """One JPEG for all stills: what is measured is the formats, not the camera."""
    rng = np.random.default_rng(0)
    small = rng.integers(0, 255, (HEIGHT // 20, WIDTH // 20, 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(np.kron(small, np.ones((20, 20, 1), np.uint8))).save(out, "JPEG", quality=80)
    return out.getvalue()


def sound(seconds: int) -> bytes:
    """A WAV of noise, 16 kHz, mono."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        file.writeframes(np.random.default_rng(1).integers(-900, 900, seconds * 16000).astype("<i2").tobytes())
    return out.getvalue()


@cache
def mask(seed: int) -> Rle:
    """An ellipse with a ragged border, as outlines of real objects are."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    centre_y, centre_x = rng.integers(90, HEIGHT - 90), rng.integers(120, WIDTH - 120)
    angle = np.arctan2(y - centre_y, x - centre_x)
    radius = 60 + 12 * np.sin(7 * angle + seed) + 4 * np.sin(31 * angle)
    return encode(((y - centre_y) ** 2 + (x - centre_x) ** 2) < radius**2)


def clip(number: int, stills: int) -> LabelledClip:
    """One clip of the set."""
    tracks = []
    for place in range(1 + number % 3):
        masks = tuple(None if (t + place) % 5 == 0 else mask((number * 7 + place * 3 + t) % 200) for t in range(stills))
        flags = tuple(None if entry is None else True for entry in masks)
        tracks.append(LabelledTrack(track_id=str(place), category=CATEGORIES[place], masks=masks, sounding=flags))
    return LabelledClip(
        name=f"clip{number:06d}",
        width=WIDTH,
        height=HEIGHT,
        stills=tuple(
            Still(name=f"{t:05d}", number=t, time_s=float(t), picture=Media(name=f"{t:05d}.jpg", load=picture))
            for t in range(stills)
        ),
        tracks=tuple(tracks),
        fps=1.0,
        split="train",
        sound=Media(name="audio.wav", load=lambda: sound(stills)),
        embeddings_TD=lambda: np.zeros((stills, 128), np.float32),
    )


@dataclass(frozen=True, kw_only=True)
class MadeUp:
    """A reader of a set that is made up on the way."""

    clips: int
    stills: int

    def looks_right(self, path: Path) -> bool:
        """It is never asked."""
        return False

    def read(self, path: Path) -> Iterator[LabelledClip | UnreadClip]:
        """All clips, whatever the path."""
        return (clip(number, self.stills) for number in range(self.clips))


def one(name: str, clips: int, stills: int) -> dict[str, float]:
    """Write and read back one set, in this process."""
    spec = SETS[name]
    if spec.lengths and stills not in spec.lengths:
        stills = spec.lengths[0]
    reader: SetReader = MadeUp(clips=clips, stills=stills)
    with tempfile.TemporaryDirectory() as folder:
        began = time.process_time()
        wanted = Conversion(source=Path("made-up"), format_name="made-up", reader=reader, target=spec)
        report = convert(wanted, Path(folder) / "out")
        size = sum(path.stat().st_size for path in (Path(folder) / "out").rglob("*") if path.is_file())
    assert report.counts["total"]["clips"] == clips
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"cpu_s": time.process_time() - began, "peak_mb": peak, "size_mb": size / 1e6, "stills": stills}


def in_a_process(name: str, clips: int, stills: int) -> dict[str, float]:
    """The same in a process of its own, so that peaks are its own."""
    command = [
        sys.executable,
        "-m",
        "benchmarks.formats",
        "--one",
        name,
        "--clips",
        str(clips),
        "--stills",
        str(stills),
    ]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise SystemExit(ran.stderr)
    found: dict[str, float] = json.loads(ran.stdout)
    return found


def main() -> int:
    """Print the table; 1 if memory grows with the set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=926)
    parser.add_argument("--stills", type=int, default=61)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("names", nargs="*", metavar="NAME")
    options = parser.parse_args()
    if options.one:
        print(json.dumps(one(options.one, options.clips, options.stills)))
        return 0
    quarter = max(1, options.clips // 4)
    print(f"{options.clips} clips of {options.stills} stills, {WIDTH} x {HEIGHT}: written, read back and compared")
    print(f"{'format':16}{'clips/s':>9}{'peak MB':>9}{f'of {quarter}':>9}{'growth':>8}{'size MB':>9}")
    grown = []
    for name in options.names or WRITTEN:
        small = in_a_process(name, quarter, options.stills)
        large = in_a_process(name, options.clips, options.stills)
        growth = large["peak_mb"] / small["peak_mb"]
        grown += [name] if growth > ALLOWED_GROWTH else []
        speed = options.clips / large["cpu_s"]
        said = "" if options.stills == large["stills"] else f"   (clips of {large['stills']:.0f} stills)"
        figures = f"{speed:9.1f}{large['peak_mb']:9.0f}{small['peak_mb']:9.0f}{growth:8.2f}{large['size_mb']:9.0f}"
        print(f"{name:16}{figures}{said}", flush=True)
    if grown:
        print(f"memory grows with the set: {', '.join(grown)}")
    return 1 if grown else 0


if __name__ == "__main__":
    sys.exit(main())

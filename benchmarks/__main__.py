"""Run the benchmarks one after the other and write docs/benchmarks.md with the commands and what they printed.

Run: python -m benchmarks [--folder CACHE] [NAME ...]   (about ten minutes; leave the machine alone meanwhile)
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import shlex
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from avis_data import __version__
from avis_data.io import write_text
from avis_data.media.ffmpeg import find_ffmpeg

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "benchmarks.md"
SECTIONS = {
    "extract": "One decode gives stills and sound: against the bare decode, and against re-encoding and two more runs",
    "features": "Log-mel and VGGish",
    "ledger": "Ledger and planning",
    "evaluate": "The evaluator, on a set of the size of AVISeg's test split",
    "brush_rle": "Label Studio's brush coding, ours against the SDK's",
    "models": "The models, with random weights, on one CPU thread",
    "one_box": "A mask from one box",
    "formats": "Every format of labelled sets: written, read back, compared",
    "sam_clicks": "A click in the segmenter's service, with the embedding in the cache",
}
_NEEDS_FOLDER = {"extract", "evaluate"}
_ARGUMENTS = {"formats": ["--clips", "48"]}
"""The whole set takes an hour: `python -m benchmarks.formats`."""


def main() -> int:
    """Run, write the page, and give 1 if any benchmark said that a bound does not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="where generated media are kept between runs")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(SECTIONS))
    options = parser.parse_args()
    page = PAGE.read_text(encoding="utf-8") if PAGE.exists() else "# What it costs\n"
    failed = []
    with tempfile.TemporaryDirectory() as scratch:
        for name in options.names or SECTIONS:
            section, ok = run(name, options.folder or Path(scratch))
            page = replaced(page, name, section)
            failed += [] if ok else [name]
    write_text(PAGE, page)
    print(f"{PAGE.relative_to(ROOT)} written" + (f"; bounds not met: {', '.join(failed)}" if failed else ""))
    return 1 if failed else 0


def run(name: str, folder: Path) -> tuple[str, bool]:
    """One section of the page, and whether its bounds hold."""
    arguments = ["--folder", str(folder)] if name in _NEEDS_FOLDER else _ARGUMENTS.get(name, [])
    command = [sys.executable, "-m", f"benchmarks.{name}", *arguments]
    print(shlex.join(command[1:]), flush=True)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if ran.stderr and ran.returncode not in (0, 1):
        raise SystemExit(ran.stderr)
    typed = ["--folder", "CACHE"] if name in _NEEDS_FOLDER else arguments
    shown = shlex.join(["python", "-m", f"benchmarks.{name}", *typed])
    print(ran.stdout)
    return f"## {SECTIONS[name]}\n\n{where()}\n\n```\n$ {shown}\n{ran.stdout.rstrip()}\n```\n", ran.returncode == 0


def where() -> str:
    """Date and machine: a figure means nothing without them."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, avis-data {__version__}, Python {platform.python_version()}, "
        f"ffmpeg {find_ffmpeg().version}, {cores} cores, {platform.machine()}; CPU-seconds unless said otherwise."
    )


def replaced(page: str, name: str, section: str) -> str:
    """The page with this benchmark's section put in, in place of an older one."""
    pattern = re.compile(rf"## {re.escape(SECTIONS[name])}\n.*?(?=\n## |\Z)", re.DOTALL)
    if pattern.search(page):
        return pattern.sub(lambda _: section.rstrip() + "\n", page)
    return f"{page.rstrip()}\n\n{section}"


if __name__ == "__main__":
    sys.exit(main())

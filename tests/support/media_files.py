"""Small media made by ffmpeg for tests."""

from __future__ import annotations

import subprocess
from pathlib import Path

from avis_data.media.ffmpeg import find_ffmpeg

__all__ = ["ffmpeg"]


def ffmpeg(folder: Path, *arguments: str) -> None:
    """Run ffmpeg in a folder; a failure fails the test with what it said."""
    subprocess.run([find_ffmpeg().program, "-v", "error", "-nostdin", "-y", *arguments], cwd=folder, check=True)

"""Real clips at other rates, against an independent decoder: which picture each still is, and what it shows."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from support.extracting import run_extract

FILES = ("bear_behind_fence.webm", "trail_walkers_vfr.mp4", "composite_two_speakers.mp4")


def pictures(path: Path) -> tuple[list[float], list[np.ndarray]]:
    """When each picture comes on display, seconds after the container's start, and its grey values."""
    with av.open(str(path)) as container:
        origin = max((container.start_time or 0) / 1e6, 0.0)
        shown = sorted(container.decode(video=0), key=lambda frame: frame.pts)
        return [frame.time - origin for frame in shown], [frame.to_ndarray(format="gray") for frame in shown]


@pytest.mark.parametrize("fps", [6, 12.5])
@pytest.mark.parametrize("name", FILES)
def test_stills_are_the_last_pictures_before_mid_period(name: str, fps: float, media_dir: Path, tmp_path: Path) -> None:
    got = run_extract(tmp_path, media_dir / name, 0.5, 2.5, fps=fps, frame_at="mid", missing_sound="pad")
    times_s, greys = pictures(media_dir / name)
    assert len(got.stills) == got.facts["num_frames"] == 2 * fps
    for number, (path, still) in enumerate(zip(got.stills, got.times["stills"], strict=True)):
        instant = 0.5 + (number + 0.5) / fps
        shown = max(k for k, time in enumerate(times_s) if time < instant - 2e-6)
        assert still["source_s"] == pytest.approx(times_s[shown], abs=1e-5)
        with Image.open(path) as picture:
            assert np.abs(np.asarray(picture.convert("L"), float) - greys[shown]).mean() < 4

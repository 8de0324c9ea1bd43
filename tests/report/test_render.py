"""Videos of predictions: what is drawn on the stills and below them."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
from PIL import Image

from avis_data.masks.rle import encode
from avis_data.report.clips import ClipView, TrackView
from avis_data.report.render import render_video
from avis_data.report.sheet import colour_of


def test_masks_are_coloured_by_identity_and_the_strip_shows_who_sounds(tmp_path: Path) -> None:
    still = tmp_path / "still.png"
    Image.new("RGB", (640, 360), (0, 0, 0)).save(still)
    mask = np.zeros((360, 640), dtype=bool)
    mask[100:300, 200:400] = True
    rle = encode(mask)
    view = ClipView(
        name="clip",
        split="test",
        stills=(still, still),
        sound=None,
        tracks=(TrackView(label="dog", masks=(rle, None)), TrackView(label="cat", masks=(None, rle))),
    )
    render_video(view, tmp_path / "clip.mp4")
    with av.open(str(tmp_path / "clip.mp4")) as video:
        pictures = [frame.to_ndarray(format="rgb24").astype(int) for frame in video.decode(video=0)]
    assert len(pictures) == 10
    for second, number in ((0, 0), (1, 1)):
        picture = pictures[5 * second + 2]
        inside = picture[150:250, 250:350].reshape(-1, 3).mean(axis=0)
        np.testing.assert_allclose(inside, 0.45 * np.array(colour_of(number)), atol=12)
        rows = [360 + 6 + 44 + row * 22 + 11 for row in (0, 1)]
        x = 150 + int((640 - 156) * (second + 0.8) / 2)  # late in the second, past the moving line
        bars = [np.abs(picture[row, x] - np.array(colour_of(place))).max() < 40 for place, row in enumerate(rows)]
        assert bars == [second == 0, second == 1]

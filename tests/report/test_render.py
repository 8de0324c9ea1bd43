"""Videos of predictions: what is drawn on the stills and below them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from avis_data.errors import DataError
from avis_data.masks.rle import encode
from avis_data.report.clips import ClipView, TrackView
from avis_data.report.render import render_video, write_views
from avis_data.report.sheet import colour_of, write_sheet


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
    render_video([view], tmp_path / "clip.mp4")
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


def panels_of_boxes(still: Path, size_hw: tuple[int, int], titles: list[str]) -> list[ClipView]:
    """Views of one clip of one still, the n-th with n tracks that lie on top of each other in its middle."""
    mask = np.zeros(size_hw, dtype=bool)
    mask[size_hw[0] // 4 : size_hw[0] * 3 // 4, size_hw[1] // 4 : size_hw[1] * 3 // 4] = True
    track = TrackView(label="dog", masks=(encode(mask),))
    return [
        ClipView(name="c", split="test", stills=(still,), sound=None, tracks=(track,) * number, title=title)
        for number, title in enumerate(titles)
    ]


def first_picture(path: Path) -> np.ndarray:
    with av.open(str(path)) as video:
        return next(video.decode(video=0)).to_ndarray(format="rgb24").astype(int)


@pytest.mark.parametrize(
    ("num_panels", "columns", "rows"), [(1, 1, 1), (2, 2, 1), (3, 3, 1), (4, 2, 2), (5, 3, 2), (7, 3, 3)]
)
def test_panels_lie_in_rows_each_under_its_title(tmp_path: Path, num_panels: int, columns: int, rows: int) -> None:
    """A panel of 640 x 360 is 26 of title, 360 of still, 56 of strip and 22 for each track; 4 lie between panels."""
    still = tmp_path / "still.png"
    Image.new("RGB", (320, 180), (0, 0, 0)).save(still)
    views = panels_of_boxes(still, (180, 320), [f"model {number}" for number in range(num_panels)])
    render_video(views, tmp_path / "c.mp4")
    picture = first_picture(tmp_path / "c.mp4")
    starts = [range(row * columns, min((row + 1) * columns, num_panels)) for row in range(rows)]
    heights = [26 + 360 + 56 + 22 * (row.stop - 1) for row in starts]
    assert picture.shape[:2] == (sum(heights) + 4 * (rows - 1), columns * 640 + 4 * (columns - 1))
    for number in range(num_panels):
        row, column = divmod(number, columns)
        top, left = sum(heights[:row]) + 4 * row, column * 644
        middle = picture[top + 26 + 150 : top + 26 + 210, left + 290 : left + 350].reshape(-1, 3).mean(axis=0)
        colour = np.zeros(3)
        for track in range(number):  # each lies on those before
            colour = 0.55 * colour + 0.45 * np.array(colour_of(track))
        np.testing.assert_allclose(middle, colour, atol=14)
        title = picture[top + 2 : top + 24, left + 6 : left + 100]
        assert title.max() > 150 and title.min() < 60  # light words on dark paper


def test_one_view_without_a_title_is_drawn_as_ever(tmp_path: Path) -> None:
    still = tmp_path / "still.png"
    Image.new("RGB", (640, 360), (0, 0, 0)).save(still)
    (_, view) = panels_of_boxes(still, (360, 640), ["", ""])
    render_video([view], tmp_path / "c.mp4")
    assert first_picture(tmp_path / "c.mp4").shape[:2] == (360 + 56 + 22, 640)


def test_two_wide_stills_share_the_width_of_a_screen(tmp_path: Path) -> None:
    still = tmp_path / "still.png"
    Image.new("RGB", (1600, 900), (0, 0, 0)).save(still)
    views = panels_of_boxes(still, (900, 1600), ["a", "b"])
    render_video(views, tmp_path / "c.mp4")
    assert first_picture(tmp_path / "c.mp4").shape[:2] == (26 + 540 + 56 + 22, 960 + 4 + 960)


def test_a_sheet_has_one_of_each_model_under_its_title(tmp_path: Path) -> None:
    still = tmp_path / "still.png"
    Image.new("RGB", (320, 180), (0, 0, 0)).save(still)
    views = panels_of_boxes(still, (180, 320), ["a", "b"])
    heights = []
    for shown in ([views[0]], [views[1]], views, [replace(view, title="") for view in views]):
        write_sheet(tmp_path / "s.png", shown)
        with Image.open(tmp_path / "s.png") as sheet:
            heights.append(sheet.height)
    assert heights[2] == heights[0] + heights[1] == heights[3] + 2 * 22


def test_a_clip_that_cannot_be_shown_stops_no_other(tmp_path: Path) -> None:
    still = tmp_path / "still.png"
    Image.new("RGB", (64, 36), (0, 0, 0)).save(still)
    (view,) = panels_of_boxes(still, (36, 64), [""])
    seen = []

    def panels(name: str) -> list[ClipView]:
        if name == "b":
            raise DataError("b.png: no such mask", hint="predict again")
        return [replace(view, name=name, stills=(tmp_path / "gone.png" if name == "c" else still,))]

    with pytest.raises(DataError, match=r"2 of 4 clips .*\n.*b.png: no such mask\n.*gone.png") as caught:
        write_views(["a", "b", "c", "d"], panels, tmp_path / "out", on_clip=lambda: seen.append(1))
    assert caught.value.hint == "predict again" and len(seen) == 4
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.mp4", "a.png", "d.mp4", "d.png"]

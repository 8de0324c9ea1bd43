"""Label files read by the tools that they are of, and by us: the same objects, the same pixels."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from avis_data.formats.sets.clips import LabelledClip
from avis_data.formats.tools.still_tools import ISAT, LABELME
from avis_data.masks.rle import decode
from support.format_readers import answer_of, same_pixels
from support.labelled_sets import read_set

pytestmark = pytest.mark.format_readers

W, H = 40, 24


def png(mask_HW: np.ndarray) -> str:
    data = io.BytesIO()
    Image.fromarray(mask_HW.astype(np.uint8)).save(data, "PNG")
    return base64.b64encode(data.getvalue()).decode()


def save(folder: Path, number: int, content: dict[str, Any]) -> None:
    folder.mkdir(exist_ok=True)
    Image.new("RGB", (W, H)).save(folder / f"{number:05d}.jpg")
    (folder / f"{number:05d}.json").write_text(json.dumps(content))


def only(clips: list[LabelledClip]) -> LabelledClip:
    (clip,) = clips
    return clip


@pytest.mark.cell("labelme", "reader")
def test_labelme_reads_the_masks_flags_and_groups_that_we_read(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    for number in range(6):
        shapes = []
        for group in range(3):
            left, top, wide, tall = (int(value) for value in rng.integers((0, 0, 1, 1), (13, 10, 13, 12)))
            left += 13 * group  # apart, so that none covers another
            wide = min(wide, 13 * (group + 1) - left)
            inside = rng.random((tall, wide)) < 0.7
            inside[0, 0] = True
            corners = [[float(left), float(top)], [float(left + wide - 1), float(top + tall - 1)]]
            shape = {"label": "dog", "points": corners, "group_id": group, "shape_type": "mask"}
            shapes.append({**shape, "description": "", "flags": {"sounding": group == 1}, "mask": png(inside)})
        content = {"version": "6.3.1", "flags": {}, "shapes": shapes, "imagePath": f"{number:05d}.jpg"}
        save(tmp_path / "set", number, {**content, "imageData": None, "imageHeight": H, "imageWidth": W})
    clip = only(read_set(LABELME, tmp_path / "set"))
    theirs = answer_of("labelme_stills", tmp_path / "set", home=tmp_path / "home")
    assert list(theirs) == [still.name for still in clip.stills]
    for place, still in enumerate(clip.stills):
        for shape, track in zip(theirs[still.name], clip.tracks, strict=True):
            assert (track.track_id, track.category) == (str(shape["group_id"]), shape["label"])
            assert track.sounding[place] is shape["flags"]["sounding"]
            assert same_pixels(shape["mask"], track.masks[place])


@pytest.mark.cell("isat", "reader")
def test_isat_reads_the_objects_layers_and_notes_that_we_read(tmp_path: Path) -> None:
    """Painted from the lowest layer up as ISAT's converter does; only the rings around holes differ, which it eats."""
    rng = np.random.default_rng(2)
    for number in range(6):
        objects = []
        for group, note in ((1, "sounding"), (2, "silent")):
            mask_HW = cv2.medianBlur((rng.random((H, W)) < 0.6).astype(np.uint8), 5)
            mask_HW[8:16, 4 + 16 * (group - 1) : 18 + 16 * (group - 1)] = 1
            mask_HW[11:13, 8 + 16 * (group - 1) : 12 + 16 * (group - 1)] = 0
            contours, kinship = cv2.findContours(mask_HW, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
            for contour, (_, _, _, parent) in zip(contours, kinship[0], strict=True):
                if len(contour) > 2:
                    said = (
                        ("dog", group, 2.0 * group, note) if parent < 0 else ("__background__", 0, 2.0 * group + 1, "")
                    )
                    entry = dict(zip(("category", "group", "layer", "note"), said, strict=True))
                    points = contour[:, 0].astype(float).tolist()
                    objects.append({**entry, "segmentation": points, "area": 0.0, "bbox": [], "iscrowd": False})
        info = {"description": "ISAT", "folder": "", "name": f"{number:05d}.jpg", "width": W, "height": H, "depth": 3}
        save(tmp_path / "set", number, {"info": {**info, "note": ""}, "objects": objects[::-1]})
    clip = only(read_set(ISAT, tmp_path / "set"))
    theirs = answer_of("isat_stills", tmp_path / "set", home=tmp_path / "home")
    assert list(theirs) == [still.name for still in clip.stills]
    for place, still in enumerate(clip.stills):
        painted_HW, rings_HW = np.zeros((H, W), np.int32), np.zeros((H, W), np.uint8)
        for entry in theirs[still.name]:
            points = np.array(entry["segmentation"], np.int32)
            cv2.fillPoly(painted_HW, [points], (entry["group"],))
            if entry["category"] == "__background__":
                cv2.polylines(rings_HW, [points], True, (1,))
        for track in clip.tracks:
            ours_HW = decode(track.masks[place])  # type: ignore[arg-type]  # both are in all stills
            assert not ((ours_HW != (painted_HW == int(track.track_id))) & (rings_HW == 0)).any()
            notes = {entry["note"] for entry in theirs[still.name] if str(entry["group"]) == track.track_id}
            assert notes == {"sounding" if track.sounding[place] else "silent"} and track.category == "dog"

"""One label file of a set is cut off: what is in the others is read, and which it is, is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from avis_data.errors import DataError
from avis_data.formats.sets.clips import LabelledClip, UnreadClip
from avis_data.formats.sets.registry import SETS

Write = Callable[[Path, str], Path]


def cvat(folder: Path, name: str) -> Path:
    size = "<original_size><width>8</width><height>6</height></original_size>"
    task = f"<task><name>{name}</name><size>2</size><start_frame>0</start_frame><stop_frame>1</stop_frame>{size}</task>"
    (folder / name).mkdir(parents=True)
    (folder / name / "annotations.xml").write_text(
        f"<annotations><version>1.1</version><meta>{task}</meta></annotations>"
    )
    return folder / name / "annotations.xml"


def coco(folder: Path, name: str) -> Path:
    (folder / "annotations").mkdir(parents=True, exist_ok=True)
    file = folder / "annotations" / f"instances_{'train' if name == 'a' else 'val'}.json"
    image = {"id": 1, "file_name": f"{name}/0.jpg", "width": 8, "height": 6}
    file.write_text(json.dumps({"images": [image], "annotations": [], "categories": []}))
    return file


def ytvis(folder: Path, name: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{'train' if name == 'a' else 'val'}.json"
    video = {"id": 1, "width": 8, "height": 6, "length": 1, "file_names": [f"{name}/0.jpg"]}
    file.write_text(json.dumps({"videos": [video], "annotations": [], "categories": [{"id": 1, "name": "dog"}]}))
    return file


def youtube_vos(folder: Path, name: str) -> Path:
    part = folder / ("train" if name == "a" else "valid")
    (part / "Annotations" / name).mkdir(parents=True)
    Image.fromarray(np.ones((6, 8), np.uint8)).save(part / "Annotations" / name / "00000.png")
    (part / "meta.json").write_text(json.dumps({"videos": {name: {"objects": {"1": {"category": "dog"}}}}}))
    return part / "meta.json"


def of_stills(shapes: str, head: dict[str, object]) -> Write:
    def write(folder: Path, name: str) -> Path:
        (folder / name).mkdir(parents=True)
        (folder / name / "0.json").write_text(json.dumps(head | {shapes: []}))
        return folder / name / "0.json"

    return write


def label_studio(folder: Path, name: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    task = {"id": 1, "data": {"image": "0.jpg", "clip": name, "width": 8, "height": 6}}
    (folder / f"{name}.json").write_text(json.dumps([task | {"annotations": [{"id": 1, "result": []}]}]))
    return folder / f"{name}.json"


def mots(folder: Path, name: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.txt").write_text("0 1001 1 2 3 06\n")
    return folder / f"{name}.txt"


LABELME = {"imagePath": "", "imageData": None, "imageWidth": 8, "imageHeight": 6}
ISAT = {"info": {"description": "ISAT", "width": 8, "height": 6}}
SEVERAL: dict[str, tuple[str, Write]] = {
    "cvat": ("cvat", cvat),
    "coco": ("coco", coco),
    "ytvis": ("ytvis", ytvis),
    "youtube-vos": ("davis", youtube_vos),
    "labelme": ("labelme", of_stills("shapes", LABELME)),
    "x-anylabeling": ("x-anylabeling", of_stills("shapes", LABELME)),
    "isat": ("isat", of_stills("objects", ISAT)),
    "label-studio": ("label-studio", label_studio),
    "mots": ("mots", mots),
}


@pytest.mark.parametrize("kind", SEVERAL)
@pytest.mark.parametrize("damage", [b"", b"{", b"\xff\xfe\0", None])
def test_the_other_files_are_read(kind: str, damage: bytes | None, tmp_path: Path) -> None:
    """The damage: empty, cut off, no text, or a line that no tool writes after a good one."""
    name, write = SEVERAL[kind]
    write(tmp_path, "a")
    file = write(tmp_path, "b")
    if kind == "mots" and damage is not None:
        damage += b"\n0 1001"
    file.write_bytes(file.read_bytes() + b"\n<" if damage is None else damage)
    reader = SETS[name].reader
    assert reader is not None
    clips = list(reader.read(tmp_path))
    assert [clip.name for clip in clips if isinstance(clip, LabelledClip)] == ["a"]
    (unread,) = [clip for clip in clips if isinstance(clip, UnreadClip)]
    assert any(str(file) in str(problem) for problem in unread.problems)
    assert not any(str(problem).count(str(file)) > 1 for problem in unread.problems)


@pytest.mark.parametrize("kind", ["cvat", "coco", "ytvis", "youtube-vos"])
def test_a_set_of_which_no_file_can_be_read_is_refused_whole(kind: str, tmp_path: Path) -> None:
    name, write = SEVERAL[kind]
    for clip in ("a", "b"):
        write(tmp_path, clip).write_bytes(b"{")
    reader = SETS[name].reader
    assert reader is not None
    with pytest.raises(DataError):
        list(reader.read(tmp_path))

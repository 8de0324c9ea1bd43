"""One row of a table, one entry of a list or one line of a text is wrong: its clip is told, the others are read."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from avis_data.formats.avsbench import AvsbenchClip, AvsbenchName, clip_paths, table
from avis_data.formats.sets.clips import LabelledClip, UnreadClip
from avis_data.formats.sets.registry import SETS, WRITTEN
from support.labelled_sets import odd_clips, write_set

LINES = (b"", b"x", b"nan", b"inf", b"-1", b"\xff", b'"', b"../x", b"9" * 400)
VALUES = (None, 5, "x", [], {}, math.nan, math.inf, 10**400, "²")
SHARED_TABLES = {"categories", "licenses", "info", "annotations", "images", "videos", "tracks"}
"""Lists and heads that all clips need: what takes their place spoils more than one clip."""

HEADS = ("certificate.json", "label2idx.json", "croissant.json")
"""Files that speak of the whole set."""


def written(name: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        lengths = SETS[name].lengths[-1:] or (2,)
        clips = [replace(clip, split="val") for clip in odd_clips(3, count=3, lengths=lengths, sizes_HW=((9, 9),))]
        write_set(SETS[name], folder, clips)

    return write


def avsbench(dataset: AvsbenchName) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        clips = [AvsbenchClip(name=f"c{n}", start_s=0.0, category="dog", split="val") for n in range(3)]
        path, text = table(dataset, clips)
        for mask in (mask for clip in clips for mask in clip_paths(dataset, clip, "wav").masks if mask is not None):
            (folder / mask).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((6, 8), 255, np.uint8)).save(folder / mask)
        (folder / path).write_text(text)

    return write


def avtrack(folder: Path) -> None:
    folder.mkdir()
    videos = [{"id": n, "width": 8, "height": 6, "file_names": [f"v{n}/0.jpg", f"v{n}/1.jpg"]} for n in range(3)]
    (folder / "avtrack_meta.json").write_text(json.dumps({"videos": videos}))


def label_studio(folder: Path) -> None:
    folder.mkdir()
    value = {"points": [[10, 10], [60, 10], [60, 60]], "polygonlabels": ["dog"]}
    region = {"id": "r", "type": "polygonlabels", "value": value, "original_width": 8, "original_height": 6}
    tasks = [
        {"id": n, "data": {"image": "0.jpg", "clip": f"c{n}"}, "annotations": [{"id": 1, "result": [region]}]}
        for n in range(3)
    ]
    (folder / "export.json").write_text(json.dumps(tasks))


def of_stills(shapes: str, head: dict[str, object], shape: dict[str, object]) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        for number in range(3):
            (folder / f"c{number}").mkdir(parents=True)
            (folder / f"c{number}" / "0.json").write_text(json.dumps(head | {shapes: [shape]}))

    return write


POINTS = [[1, 1], [5, 1], [5, 4]]
LABELME = {"imagePath": "", "imageData": None, "imageWidth": 8, "imageHeight": 6}
POLYGON = {"label": "dog", "points": POINTS, "group_id": 1, "shape_type": "polygon", "flags": {}}
ISAT = {"info": {"description": "ISAT", "width": 8, "height": 6}}
OBJECT = {"category": "dog", "group": 1, "segmentation": POINTS, "layer": 1.0}
READ: dict[str, tuple[str, Callable[[Path], None]]] = {
    **{name: (name, written(name)) for name in WRITTEN},
    "avsbench-s4": ("avsbench", avsbench("avsbench-s4")),
    "avsbench-ms3": ("avsbench", avsbench("avsbench-ms3")),
    "avtrack": ("avtrack", avtrack),
    "label-studio": ("label-studio", label_studio),
    "labelme": ("labelme", of_stills("shapes", LABELME, POLYGON)),
    "x-anylabeling": ("x-anylabeling", of_stills("shapes", LABELME, POLYGON)),
    "isat": ("isat", of_stills("objects", ISAT, OBJECT)),
}
OTHERS = {"cvat"}
"""Not of tables, lists or lines: XML, of which tests/formats/tools has the damage."""


def test_all_readers_are_here() -> None:
    there = {name for name, _ in READ.values()} | OTHERS
    assert there == {spec.name for spec in SETS if spec.reader is not None}


@pytest.mark.parametrize("kind", READ)
def test_the_others_are_read(kind: str, tmp_path: Path) -> None:
    name, write = READ[kind]
    write(tmp_path / "set")
    whole = read(name, tmp_path / "set")
    assert len(whole) == 3 and all(isinstance(clip, LabelledClip) for clip in whole)
    rng = np.random.default_rng(0)
    every = [(path, path.read_bytes()) for path in sorted((tmp_path / "set").rglob("*")) if path.is_file()]
    tried = [(path, data, cases) for path, data in every if (cases := list(damages(path, data)))]
    assert tried
    for file, data, cases in tried:
        for place in sorted(rng.permutation(len(cases))[:60].tolist()):
            told, damaged = cases[place]
            file.write_bytes(damaged)
            found = read(name, tmp_path / "set")
            good = [clip for clip in found if isinstance(clip, LabelledClip)]
            assert len(good) >= 2, (
                f"{file}: {told}: {[str(p) for c in found if isinstance(c, UnreadClip) for p in c.problems]}"
            )
        file.write_bytes(data)
    shutil.rmtree(tmp_path / "set")


@pytest.mark.parametrize("kind", ["coco", "ytvis", "fiftyone"])
def test_numbers_of_a_video_that_are_none(kind: str, tmp_path: Path) -> None:
    """Each odd value of each number: the clip comes without it, or is told."""
    READ[kind][1](tmp_path)
    (file,) = tmp_path.rglob("instances_val.json" if kind != "ytvis" else "val.json")
    whole = file.read_text()
    for field in ("fps", "start_s", "width", "height"):
        for value in VALUES:
            content = json.loads(whole)
            content["videos"][0][field] = value
            file.write_text(json.dumps(content))
            found = read(READ[kind][0], tmp_path)
            assert len(found) == 3 and sum(isinstance(clip, LabelledClip) for clip in found) >= 2, (field, value)


def read(name: str, folder: Path) -> list[LabelledClip | UnreadClip]:
    reader = SETS[name].reader
    assert reader is not None
    return list(reader.read(folder))


def damages(file: Path, data: bytes) -> Iterator[tuple[str, bytes]]:
    """What was done, and the file after it: of each line one word, of each entry one field."""
    if file.suffix == ".json" and file.name not in HEADS:
        for path, value in ((path, value) for path in places(json.loads(data)) for value in VALUES):
            content = json.loads(data)
            holder = content
            for key in path[:-1]:
                holder = holder[key]
            holder[path[-1]] = value
            yield f"{path} is {value!r:.20}", json.dumps(content).encode()
    elif file.suffix in (".csv", ".txt", ".rttm", ".uem") and file.name != "labels.txt":
        comma = b"," if file.suffix == ".csv" else b" "
        lines = data.split(b"\n")
        for number in range(1, len(lines)):
            words = lines[number].split(comma)
            for place in range(len(words)):
                for word in LINES:
                    line = comma.join([*words[:place], word, *words[place + 1 :]])
                    yield f"line {number + 1}: {word!r:.20}", b"\n".join([*lines[:number], line, *lines[number + 1 :]])


def places(value: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every field of an entry, but not of what all clips share."""
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in entries:
        if not path and (key in SHARED_TABLES or key == "tags"):
            if key in ("annotations", "images", "videos"):
                yield from places(inner, (key,))
        elif len(path) < 5:
            yield (*path, key)
            yield from places(inner, (*path, key))

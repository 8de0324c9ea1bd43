"""A fault of a truth file has one name: the readers of labels and of evaluation say the same of entry and field."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from avis_data.errors import DataError, ProblemsError
from avis_data.formats.ytvis import read_ytvis
from avis_data.formats.ytvis_entries import EntryReader
from avis_data.metrics.reading import read_evaluation
from support.ytvis_world import truth

Spoil = Callable[[dict[str, Any]], object]


def setting(table: str, index: int, key: str, value: Any) -> Spoil:
    return lambda content: content[table][index].__setitem__(key, value)


def without(table: str, index: int, key: str) -> Spoil:
    return lambda content: content[table][index].pop(key)


FILE_FAULTS: dict[str, tuple[Spoil, str]] = {
    "no videos": (lambda content: content.pop("videos"), "videos: must be a list, is missing or null"),
    "no categories": (lambda content: content.pop("categories"), "categories: must be a list, is missing or null"),
    "videos as object": (lambda content: content.update(videos={}), "videos: must be a list, is an object"),
    "annotations as text": (lambda content: content.update(annotations="x"), "annotations: must be a list, is text"),
}
ENTRY_FAULTS: dict[str, tuple[Spoil, str]] = {
    "category as number": (
        lambda content: content["categories"].append(7),
        "categories[2]: must be an object, is a number",
    ),
    "category id as text": (
        setting("categories", 1, "id", "2"),
        "categories[1] (id '2'): id: must be a whole number of 1 or more (found '2')",
    ),
    "category id of nothing": (
        setting("categories", 1, "id", 0),
        "categories[1] (id 0): id: must be a whole number of 1 or more (found 0)",
    ),
    "frame that leads out": (
        setting("videos", 1, "file_names", ["beta/0.jpg", "../1.jpg", "beta/2.jpg"]),
        "videos[1] (id 2): file_names[1]: is unsafe, it could lead out of its folder (found '../1.jpg')",
    ),
    "rate of nothing": (setting("videos", 1, "fps", 0), "videos[1] (id 2): fps: must be a number above 0 (found 0)"),
    "areas as text": (
        setting("annotations", 2, "areas", "30"),
        "annotations[2] (id 3): areas: must be a list of finite numbers and null, is text",
    ),
    "flags as text": (
        setting("annotations", 2, "sounding", "yes"),
        "annotations[2] (id 3): sounding: must be 3 of true, false or null, one for each frame",
    ),
    "no size anywhere": (
        lambda content: (
            [content["videos"][1].pop(key) for key in ("height", "width")]
            + [entry.pop(key) for entry in content["annotations"][2:] for key in ("height", "width")]
        ),
        "videos[1] (id 2): height, width: missing, and the video has no annotation to take them from",
    ),
    "category id twice": (
        setting("categories", 1, "id", 1),
        "categories[1] (id 1): id: 1 is also the id of categories[0] (id 1)",
    ),
    "category name twice": (
        setting("categories", 1, "name", "person"),
        "categories[1] (id 2): name: 'person' is also the name of categories[0] (id 1)",
    ),
    "category without name": (
        without("categories", 1, "name"),
        "categories[1] (id 2): name: must be text (found nothing)",
    ),
    "video as null": (
        lambda content: content["videos"].append(None),
        "videos[2]: must be an object, is missing or null",
    ),
    "video id missing": (without("videos", 1, "id"), "videos[1]: id: must be a whole number (found nothing)"),
    "video id too long": (
        setting("videos", 1, "id", 2**64),
        f"videos[1] (id {2**64}): id: must fit 63 bits, has 65",
    ),
    "video id twice": (
        setting("videos", 1, "id", 1),
        "videos[1] (id 1): id: 1 is also the id of videos[0] (id 1)",
    ),
    "video name twice": (
        lambda content: content["videos"][1].update(file_names=content["videos"][0]["file_names"]),
        "videos[1] (id 2): file_names: 'alpha' is also the name of videos[0] (id 1)",
    ),
    "no frames": (
        setting("videos", 1, "file_names", []),
        "videos[1] (id 2): file_names: must be a list of one name or more",
    ),
    "frame as number": (
        lambda content: content["videos"][1]["file_names"].__setitem__(2, 7),
        "videos[1] (id 2): file_names[2]: must be text (found 7)",
    ),
    "another length than names": (
        setting("videos", 1, "length", 9),
        "videos[1] (id 2): length: is 9, but there are 3 file_names",
    ),
    "half a size": (
        without("videos", 1, "height"),
        "videos[1] (id 2): height: must be a whole number of 1 or more (found nothing)",
    ),
    "size of nothing": (
        setting("videos", 1, "width", 0),
        "videos[1] (id 2): width: must be a whole number of 1 or more (found 0)",
    ),
    "annotation as list": (
        lambda content: content["annotations"].append([]),
        "annotations[4]: must be an object, is a list",
    ),
    "annotation id missing": (
        without("annotations", 2, "id"),
        "annotations[2]: id: must be a whole number (found nothing)",
    ),
    "annotation id twice, in two videos": (
        setting("annotations", 2, "id", 1),
        "annotations[2] (id 1): id: 1 is also the id of annotations[0] (id 1)",
    ),
    "unknown video": (
        setting("annotations", 2, "video_id", 77),
        "annotations[2] (id 3): video_id: no sound video has the id 77",
    ),
    "video id as truth": (
        setting("annotations", 2, "video_id", True),
        "annotations[2] (id 3): video_id: must be a whole number (found True)",
    ),
    "unknown category": (
        setting("annotations", 2, "category_id", 77),
        "annotations[2] (id 3): category_id: no category has the id 77",
    ),
    "crowd of two": (
        setting("annotations", 2, "iscrowd", 2),
        "annotations[2] (id 3): iscrowd: must be 0 or 1 (found 2)",
    ),
    "another height than its video": (
        setting("annotations", 2, "height", 99),
        "annotations[2] (id 3): height: is 99, the video has 12",
    ),
    "masks missing": (
        without("annotations", 2, "segmentations"),
        "annotations[2] (id 3): segmentations: must be a list, is missing or null",
    ),
    "too few masks": (
        setting("annotations", 2, "segmentations", [None]),
        "annotations[2] (id 3): segmentations: has 1 entries, the video has 3 frames",
    ),
    "too many masks": (
        setting("annotations", 2, "segmentations", [None] * 4),
        "annotations[2] (id 3): segmentations: has 4 entries, the video has 3 frames",
    ),
}


def saved(folder: Path, spoil: Spoil) -> tuple[Path, Path]:
    content = copy.deepcopy(truth(["alpha", "beta"]))
    spoil(content)
    paths = folder / "truth.json", folder / "results.json"
    for path, value in zip(paths, (content, []), strict=True):
        path.write_text(json.dumps(value))
    return paths


@pytest.mark.parametrize("fault", ENTRY_FAULTS)
def test_both_readers_name_a_fault_alike(fault: str, tmp_path: Path) -> None:
    """Word for word, with what follows from it, as annotations of a video that cannot be used.

    Of two videos of one name only the evaluation, which tells videos by it, leaves one out.
    """
    spoil, words = ENTRY_FAULTS[fault]
    paths = saved(tmp_path, spoil)
    with pytest.raises(ProblemsError) as caught:
        read_ytvis(paths[0])
    labels = [str(problem) for problem in caught.value.problems]
    evaluated = [str(problem) for problem in read_evaluation(*paths).problems]
    assert words in labels
    assert evaluated[: len(labels)] == [f"truth.json: {line}" for line in labels]
    assert all("no sound video has the id 2" in line for line in evaluated[len(labels) :])
    assert len(evaluated) == len(labels) or fault == "video name twice"


@pytest.mark.parametrize("fault", FILE_FAULTS)
def test_both_readers_refuse_a_file_of_another_form_alike(fault: str, tmp_path: Path) -> None:
    spoil, words = FILE_FAULTS[fault]
    paths = saved(tmp_path, spoil)
    with pytest.raises(ProblemsError) as caught:
        read_ytvis(paths[0])
    assert words in [str(problem) for problem in caught.value.problems]
    with pytest.raises(DataError) as refused:
        read_evaluation(*paths)
    assert str(refused.value) == f"{paths[0]}: {words}"


def test_a_sound_file_is_sound_for_both(tmp_path: Path) -> None:
    paths = saved(tmp_path, lambda content: None)
    found = read_evaluation(*paths)
    assert not found.problems
    labels = read_ytvis(paths[0])
    assert [(video.video_id, video.name, video.num_frames, video.height, video.width) for video in found.videos] == [
        (video.video_id, video.name, video.length, video.height, video.width) for video in labels.videos
    ]
    assert [(track.track_id, track.category) for video in found.videos for track in video.truth] == [
        (track.track_id, track.category_id) for track in labels.tracks
    ]


def test_masks_are_the_objects_of_the_file() -> None:
    content = truth(["alpha"])
    entries = list(EntryReader(content).annotations())
    assert all(
        entry.segmentations is raw["segmentations"] for entry, raw in zip(entries, content["annotations"], strict=True)
    )


def test_what_a_reader_refused_is_unknown_to_what_refers_to_it() -> None:
    reader = EntryReader(truth(["alpha", "beta"]))
    reader.refuse(reader.videos[0], "file_names", "are not to be had")
    assert [entry.video.number for entry in reader.annotations()] == [2, 2]
    assert [str(problem) for problem in reader.problems[1:]] == [
        f"annotations[{index}] (id {index + 1}): video_id: no sound video has the id 1" for index in (0, 1)
    ]

"""A truth file that is read video by video says what one says that is read at once: of content and of faults."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from formats.test_ytvis_entries import ENTRY_FAULTS, FILE_FAULTS

from avis_data.errors import Problem, ProblemsError
from avis_data.formats.sets import json_tables
from avis_data.formats.ytvis import ParsedYtvis, parse_ytvis
from avis_data.formats.ytvis_file import YtvisFile, open_ytvis
from support.ytvis_world import truth

VALUES: list[Any] = [
    *(None, 0, 1, 2, -1, True, 1.5, 2**64, "x", "", [], {}, [None], [[1, 2, 3, 4, 5, 6]], [[1, 2, 3]]),
    *("../x/0.jpg", ["a/0.jpg"], {"size": [12, 17], "counts": "04"}),
]


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Entries are cut where a piece of the file ends."""
    monkeypatch.setattr(json_tables, "_CHUNK_BYTES", 61)


def opened(folder: Path, content: object) -> YtvisFile:
    path = folder / "truth.json"
    path.write_text(json.dumps(content))
    return open_ytvis(path)


def told(problems: Iterable[Problem]) -> list[str]:
    return [str(problem) for problem in problems]


def check_says_the_same(file: YtvisFile, parsed: ParsedYtvis) -> None:
    found = list(file.tracks())
    assert told(file.problems) == told(parsed.problems) and told(file.remarks) == told(parsed.remarks)
    assert (file.categories, file.has_annotations) == (parsed.dataset.categories, parsed.dataset.has_annotations)
    assert [track for _, track in found] == list(parsed.dataset.tracks)
    assert tuple(file.videos) == parsed.dataset.videos and file.names == parsed.dataset.names
    places = {("annotations", entry.number): entry.where for entry, _ in found}
    places |= {("videos", entry.number): entry.where for entry in file.sound_videos()}
    assert places == parsed.places


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, below in inner for found in leaves(below, (*path, key)))]


def spoiled(rng: random.Random) -> dict[str, Any]:
    content: dict[str, Any] = truth(["alpha", "beta", "gamma"])
    for _ in range(rng.randrange(4)):
        *way, last = rng.choice(leaves(content)[1:])
        at: Any = content
        for key in way:
            at = at[key]
        change = rng.randrange(4)
        if change < 2:
            at[last] = copy.deepcopy(rng.choice(VALUES))
        elif change == 2:
            del at[last]
        elif isinstance(at, list):
            at.insert(rng.randrange(len(at) + 1), copy.deepcopy(at[last]))
    for table in ("videos", "annotations"):
        if isinstance(content.get(table), list) and not rng.randrange(4):
            rng.shuffle(content[table])
    names = list(content)
    rng.shuffle(names)  # tables may come in any order
    return {name: content[name] for name in names}


@pytest.mark.parametrize("fault", [*ENTRY_FAULTS, *FILE_FAULTS])
def test_every_known_fault_is_told_alike(fault: str, tmp_path: Path) -> None:
    content = truth(["alpha", "beta"])
    (ENTRY_FAULTS | FILE_FAULTS)[fault][0](content)
    with opened(tmp_path, content) as file:
        check_says_the_same(file, parse_ytvis(content))
    with opened(tmp_path, content) as file, pytest.raises(ProblemsError) as caught:
        list(file.by_video())
    assert told(caught.value.problems) == told(parse_ytvis(content).problems)


@pytest.mark.parametrize("seed", range(60))
def test_files_spoiled_by_chance_are_told_alike(seed: int, tmp_path: Path) -> None:
    content = spoiled(random.Random(seed))
    parsed = parse_ytvis(content)
    with opened(tmp_path, content) as file:
        check_says_the_same(file, parsed)
    with opened(tmp_path, content) as file:
        if parsed.problems:
            with pytest.raises(ProblemsError) as caught:
                list(file.by_video())
            assert told(caught.value.problems) == told(parsed.problems)
            return
        assert list(file.by_video()) == list(parsed.dataset.by_video())
        assert [file.clip(number) for number in range(file.num_videos)] == list(file.by_video())


@pytest.mark.parametrize("content", [None, 3, [], {"images": [{"id": 1}], "annotations": []}, {"videos": 1}])
def test_other_files_are_told_alike(content: object, tmp_path: Path) -> None:
    with opened(tmp_path, content) as file:
        check_says_the_same(file, parse_ytvis(content))


def test_polygons_that_are_left_out_are_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    content = truth(["alpha", "beta"])
    for place in (3, 1):
        content["annotations"][place]["segmentations"][1].append([1, 2, 3])
    content["annotations"].reverse()
    with opened(tmp_path, content) as file:
        for _ in range(2):
            list(file.by_video())
    (line,) = [record.getMessage() for record in caplog.records]
    assert "dropped_polygons=2 first=annotations[0] (id 4): segmentations[1]" in line

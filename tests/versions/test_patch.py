"""A file of changes makes the very new version out of the old one, and nothing else out of anything else."""

from __future__ import annotations

import copy
import json
import random
from pathlib import Path
from typing import Any

import pytest

from avis_data.errors import AvisError, DataError
from avis_data.io import canonical_json, read_json, write_json
from avis_data.versions.changes import compare_versions
from avis_data.versions.patch import apply_changes, changes_json
from avis_data.versions.version import read_version, split_files
from support.ytvis_world import annotation, truth


def write(folder: Path, content: dict[str, Any]) -> Path:
    folder.mkdir()
    for split, file in content.items():
        (folder / f"{split}.json").write_text(json.dumps(file))
    return folder


def saved(old: Path, new: Path, path: Path) -> dict[str, Any]:
    before, after = read_version(old), read_version(new)
    found = changes_json(before, after, compare_versions(before, after, keep_same=True))
    write_json(path, found)
    return found


def changed(content: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    """Another version: videos and tracks gone, redrawn, new, moved, renumbered; foreign keys come and go."""
    new = copy.deepcopy(content)
    for split in new.values():
        for entry in split["annotations"]:
            if rng.random() < 0.5:
                boxes = [rng.choice([None, (rng.randrange(1, 9), 2, 5, 6)]) for _ in range(3)]
                entry |= annotation(entry["id"], entry["video_id"], rng.choice([1, 2]), boxes)
            if rng.random() < 0.3:
                entry["remark"] = "ü"
            if rng.random() < 0.2:
                entry.pop("iscrowd")
        split["annotations"] = [entry for entry in split["annotations"] if rng.random() > 0.2]
        for entry in split["annotations"]:
            entry["id"] += 100
        rng.shuffle(split["annotations"])
        split["info"]["version"] = rng.random()
    train, test = new["train"], new["test"]
    moved = train["videos"].pop()
    train["annotations"] = [entry for entry in train["annotations"] if entry["video_id"] != moved["id"]]
    test["videos"].append(moved | {"id": 50})
    test["annotations"].append(annotation(999, 50, 1, [(1, 2, 5, 6), None, None]))
    return new


@pytest.mark.parametrize("seed", range(8))
def test_changes_applied_to_the_old_give_the_new(tmp_path: Path, seed: int) -> None:
    content = {"train": truth(["a", "b", "c", "d"]), "test": truth(["t", "u"])}
    new = changed(content, random.Random(seed))
    saved(write(tmp_path / "old", content), write(tmp_path / "new", new), tmp_path / "changes.json")
    made = apply_changes(tmp_path / "changes.json", split_files(tmp_path / "old"), tmp_path / "made")
    assert {path.stem: canonical_json(read_json(path)) for path in made} == {
        split: canonical_json(file) for split, file in new.items()
    }


def test_a_small_change_is_a_small_file(tmp_path: Path) -> None:
    content = {"train": truth([f"v{n}" for n in range(40)])}
    new = copy.deepcopy(content)
    new["train"]["annotations"][3]["areas"][1] = 15
    saved(write(tmp_path / "old", content), write(tmp_path / "new", new), tmp_path / "changes.json")
    told = read_json(tmp_path / "changes.json")["files"]["train"]["annotations"]
    assert told[3] == {"from": ["train", 4], "at": {"areas": {"1": 15}}}
    assert all(set(entry) == {"from"} for n, entry in enumerate(told) if n != 3)


def test_another_old_version_is_refused(tmp_path: Path) -> None:
    old, new, other = ({"train": truth(names)} for names in (["a"], ["a", "b"], ["c"]))
    saved(write(tmp_path / "old", old), write(tmp_path / "new", new), tmp_path / "changes.json")
    with pytest.raises(DataError, match="begin with another version"):
        apply_changes(tmp_path / "changes.json", split_files(write(tmp_path / "other", other)), tmp_path / "made")
    assert not (tmp_path / "made").exists()


def test_a_damaged_file_of_changes_makes_nothing(tmp_path: Path) -> None:
    content = {"train": truth(["a", "b"]), "test": truth(["t"])}
    new = changed(content, random.Random(1))
    sound = saved(write(tmp_path / "old", content), write(tmp_path / "new", new), tmp_path / "changes.json")
    rng = random.Random(14)
    for n in range(150):
        path = tmp_path / f"damaged{n}.json"
        path.write_text(json.dumps(damaged(copy.deepcopy(sound), rng)))
        try:
            made = apply_changes(path, split_files(tmp_path / "old"), tmp_path / f"made{n}")
        except AvisError:
            assert not (tmp_path / f"made{n}").exists()
        else:  # what was damaged is not needed: the summary for people
            assert {file.stem: read_json(file) for file in made} == new


def damaged(value: Any, rng: random.Random) -> Any:
    """One place of it replaced, or gone."""
    if isinstance(value, dict | list) and value and rng.random() < 0.85:
        places = list(value) if isinstance(value, dict) else list(range(len(value)))
        place = rng.choice(places)
        if rng.random() < 0.15:
            del value[place]
        else:
            value[place] = damaged(value[place], rng)
        return value
    return rng.choice([None, [], {}, "../../x", -1, 10**30, 0.5, [[]], {"from": ["train", 1]}, {"whole": 3}])


def test_a_name_of_a_split_cannot_leave_the_folder(tmp_path: Path) -> None:
    content = {"train": truth(["a"])}
    found = saved(write(tmp_path / "old", content), write(tmp_path / "new", content), tmp_path / "changes.json")
    found["files"] = {"../evil": found["files"]["train"]}
    found["new"] = {"../evil": found["new"]["train"]}
    write_json(tmp_path / "changes.json", found)
    with pytest.raises(DataError, match="evil"):
        apply_changes(tmp_path / "changes.json", split_files(tmp_path / "old"), tmp_path / "made")
    assert not (tmp_path / "evil.json").exists()

"""Sets with one thing broken in them, from a seed: fields dropped or of another type, files cut off, swapped."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np

from avis_data.errors import DataError
from avis_data.formats.sets.clips import LabelledClip, UnreadClip
from avis_data.formats.sets.spec import SetSpec
from avis_data.masks.rle import decode

_ODD_VALUES: tuple[object, ...] = (
    *(None, True, -1, 0, 1 << 70, 1e308, float("nan"), float("inf"), 0.5),
    *("", "x", "../../x", "\0", "𝕏", "9" * 5000),
    *(
        [],
        [[]],
        [None],
        {},
        {"size": [1, 1], "counts": "1"},
        {"size": "x", "counts": [1]},
        [[1, 2]],
        [[0, 0, 9e9, 9e9, 1, 1]],
    ),
)
_TEXTS = (".json", ".txt", ".csv", ".rttm", ".xml", ".seqmap", ".yaml")


def damage(folder: Path, seed: int) -> str:
    """Break one thing in the files of a set; gives what, for the message of a test that fails."""
    rng = np.random.default_rng(seed)
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "expected.json")
    labels = [path for path in files if path.suffix in _TEXTS] or files
    file = labels[int(rng.integers(len(labels)))] if rng.random() < 0.7 else files[int(rng.integers(len(files)))]
    ways = ["cut", "noise", "empty", "swap", "remove", "folder", "twice"]
    if file.suffix == ".json":
        ways = ["field"] * 12 + ways
    elif file.suffix in _TEXTS:
        ways = ["word"] * 8 + ways
    way = ways[int(rng.integers(len(ways)))]
    if way == "field":
        return f"{file}: {_other_field(file, rng)}"
    data = file.read_bytes()
    other = files[int(rng.integers(len(files)))]
    if way == "cut":
        file.write_bytes(data[: int(rng.integers(len(data) + 1))])
    elif way == "noise":
        noisy = bytearray(data)
        for place in rng.integers(0, max(1, len(data)), 5).tolist() if data else []:
            noisy[place] = int(rng.integers(256))
        file.write_bytes(bytes(noisy))
    elif way == "empty":
        file.write_bytes(b"")
    elif way == "swap":
        file.write_bytes(other.read_bytes())
    elif way == "remove":
        file.unlink()
    elif way == "folder":
        file.unlink()
        file.mkdir()
    elif way == "twice":
        shutil.copy(file, file.with_name(f"{file.stem}0{file.suffix}"))
    else:
        file.write_bytes(_other_word(data, rng))
    return f"{file}: {way} ({other.name})"


def read_damaged(spec: SetSpec, whole: Path, scratch: Path, *, seeds: int) -> None:
    """Read so many copies of a set, each with another thing broken in it."""
    for seed in range(seeds):
        folder = scratch / str(seed)
        shutil.copytree(whole, folder, ignore=shutil.ignore_patterns("expected.json"))
        read_all(spec, folder, damage(folder, seed))


def read_all(spec: SetSpec, folder: Path, damaged: str) -> None:
    """Read a set whole, its masks and pictures too; what comes is sound or says what is wrong."""
    assert spec.reader is not None
    names = set()
    try:
        spec.reader.looks_right(folder)
        for clip in spec.reader.read(folder):
            assert clip.name not in names or isinstance(clip, UnreadClip), damaged
            names.add(clip.name)
            if isinstance(clip, UnreadClip):
                assert clip.problems and all(str(problem) for problem in clip.problems), damaged
            else:
                _check_clip(clip, damaged)
    except DataError as error:
        assert str(error), damaged
    except Exception as error:
        raise AssertionError(damaged) from error


def _check_clip(clip: LabelledClip, damaged: str) -> None:
    for track in clip.tracks:
        assert len(track.masks) == len(track.sounding) == len(clip.stills), damaged
        for mask in track.masks:
            if mask is not None:
                assert decode(mask).shape == (clip.height, clip.width), damaged


def _other_word(data: bytes, rng: np.random.Generator) -> bytes:
    """A text with one word, as commas and spaces divide it, replaced, dropped or said twice."""
    text = data.decode("utf-8", "replace").replace(",", " , ").split(" ")
    place = int(rng.integers(len(text)))
    words = ("", "x", "-1", "nan", "1e400", "9" * 400, "²", "0.5", text[int(rng.integers(len(text)))], "a b", "\n")
    text[place] = words[int(rng.integers(len(words)))]
    return " ".join(text).replace(" , ", ",").encode()


def _other_field(file: Path, rng: np.random.Generator) -> str:
    """Drop a field of a JSON file, or give it another value."""
    content = json.loads(file.read_text())
    places = list(_places(content))
    if not places:
        return "nothing in it"
    holder, key = places[int(rng.integers(len(places)))]
    if rng.random() < 0.25 and isinstance(holder, (dict, list)):
        holder.pop(key)  # type: ignore[arg-type]  # a key of a dict or a place in a list
        told = f"without {key!r}"
    else:
        value = _ODD_VALUES[int(rng.integers(len(_ODD_VALUES)))]
        holder[key] = value  # type: ignore[index]  # as above
        told = f"{key!r} is {value!r:.40}"
    file.write_text(json.dumps(content))
    return told


def _places(value: object) -> list[tuple[object, object]]:
    """Every field of a JSON value, and every place of a list (of long ones the first three)."""
    entries = (
        list(value.items())
        if isinstance(value, dict)
        else list(enumerate(value))[:3]
        if isinstance(value, list)
        else []
    )
    found: list[tuple[object, object]] = [(value, key) for key, _ in entries]
    for _, inner in entries:
        found += _places(inner)
    return found

"""Large JSON files read entry by entry: the values of the whole, whatever the text looks like and where it is cut."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from avis_data.errors import DataError
from avis_data.formats.sets import json_tables as module
from avis_data.formats.sets.json_tables import Visit, json_tables
from avis_data.io import read_json

_LEAVES = (None, True, 0, -1, 1.5e-7, 10**25, "", "é𝕏\n\\u0041", 'a"b\\', float("inf"), [], {}, "x" * 3000)


def value(rng: np.random.Generator, depth: int = 0) -> object:
    way = int(rng.integers(4 if depth < 3 else 2))
    if way == 2:
        return [value(rng, depth + 1) for _ in range(int(rng.integers(4)))]
    if way == 3:
        return {f"k{number}é": value(rng, depth + 1) for number in range(int(rng.integers(4)))}
    return _LEAVES[int(rng.integers(len(_LEAVES)))]


def content(seed: int) -> dict[str, object]:
    rng = np.random.default_rng(seed)
    tables = {name: [value(rng) for _ in range(int(rng.integers(9)))] for name in ("images", "é", "annotations")}
    others = {"info": value(rng), "licenses": [1, 2], "n": 12}
    both = list((tables | others).items())
    rng.shuffle(both)
    return dict(both)


def noting(places: list[int], entries: list[object]) -> Visit:
    def note(place: int, entry: object) -> None:
        places.append(place)
        entries.append(entry)

    return note


@pytest.mark.parametrize("chunk", [1, 7, 1 << 20])
@pytest.mark.parametrize("seed", range(6))
def test_entries_are_those_of_the_whole(seed: int, chunk: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CHUNK_BYTES", chunk)
    whole = content(seed)
    spelling: dict[str, object] = [{}, {"indent": 3}, {"ensure_ascii": False, "separators": (",", ":")}][seed % 3]
    file = tmp_path / "set.json"
    text = json.dumps(whole, **spelling).encode()  # type: ignore[arg-type]  # options of dumps
    file.write_bytes([text, b"\xef\xbb\xbf" + text, b" \n" + text + b"\n ", gzip.compress(text)][seed % 4])
    seen: dict[str, list[object]] = {"images": [], "é": [], "not there": []}
    places: dict[str, list[int]] = {name: [] for name in seen}
    with json_tables(file) as tables:
        head = tables.scan(
            {
                name: lambda place, entry, name=name: (places[name].append(place), seen[name].append(entry))
                for name in seen
            }
        )
        assert head == {name: found for name, found in whole.items() if name not in seen}
        assert [tables.has(name) for name in ("images", "é", "not there", "annotations")] == [True, True, False, False]
        for name in ("images", "é"):
            assert seen[name] == whole[name] and places[name] == list(range(len(seen[name])))
            again = [tables.entry(name, place) for place in reversed(places[name])]
            assert again[::-1] == whole[name]


def test_what_is_no_json_is_told_as_of_any_other_file(tmp_path: Path) -> None:
    file = tmp_path / "set.json"
    text = json.dumps(content(1))
    broken = [text[:end] for end in range(0, len(text) - 1, 97)]
    broken += [
        f"{text} x",
        '{"images": [1,]}',
        '{"images": [1 2]}',
        '{"images": [1],}',
        "{1: 2}",
        '{"images" [1]}',
        "[" * 99999,
    ]
    for wrong in broken:
        file.write_text(wrong)
        with pytest.raises(DataError) as whole:
            read_json(file)
        with pytest.raises(DataError) as found, json_tables(file) as tables:
            tables.scan({"images": lambda _place, _entry: None})
        assert str(found.value) == str(whole.value)
    for wrong_bytes in (b"\xff{}", b'{"images": ["\xff"]}', b"PK\x03\x04", gzip.compress(b"{}")[:-9]):
        file.write_bytes(wrong_bytes)
        with pytest.raises(DataError), json_tables(file) as tables:
            tables.scan({"images": lambda _place, _entry: None})
    with pytest.raises(DataError, match="no such file"), json_tables(tmp_path / "other.json"):
        pass


def test_a_name_that_comes_twice_is_told(tmp_path: Path) -> None:
    for text in ('{"images": [], "images": [1]}', '{"n": 1, "n": 2}', '{"images": 1, "images": []}'):
        (tmp_path / "a.json").write_text(text)
        with json_tables(tmp_path / "a.json") as tables, pytest.raises(DataError, match="twice"):
            tables.scan({"images": lambda _place, _entry: None})


@pytest.mark.parametrize("text", ["[1, 2]", "null", '"x"', "12"])
def test_what_is_no_object_is_given_whole(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(text)
    with json_tables(tmp_path / "a.json") as tables:
        assert tables.scan({}) == json.loads(text)

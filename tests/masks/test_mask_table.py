"""The masks table: what goes in comes out, bytes depend on nothing but the rows, a change touches its part only."""

from __future__ import annotations

import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from avis_data.errors import DataError
from avis_data.features.store import bucket
from avis_data.masks.table import MASK_SCHEMA, read_drawn, read_masks, replace_clips, write_masks
from avis_data.records import MaskRow, State


def row(clip_id: str, track_id: str, second: int, *, area_px: int = 16, state: State = State.SOUNDING) -> MaskRow:
    sounding = state is State.SOUNDING
    return MaskRow(
        clip_id=clip_id,
        track_id=track_id,
        category="dog",
        frame=second,
        state=state,
        height=4,
        width=5,
        counts="04" if sounding else None,
        area_px=area_px if sounding else 0,
        box_xywh=(0, 0, 5, 4) if sounding else None,
        origin="test",
        round="import",
    )


def many_rows() -> list[MaskRow]:
    silent = [row("clip3", "000009", 0, state=State.HIDDEN), row("clip3", "000009", 1, state=State.SILENT)]
    return [row(f"clip{c}", f"{t:06d}", s) for c in range(40) for t in range(1, 4) for s in range(20)] + silent


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_rows_come_back_equal_and_sorted(tmp_path: Path) -> None:
    rows = many_rows()
    write_masks(tmp_path, rows)
    found = dict(read_masks(tmp_path))
    assert sorted(found) == sorted({item.clip_id for item in rows})
    for clip_id, clip_rows in found.items():
        wanted = [item for item in rows if item.clip_id == clip_id]
        assert clip_rows == sorted(wanted, key=lambda item: (item.track_id, item.frame))


def test_bytes_do_not_depend_on_order_or_on_how_many_steps(tmp_path: Path) -> None:
    rows = many_rows()
    write_masks(tmp_path / "a", rows)
    random.Random(1).shuffle(rows)
    clips: dict[str, list[MaskRow]] = {}
    for item in rows:
        clips.setdefault(item.clip_id, []).append(item)
    names = list(clips)
    for start in range(0, len(names), 7):
        replace_clips(tmp_path / "b", {name: clips[name] for name in names[start : start + 7]})
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    replace_clips(tmp_path / "b", {"clip7": clips["clip7"]})
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_a_change_touches_its_own_part_and_its_own_clip(tmp_path: Path) -> None:
    write_masks(tmp_path, many_rows())
    before, rows_before = contents(tmp_path), dict(read_masks(tmp_path))
    replace_clips(tmp_path, {"clip5": [row("clip5", "000001", 0, area_px=3)], "clip6": []})
    after, rows_after = contents(tmp_path), dict(read_masks(tmp_path))
    changed = {name for name in before if before[name] != after.get(name)}
    assert changed == {f"part-{bucket(name)}.parquet" for name in ("clip5", "clip6")}
    assert [item.area_px for item in rows_after.pop("clip5")] == [3]
    assert {**rows_after, **{name: rows_before[name] for name in ("clip5", "clip6")}} == rows_before


def test_one_clip_is_read_alone_and_absent_ones_are_not_given(tmp_path: Path) -> None:
    write_masks(tmp_path, many_rows())
    assert [name for name, _ in read_masks(tmp_path, {"clip8", "nobody"})] == ["clip8"]
    assert list(read_masks(tmp_path / "none")) == []


def test_what_is_drawn_is_that_of_the_rows(tmp_path: Path) -> None:
    write_masks(tmp_path, many_rows())
    asked = ["clip31", "clip3", "clip8", "no_such"]
    rows = dict(read_masks(tmp_path, asked))
    drawn = list(read_drawn(tmp_path, asked))
    assert [clip_id for clip_id, _ in drawn] == list(rows) and len(drawn) == 3
    for clip_id, found in drawn:
        assert [row._asdict() for row in found] == [
            {name: getattr(row, name) for name in found[0]._fields} for row in rows[clip_id]
        ]


@pytest.mark.parametrize(("column", "value"), [("frame", -1), ("area_px", -1), ("state", "loud")])
def test_a_row_that_cannot_be_is_an_error_in_words(tmp_path: Path, column: str, value: object) -> None:
    """A still before the first one would be taken for the last one."""
    write_masks(tmp_path, [row("clip3", "000001", second) for second in range(3)])
    (path,) = tmp_path.iterdir()
    rows = pq.read_table(path).to_pylist()
    rows[1][column] = value
    pq.write_table(pa.Table.from_pylist(rows, schema=MASK_SCHEMA), path)
    for read in (read_masks, read_drawn):
        with pytest.raises(DataError, match="damaged table of masks"):
            list(read(tmp_path, ["clip3"]))


def test_no_rows_remove_the_part(tmp_path: Path) -> None:
    write_masks(tmp_path, [row("clip1", "000001", 0)])
    replace_clips(tmp_path, {"clip1": []})
    assert list(tmp_path.iterdir()) == []


def test_two_rows_for_one_second_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="two rows"):
        replace_clips(tmp_path, {"clip1": [row("clip1", "000001", 0), row("clip1", "000001", 0, area_px=2)]})
    with pytest.raises(ValueError, match="another clip"):
        replace_clips(tmp_path, {"clip1": [row("clip2", "000001", 0)]})
    assert list(tmp_path.glob("*")) == []


def test_a_damaged_part_is_an_error_in_words(tmp_path: Path) -> None:
    write_masks(tmp_path, [row("clip1", "000001", 0)])
    path = next(tmp_path.iterdir())
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataError, match="damaged"):
        list(read_masks(tmp_path))

"""The Parquet parts: what is written is read bit for bit, and what is wrong in them is said."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from avis_data.errors import DataError
from avis_data.features.store import BUCKETS, EMBEDDING_SCHEMA, bucket, part_name, read_embeddings, write_part

ORIGIN = {"weights_sha256": "a" * 64, "front_end": "official", "window_s": 0.96}


def embeddings(num_seconds: int, seed: int) -> np.ndarray:
    """Half zeros as after a ReLU, and the values that a text or a sum would lose."""
    rows = np.maximum(np.random.default_rng(seed).standard_normal((num_seconds, 128)), 0).astype(np.float32)
    rows[0, :4] = [np.float32(1e-42), np.float32(3.4e38), -0.0, np.nextafter(np.float32(1), np.float32(2))]
    return rows


def some_clips(count: int, num_seconds: int = 7) -> dict[str, np.ndarray]:
    return {f"clip_{number:04d}": embeddings(num_seconds + number % 3, number) for number in range(count)}


def write_all(folder: Path, clips: dict[str, np.ndarray]) -> None:
    for bucket_id in sorted({bucket(clip_id) for clip_id in clips}):
        members = [(clip_id, clips[clip_id]) for clip_id in sorted(clips) if bucket(clip_id) == bucket_id]
        write_part(folder / part_name(bucket_id), members, **ORIGIN)


def test_bucket_is_the_first_hex_digit_of_the_hash() -> None:
    for clip_id in ("a", "clip-1", "Zz_9"):
        assert bucket(clip_id) == hashlib.sha256(clip_id.encode()).hexdigest()[0]
    assert {bucket(str(number)) for number in range(500)} == set(BUCKETS)


def test_everything_comes_back_bit_for_bit(tmp_path: Path) -> None:
    clips = some_clips(300)
    write_all(tmp_path, clips)
    found = dict(read_embeddings(tmp_path))
    assert found.keys() == clips.keys()
    for clip_id, want in clips.items():
        assert found[clip_id].dtype == np.float32
        assert found[clip_id].tobytes() == want.tobytes()


def test_some_clips_are_read_alone_from_many_row_groups(tmp_path: Path) -> None:
    clips = {f"c{number:04d}": embeddings(500, number) for number in range(20)}
    path = tmp_path / part_name("0")
    assert write_part(path, sorted(clips.items()), **ORIGIN) == 10_000
    assert pq.ParquetFile(path).num_row_groups == 4
    chosen = {name: rows for name, rows in clips.items() if bucket(name) == "0"}
    assert 0 < len(chosen) < 20
    found = dict(read_embeddings(tmp_path, [*chosen, *chosen]))
    assert found.keys() == chosen.keys()
    assert all(found[name].tobytes() == rows.tobytes() for name, rows in chosen.items())


def test_the_table_is_what_others_can_read(tmp_path: Path) -> None:
    path = tmp_path / "part-0.parquet"
    rows = embeddings(3, 0)
    write_part(path, [("one", rows), ("two", rows[:2])], **ORIGIN)
    table = pq.read_table(path)
    assert table.schema.equals(EMBEDDING_SCHEMA)
    assert [(field.name, str(field.type)) for field in table.schema] == [
        ("clip_id", "dictionary<values=string, indices=int32, ordered=0>"),
        ("frame", "int32"),
        ("embedding", "fixed_size_list<element: float not null>[128]"),
        ("weights_sha256", "string"),
        ("front_end", "string"),
        ("window_s", "float"),
    ]
    assert table["clip_id"].to_pylist() == ["one"] * 3 + ["two"] * 2
    assert table["frame"].to_pylist() == [0, 1, 2, 0, 1]
    assert table["embedding"].to_pylist()[4] == rows[1].tolist()
    assert set(table["weights_sha256"].to_pylist()) == {"a" * 64}
    assert set(table["front_end"].to_pylist()) == {"official"}
    assert table["window_s"].to_pylist()[0] == pytest.approx(0.96)
    assert pq.ParquetFile(path).metadata.row_group(0).column(2).compression == "ZSTD"


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    clips = sorted(some_clips(40).items())
    write_part(tmp_path / "a" / "part-0.parquet", clips, **ORIGIN)
    write_part(tmp_path / "b" / "part-0.parquet", iter(clips), **ORIGIN)
    assert (tmp_path / "a/part-0.parquet").read_bytes() == (tmp_path / "b/part-0.parquet").read_bytes()


def test_a_part_without_clips_is_a_table_without_rows(tmp_path: Path) -> None:
    assert write_part(tmp_path / "part-0.parquet", [], **ORIGIN) == 0
    assert pq.read_table(tmp_path / "part-0.parquet").schema.equals(EMBEDDING_SCHEMA)
    assert list(read_embeddings(tmp_path)) == []


@pytest.mark.parametrize(
    ("clips", "message"),
    [
        ([("b", embeddings(2, 0)), ("a", embeddings(2, 0))], "ascend"),
        ([("a", embeddings(2, 0)), ("a", embeddings(2, 0))], "ascend"),
        ([("a", embeddings(2, 0).astype(np.float64))], "float32"),
        ([("a", embeddings(2, 0)[:, :127])], "128"),
    ],
)
def test_a_refused_part_leaves_the_old_one(tmp_path: Path, clips: list[tuple[str, np.ndarray]], message: str) -> None:
    path = tmp_path / "part-0.parquet"
    write_part(path, [("old", embeddings(1, 0))], **ORIGIN)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=message):
        write_part(path, clips, **ORIGIN)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["part-0.parquet"]


def test_clips_that_are_not_there_are_named(tmp_path: Path) -> None:
    clips = some_clips(5)
    write_all(tmp_path, clips)
    stranger = next(f"x{number}" for number in range(99) if bucket(f"x{number}") == bucket("clip_0000"))
    with pytest.raises(DataError, match=f"(?s){stranger}.*avis-data embed"):
        list(read_embeddings(tmp_path, [*clips, stranger]))
    with pytest.raises(DataError, match="no such file"):
        list(read_embeddings(tmp_path / "none", ["clip_0000"]))


@pytest.mark.parametrize("frames", [[0, 2], [1, 0], [1, 2], [0, 0]])
def test_stills_must_be_each_once_in_order(tmp_path: Path, frames: list[int]) -> None:
    path = tmp_path / part_name(bucket("one"))
    write_part(path, [("one", embeddings(2, 0))], **ORIGIN)
    table = pq.read_table(path)
    field = EMBEDDING_SCHEMA.field("frame")
    pq.write_table(table.set_column(1, field, pa.array(frames, pa.int32())), path)
    with pytest.raises(DataError, match="stills of one are not 0 to 1"):
        list(read_embeddings(tmp_path, ["one"]))


def test_foreign_and_damaged_parts_are_named(tmp_path: Path) -> None:
    path = tmp_path / "part-0.parquet"
    pq.write_table(pa.table({"clip_id": ["a"], "frame": [0]}), path)
    with pytest.raises(DataError, match=r"part-0\.parquet: its columns"):
        list(read_embeddings(tmp_path))
    write_part(path, [("one", embeddings(50, 0))], **ORIGIN)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match=r"part-0\.parquet: cannot be read as Parquet"):
        list(read_embeddings(tmp_path))

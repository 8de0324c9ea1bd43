"""Embeddings in Parquet: one row per clip and still, in 16 parts, so that a change rewrites one of them.

Legend: T stills, D = 128 values.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from avis_data.errors import DataError
from avis_data.features.arrays import check_finite
from avis_data.io import atomic_path

__all__ = [
    "BUCKETS",
    "EMBEDDING_SCHEMA",
    "WINDOW_S",
    "bucket",
    "clips_in_part",
    "drop_clips",
    "part_name",
    "read_embeddings",
    "write_part",
]

BUCKETS = "0123456789abcdef"
WINDOW_S = 0.96
"""The sound that one embedding is made of: 96 frames, one every 10 ms."""

EMBEDDING_SCHEMA = pa.schema(
    [
        pa.field("clip_id", pa.dictionary(pa.int32(), pa.string()), nullable=False),
        pa.field("frame", pa.int32(), nullable=False),
        pa.field("embedding", pa.list_(pa.field("element", pa.float32(), nullable=False), 128), nullable=False),
        pa.field("weights_sha256", pa.string(), nullable=False),
        pa.field("front_end", pa.string(), nullable=False),
        pa.field("window_s", pa.float32(), nullable=False),
    ]
)
"""A row is what the network made of `window_s` of sound, for the still `frame` of a clip. `weights_sha256` is
`untrained-<seed>` for a network with random weights; `front_end` names how the sound was cut: `official`, at one still
per second: from the start of its second; `causal`, at other rates: before the instant of the still."""

_SIZE = 128
_GROUP_ROWS = 2048
"""Rows after which a row group is closed, at the end of a clip: 1 MB, so that one clip is read without its part."""

_ADVICE = "avis-data embed  (makes what is missing)"


def bucket(clip_id: str) -> str:
    """The part that a clip belongs to: the first hex digit of the SHA-256 of its id."""
    return hashlib.sha256(clip_id.encode()).hexdigest()[0]


def part_name(bucket_id: str) -> str:
    """File name of one part."""
    return f"part-{bucket_id}.parquet"


def write_part(
    path: Path,
    clips: Iterable[tuple[str, NDArray[np.float32]]],
    *,
    weights_sha256: str,
    front_end: str,
    window_s: float,
) -> int:
    """Write the embeddings of the clips of one bucket, whole or not at all; equal input gives equal bytes.

    Args:
        path: the Parquet file; the folder is made.
        clips: id and float32 (T, 128), row t for still t; ids ascending. Taken one by one, never all in memory.
        weights_sha256: of the weight file, or `untrained-<seed>`.
        front_end: how the sound was cut and pictured, `official`.
        window_s: seconds of sound behind one row.

    Returns:
        The number of rows.

    Raises:
        ValueError: if ids do not ascend or an array is no float32 (T, 128).
    """
    constants = (weights_sha256, front_end, window_s)
    num_rows = 0
    with (
        atomic_path(path) as part,
        pq.ParquetWriter(
            part,
            EMBEDDING_SCHEMA,
            compression="zstd",
            # Random floats do not repeat: a dictionary of them costs time and saves nothing.
            use_dictionary=["clip_id", "weights_sha256", "front_end"],
        ) as writer,
    ):
        for batch in _batches(clips):
            table = _table(batch, constants)
            writer.write_table(table, row_group_size=max(table.num_rows, 1))
            num_rows += table.num_rows
    return num_rows


def read_embeddings(folder: Path, clip_ids: Iterable[str] | None = None) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """The embeddings of clips, one clip at a time.

    Args:
        folder: of the `part-*.parquet`.
        clip_ids: which; None: all there are.

    Yields:
        id and float32 (T, 128), row t for still t, bit for bit as written; in the order of parts, and of ids within
        a part, whatever the order asked for (so that each part is read once).

    Raises:
        DataError: if a part is missing, unreadable or of another layout, a clip is not in it, its stills are not
            0 .. T-1, or a number is NaN or infinite.
    """
    if clip_ids is None:
        for path in sorted(folder.glob("part-*.parquet")):
            yield from read_part(path, None)
        return
    wanted: dict[str, set[str]] = {}
    for clip_id in clip_ids:
        wanted.setdefault(bucket(clip_id), set()).add(clip_id)
    for bucket_id in sorted(wanted):
        yield from read_part(folder / part_name(bucket_id), wanted[bucket_id])


def clips_in_part(path: Path) -> list[str]:
    """The ids of the clips that a part holds, ascending; of any table with a column `clip_id`.

    Raises:
        DataError: if it cannot be read as Parquet.
    """
    try:
        with pq.ParquetFile(path) as file:
            column = file.read(columns=["clip_id"]).column("clip_id")
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path}: cannot be read as Parquet ({error})", hint=_ADVICE) from None
    return sorted({str(clip_id) for clip_id in column.cast(pa.string()).unique().to_pylist()})


def drop_clips(path: Path, clip_ids: Collection[str]) -> None:
    """Write a part once more without some clips: the same bytes as if it had never had them.

    Raises:
        DataError: as `read_embeddings`.
    """
    constants = ["weights_sha256", "front_end", "window_s"]
    with pq.ParquetFile(path) as file:
        (first,) = next(file.iter_batches(batch_size=1, columns=constants)).to_pylist()
    kept = ((clip_id, rows_TD) for clip_id, rows_TD in read_part(path, None) if clip_id not in clip_ids)
    write_part(path, kept, **first)


def _batches(clips: Iterable[tuple[str, NDArray[np.float32]]]) -> Iterator[list[tuple[str, NDArray[np.float32]]]]:
    batch: list[tuple[str, NDArray[np.float32]]] = []
    before, num_rows = "", 0
    for clip_id, embeddings_TD in clips:
        if clip_id <= before:
            raise ValueError(f"clip ids must ascend: {clip_id!r} after {before!r}")
        if embeddings_TD.dtype != np.float32 or embeddings_TD.ndim != 2 or embeddings_TD.shape[1] != _SIZE:
            raise ValueError(f"{clip_id}: must be float32 (T, 128), is {embeddings_TD.dtype} {embeddings_TD.shape}")
        before = clip_id
        batch.append((clip_id, embeddings_TD))
        num_rows += len(embeddings_TD)
        if num_rows >= _GROUP_ROWS:
            yield batch
            batch, num_rows = [], 0
    if batch:
        yield batch


def _table(batch: list[tuple[str, NDArray[np.float32]]], constants: tuple[str, str, float]) -> pa.Table:
    lengths = [len(rows_TD) for _, rows_TD in batch]
    total = sum(lengths)
    ids = pa.DictionaryArray.from_arrays(
        pa.array(np.repeat(np.arange(len(batch), dtype=np.int32), lengths)),
        pa.array([clip_id for clip_id, _ in batch], pa.string()),
    )
    frames = np.concatenate([np.arange(length, dtype=np.int32) for length in lengths])
    values = np.ascontiguousarray(np.concatenate([rows_TD for _, rows_TD in batch])).reshape(-1)
    embeddings = pa.FixedSizeListArray.from_arrays(pa.array(values), type=EMBEDDING_SCHEMA.field("embedding").type)
    fields = list(EMBEDDING_SCHEMA)[3:]
    same = [pa.repeat(pa.scalar(value, field.type), total) for value, field in zip(constants, fields, strict=True)]
    return pa.Table.from_arrays([ids, pa.array(frames), embeddings, *same], schema=EMBEDDING_SCHEMA)


def read_part(path: Path, wanted: set[str] | None) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """The embeddings in one part, of all clips or of these. Raises DataError as `read_embeddings`."""
    missing = set(wanted or ())
    try:
        with pq.ParquetFile(path) as file:
            if not file.schema_arrow.equals(EMBEDDING_SCHEMA):
                raise DataError(f"{path}: its columns are not those of embeddings: {file.schema_arrow.names}")
            for index in range(file.num_row_groups):
                if wanted is None or _may_hold(file.metadata.row_group(index), wanted):
                    for clip_id, embeddings_TD in _clips_of(file.read_row_group(index), path, wanted):
                        missing.discard(clip_id)
                        yield clip_id, embeddings_TD
    except FileNotFoundError:
        raise DataError(f"{path}: no such file, so no embeddings of {_named(missing)}", hint=_ADVICE) from None
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path}: cannot be read as Parquet ({error})", hint=_ADVICE) from None
    if missing:
        raise DataError(f"{path}: no embeddings of {_named(missing)}", hint=_ADVICE)


def _may_hold(group: pq.RowGroupMetaData, wanted: set[str]) -> bool:
    statistics = group.column(0).statistics
    if statistics is None or not statistics.has_min_max:
        return True
    return any(statistics.min <= clip_id <= statistics.max for clip_id in wanted)


def _clips_of(table: pa.Table, path: Path, wanted: set[str] | None) -> Iterator[tuple[str, NDArray[np.float32]]]:
    if table.num_rows == 0:
        return
    columns = {name: table.column(name).combine_chunks() for name in ("clip_id", "frame", "embedding")}
    ids = columns["clip_id"].dictionary.to_pylist()
    index_N = columns["clip_id"].indices.to_numpy()
    frame_N = columns["frame"].to_numpy()
    # Through flatten(): to_pandas() and to_pylist() would make one Python object per row or value.
    embedding_ND = columns["embedding"].flatten().to_numpy().reshape(-1, _SIZE)
    starts = [0, *(np.flatnonzero(np.diff(index_N)) + 1).tolist(), len(index_N)]
    for first, last in pairwise(starts):
        clip_id = ids[index_N[first]]
        if wanted is not None and clip_id not in wanted:
            continue
        if not np.array_equal(frame_N[first:last], np.arange(last - first)):
            raise DataError(f"{path}: the stills of {clip_id} are not 0 to {last - first - 1}, each once", hint=_ADVICE)
        check_finite(embedding_ND[first:last], path, what=f"embeddings of {clip_id}", hint=_ADVICE)
        yield clip_id, embedding_ND[first:last]


def _named(clip_ids: set[str]) -> str:
    names = sorted(clip_ids)
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")

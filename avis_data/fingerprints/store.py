"""Fingerprints in Parquet: one row per clip, in the same 16 parts as embeddings, so that a change rewrites one of them.

Legend: T stills, N steps of sound, B bands.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from avis_data.errors import DataError
from avis_data.features.arrays import UNREADABLE_ARRAY
from avis_data.fingerprints.making import METHOD, NUM_BANDS, SIDE, Fingerprint
from avis_data.io import atomic_path

__all__ = [
    "FINGERPRINT_SCHEMA",
    "drop_fingerprints",
    "read_clip_fingerprint",
    "read_fingerprints",
    "read_fingerprints_part",
    "write_clip_fingerprint",
    "write_fingerprints",
]

FINGERPRINT_SCHEMA = pa.schema(
    [
        pa.field("clip_id", pa.string(), nullable=False),
        pa.field("method", pa.string(), nullable=False),
        pa.field("period_s", pa.float64(), nullable=False),
        pa.field("num_stills", pa.int32(), nullable=False),
        pa.field("stills", pa.large_binary(), nullable=False),
        pa.field("num_steps", pa.int32(), nullable=False),
        pa.field("sound", pa.large_binary(), nullable=False),
    ]
)
"""`stills` holds `num_stills` x 32 x 32 grey levels, `period_s` apart, without black borders; `sound` holds `num_steps`
x 32 levels of half a dB, ten steps a second; one byte each. `method` names how both were made."""

_GROUP_ROWS = 256
_ADVICE = "avis-data fingerprint  (makes what is missing)"


def write_fingerprints(path: Path, prints: Iterable[Fingerprint]) -> int:
    """Write one part, whole or not at all; equal input gives equal bytes.

    Args:
        path: the Parquet file; the folder is made.
        prints: of the clips of one bucket, ids ascending; taken one by one.

    Returns:
        The number of clips.

    Raises:
        ValueError: if ids do not ascend.
    """
    num_clips, before = 0, ""
    rows: list[dict[str, object]] = []
    with atomic_path(path) as part, pq.ParquetWriter(part, FINGERPRINT_SCHEMA, compression="zstd") as writer:
        for one in prints:
            if one.clip_id <= before:
                raise ValueError(f"clip ids must ascend: {one.clip_id!r} after {before!r}")
            before = one.clip_id
            rows.append(_row(one))
            num_clips += 1
            if len(rows) == _GROUP_ROWS:
                writer.write_table(pa.Table.from_pylist(rows, schema=FINGERPRINT_SCHEMA))
                rows = []
        writer.write_table(pa.Table.from_pylist(rows, schema=FINGERPRINT_SCHEMA))
    return num_clips


def read_fingerprints(folder: Path) -> Iterator[Fingerprint]:
    """The fingerprints of all clips, part by part, ids ascending in each.

    Args:
        folder: of the `part-*.parquet`; nothing is read where there is none.

    Raises:
        DataError: if a part is unreadable, of another layout, made in another way, or its bytes do not fit its numbers.
    """
    for path in sorted(folder.glob("part-*.parquet")):
        yield from read_fingerprints_part(path)


def drop_fingerprints(path: Path, clip_ids: Collection[str]) -> None:
    """Write a part once more without some clips.

    Raises:
        DataError: as `read_fingerprints`.
    """
    write_fingerprints(path, (one for one in list(read_fingerprints_part(path)) if one.clip_id not in clip_ids))


def read_fingerprints_part(path: Path) -> Iterator[Fingerprint]:
    """The fingerprints of one part. Raises DataError as `read_fingerprints`."""
    try:
        with pq.ParquetFile(path) as file:
            if not file.schema_arrow.equals(FINGERPRINT_SCHEMA):
                raise DataError(f"{path}: its columns are not those of fingerprints: {file.schema_arrow.names}")
            for batch in file.iter_batches(batch_size=_GROUP_ROWS):
                for row in batch.to_pylist():
                    yield _fingerprint(path, row)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path}: cannot be read as Parquet ({error})", hint=_ADVICE) from None


def write_clip_fingerprint(path: Path, one: Fingerprint) -> None:
    """Write the fingerprint of one clip, before it is packed into a part."""
    np.savez(path, period_s=np.float64(one.period_s), stills=one.stills_THW, sound=one.sound_NB)


def read_clip_fingerprint(clip_id: str, path: Path) -> Fingerprint:
    """What `write_clip_fingerprint` wrote.

    Raises:
        DataError: if it is unreadable, or its arrays are none of a fingerprint.
    """
    try:
        with np.load(path, allow_pickle=False) as held:
            one = Fingerprint(
                clip_id=clip_id, period_s=float(held["period_s"]), stills_THW=held["stills"], sound_NB=held["sound"]
            )
    except UNREADABLE_ARRAY as error:
        raise DataError(f"{path}: fingerprint of {clip_id}: cannot be read ({error})", hint=_ADVICE) from None
    sides = one.stills_THW.shape[1:], one.sound_NB.shape[1:]
    if sides != ((SIDE, SIDE), (NUM_BANDS,)) or {one.stills_THW.dtype, one.sound_NB.dtype} != {np.dtype(np.uint8)}:
        raise DataError(f"{path}: its arrays are not those of a fingerprint: {sides}", hint=_ADVICE)
    return one


def _row(one: Fingerprint) -> dict[str, object]:
    return {
        "clip_id": one.clip_id,
        "method": METHOD,
        "period_s": one.period_s,
        "num_stills": len(one.stills_THW),
        "stills": one.stills_THW.tobytes(),
        "num_steps": len(one.sound_NB),
        "sound": one.sound_NB.tobytes(),
    }


def _fingerprint(path: Path, row: dict[str, object]) -> Fingerprint:
    clip_id, method, period_s = row["clip_id"], row["method"], row["period_s"]
    num_stills, stills, num_steps, sound = row["num_stills"], row["stills"], row["num_steps"], row["sound"]
    assert isinstance(clip_id, str) and isinstance(period_s, float) and isinstance(num_stills, int)  # by the schema
    assert isinstance(stills, bytes) and isinstance(num_steps, int) and isinstance(sound, bytes)
    if method != METHOD:
        raise DataError(
            f"{path}: fingerprint of {clip_id}: made as {method}, this version compares {METHOD}", hint=_ADVICE
        )
    fits = len(stills) == num_stills * SIDE * SIDE and len(sound) == num_steps * NUM_BANDS
    if not fits or not 0 < period_s < np.inf:
        raise DataError(f"{path}: fingerprint of {clip_id}: its bytes do not fit its numbers", hint=_ADVICE)
    return Fingerprint(
        clip_id=clip_id,
        period_s=period_s,
        stills_THW=np.frombuffer(stills, dtype=np.uint8).reshape(num_stills, SIDE, SIDE),
        sound_NB=np.frombuffer(sound, dtype=np.uint8).reshape(num_steps, NUM_BANDS),
    )

"""The masks of a workspace in Parquet: one row per clip, track and still, in 16 parts, so a change rewrites few.

A part holds the clips whose hash begins with its digit (`features.store.bucket`), sorted, so its bytes depend on
nothing but the rows; it appears whole or not at all.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from operator import attrgetter, itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from avis_data.errors import DataError
from avis_data.features.store import BUCKETS, bucket, part_name
from avis_data.io import atomic_path
from avis_data.records import MaskRow, State

__all__ = ["MASK_SCHEMA", "DrawnRow", "read_drawn", "read_masks", "replace_clips", "write_masks"]

MASK_SCHEMA = pa.schema(
    [
        pa.field("clip_id", pa.string(), nullable=False),
        pa.field("track_id", pa.string(), nullable=False),
        pa.field("category", pa.string(), nullable=False),
        pa.field("frame", pa.int32(), nullable=False),
        pa.field("state", pa.string(), nullable=False),
        pa.field("height", pa.int32(), nullable=False),
        pa.field("width", pa.int32(), nullable=False),
        pa.field("counts", pa.string()),
        pa.field("area_px", pa.int64(), nullable=False),
        pa.field("box_xywh", pa.list_(pa.field("element", pa.int32(), nullable=False), 4)),
        pa.field("origin", pa.string(), nullable=False),
        pa.field("annotator", pa.string()),
        pa.field("round", pa.string(), nullable=False),
    ]
)
"""The fields of `records.MaskRow`, in its order."""

_GROUP_ROWS = 1024
"""Rows after which a row group is closed, at the end of a clip: about 1 MB, so one clip is read without its part."""


class DrawnRow(NamedTuple):
    """What is drawn in a row; fields as in `records.MaskRow`."""

    track_id: str
    round: str
    frame: int
    state: State
    height: int
    width: int
    counts: str | None
    area_px: int


_Clip = tuple[str, list[MaskRow]]


def write_masks(folder: Path, rows: Iterable[MaskRow]) -> None:
    """Write a whole table anew; parts that get no rows are removed. Holds all rows in memory: for a few clips at a time
    use `replace_clips`.

    Raises:
        ValueError: if a track has two rows for one still.

    Example:
        >>> rows = [row for _, found in read_masks(Path("example/masks")) for row in found]
        >>> write_masks(Path("copy"), rows)
        >>> sum(len(found) for _, found in read_masks(Path("copy"))) == len(rows)
        True
    """
    by_bucket: dict[str, dict[str, list[MaskRow]]] = {digit: defaultdict(list) for digit in BUCKETS}
    for row in rows:
        by_bucket[bucket(row.clip_id)][row.clip_id].append(row)
    for digit, clips in by_bucket.items():
        _write_part(folder / part_name(digit), [(clip_id, clips[clip_id]) for clip_id in sorted(clips)])


def replace_clips(folder: Path, rows_by_clip: Mapping[str, Sequence[MaskRow]]) -> None:
    """Put the rows of some clips in place of those that the table has of them; no rows at all remove a clip.

    Only the parts of these clips are rewritten. A kill in between leaves some of them done: run it again.

    Raises:
        DataError: if a part cannot be read.
        ValueError: if a track has two rows for one still, or a row stands under another clip's id.

    Example:
        >>> write_masks(Path("copy"), [row for _, found in read_masks(Path("example/masks")) for row in found])
        >>> replace_clips(Path("copy"), {"synth1-0000": []})
        >>> list(read_masks(Path("copy"), ["synth1-0000"]))
        []
    """
    by_bucket: dict[str, dict[str, Sequence[MaskRow]]] = defaultdict(dict)
    for clip_id, rows in rows_by_clip.items():
        if any(row.clip_id != clip_id for row in rows):
            raise ValueError(f"rows of another clip given for {clip_id!r}")
        by_bucket[bucket(clip_id)][clip_id] = rows
    for digit, new in sorted(by_bucket.items()):
        path = folder / part_name(digit)
        _write_part(path, _merged(read_masks_part(path, None) if path.exists() else iter(()), new))


def read_masks(folder: Path, clip_ids: Collection[str] | None = None) -> Iterator[_Clip]:
    """Stream the table, one clip at a time.

    Args:
        folder: of the parts; one that does not exist is an empty table.
        clip_ids: only these; None for all. Clips without rows are not given.

    Yields:
        The clip's id and its rows, sorted by track and still; clips in the order of (part, id).

    Raises:
        DataError: if a part is damaged or holds other columns.

    Example:
        >>> clip_id, rows = next(read_masks(Path("example/masks"), ["synth1-0006"]))
        >>> clip_id, len(rows), rows[0].category, rows[0].box_xywh is None
        ('synth1-0006', 2, 'person', False)
    """
    wanted = None if clip_ids is None else set(clip_ids)
    digits = BUCKETS if wanted is None else sorted({bucket(clip_id) for clip_id in wanted})
    for digit in digits:
        path = folder / part_name(digit)
        if path.exists():
            yield from read_masks_part(path, wanted)


def read_drawn(folder: Path, clip_ids: Collection[str]) -> Iterator[tuple[str, list[DrawnRow]]]:
    """The same clips in the same order as `read_masks` gives them, of each row only what is drawn.

    No record is made of a row, which takes a fifth of the time.

    Raises:
        DataError: if a part is damaged or holds other columns.

    Example:
        >>> clip_id, rows = next(read_drawn(Path("example/masks"), ["synth1-0006"]))
        >>> clip_id, len(rows), rows[0].frame, rows[0].state.value
        ('synth1-0006', 2, 2, 'sounding')
    """
    wanted = set(clip_ids)
    for digit in sorted({bucket(clip_id) for clip_id in wanted}):
        path = folder / part_name(digit)
        if path.exists():
            with _damage_told(path):
                for group in _row_groups(path, wanted, ["clip_id", *DrawnRow._fields]):
                    yield from _drawn(group, wanted)


def _drawn(group: pa.Table, wanted: set[str]) -> Iterator[tuple[str, list[DrawnRow]]]:
    columns: dict[str, list[Any]] = {name: group[name].to_pylist() for name in group.column_names}
    for name in ("frame", "area_px"):
        if (least := min(columns[name], default=0)) < 0:
            raise ValueError(f"{name}: {least}")
    states: dict[str, State] = {name: State(name) for name in set(columns["state"])}
    columns["state"] = [states[name] for name in columns["state"]]
    rows = map(DrawnRow._make, zip(*(columns[name] for name in DrawnRow._fields), strict=True))
    for clip_id, of_clip in itertools.groupby(zip(columns["clip_id"], rows, strict=True), key=itemgetter(0)):
        if clip_id in wanted:
            yield clip_id, [row for _, row in of_clip]


def _merged(old: Iterator[_Clip], new: Mapping[str, Sequence[MaskRow]]) -> Iterator[tuple[str, Sequence[MaskRow]]]:
    waiting = sorted(new, reverse=True)
    for clip_id, rows in old:
        while waiting and waiting[-1] < clip_id:
            name = waiting.pop()
            yield name, new[name]
        if clip_id not in new:
            yield clip_id, rows
    while waiting:
        name = waiting.pop()
        yield name, new[name]


def read_masks_part(path: Path, wanted: set[str] | None) -> Iterator[_Clip]:
    """The rows in one part, of all clips or of these, as `read_masks` gives them. Raises DataError if it is damaged.

    Example:
        >>> path = next(iter(sorted(Path("example/masks").glob("part-*.parquet"))))
        >>> all(rows[0].clip_id == clip_id for clip_id, rows in read_masks_part(path, None))
        True
    """
    with _damage_told(path):
        for group in _row_groups(path, wanted, None):
            rows = (_row(values) for values in group.to_pylist())
            for clip_id, clip_rows in itertools.groupby(rows, key=attrgetter("clip_id")):
                if wanted is None or clip_id in wanted:
                    yield clip_id, list(clip_rows)


@contextmanager
def _damage_told(path: Path) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, ValueError) as error:  # a row that is no record is a ValueError too
        raise DataError(f"{path}: damaged table of masks ({error!s:.200})", hint="import or annotate again") from None


def _row_groups(path: Path, wanted: set[str] | None, columns: list[str] | None) -> Iterator[pa.Table]:
    """The groups that may hold these clips, with all columns or with some."""
    with pq.ParquetFile(path) as file:
        if not file.schema_arrow.equals(MASK_SCHEMA):
            raise DataError(f"{path}: not a table of masks (other columns)", hint="import or annotate again")
        for group in range(file.num_row_groups):
            if wanted is None or _may_hold(file.metadata.row_group(group), wanted):
                yield file.read_row_group(group, columns=columns)


def _may_hold(group: Any, wanted: set[str]) -> bool:
    statistics = group.column(0).statistics
    if statistics is None or not statistics.has_min_max:
        return True
    return any(statistics.min <= clip_id <= statistics.max for clip_id in wanted)


def _row(values: dict[str, Any]) -> MaskRow:
    return MaskRow.model_validate(values)


def _write_part(path: Path, clips: Iterable[tuple[str, Sequence[MaskRow]]]) -> None:
    filled = ((clip_id, rows) for clip_id, rows in clips if rows)
    first = next(filled, None)
    if first is None:
        path.unlink(missing_ok=True)
        return
    with (
        atomic_path(path) as part,
        pq.ParquetWriter(part, MASK_SCHEMA, compression="zstd", use_dictionary=_REPEATED) as writer,
    ):
        waiting: list[MaskRow] = []
        for _, rows in itertools.chain([first], filled):
            waiting += _sorted_rows(rows)
            if len(waiting) >= _GROUP_ROWS:
                writer.write_table(_table(waiting))
                waiting = []
        if waiting:
            writer.write_table(_table(waiting))


_REPEATED = ["clip_id", "track_id", "category", "state", "origin", "annotator", "round"]


def _sorted_rows(rows: Sequence[MaskRow]) -> list[MaskRow]:
    ordered = sorted(rows, key=attrgetter("track_id", "frame"))
    for before, after in itertools.pairwise(ordered):
        if (before.track_id, before.frame) == (after.track_id, after.frame):
            raise ValueError(f"clip {after.clip_id!r}: two rows for track {after.track_id!r}, still {after.frame}")
    return ordered


def _table(rows: Sequence[MaskRow]) -> pa.Table:
    return pa.Table.from_pylist([row.model_dump(mode="json") for row in rows], schema=MASK_SCHEMA)

"""Parquet as hubs hold it: stills, sound, tracks and embeddings of a clip in one row, many rows in a file."""

from __future__ import annotations

import json
import re
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from avis_data.errors import DataError, Problem
from avis_data.features.arrays import check_rows
from avis_data.formats.hubs.plain import FoundClip, Plain, facts_of, picture_name, stills_of, tracks_of
from avis_data.formats.hubs.statements import UNDIVIDED
from avis_data.formats.sets.clips import LabelledClip, Media, UnreadClip
from avis_data.formats.sets.files import opened_set
from avis_data.formats.sets.layout import split_of
from avis_data.media.sound import SAMPLE_RATE_HZ

__all__ = ["ParquetShards", "has_clips", "parquet_files", "read_parquet", "read_parquet_files"]

_NEEDED = {"clip_id", "images", "tracks"}
"""The columns without which there are no clips."""

_GROUP_BYTES = 16 << 20
"""A row group is closed at so many bytes: viewers and training read whole groups."""
_GROUP_ROWS = 100
_KEPT_GROUPS = 4
"""So many row groups stay in memory while a set is read: one for each split and kind of column."""
_MEDIA = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
_COLUMNS: dict[str, pa.DataType] = {
    "clip_id": pa.string(),
    "images": pa.list_(_MEDIA),
    "audio": _MEDIA,
    "tracks": pa.list_(
        pa.struct(
            [
                ("track_id", pa.string()),
                ("category", pa.string()),
                ("segmentations", pa.list_(pa.struct([("size", pa.list_(pa.int32())), ("counts", pa.string())]))),
                ("sounding", pa.list_(pa.bool_())),
            ]
        )
    ),
    "stills": pa.list_(
        pa.struct(
            [("name", pa.string()), ("number", pa.int64()), ("time_s", pa.float64()), ("is_labelled", pa.bool_())]
        )
    ),
    "embeddings": pa.list_(pa.list_(pa.float32())),
    "width": pa.int32(),
    "height": pa.int32(),
    "fps": pa.float64(),
    "has_truth": pa.bool_(),
    "has_identity": pa.bool_(),
    "license": pa.string(),
    "source": pa.string(),
    "url": pa.string(),
    "start_s": pa.float64(),
}
_LARGE = ("images", "audio", "embeddings")
"""Columns of their own, because they are large."""


def _feature(kind: pa.DataType, name: str = "") -> Mapping[str, object]:
    """What `datasets` calls a column of this type (its Features, as it writes them itself)."""
    if kind == _MEDIA:
        return {"_type": "Audio", "sampling_rate": SAMPLE_RATE_HZ} if name == "audio" else {"_type": "Image"}
    if pa.types.is_list(kind):
        return {"_type": "List", "feature": _feature(kind.value_type)}
    if pa.types.is_struct(kind):
        return {inner.name: _feature(inner.type) for inner in kind}
    named = {"float": "float32", "double": "float64"}
    return {"_type": "Value", "dtype": named.get(str(kind), str(kind))}


_FEATURES = {"info": {"features": {name: _feature(kind, name) for name, kind in _COLUMNS.items()}}}
_SCHEMA: pa.Schema = pa.schema(_COLUMNS, metadata={"huggingface": json.dumps(_FEATURES)})
"""Of every file; without its metadata pictures and sound would be plain structs of bytes and a path."""


@dataclass(kw_only=True)
class ParquetShards:
    """Files `data/<split>-00000-of-00003.parquet` that are written clip by clip, each closed when it is large enough.

    How many there are is known in the end only, so files are renamed then.
    """

    folder: Path
    shard_bytes: int
    _open: dict[str, _Shard] = field(default_factory=dict)
    _done: dict[str, list[Path]] = field(default_factory=dict)

    def __enter__(self) -> ParquetShards:
        (self.folder / "data").mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, *_: object) -> None:
        for shard in self._open.values():
            shard.writer.close()

    def add(self, clip: LabelledClip) -> None:
        """Write the row of a clip."""
        split = clip.split or UNDIVIDED
        if split not in self._open:
            number = len(self._done.setdefault(split, []))
            self._open[split] = _Shard(path=self.folder / "data" / f"{split}-{number:05d}.parquet")
        shard = self._open[split]
        shard.add(clip)
        if shard.num_bytes >= self.shard_bytes:
            self._close(split)

    def finish(self) -> dict[str, list[str]]:
        """Close all files and give them their names; gives their paths in the folder, by split."""
        for split in list(self._open):
            self._close(split)
        names: dict[str, list[str]] = {}
        for split, paths in sorted(self._done.items()):
            for number, path in enumerate(paths):
                name = f"data/{split}-{number:05d}-of-{len(paths):05d}.parquet"
                path.rename(self.folder / name)
                names.setdefault(split, []).append(name)
        return names

    def _close(self, split: str) -> None:
        shard = self._open.pop(split)
        shard.close()
        self._done[split].append(shard.path)


@dataclass(kw_only=True)
class _Shard:
    """One file that is being written."""

    path: Path
    num_bytes: int = 0
    rows: list[Plain] = field(default_factory=list)
    waiting_bytes: int = 0

    def __post_init__(self) -> None:
        # Page indexes and cuts by content: what hubs want, so that a changed clip does not move the bytes of others.
        self.writer = pq.ParquetWriter(
            self.path, _SCHEMA, compression="zstd", write_page_index=True, use_content_defined_chunking=True
        )

    def add(self, clip: LabelledClip) -> None:
        row = _row(clip)
        size = _size(row)
        self.rows.append(row)
        self.waiting_bytes += size
        self.num_bytes += size
        if self.waiting_bytes >= _GROUP_BYTES or len(self.rows) >= _GROUP_ROWS:
            self._flush()

    def close(self) -> None:
        self._flush()
        self.writer.close()

    def _flush(self) -> None:
        if self.rows:
            self.writer.write_table(pa.Table.from_pylist(self.rows, schema=_SCHEMA))
            self.rows, self.waiting_bytes = [], 0


def _row(clip: LabelledClip) -> Plain:
    """A clip as a row; stills of no picture are null."""
    images = [
        {"bytes": still.picture.read(), "path": picture_name(still)} if still.picture is not None else None
        for still in clip.stills
    ]
    sound = clip.sound
    ending = PurePosixPath(sound.name).suffix.lower() if sound is not None else ""
    return {
        "clip_id": clip.name,
        "images": images,
        "audio": {"bytes": sound.read(), "path": f"{clip.name}{ending or '.wav'}"} if sound is not None else None,
        "tracks": tracks_of(clip),
        "stills": stills_of(clip),
        "embeddings": list(clip.embeddings_TD()) if clip.embeddings_TD is not None else None,
        **facts_of(clip),
    }


def _size(row: Plain) -> int:
    """Bytes of the media of a row, beside which all else is small."""
    images, audio = row["images"], row["audio"]
    assert isinstance(images, list)
    parts = [*images, audio]
    return sum(len(part["bytes"]) for part in parts if isinstance(part, dict)) + 1000


def parquet_files(root: Path) -> list[Path]:
    """The Parquet files of a set: itself, or those in `data/`, or directly in the folder."""
    if root.is_file():
        return [root] if root.suffix == ".parquet" else []
    for folder in (root / "data", root):
        found = sorted(path for path in folder.glob("*.parquet") if path.is_file()) if folder.is_dir() else []
        if found:
            return found
    return []


def read_parquet(path: Path) -> Iterator[LabelledClip | UnreadClip]:
    """The clips of a Parquet file, or of a folder or archive of them, in the order of their names.

    Raises:
        DataError: if there is no such file, or one cannot be read or has not the columns.
    """
    with opened_set(path) as root:
        files = parquet_files(root)
        if not files:
            raise DataError(f"{path}: holds no Parquet file", hint="a folder with data/<split>-00000-of-00001.parquet")
        yield from read_parquet_files(files)


def has_clips(file: Path) -> bool:
    """Whether a Parquet file has the columns of clips. Raises DataError if it is none, or is cut off."""
    try:
        with pq.ParquetFile(file) as opened:
            return _NEEDED <= set(opened.schema_arrow.names)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DataError(f"{file}: no Parquet file, or cut off ({error!s:.200})", hint="get it again") from None


def read_parquet_files(files: Sequence[Path]) -> Iterator[LabelledClip | UnreadClip]:
    """The clips of some Parquet files, in the order of their names.

    Raises:
        DataError: if one cannot be read or has not the columns.
    """
    tables = [_Table.opened(file) for file in files]
    shelf = _Shelf(tables=tables)
    places = sorted(
        (name, number, group, row)
        for number, table in enumerate(tables)
        for group, names in enumerate(table.names)
        for row, name in enumerate(names)
    )
    counts = Counter(name for name, *_ in places)
    for name, number, group, row in places:
        table = tables[number]
        where = f"{table.path}: row {table.first_row(group) + row}"
        if counts[name] > 1:
            message = f"the clip is in {counts[name]} rows of the set"
            yield UnreadClip(name=name, problems=(Problem(where, "clip_id", message),))
            continue
        try:
            yield _clip(shelf, name, (number, group, row), where)
        except DataError as error:
            yield UnreadClip(name=name, problems=(Problem(where, "", str(error)),))


@dataclass(kw_only=True)
class _Table:
    """One file, and the names of its clips. It is opened anew for each row group: clips may be read long after."""

    path: Path
    columns: frozenset[str]
    names: list[list[str]]
    """Of each row group."""

    @classmethod
    def opened(cls, path: Path) -> _Table:
        try:
            with pq.ParquetFile(path) as file:
                columns = frozenset(file.schema_arrow.names)
                missing = _NEEDED - columns
                if missing:
                    told = f"has no column {', '.join(sorted(missing))} (has {', '.join(sorted(columns)):.200})"
                    raise DataError(f"{path}: {told}")
                groups = [
                    file.read_row_group(group, columns=["clip_id"])["clip_id"].to_pylist()
                    for group in range(file.num_row_groups)
                ]
        except (pa.ArrowException, OSError, ValueError) as error:
            raise DataError(f"{path}: no Parquet file, or cut off ({error!s:.200})", hint="get it again") from None
        for row, name in enumerate(name for names in groups for name in names):
            if not isinstance(name, str) or not name:
                raise DataError(f"{path}: row {row}: clip_id: must be text (found {name!r:.60})")
        return cls(path=path, columns=columns, names=groups)

    def first_row(self, group: int) -> int:
        return sum(len(names) for names in self.names[:group])


@dataclass(kw_only=True)
class _Shelf:
    """The row groups that were read last, the large columns apart from the others."""

    tables: Sequence[_Table]
    _groups: OrderedDict[tuple[int, int, bool], pa.Table] = field(default_factory=OrderedDict)
    _last: tuple[object, Plain] = (None, {})
    """The row with media that was read last: its pictures are asked for one by one."""

    def row(self, place: tuple[int, int, int], *, media: bool) -> Plain:
        """The values of a row, of the large columns or of the others.

        Raises:
            DataError: if the file is damaged there.
        """
        number, group, row = place
        if media and self._last[0] == place:
            return self._last[1]
        table = self.tables[number]
        key = (number, group, media)
        if key not in self._groups:
            wanted = [name for name in _SCHEMA.names if (name in _LARGE) == media and name in table.columns]
            try:
                with pq.ParquetFile(table.path) as file:
                    self._groups[key] = file.read_row_group(group, columns=wanted)
            except (pa.ArrowException, OSError, ValueError) as error:
                raise DataError(f"{table.path}: row group {group} cannot be read ({error!s:.200})") from None
        self._groups.move_to_end(key)
        while len(self._groups) > _KEPT_GROUPS:
            self._groups.popitem(last=False)
        try:
            (found,) = self._groups[key].slice(row, 1).to_pylist()
        except (pa.ArrowException, ValueError) as error:  # text that is not UTF-8
            raise DataError(f"{table.path}: row group {group} is damaged ({error!s:.200})") from None
        if media:
            self._last = (place, found)
        return dict(found)


def _clip(shelf: _Shelf, name: str, place: tuple[int, int, int], where: str) -> LabelledClip | UnreadClip:
    told, large = shelf.row(place, media=False), shelf.row(place, media=True)
    table = shelf.tables[place[0]]
    images, audio = large.get("images"), large.get("audio")
    problems: list[Problem] = []
    if not isinstance(images, list):
        problems.append(Problem(where, "images", f"must be a list (found {images!r:.60})"))
        images = []
    pictures = [
        _media(image, f"{number:05d}.jpg", partial(_bytes, shelf, place, "images", number))
        for number, image in enumerate(images)
    ]
    embeddings = large.get("embeddings")
    return FoundClip(
        name=name,
        where=where,
        facts=told,
        stills=told.get("stills"),
        pictures=pictures,
        tracks=told.get("tracks"),
        split=split_of(re.sub(r"-\d+-of-\d+$", "", table.path.stem)),
        sound=_media(audio, f"{name}.wav", partial(_bytes, shelf, place, "audio")),
        embeddings_TD=partial(_embeddings, shelf, place) if isinstance(embeddings, list) else None,
        problems=problems,
    ).result()


def _media(value: object, name: str, load: Callable[[], bytes]) -> Media | None:
    """A picture or a sound that is read when it is wanted; None where there is none."""
    if not isinstance(value, Mapping) or not isinstance(value.get("bytes"), bytes):
        return None
    path = value.get("path")
    return Media(name=PurePosixPath(path).name if isinstance(path, str) and path else name, load=load)


def _bytes(shelf: _Shelf, place: tuple[int, int, int], column: str, number: int | None = None) -> bytes:
    value = shelf.row(place, media=True)[column]
    if number is not None:
        assert isinstance(value, list)
        value = value[number]
    assert isinstance(value, dict) and isinstance(value["bytes"], bytes)
    return value["bytes"]


def _embeddings(shelf: _Shelf, place: tuple[int, int, int]) -> NDArray[np.float32]:
    try:
        found = np.asarray(shelf.row(place, media=True)["embeddings"], np.float32)
    except (TypeError, ValueError) as error:
        raise DataError(f"embeddings are no table of numbers ({error})") from None
    check_rows(found, what="embeddings")
    return found

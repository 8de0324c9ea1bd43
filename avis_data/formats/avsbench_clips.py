"""The clips of an AVSBench dataset (S4, MS3, AVSS) in a folder, as its table lists them."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from avis_data.errors import DataError, Problem
from avis_data.format_numbers import check_export, what_is
from avis_data.formats.avsbench import (
    AVSS_CLASSES,
    AVSS_FRAMES,
    AVSS_TABLE,
    FOLDERS,
    LAYOUTS,
    NUM_FRAMES,
    AvsbenchClip,
    AvsbenchName,
    LayoutName,
    avss_paths,
    clip_paths,
    folder_of,
    table_path,
)

__all__ = ["AvsFiles", "AvsLayout", "AvsRow", "is_avsbench", "open_layout"]

_HINT = f"{LAYOUTS}; of a workspace: avis-data export --format avsbench-s4 or avsbench-ms3"


@dataclass(frozen=True, kw_only=True)
class AvsFiles:
    """The files of one clip, which may be missing."""

    clip_id: str
    frames: tuple[Path, ...]
    """One picture per frame."""
    masks: tuple[Path | None, ...]
    """One per frame; None where this split has no label."""
    slots: int
    """Frames that a training clip is filled up to; at least those there are."""
    sounds: tuple[Path, ...]
    """Files that the sound may be read from, the best first."""
    result: str
    """Where masks of it are, relative to the folder of all; predictions are written under the same name."""
    result_names: tuple[str, ...]
    """What the mask of each frame is called there."""


@dataclass(frozen=True, kw_only=True)
class AvsRow:
    """One row of a table."""

    where: str
    """Table and line."""
    split: str | None
    """As it says; None where it cannot be read."""
    name: str
    """What it calls its clip; empty where it cannot be read."""
    clip: AvsFiles | Problem
    """Its files, or why it is none."""


@dataclass(frozen=True, kw_only=True)
class AvsLayout:
    """One dataset."""

    name: LayoutName
    table: Path
    """The file that lists its clips."""
    categories: dict[int, str]
    """Value in a mask -> what is there."""
    rows: Callable[[], Iterator[AvsRow]]
    """What its table says, row by row."""

    def clips(self, split: str) -> Iterator[AvsFiles]:
        """The clips of a split.

        Raises:
            DataError: if a row of it is no clip, or one that does not say of which split it is.
        """
        for row in self.rows():
            if row.split in (split, None) and isinstance(row.clip, Problem):
                raise DataError(str(row.clip))
            if row.split == split and isinstance(row.clip, AvsFiles):
                yield row.clip


def is_avsbench(root: Path) -> bool:
    """Whether a folder, or its `Single-source` or `Multi-sources`, has a table of such a dataset.

    Example:
        >>> is_avsbench(Path("example/exports/ytvis"))
        False
    """
    return any(
        table.is_file()
        for folder in _folders(root)
        for table in (_object_table(folder, "avsbench-s4"), _object_table(folder, "avsbench-ms3"), folder / AVSS_TABLE)
    )


def open_layout(root: Path) -> AvsLayout:
    """The dataset in a folder, or in its `Single-source` or `Multi-sources`.

    Example:
        >>> from avis_data.formats.avsbench import table
        >>> from avis_data.io import write_text
        >>> path, text = table("avsbench-ms3", [AvsbenchClip(name="dog1", start_s=0.0, category="", split="val")])
        >>> write_text(Path("AVSBench") / path, text)
        >>> layout = open_layout(Path("AVSBench"))
        >>> layout.name, layout.categories
        ('ms3', {1: 'sounding'})
        >>> [clip.masks[0].as_posix() for clip in layout.clips("val")]
        ['AVSBench/Multi-sources/ms3_data/gt_masks/val/dog1/dog1_1.png']

    Raises:
        DataError: if there is none, there are two, or its table cannot be read.
    """
    found = [opened for folder in _folders(root) for opened in _opened(folder)]
    if not found:
        raise DataError(f"{root}: is no AVSBench dataset; {what_is(root)}", hint=_HINT)
    if len(found) > 1:
        tables = " and ".join(str(layout.table.relative_to(root)) for layout in found)
        raise DataError(f"{root}: holds several datasets ({tables})", hint=f"--data {found[0].table.parent}")
    for folder in (root, root.parent):  # one of the two folders of an export, or all of it
        check_export(folder)
    return found[0]


def _folders(root: Path) -> list[Path]:
    return [root, *(root / name for name in FOLDERS)]


def _opened(root: Path) -> Iterator[AvsLayout]:
    for opened in (_object(root, "avsbench-s4"), _object(root, "avsbench-ms3"), _avss(root)):
        if opened is not None:
            yield opened


def _object(root: Path, dataset: AvsbenchName) -> AvsLayout | None:
    """S4 or MS3, which differ in the columns of their table and in their folders."""
    name: LayoutName = "s4" if dataset == "avsbench-s4" else "ms3"
    table = _object_table(root, dataset)
    if not table.is_file():
        return None
    named = ("category", "split") if name == "s4" else ()

    def files(row: Mapping[str, str]) -> AvsFiles:
        split = row["split" if named else "1"]
        if named and len(row["category"]) > _LONGEST_NAME:
            raise DataError(f"{row['category']!r:.40} is too long for a category")
        clip = AvsbenchClip(name=row["0"], start_s=0.0, category=row["category"] if named else "", split=split)
        return _object_files(root, dataset, clip)

    def rows() -> Iterator[AvsRow]:
        return _rows(table, named, name="0", split="split" if named else "1", files=files)

    return AvsLayout(name=name, table=table, categories={1: "sounding"}, rows=rows)


def _object_table(root: Path, dataset: AvsbenchName) -> Path:
    return _below(root, table_path(dataset))


def _object_files(root: Path, dataset: AvsbenchName, clip: AvsbenchClip) -> AvsFiles:
    wav, log_mel = clip_paths(dataset, clip, "wav"), _below(root, clip_paths(dataset, clip, "logmel").sound)
    place = f"{folder_of(clip.category)}/{clip.name}" if dataset == "avsbench-s4" else clip.name
    return AvsFiles(
        clip_id=place,
        frames=tuple(_below(root, path) for path in wav.frames),
        masks=tuple(None if path is None else _below(root, path) for path in wav.masks),
        slots=NUM_FRAMES,
        sounds=(log_mel, _below(root, wav.sound), log_mel.with_suffix(".pkl")),
        result=place,
        result_names=tuple(f"{clip.name}_{number}.png" for number in range(1, NUM_FRAMES + 1)),
    )


def _below(root: Path, path: str) -> Path:
    """A path of the whole dataset, below the folder of S4 or MS3 whatever that is called."""
    return root / path.partition("/")[2]


def _avss(root: Path) -> AvsLayout | None:
    table, names = root / AVSS_TABLE, root / AVSS_CLASSES
    if not (table.is_file() and names.is_file()):
        return None

    def rows() -> Iterator[AvsRow]:
        return _rows(
            table, ("uid", "label", "split"), name="uid", split="split", files=lambda row: _avss_files(root, row)
        )

    return AvsLayout(name="avss", table=table, categories=_class_names(names), rows=rows)


def _avss_files(root: Path, row: Mapping[str, str]) -> AvsFiles:
    part, name = row["label"], row["uid"]
    if part not in AVSS_FRAMES:
        raise DataError(f"label {part!r:.40} is none of {', '.join(AVSS_FRAMES)}")
    paths = avss_paths(part, name, row["split"])
    first = next(path for path in paths.masks if path is not None)
    return AvsFiles(
        clip_id=f"{part}/{name}",
        frames=tuple(root / path for path in paths.frames),
        masks=tuple(None if path is None else root / path for path in paths.masks),
        slots=max(AVSS_FRAMES.values()),
        sounds=(root / paths.sound,),
        result=PurePosixPath(first).parent.as_posix(),
        result_names=tuple(f"{PurePosixPath(path).stem}.png" for path in paths.frames),
    )


def is_name(text: str) -> bool:
    """Whether a text can be the name of a file or a folder, and leads nowhere else.

    Example:
        >>> is_name("-dog_1"), is_name("../dog"), is_name("..")
        (True, False, False)
    """
    return text not in ("", ".", "..") and Path(text).name == text and len(text) <= _LONGEST_NAME and text.isprintable()


_LONGEST_NAME = 200
"""File systems take 255 bytes, endings included."""


def _rows(
    table: Path, columns: tuple[str, ...], *, name: str, split: str, files: Callable[[Mapping[str, str]], AvsFiles]
) -> Iterator[AvsRow]:
    """The rows of a table; `name` and `split` are columns, by their names or by their numbers, counted from 0."""
    lines = _lines(table)
    _, header = next(lines, (1, []))
    missing = [column for column in columns if column not in header]
    if missing or len(header) < 2:
        raise DataError(f"{table}: has the columns {', '.join(header)}; {', '.join(missing) or 'a second one'} missing")
    for number, line in lines:
        where = f"{table}:{number}"
        if len(line) != len(header):
            told = Problem(where, "", f"has {len(line)} values for {len(header)} columns")
            yield AvsRow(where=where, split=None, name="", clip=told)
            continue
        row = {**{str(place): value for place, value in enumerate(line)}, **dict(zip(header, line, strict=True))}
        yield AvsRow(where=where, split=row[split], name=row[name], clip=_of_row(row, name, where, files))


def _lines(table: Path) -> Iterator[tuple[int, list[str]]]:
    """The lines of a table with something in them, and their numbers.

    Each is read alone: a quotation mark that is never closed, or bytes that are no text, spoil no other line.
    """
    try:
        with table.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            for number, text in enumerate(file, start=1):
                if text.strip():
                    yield number, _cells(text)
    except OSError as error:
        raise DataError(f"{table}: cannot be read as CSV with a header ({error})") from None


def _cells(text: str) -> list[str]:
    try:
        return next(csv.reader([text.rstrip("\r\n")]), [])
    except csv.Error:  # a value longer than any reader takes
        return []


def _of_row(
    row: Mapping[str, str], name: str, where: str, files: Callable[[Mapping[str, str]], AvsFiles]
) -> AvsFiles | Problem:
    """Predictions are written under the names of clips: no name may lead out of their folder."""
    try:
        if not is_name(row[name]):
            return Problem(where, "", f"{row[name]!r:.80} cannot be the name of a clip")
        return files(row)
    except (DataError, ValueError) as error:
        return Problem(where, "", str(error))


def _class_names(path: Path) -> dict[int, str]:
    try:
        return {int(number): str(name) for name, number in json.loads(path.read_text(encoding="utf-8")).items()}
    except (OSError, ValueError, OverflowError, AttributeError, TypeError) as error:
        raise DataError(f"{path}: cannot be read as class names and numbers ({error})") from None

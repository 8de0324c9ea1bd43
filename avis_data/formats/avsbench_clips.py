"""The clips of an AVSBench dataset (S4, MS3, AVSS) in a folder, as its table lists them."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from avis_data.errors import DataError
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

__all__ = ["AvsFiles", "AvsLayout", "is_avsbench", "open_layout"]

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
class AvsLayout:
    """One dataset."""

    name: LayoutName
    table: Path
    """The file that lists its clips."""
    categories: dict[int, str]
    """Value in a mask -> what is there."""
    clips: Callable[[str], Iterator[AvsFiles]]
    """The clips of a split."""


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

    def clips(split: str) -> Iterator[AvsFiles]:
        for row in _rows(table, named):
            if row["split" if named else "1"] == split:
                category = row["category"] if named else ""
                clip = AvsbenchClip(name=_checked(table, row["0"]), start_s=0.0, category=category, split=split)
                yield _object_files(root, dataset, clip)

    return AvsLayout(name=name, table=table, categories={1: "sounding"}, clips=clips)


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

    def clips(split: str) -> Iterator[AvsFiles]:
        for row in _rows(table, ("uid", "label", "split")):
            if row["split"] != split:
                continue
            if row["label"] not in AVSS_FRAMES:
                raise DataError(
                    f"{table}: clip {row['uid']}: label {row['label']!r} is none of {', '.join(AVSS_FRAMES)}"
                )
            yield _avss_files(root, row["label"], _checked(table, row["uid"]), split)

    return AvsLayout(name="avss", table=table, categories=_class_names(names), clips=clips)


def _avss_files(root: Path, part: str, name: str, split: str) -> AvsFiles:
    paths = avss_paths(part, name, split)
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


_LONGEST_NAME = 200
"""File systems take 255 bytes, endings included."""


def _checked(table: Path, name: str) -> str:
    """Predictions are written under the names of clips: no name may lead out of their folder."""
    if name in ("", ".", "..") or Path(name).name != name or len(name) > _LONGEST_NAME:
        raise DataError(f"{table}: {name!r:.80} cannot be the name of a clip")
    return name


def _rows(table: Path, columns: tuple[str, ...]) -> Iterator[dict[str, str]]:
    """Rows as text, by the names of their columns and by the numbers of these, counted from 0."""
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            header, *rows = csv.reader(file)
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"{table}: cannot be read as CSV with a header ({error})") from None
    missing = [name for name in columns if name not in header]
    if missing or len(header) < 2:
        raise DataError(f"{table}: has the columns {', '.join(header)}; {', '.join(missing) or 'a second one'} missing")
    for number, row in enumerate(rows, start=2):
        if len(row) != len(header):
            raise DataError(f"{table}: line {number} has {len(row)} values for {len(header)} columns")
        yield {**{str(place): value for place, value in enumerate(row)}, **dict(zip(header, row, strict=True))}


def _class_names(path: Path) -> dict[int, str]:
    try:
        return {int(number): str(name) for name, number in json.loads(path.read_text(encoding="utf-8")).items()}
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise DataError(f"{path}: cannot be read as class names and numbers ({error})") from None

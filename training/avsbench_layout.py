"""The three folder layouts of AVSBench: where the files of a clip are, and which frames must have masks.

Source: specs/avs_bg.md, section 2: what the published loaders of S4, MS3 and AVSS read.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from avis_data.errors import DataError

__all__ = ["AvsFiles", "AvsLayout", "LayoutName", "open_layout"]

LayoutName = Literal["s4", "ms3", "avss"]

_FRAMES = 5
_AVSS_SLOTS = 10
_AVSS_FRAMES = {"v1s": 5, "v1m": 5, "v2": 10}
_HINT = (
    "an AVSBench folder has s4_meta_data.csv and s4_data, ms3_meta_data.csv and ms3_data, or (AVSS) metadata.csv and "
    "label2idx.json; of a workspace: avis-data export --format avsbench-s4 or avsbench-ms3"
)


@dataclass(frozen=True, kw_only=True)
class AvsFiles:
    """The files of one clip, which may be missing."""

    clip_id: str
    frames: tuple[Path, ...]
    """One picture per frame."""
    masks: tuple[Path | None, ...]
    """One per frame; None where this split has no label."""
    counts: tuple[bool, ...]
    """Frames whose label counts in training; at validation all count."""
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


def open_layout(root: Path) -> AvsLayout:
    """The dataset in a folder, or in its `Single-source` or `Multi-sources`.

    Raises:
        DataError: if there is none, there are two, or its table cannot be read.
    """
    folders = [root, root / "Single-source", root / "Multi-sources"]
    found = [opened for folder in folders for opened in (_s4(folder), _ms3(folder), _avss(folder)) if opened]
    if not found:
        raise DataError(f"{root}: is no AVSBench dataset", hint=_HINT)
    if len(found) > 1:
        tables = " and ".join(str(layout.table.relative_to(root)) for layout in found)
        raise DataError(f"{root}: holds several datasets ({tables})", hint=f"--data {found[0].table.parent}")
    return found[0]


def _s4(root: Path) -> AvsLayout | None:
    table, data = root / "s4_meta_data.csv", root / "s4_data"
    if not table.is_file():
        return None

    def clips(split: str) -> Iterator[AvsFiles]:
        for row in _rows(table, ("category", "split")):
            if row["split"] != split:
                continue
            name, place = row["0"], f"{split}/{row['category']}/{row['0']}"
            masks = [data / "gt_masks" / place / f"{name}_{number}.png" for number in range(1, _FRAMES + 1)]
            first_only = split == "train"
            yield AvsFiles(
                clip_id=f"{row['category']}/{name}",
                frames=tuple(data / "visual_frames" / place / mask.name for mask in masks),
                masks=(masks[0], *(None,) * (_FRAMES - 1)) if first_only else tuple(masks),
                counts=(True, *(not first_only,) * (_FRAMES - 1)),
                slots=_FRAMES,
                sounds=_sounds(data, place),
                result=f"{row['category']}/{name}",
                result_names=tuple(mask.name for mask in masks),
            )

    return AvsLayout(name="s4", table=table, categories={1: "sounding"}, clips=clips)


def _ms3(root: Path) -> AvsLayout | None:
    table, data = root / "ms3_meta_data.csv", root / "ms3_data"
    if not table.is_file():
        return None

    def clips(split: str) -> Iterator[AvsFiles]:
        for row in _rows(table, ()):
            name, of_split = row["0"], row["1"]
            if of_split != split:
                continue
            numbers = range(1, _FRAMES + 1)
            yield AvsFiles(
                clip_id=name,
                frames=tuple(data / "visual_frames" / name / f"{name}.mp4_{number}.png" for number in numbers),
                masks=tuple(data / "gt_masks" / split / name / f"{name}_{number}.png" for number in numbers),
                counts=(True,) * _FRAMES,
                slots=_FRAMES,
                sounds=_sounds(data, f"{split}/{name}"),
                result=name,
                result_names=tuple(f"{name}_{number}.png" for number in numbers),
            )

    return AvsLayout(name="ms3", table=table, categories={1: "sounding"}, clips=clips)


def _avss(root: Path) -> AvsLayout | None:
    table, names = root / "metadata.csv", root / "label2idx.json"
    if not (table.is_file() and names.is_file()):
        return None

    def clips(split: str) -> Iterator[AvsFiles]:
        for row in _rows(table, ("uid", "label", "split")):
            if row["split"] != split:
                continue
            if row["label"] not in _AVSS_FRAMES:
                raise DataError(f"{table}: clip {row['uid']}: label {row['label']!r} is none of v1s, v1m, v2")
            folder, frames = root / row["label"] / row["uid"], _AVSS_FRAMES[row["label"]]
            first_only = row["label"] == "v1s" and split == "train"
            labels = tuple(folder / "labels_rgb" / f"{number}.png" for number in range(frames))
            yield AvsFiles(
                clip_id=f"{row['label']}/{row['uid']}",
                frames=tuple(folder / "frames" / f"{number}.jpg" for number in range(frames)),
                masks=(labels[0], *(None,) * (frames - 1)) if first_only else labels,
                counts=(True, *(not first_only,) * (frames - 1)),
                slots=_AVSS_SLOTS,
                sounds=(folder / "audio.wav",),
                result=f"{row['label']}/{row['uid']}/labels_rgb",
                result_names=tuple(label.name for label in labels),
            )

    return AvsLayout(name="avss", table=table, categories=_class_names(names), clips=clips)


def _sounds(data: Path, place: str) -> tuple[Path, ...]:
    log_mel = data / "audio_log_mel"
    return (log_mel / f"{place}.npy", data / "audio_wav" / f"{place}.wav", log_mel / f"{place}.pkl")


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

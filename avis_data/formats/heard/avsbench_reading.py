"""Clips of AVSBench read: a track for each category that sounds in a clip (S4 and MS3: one for all that sounds)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from avis_data.errors import DataError, Problem
from avis_data.formats.avsbench import LayoutName
from avis_data.formats.avsbench_clips import AvsFiles, AvsLayout, open_layout
from avis_data.formats.avsbench_masks import label_of
from avis_data.formats.sets.clips import LabelledClip, LabelledTrack, Media, Still, UnreadClip
from avis_data.formats.sets.files import numbered, picture_size
from avis_data.masks.rle import Rle, encode
from avis_data.records import SplitName

__all__ = ["read_avsbench"]

_ONE_TRACK = "objects of one category are one track: the format does not tell them apart"


def read_avsbench(path: Path) -> Iterator[LabelledClip | UnreadClip]:
    """The clips of the dataset in a folder, in the order of their names.

    Frames that a split does not label (all but the first of S4's training clips) are stills nobody looked at.

    Raises:
        DataError: if there is none, there are two, or the table cannot be read.
    """
    layout = open_layout(path)
    clips: list[tuple[AvsFiles, SplitName]] = []
    for row in layout.rows():
        split = next((name for name in get_args(SplitName) if name == row.split), None)
        problems = [row.clip] if isinstance(row.clip, Problem) else []
        if split is None and row.split is not None:
            problems.append(Problem(row.where, "split", f"must be train, val or test (found {row.split!r:.40})"))
        if isinstance(row.clip, AvsFiles) and split is not None:
            clips.append((row.clip, split))
        else:
            yield UnreadClip(name=row.name[:_LONGEST] or Path(row.where).name, problems=tuple(problems))
    times = Counter(_name(files, layout.name) for files, _ in clips)
    for files, split in sorted(clips, key=lambda entry: _name(entry[0], layout.name)):
        name = _name(files, layout.name)
        if times[name] == 1:
            yield _clip(files, split, layout)
        elif name in times:
            told = Problem(str(layout.table), f"clip {name}", f"is in the table {times.pop(name)} times")
            yield UnreadClip(name=name, problems=(told,))


_LONGEST = 80


def _name(files: AvsFiles, layout: LayoutName) -> str:
    """S4 and AVSS have a folder above that of the clip: of its category, of its part."""
    return files.clip_id if layout == "ms3" else files.clip_id.partition("/")[2]


def _clip(files: AvsFiles, split: SplitName, layout: AvsLayout) -> LabelledClip | UnreadClip:
    name = _name(files, layout.name)
    problems: list[Problem] = []
    labels = [_label(mask, layout, problems) for mask in files.masks]
    shapes = {label.shape for label in labels if label is not None}
    if len(shapes) > 1:
        sizes = " and ".join(f"{width} x {height}" for height, width in sorted(shapes))
        problems.append(Problem(f"{layout.table.parent}: {files.result}", "", f"masks of one clip have {sizes}"))
    elif shapes:
        height, width = next(iter(shapes))
        problems += _wrong_pictures(files, width, height)
    if problems or not shapes:
        nothing = Problem(str(layout.table), f"clip {name}", "no mask of it can be read")
        return UnreadClip(name=name, problems=tuple(problems or [nothing]))
    return LabelledClip(
        name=name,
        width=width,
        height=height,
        stills=tuple(_still(*pair) for pair in zip(files.frames, files.masks, strict=True)),
        tracks=tuple(_tracks(labels, _categories(files, layout))),
        has_identity=False,
        fps=1.0,
        split=split,
        sound=next((Media(name=path.name, path=path) for path in files.sounds if _is_wav(path)), None),
        label_files=(layout.table, *(mask for mask in files.masks if mask is not None)),
        remarks=(_ONE_TRACK,),
    )


def _is_wav(path: Path) -> bool:
    return path.suffix == ".wav" and path.is_file()


def _label(mask: Path | None, layout: AvsLayout, problems: list[Problem]) -> NDArray[np.uint8] | None:
    """The classes of the pixels of a mask; None where it is not labelled, or cannot be read."""
    if mask is None:
        return None
    try:
        label = label_of(mask, layout.name, max(layout.categories, default=0) + 1)
    except DataError as error:
        problems.append(Problem(str(mask), "", "no such file" if not mask.exists() else str(error.args[0])))
        return None
    unknown = sorted(set(np.unique(label).tolist()) - {0, *layout.categories})
    if unknown:
        problems.append(Problem(str(mask), "", f"has the classes {unknown[:5]}, which the set does not name"))
    return label


def _wrong_pictures(files: AvsFiles, width: int, height: int) -> Iterator[Problem]:
    for path in files.frames:
        if path.is_file():
            try:
                found = picture_size(Media(name=path.name, path=path))
            except DataError as error:
                yield Problem(str(path), "", str(error.args[0]))
                continue
            if found != (width, height):
                yield Problem(str(path), "", f"has {found[0]} x {found[1]} pixels, its mask {width} x {height}")


def _still(path: Path, mask: Path | None) -> Still:
    picture = Media(name=path.name, path=path) if path.is_file() else None
    return Still(name=path.stem, number=numbered(path.stem), picture=picture, is_labelled=mask is not None)


def _categories(files: AvsFiles, layout: AvsLayout) -> Mapping[int, str | None]:
    """Value in a mask to the name of what is there."""
    if layout.name == "avss":
        return {number: name for number, name in layout.categories.items() if number}
    return {1: files.clip_id.partition("/")[0] if layout.name == "s4" else None}


def _tracks(labels: list[NDArray[np.uint8] | None], categories: Mapping[int, str | None]) -> Iterator[LabelledTrack]:
    for number, category in sorted(categories.items()):
        masks: list[Rle | None] = []
        for label in labels:
            inside = None if label is None else label == number
            masks.append(encode(inside) if inside is not None and inside.any() else None)
        if any(masks):
            name = f"{number:03d}" if category is not None else "sounding"
            sounding = tuple(None if mask is None else True for mask in masks)
            yield LabelledTrack(track_id=name, category=category, masks=tuple(masks), sounding=sounding)

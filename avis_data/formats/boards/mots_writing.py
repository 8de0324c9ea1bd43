"""MOTS written: ids, classes, lengths, and the masks of a clip as text or as pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from avis_data.errors import DataError
from avis_data.formats.sets.clips import LabelledClip
from avis_data.formats.sets.layout import UNKNOWN, put_still
from avis_data.formats.sets.overlap import painted
from avis_data.formats.sets.spec import Clips, SetFacts
from avis_data.io import csv_text, write_lines, write_text
from avis_data.masks.rle import encode

__all__ = ["IGNORED", "TRACKS", "TRACK_COLUMNS", "write_clip", "write_shared"]

IGNORED = 10
"""The class of regions that evaluators ignore."""
TRACKS = "tracks.csv"
"""Says what the objects are called outside of MOTS."""
TRACK_COLUMNS = ("sequence", "id", "track_id")
_SEQINFO = "[Sequence]\nname={clip.name}\nseqLength={length}\nimWidth={clip.width}\nimHeight={clip.height}\n"
_MOST_CLASSES = 64
"""Of PNG: 65,000 and above does not fit 16 bits with all instances."""


def write_clip(folder: Path, clip: LabelledClip, facts: SetFacts, form: str) -> list[str]:
    """The files of a clip: its masks, if it has truth, and its stills.

    Raises:
        DataError: if a category is none of the set's, or has too high a number for pictures.
    """
    split = clip.split or "all"
    places = ((still, f"{split}/images/{clip.name}/{place:06d}") for place, still in enumerate(clip.stills))
    names = [name for still, place in places for name in put_still(still, folder, place)]
    if not names:  # then nothing else says the size of a clip without objects
        name = f"{split}/{clip.name}/seqinfo.ini"
        write_text(folder / name, _SEQINFO.format(clip=clip, length=len(clip.stills)))
        names.append(name)
    if not clip.has_truth:
        return names
    ids = _ids(clip, facts)
    pictures = (_picture(clip, place) for place in range(len(clip.stills)))
    if form == "png":
        return [*names, *_write_pictures(folder / split / "instances" / clip.name, folder, pictures, ids)]
    path = folder / split / "instances_txt" / f"{clip.name}.txt"
    write_lines(path, (line for frame, picture_HW in enumerate(pictures) for line in _lines(frame, picture_HW, ids)))
    return [*names, path.relative_to(folder).as_posix()]


def write_shared(folder: Path, clips: Clips, facts: SetFacts, form: str) -> list[str]:
    """`labels.txt`, `<split>.seqmap` and `tracks.csv` of each split.

    They say the class of each number from 1, each clip's last frame, and what we call each object.
    """
    lengths: dict[str, list[str]] = {}
    unknown: set[str] = set()
    tracks: dict[str, list[tuple[object, ...]]] = {}
    for clip in clips():
        split = clip.split or "all"
        lengths.setdefault(split, []).append(f"{clip.name} empty {0:06d} {len(clip.stills) - 1:06d}")
        if any(track.category is None for track in clip.tracks):
            unknown.add(split)
        own = zip(_ids(clip, facts), clip.tracks, strict=True)
        tracks.setdefault(split, [TRACK_COLUMNS]).extend((clip.name, number, track.track_id) for number, track in own)
    names = []
    for split, lines in lengths.items():
        classes = {_class(number): name for name, number in facts.categories.items()}
        if split in unknown:
            classes[_unknown(facts)] = UNKNOWN
        numbers = range(1, max(classes, default=0) + 1)
        listed = ["ignore" if number == IGNORED else classes.get(number, f"class_{number}") for number in numbers]
        place = f"{split}/instances" if form == "png" else split
        for name, content in ((f"{place}/labels.txt", listed), (f"{split}/{split}.seqmap", lines)):
            write_text(folder / name, "".join(f"{line}\n" for line in content))
            names.append(name)
        names.append(f"{split}/{TRACKS}")
        write_text(folder / names[-1], csv_text(tracks[split]))
    return names


def _picture(clip: LabelledClip, place: int) -> NDArray[np.uint16]:
    """uint16 (H, W): the place of a track from 1, 0 where none is."""
    return painted([track.masks[place] for track in clip.tracks], height=clip.height, width=clip.width)[0]


def _lines(frame: int, picture_HW: NDArray[np.uint16], ids: list[int]) -> Iterator[str]:
    """One line for each object that has a pixel, in the order of their ids."""
    height, width = picture_HW.shape
    places = np.unique(picture_HW[picture_HW > 0]).tolist()
    for place in sorted(places, key=lambda place: ids[place - 1]):
        number = ids[place - 1]
        yield f"{frame} {number} {number // 1000} {height} {width} {encode(picture_HW == place).counts}"


def _write_pictures(place: Path, folder: Path, pictures: Iterable[NDArray[np.uint16]], ids: list[int]) -> list[str]:
    values = np.array([0, *ids])
    if values.max() >= (_MOST_CLASSES + 1) * 1000:
        raise DataError(f"class {values.max() // 1000} does not fit a 16-bit picture", hint="--mots-form text")
    place.mkdir(parents=True, exist_ok=True)
    names = []
    for frame, picture_HW in enumerate(pictures):
        path = place / f"{frame:06d}.png"
        Image.fromarray(values.astype(np.uint16)[picture_HW]).save(path)
        names.append(path.relative_to(folder).as_posix())
    return names


def _ids(clip: LabelledClip, facts: SetFacts) -> list[int]:
    """class * 1000 + instance of each track, instances counted from 1 within their class."""
    count: Counter[int] = Counter()
    ids = []
    for track in clip.tracks:
        if track.category is not None and track.category not in facts.categories:
            raise DataError(f"track {track.track_id}: the category {track.category!r:.60} is none of the set's")
        number = _unknown(facts) if track.category is None else _class(facts.categories[track.category])
        count[number] += 1
        ids.append(number * 1000 + count[number])
    return ids


def _class(number: int) -> int:
    """The class of a category, which passes over the one that is ignored."""
    return number if number < IGNORED else number + 1


def _unknown(facts: SetFacts) -> int:
    return _class(max(facts.categories.values(), default=0) + 1)

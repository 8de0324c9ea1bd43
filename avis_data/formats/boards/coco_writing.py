"""COCO files written entry by entry, so that memory does not grow with the number of clips."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO

from avis_data.errors import DataError
from avis_data.formats.sets.clips import LabelledClip, LabelledTrack, Still
from avis_data.formats.sets.layout import UNKNOWN
from avis_data.formats.sets.spec import Clips, SetFacts
from avis_data.io import atomic_path
from avis_data.masks.rle import Rle, area, box

__all__ = ["write_coco"]

_TABLES = ("videos", "tracks", "images", "annotations")
"""The tables that grow with the clips, in the order of the file."""


def write_coco(folder: Path, clips: Clips, facts: SetFacts) -> list[str]:
    """Write `annotations/instances_<split>.json` for each split that has a clip (`all`: clips of none).

    Ids count from 1 in each file, in the order of clips, stills and tracks; masks are compressed RLE with iscrowd 0,
    as COCO's own evaluation takes crowds for regions to ignore.

    Returns:
        The paths of the files in the folder.

    Raises:
        DataError: if a track has a category that the set does not have.
    """
    files: dict[str, _SplitFile] = {}
    with ExitStack() as stack:
        for clip in clips():
            split = clip.split or "all"
            if split not in files:
                files[split] = _SplitFile(parts={name: stack.enter_context(_part()) for name in _TABLES}, facts=facts)
            files[split].add(clip)
        for split, file in files.items():
            with atomic_path(folder / _name(split)) as part, part.open("w", encoding="utf-8", newline="\n") as out:
                file.join(out)
    return [_name(split) for split in files]


def _name(split: str) -> str:
    return f"annotations/instances_{split}.json"


def _part() -> IO[str]:
    return tempfile.TemporaryFile("w+", encoding="utf-8", newline="\n")


@dataclass(kw_only=True)
class _SplitFile:
    """The tables of one file, each in a temporary file until all clips are in."""

    parts: dict[str, IO[str]]
    facts: SetFacts
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_TABLES, 0))
    licenses: dict[str, int] = field(default_factory=dict)
    has_unknown: bool = False

    def add(self, clip: LabelledClip) -> None:
        """The entries of a clip."""
        license_id = None if clip.license is None else self.licenses.setdefault(clip.license, len(self.licenses) + 1)
        said = {"fps": clip.fps, "source": clip.source, "url": clip.url, "start_s": clip.start_s, "license": license_id}
        size = {"width": clip.width, "height": clip.height}
        entry = {"name": clip.name, **size, **{name: value for name, value in said.items() if value is not None}}
        if not clip.has_truth:
            entry["has_truth"] = False
        if not clip.has_identity:
            entry["has_identity"] = False
        video_id = self._put("videos", entry)
        numbers = [self._put("tracks", self._track(track, video_id)) for track in clip.tracks]
        by_number = self._frame_ids(clip)
        for place, still in enumerate(clip.stills):
            image = self._image(clip, still, by_number[place]) | {"video_id": video_id}
            image_id = self._put("images", image if license_id is None else image | {"license": license_id})
            for number, track in zip(numbers, clip.tracks, strict=True):
                mask = track.masks[place]
                if mask is not None:
                    given = {"image_id": image_id, "category_id": self._category(track), "video_id": video_id}
                    self._put("annotations", given | _annotation(mask, number, track.sounding[place]))

    def join(self, out: IO[str]) -> None:
        """Write the whole file."""
        facts = self.facts
        head: Mapping[str, object] = {
            "info": {"description": facts.description or facts.name, "version": facts.version},
            "licenses": [{"id": number, "name": name, "url": ""} for name, number in self.licenses.items()],
            "categories": [{"id": number, "name": name, "supercategory": ""} for name, number in self._categories()],
        }
        out.write("{\n")
        for name, value in head.items():
            out.write(f"{json.dumps(name)}: {json.dumps(value, ensure_ascii=False)},\n")
        for name, part in self.parts.items():
            part.seek(0)
            out.write(f"{json.dumps(name)}: [")
            shutil.copyfileobj(part, out)
            out.write("\n]\n}\n" if name == _TABLES[-1] else "\n],\n")

    def _put(self, table: str, entry: Mapping[str, object]) -> int:
        """Add an entry to a table; gives its id."""
        self.counts[table] += 1
        number = self.counts[table]
        text = json.dumps({"id": number, **entry}, ensure_ascii=False, allow_nan=False)
        self.parts[table].write(f"{',' if number > 1 else ''}\n{text}")
        return number

    def _track(self, track: LabelledTrack, video_id: int) -> dict[str, object]:
        return {"name": track.track_id, "video_id": video_id, "category_id": self._category(track)}

    def _image(self, clip: LabelledClip, still: Still, frame_id: int) -> dict[str, object]:
        ending = PurePosixPath(still.picture.name).suffix.lower() if still.picture else ""
        entry: dict[str, object] = {
            "file_name": f"{clip.name}/{still.name}{ending or '.jpg'}",
            "width": clip.width,
            "height": clip.height,
            "frame_id": frame_id,
        }
        return entry if still.is_labelled else entry | {"is_labelled": False}

    def _frame_ids(self, clip: LabelledClip) -> list[int]:
        """The numbers of the stills, where all have one and they ascend; else their places."""
        numbers = [still.number for still in clip.stills if still.number is not None]
        if len(numbers) == len(clip.stills) and numbers == sorted(set(numbers)):
            return numbers
        return list(range(len(clip.stills)))

    def _category(self, track: LabelledTrack) -> int:
        if track.category is None:
            self.has_unknown = True
            return self._unknown()
        if track.category not in self.facts.categories:
            raise DataError(f"track {track.track_id}: the category {track.category!r:.60} is none of the set's")
        return self.facts.categories[track.category]

    def _unknown(self) -> int:
        return max(self.facts.categories.values(), default=0) + 1

    def _categories(self) -> Iterator[tuple[str, int]]:
        yield from sorted(self.facts.categories.items(), key=lambda entry: entry[1])
        if self.has_unknown:
            yield UNKNOWN, self._unknown()


def _annotation(mask: Rle, track_id: int, sounding: bool | None) -> dict[str, object]:
    attributes: dict[str, object] = {"track_id": track_id}
    return {
        "track_id": track_id,
        "segmentation": {"size": [mask.height, mask.width], "counts": mask.counts},
        "area": float(area(mask)),
        "bbox": list(box(mask)),
        "iscrowd": 0,
        "attributes": attributes if sounding is None else attributes | {"sounding": sounding},
    }

"""COCO: one file a split with the pictures of clips, and an annotation for each object in each of them.

COCO knows neither clips nor identity. What is written says both in the keys that video tools use: `videos` and
`tracks` beside the usual tables, `video_id` and `frame_id` in an image, `track_id` in an annotation, and whether it is
heard in `attributes.sounding`. Official programs take no notice of these keys.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from avis_data.formats.sets.clips import LabelledClip, UnreadClip
from avis_data.formats.sets.spec import Clips, Keeps, SetFacts, SetSpec

__all__ = ["COCO"]

_ENDS_BYTES = 1 << 16
"""So much of the beginning and of the end of a file is looked at."""


@dataclass(frozen=True, kw_only=True)
class CocoReader:
    """Reads COCO in the forms that tools write: see `coco_files.read_coco`."""

    def looks_right(self, path: Path) -> bool:
        """Whether it is a JSON file with images, or a folder or archive with such files."""
        from avis_data.formats.boards.coco_tables import annotation_files
        from avis_data.formats.sets.files import is_zip, member_names

        try:
            if path.is_dir():
                return any(self.looks_right(file) for file in annotation_files(path)[:3])
            if is_zip(path):
                names = [name.rpartition("/")[2] for name in member_names(path)]
                return any(name.startswith("instances_") or name == "_annotations.coco.json" for name in names)
            if path.suffix != ".json":
                return False
            with path.open("rb") as file:
                found = file.read(_ENDS_BYTES)
                file.seek(max(0, path.stat().st_size - _ENDS_BYTES))
                found += file.read()
        except (OSError, ValueError):
            return False
        return re.search(rb'"(images|image_id)"\s*:', found) is not None

    def read(self, path: Path) -> Iterator[LabelledClip | UnreadClip]:
        """The clips of a set, in the order of their names."""
        from avis_data.formats.boards.coco_files import read_coco

        yield from read_coco(path)


@dataclass(frozen=True, kw_only=True)
class CocoWriter:
    """Writes `annotations/instances_<split>.json` and `images/<split>/<clip>/<still>.jpg`."""

    def write_clip(self, folder: Path, clip: LabelledClip, facts: SetFacts) -> list[str]:
        """The stills of a clip."""
        from avis_data.formats.sets.layout import put_still

        places = ((still, f"images/{clip.split or 'all'}/{clip.name}/{still.name}") for still in clip.stills)
        return [name for still, place in places for name in put_still(still, folder, place)]

    def write_shared(self, folder: Path, clips: Clips, facts: SetFacts) -> list[str]:
        """The file of each split."""
        from avis_data.formats.boards.coco_writing import write_coco

        return write_coco(folder, clips, facts)


COCO = SetSpec(
    name="coco",
    summary="COCO instances, one file a split, with video_id, frame_id and track_id.",
    keeps=Keeps(empty_tracks=True, fps=True, license=True, source=True),
    reader=CocoReader(),
    writer=CocoWriter(),
)

"""FiftyOne: COCO with pictures and sound, and a script that builds the dataset where FiftyOne and its database run.

FiftyOne's own folder is written out of its database only (its metadata.json names the database's version), so it is
read here and not written.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from avis_data.formats.hubs.about import About
from avis_data.formats.sets.clips import LabelledClip, UnreadClip
from avis_data.formats.sets.options import Nested, Option
from avis_data.formats.sets.spec import Clips, Keeps, SetFacts, SetSpec

__all__ = ["FIFTYONE", "FOLDER", "LOADER", "SAMPLES"]

LOADER = "load_fiftyone.py"
SAMPLES = "samples.json"
FOLDER = "samples"
"""With a file for each sample, where there is no samples.json."""


@dataclass(frozen=True, kw_only=True)
class FiftyoneReader:
    """Reads what is written here, and FiftyOne's own folder (`samples.json` with masks)."""

    label_field: Annotated[str | None, Option(help="The field of FiftyOne's samples that holds the objects.")] = None

    def looks_right(self, path: Path) -> bool:
        """Whether it is a folder or an archive with our script or with samples.json."""
        from avis_data.formats.sets.files import member_names

        names = {Path(name).name for name in member_names(path)}
        if (path / FOLDER).is_dir() and (path / "metadata.json").is_file():
            return True
        return any((path / name).is_file() or name in names for name in (LOADER, SAMPLES)) or path.name == SAMPLES

    def read(self, path: Path) -> Iterator[LabelledClip | UnreadClip]:
        """The clips of a set, in the order of their names."""
        from avis_data.formats.hubs.fiftyone_files import read_fiftyone

        yield from read_fiftyone(path, self.label_field)


@dataclass(frozen=True, kw_only=True)
class FiftyoneWriter:
    """Writes what `coco` does, `sound/<split>/<clip>.wav`, `load_fiftyone.py`, `README.md` and `LICENSES.csv`."""

    about: Annotated[About, Nested()] = field(default_factory=About)

    def write_clip(self, folder: Path, clip: LabelledClip, facts: SetFacts) -> list[str]:
        """The stills and the sound of a clip."""
        from avis_data.formats.hubs.fiftyone_files import write_media

        return write_media(folder, clip, facts)

    def write_shared(self, folder: Path, clips: Clips, facts: SetFacts) -> list[str]:
        """The files of all clips."""
        from avis_data.formats.hubs.fiftyone_files import write_fiftyone

        return write_fiftyone(folder, clips, facts, about=self.about)


FIFTYONE = SetSpec(
    name="fiftyone",
    summary="COCO with sound, and a script that builds a FiftyOne dataset of it.",
    keeps=Keeps(empty_tracks=True, sound=True, fps=True, license=True, source=True),
    reader=FiftyoneReader(),
    writer=FiftyoneWriter(),
    narrows=("coco",),
)

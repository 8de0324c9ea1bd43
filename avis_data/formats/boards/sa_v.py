"""SA-V: a JSON file for each video with the masks of each frame, as SAM 2 is trained on.

SA-V knows neither categories nor sound, and an object is its place in a list. What is written says both, and our ids,
under one more key, `avis_data`, of which SAM 2's loader takes no notice.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

from avis_data.formats.sets.clips import LabelledClip, UnreadClip
from avis_data.formats.sets.options import Option
from avis_data.formats.sets.spec import Clips, Keeps, SetFacts, SetSpec

__all__ = ["SA_V", "SaVReader"]


@dataclass(frozen=True, kw_only=True)
class SaVReader:
    """Reads SA-V's JSON files, and the folders of PNG of its validation and test sets."""

    masklets: Annotated[
        Literal["manual", "auto", "both"], Option(help="Which masks of SA-V: of people, of SAM 2, or both.")
    ] = "manual"

    def looks_right(self, path: Path) -> bool:
        """Whether it is such a file, or a folder or archive that holds some."""
        from avis_data.formats.boards.sa_v_places import is_label_file, seems_sa_v
        from avis_data.formats.sets.files import is_zip, member_names

        try:
            if is_zip(path):
                return any(is_label_file(Path(name)) for name in member_names(path))
            return seems_sa_v(path)
        except OSError:
            return False

    def read(self, path: Path) -> Iterator[LabelledClip | UnreadClip]:
        """The clips of a set, in the order of their names."""
        from avis_data.formats.boards.sa_v_files import read_sa_v

        yield from read_sa_v(path, self.masklets)


@dataclass(frozen=True, kw_only=True)
class SaVWriter:
    """Writes a folder a split: `Annotations/<clip>_manual.json`, `JPEGImages/<clip>/00000.jpg` and `<split>.txt`."""

    def write_clip(self, folder: Path, clip: LabelledClip, facts: SetFacts) -> list[str]:
        """The masks and the stills of a clip."""
        from avis_data.formats.boards.sa_v_writing import write_clip

        return write_clip(folder, clip, facts)

    def write_shared(self, folder: Path, clips: Clips, facts: SetFacts) -> list[str]:
        """The list of each split: the clips in which an object is seen, as a loader finds nothing in the others."""
        from avis_data.formats.boards.sa_v_writing import write_lists

        return write_lists(folder, clips)


def _expected(clip: LabelledClip, spec: SetSpec) -> LabelledClip:
    from avis_data.formats.boards.sa_v_writing import without_other_pictures
    from avis_data.formats.sets.compare import kept

    found = without_other_pictures(kept(clip, replace(spec, expected=None)))
    return found if clip.has_truth else replace(found, fps=None, license=None, source=None)  # there are only stills


SA_V = SetSpec(
    name="sa-v",
    summary="SA-V, what SAM 2 trains on: masks of each frame as RLE, one JSON a clip.",
    keeps=Keeps(empty_tracks=True, fps=True, license=True, source=True),
    reader=SaVReader(),
    writer=SaVWriter(),
    unfit="with a dot in their names, which SAM 2 takes for an ending",
    fits=lambda clip: "has a dot in its name, which SAM 2 takes for an ending" if "." in clip.name else None,
    expected=_expected,
)

"""AVSBench as formats of sets: S4, MS3 and AVSS are read; AVSS is written without a workspace too.

One class a pixel: two things of one category are one region, so identity is lost. S4 and MS3 from a workspace are
written by avis_data.pipelines.exports.avsbench, which cuts clips and makes their pictures square.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from avis_data.formats.avsbench import AVSS_FRAMES
from avis_data.formats.sets.clips import LabelledClip, UnreadClip
from avis_data.formats.sets.spec import Clips, Keeps, SetFacts, SetSpec

__all__ = ["AVSBENCH", "AVSS", "NUM_CLASSES"]

NUM_CLASSES = 71
"""Of AVSS, the background included: the public loaders make a table of so many colours."""


@dataclass(frozen=True, kw_only=True)
class AvsbenchReader:
    """Reads a dataset of AVSBench by its table."""

    def looks_right(self, path: Path) -> bool:
        """Whether a folder, or its `Single-source` or `Multi-sources`, has such a table."""
        from avis_data.formats.avsbench_clips import is_avsbench

        return path.is_dir() and is_avsbench(path)

    def read(self, path: Path) -> Iterator[LabelledClip | UnreadClip]:
        """The clips of all splits, in the order of their names."""
        from avis_data.formats.heard.avsbench_reading import read_avsbench

        yield from read_avsbench(path)


@dataclass(frozen=True, kw_only=True)
class AvssWriter:
    """Writes `<label>/<uid>` with stills, coloured masks and sound, and the tables of all clips."""

    def write_clip(self, folder: Path, clip: LabelledClip, facts: SetFacts) -> list[str]:
        """Stills, masks and sound."""
        from avis_data.formats.heard.avss_writing import write_avss_clip

        return write_avss_clip(folder, clip, facts)

    def write_shared(self, folder: Path, clips: Clips, facts: SetFacts) -> list[str]:
        """`metadata.csv` and `label2idx.json`."""
        from avis_data.formats.heard.avss_writing import write_avss_tables

        return write_avss_tables(folder, clips, facts)


def _expected(clip: LabelledClip, _spec: SetSpec) -> LabelledClip:
    from avis_data.formats.heard.avss_writing import as_classes

    return as_classes(clip)


AVSBENCH = SetSpec(
    name="avsbench",
    summary="AVSBench S4, MS3 and AVSS: what sounds, one class a pixel.",
    keeps=Keeps(masks="union", identity=False, sounding="sounding only", sound=True),
    reader=AvsbenchReader(),
)
AVSS = SetSpec(
    name="avsbench-avss",
    summary="AVSBench AVSS: clips of 5 or 10 stills, what sounds in the colour of its category.",
    keeps=Keeps(masks="painted", identity=False, sounding="sounding only", sound=True),
    reader=AvsbenchReader(),
    writer=AvssWriter(),
    lengths=tuple(sorted({*AVSS_FRAMES.values()}, reverse=True)),
    only_fps=1,
    unfit="of fewer than 5 stills",
    expected=_expected,
)

"""Parquet as Hugging Face's hub holds it: one row a clip, with its stills, its sound and its tracks, and a card.

`datasets.load_dataset` reads the folder; no library of the hub is needed to write it.
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

__all__ = ["HF", "PARQUET_KEEPS", "ParquetReader"]

PARQUET_KEEPS = Keeps(empty_tracks=True, sound=True, embeddings=True, fps=True, license=True, source=True)


@dataclass(frozen=True, kw_only=True)
class ParquetReader:
    """Reads Parquet with the columns clip_id, images and tracks: see `parquet_files.read_parquet`."""

    def looks_right(self, path: Path) -> bool:
        """Whether it is a Parquet file, or a folder or archive that holds some."""
        from avis_data.formats.hubs.parquet_files import parquet_files
        from avis_data.formats.sets.files import member_names

        try:
            return bool(parquet_files(path)) or any(name.endswith(".parquet") for name in member_names(path))
        except OSError:
            return False

    def read(self, path: Path) -> Iterator[LabelledClip | UnreadClip]:
        """The clips of a set, in the order of their names."""
        from avis_data.formats.hubs.parquet_files import read_parquet

        yield from read_parquet(path)


@dataclass(frozen=True, kw_only=True)
class HfWriter:
    """Writes `data/<split>-00000-of-00001.parquet`, `README.md` and `LICENSES.csv`."""

    shard_mb: Annotated[int, Option(help="Begin a new file when one holds so many MB.")] = 500
    about: Annotated[About, Nested()] = field(default_factory=About)

    def write_clip(self, folder: Path, clip: LabelledClip, facts: SetFacts) -> list[str]:
        """Nothing: clips lie together in files."""
        return []

    def write_shared(self, folder: Path, clips: Clips, facts: SetFacts) -> list[str]:
        """All files."""
        from avis_data.formats.hubs.parquet_set import write_parquet_set

        return write_parquet_set(folder, clips, facts, shard_mb=self.shard_mb, about=self.about).names


HF = SetSpec(
    name="hf",
    summary="Parquet with stills, sound, tracks and embeddings in a row, and a card, for Hugging Face's datasets.",
    keeps=PARQUET_KEEPS,
    reader=ParquetReader(),
    writer=HfWriter(),
    embeds_media=True,
)

"""Croissant: a description of a set that catalogues and loaders of machine learning read, beside the files it is of.

The clips lie in Parquet as `hf` writes it; the masks lie, once more, in a flat table, because Croissant's loader has no
word for lists of structs in lists.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from avis_data.formats.hubs.about import About
from avis_data.formats.hubs.hf import PARQUET_KEEPS
from avis_data.formats.sets.clips import LabelledClip, UnreadClip
from avis_data.formats.sets.options import Nested, Option
from avis_data.formats.sets.spec import Clips, SetFacts, SetSpec

__all__ = ["CATALOGUE", "CROISSANT", "Publication"]

CATALOGUE = "croissant.json"


@dataclass(frozen=True, kw_only=True)
class Publication:
    """What Croissant asks for and nobody but the publisher knows."""

    creator: Annotated[str | None, Option(help="Who made the set, for its catalogue: a name.")] = None
    page: Annotated[str | None, Option(help="The address of the set's page, for its catalogue.")] = None
    published: Annotated[str | None, Option(help="The day of publication, for its catalogue: 2026-11-29.")] = None
    cite_as: Annotated[str | None, Option(help="How to cite the set, for its catalogue: BibTeX.")] = None


@dataclass(frozen=True, kw_only=True)
class CroissantReader:
    """Reads the Parquet files that a `croissant.json` describes, after a look at their hashes."""

    def looks_right(self, path: Path) -> bool:
        """Whether it is a `croissant.json`, or a folder or archive with one."""
        from avis_data.formats.sets.files import member_names

        if path.is_file() and path.suffix == ".json":
            return path.name == CATALOGUE
        return (path / CATALOGUE).is_file() or CATALOGUE in member_names(path)

    def read(self, path: Path) -> Iterator[LabelledClip | UnreadClip]:
        """The clips of a set, in the order of their names."""
        from avis_data.formats.hubs.catalogue import read_catalogue

        yield from read_catalogue(path)


@dataclass(frozen=True, kw_only=True)
class CroissantWriter:
    """Writes `croissant.json`, `data/<split>-00000-of-00001.parquet`, `masks.parquet`, `README.md`, `LICENSES.csv`."""

    shard_mb: Annotated[int, Option(help="Begin a new file when one holds so many MB.")] = 500
    about: Annotated[About, Nested()] = field(default_factory=About)
    publication: Annotated[Publication, Nested()] = field(default_factory=Publication)

    def write_clip(self, folder: Path, clip: LabelledClip, facts: SetFacts) -> list[str]:
        """Nothing: clips lie together in files."""
        return []

    def write_shared(self, folder: Path, clips: Clips, facts: SetFacts) -> list[str]:
        """All files."""
        from avis_data.formats.hubs.catalogue import write_catalogue

        return write_catalogue(
            folder, clips, facts, shard_mb=self.shard_mb, about=self.about, publication=self.publication
        )


CROISSANT = SetSpec(
    name="croissant",
    summary="Croissant 1.1 with its RAI fields, beside Parquet files that it describes.",
    keeps=PARQUET_KEEPS,
    reader=CroissantReader(),
    writer=CroissantWriter(),
    embeds_media=True,
    narrows=("hf",),
)

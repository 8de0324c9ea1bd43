"""A whole set as Parquet files with a card, which the hub's format and Croissant share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from avis_data.formats.hubs.about import About, shard_bytes
from avis_data.formats.hubs.card import CardForm, LicenseTable, write_card
from avis_data.formats.hubs.parquet_files import ParquetShards
from avis_data.formats.hubs.statements import Counted
from avis_data.formats.sets.spec import Clips, SetFacts

__all__ = ["ParquetSet", "write_parquet_set"]

_FORM = CardForm(
    files="data/{split}-*.parquet",
    load="""
from datasets import Audio, load_dataset

clips = load_dataset("FOLDER OR NAME", split={split!r}).cast_column("audio", Audio(decode=False))
clip = clips[0]
clip["images"]      # a list of pictures, one a still
clip["audio"]       # {{"bytes": WAV, "path": ...}}; with torchcodec leave the cast out
clip["tracks"]      # [{{"track_id", "category", "segmentations", "sounding"}}], lists with one entry a still
clip["embeddings"]  # VGGish, one row a still; null where there are none
""",
)


@dataclass(frozen=True, kw_only=True)
class ParquetSet:
    """What was written."""

    counted: Counted
    shards: Mapping[str, Sequence[str]]
    """Split to the paths of its files."""
    names: list[str]
    """All paths in the folder."""


def write_parquet_set(folder: Path, clips: Clips, facts: SetFacts, *, shard_mb: int, about: About) -> ParquetSet:
    """Write all files.

    Returns:
        Their names, and what was counted on the way.

    Raises:
        ConfigError: if `shard_mb` is not positive or the file of agreement cannot be read.
    """
    said = about.agreement_text()
    counted, licenses = Counted(), LicenseTable()
    with ParquetShards(folder=folder, shard_bytes=shard_bytes(shard_mb)) as shards:
        for clip in counted.over(clips):
            shards.add(clip)
            licenses.add(clip)
        written = shards.finish()
    names = [name for of_split in written.values() for name in of_split]
    names += write_card(folder, facts, counted, _FORM, contact=about.contact, agreement=said)
    names += licenses.write(folder)
    return ParquetSet(counted=counted, shards=written, names=names)

"""A whole set as Parquet files with a card, which the hub's format and Croissant share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from avis_data.errors import ConfigError
from avis_data.formats.hubs.card import LicenseTable, write_card
from avis_data.formats.hubs.counted import Counted
from avis_data.formats.hubs.parquet_files import ParquetShards
from avis_data.formats.sets.spec import Clips, SetFacts

__all__ = ["ParquetSet", "agreement_text", "write_parquet_set"]


@dataclass(frozen=True, kw_only=True)
class ParquetSet:
    """What was written."""

    counted: Counted
    shards: Mapping[str, Sequence[str]]
    """Split to the paths of its files."""
    names: list[str]
    """All paths in the folder."""


def write_parquet_set(
    folder: Path, clips: Clips, facts: SetFacts, *, shard_mb: int, contact: str | None, agreement: str | None
) -> ParquetSet:
    """Write all files.

    Raises:
        ConfigError: if `shard_mb` is not positive or the file of agreement cannot be read.
    """
    if shard_mb < 1:
        raise ConfigError(f"--shard-mb {shard_mb}: must be 1 or more")
    said = agreement_text(agreement)
    counted, licenses = Counted(), LicenseTable()
    with ParquetShards(folder=folder, shard_bytes=shard_mb * 1_000_000) as shards:
        for clip in counted.over(clips):
            shards.add(clip)
            licenses.add(clip)
        written = shards.finish()
    names = [name for of_split in written.values() for name in of_split]
    names += write_card(folder, facts, counted, contact=contact, agreement=said)
    names += licenses.write(folder)
    return ParquetSet(counted=counted, shards=written, names=names)


def agreement_text(path: str | None) -> str | None:
    """The text of the file that `--agreement` names. Raises ConfigError if it cannot be read."""
    if path is None:
        return None
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"--agreement {path}: cannot be read ({error})", hint="avis-data agreement --json > agreement.json"
        ) from None

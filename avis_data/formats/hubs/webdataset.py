"""WebDataset: tar files that training streams from anywhere, each clip whole in one of them, as one sample."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from avis_data.formats.hubs.about import About
from avis_data.formats.sets.clips import LabelledClip, UnreadClip
from avis_data.formats.sets.options import Nested, Option
from avis_data.formats.sets.spec import Clips, Keeps, SetFacts, SetSpec

__all__ = ["WEBDATASET"]


@dataclass(frozen=True, kw_only=True)
class ShardReader:
    """Reads tar files with a `tracks.json` in each sample: see `shard_reading.read_shards`."""

    def looks_right(self, path: Path) -> bool:
        """Whether it is a tar file whose samples have tracks, or a folder or archive with tar files."""
        from avis_data.formats.hubs.shard_reading import has_tracks, shard_files
        from avis_data.formats.sets.files import member_names

        try:
            files = shard_files(path)
        except OSError:
            return False
        return any(map(has_tracks, files[:3])) or any(name.endswith(".tar") for name in member_names(path))

    def read(self, path: Path) -> Iterator[LabelledClip | UnreadClip]:
        """The clips of a set, in the order of their names."""
        from avis_data.formats.hubs.shard_reading import read_shards

        yield from read_shards(path)


@dataclass(frozen=True, kw_only=True)
class ShardWriter:
    """Writes `<split>-000000.tar`, `README.md` and `LICENSES.csv`."""

    shard_mb: Annotated[int, Option(help="Begin a new file when one holds so many MB.")] = 500
    about: Annotated[About, Nested()] = field(default_factory=About)

    def write_clip(self, folder: Path, clip: LabelledClip, facts: SetFacts) -> list[str]:
        """Nothing: clips lie together in files."""
        return []

    def write_shared(self, folder: Path, clips: Clips, facts: SetFacts) -> list[str]:
        """All files."""
        from avis_data.formats.hubs.shard_writing import write_shards

        return write_shards(folder, clips, facts, shard_mb=self.shard_mb, about=self.about)


WEBDATASET = SetSpec(
    name="webdataset",
    summary="Tar files of about 500 MB for streaming, a clip with stills, sound and tracks as one sample.",
    keeps=Keeps(empty_tracks=True, sound=True, embeddings=True, fps=True, license=True, source=True),
    reader=ShardReader(),
    writer=ShardWriter(),
    embeds_media=True,
)

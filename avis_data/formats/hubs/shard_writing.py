"""Tar files for webdataset, written clip by clip: equal clips give equal bytes."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np

from avis_data.formats.hubs.about import About, shard_bytes
from avis_data.formats.hubs.card import CardForm, LicenseTable, write_card
from avis_data.formats.hubs.plain import facts_of, stills_of, tracks_of
from avis_data.formats.hubs.statements import UNDIVIDED, Counted
from avis_data.formats.sets.clips import LabelledClip
from avis_data.formats.sets.spec import Clips, SetFacts

__all__ = ["key_of", "write_shards"]

_FORM = CardForm(
    files="{split}-*.tar",
    load="""
import glob
import webdataset

shards = sorted(glob.glob("FOLDER/{split}-*.tar"))
for clip in webdataset.WebDataset(shards, shardshuffle=False).decode("pil"):
    clip["__key__"]         # the name of the clip
    clip["00000.jpg"]       # its first picture, then 00001.jpg ...
    clip["wav"]             # WAV, 16 kHz, as bytes; two channels where the source has two that differ
    clip["tracks.json"]     # [{{"track_id", "category", "segmentations", "sounding"}}], lists with one entry a still
    clip["json"]            # what is said of the clip and of each still: fps, license, source, time_s ...
    clip["embeddings.npy"]  # VGGish, one row a still
    break
""",
)


def write_shards(folder: Path, clips: Clips, facts: SetFacts, *, shard_mb: int, about: About) -> list[str]:
    """Write `<split>-000000.tar` and so on, the card and the table of licences; gives their names.

    Raises:
        ConfigError: if `shard_mb` is not positive or the file of agreement cannot be read.
        DataError: if a picture or sound cannot be read.
    """
    limit = shard_bytes(shard_mb)
    said = about.agreement_text()
    counted, licenses = Counted(), LicenseTable()
    shards: dict[str, _Shards] = {}
    with ExitStack() as stack:
        for clip in counted.over(clips):
            split = clip.split or UNDIVIDED
            if split not in shards:
                shards[split] = _Shards(folder=folder, split=split, limit=limit)
                stack.callback(shards[split].close)
            shards[split].add(clip)
            licenses.add(clip)
    names = [name for split in sorted(shards) for name in shards[split].names]
    names += write_card(folder, facts, counted, _FORM, contact=about.contact, agreement=said)
    return names + licenses.write(folder)


def key_of(name: str) -> str:
    """The key of a clip's sample: its name, but for dots, at which webdataset would end it.

    Example:
        >>> key_of("dog_1"), key_of("v1.2")
        ('dog_1', 'v1%2E2')
    """
    return name.replace("%", "%25").replace(".", "%2E")


@dataclass(kw_only=True)
class _Shards:
    """The files of one split, of which the last is open."""

    folder: Path
    split: str
    limit: int
    """A file is closed when it holds so many bytes."""
    names: list[str] = field(default_factory=list)
    _open: tarfile.TarFile | None = None

    def add(self, clip: LabelledClip) -> None:
        """Write the sample of a clip."""
        if self._open is None:
            self.names.append(f"{self.split}-{len(self.names):06d}.tar")
            self._open = tarfile.open(self.folder / self.names[-1], "w", format=tarfile.PAX_FORMAT)
        for ending, data in _fields(clip):
            member = tarfile.TarInfo(f"{key_of(clip.name)}.{ending}")  # its time, owner and mode are constants
            member.size = len(data)
            self._open.addfile(member, io.BytesIO(data))
        self._open.getmembers().clear()  # kept by tarfile for a look-up that nobody makes
        if self._open.offset >= self.limit:
            self.close()

    def close(self) -> None:
        """End the open file."""
        if self._open is not None:
            self._open.close()
            self._open = None


def _fields(clip: LabelledClip) -> Iterator[tuple[str, bytes]]:
    """The members of a sample: what follows the key, and the bytes."""
    yield "json", _json({"clip_id": clip.name, **facts_of(clip), "stills": stills_of(clip)})
    yield "tracks.json", _json(tracks_of(clip))
    if clip.embeddings_TD is not None:
        data = io.BytesIO()
        np.save(data, clip.embeddings_TD(), allow_pickle=False)
        yield "embeddings.npy", data.getvalue()
    if clip.sound is not None:
        yield PurePosixPath(clip.sound.name).suffix.lower().lstrip(".") or "wav", clip.sound.read()
    for place, still in enumerate(clip.stills):
        if still.picture is not None:
            ending = PurePosixPath(still.picture.name).suffix.lower() or ".jpg"
            yield f"{place:05d}{ending}", still.picture.read()


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False).encode()

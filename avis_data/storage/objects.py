"""A file or a folder as one object, and a checked local copy of it.

A folder is one object too, an uncompressed tar whose bytes depend on names and contents alone: so what an item leaves
is there whole or not at all, and a clip costs as few requests as it has outputs, not one for each still.
"""

from __future__ import annotations

import os
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from avis_data.errors import ItemError, Reason
from avis_data.io import TEMPORARY_PREFIX, move, remove, sha256_tree
from avis_data.storage.store import Store

__all__ = ["Kept", "as_object", "is_packed", "is_unchanged", "local_copy", "object_name"]

_FOLDER = ".tar"


class Kept(Protocol):
    """What the ledger says of a file or folder that an item left; `Output` and `Input` are such."""

    @property
    def path(self) -> str:
        """Relative to the workspace."""

    @property
    def sha256(self) -> str:
        """Of the file or the tree."""

    @property
    def mtime_ns(self) -> int | None:
        """When it was last changed, which its local copies are given too."""

    @property
    def key(self) -> str:
        """Of its object; empty: it lies in the workspace alone."""


def object_name(name: str, *, is_folder: bool) -> str:
    """What the object of a file or folder of this name is called."""
    return f"{name}{_FOLDER}" if is_folder else name


def is_packed(kept: Kept) -> bool:
    """Whether the object is a folder's tar."""
    return Path(kept.key).name == object_name(Path(kept.path).name, is_folder=True)


@contextmanager
def as_object(path: Path) -> Iterator[Path]:
    """The file to upload: itself, or for a folder a tar of it, which lies in the temporary folder meanwhile."""
    if not path.is_dir():
        yield path
        return
    with tempfile.NamedTemporaryFile(prefix=TEMPORARY_PREFIX, suffix=_FOLDER) as packed:
        with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for file in sorted(file for file in path.rglob("*") if file.is_file()):
                entry = tarfile.TarInfo(file.relative_to(path).as_posix())
                entry.size = file.stat().st_size
                with file.open("rb") as data:
                    tar.addfile(entry, data)
        packed.flush()
        yield Path(packed.name)


def is_unchanged(path: Path, kept: Kept) -> bool:
    """Whether a file or folder is there as it was left: by time of change, else by hash."""
    try:
        found = path.stat()
    except OSError:
        return False
    return found.st_mtime_ns == kept.mtime_ns or sha256_tree(path) == kept.sha256


def local_copy(store: Store, root: Path, kept: Kept, *, scratch: Path) -> Path:
    """The path of a file or folder below `root`, fetched from the bucket where it is not there as it was left.

    What was fetched is compared with its hash before it takes its name, and gets the time of change that the ledger
    has: from then on it is as good as the original.

    Args:
        store: the bucket.
        root: the workspace, or the folder that stands for it on another machine.
        kept: what the ledger says of it.
        scratch: a folder that exists, for what is not checked yet.

    Raises:
        ItemError: `source_missing` if the object is gone, `torn_input` if it is not what was stored.
        StorageError: if the bucket cannot be used.
    """
    target = root / kept.path
    if is_unchanged(target, kept):
        _touch(target, kept)
        return target
    with tempfile.TemporaryDirectory(prefix=TEMPORARY_PREFIX, dir=scratch) as folder:
        part = _fetched(store, kept, Path(folder))
        if sha256_tree(part) != kept.sha256:
            message = f"{kept.key} in the bucket is not what was stored; avis-data run --verify makes it again"
            raise ItemError(message, reason=Reason.TORN_INPUT)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            if target.is_dir():
                remove(target)
            move(part, target)
        except OSError:
            if not is_unchanged(target, kept):  # else another worker was quicker
                raise
    _touch(target, kept)
    return target


def _fetched(store: Store, kept: Kept, folder: Path) -> Path:
    part = folder / Path(kept.key).name
    try:
        store.get(kept.key, part)
    except FileNotFoundError:
        message = f"{kept.key} is gone from the bucket; avis-data run makes it again"
        raise ItemError(message, reason=Reason.SOURCE_MISSING) from None
    if not is_packed(kept):
        return part
    unpacked = folder / "unpacked"
    unpacked.mkdir()
    try:
        with tarfile.open(part) as tar:
            tar.extractall(unpacked, filter="data")
    except (tarfile.TarError, EOFError):
        message = f"{kept.key} in the bucket is no tar; avis-data run --verify makes it again"
        raise ItemError(message, reason=Reason.TORN_INPUT) from None
    part.unlink()
    return unpacked


def _touch(path: Path, kept: Kept) -> None:
    """Note that it was used now, by which the least recently used copies are found."""
    mtime_ns = kept.mtime_ns if kept.mtime_ns else path.stat().st_mtime_ns
    os.utime(path, ns=(time.time_ns(), mtime_ns))

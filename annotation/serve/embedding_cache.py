"""What engines worked out of stills, kept on disk: by content, half precision, the least used thrown away first."""

from __future__ import annotations

import logging
import os
import zipfile
from pathlib import Path

import numpy as np

from avis_data.annotation.segmenters.segmenter import Embedding
from avis_data.io import atomic_path, sha256_text

__all__ = ["EmbeddingCache"]

logger = logging.getLogger(__name__)

_ROOM = 0.9
"""When it is full it is emptied to this part of its size, so that not every new entry has to look through it."""


class EmbeddingCache:
    """A folder of entries, each a file that appears whole or not at all; processes may share it."""

    def __init__(self, folder: Path, *, engine: str, weights_sha256: str | None, most_bytes: int) -> None:
        """Entries of another engine, or of other weights, are other entries."""
        self._folder = folder
        self._maker = sha256_text(f"{engine} {weights_sha256}")[:16]
        self._most_bytes = most_bytes
        self._written = 0

    def get(self, still_sha256: str) -> Embedding | None:
        """The embedding of a still; None if it is not there, or damaged."""
        path = self._path(still_sha256)
        try:
            with np.load(path, allow_pickle=False) as arrays:
                found = {name: arrays[name] for name in arrays.files}
            os.utime(path)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, EOFError, TypeError, zipfile.BadZipFile) as error:  # TypeError: an npy, no archive
            logger.warning("embedding %s cannot be read, it is made again (%s)", path.name, error)
            return None
        return found

    def put(self, still_sha256: str, embedding: Embedding) -> None:
        """Keep an embedding; makes room first where there is none. A disk that takes none costs time, and no click."""
        path = self._path(still_sha256)
        try:
            with atomic_path(path) as part, part.open("wb") as file:
                halves = {name: array.astype(np.float16) for name, array in embedding.items()}
                np.savez(file, **halves)  # type: ignore[arg-type]  # its stub takes each name for `allow_pickle`
                size = file.tell()
        except OSError as error:
            logger.warning("embedding %s cannot be kept (%s)", path.name, error)
            return
        self._written += size
        if self._written > (1 - _ROOM) * self._most_bytes / 2:
            self._make_room()

    def _path(self, still_sha256: str) -> Path:
        return self._folder / f"{still_sha256}-{self._maker}.npz"  # by its still, so that it can be removed with it

    def _make_room(self) -> None:
        self._written = 0
        entries = []
        for path in self._folder.glob("*.npz"):
            try:
                state = path.stat()
            except FileNotFoundError:  # another process made room too
                continue
            entries.append((state.st_mtime, state.st_size, path))
        size = sum(entry[1] for entry in entries)
        if size <= self._most_bytes:
            return
        for _, part, path in sorted(entries):
            path.unlink(missing_ok=True)
            size -= part
            if size <= _ROOM * self._most_bytes:
                return

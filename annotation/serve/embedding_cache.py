"""What engines worked out of stills: kept on disk (by content, half precision, the least used thrown away first), and
worked out before the first click on a clip that an annotator has just opened."""

from __future__ import annotations

import itertools
import logging
import os
import queue
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from avis_data.annotation.segmenters.segmenter import Embedding
from avis_data.errors import AvisError
from avis_data.io import atomic_path, sha256_text

__all__ = ["AheadOfClicks", "EmbeddingCache"]

logger = logging.getLogger(__name__)

_ROOM = 0.9
"""When it is full it is emptied to this part of its size, so that not every new entry has to look through it."""
_OPEN_CLIPS = 8
"""Clips that are prepared at a time; the one opened longest ago is given up for a newer one."""


class EmbeddingCache:
    """A folder of entries, each a file that appears whole or not at all; processes may share it."""

    def __init__(self, folder: Path, *, engine: str, weights_sha256: str | None, most_bytes: int) -> None:
        """Entries of another engine, or of other weights, are other entries."""
        self._folder = folder
        self._maker = sha256_text(f"{engine} {weights_sha256}")[:16]
        self._most_bytes = most_bytes
        self._written = 0
        self._lock = threading.Lock()
        self.num_found = self.num_missing = 0
        """How often an embedding that was asked for was there, and was not."""

    def get(self, still_sha256: str) -> Embedding | None:
        """The embedding of a still; None if it is not there, or damaged."""
        found = self._read(still_sha256)
        with self._lock:
            self.num_found += found is not None
            self.num_missing += found is None
        return found

    def _read(self, still_sha256: str) -> Embedding | None:
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


class AheadOfClicks:
    """One thread in the background; the clip that was opened last comes first."""

    def __init__(self, prepare: Callable[[str, int], None]) -> None:
        """`prepare`: of a clip's still; what it raises (AvisError) is logged."""
        self._prepare = prepare
        self.num_failed = 0
        """Stills that could not be prepared."""
        self._queue: queue.PriorityQueue[tuple[int, int, str, int]] = queue.PriorityQueue()
        self._opened: dict[str, int] = {}
        self._number = itertools.count(1)
        self._lock = threading.Lock()
        threading.Thread(target=self._work, daemon=True, name="ahead of clicks").start()

    def open(self, clip_id: str, num_seconds: int) -> None:
        """Somebody looks at a clip."""
        with self._lock:
            is_new = clip_id not in self._opened
            turn = self._opened[clip_id] = next(self._number)
            while len(self._opened) > _OPEN_CLIPS:
                del self._opened[min(self._opened, key=self._opened.__getitem__)]
        for frame in range(num_seconds) if is_new else ():
            self._queue.put((-turn, frame, clip_id, num_seconds))

    def wait(self) -> None:
        """Until all is done that was asked for."""
        self._queue.join()

    def _work(self) -> None:
        while True:
            _, frame, clip_id, num_seconds = self._queue.get()
            try:
                with self._lock:
                    is_open = clip_id in self._opened
                if is_open:
                    self._prepare(clip_id, frame)
                if frame == num_seconds - 1:
                    with self._lock:
                        self._opened.pop(clip_id, None)
            except AvisError as error:
                self.num_failed += 1
                logger.warning("clip=%s frame=%d cannot be prepared: %s", clip_id, frame, error)
            except Exception:  # of an engine: it costs this still's head start, never that of all later ones
                self.num_failed += 1
                logger.exception("clip=%s frame=%d cannot be prepared", clip_id, frame)
            finally:
                self._queue.task_done()

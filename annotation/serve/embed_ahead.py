"""Working out the embeddings of a clip that an annotator has just opened, before the first click."""

from __future__ import annotations

import itertools
import logging
import queue
import threading
from collections.abc import Callable

from avis_data.errors import AvisError

__all__ = ["AheadOfClicks"]

logger = logging.getLogger(__name__)

_OPEN_CLIPS = 8
"""Clips that are prepared at a time; the one opened longest ago is given up for a newer one."""


class AheadOfClicks:
    """One thread in the background; the clip that was opened last comes first."""

    def __init__(self, prepare: Callable[[str, int], None]) -> None:
        """`prepare`: of a clip's still; what it raises (AvisError) is logged."""
        self._prepare = prepare
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
                logger.warning("clip=%s frame=%d cannot be prepared: %s", clip_id, frame, error)
            except Exception:  # of an engine: it costs this still's head start, never that of all later ones
                logger.exception("clip=%s frame=%d cannot be prepared", clip_id, frame)
            finally:
                self._queue.task_done()
